#include "wire/net/waits.h"

#include "base/ids.h"

namespace arrowport::wire::net {

CallSlots::Answer SlotWait::Acquire(const std::shared_ptr<CallState>& call,
                                    const std::shared_ptr<NoteSink>& notes,
                                    TimePoint now) {
  auto& router = context_->options.router;
  if (router->AdmissionOf(call->head()) == Admission::kExempt) {
    context_->slots.AcquireExempt();
    state_ = State::kHeld;
    return CallSlots::Answer::kTaken;
  }
  std::weak_ptr<CallState> weak = call;
  auto answer = context_->slots.Acquire(
      [weak, notes] {
        auto waiting = weak.lock();
        if (!waiting) return;
        waiting->slot_granted = true;
        notes->Note(std::move(waiting));
      },
      &ticket_);
  if (answer == CallSlots::Answer::kTaken) state_ = State::kHeld;
  if (answer == CallSlots::Answer::kQueued) state_ = State::kWaiting;
  since_ = now;
  return answer;
}

bool SlotWait::TakeGrant(const CallState& call) {
  if (state_ != State::kWaiting || !call.slot_granted) return false;
  state_ = State::kHeld;
  return true;
}

std::function<void()> SlotWait::Detach() {
  state_ = State::kNone;
  return [context = context_] { context->slots.Release(); };
}

void SlotWait::Drop() {
  bool release = state_ == State::kHeld ||
                 (state_ == State::kWaiting && !context_->slots.Forget(ticket_));
  state_ = State::kNone;
  if (release) context_->slots.Release();
}

bool BudgetWait::Allows(const std::shared_ptr<CallState>& call,
                        const std::shared_ptr<NoteSink>& notes) {
  const auto& budget = context_->options.budget;
  if (!budget || !budget->over()) {
    if (waiting_) Stop();
    return true;
  }
  if (!waiting_) {
    waiting_ = true;
    since_ = std::chrono::steady_clock::now();
  }
  if (waiter_ != 0) budget->Forget(waiter_);
  std::weak_ptr<CallState> weak = call;
  waiter_ = budget->WhenBelow([weak, notes] {
    if (auto waiting = weak.lock()) notes->Note(std::move(waiting));
  });
  return false;
}

void BudgetWait::Stop() {
  if (waiter_ != 0) context_->options.budget->Forget(waiter_);
  waiter_ = 0;
  waiting_ = false;
}

bool BudgetWait::expired(TimePoint now, int64_t own_bytes) {
  if (!waiting_) return false;
  if (own_bytes > 0) since_ = now;
  return now - since_ > context_->options.queue_wait;
}

std::string RequestIdOf(const RequestHead& head) {
  const std::string* given = head.Header("x-request-id");
  return given && IsSaneRequestId(*given) ? *given : NewRandomId();
}

}  // namespace arrowport::wire::net
