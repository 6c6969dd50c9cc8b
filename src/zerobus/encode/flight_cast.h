// Flight mode sends Arrow itself, in the types the service expects for a table.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>

#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {

/// `batch` with the columns of FlightSchemaOf(table) that it has, in the table's order:
/// dictionary and run-end encoding are undone, extension types give way to their storage,
/// values are converted by the same rules as rows are. Columns whose type fits already
/// share their buffers. Flight has no failed rows, so the first value that does not fit is
/// an error naming column and row.
/// Errors: kColumnNotFound (a column the table lacks, a NOT NULL column left out),
/// kUnsupportedType, kSchemaMismatch, kConstraintViolation, kBadData.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> CastToTable(
    const arrow::RecordBatch& batch, const TableSchema& table);

}  // namespace arrowport::zerobus::encode
