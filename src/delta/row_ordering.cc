#include "delta/row_ordering.h"

#include <arrow/array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/exec.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/io_util.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "store/local_folder.h"

namespace arrowport::delta {
namespace {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

/// Each has a file of its own.
constexpr int kRangesMax = 256;
constexpr int64_t kBatchRows = 64 << 10;
/// Text is joined, and its offsets have 32 bits.
constexpr int64_t kMemoryMax = int64_t{2} << 30;
/// Of the memory, what is held unsorted and what is sorted at a time: while sorting there
/// are up to three copies.
constexpr int64_t kHeldShare = 4;
constexpr int64_t kSortedShare = 8;

/// A failure of the spill files' streams, which are Arrow's.
arrow::Status SpillError(const arrow::Status& status) {
  if (status.ok()) return status;
  const bool full = arrow::internal::ErrnoFromStatus(status) == ENOSPC;
  return WithContext("spilling rows to be ordered",
                     WithCode(full ? ErrorCode::kNoSpace : ErrorCode::kStorageUnavailable,
                              status));
}

arrow::Result<store::Descriptor> NamelessFile(const std::string& folder) {
  constexpr mode_t kOwnerOnly = 0600;
  store::Descriptor file(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
  if (file.get() >= 0) return file;
  // A file system without nameless files.
  const std::string path = folder + "/.arrowport-tmp-" + NewRandomId();
  file = store::Descriptor(
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
  if (file.get() < 0) return store::SystemError("creating a spill file failed", folder, errno);
  (void)unlink(path.c_str());
  return file;
}

/// Rows of one range, the newest in memory, the others in a file.
class Range {
 public:
  explicit Range(arrow::MemoryPool* pool) : pool_(pool) {}

  void Put(std::shared_ptr<arrow::RecordBatch> batch) { held_.push_back(std::move(batch)); }

  arrow::Status Spill(const std::string& folder) {
    if (held_.empty()) return {};
    if (!writer_) ARROW_RETURN_NOT_OK(Open(folder));
    ARROW_ASSIGN_OR_RAISE(const auto joined, arrow::ConcatenateRecordBatches(held_, pool_));
    held_.clear();
    return SpillError(writer_->WriteRecordBatch(*joined));
  }

  arrow::Status EndInput() {
    if (!writer_) return {};
    ARROW_RETURN_NOT_OK(SpillError(writer_->Close()));
    writer_.reset();
    ARROW_RETURN_NOT_OK(SpillError(stream_->Flush()));
    const int fd = dup(stream_->file_descriptor());
    if (fd < 0) return store::SystemError("reading a spill file failed", "", errno);
    store::Descriptor descriptor(fd);
    ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::ReadableFile::Open(fd, pool_));
    (void)descriptor.release();
    stream_.reset();
    ARROW_RETURN_NOT_OK(SpillError(file->Seek(0)));
    auto options = arrow::ipc::IpcReadOptions::Defaults();
    options.memory_pool = pool_;
    auto opened = arrow::ipc::RecordBatchStreamReader::Open(std::move(file), options);
    ARROW_RETURN_NOT_OK(SpillError(opened.status()));
    reader_ = *std::move(opened);
    return {};
  }

  /// About `bytes_max` of the rows, at least a batch; nothing at the end.
  arrow::Result<Batches> Take(int64_t bytes_max) {
    Batches taken;
    int64_t bytes = 0;
    while (reader_ && bytes < bytes_max) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(SpillError(reader_->ReadNext(&batch)));
      if (batch == nullptr) {
        reader_.reset();
        break;
      }
      bytes += arrow::util::TotalBufferSize(*batch);
      taken.push_back(std::move(batch));
    }
    if (bytes < bytes_max) std::move(held_.begin(), held_.end(), std::back_inserter(taken));
    if (bytes < bytes_max) held_.clear();
    return taken;
  }

 private:
  arrow::Status Open(const std::string& folder) {
    ARROW_ASSIGN_OR_RAISE(auto file, NamelessFile(folder));
    ARROW_ASSIGN_OR_RAISE(stream_, arrow::io::FileOutputStream::Open(file.get()));
    (void)file.release();
    ARROW_ASSIGN_OR_RAISE(writer_,
                          arrow::ipc::MakeStreamWriter(stream_, held_.front()->schema()));
    return {};
  }

  arrow::MemoryPool* pool_;
  Batches held_;
  std::shared_ptr<arrow::io::FileOutputStream> stream_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
  std::shared_ptr<arrow::RecordBatchReader> reader_;
};

/// Row numbers of `keys` by ascending key; equal keys keep their order.
std::vector<uint32_t> SortedRows(const uint64_t* keys, size_t count) {
  constexpr int kDigitBits = 11;
  constexpr uint64_t kDigitMask = (1 << kDigitBits) - 1;
  std::vector<uint32_t> rows(count), moved(count);
  for (size_t i = 0; i < count; ++i) rows[i] = static_cast<uint32_t>(i);
  if (count == 0) return rows;
  const auto [low, high] = std::minmax_element(keys, keys + count);
  const uint64_t least = *low;
  const int bits = std::bit_width(*high - least);
  for (int shift = 0; shift < bits; shift += kDigitBits) {
    std::array<size_t, kDigitMask + 1> next{};
    for (size_t i = 0; i < count; ++i) ++next[(keys[i] - least) >> shift & kDigitMask];
    size_t begin = 0;
    for (size_t& digit : next) begin += std::exchange(digit, begin);
    for (const uint32_t row : rows) {
      moved[next[(keys[row] - least) >> shift & kDigitMask]++] = row;
    }
    rows.swap(moved);
  }
  return rows;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> TakeRows(
    const std::shared_ptr<arrow::RecordBatch>& batch, const std::vector<uint32_t>& rows,
    arrow::MemoryPool* pool) {
  arrow::compute::ExecContext context(pool);
  const arrow::UInt32Array indices(static_cast<int64_t>(rows.size()),
                                   arrow::Buffer::Wrap(rows));
  ARROW_ASSIGN_OR_RAISE(const auto taken,
                        arrow::compute::Take(batch, arrow::Datum(indices.data()),
                                             arrow::compute::TakeOptions::NoBoundsCheck(),
                                             &context));
  return taken.record_batch();
}

const uint64_t* KeysOf(const arrow::RecordBatch& keyed) {
  return static_cast<const arrow::UInt64Array&>(*keyed.columns().back()).raw_values();
}

/// Spreads rows over their ranges.
class Spreader {
 public:
  Spreader(RowOrdering ordering, const arrow::Schema& schema)
      : ordering_(std::move(ordering)) {
    ranges_.emplace_back(ordering_.pool);
    arrow::FieldVector fields = schema.fields();
    fields.push_back(arrow::field("", arrow::uint64(), false));
    keyed_schema_ = arrow::schema(std::move(fields));
    std::sort(ordering_.sample.begin(), ordering_.sample.end());
  }

  arrow::Status Append(const std::shared_ptr<arrow::RecordBatch>& batch) {
    const auto count = static_cast<size_t>(batch->num_rows());
    std::vector<uint64_t> keys(count);
    ARROW_RETURN_NOT_OK(ordering_.keys_of(*batch, &keys));
    arrow::ArrayVector columns = batch->columns();
    columns.push_back(std::make_shared<arrow::UInt64Array>(
        batch->num_rows(), arrow::Buffer::FromVector(std::move(keys))));
    const auto keyed =
        arrow::RecordBatch::Make(keyed_schema_, batch->num_rows(), std::move(columns));
    const int64_t bytes = arrow::util::TotalBufferSize(*keyed);
    if (!cut_ && held_bytes_ + bytes <= HeldMax()) {
      ranges_.front().Put(keyed);
    } else {
      if (!cut_) ARROW_RETURN_NOT_OK(CutRanges(bytes / batch->num_rows() + 1));
      ARROW_RETURN_NOT_OK(Spread(keyed));
    }
    held_bytes_ += bytes;
    if (held_bytes_ <= HeldMax()) return {};
    for (Range& range : ranges_) ARROW_RETURN_NOT_OK(range.Spill(ordering_.folder));
    held_bytes_ = 0;
    return {};
  }

  arrow::Result<std::vector<Range>> Finish() {
    for (Range& range : ranges_) ARROW_RETURN_NOT_OK(range.EndInput());
    return std::move(ranges_);
  }

 private:
  int64_t HeldMax() const { return ordering_.memory_bytes / kHeldShare; }

  /// Once it is clear that not all rows fit.
  arrow::Status CutRanges(int64_t row_bytes) {
    cut_ = true;
    const auto bytes_expected =
        static_cast<double>(ordering_.rows_expected) * static_cast<double>(row_bytes);
    const auto part_bytes = static_cast<double>(ordering_.memory_bytes) / kSortedShare;
    const auto wanted = static_cast<size_t>(
        std::clamp<double>(bytes_expected / part_bytes + 1, 2, kRangesMax));
    const auto& sample = ordering_.sample;
    for (size_t i = 1; i < wanted && !sample.empty(); ++i) {
      const uint64_t cut = sample[i * sample.size() / wanted];
      if (cuts_.empty() || cut > cuts_.back()) cuts_.push_back(cut);
    }
    ARROW_ASSIGN_OR_RAISE(const Batches so_far, ranges_.front().Take(HeldMax() + 1));
    ranges_ = std::vector<Range>();
    while (ranges_.size() <= cuts_.size()) ranges_.emplace_back(ordering_.pool);
    for (const auto& batch : so_far) ARROW_RETURN_NOT_OK(Spread(batch));
    return {};
  }

  arrow::Status Spread(const std::shared_ptr<arrow::RecordBatch>& keyed) {
    const auto count = static_cast<size_t>(keyed->num_rows());
    const uint64_t* keys = KeysOf(*keyed);
    std::vector<uint16_t> range_of(count);
    std::vector<size_t> next(ranges_.size() + 1, 0);
    for (size_t row = 0; row < count; ++row) {
      const auto above = std::upper_bound(cuts_.begin(), cuts_.end(), keys[row]);
      range_of[row] = static_cast<uint16_t>(above - cuts_.begin());
      ++next[range_of[row]];
    }
    std::vector<size_t> begins;
    size_t begin = 0;
    for (size_t& range : next) {
      begins.push_back(begin);
      begin += std::exchange(range, begin);
    }
    std::vector<uint32_t> rows(count);
    for (size_t row = 0; row < count; ++row) {
      rows[next[range_of[row]]++] = static_cast<uint32_t>(row);
    }
    ARROW_ASSIGN_OR_RAISE(const auto spread, TakeRows(keyed, rows, ordering_.pool));
    for (size_t range = 0; range < ranges_.size(); ++range) {
      const auto length = static_cast<int64_t>(begins[range + 1] - begins[range]);
      if (length == 0) continue;
      ranges_[range].Put(spread->Slice(static_cast<int64_t>(begins[range]), length));
    }
    return {};
  }

  RowOrdering ordering_;
  std::shared_ptr<arrow::Schema> keyed_schema_;
  std::vector<uint64_t> cuts_;  ///< ascending: range i holds keys below cuts_[i]
  std::vector<Range> ranges_;
  bool cut_ = false;
  int64_t held_bytes_ = 0;
};

class OrderedRows final : public arrow::RecordBatchReader {
 public:
  OrderedRows(std::shared_ptr<arrow::Schema> schema, std::vector<Range> ranges,
              int64_t part_bytes, arrow::MemoryPool* pool)
      : schema_(std::move(schema)),
        ranges_(std::move(ranges)),
        part_bytes_(part_bytes),
        pool_(pool) {}

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    *out = nullptr;
    while (part_ == nullptr || next_row_ == part_->num_rows()) {
      if (at_ == ranges_.size()) return {};
      ARROW_RETURN_NOT_OK(SortNext());
    }
    *out = part_->Slice(next_row_, kBatchRows);
    next_row_ += (*out)->num_rows();
    return {};
  }

 private:
  arrow::Status SortNext() {
    part_ = nullptr;
    next_row_ = 0;
    // Twice what a range should have: one that has more is sorted in pieces.
    ARROW_ASSIGN_OR_RAISE(Batches batches, ranges_[at_].Take(2 * part_bytes_));
    if (batches.empty()) {
      ranges_[at_++] = Range(pool_);
      return {};
    }
    ARROW_ASSIGN_OR_RAISE(auto joined, arrow::ConcatenateRecordBatches(batches, pool_));
    batches.clear();
    const auto rows =
        SortedRows(KeysOf(*joined), static_cast<size_t>(joined->num_rows()));
    ARROW_ASSIGN_OR_RAISE(joined, joined->RemoveColumn(joined->num_columns() - 1));
    ARROW_ASSIGN_OR_RAISE(part_, TakeRows(joined, rows, pool_));
    return {};
  }

  const std::shared_ptr<arrow::Schema> schema_;
  std::vector<Range> ranges_;
  const int64_t part_bytes_;
  arrow::MemoryPool* const pool_;
  size_t at_ = 0;
  std::shared_ptr<arrow::RecordBatch> part_;
  int64_t next_row_ = 0;
};

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> OrderRows(
    arrow::RecordBatchReader& rows, RowOrdering ordering) {
  ordering.memory_bytes = std::min(ordering.memory_bytes, kMemoryMax);
  const int64_t part_bytes = std::max<int64_t>(ordering.memory_bytes / kSortedShare, 1);
  arrow::MemoryPool* const pool = ordering.pool;
  Spreader spreader(std::move(ordering), *rows.schema());
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(rows.ReadNext(&batch));
    if (batch == nullptr) break;
    if (batch->num_rows() > 0) ARROW_RETURN_NOT_OK(spreader.Append(batch));
  }
  ARROW_ASSIGN_OR_RAISE(auto ranges, spreader.Finish());
  return std::make_shared<OrderedRows>(rows.schema(), std::move(ranges), part_bytes,
                                       pool);
}

}  // namespace arrowport::delta
