#include "delta/optimize.h"

#include <arrow/builder.h>
#include <arrow/compute/api_vector.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/conflict.h"
#include "delta/data_file_set.h"
#include "delta/json_text.h"
#include "delta/maintenance_lock.h"
#include "delta/read_ahead.h"
#include "delta/restore.h"
#include "delta/row_ordering.h"
#include "delta/table_info.h"
#include "delta/table_reader.h"
#include "delta/z_order.h"

namespace arrowport::delta {
namespace {

constexpr std::string_view kOrderTag = "arrowport.zOrderBy";
constexpr int64_t kSampleRows = 100000;
/// When the row count is unknown: of a sample, and of a row in a file.
constexpr int64_t kStrideUnknown = 16;
constexpr int64_t kRowBytesUnknown = 16;
/// What statistics claim is believed up to here.
constexpr int64_t kRowsOfFileMax = int64_t{1} << 36;
/// Files with fewer deleted rows than one in so many are not rewritten for them.
constexpr int64_t kDeletedShare = 20;

using Files = std::vector<const AddFile*>;

/// Files rewritten together: all of one partition.
struct RewriteGroup {
  Files inputs;
  int64_t bytes = 0;
};

std::string ListText(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) {
    if (out.size() > 1) out.push_back(',');
    AppendJsonString(name, &out);
  }
  return out + "]";
}

bool HasManyDeleted(const AddFile& file) {
  if (!file.deletion_vector) return false;
  const auto records = RecordCount(file.stats);
  return !records || file.deletion_vector->cardinality >= *records / kDeletedShare;
}

/// Chooses what is rewritten.
class Planner {
 public:
  Planner(const OptimizeOptions& options, std::string order)
      : options_(options), order_(std::move(order)) {}

  std::vector<RewriteGroup> Plan(const Snapshot& snapshot) const {
    std::map<PartitionValues, Files> partitions;
    snapshot.VisitFiles([&](int64_t, const AddFile& file) {
      if (IsCandidate(file) && Matches(options_.partitions, file.partition_values)) {
        partitions[file.partition_values].push_back(&file);
      }
    });
    std::vector<RewriteGroup> groups;
    for (auto& [values, files] : partitions) {
      if (options_.z_order_by.empty()) {
        Pack(std::move(files), &groups);
      } else {
        AddGroup(std::move(files), &groups);
      }
    }
    return groups;
  }

 private:
  bool IsCandidate(const AddFile& file) const {
    if (HasManyDeleted(file)) return true;
    if (options_.z_order_by.empty()) {
      return file.size < options_.target_file_bytes / 4 * 3;
    }
    const auto tag = file.tags.find(kOrderTag);
    return tag == file.tags.end() || tag->second != order_;
  }

  /// Groups that make a file of about the target size each.
  void Pack(Files files, std::vector<RewriteGroup>* groups) const {
    std::stable_sort(files.begin(), files.end(), [](const AddFile* a, const AddFile* b) {
      return a->size < b->size;
    });
    Files bin;
    int64_t bytes = 0;
    for (const AddFile* file : files) {
      if (!bin.empty() && bytes + file->size > options_.target_file_bytes) {
        AddGroup(std::exchange(bin, {}), groups);
        bytes = 0;
      }
      bin.push_back(file);
      bytes += file->size;
    }
    AddGroup(std::move(bin), groups);
  }

  void AddGroup(Files files, std::vector<RewriteGroup>* groups) const {
    if (files.empty()) return;
    // One small file alone would come out as it is.
    const bool alone = files.size() == 1 && options_.z_order_by.empty();
    if (alone && !HasManyDeleted(*files.front())) return;
    RewriteGroup group{std::move(files)};
    for (const AddFile* file : group.inputs) group.bytes += file->size;
    groups->push_back(std::move(group));
  }

  const OptimizeOptions& options_;
  const std::string order_;
};

class OptimizeRun {
 public:
  OptimizeRun(DeltaTable& table, std::shared_ptr<store::Store> store,
              std::shared_ptr<EncoderPool> encoders, const OptimizeOptions& options,
              const Clock& clock)
      : table_(table),
        store_(std::move(store)),
        encoders_(std::move(encoders)),
        options_(options),
        clock_(clock),
        order_(ListText(options.z_order_by)) {}

  arrow::Result<OptimizeReport> Run() {
    ARROW_ASSIGN_OR_RAISE(snapshot_, table_.Refresh());
    if (snapshot_ == nullptr) {
      return Error(ErrorCode::kTableNotFound, "not a table: ", store_->root());
    }
    ARROW_RETURN_NOT_OK(CheckWritable(snapshot_->state()));
    ARROW_RETURN_NOT_OK(CheckOrder());
    ARROW_ASSIGN_OR_RAISE(const auto lock, LockForMaintenance(store_.get()));
    report_.version = snapshot_->version();
    for (const RewriteGroup& group : Planner(options_, order_).Plan(*snapshot_)) {
      ARROW_RETURN_NOT_OK(Rewrite(group));
      if (waiting_bytes_ >= options_.commit_bytes) ARROW_RETURN_NOT_OK(CommitWaiting());
    }
    ARROW_RETURN_NOT_OK(CommitWaiting());
    if (report_.commits == 0 && report_.conflicts > 0) return last_conflict_;
    return report_;
  }

 private:
  arrow::Status CheckOrder() {
    if (options_.z_order_by.empty()) return {};
    const TableState& state = snapshot_->state();
    for (const std::string& name : options_.z_order_by) {
      const StructField* field = FindField(*state.schema, name);
      if (field == nullptr) {
        return Error(ErrorCode::kColumnNotFound, "the table has no such column: ", name);
      }
      if (state.IsPartitionColumn(field->name)) {
        return Error(ErrorCode::kInvalidArgument,
                     "rows cannot be ordered by a partition column: ", name);
      }
      int index = 0;
      while (state.schema->fields[static_cast<size_t>(index)].name != field->name) ++index;
      order_columns_.push_back(index);
    }
    return {};
  }

  arrow::Status Rewrite(const RewriteGroup& group) {
    const TableState& state = snapshot_->state();
    DataFileSet::Spec spec;
    spec.store = store_;
    spec.encoders = encoders_;
    spec.schema = state.schema;
    spec.names = state.column_names;
    spec.partition_columns = state.metadata.partition_columns;
    spec.configuration = state.metadata.configuration;
    spec.options = options_.files;
    spec.options.target_file_bytes = options_.target_file_bytes;
    // Two would halve what a compaction aims at, and each hold all parts of a curve.
    spec.options.files_at_once = 1;
    spec.options.row_group_bytes =
        std::min(spec.options.row_group_bytes, RowBytesMax() / 4);
    spec.data_change = false;
    ARROW_ASSIGN_OR_RAISE(auto files, DataFileSet::Make(std::move(spec)));
    ARROW_ASSIGN_OR_RAISE(auto rows, options_.z_order_by.empty()
                                         ? ReadFiles(store_, snapshot_, group.inputs, Reading())
                                         : OrderedRows(group));
    rows = std::make_shared<ReadAhead>(std::move(rows));
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(rows->ReadNext(&batch));
      if (batch == nullptr) break;
      ARROW_RETURN_NOT_OK(files->Append(batch));
    }
    ARROW_ASSIGN_OR_RAISE(StagedFiles staged, files->Finish());
    staged_.push_back(std::move(staged));
    rewritten_.insert(rewritten_.end(), group.inputs.begin(), group.inputs.end());
    waiting_bytes_ += group.bytes;
    return {};
  }

  /// Of the memory for a rewriting, what is left for rows beside what one of any size needs:
  /// the readers' and the encoders' pages.
  int64_t RowBytesMax() const {
    constexpr int64_t kPagesBytes = 20 << 20;
    return std::max(options_.memory_bytes - kPagesBytes, options_.memory_bytes / 4);
  }

  /// What one thread reads and another frees stays with Arrow's default pool: the process
  /// then grows by two and a half times as much.
  static TableReadOptions Reading() {
    TableReadOptions options;
    options.pool = EncoderMemoryPool();
    return options;
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> OrderedRows(
      const RewriteGroup& group) {
    RowOrdering ordering;
    ARROW_ASSIGN_OR_RAISE(const auto samples, Sample(group, &ordering.rows_expected));
    ARROW_ASSIGN_OR_RAISE(const auto curve, ZOrderCurve::Make(samples, order_schema_));
    for (const auto& sample : samples) {
      std::vector<uint64_t> keys;
      ARROW_RETURN_NOT_OK(curve.Keys(*sample, &keys));
      ordering.sample.insert(ordering.sample.end(), keys.begin(), keys.end());
    }
    ordering.keys_of = [&](const arrow::RecordBatch& batch, std::vector<uint64_t>* keys) {
      ARROW_ASSIGN_OR_RAISE(const auto columns, batch.SelectColumns(order_columns_));
      return curve.Keys(*columns, keys);
    };
    ordering.folder = store_->PathFor("");
    ordering.memory_bytes = RowBytesMax() / 2;
    ordering.pool = EncoderMemoryPool();
    ARROW_ASSIGN_OR_RAISE(auto rows, ReadFiles(store_, snapshot_, group.inputs, Reading()));
    ReadAhead ahead(std::move(rows));
    return OrderRows(ahead, std::move(ordering));
  }

  /// Rows spread evenly over the group, of the columns of the curve, and about how many
  /// rows there are.
  arrow::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> Sample(
      const RewriteGroup& group, int64_t* total) {
    bool known = true;
    for (const AddFile* file : group.inputs) {
      const auto live = LiveRows(*file);
      known = known && live.has_value();
      *total += std::clamp<int64_t>(live.value_or(file->size / kRowBytesUnknown), 0,
                                    kRowsOfFileMax);
    }
    const int64_t stride = known ? std::max<int64_t>(1, *total / kSampleRows) : kStrideUnknown;
    TableReadOptions options = Reading();
    options.columns = options_.z_order_by;
    ARROW_ASSIGN_OR_RAISE(auto rows, ReadFiles(store_, snapshot_, group.inputs, options));
    order_schema_ = rows->schema();
    std::vector<std::shared_ptr<arrow::RecordBatch>> samples;
    int64_t next = 0, sampled = 0;  // position in the batch of the next sample
    while (sampled < 2 * kSampleRows) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(rows->ReadNext(&batch));
      if (batch == nullptr) break;
      arrow::Int64Builder indices;
      for (; next < batch->num_rows(); next += stride) {
        ARROW_RETURN_NOT_OK(indices.Append(next));
      }
      next -= batch->num_rows();
      sampled += indices.length();
      ARROW_ASSIGN_OR_RAISE(auto chosen, indices.Finish());
      ARROW_ASSIGN_OR_RAISE(const auto taken, arrow::compute::Take(batch, chosen));
      samples.push_back(taken.record_batch());
    }
    return samples;
  }

  FileChange MakeChange() const {
    FileChange change;
    change.operation = "OPTIMIZE";
    change.parameters = {{"predicate", "[]"},
                         {"zOrderBy", order_},
                         {"targetSize", std::to_string(options_.target_file_bytes)}};
    change.planned_on = snapshot_;
    change.reads.kind = ReadSet::Kind::kRemovedFiles;
    const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                               clock_.WallNow().time_since_epoch())
                               .count();
    int64_t bytes_removed = 0, bytes_added = 0;
    for (const AddFile* file : rewritten_) {
      change.removes.push_back(RemovalOf(*file, now_ms, /*data_change=*/false));
      bytes_removed += file->size;
    }
    for (const StagedFiles& staged : staged_) {
      for (AddFile add : staged.adds()) {
        if (!options_.z_order_by.empty()) add.tags[std::string(kOrderTag)] = order_;
        bytes_added += add.size;
        change.adds.push_back(std::move(add));
      }
    }
    change.metrics = {{"numRemovedFiles", static_cast<int64_t>(change.removes.size())},
                      {"numRemovedBytes", bytes_removed},
                      {"numAddedFiles", static_cast<int64_t>(change.adds.size())},
                      {"numAddedBytes", bytes_added}};
    return change;
  }

  arrow::Status CommitWaiting() {
    if (rewritten_.empty()) return {};
    const FileChange change = MakeChange();
    ARROW_RETURN_NOT_OK(FaultPoint("delta.optimize.before_commit"));
    const auto version = table_.Commit(change);
    const ErrorCode code = version.ok() ? ErrorCode::kInternal : CodeOf(version.status());
    // After an unknown outcome the files may be the table's.
    if (version.ok() || code == ErrorCode::kStorageUnavailable) {
      for (StagedFiles& staged : staged_) staged.Keep();
    }
    staged_.clear();
    rewritten_.clear();
    waiting_bytes_ = 0;
    if (version.ok()) {
      ARROW_RETURN_NOT_OK(FaultPoint("delta.optimize.after_commit"));
      Count(change);
      report_.version = *version;
      return {};
    }
    if (code != ErrorCode::kCommitConflict) return version.status();
    ++report_.conflicts;
    last_conflict_ = version.status();
    return {};
  }

  void Count(const FileChange& change) {
    ++report_.commits;
    report_.files_removed += static_cast<int64_t>(change.removes.size());
    report_.files_added += static_cast<int64_t>(change.adds.size());
    for (const RemoveFile& remove : change.removes) {
      report_.bytes_removed += remove.size.value_or(0);
    }
    for (const AddFile& add : change.adds) report_.bytes_added += add.size;
  }

  DeltaTable& table_;
  const std::shared_ptr<store::Store> store_;
  const std::shared_ptr<EncoderPool> encoders_;
  const OptimizeOptions& options_;
  const Clock& clock_;
  const std::string order_;
  std::vector<int> order_columns_;
  std::shared_ptr<arrow::Schema> order_schema_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<StagedFiles> staged_;
  Files rewritten_;
  int64_t waiting_bytes_ = 0;
  OptimizeReport report_;
  arrow::Status last_conflict_;
};

}  // namespace

arrow::Result<OptimizeReport> Optimize(DeltaTable& table,
                                       std::shared_ptr<store::Store> store,
                                       std::shared_ptr<EncoderPool> encoders,
                                       const OptimizeOptions& options, const Clock& clock) {
  return OptimizeRun(table, std::move(store), std::move(encoders), options, clock).Run();
}

}  // namespace arrowport::delta
