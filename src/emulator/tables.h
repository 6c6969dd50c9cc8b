// The tables the emulator pretends to have.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::emulator {

/// One state of a table. Immutable.
struct Table {
  std::string name;          ///< catalog.schema.table
  std::string columns_json;  ///< Unity Catalog column objects, as given
  zerobus::encode::TableSchema schema;
  int64_t version = 1;  ///< grows with each change
};

/// The three parts of a table name. Errors: kInvalidName unless there are exactly three,
/// not empty, of ASCII letters, digits and underscores.
arrow::Result<std::vector<std::string>> TableNameParts(std::string_view name);

/// Thread-safe.
class TableCatalog {
 public:
  /// {"c.s.t": {"columns": [Unity Catalog column objects]}}. All or nothing.
  /// Errors: kBadConfig, and those of TableSchema.
  arrow::Status Load(std::string_view tables_json);
  /// Creates or alters one table. Calls that are open keep the state they opened with.
  arrow::Status Put(const std::string& name, const std::string& columns_json);
  /// Errors: kTableNotFound.
  arrow::Status Drop(const std::string& name);

  /// Null when there is none.
  std::shared_ptr<const Table> Find(const std::string& name) const;
  /// The reply of the table API. Errors: kTableNotFound.
  arrow::Result<std::string> Describe(const std::string& name) const;
  std::vector<std::string> Names() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Table>> tables_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::emulator
