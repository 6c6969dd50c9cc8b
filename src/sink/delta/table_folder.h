// Where a table lies below the root, and which names are none.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>

#include "schema/names.h"
#include "store/store.h"

namespace arrowport::sink {

/// Parts of [A-Za-z0-9_-], and no name the Delta format keeps for itself. Errors:
/// kInvalidName.
arrow::Status CheckDeltaName(const schema::TableName& name);

/// "t", or "s/t" outside the default schema: relative to the root. REQUIRES: a checked name.
std::string TableFolder(const schema::TableName& name);

/// Whether a table may be made there: a table's folder holds nothing but that table, since
/// its clean-up would take the rest away. Errors: kInvalidName.
arrow::Status CheckNewTableFolder(const std::string& root, const schema::TableName& name);

enum class IfMissing { kRefuse, kMake };

/// The store whose root is the table's folder below `root` (a local path). Errors:
/// kTableNotFound (no such folder), kInvalidName (the path leads out of the root, or into or
/// around another table), kStorageUnavailable.
arrow::Result<std::shared_ptr<store::Store>> OpenTableFolder(
    const std::string& root, const schema::TableName& name, store::Durability durability,
    IfMissing if_missing);

}  // namespace arrowport::sink
