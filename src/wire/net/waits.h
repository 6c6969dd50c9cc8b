// What a request may wait for before its bytes are taken: a slot among the calls in
// flight, and room in the byte budget. Shared by both protocols. I/O thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "wire/net/connection.h"

namespace arrowport::wire::net {

/// A slot of CallSlots, waited for or held until the call takes it over.
class SlotWait {
 public:
  SlotWait(std::shared_ptr<ListenerContext> context) : context_(std::move(context)) {}
  ~SlotWait() { Drop(); }
  SlotWait(const SlotWait&) = delete;
  SlotWait& operator=(const SlotWait&) = delete;

  CallSlots::Answer Acquire(const std::shared_ptr<CallState>& call,
                            const std::shared_ptr<NoteSink>& notes, TimePoint now);
  bool waiting() const { return state_ == State::kWaiting; }
  /// True once, when the slot that was waited for has been granted.
  bool TakeGrant(const CallState& call);
  bool expired(TimePoint now) const {
    return waiting() && now - since_ > context_->options.queue_wait;
  }
  /// Hands the held slot to the caller, who calls the result once.
  std::function<void()> Detach();
  void Drop();

 private:
  enum class State { kNone, kWaiting, kHeld };
  const std::shared_ptr<ListenerContext> context_;
  State state_ = State::kNone;
  uint64_t ticket_ = 0;
  TimePoint since_{};
};

/// Room in the byte budget.
class BudgetWait {
 public:
  explicit BudgetWait(std::shared_ptr<ListenerContext> context)
      : context_(std::move(context)) {}
  ~BudgetWait() { Stop(); }
  BudgetWait(const BudgetWait&) = delete;
  BudgetWait& operator=(const BudgetWait&) = delete;

  /// False while the budget is over its limit; `call` then gets a note when it is not.
  bool Allows(const std::shared_ptr<CallState>& call,
              const std::shared_ptr<NoteSink>& notes);
  void Stop();
  /// Waiting for longer than queue_wait. `own_bytes`: what the call itself has not
  /// delivered yet; while there is some, its handler sets the pace and no time runs.
  bool expired(TimePoint now, int64_t own_bytes);

 private:
  const std::shared_ptr<ListenerContext> context_;
  bool waiting_ = false;
  uint64_t waiter_ = 0;
  TimePoint since_{};
};

/// The caller's request id when it is sane, else a new one.
std::string RequestIdOf(const RequestHead& head);

}  // namespace arrowport::wire::net
