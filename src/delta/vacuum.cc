#include "delta/vacuum.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/deletion_vector.h"
#include "delta/log_file_set.h"
#include "delta/log_listing.h"
#include "delta/maintenance_lock.h"
#include "store/local_writer.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kRetentionMinMs = 7LL * 24 * 3600 * 1000;
/// Names held at a time; more files are removed in further passes.
constexpr size_t kPassFilesMax = 200000;
constexpr std::string_view kChangeFolder = "_change_data";

/// Files that are needed, as hashes of their paths: two that collide only keep one file
/// too many.
class KeptFiles {
 public:
  explicit KeptFiles(const store::Store& store) : store_(store) {}

  /// Live files, and those removed since `since_ms`.
  arrow::Status Take(const Snapshot& snapshot, int64_t since_ms) {
    arrow::Status status;
    const auto keep = [&](const auto& file) {
      if (status.ok()) status = Keep(file.path, file.deletion_vector);
    };
    snapshot.VisitFiles([&](int64_t, const AddFile& file) { keep(file); });
    snapshot.VisitTombstones([&](const RemoveFile& file) {
      if (file.deletion_timestamp_ms.value_or(0) >= since_ms) keep(file);
    });
    return status;
  }

  /// The removals of commits that are younger than the retention: where it
  /// is longer than the table's own, the snapshot no longer has all tombstones.
  arrow::Status TakeCommits(const LogReader& log, int64_t since_ms) {
    ARROW_ASSIGN_OR_RAISE(const LogListing listing, ListLog(store_, 0));
    for (const LogEntry& entry : listing.commits) {
      if (entry.modified_ms < since_ms) continue;
      ARROW_ASSIGN_OR_RAISE(const auto actions, log.ReadCommit(entry.version));
      for (const Action& action : actions) {
        if (const auto* remove = std::get_if<RemoveFile>(&action)) {
          ARROW_RETURN_NOT_OK(Keep(remove->path, remove->deletion_vector));
        }
      }
    }
    return {};
  }

  void Finish() {
    std::sort(hashes_.begin(), hashes_.end());
    std::sort(names_.begin(), names_.end());
  }

  bool Contains(std::string_view path) const {
    return std::binary_search(hashes_.begin(), hashes_.end(), HashOfKey(path)) ||
           std::binary_search(names_.begin(), names_.end(), HashOfKey(NameOf(path)));
  }

 private:
  static std::string_view NameOf(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
  }
  void KeepName(std::string_view path_in_log) {
    auto decoded = DecodePath(path_in_log);
    if (decoded.ok()) names_.push_back(HashOfKey(NameOf(decoded->path)));
  }

  arrow::Status Keep(std::string_view path_in_log,
                     const std::optional<DeletionVectorDescriptor>& vector) {
    auto path = PathBelowRoot(store_, path_in_log);
    if (path.ok()) hashes_.push_back(HashOfKey(*path));
    if (!path.ok() && CodeOf(path.status()) != ErrorCode::kNotBuilt) return path.status();
    // Seemingly outside the root, but perhaps below it through a link: kept by its name.
    if (!path.ok()) KeepName(path_in_log);
    if (!vector) return {};
    auto vector_path = DeletionVectorPath(store_, *vector);
    if (vector_path.ok()) hashes_.push_back(HashOfKey(*vector_path));
    if (!vector_path.ok() && vector->storage_type == "p") {
      KeepName(vector->path_or_inline);
    }
    return !vector_path.ok() && CodeOf(vector_path.status()) != ErrorCode::kNotBuilt
               ? vector_path.status()
               : arrow::Status::OK();
  }

  const store::Store& store_;
  std::vector<uint64_t> hashes_;
  std::vector<uint64_t> names_;  ///< of files that the log names by an absolute path
};

/// Whether a file of this name may be the table's, or is a leftover of this store.
bool IsCandidate(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name =
      slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name.starts_with(store::kTemporaryPrefix)) return true;
  if (name.starts_with('_') || name.starts_with('.')) return false;
  bool first = true;
  for (std::string_view rest = path; rest.size() > name.size(); first = false) {
    const size_t end = rest.find('/');
    const std::string_view folder = rest.substr(0, end);
    const bool hidden = folder.starts_with('_') || folder.starts_with('.');
    const bool partition = folder.find('=') != std::string_view::npos;
    if (hidden && !partition && !(first && folder == kChangeFolder)) return false;
    rest.remove_prefix(end + 1);
  }
  return true;
}

class VacuumRun {
 public:
  VacuumRun(DeltaTable& table, std::shared_ptr<store::Store> store,
            const VacuumOptions& options, const Clock& clock)
      : table_(table), store_(std::move(store)), options_(options), clock_(clock) {}

  arrow::Result<VacuumReport> Run() {
    ARROW_ASSIGN_OR_RAISE(auto snapshot, table_.Refresh());
    if (snapshot == nullptr) {
      return Error(ErrorCode::kTableNotFound, "not a table: ", store_->root());
    }
    ARROW_RETURN_NOT_OK(CheckWritable(snapshot->state()));
    ARROW_RETURN_NOT_OK(ChooseRetention(*snapshot));
    std::unique_ptr<store::Lock> lock;
    if (options_.mode == VacuumMode::kRemove) {
      ARROW_ASSIGN_OR_RAISE(lock, LockForMaintenance(store_.get()));
    }
    ARROW_RETURN_NOT_OK(FindNestedTables());
    ARROW_RETURN_NOT_OK(Find(*snapshot, Count::kAll));
    if (options_.mode == VacuumMode::kDryRun) return std::move(report_);
    ARROW_RETURN_NOT_OK(LogStart(snapshot).status());
    ARROW_RETURN_NOT_OK(FaultPoint("delta.vacuum.after_start"));
    const arrow::Status removed = RemoveAll();
    ARROW_RETURN_NOT_OK(FaultPoint("delta.vacuum.before_end"));
    const auto ended = LogEnd(removed.ok());
    ARROW_RETURN_NOT_OK(removed);
    ARROW_ASSIGN_OR_RAISE(report_.version, ended);
    return std::move(report_);
  }

 private:
  enum class Count { kAll, kPass };

  arrow::Status ChooseRetention(const Snapshot& snapshot) {
    const int64_t of_table = snapshot.state().properties.deleted_file_retention_ms;
    report_.retention_ms = options_.retention_ms.value_or(
        std::max(of_table, kRetentionMinMs));
    if (report_.retention_ms < 0 ||
        (report_.retention_ms < kRetentionMinMs && !options_.force)) {
      return Error(ErrorCode::kInvalidArgument, "a retention under ",
                   kRetentionMinMs / 3600000,
                   " hours removes files that readers and writers may still need; force it "
                   "if there are none: ",
                   report_.retention_ms / 3600000, " hours");
    }
    cutoff_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(
                     clock_.WallNow().time_since_epoch())
                     .count() -
                 report_.retention_ms;
    return {};
  }

  /// Folders below that are tables of their own: nothing in them is ours.
  arrow::Status FindNestedTables() {
    return store_->ListBelow("", [&](const store::FileInfo& file) -> arrow::Status {
      const size_t at = file.path.find("/_delta_log/");
      if (at != std::string::npos) nested_.insert(file.path.substr(0, at + 1));
      return {};
    });
  }
  bool IsNested(std::string_view path) const {
    for (size_t at = path.find('/'); at != std::string_view::npos;
         at = path.find('/', at + 1)) {
      if (nested_.contains(std::string(path.substr(0, at + 1)))) return true;
    }
    return false;
  }

  /// What is needed now, and the files (all counted, or those of one pass kept by name)
  /// that are not.
  arrow::Status Find(const Snapshot& snapshot, Count count) {
    KeptFiles kept(*store_);
    ARROW_RETURN_NOT_OK(kept.Take(snapshot, cutoff_ms_));
    if (report_.retention_ms > snapshot.state().properties.deleted_file_retention_ms) {
      ARROW_RETURN_NOT_OK(kept.TakeCommits(LogReader(store_), cutoff_ms_));
    }
    kept.Finish();
    pass_.clear();
    return store_->ListBelow("", [&](const store::FileInfo& file) -> arrow::Status {
      if (file.modified_ms >= cutoff_ms_ || !IsCandidate(file.path) ||
          kept.Contains(file.path) || IsNested(file.path)) {
        return {};
      }
      if (count == Count::kPass) {
        if (pass_.size() < kPassFilesMax) pass_.push_back(file);
        return {};
      }
      Report(file);
      return {};
    });
  }

  void Report(const store::FileInfo& file) {
    ++report_.files;
    report_.bytes += file.size;
    if (report_.listed.size() < options_.listed_max) report_.listed.push_back(file.path);
  }

  arrow::Status RemoveAll() {
    report_ = VacuumReport{report_.retention_ms};
    do {
      // The commit of the start, and whoever committed before it, are seen here.
      ARROW_ASSIGN_OR_RAISE(auto snapshot, table_.Refresh());
      ARROW_RETURN_NOT_OK(Find(*snapshot, Count::kPass));
      for (const store::FileInfo& file : pass_) {
        ARROW_RETURN_NOT_OK(FaultPoint("delta.vacuum.before_remove"));
        ARROW_RETURN_NOT_OK(store_->Remove(file.path));
        Report(file);
      }
    } while (pass_.size() == kPassFilesMax);
    return {};
  }

  arrow::Result<int64_t> LogStart(std::shared_ptr<const Snapshot> snapshot) {
    FileChange change;
    change.operation = "VACUUM START";
    change.parameters = {
        {"retentionCheckEnabled", options_.force ? "false" : "true"},
        {"defaultRetentionMillis",
         std::to_string(snapshot->state().properties.deleted_file_retention_ms)},
        {"specifiedRetentionMillis", std::to_string(report_.retention_ms)}};
    change.metrics = {{"numFilesToDelete", report_.files},
                      {"sizeOfDataToDelete", report_.bytes}};
    change.planned_on = std::move(snapshot);
    return table_.Commit(change);
  }

  arrow::Result<int64_t> LogEnd(bool completed) {
    FileChange change;
    change.operation = "VACUUM END";
    change.parameters = {{"status", completed ? "COMPLETED" : "FAILED"}};
    change.metrics = {{"numDeletedFiles", report_.files}, {"numVacuumedDirectories", 0}};
    change.planned_on = table_.snapshot();
    return table_.Commit(change);
  }

  DeltaTable& table_;
  const std::shared_ptr<store::Store> store_;
  const VacuumOptions& options_;
  const Clock& clock_;
  int64_t cutoff_ms_ = 0;
  VacuumReport report_;
  std::vector<store::FileInfo> pass_;
  std::unordered_set<std::string> nested_;  ///< "folder/" of other tables below the root
};

}  // namespace

arrow::Result<VacuumReport> Vacuum(DeltaTable& table,
                                   std::shared_ptr<store::Store> store,
                                   const VacuumOptions& options, const Clock& clock) {
  return VacuumRun(table, std::move(store), options, clock).Run();
}

}  // namespace arrowport::delta
