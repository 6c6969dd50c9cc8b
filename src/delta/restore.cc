#include "delta/restore.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/deletion_vector.h"
#include "delta/maintenance_lock.h"

namespace arrowport::delta {
namespace {

/// Whether two descriptions of a table would be the same metaData action.
bool SameMetadata(const Metadata& a, const Metadata& b) {
  return ActionToJson(a) == ActionToJson(b);
}

bool IsLive(const Snapshot& snapshot, const AddFile& file) {
  const auto path = DecodePath(file.path);
  return path.ok() &&
         snapshot.Contains(path->path,
                           file.deletion_vector ? file.deletion_vector->UniqueId() : "");
}

arrow::Status CheckThere(const store::Store& store, const AddFile& file) {
  const auto check = [&](const std::string& path) -> arrow::Status {
    const auto status = store.Stat(path).status();
    if (!status.ok() && CodeOf(status) == ErrorCode::kNotFound) {
      return Error(ErrorCode::kNotFound,
                   "the version cannot be restored, a file of it is gone (vacuum): ", path);
    }
    return status;
  };
  ARROW_ASSIGN_OR_RAISE(const std::string path, PathBelowRoot(store, file.path));
  ARROW_RETURN_NOT_OK(check(path));
  if (!file.deletion_vector) return {};
  ARROW_ASSIGN_OR_RAISE(const std::string vector,
                        DeletionVectorPath(store, *file.deletion_vector));
  return vector.empty() ? arrow::Status::OK() : check(vector);
}

}  // namespace

RemoveFile RemovalOf(const AddFile& file, int64_t now_ms, bool data_change) {
  RemoveFile remove;
  remove.path = file.path;
  remove.deletion_timestamp_ms = now_ms;
  remove.data_change = data_change;
  remove.extended_file_metadata = true;
  remove.partition_values = file.partition_values;
  remove.size = file.size;
  remove.tags = file.tags;
  remove.deletion_vector = file.deletion_vector;
  remove.base_row_id = file.base_row_id;
  remove.default_row_commit_version = file.default_row_commit_version;
  return remove;
}

arrow::Result<RestoreReport> Restore(DeltaTable& table,
                                     std::shared_ptr<store::Store> store,
                                     int64_t target, const Clock& clock) {
  ARROW_ASSIGN_OR_RAISE(const auto current, table.Refresh());
  if (current == nullptr) {
    return Error(ErrorCode::kTableNotFound, "not a table: ", store->root());
  }
  ARROW_ASSIGN_OR_RAISE(const auto lock, LockForMaintenance(store.get()));
  ARROW_ASSIGN_OR_RAISE(const auto earlier, LogReader(store).Load(target));
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             clock.WallNow().time_since_epoch())
                             .count();
  RestoreReport report;
  FileChange change;
  arrow::Status status;
  earlier->VisitFiles([&](int64_t, const AddFile& file) {
    if (!status.ok() || IsLive(*current, file)) return;
    status = CheckThere(*store, file);
    AddFile add = file;
    add.data_change = true;
    report.bytes_restored += file.size;
    change.adds.push_back(std::move(add));
  });
  ARROW_RETURN_NOT_OK(status);
  current->VisitFiles([&](int64_t, const AddFile& file) {
    if (IsLive(*earlier, file)) return;
    report.bytes_removed += file.size;
    change.removes.push_back(RemovalOf(file, now_ms, /*data_change=*/true));
  });
  if (!SameMetadata(earlier->state().metadata, current->state().metadata)) {
    change.metadata = earlier->state().metadata;
  }
  report.files_restored = static_cast<int64_t>(change.adds.size());
  report.files_removed = static_cast<int64_t>(change.removes.size());
  report.version = current->version();
  if (change.adds.empty() && change.removes.empty() && !change.metadata) return report;
  change.operation = "RESTORE";
  change.parameters = {{"version", std::to_string(target)}};
  change.metrics = {{"numRestoredFiles", report.files_restored},
                    {"numRemovedFiles", report.files_removed},
                    {"restoredFilesSize", report.bytes_restored},
                    {"removedFilesSize", report.bytes_removed},
                    {"numOfFilesAfterRestore", earlier->file_count()},
                    {"tableSizeAfterRestore", earlier->size_bytes()}};
  change.planned_on = current;
  change.reads.kind = ReadSet::Kind::kVersion;
  ARROW_RETURN_NOT_OK(FaultPoint("delta.restore.before_commit"));
  ARROW_ASSIGN_OR_RAISE(report.version, table.Commit(change));
  return report;
}

}  // namespace arrowport::delta
