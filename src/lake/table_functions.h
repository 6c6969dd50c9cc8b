// delta_read and delta_changes.
#pragma once

#include <duckdb/main/extension/extension_loader.hpp>

namespace arrowport::lake {

/// delta_read('table' [, version => n | as_of => t]): the table, or an earlier
/// version of it. delta_changes('table', from [, to]): the rows that the commits from..to
/// added and removed, with _change_type (insert, delete, update_preimage,
/// update_postimage), _commit_version and _commit_timestamp. Both see the versions of
/// their transaction.
void RegisterTableFunctions(duckdb::ExtensionLoader& loader,
                            duckdb::ClientContext& context);

}  // namespace arrowport::lake
