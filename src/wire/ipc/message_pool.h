// The memory that decoding may take: counted, capped per message or at any moment, and
// charged to the server's budget for as long as the decoded arrays live.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/byte_budget.h"

namespace arrowport::wire::ipc {

/// Arrow buffers keep only a bare pointer to their pool and may outlive the decoder, so
/// the pool counts its allocations and ends with the last of them once its owner let go
/// (Ptr). Thread-safe, except that StartMessage belongs to the owner.
class MessagePool final : public arrow::MemoryPool {
 public:
  struct Disowner {
    void operator()(MessagePool* pool) const { pool->Release(); }
  };
  using Ptr = std::unique_ptr<MessagePool, Disowner>;

  /// Capped by message: nothing may be allocated before the first StartMessage.
  static Ptr Make(std::shared_ptr<ByteBudget> budget);
  /// At most `live_bytes_max` at any moment; StartMessage is not for such a pool.
  static Ptr MakeCapped(std::shared_ptr<ByteBudget> budget, int64_t live_bytes_max);

  /// From here on at most `allowance_bytes` may be allocated; more is refused before any
  /// memory is touched.
  void StartMessage(int64_t allowance_bytes);
  /// Bytes allocated since StartMessage; of a capped pool: bytes that live.
  int64_t message_bytes() const { return message_bytes_.load(std::memory_order_relaxed); }
  /// Whether an allocation was refused since StartMessage.
  bool refused() const { return refused_.load(std::memory_order_relaxed); }

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override;
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override;
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override;
  int64_t bytes_allocated() const override { return live_bytes_.load(); }
  int64_t total_bytes_allocated() const override { return total_bytes_.load(); }
  int64_t num_allocations() const override { return allocations_.load(); }
  std::string backend_name() const override { return backend_->backend_name(); }

 private:
  enum class Cap { kMessage, kLive };
  MessagePool(std::shared_ptr<ByteBudget> budget, Cap cap);
  ~MessagePool() override = default;

  arrow::Status Take(int64_t bytes);
  void GiveBack(int64_t bytes);
  void Release();

  arrow::MemoryPool* const backend_;
  const std::shared_ptr<ByteBudget> budget_;
  const Cap cap_;
  std::atomic<int64_t> references_{1};  ///< the owner and every live allocation
  std::atomic<int64_t> allowance_bytes_{0};
  std::atomic<int64_t> message_bytes_{0};
  std::atomic<bool> refused_{false};
  std::atomic<int64_t> live_bytes_{0};
  std::atomic<int64_t> total_bytes_{0};
  std::atomic<int64_t> allocations_{0};
};

}  // namespace arrowport::wire::ipc
