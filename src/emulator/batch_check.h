// Judges schemas and batches of Flight mode as the service does.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/status.h>

#include <string>
#include <vector>

#include "emulator/script.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::emulator {

/// What is wrong with a schema, in the service's words (FIELD_NOT_IN_TABLE, ...), each
/// cause once; `details` names the fields. No causes: the schema fits.
struct SchemaVerdict {
  std::vector<std::string> causes;
  std::string details;
};

SchemaVerdict JudgeSchema(const arrow::Schema& schema,
                          const zerobus::encode::TableSchema& table,
                          const FlightRules& rules);

/// Values: sound Arrow, no null in a NOT NULL place, decimal text. Columns are found by
/// name. Errors: kBadData naming the column.
arrow::Status CheckBatch(const arrow::RecordBatch& batch,
                         const zerobus::encode::TableSchema& table);

/// The values of `column` as JSON texts with commas between; "null" where it has no such
/// text or the batch no such column.
std::string RowIds(const arrow::RecordBatch& batch, const std::string& column);

}  // namespace arrowport::emulator
