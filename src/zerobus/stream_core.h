// The state of one stream, without threads, sockets or clocks: what is in flight, what
// may be sent, when to wait, reconnect, give up. Tests drive it step by step.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "arrowport/zerobus/options.h"
#include "arrowport/zerobus/writer.h"
#include "zerobus/failure.h"
#include "zerobus/request.h"
#include "zerobus/stream_protocol.h"

namespace arrowport::zerobus {

using TimePoint = std::chrono::steady_clock::time_point;

/// Rows that are settled, to be reported outside the stream's lock.
struct Settlement {
  RequestEvent event;  ///< of the request; `rows` those settled now
  std::shared_ptr<Delivery> delivery;
  int64_t first_row = 0;
  std::shared_ptr<const arrow::Status> error;  ///< null: durable
  FailureScope scope = FailureScope::kRows;    ///< with an error
  bool request_done = false;                   ///< the last rows of this offset
  bool request_failed = false;                 ///< some row of this offset failed
  TimePoint sent_at{};                         ///< of the request, on this connection
};

struct ReconnectNote {
  ReconnectCause cause = ReconnectCause::kFailure;
  int attempt = 0;
  std::chrono::milliseconds wait{0};
  arrow::Status error;
};

/// What came out of an event, for the caller to pass on.
struct Outcomes {
  std::vector<Settlement> settlements;
  std::vector<ReconnectNote> reconnects;
};

/// Caller-locked. Time comes in as `now` and never runs backwards.
class StreamCore {
 public:
  struct Options {
    StreamOptions stream;
    int64_t requests_max = 0;
    std::chrono::milliseconds attempt_timeout{0};
    int64_t first_offset = 0;
    /// The range of the wait after code 6006.
    std::chrono::milliseconds blocked_wait_min{60'000};
    std::chrono::milliseconds blocked_wait_max{90'000};
    std::chrono::milliseconds late_acks_wait{500};
    std::chrono::milliseconds idle_ends_outage{1'000};
  };
  /// `uniform` gives numbers in [0, 1).
  StreamCore(Options options, std::shared_ptr<const StreamProtocol> protocol,
             std::function<double()> uniform);

  enum class Phase {
    kDormant,     ///< no connection and nothing to send
    kWaiting,     ///< before the next attempt
    kConnecting,  ///< an attempt is under way
    kOpen,
    kPaused,    ///< close signal: nothing is sent, acks are awaited
    kDraining,  ///< half-closed after a close signal, late acks are read
    kClosing,   ///< half-closed by Close
    kEnded,
  };
  Phase phase() const { return phase_; }
  /// Why the stream ended; OK after a close with nothing left. REQUIRES: kEnded.
  const arrow::Status& end_status() const { return end_status_; }

  // --- Producers ---
  /// Room for a request of `bytes`: one is always admitted into an empty window.
  bool HasRoom(int64_t bytes) const;
  /// Returns the logical offset. REQUIRES: HasRoom, not ended.
  int64_t Accept(Request request, TimePoint now);
  /// Requests below this offset are settled.
  int64_t settled_offset() const { return next_offset_ - window_requests_; }
  int64_t next_offset() const { return next_offset_; }
  /// The first offset that failed with the stream; INT64_MAX: none did.
  int64_t failed_from() const { return failed_from_; }
  int64_t inflight_requests() const { return window_requests_; }
  int64_t inflight_bytes() const { return bytes_; }

  // --- What the caller does next ---
  enum class Step {
    kNothing,
    kConnect,    ///< begin an attempt
    kSend,       ///< take NextToSend, then MarkSent
    kHalfClose,  ///< once per connection
    kDrop,       ///< drop the attempt or connection at once; the core has moved on
  };
  /// Moves time-driven state on. Call until kNothing.
  Step Next(TimePoint now, Outcomes* out);
  /// When Next has something to do by itself; TimePoint::max() when never.
  TimePoint NextDeadline() const;
  /// While true, kSend is not asked for: the transport is full.
  void SetTransportFull(bool full) { transport_full_ = full; }

  struct Sending {
    const Request* request = nullptr;
    int64_t skip_rows = 0;
    int64_t index = 0;
    bool replay = false;
    RequestEvent event;
  };
  Sending NextToSend() const;
  void MarkSent(TimePoint now);
  /// The transport gave back the last `count` messages: they were never sent.
  void TakeBack(int64_t count);

  // --- What happened ---
  void OnOpened(const ServiceMessage::Opened& opened, TimePoint now, Outcomes* out);
  /// `unsent`: messages that wait in the transport. Not OK: the service broke the
  /// protocol; nothing became durable, and the caller ends the connection with it.
  arrow::Status OnAck(const ServiceMessage::Ack& ack, int64_t unsent, TimePoint now,
                      Outcomes* out);
  void OnCloseSignal(const ServiceMessage::CloseSignal& signal, TimePoint now);
  /// The attempt or connection is over.
  void OnEnded(const CallFailure& failure, TimePoint now, Outcomes* out);

  // --- The end ---
  /// No more requests come; half-closes when connected. What is not durable then fails.
  void Close(TimePoint now, Outcomes* out);
  /// Ends at once.
  void Abort(const arrow::Status& status, Outcomes* out);
  /// Requests that were not durable at the end, in order.
  struct Unacknowledged {
    int64_t offset = 0;
    std::shared_ptr<Delivery> delivery;
    int64_t first_row = 0;
    int64_t rows = 0;
  };
  std::vector<Unacknowledged> TakeUnacknowledged() {
    return std::exchange(unacknowledged_, {});
  }

  const WriterStatistics& counters() const { return counters_; }
  int64_t bisect_rejections() const { return rejections_; }

 private:
  struct Entry {
    Request request;
    int64_t offset = 0;
    int64_t durable_rows = 0;  ///< a prefix, of acks inside a request
    bool last_part = true;     ///< of its offset; bisecting makes parts
    bool offset_failed = false;
    int sends = 0;
    TimePoint sent_at{};
    int64_t rows_left() const { return request.rows - durable_rows; }
  };

  bool connected() const {
    return phase_ == Phase::kOpen || phase_ == Phase::kPaused ||
           phase_ == Phase::kDraining || phase_ == Phase::kClosing;
  }
  bool MaySend() const;
  bool AckTimerRuns() const;
  std::chrono::milliseconds BackoffWait(int attempt);
  void SettleRows(Entry* entry, int64_t rows, std::shared_ptr<const arrow::Status> error,
                  Outcomes* out);
  void PopFront();
  arrow::Status OnRequestsAck(int64_t up_to, int64_t unsent, Outcomes* out);
  arrow::Status OnRowsAck(int64_t up_to, int64_t unsent, Outcomes* out);
  void OnProgress(TimePoint now);
  void BeginConnecting();
  void EndOutage();
  void StartDraining(TimePoint now);
  void ForgetConnection();
  void OnRotated(TimePoint now, Outcomes* out);
  void OnRetryable(const CallFailure& failure, TimePoint now, Outcomes* out);
  void OnRejected(const CallFailure& failure, TimePoint now, Outcomes* out);
  bool MayBisect(const CallFailure& failure) const;
  void Fail(const arrow::Status& error, Outcomes* out);

  const Options options_;
  const std::shared_ptr<const StreamProtocol> protocol_;
  const std::function<double()> uniform_;

  Phase phase_ = Phase::kDormant;
  arrow::Status end_status_;
  std::deque<Entry> window_;
  int64_t window_requests_ = 0;  ///< offsets in the window; parts share theirs
  int64_t bytes_ = 0;
  int64_t next_offset_;
  int64_t failed_from_ = INT64_MAX;
  std::vector<Unacknowledged> unacknowledged_;
  WriterStatistics counters_;

  // Of the connection.
  size_t sent_ = 0;  ///< entries of the window that were sent on it: a prefix
  int64_t sent_rows_ = 0;
  int64_t acked_requests_ = 0;
  int64_t acked_rows_ = 0;
  int64_t replay_until_ = 0;  ///< offsets below it were sent on an earlier connection
  bool progress_ = false;
  bool step_pending_ = false;  ///< kConnect or kHalfClose not yet asked for
  bool transport_full_ = false;
  TimePoint ack_timer_from_{};
  TimePoint deadline_{};    ///< of kWaiting, kConnecting, kPaused, kDraining, kClosing
  TimePoint idle_since_{};  ///< open with nothing in flight

  // Of the outage.
  bool outage_ = false;
  bool proven_ =
      false;  ///< the last connection was good: its loss is reconnected at once
  int attempts_ = 0;
  bool token_renewed_ = false;
  int fruitless_rotations_ = 0;

  // Of bisecting.
  size_t suspects_ = 0;  ///< entries of the window that are sent one at a time
  int64_t rejections_ = 0;
};

}  // namespace arrowport::zerobus
