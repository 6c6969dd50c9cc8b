#include "zerobus/part_converter.h"

#include <arrow/util/thread_pool.h>

#include <algorithm>
#include <condition_variable>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace arrowport::zerobus {
namespace {

// Larger parts only cost memory; smaller ones cost requests, and zstd its dictionary.
constexpr int64_t kPartBytesMax = 1 << 20;
constexpr int64_t kPartBytesMin = 1 << 18;

/// Two a thread, so that threads of different speed end together.
int64_t PartRows(int64_t rows, int64_t bytes, int64_t threads) {
  const int64_t part_bytes =
      threads > 1 ? std::clamp(bytes / (2 * threads), kPartBytesMin, kPartBytesMax)
                  : kPartBytesMax;
  return std::max<int64_t>(1, rows / (bytes / part_bytes + 1));
}

}  // namespace

/// What helpers share with the caller, and may outlive it in their queue.
struct PartConverter::Shared {
  Shared(std::shared_ptr<const Encoding> encoding,
         std::shared_ptr<BatchDelivery> delivery,
         std::shared_ptr<arrow::RecordBatch> prepared, int64_t bytes, int64_t threads)
      : encoding(std::move(encoding)),
        delivery(std::move(delivery)),
        prepared(std::move(prepared)),
        rows(this->prepared->num_rows()),
        part_rows(PartRows(rows, bytes, threads)),
        part_count((rows + part_rows - 1) / part_rows),
        helpers_max(std::min(threads, part_count) - 1),
        ahead_max(2 * threads),
        parts(static_cast<size_t>(part_count)) {}

  using Part = std::optional<arrow::Result<ConvertedPart>>;

  arrow::Result<ConvertedPart> Convert(int64_t index) const;
  bool MayBegin() const REQUIRES(mutex) {
    return !stopping && begun < part_count && begun < taken + ahead_max;
  }
  /// The next part, whoever waits for it: to be converted and given to Finish. REQUIRES:
  /// MayBegin.
  int64_t Begin() REQUIRES(mutex) {
    ++converting;
    return begun++;
  }
  void Finish(int64_t index, arrow::Result<ConvertedPart> part) EXCLUDES(mutex);
  /// A helper's turn: as long as the window has room.
  void Work();

  const std::shared_ptr<const Encoding> encoding;
  const std::shared_ptr<BatchDelivery> delivery;
  const std::shared_ptr<arrow::RecordBatch> prepared;
  const int64_t rows;
  const int64_t part_rows;
  const int64_t part_count;
  const int64_t helpers_max;
  const int64_t ahead_max;

  Mutex mutex;
  std::condition_variable changed;
  int64_t begun GUARDED_BY(mutex) = 0;
  int64_t taken GUARDED_BY(mutex) = 0;
  int64_t helpers GUARDED_BY(mutex) = 0;  ///< queued or at work
  int64_t converting GUARDED_BY(mutex) = 0;
  bool stopping GUARDED_BY(mutex) = false;
  std::vector<Part> parts GUARDED_BY(mutex);
};

arrow::Result<ConvertedPart> PartConverter::Shared::Convert(int64_t index) const {
  const auto began = std::chrono::steady_clock::now();
  ConvertedPart part;
  part.first_row = index * part_rows;
  part.rows = std::min(part_rows, rows - part.first_row);
  try {
    ARROW_ASSIGN_OR_RAISE(part.converted, encoding->Convert(delivery, *prepared,
                                                            part.first_row, part.rows));
  } catch (const std::bad_alloc&) {
    return arrow::Status::OutOfMemory("no memory to convert a batch");
  }
  part.time = std::chrono::steady_clock::now() - began;
  return part;
}

void PartConverter::Shared::Finish(int64_t index, arrow::Result<ConvertedPart> part) {
  MutexLock lock(mutex);
  --converting;
  parts[static_cast<size_t>(index)] = std::move(part);
  changed.notify_all();
}

void PartConverter::Shared::Work() {
  for (;;) {
    MutexLock lock(mutex);
    if (!MayBegin()) {
      --helpers;
      return;
    }
    const int64_t index = Begin();
    lock.Unlock();
    Finish(index, Convert(index));
  }
}

PartConverter::PartConverter(std::shared_ptr<const Encoding> encoding,
                             std::shared_ptr<BatchDelivery> delivery,
                             std::shared_ptr<arrow::RecordBatch> prepared, int64_t bytes)
    : shared_(std::make_shared<Shared>(
          std::move(encoding), std::move(delivery), std::move(prepared), bytes,
          std::max(1, arrow::internal::GetCpuThreadPool()->GetCapacity()))) {}

PartConverter::~PartConverter() {
  MutexLock lock(shared_->mutex);
  shared_->stopping = true;
  while (shared_->converting > 0) lock.Wait(shared_->changed);
}

bool PartConverter::done() const { return taken_ == shared_->part_count; }

int64_t PartConverter::first_row() const { return taken_ * shared_->part_rows; }

// Helpers end when the window is full; what was taken makes room for them again.
void PartConverter::Help() {
  Shared& shared = *shared_;
  for (;;) {
    {
      MutexLock lock(shared.mutex);
      if (shared.helpers >= shared.helpers_max || !shared.MayBegin()) return;
      ++shared.helpers;
    }
    if (!arrow::internal::GetCpuThreadPool()
             ->Spawn([kept = shared_] { kept->Work(); })
             .ok()) {
      MutexLock lock(shared.mutex);
      --shared.helpers;
      return;
    }
  }
}

arrow::Result<ConvertedPart> PartConverter::Next() {
  Shared& shared = *shared_;
  const int64_t index = taken_++;
  {
    MutexLock lock(shared.mutex);
    shared.taken = index;
  }
  Help();
  for (;;) {
    MutexLock lock(shared.mutex);
    auto& part = shared.parts[static_cast<size_t>(index)];
    if (part) return *std::exchange(part, std::nullopt);
    if (!shared.MayBegin()) {
      lock.Wait(shared.changed);
      continue;
    }
    const int64_t mine = shared.Begin();
    lock.Unlock();
    shared.Finish(mine, shared.Convert(mine));
  }
}

}  // namespace arrowport::zerobus
