#include "delta/maintenance_lock.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr int kRetryAfterSeconds = 10;

}  // namespace

arrow::Result<std::unique_ptr<store::Lock>> LockForMaintenance(store::Store* store) {
  ARROW_ASSIGN_OR_RAISE(auto lock, store->TryLock(kMaintenanceLockPath));
  if (lock != nullptr) return lock;
  return MakeError(ErrorCode::kCommitConflict,
                   "another process maintains the table; try again when it is done: " +
                       store->root(),
                   kRetryAfterSeconds);
}

}  // namespace arrowport::delta
