#include "wire/net/call_state.h"

#include <exception>

#include "base/error.h"
#include "base/log.h"

namespace arrowport::wire::net {
namespace {

constexpr int kEventsPerRun = 32;
// A caller that ignores false from Write is cut at this multiple of the high mark.
constexpr int64_t kOverflowFactor = 4;

class PrefixBuffer : public arrow::Buffer {
 public:
  explicit PrefixBuffer(uint32_t message_bytes)
      : arrow::Buffer(bytes_, kGrpcPrefixBytes),
        bytes_{0, static_cast<uint8_t>(message_bytes >> 24),
               static_cast<uint8_t>(message_bytes >> 16),
               static_cast<uint8_t>(message_bytes >> 8),
               static_cast<uint8_t>(message_bytes)} {}

 private:
  uint8_t bytes_[kGrpcPrefixBytes];
};

}  // namespace

CallState::CallState(std::shared_ptr<const CallEnvironment> environment, RequestHead head)
    : environment_(std::move(environment)), head_(std::move(head)) {}

CallState::~CallState() = default;

bool CallState::WantsSchedule() {
  if (scheduled_ || handler_gone_ || !attached_) return false;
  scheduled_ = true;
  return true;
}

bool CallState::WantsNote() {
  if (noted_) return false;
  noted_ = true;
  return true;
}

void CallState::SendHead(ResponseHead head) {
  {
    MutexLock lock(mutex_);
    if (ended_ || output_ended_ || head_given_) return;
    head_given_ = true;
    out_head_ = std::move(head);
    if (!WantsNote()) return;
  }
  Note();
}

bool CallState::Write(Slices slices) {
  int64_t bytes = 0;
  for (const auto& slice : slices) bytes += slice->size();
  bool fits = false;
  {
    MutexLock lock(mutex_);
    if (ended_ || output_ended_) return false;
    if (!head_given_) {
      head_given_ = true;
      out_head_.emplace();
    }
    if (head_.protocol == Protocol::kGrpc) {
      if (bytes > INT64_C(0xffffffff)) {
        overflowed_ = true;
      } else {
        out_slices_.push_back(
            std::make_shared<PrefixBuffer>(static_cast<uint32_t>(bytes)));
        bytes += kGrpcPrefixBytes;
      }
    }
    for (auto& slice : slices) {
      if (slice->size() > 0) out_slices_.push_back(std::move(slice));
    }
    // One Write of any size is taken whole while the queue was within its limit.
    if (queued_bytes_ > kOverflowFactor * environment_->write_high_bytes) {
      overflowed_ = true;
    }
    queued_bytes_ += bytes;
    fits = queued_bytes_ <= environment_->write_high_bytes;
    if (!fits) writable_wanted_ = true;
    if (!WantsNote()) return fits;
  }
  Note();
  return fits;
}

int64_t CallState::queued_bytes() const {
  MutexLock lock(mutex_);
  return queued_bytes_;
}

void CallState::Finish(Outcome outcome) {
  {
    MutexLock lock(mutex_);
    if (ended_ || output_ended_) return;
    output_ended_ = true;
    out_outcome_ = std::move(outcome);
    if (!WantsNote()) return;
  }
  Note();
}

void CallState::Abort() {
  {
    MutexLock lock(mutex_);
    if (ended_ || output_ended_) return;
    output_ended_ = true;
    aborted_ = true;
    if (!WantsNote()) return;
  }
  Note();
}

void CallState::PauseReading() {
  MutexLock lock(mutex_);
  paused_ = true;
}

void CallState::ResumeReading() {
  bool note = false;
  bool schedule = false;
  {
    MutexLock lock(mutex_);
    if (!paused_ || ended_) return;
    paused_ = false;
    note = WantsNote();
    schedule = !messages_.empty() && WantsSchedule();
  }
  if (schedule) Schedule();
  if (note) Note();
}

void CallState::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    Event event{Event::Kind::kTask};
    event.task = std::move(task);
    control_.push_back(std::move(event));
    if (!WantsSchedule()) return;
  }
  Schedule();
}

bool CallState::cancelled() const {
  MutexLock lock(mutex_);
  return cancelled_;
}

PeerEnd CallState::peer_end() const {
  MutexLock lock(mutex_);
  return peer_end_;
}

void CallState::Break(const Breakage& breakage) {
  {
    MutexLock lock(mutex_);
    if (ended_ || output_ended_) return;
    output_ended_ = breakage.kind != Breakage::Kind::kGoaway;
    breakage_ = breakage;
    if (!WantsNote()) return;
  }
  Note();
}

bool CallState::ended() const {
  MutexLock lock(mutex_);
  return ended_;
}

void CallState::Attach(std::unique_ptr<CallHandler> handler, MessageFormat format,
                       MessageCodec codec, std::function<void()> release) {
  handler_ = std::move(handler);
  format_ = format;
  codec_ = codec;
  release_ = std::move(release);
  {
    MutexLock lock(mutex_);
    attached_ = true;
    if (control_.empty() || !WantsSchedule()) return;
  }
  Schedule();
}

void CallState::Deliver(std::vector<Inbound>* batch) {
  if (batch->empty()) return;
  {
    MutexLock lock(mutex_);
    for (auto& inbound : *batch) {
      if (ended_ || input_failed_) break;
      undelivered_bytes_ += inbound.message.bytes();
      messages_.push_back({Event::Kind::kMessage, std::move(inbound)});
    }
    batch->clear();
    if (messages_.empty() || paused_ || !WantsSchedule()) return;
  }
  Schedule();
}

void CallState::DeliverEnd() {
  {
    MutexLock lock(mutex_);
    if (ended_ || input_failed_) return;
    messages_.push_back({Event::Kind::kEnd});
    if (paused_ || !WantsSchedule()) return;
  }
  Schedule();
}

void CallState::DeliverBodyError(arrow::Status status) {
  {
    MutexLock lock(mutex_);
    if (ended_ || input_failed_) return;
    // What arrived whole before the bad part is still delivered, in order.
    Event event{Event::Kind::kBodyError};
    event.status = std::move(status);
    messages_.push_back(std::move(event));
    paused_ = false;
    if (!WantsSchedule()) return;
  }
  Schedule();
}

void CallState::End(arrow::Status status, PeerEnd peer_end) {
  std::deque<Event> dropped;
  std::deque<Event> unattached;
  Slices unsent;
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    cancelled_ = !status.ok();
    peer_end_ = peer_end;
    dropped.swap(messages_);
    unsent.swap(out_slices_);
    undelivered_bytes_ = 0;
    if (!attached_) {
      unattached.swap(control_);
      return;
    }
    Event event{Event::Kind::kDone};
    event.status = std::move(status);
    control_.push_back(std::move(event));
    if (!WantsSchedule()) return;
  }
  Schedule();
}

CallState::Output CallState::TakeOutput() {
  MutexLock lock(mutex_);
  noted_ = false;
  Output output;
  output.head = std::move(out_head_);
  out_head_.reset();
  output.slices.swap(out_slices_);
  output.outcome = std::move(out_outcome_);
  out_outcome_.reset();
  output.aborted = aborted_;
  output.overflowed = overflowed_;
  output.breakage = std::exchange(breakage_, std::nullopt);
  return output;
}

void CallState::Taken(int64_t bytes) {
  {
    MutexLock lock(mutex_);
    queued_bytes_ -= bytes;
    if (!writable_wanted_ || queued_bytes_ > environment_->write_low_bytes) return;
    if (ended_ || output_ended_) return;
    writable_wanted_ = false;
    control_.push_back({Event::Kind::kWritable});
    if (!WantsSchedule()) return;
  }
  Schedule();
}

bool CallState::reading_paused() const {
  MutexLock lock(mutex_);
  return paused_;
}

int64_t CallState::undelivered_bytes() const {
  MutexLock lock(mutex_);
  return undelivered_bytes_;
}

bool CallState::NoteBelow(int64_t bytes) {
  MutexLock lock(mutex_);
  if (undelivered_bytes_ <= bytes) return false;
  note_below_ = bytes;
  return true;
}

bool CallState::input_failed() const {
  MutexLock lock(mutex_);
  return input_failed_;
}

bool CallState::NextEvent(Event* event) {
  if (!control_.empty()) {
    *event = std::move(control_.front());
    control_.pop_front();
    return true;
  }
  if (paused_ || messages_.empty()) return false;
  *event = std::move(messages_.front());
  messages_.pop_front();
  if (event->kind == Event::Kind::kMessage) {
    undelivered_bytes_ -= event->inbound.message.bytes();
  }
  return true;
}

bool CallState::RunSome() {
  for (int i = 0; i < kEventsPerRun; ++i) {
    Event event;
    bool note = false;
    {
      MutexLock lock(mutex_);
      if (!NextEvent(&event)) {
        scheduled_ = false;
        return false;
      }
      if (note_below_ >= 0 && undelivered_bytes_ <= note_below_) {
        note_below_ = -1;
        note = WantsNote();
      }
    }
    if (note) Note();
    bool done = event.kind == Event::Kind::kDone;
    try {
      Dispatch(std::move(event));
    } catch (const std::exception& error) {
      LogError("handler threw", {{"path", head_.path}, {"error", error.what()}});
      Abort();
    }
    if (done) return false;
  }
  return true;
}

void CallState::Dispatch(Event event) {
  switch (event.kind) {
    case Event::Kind::kMessage:
      DispatchMessage(std::move(event.inbound));
      return;
    case Event::Kind::kEnd:
      handler_->OnEnd();
      return;
    case Event::Kind::kBodyError:
      handler_->OnBodyError(std::move(event.status));
      return;
    case Event::Kind::kWritable:
      handler_->OnWritable();
      return;
    case Event::Kind::kTask:
      event.task();
      return;
    case Event::Kind::kDone:
      RunDone(event.status);
      return;
  }
}

void CallState::DispatchMessage(Inbound inbound) {
  if (!inbound.compressed) {
    handler_->OnMessage(std::move(inbound.message));
    return;
  }
  auto message = DecompressMessage(*inbound.message.body, codec_, format_,
                                   environment_->message_bytes_max, environment_->pool);
  inbound.message = {};
  if (message.ok()) {
    handler_->OnMessage(std::move(*message));
    return;
  }
  bool note = false;
  {
    MutexLock lock(mutex_);
    input_failed_ = true;
    messages_.clear();
    undelivered_bytes_ = 0;
    note = WantsNote();
  }
  if (note) Note();
  handler_->OnBodyError(message.status());
}

void CallState::RunDone(const arrow::Status& status) {
  {
    MutexLock lock(mutex_);
    handler_gone_ = true;
    control_.clear();
  }
  try {
    handler_->OnDone(status);
    handler_.reset();
  } catch (const std::exception& error) {
    LogError("handler threw", {{"path", head_.path}, {"error", error.what()}});
  }
  if (auto release = std::exchange(release_, nullptr)) release();
}

}  // namespace arrowport::wire::net
