// What the fields of a record must be: a stream's descriptor joined to the table's columns.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/tables.h"
#include "emulator/wire_reader.h"
#include "zerobus/encode/compiled_descriptor.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::emulator {

struct FieldRule;

/// The fields of a message, by number, ascending.
struct MessageRule {
  std::vector<FieldRule> fields;
  /// The field of that number, or null. `next` is where the field after the last one found
  /// stands: fields mostly come in order.
  const FieldRule* Find(uint32_t number, size_t* next) const;
};

/// A value of what kind of column a field is, as an id of a row.
enum class IdKind : uint8_t { kNone, kInteger, kText, kDouble };

struct FieldRule {
  uint32_t number = 0;
  WireType wire = WireType::kVarint;  ///< of one value
  bool repeated = false;
  bool required = false;
  IdKind id_kind = IdKind::kNone;
  const zerobus::encode::TableType* type = nullptr;  ///< of one value; null: a MAP's entry
  std::string path;
  MessageRule members;  ///< of a STRUCT or a MAP's entry
};

/// Immutable. Keeps `table` alive.
class RecordRules {
 public:
  /// Columns are matched by name. Errors: kSchemaMismatch: type, label, a field that is not
  /// in the table, a missing NOT NULL column.
  static arrow::Result<std::shared_ptr<const RecordRules>> Make(
      const zerobus::encode::CompiledDescriptor& descriptor,
      std::shared_ptr<const Table> table);

  const MessageRule& record() const { return record_; }

 private:
  RecordRules() = default;
  std::shared_ptr<const Table> table_;
  MessageRule record_;
};

}  // namespace arrowport::emulator
