// Where the service finds tables: the server joins it with the storage that writers use, so
// that both work on the same handles.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <vector>

#include "delta/table.h"
#include "schema/names.h"
#include "store/store.h"

namespace arrowport::maintain {

struct TableHandle {
  std::shared_ptr<delta::DeltaTable> table;
  std::shared_ptr<store::Store> store;  ///< its root is the table's folder
};

/// Thread-safe. Every call may block on storage.
class TableSource {
 public:
  virtual ~TableSource() = default;
  /// Sorted.
  virtual arrow::Result<std::vector<schema::TableName>> Tables() = 0;
  /// The newest state of the table is read. Errors: kTableNotFound, kInvalidName, those of
  /// delta::DeltaTable::Open.
  virtual arrow::Result<TableHandle> Open(const schema::TableName& name) = 0;
};

}  // namespace arrowport::maintain
