#include "base/buffer_pool.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport {
namespace {

TEST(BufferPool, ExactSizeAlignedAndReused) {
  auto budget = std::make_shared<ByteBudget>(1 << 20);
  auto pool = BufferPool::Make(1 << 20, budget);
  const uint8_t* first;
  {
    auto buffer = pool->Allocate(5000).ValueOrDie();
    EXPECT_EQ(buffer->size(), 5000);
    EXPECT_TRUE(buffer->is_mutable());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
    EXPECT_EQ(budget->used_bytes(), 5000);
    first = buffer->data();
  }
  EXPECT_EQ(budget->used_bytes(), 0);
  EXPECT_EQ(pool->idle_bytes(), 5120);
  EXPECT_EQ(pool->Allocate(5100).ValueOrDie()->data(), first);
}

TEST(BufferPool, EverySizeFitsItsBlock) {
  auto pool = BufferPool::Make(0, nullptr);
  for (int64_t size :
       {0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 10240, 10241, 1 << 20, (1 << 20) + 1}) {
    auto buffer = pool->Allocate(size).ValueOrDie();
    EXPECT_EQ(buffer->size(), size);
    if (size > 0) buffer->mutable_data()[size - 1] = 1;
  }
  EXPECT_EQ(pool->idle_bytes(), 0);
}

TEST(BufferPool, LargestBlocksHaveAClass) {
  auto pool = BufferPool::Make(0, nullptr);
  for (int64_t size : {int64_t{251} << 20, (int64_t{256} << 20) + 1, int64_t{3} << 30}) {
    auto buffer = pool->Allocate(size);
    // A machine may refuse; it must not crash.
    if (!buffer.ok()) continue;
    (*buffer)->mutable_data()[size - 1] = 1;
  }
  (void)pool->Allocate(int64_t{1} << 40);
}

TEST(BufferPool, OutlivesItsOwner) {
  auto pool = BufferPool::Make(1 << 20, nullptr);
  auto buffer = pool->Allocate(10).ValueOrDie();
  pool.reset();
  buffer->mutable_data()[0] = 1;
}

TEST(BufferPool, RefusesAbsurdSizes) {
  auto pool = BufferPool::Make(0, nullptr);
  EXPECT_EQ(CodeOf(pool->Allocate(int64_t{1} << 62).status()), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace arrowport
