#include "wire/ipc/message_pool.h"

#include <utility>

#include "base/error.h"

namespace arrowport::wire::ipc {

MessagePool::Ptr MessagePool::Make(std::shared_ptr<ByteBudget> budget) {
  return Ptr(new MessagePool(std::move(budget)));
}

MessagePool::MessagePool(std::shared_ptr<ByteBudget> budget)
    : backend_(arrow::default_memory_pool()), budget_(std::move(budget)) {}

void MessagePool::StartMessage(int64_t allowance_bytes) {
  allowance_bytes_ = allowance_bytes;
  message_bytes_ = 0;
  refused_ = false;
}

arrow::Status MessagePool::Take(int64_t bytes) {
  if (bytes < 0 || bytes > allowance_bytes_ - message_bytes_) {
    refused_ = true;
    return Error(ErrorCode::kTooLarge, "a message would decode to more bytes than ",
                 allowance_bytes_.load());
  }
  message_bytes_ += bytes;
  return {};
}

void MessagePool::GiveBack(int64_t bytes) {
  live_bytes_ -= bytes;
  if (budget_) budget_->Release(bytes);
}

void MessagePool::Release() {
  if (references_.fetch_sub(1) == 1) delete this;
}

arrow::Status MessagePool::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  ARROW_RETURN_NOT_OK(Take(size));
  ARROW_RETURN_NOT_OK(backend_->Allocate(size, alignment, out));
  references_ += 1;
  allocations_ += 1;
  total_bytes_ += size;
  live_bytes_ += size;
  if (budget_) budget_->Charge(size);
  return {};
}

arrow::Status MessagePool::Reallocate(int64_t old_size, int64_t new_size,
                                      int64_t alignment, uint8_t** ptr) {
  if (new_size > old_size) ARROW_RETURN_NOT_OK(Take(new_size - old_size));
  ARROW_RETURN_NOT_OK(backend_->Reallocate(old_size, new_size, alignment, ptr));
  allocations_ += 1;
  const int64_t growth = new_size - old_size;
  live_bytes_ += growth;
  if (growth > 0) total_bytes_ += growth;
  if (budget_ && growth > 0) budget_->Charge(growth);
  if (budget_ && growth < 0) budget_->Release(-growth);
  return {};
}

void MessagePool::Free(uint8_t* buffer, int64_t size, int64_t alignment) {
  backend_->Free(buffer, size, alignment);
  GiveBack(size);
  Release();
}

}  // namespace arrowport::wire::ipc
