#include "base/buffer_pool.h"

#include <bit>
#include <cstdlib>

#include "base/error.h"

namespace arrowport {
namespace {

constexpr int64_t kBlockMin = 4096;

// Class 4k + q holds blocks of 4 KiB * 2^k * (1 + q/4).
int64_t BlockBytes(int size_class) {
  int64_t base = kBlockMin << (size_class / 4);
  return base + base / 4 * (size_class % 4);
}

int ClassFor(int64_t size) {
  if (size <= kBlockMin) return 0;
  int k = std::bit_width(static_cast<uint64_t>(size)) - 1 -
          std::countr_zero(static_cast<uint64_t>(kBlockMin));
  int size_class = 4 * k;
  while (BlockBytes(size_class) < size) ++size_class;
  return size_class;
}

}  // namespace

class BufferPool::PooledBuffer : public arrow::MutableBuffer {
 public:
  PooledBuffer(std::shared_ptr<BufferPool> pool, uint8_t* block, int64_t size,
               int size_class)
      : arrow::MutableBuffer(block, size),
        pool_(std::move(pool)),
        block_(block),
        charged_bytes_(size),
        size_class_(size_class) {}
  ~PooledBuffer() override {
    pool_->Return(block_, size_class_);
    if (pool_->budget_) pool_->budget_->Release(charged_bytes_);
  }

 private:
  const std::shared_ptr<BufferPool> pool_;
  uint8_t* const block_;
  const int64_t charged_bytes_;
  const int size_class_;
};

std::shared_ptr<BufferPool> BufferPool::Make(int64_t idle_bytes_max,
                                             std::shared_ptr<ByteBudget> budget) {
  return std::shared_ptr<BufferPool>(new BufferPool(idle_bytes_max, std::move(budget)));
}

BufferPool::BufferPool(int64_t idle_bytes_max, std::shared_ptr<ByteBudget> budget)
    : idle_bytes_max_(idle_bytes_max), budget_(std::move(budget)) {}

BufferPool::~BufferPool() {
  for (auto& blocks : idle_) {
    for (uint8_t* block : blocks) std::free(block);
  }
}

arrow::Result<std::shared_ptr<arrow::Buffer>> BufferPool::Allocate(int64_t size) {
  if (size < 0 || size > kBufferBytesMax) {
    return Error(ErrorCode::kTooLarge, "buffer size out of range: ", size);
  }
  int size_class = ClassFor(size);
  uint8_t* block = nullptr;
  {
    MutexLock lock(mutex_);
    auto& blocks = idle_[size_class];
    if (!blocks.empty()) {
      block = blocks.back();
      blocks.pop_back();
      idle_bytes_ -= BlockBytes(size_class);
    }
  }
  if (!block) {
    block = static_cast<uint8_t*>(std::aligned_alloc(64, BlockBytes(size_class)));
    if (!block)
      return Error(ErrorCode::kOutOfMemory, "no memory for a buffer of bytes: ", size);
  }
  if (budget_) budget_->Charge(size);
  return std::make_shared<PooledBuffer>(shared_from_this(), block, size, size_class);
}

void BufferPool::Return(uint8_t* block, int size_class) {
  int64_t bytes = BlockBytes(size_class);
  {
    MutexLock lock(mutex_);
    if (idle_bytes_ + bytes <= idle_bytes_max_) {
      idle_bytes_ += bytes;
      idle_[size_class].push_back(block);
      return;
    }
  }
  std::free(block);
}

int64_t BufferPool::idle_bytes() const {
  MutexLock lock(mutex_);
  return idle_bytes_;
}

}  // namespace arrowport
