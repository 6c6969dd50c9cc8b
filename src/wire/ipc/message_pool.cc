#include "wire/ipc/message_pool.h"

#include <utility>

#include "base/error.h"

namespace arrowport::wire::ipc {

MessagePool::Ptr MessagePool::Make(std::shared_ptr<ByteBudget> budget) {
  return Ptr(new MessagePool(std::move(budget), Cap::kMessage));
}

MessagePool::Ptr MessagePool::MakeCapped(std::shared_ptr<ByteBudget> budget,
                                         int64_t live_bytes_max) {
  Ptr pool(new MessagePool(std::move(budget), Cap::kLive));
  pool->allowance_bytes_ = live_bytes_max;
  return pool;
}

MessagePool::MessagePool(std::shared_ptr<ByteBudget> budget, Cap cap)
    : backend_(arrow::default_memory_pool()), budget_(std::move(budget)), cap_(cap) {}

void MessagePool::StartMessage(int64_t allowance_bytes) {
  allowance_bytes_ = allowance_bytes;
  message_bytes_ = 0;
  refused_ = false;
}

arrow::Status MessagePool::Take(int64_t bytes) {
  // Taken first and given back on refusal: threads of one reader share the allowance.
  if (bytes >= 0 && message_bytes_.fetch_add(bytes) <= allowance_bytes_ - bytes) return {};
  if (bytes >= 0) message_bytes_ -= bytes;
  refused_ = true;
  return Error(ErrorCode::kTooLarge,
               cap_ == Cap::kMessage ? "a message would decode to more bytes than "
                                     : "decoding the body needs more bytes than ",
               allowance_bytes_.load());
}

void MessagePool::GiveBack(int64_t bytes) {
  live_bytes_ -= bytes;
  if (cap_ == Cap::kLive) message_bytes_ -= bytes;
  if (budget_) budget_->Release(bytes);
}

void MessagePool::Release() {
  if (references_.fetch_sub(1) == 1) delete this;
}

arrow::Status MessagePool::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  ARROW_RETURN_NOT_OK(Take(size));
  if (arrow::Status status = backend_->Allocate(size, alignment, out); !status.ok()) {
    if (cap_ == Cap::kLive) message_bytes_ -= size;
    return status;
  }
  references_ += 1;
  allocations_ += 1;
  total_bytes_ += size;
  live_bytes_ += size;
  if (budget_) budget_->Charge(size);
  return {};
}

arrow::Status MessagePool::Reallocate(int64_t old_size, int64_t new_size,
                                      int64_t alignment, uint8_t** ptr) {
  const int64_t growth = new_size - old_size;
  if (growth > 0) ARROW_RETURN_NOT_OK(Take(growth));
  arrow::Status status = backend_->Reallocate(old_size, new_size, alignment, ptr);
  if (!status.ok()) {
    if (cap_ == Cap::kLive && growth > 0) message_bytes_ -= growth;
    return status;
  }
  allocations_ += 1;
  if (growth < 0) {
    GiveBack(-growth);
  } else {
    live_bytes_ += growth;
    total_bytes_ += growth;
    if (budget_) budget_->Charge(growth);
  }
  return {};
}

void MessagePool::Free(uint8_t* buffer, int64_t size, int64_t alignment) {
  backend_->Free(buffer, size, alignment);
  GiveBack(size);
  Release();
}

}  // namespace arrowport::wire::ipc
