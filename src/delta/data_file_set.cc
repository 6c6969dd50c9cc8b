#include "delta/data_file_set.h"

#include <arrow/util/byte_size.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "delta/partition_split.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kPartitionsMax = 4'096;
constexpr int64_t kOpenFilesMax = 256;
// A commit goes to a second file only when each part is worth a thread.
constexpr int64_t kPartRowsMin = int64_t{512} << 10;
constexpr int64_t kPartBytesMin = int64_t{16} << 20;

using BatchPtr = std::shared_ptr<arrow::RecordBatch>;

std::string NewFileName(std::string_view codec) {
  const std::string id = NewRandomId();
  return fmt::format("part-00000-{}-{}-{}-{}-{}-c000{}{}.parquet", id.substr(0, 8),
                     id.substr(8, 4), id.substr(12, 4), id.substr(16, 4), id.substr(20),
                     codec.empty() ? "" : ".", codec);
}

int64_t BytesOf(const arrow::RecordBatch& batch) {
  auto referenced = arrow::util::ReferencedBufferSize(batch);
  return referenced.ok() ? *referenced : arrow::util::TotalBufferSize(batch);
}

/// Batches waiting for a row group, in order.
struct Waiting {
  std::vector<BatchPtr> batches;
  int64_t rows = 0;
  int64_t bytes = 0;

  void Put(BatchPtr batch, int64_t batch_bytes) {
    rows += batch->num_rows();
    bytes += batch_bytes;
    batches.push_back(std::move(batch));
  }

  /// The first `wanted` rows.
  std::vector<BatchPtr> Cut(int64_t wanted) {
    std::vector<BatchPtr> taken;
    const int64_t rows_before = rows;
    int64_t left = wanted;
    size_t used = 0;
    while (left > 0) {
      BatchPtr& front = batches[used];
      const int64_t rows_here = front->num_rows();
      if (rows_here <= left) {
        taken.push_back(std::move(front));
        left -= rows_here;
        ++used;
      } else {
        taken.push_back(front->Slice(0, left));
        front = front->Slice(left);
        left = 0;
      }
    }
    batches.erase(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(used));
    rows -= wanted;
    bytes = rows_before == 0 ? 0 : bytes * rows / rows_before;
    return taken;
  }
};

/// One partition of the write: what waits and up to two files being written.
struct Partition {
  PartitionValues values;
  std::string folder;
  Waiting waiting;
  std::unique_ptr<DataFileWriter> files[2];
};

struct Finished {
  Partition* partition = nullptr;
  DataFile file;
};

class RollingFileSet : public DataFileSet {
 public:
  RollingFileSet(Spec spec, PartitionSplitter splitter, Compression compression)
      : spec_(std::move(spec)),
        splitter_(std::move(splitter)),
        compression_(compression),
        layout_(ToArrowSchema(*spec_.schema, spec_.names)),
        file_schema_(DataFileSchema(*spec_.schema, spec_.names, spec_.partition_columns)),
        statistics_(StatisticsPlan::Make(*spec_.schema, spec_.names,
                                         spec_.partition_columns, spec_.configuration)),
        staged_(spec_.store) {}

  arrow::Status Append(const BatchPtr& batch) override {
    if (batch->num_rows() == 0) return {};
    ARROW_ASSIGN_OR_RAISE(BatchPtr rows, ToTableLayout(batch, *spec_.schema, layout_));
    const int64_t bytes = BytesOf(*rows);
    if (spec_.partition_columns.empty()) {
      ARROW_RETURN_NOT_OK(Put({{}, rows}, bytes));
    } else {
      ARROW_ASSIGN_OR_RAISE(auto parts, splitter_.Split(rows, kPartitionsMax));
      for (PartitionRows& part : parts) {
        const int64_t share = bytes * part.rows->num_rows() / rows->num_rows();
        ARROW_RETURN_NOT_OK(Put(std::move(part), share));
      }
    }
    return FlushFull();
  }

  arrow::Result<StagedFiles> Finish() override {
    std::vector<Work> work;
    for (auto& [values, partition] : partitions_) PlanLast(&partition, &work);
    ARROW_RETURN_NOT_OK(RunAll(std::move(work)));
    for (const std::string& folder : folders_) {
      ARROW_RETURN_NOT_OK(spec_.store->SyncFolder(folder));
    }
    return std::move(staged_);
  }

 private:
  /// A row group for one file, and whether the file ends with it.
  struct Work {
    Partition* partition;
    int lane;
    std::vector<BatchPtr> batches;
    bool last = false;
    std::optional<DataFile> finished;
  };

  arrow::Status Put(PartitionRows part, int64_t bytes) {
    auto [at, added] = partitions_.try_emplace(part.values);
    if (added) {
      if (static_cast<int64_t>(partitions_.size()) > kPartitionsMax) {
        return Error(ErrorCode::kTooLarge,
                     "too many partitions in one write: send fewer values of the "
                     "partition columns at a time, at most ",
                     kPartitionsMax);
      }
      at->second.values = std::move(part.values);
      at->second.folder = PartitionFolder(*spec_.schema, spec_.partition_columns,
                                          at->second.values);
    }
    waiting_bytes_ += bytes;
    at->second.waiting.Put(std::move(part.rows), bytes);
    return {};
  }

  arrow::Status FlushFull() {
    for (auto& [values, partition] : partitions_) {
      while (partition.waiting.rows >= spec_.options.row_group_rows) {
        ARROW_RETURN_NOT_OK(FlushOne(&partition));
      }
    }
    if (waiting_bytes_ < spec_.options.row_group_bytes) return {};
    // The fullest partitions go first: theirs make the largest row groups.
    std::vector<Partition*> fullest;
    for (auto& [values, partition] : partitions_) fullest.push_back(&partition);
    std::sort(fullest.begin(), fullest.end(), [](const Partition* a, const Partition* b) {
      return a->waiting.bytes > b->waiting.bytes;
    });
    for (Partition* partition : fullest) {
      if (waiting_bytes_ <= spec_.options.row_group_bytes / 2) break;
      if (partition->waiting.rows > 0) ARROW_RETURN_NOT_OK(FlushOne(partition));
    }
    return {};
  }

  int LanesFor(const Waiting& waiting) const {
    const bool worth =
        waiting.rows >= 2 * kPartRowsMin || waiting.bytes >= 2 * kPartBytesMin;
    const bool allowed = spec_.options.files_at_once > 1 && waiting.rows > 1;
    return worth && allowed && spec_.encoders->HasIdle() ? 2 : 1;
  }

  /// The next row group(s) of a partition: at most row_group_rows a file.
  std::vector<Work> PlanNext(Partition* partition) {
    Waiting& waiting = partition->waiting;
    const int lanes = LanesFor(waiting);
    const int64_t rows = std::min(waiting.rows, lanes * spec_.options.row_group_rows);
    const int64_t bytes_before = waiting.bytes;
    std::vector<Work> work;
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t part = lane + 1 < lanes ? rows / lanes : rows - rows / lanes * lane;
      work.push_back({partition, lane, waiting.Cut(part)});
    }
    waiting_bytes_ -= bytes_before - waiting.bytes;
    return work;
  }

  arrow::Status FlushOne(Partition* partition) { return RunAll(PlanNext(partition)); }

  /// What remains of a partition, its open files ending.
  void PlanLast(Partition* partition, std::vector<Work>* work) {
    const size_t before = work->size();
    if (partition->waiting.rows > 0) {
      for (Work& next : PlanNext(partition)) work->push_back(std::move(next));
    }
    for (size_t i = before; i < work->size(); ++i) (*work)[i].last = true;
    for (int lane = 0; lane < 2; ++lane) {
      const bool planned =
          std::any_of(work->begin() + static_cast<std::ptrdiff_t>(before), work->end(),
                      [&](const Work& item) { return item.lane == lane; });
      if (partition->files[lane] && !planned) work->push_back({partition, lane, {}, true});
    }
  }

  arrow::Status RunAll(std::vector<Work> work) {
    int64_t open = 0;
    for (auto& [values, partition] : partitions_) {
      open += (partition.files[0] ? 1 : 0) + (partition.files[1] ? 1 : 0);
    }
    for (Work& item : work) item.last = item.last || open > kOpenFilesMax;
    std::vector<EncoderPool::Task> tasks;
    for (Work& item : work) {
      tasks.push_back([this, &item] { return RunOne(&item); });
    }
    const arrow::Status status = spec_.encoders->Run(std::move(tasks));
    for (Work& item : work) {
      if (item.finished) Stage(*item.partition, std::move(*item.finished));
    }
    return status;
  }

  /// On an encoder; touches nothing but its own file.
  arrow::Status RunOne(Work* item) {
    auto& file = item->partition->files[item->lane];
    if (!file) {
      DataFileWriter::Spec spec;
      spec.store = spec_.store.get();
      spec.path = item->partition->folder + NewFileName(compression_.file_suffix);
      spec.file_schema = file_schema_;
      spec.statistics = statistics_;
      spec.options = spec_.options;
      ARROW_ASSIGN_OR_RAISE(file, DataFileWriter::Make(std::move(spec)));
    }
    if (!item->batches.empty()) {
      ARROW_RETURN_NOT_OK(file->WriteRowGroup(item->batches));
      item->batches.clear();
    }
    if (!item->last && file->bytes_written() < spec_.options.target_file_bytes) return {};
    ARROW_ASSIGN_OR_RAISE(item->finished, file->Finish());
    file.reset();
    return {};
  }

  void Stage(const Partition& partition, DataFile file) {
    AddFile add;
    add.path = EncodePath(file.path);
    add.partition_values = partition.values;
    add.size = file.size;
    add.modification_time_ms = file.modified_ms;
    add.data_change = spec_.data_change;
    add.stats = std::move(file.stats);
    std::string folder = partition.folder;
    if (folder.ends_with('/')) folder.pop_back();
    folders_.insert(std::move(folder));
    staged_.Put(std::move(add), std::move(file.path), file.rows);
  }

  const Spec spec_;
  const PartitionSplitter splitter_;
  const Compression compression_;
  const std::shared_ptr<arrow::Schema> layout_;
  const std::shared_ptr<arrow::Schema> file_schema_;
  const std::shared_ptr<const StatisticsPlan> statistics_;
  std::map<PartitionValues, Partition> partitions_;
  int64_t waiting_bytes_ = 0;
  std::set<std::string> folders_;
  StagedFiles staged_;
};

}  // namespace

StagedFiles& StagedFiles::operator=(StagedFiles&& other) noexcept {
  if (this == &other) return *this;
  Discard();
  store_ = std::move(other.store_);
  adds_ = std::exchange(other.adds_, {});
  paths_ = std::exchange(other.paths_, {});
  rows_ = std::exchange(other.rows_, 0);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

void StagedFiles::Put(AddFile add, std::string path, int64_t rows) {
  size_bytes_ += add.size;
  rows_ += rows;
  adds_.push_back(std::move(add));
  paths_.push_back(std::move(path));
}

void StagedFiles::Discard() {
  for (const std::string& path : paths_) {
    const arrow::Status removed = store_->Remove(path);
    if (!removed.ok()) {
      LogWarn("a data file without a commit stays behind until vacuum",
              {{"path", path}, {"error", removed.message()}});
    }
  }
  paths_.clear();
  adds_.clear();
}

arrow::Result<std::unique_ptr<DataFileSet>> DataFileSet::Make(Spec spec) {
  ARROW_ASSIGN_OR_RAISE(Compression compression,
                        ParseCompression(spec.options.compression));
  spec.options.row_group_rows = std::max(spec.options.row_group_rows, int64_t{1});
  ARROW_ASSIGN_OR_RAISE(
      auto splitter,
      PartitionSplitter::Make(*spec.schema, spec.names, spec.partition_columns));
  return std::make_unique<RollingFileSet>(std::move(spec), std::move(splitter),
                                          compression);
}

}  // namespace arrowport::delta
