#include "zerobus/stream_core.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;

constexpr int kBlockedServiceCode = 6006;
constexpr int kRetryAfterSecondsMax = 300;
// A service that rotates at once, again and again, would otherwise be called in a loop
// without a pause.
constexpr int kFruitlessRotationsMax = 8;

}  // namespace

StreamCore::StreamCore(Options options, std::shared_ptr<const StreamProtocol> protocol,
                       std::function<double()> uniform)
    : options_(std::move(options)),
      protocol_(std::move(protocol)),
      uniform_(std::move(uniform)),
      next_offset_(options_.first_offset) {}

// --- Producers ---

bool StreamCore::HasRoom(int64_t bytes) const {
  if (window_.empty()) return true;
  return window_requests_ < options_.requests_max &&
         bytes_ + bytes <= options_.stream.max_inflight_bytes;
}

int64_t StreamCore::Accept(Request request, TimePoint now) {
  Entry entry;
  entry.offset = next_offset_++;
  bytes_ += request.bytes;
  entry.request = std::move(request);
  window_.push_back(std::move(entry));
  ++window_requests_;
  return next_offset_ - 1;
}

// --- Steps ---

bool StreamCore::MaySend() const {
  if (phase_ != Phase::kOpen || transport_full_ || sent_ >= window_.size()) return false;
  return suspects_ == 0 || sent_ == 0;
}

bool StreamCore::AckTimerRuns() const {
  return phase_ == Phase::kOpen && sent_ > 0 &&
         options_.stream.server_lack_of_ack_timeout.count() > 0;
}

TimePoint StreamCore::NextDeadline() const {
  switch (phase_) {
    case Phase::kDormant:
    case Phase::kEnded:
      return TimePoint::max();
    case Phase::kOpen:
      if (AckTimerRuns()) {
        return ack_timer_from_ + options_.stream.server_lack_of_ack_timeout;
      }
      if (window_.empty() && !proven_) return idle_since_ + options_.idle_ends_outage;
      return TimePoint::max();
    default:
      return deadline_;
  }
}

StreamCore::Step StreamCore::Next(TimePoint now, Outcomes* out) {
  if (phase_ == Phase::kDormant && !window_.empty()) BeginConnecting();
  if (phase_ == Phase::kWaiting && now >= deadline_) BeginConnecting();
  if (phase_ == Phase::kPaused && (sent_ == 0 || now >= deadline_)) StartDraining(now);
  if (step_pending_) {
    step_pending_ = false;
    if (phase_ == Phase::kConnecting) {
      deadline_ = now + options_.attempt_timeout;
      return Step::kConnect;
    }
    return Step::kHalfClose;
  }
  switch (phase_) {
    case Phase::kConnecting:
      if (now < deadline_) return Step::kNothing;
      OnEnded({Reaction::kRetry,
               MakeFailure(ErrorKind::kConnection,
                           "the stream could not be opened: no answer in time")},
              now, out);
      return Step::kDrop;
    case Phase::kOpen:
      if (window_.empty() && !proven_ && now >= idle_since_ + options_.idle_ends_outage) {
        EndOutage();
      }
      if (AckTimerRuns() && now >= NextDeadline()) {
        OnEnded(
            {Reaction::kRetry, MakeFailure(ErrorKind::kTransmission,
                                           "the service acknowledged nothing in time")},
            now, out);
        return Step::kDrop;
      }
      return MaySend() ? Step::kSend : Step::kNothing;
    case Phase::kDraining:
      if (now < deadline_) return Step::kNothing;
      OnRotated(now, out);
      return Step::kDrop;
    case Phase::kClosing:
      if (now < deadline_) return Step::kNothing;
      Fail(MakeFailure(ErrorKind::kClosed, "the stream was closed"), out);
      return Step::kDrop;
    default:
      return Step::kNothing;
  }
}

StreamCore::Sending StreamCore::NextToSend() const {
  const Entry& entry = window_[sent_];
  Sending sending;
  sending.request = &entry.request;
  sending.skip_rows = entry.durable_rows;
  sending.index = acked_requests_ + static_cast<int64_t>(sent_);
  sending.replay = entry.sends > 0;
  sending.event = {entry.offset, entry.rows_left(), entry.request.bytes};
  return sending;
}

void StreamCore::MarkSent(TimePoint now) {
  Entry& entry = window_[sent_];
  entry.sent_at = now;
  ++counters_.requests_sent;
  if (entry.sends++ > 0) ++counters_.requests_replayed;
  sent_rows_ += entry.rows_left();
  ++sent_;
  const bool replay_ends =
      entry.offset < replay_until_ &&
      (sent_ == window_.size() || window_[sent_].offset >= replay_until_);
  if (sent_ == 1 || replay_ends) ack_timer_from_ = now;
}

void StreamCore::TakeBack(int64_t count) {
  for (; count > 0 && sent_ > 0; --count) {
    Entry& entry = window_[--sent_];
    sent_rows_ -= entry.rows_left();
    --entry.sends;
    --counters_.requests_sent;
    if (entry.sends > 0) --counters_.requests_replayed;
  }
}

// --- Acknowledgements ---

void StreamCore::OnOpened(const ServiceMessage::Opened& opened, TimePoint now,
                          Outcomes* out) {
  phase_ = Phase::kOpen;
  ++counters_.streams_opened;
  proven_ = false;
  idle_since_ = now;
  replay_until_ = next_offset_;
  for (int64_t i = 0; i < opened.settled_requests && !window_.empty(); ++i) {
    SettleRows(&window_.front(), window_.front().rows_left(), nullptr, out);
    PopFront();
    OnProgress(now);
  }
}

void StreamCore::SettleRows(Entry* entry, int64_t rows,
                            std::shared_ptr<const arrow::Status> error, Outcomes* out) {
  Settlement settlement;
  settlement.event = {entry->offset, rows, entry->request.bytes};
  settlement.delivery = entry->request.delivery;
  settlement.first_row = entry->request.first_row + entry->durable_rows;
  entry->offset_failed |= error != nullptr;
  settlement.request_done = rows == entry->rows_left() && entry->last_part;
  settlement.request_failed = entry->offset_failed;
  settlement.sent_at = entry->sent_at;
  (error ? counters_.rows_failed : counters_.rows_durable) += rows;
  settlement.error = std::move(error);
  entry->durable_rows += rows;
  out->settlements.push_back(std::move(settlement));
}

void StreamCore::PopFront() {
  const Entry& front = window_.front();
  bytes_ -= front.request.bytes;
  if (front.last_part) {
    --window_requests_;
  } else if (front.offset_failed) {
    window_[1].offset_failed = true;
  }
  window_.pop_front();
  if (suspects_ > 0 && --suspects_ == 0) rejections_ = 0;
  if (sent_ > 0) {
    --sent_;
    ++acked_requests_;
  }
}

arrow::Status StreamCore::OnAck(const ServiceMessage::Ack& ack, int64_t unsent,
                                TimePoint now, Outcomes* out) {
  if (!connected()) return {};
  ++counters_.acks_received;
  if (!ack.up_to) {
    ++counters_.protocol_errors;
    return MakeFailure(ErrorKind::kProtocol, "an acknowledgement without an offset");
  }
  const size_t before = out->settlements.size();
  const arrow::Status status = protocol_->ack_unit() == AckUnit::kRequests
                                   ? OnRequestsAck(*ack.up_to, unsent, out)
                                   : OnRowsAck(*ack.up_to, unsent, out);
  if (!status.ok()) {
    ++counters_.protocol_errors;
  } else if (out->settlements.size() > before) {
    OnProgress(now);
  } else {
    ++counters_.acks_without_progress;
  }
  return status;
}

arrow::Status StreamCore::OnRequestsAck(int64_t up_to, int64_t unsent, Outcomes* out) {
  const int64_t sent = acked_requests_ + static_cast<int64_t>(sent_) - unsent;
  if (up_to >= sent) {
    return MakeFailure(ErrorKind::kProtocol,
                       "an acknowledgement of offset " + std::to_string(up_to) +
                           " when " + std::to_string(sent) + " requests were sent");
  }
  while (acked_requests_ <= up_to) {
    SettleRows(&window_.front(), window_.front().rows_left(), nullptr, out);
    PopFront();
  }
  return {};
}

arrow::Status StreamCore::OnRowsAck(int64_t up_to, int64_t unsent, Outcomes* out) {
  int64_t sent_rows = sent_rows_;
  for (int64_t i = 0; i < unsent && i < static_cast<int64_t>(sent_); ++i) {
    sent_rows -= window_[sent_ - 1 - static_cast<size_t>(i)].rows_left();
  }
  if (up_to > sent_rows) {
    return MakeFailure(ErrorKind::kProtocol,
                       "an acknowledgement of " + std::to_string(up_to) + " rows when " +
                           std::to_string(sent_rows) + " were sent");
  }
  while (acked_rows_ < up_to) {
    Entry& front = window_.front();
    const int64_t rows = std::min(front.rows_left(), up_to - acked_rows_);
    SettleRows(&front, rows, nullptr, out);
    acked_rows_ += rows;
    if (front.rows_left() == 0) PopFront();
  }
  return {};
}

void StreamCore::EndOutage() {
  outage_ = false;
  proven_ = true;
  attempts_ = 0;
  token_renewed_ = false;
}

void StreamCore::OnProgress(TimePoint now) {
  progress_ = true;
  fruitless_rotations_ = 0;
  ack_timer_from_ = now;
  if (window_.empty()) idle_since_ = now;
  EndOutage();
}

// --- Ends of connections ---

void StreamCore::OnCloseSignal(const ServiceMessage::CloseSignal& signal, TimePoint now) {
  if (phase_ != Phase::kOpen) return;  // a repeat is part of the same rotation
  phase_ = Phase::kPaused;
  milliseconds wait = std::max(signal.duration, milliseconds(0));
  if (options_.stream.stream_paused_max_wait) {
    wait = std::min(wait, *options_.stream.stream_paused_max_wait);
  }
  deadline_ = now + wait;
}

void StreamCore::StartDraining(TimePoint now) {
  phase_ = Phase::kDraining;
  step_pending_ = true;
  deadline_ = now + options_.late_acks_wait;
}

void StreamCore::ForgetConnection() {
  sent_ = 0;
  sent_rows_ = 0;
  acked_requests_ = 0;
  acked_rows_ = 0;
  progress_ = false;
  step_pending_ = false;
  transport_full_ = false;
}

void StreamCore::BeginConnecting() {
  phase_ = Phase::kConnecting;
  step_pending_ = true;
  deadline_ = TimePoint::max();  // set when the attempt begins
}

void StreamCore::OnRotated(TimePoint now, Outcomes* out) {
  const bool fruitless = !progress_ && !window_.empty();
  fruitless_rotations_ = fruitless ? fruitless_rotations_ + 1 : 0;
  ++counters_.rotations;
  if (fruitless_rotations_ > kFruitlessRotationsMax) {
    OnRetryable({Reaction::kRetry,
                 MakeFailure(ErrorKind::kTransmission,
                             "the service ends its connections without any progress")},
                now, out);
    return;
  }
  ForgetConnection();
  if (window_.empty() && !proven_) {
    phase_ = Phase::kDormant;
    return;
  }
  out->reconnects.push_back({ReconnectCause::kRotation, 0, milliseconds(0), {}});
  BeginConnecting();
}

milliseconds StreamCore::BackoffWait(int attempt) {
  const auto base = static_cast<double>(options_.stream.recovery_backoff_base.count());
  const auto longest = static_cast<double>(options_.stream.recovery_backoff_max.count());
  const double bound = std::min(longest, std::ldexp(base, std::min(attempt, 40)));
  return milliseconds(static_cast<int64_t>(uniform_() * std::max(bound, 0.0)));
}

void StreamCore::OnRetryable(const CallFailure& failure, TimePoint now, Outcomes* out) {
  const bool skip_wait = proven_ && !outage_;
  ForgetConnection();
  if (!options_.stream.recovery) return Fail(failure.error, out);
  if (attempts_ >= options_.stream.recovery_retries) {
    if (window_.empty()) {
      // Nobody waits; the next request begins anew.
      EndOutage();
      proven_ = false;
      phase_ = Phase::kDormant;
      return;
    }
    ErrorFacts facts = FactsOf(failure.error);
    facts.kind = ErrorKind::kRetryExhausted;
    return Fail(MakeFailure(std::move(facts), "all " + std::to_string(attempts_) +
                                                  " attempts to recover failed: " +
                                                  failure.error.message()),
                out);
  }
  milliseconds wait = skip_wait ? milliseconds(0) : BackoffWait(attempts_);
  if (FactsOf(failure.error).service_code == kBlockedServiceCode) {
    const auto range = options_.blocked_wait_max - options_.blocked_wait_min;
    wait = std::max(wait, options_.blocked_wait_min +
                              milliseconds(static_cast<int64_t>(
                                  uniform_() * static_cast<double>(range.count()))));
  }
  if (const auto asked = RetryAfterSeconds(failure.error)) {
    const auto seconds = std::chrono::seconds(std::min(*asked, kRetryAfterSecondsMax));
    wait = std::max<milliseconds>(wait, seconds);
  }
  outage_ = true;
  ++attempts_;
  ++counters_.reconnects_after_failure;
  out->reconnects.push_back({ReconnectCause::kFailure, attempts_, wait, failure.error});
  phase_ = Phase::kWaiting;
  deadline_ = now + wait;
}

void StreamCore::OnEnded(const CallFailure& failure, TimePoint now, Outcomes* out) {
  switch (phase_) {
    case Phase::kPaused:
    case Phase::kDraining:
      return OnRotated(now, out);
    case Phase::kClosing:
      return Fail(MakeFailure(ErrorKind::kClosed, "the stream was closed"), out);
    case Phase::kConnecting:
    case Phase::kOpen:
      break;
    default:
      return;
  }
  switch (failure.reaction) {
    case Reaction::kRetry:
      return OnRetryable(failure, now, out);
    case Reaction::kRenewToken: {
      const bool again = !token_renewed_;
      ForgetConnection();
      if (!again || (!options_.stream.recovery && phase_ == Phase::kOpen)) {
        return Fail(failure.error, out);
      }
      token_renewed_ = true;
      outage_ = true;
      out->reconnects.push_back(
          {ReconnectCause::kAuthentication, attempts_, milliseconds(0), failure.error});
      return BeginConnecting();
    }
    case Reaction::kGiveUp:
      if (MayBisect(failure)) return OnRejected(failure, now, out);
      return Fail(failure.error, out);
  }
}

// --- Bisecting ---

bool StreamCore::MayBisect(const CallFailure& failure) const {
  if (options_.stream.rejected_requests != RejectedRequests::kBisect) return false;
  if (phase_ != Phase::kOpen || sent_ == 0) return false;
  const ErrorFacts facts = FactsOf(failure.error);
  return facts.kind != ErrorKind::kSchema &&
         facts.grpc_status == static_cast<int>(rpc::StatusCode::kInvalidArgument) &&
         rejections_ < options_.stream.bisect_rejections_max;
}

// The service does not say which request it refused. Those under way become suspects,
// which are sent one at a time; the one refused on its own is halved, down to one row.
void StreamCore::OnRejected(const CallFailure& failure, TimePoint now, Outcomes* out) {
  ++rejections_;
  const bool alone = sent_ == 1;
  suspects_ = std::max(suspects_, sent_);
  ForgetConnection();
  if (alone) {
    Entry& front = window_.front();
    if (front.rows_left() == 1) {
      SettleRows(&front, 1, std::make_shared<const arrow::Status>(failure.error), out);
      PopFront();
    } else {
      const int64_t half = front.rows_left() / 2;
      auto first = protocol_->Slice(front.request, front.durable_rows, half);
      auto second = protocol_->Slice(front.request, front.durable_rows + half,
                                     front.rows_left() - half);
      if (!first.ok() || !second.ok()) return Fail(failure.error, out);
      Entry rest = front;
      bytes_ += first->bytes + second->bytes - front.request.bytes;
      rest.request = *std::move(second);
      rest.durable_rows = 0;
      front.request = *std::move(first);
      front.durable_rows = 0;
      front.last_part = false;
      window_.insert(window_.begin() + 1, std::move(rest));
      ++suspects_;
    }
  }
  out->reconnects.push_back(
      {ReconnectCause::kRejectedRequest, 0, milliseconds(0), failure.error});
  BeginConnecting();
}

// --- The end ---

void StreamCore::Fail(const arrow::Status& error, Outcomes* out) {
  end_status_ =
      phase_ == Phase::kClosing && window_.empty() ? arrow::Status::OK() : error;
  ForgetConnection();
  phase_ = Phase::kEnded;
  const auto shared = std::make_shared<const arrow::Status>(error);
  for (Entry& entry : window_) {
    if (entry.request.delivery && entry.request.delivery->kept_by_writer()) {
      unacknowledged_.push_back({entry.offset, entry.request.delivery,
                                 entry.request.first_row + entry.durable_rows,
                                 entry.rows_left()});
    }
    failed_from_ = std::min(failed_from_, entry.offset);
    SettleRows(&entry, entry.rows_left(), shared, out);
    out->settlements.back().scope = FailureScope::kStream;
  }
  window_.clear();
  window_requests_ = 0;
  bytes_ = 0;
  suspects_ = 0;
}

void StreamCore::Close(TimePoint now, Outcomes* out) {
  if (phase_ == Phase::kEnded || phase_ == Phase::kClosing) return;
  if (!connected()) {
    phase_ = Phase::kClosing;
    Fail(MakeFailure(ErrorKind::kClosed, "the stream was closed"), out);
    return;
  }
  step_pending_ = phase_ != Phase::kDraining || step_pending_;
  phase_ = Phase::kClosing;
  deadline_ = now + options_.late_acks_wait;
}

void StreamCore::Abort(const arrow::Status& status, Outcomes* out) {
  if (phase_ != Phase::kEnded) Fail(status, out);
}

}  // namespace arrowport::zerobus
