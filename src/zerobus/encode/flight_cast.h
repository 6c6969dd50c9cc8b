// Flight mode sends Arrow itself, in the types the service expects for a table.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <vector>

#include "zerobus/encode/row_encoder.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {

/// `batch` in the schema FlightSchemaOf(table): columns are reordered, nullable columns (and
/// struct members) that are left out become nulls, dictionary and run-end encoding are
/// undone, extension types give way to their storage, values are converted by the same rules
/// as rows are. Nulls in lists and as map values stay. VARIANT is taken as struct{metadata,
/// value} or as JSON text. Columns whose layout fits already share their buffers. The first
/// value that does not fit is an error naming column and row; FindUncastableRows has them all.
/// Errors: kColumnNotFound (a column the table lacks, a NOT NULL column left out),
/// kSchemaMismatch, kConstraintViolation, kBadData, kTooLarge (a list column of more than
/// 2^31 - 1 elements), kOutOfMemory.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> CastToTable(
    const arrow::RecordBatch& batch, const TableSchema& table);

/// The rows for which CastToTable fails, ascending, each with what its first bad column says.
/// Without them the batch can be cast. Empty when no row is to blame: the failure is then of
/// the batch. For batches that CastToTable refused: it costs as much as a cast. Errors: as
/// CastToTable, when they are of the batch.
arrow::Result<std::vector<FailedRow>> FindUncastableRows(const arrow::RecordBatch& batch,
                                                         const TableSchema& table);

}  // namespace arrowport::zerobus::encode
