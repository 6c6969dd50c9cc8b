// Reused, aligned memory for received data. First touch of fresh memory is several times
// slower than a copy, so the receive path never asks the system twice for what it just
// gave back.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/byte_budget.h"
#include "base/mutex.h"

namespace arrowport {

/// Hands out 64-byte aligned buffers of exact size() cut from size-class blocks (powers
/// of two in quarter steps from 4 KiB). A block returns to the pool when the last
/// reference to its buffer goes, on whatever thread that is. Thread-safe.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  /// Keeps at most `idle_bytes_max` of unused blocks; `budget` may be null.
  static std::shared_ptr<BufferPool> Make(int64_t idle_bytes_max,
                                          std::shared_ptr<ByteBudget> budget);
  ~BufferPool();

  /// A writable buffer of `size` bytes, uninitialised. Its size is charged to the budget
  /// (never refused: the caller looks at budget()->over()) until the buffer is released.
  /// Errors: kOutOfMemory.
  arrow::Result<std::shared_ptr<arrow::Buffer>> Allocate(int64_t size);

  const std::shared_ptr<ByteBudget>& budget() const { return budget_; }
  int64_t idle_bytes() const;

 private:
  class PooledBuffer;
  static constexpr int64_t kBufferBytesMax = int64_t{1} << 40;
  static constexpr int kClasses = 4 * (40 - 12) + 1;  ///< 4 KiB to kBufferBytesMax

  BufferPool(int64_t idle_bytes_max, std::shared_ptr<ByteBudget> budget);
  void Return(uint8_t* block, int size_class);

  const int64_t idle_bytes_max_;
  const std::shared_ptr<ByteBudget> budget_;
  mutable Mutex mutex_;
  int64_t idle_bytes_ GUARDED_BY(mutex_) = 0;
  std::array<std::vector<uint8_t*>, kClasses> idle_ GUARDED_BY(mutex_);
};

}  // namespace arrowport
