// Judges the rows of record mode as the service does: parsed in full by the stream's
// descriptor (or as JSON), every value against the table's column.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>
#include <string_view>

#include "emulator/tables.h"

namespace arrowport::emulator {

/// Belongs to one call. Not thread-safe.
class RowCheck {
 public:
  virtual ~RowCheck() = default;
  /// Appends the row's id as JSON text to `ids`. Errors: kBadData naming the column.
  virtual arrow::Status Check(std::string_view row, std::string* ids) = 0;
};

/// `descriptor_proto` is a serialized DescriptorProto, checked against the table's columns
/// by name: type, label, missing NOT NULL columns. The row id is the value of `id_column`
/// (empty: the first). Errors: kInvalidArgument (not a descriptor, not self-contained),
/// kSchemaMismatch.
arrow::Result<std::unique_ptr<RowCheck>> MakeProtoRowCheck(
    std::string_view descriptor_proto, std::shared_ptr<const Table> table,
    const std::string& id_column);

std::unique_ptr<RowCheck> MakeJsonRowCheck(std::shared_ptr<const Table> table,
                                           const std::string& id_column);

}  // namespace arrowport::emulator
