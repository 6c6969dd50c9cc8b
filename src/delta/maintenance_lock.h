// One maintenance operation at a time on a table, whichever process runs it: a vacuum beside
// a restore would remove files that the restore has just found there.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string_view>

#include "store/store.h"

namespace arrowport::delta {

/// In the folder of ours below the log, which other readers leave alone.
inline constexpr std::string_view kMaintenanceLockPath =
    "_delta_log/_arrowport/maintenance.lock";

/// For vacuum, restore and optimize: what removes files or counts on files that no version
/// names. Writers need none. Errors: kCommitConflict while another operation holds it, the
/// store's.
arrow::Result<std::unique_ptr<store::Lock>> LockForMaintenance(store::Store* store);

}  // namespace arrowport::delta
