#include "emulator/ingest_stream.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "emulator/grpc_code.h"
#include "emulator/status_details.h"

namespace arrowport::emulator {

namespace net = wire::net;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr size_t kMessageBytesMax = 1000;
constexpr std::string_view kTableHeader = "x-databricks-zerobus-table-name";

std::string TableOf(const net::RequestHead& head) {
  const std::string* name = head.Header(kTableHeader);
  return name ? *name : "";
}

std::unique_ptr<Dialect> MakeDialect(Mode mode, const Service& service,
                                     const ConnectionPlan& plan) {
  DialectOptions options;
  options.look_into_rows = service.options.look_into_rows;
  options.request_bytes_max = service.options.request_bytes_max;
  options.id_column = service.options.id_column;
  options.flight = plan.flight();
  return mode == Mode::kRecord ? MakeRecordDialect(std::move(options))
                               : MakeFlightDialect(std::move(options));
}

int GrpcCodeOfError(ErrorCode code, const Statuses& statuses) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
      return kGrpcUnauthenticated;
    case ErrorCode::kPermissionDenied:
      return kGrpcPermissionDenied;
    case ErrorCode::kTableNotFound:
      return kGrpcNotFound;
    case ErrorCode::kUnimplemented:
      return kGrpcUnimplemented;
    case ErrorCode::kBadData:
      return statuses.row;
    case ErrorCode::kSequenceGap:
      return statuses.offset;
    case ErrorCode::kTooLarge:
      return statuses.size;
    default:
      return InfoOf(code).fault == Fault::kCaller ? kGrpcInvalidArgument : kGrpcInternal;
  }
}

}  // namespace

/// Brings the log's news onto the call; at most one task is posted at a time.
class IngestStream::LogNews : public LogListener {
 public:
  LogNews(std::shared_ptr<net::Call> call, IngestStream* stream)
      : call_(std::move(call)), stream_(stream) {}

  void OnLogged(int64_t mark, const arrow::Status& status) override {
    {
      MutexLock lock(mutex_);
      count_ = mark;
      if (status_.ok()) status_ = status;
      if (std::exchange(posted_, true)) return;
    }
    // Tasks are dropped once the call is over, so the stream is there when one runs.
    call_->Post([self = this, stream = stream_] { self->Deliver(stream); });
  }

 private:
  void Deliver(IngestStream* stream) {
    int64_t count = 0;
    arrow::Status status;
    {
      MutexLock lock(mutex_);
      posted_ = false;
      count = count_;
      status = status_;
    }
    stream->OnLogged(count, status);
  }

  const std::shared_ptr<net::Call> call_;
  IngestStream* const stream_;
  Mutex mutex_;
  bool posted_ GUARDED_BY(mutex_) = false;
  int64_t count_ GUARDED_BY(mutex_) = 0;
  arrow::Status status_ GUARDED_BY(mutex_);
};

IngestStream::IngestStream(std::shared_ptr<net::Call> call, Service* service, Mode mode)
    : call_(std::move(call)),
      service_(service),
      mode_(mode),
      table_name_(TableOf(call_->head())),
      plan_(service->scenario.OnConnection(table_name_, mode)),
      counters_(service->counters.Of(table_name_)),
      dialect_(MakeDialect(mode, *service, plan_)),
      log_news_(std::make_shared<LogNews>(call_, this)) {
  counters_.Add(Counter::kConnections);
  service_->streams.Add(this);
}

IngestStream::~IngestStream() = default;

// --- Delays and faults ---

template <typename Next>
void IngestStream::Later(milliseconds delay, Next next) {
  service_->timers.After(delay, [call = call_, next = std::move(next)] { call->Post(next); });
}

template <typename Next>
void IngestStream::Pass(Point point, int64_t at, Next next) {
  const Action* action = plan_.Strike(point, at);
  if (!action) return next();
  counters_.Add(Counter::kFaults);
  if (action->kind != ActionKind::kDelay) {
    if (Act(*action, at) == Flow::kGo) next();
    return;
  }
  Hold();
  Later(*action->duration, [this, next = std::move(next)]() mutable {
    Release();
    if (!over()) next();
  });
}

void IngestStream::Hold() {
  if (holds_++ == 0) call_->PauseReading();
}

void IngestStream::Release() {
  if (--holds_ == 0) call_->ResumeReading();
}

IngestStream::Flow IngestStream::Act(const Action& action, int64_t offset) {
  return action.kind < ActionKind::kStall ? ActOnCall(action) : ActOnStream(action, offset);
}

IngestStream::Flow IngestStream::ActOnCall(const Action& action) {
  using Kind = net::Breakage::Kind;
  switch (action.kind) {
    case ActionKind::kStatus: {
      net::Headers trailers;
      if (!action.reason.empty()) {
        trailers = StatusDetails(action.grpc_status, action.message, action.reason,
                                 action.metadata);
      }
      End(action.grpc_status, action.message, std::move(trailers));
      return Flow::kStop;
    }
    case ActionKind::kOk:
      End(kGrpcOk, "");
      return Flow::kStop;
    case ActionKind::kResetStream:
      Break({Kind::kStreamReset, action.http2_code});
      return Flow::kStop;
    case ActionKind::kGoaway:
      call_->Break({Kind::kGoaway, action.http2_code});
      return Flow::kGo;
    case ActionKind::kTcpClose:
      Break({Kind::kClose});
      return Flow::kStop;
    case ActionKind::kTcpReset:
      Break({Kind::kReset});
      return Flow::kStop;
    case ActionKind::kFreeze:
      Break({Kind::kFreeze});
      return Flow::kStop;
    default:
      silent_ = true;
      return Flow::kStop;
  }
}

IngestStream::Flow IngestStream::ActOnStream(const Action& action, int64_t offset) {
  const AckPoint now{acked_ - 1, acked_rows_};
  switch (action.kind) {
    case ActionKind::kStall:
      Hold();
      if (action.duration) Later(*action.duration, [this] { Release(); });
      break;
    case ActionKind::kAckDuplicate:
      Send(dialect_->Ack(now));
      break;
    case ActionKind::kAckLower:
      Send(dialect_->Ack({now.offset - action.amount,
                          std::max<int64_t>(0, now.rows - action.amount)}));
      break;
    case ActionKind::kAckTooHigh:
      Send(dialect_->Ack(
          {accepted_ - 1 + action.amount, accepted_rows_ + action.amount}));
      break;
    case ActionKind::kAckWithoutOffset:
      Send(dialect_->AckWithoutOffset());
      break;
    case ActionKind::kAckUnparseable:
      Send({arrow::Buffer::FromString("\xff\xff{")});
      break;
    case ActionKind::kAckMissing:
      unacked_[static_cast<size_t>(offset - acked_)].ack_missing = true;
      break;
    case ActionKind::kUnexpectedMessage:
      Send(dialect_->OpenReply(stream_id_));
      break;
    case ActionKind::kCloseSignal: {
      Rotation rotation;
      rotation.duration = action.duration;
      rotation.forced = false;
      Rotate(rotation);
      break;
    }
    default:
      break;
  }
  return Flow::kGo;
}

// --- Opening ---

arrow::Status IngestStream::JudgeMetadata() {
  if (table_name_.empty()) {
    return Error(ErrorCode::kInvalidArgument, "the metadata lacks ", kTableHeader);
  }
  const std::string* authorization = call_->head().Header("authorization");
  switch (service_->tokens.JudgeForTable(authorization, table_name_)) {
    case TokenVerdict::kGood:
      break;
    case TokenVerdict::kUnknown:
      return Error(ErrorCode::kUnauthenticated,
                   authorization ? "the token is unknown" : "the metadata lacks a token");
    case TokenVerdict::kExpired:
      return Error(ErrorCode::kUnauthenticated, "the token has expired");
    case TokenVerdict::kRevoked:
      return Error(ErrorCode::kUnauthenticated, "the token was revoked");
    case TokenVerdict::kOtherTable:
      return Error(ErrorCode::kPermissionDenied, "the token is not for table ", table_name_);
  }
  table_ = service_->tables.Find(table_name_);
  if (!table_) return Error(ErrorCode::kTableNotFound, "no such table: ", table_name_);
  return {};
}

void IngestStream::Begin() {
  Pass(Point::kBeforeHeaders, 0, [this] {
    const arrow::Status status = JudgeMetadata();
    if (!status.ok()) return Refuse(status);
    call_->SendHead({});
    Pass(Point::kAfterHeaders, 0, [this] { state_ = State::kWaiting; });
  });
}

void IngestStream::OnMessage(net::Message message) {
  if (over()) return;
  if (state_ == State::kWaiting) return Open(std::move(message));
  if (state_ == State::kStreaming) return Ingest(std::move(message));
}

void IngestStream::Open(net::Message message) {
  state_ = State::kOpening;
  const arrow::Status status = dialect_->Open(message, table_);
  if (!status.ok()) return Refuse(status);
  Pass(Point::kBeforeCreateReply, 0, [this] {
    stream_id_ = NewRandomId();
    log_head_ = "{\"table\":\"" + table_name_ + "\",\"stream\":\"" + stream_id_ +
                "\",\"connection\":" + std::to_string(plan_.number()) + ",\"mode\":\"" +
                std::string(NameOf(mode_)) + "\",\"offset\":";
    Send(dialect_->OpenReply(stream_id_));
    Opened();
  });
}

void IngestStream::Opened() {
  state_ = State::kStreaming;
  opened_ = true;
  counters_.Add(Counter::kOpened);
  counters_.Add(Counter::kOpenNow);
  const Rotation* rotation = plan_.rotation();
  if (rotation && rotation->after) {
    Later(*rotation->after, [this] { Rotate(*plan_.rotation()); });
  }
  Pass(Point::kAfterOpen, 0, [] {});
}

// --- Requests ---

void IngestStream::Ingest(net::Message message) {
  const int64_t bytes = message.bytes();
  if (close_signalled_) counters_.Add(Counter::kRequestsAfterCloseSignal);
  auto request = dialect_->Take(std::move(message), accepted_);
  if (!request.ok()) {
    counters_.Add(Counter::kRefusedRequests);
    return Refuse(request.status());
  }
  ++accepted_;
  accepted_rows_ += request->rows;
  unacked_.push_back({accepted_rows_});
  counters_.Add(Counter::kRequests);
  counters_.Add(Counter::kRows, request->rows);
  counters_.Add(Counter::kRequestBytes, bytes);
  counters_.Raise(Counter::kInFlightMax, accepted_ - acked_);
  const int64_t offset = request->offset;
  Pass(Point::kBeforeLog, offset,
       [this, taken = std::move(*request)]() mutable { Log(std::move(taken)); });
}

void IngestStream::Log(IngestRequest request) {
  log_line_ = log_head_;
  log_line_ += std::to_string(request.offset);
  log_line_ += ",\"rows\":";
  log_line_ += std::to_string(request.rows);
  if (!request.ids.empty()) {
    log_line_ += ",\"ids\":[";
    log_line_ += request.ids;
    log_line_ += ']';
  }
  log_line_ += "}\n";
  const bool room = service_->log->Append(log_line_, log_news_, request.offset + 1);
  if (!room && !log_held_) {
    log_held_ = true;
    Hold();
  }
}

void IngestStream::OnLogged(int64_t count, const arrow::Status& status) {
  if (log_held_) {
    log_held_ = false;
    Release();
  }
  if (!status.ok()) {
    if (!over()) End(kGrpcInternal, status.message());
    return;
  }
  counters_.Add(Counter::kLoggedRequests, count - written_);
  written_ = count;
  AdvanceLogged();
}

void IngestStream::AdvanceLogged() {
  const Rotation* rotation = plan_.rotation();
  while (logged_ < written_ && !ack_delayed_) {
    const int64_t offset = logged_;
    const Action* action = over() ? nullptr : plan_.Strike(Point::kAfterLog, offset);
    if (action) counters_.Add(Counter::kFaults);
    if (action && action->kind == ActionKind::kDelay) {
      ack_delayed_ = true;
      Later(*action->duration, [this] {
        ack_delayed_ = false;
        ++logged_;
        AdvanceLogged();
      });
    } else if (action && Act(*action, offset) == Flow::kStop) {
      return;
    } else {
      ++logged_;
    }
    if (rotation && rotation->after_requests && logged_ == *rotation->after_requests &&
        !over()) {
      Rotate(*rotation);
    }
  }
  if (!over()) DecideAcks();
}

// --- Acknowledgements ---

int64_t IngestStream::rows_of(int64_t count) const {
  if (count <= acked_) return acked_rows_;
  return unacked_[static_cast<size_t>(count - acked_ - 1)].rows_end;
}

void IngestStream::DecideAcks() {
  const AckPolicy& policy = plan_.acks();
  int64_t target = logged_;
  if (policy.every > 0) target -= target % policy.every;
  while (target > scheduled_ &&
         unacked_[static_cast<size_t>(target - acked_ - 1)].ack_missing) {
    --target;
  }
  if (policy.rows > 0 && mode_ == Mode::kFlight) {
    for (int64_t rows = scheduled_rows_ - scheduled_rows_ % policy.rows + policy.rows;
         rows <= rows_of(logged_); rows += policy.rows) {
      int64_t count = scheduled_;
      while (count < logged_ && rows_of(count + 1) <= rows) ++count;
      ScheduleAck({count - 1, rows}, count);
    }
  } else if (policy.every > 0) {
    for (int64_t count = scheduled_ - scheduled_ % policy.every + policy.every;
         count <= target; count += policy.every) {
      if (unacked_[static_cast<size_t>(count - acked_ - 1)].ack_missing) continue;
      ScheduleAck({count - 1, rows_of(count)}, count);
    }
  } else if (target > scheduled_) {
    ScheduleAck({target - 1, rows_of(target)}, target);
  }
  if (half_closed_ && logged_ == accepted_ && scheduled_rows_ < rows_of(logged_)) {
    ScheduleAck({logged_ - 1, rows_of(logged_)}, logged_);
  }
  if (scheduled_rows_ < rows_of(logged_)) ArmIdleTimer();
  FinishIfDrained();
}

void IngestStream::ArmIdleTimer() {
  idle_seen_ = logged_;
  if (std::exchange(idle_armed_, true)) return;
  Later(plan_.acks().idle, [this, seen = logged_] {
    idle_armed_ = false;
    if (over() || scheduled_rows_ >= rows_of(logged_)) return;
    if (logged_ != seen) return ArmIdleTimer();
    ScheduleAck({logged_ - 1, rows_of(logged_)}, logged_);
  });
}

void IngestStream::ScheduleAck(AckPoint point, int64_t count) {
  scheduled_ = count;
  scheduled_rows_ = point.rows;
  const AckPolicy& policy = plan_.acks();
  if (policy.delay.count() == 0 && policy.jitter.count() == 0) return EmitAck(point, count);
  auto delay = policy.delay + milliseconds(plan_.Random(policy.jitter.count()));
  // Acknowledgements keep their order, whatever the jitter.
  const auto now = steady_clock::now();
  const auto due = std::max(last_ack_due_, now + delay);
  last_ack_due_ = due;
  Later(std::chrono::ceil<milliseconds>(due - now),
        [this, point, count] { EmitAck(point, count); });
}

void IngestStream::EmitAck(AckPoint point, int64_t count) {
  if (over() || (count <= acked_ && point.rows <= acked_rows_)) return;
  if (!writable_) {
    ack_waits_ = true;
    waiting_ack_ = point;
    waiting_count_ = count;
    return;
  }
  if (const Action* action = plan_.Strike(Point::kMidFrame, acks_sent_ + 1)) {
    counters_.Add(Counter::kFaults);
    using Kind = net::Breakage::Kind;
    Kind kind = Kind::kClose;
    if (action->kind == ActionKind::kTcpReset) kind = Kind::kReset;
    if (action->kind == ActionKind::kFreeze) kind = Kind::kFreeze;
    return Break({kind, 0, true});
  }
  while (acked_ < count) {
    unacked_.pop_front();
    ++acked_;
  }
  acked_rows_ = point.rows;
  ++acks_sent_;
  counters_.Add(Counter::kAcks);
  Send(dialect_->Ack(point));
  Pass(Point::kAfterAcks, acks_sent_, [this] { FinishIfDrained(); });
}

void IngestStream::OnWritable() {
  writable_ = true;
  if (std::exchange(ack_waits_, false)) EmitAck(waiting_ack_, waiting_count_);
}

void IngestStream::FinishIfDrained() {
  if (over() || !half_closed_ || state_ != State::kStreaming) return;
  if (acked_ == accepted_ && acked_rows_ == accepted_rows_) End(kGrpcOk, "");
}

// --- Rotation ---

void IngestStream::RotateSoon(const Rotation& rotation) {
  call_->Post([this, rotation] { Rotate(rotation); });
}

void IngestStream::SendCloseSignal(const Rotation& rotation) {
  if (over() || half_closed_) return;
  if (rotation.with_ack && logged_ > acked_) {
    const int64_t count = logged_;
    acked_rows_ = rows_of(count);
    while (acked_ < count) {
      unacked_.pop_front();
      ++acked_;
    }
    scheduled_ = std::max(scheduled_, acked_);
    scheduled_rows_ = std::max(scheduled_rows_, acked_rows_);
    ++acks_sent_;
    counters_.Add(Counter::kAcks);
  }
  close_signalled_ = true;
  counters_.Add(Counter::kCloseSignals);
  CloseDuration duration;
  if (rotation.duration) duration = service_->timers.Scaled(*rotation.duration);
  Send(dialect_->CloseSignal(duration, {acked_ - 1, acked_rows_}));
}

void IngestStream::Rotate(const Rotation& rotation) {
  if (over() || state_ != State::kStreaming || std::exchange(rotated_, true)) return;
  for (int64_t i = 0; i < rotation.signals; ++i) {
    if (i == 0) {
      SendCloseSignal(rotation);
    } else {
      Later(rotation.repeat * i, [this, rotation] { SendCloseSignal(rotation); });
    }
  }
  if (!rotation.forced) return;
  const milliseconds told = rotation.duration.value_or(milliseconds(0));
  const milliseconds wait = std::max(milliseconds(0), told + rotation.late - rotation.early);
  Later(wait, [this] {
    if (!over()) {
      End(kGrpcUnavailable, "the stream has reached its time limit (Error Code: 6002)");
    }
  });
}

// --- Ends ---

void IngestStream::OnEnd() {
  if (state_ == State::kEnded) return;
  half_closed_ = true;
  counters_.Add(Counter::kHalfCloses);
  if (silent_) return;
  if (state_ != State::kStreaming) {
    return Refuse(Error(ErrorCode::kInvalidArgument, "the call ended before its first message"));
  }
  DecideAcks();
}

void IngestStream::OnBodyError(arrow::Status status) {
  if (over()) return;
  counters_.Add(Counter::kRefusedRequests);
  Refuse(status);
}

void IngestStream::OnDone(const arrow::Status& status) {
  service_->streams.Remove(this);
  state_ = State::kEnded;
  if (opened_) counters_.Add(Counter::kOpenNow, -1);
  if (server_ended_ || status.ok()) return;
  const bool cancelled = call_->peer_end() == net::PeerEnd::kCancel;
  counters_.Add(cancelled ? Counter::kCancels : Counter::kResets);
}

void IngestStream::Refuse(const arrow::Status& status) {
  const int code = GrpcCodeOfError(CodeOf(status), plan_.statuses());
  // Some clients refuse header blocks over 8 KiB.
  std::string message = status.message().substr(0, kMessageBytesMax);
  net::Headers trailers;
  if (const auto causes = dialect_->schema_causes(); !causes.empty()) {
    trailers = SchemaDetails(code, message, causes);
  }
  End(code, std::move(message), std::move(trailers));
}

void IngestStream::Stopped() {
  if (!opened_) counters_.Add(Counter::kRefusedOpens);
  state_ = State::kEnded;
  server_ended_ = true;
}

void IngestStream::End(int grpc_status, std::string message, net::Headers trailers) {
  const bool orderly = grpc_status == kGrpcOk && half_closed_;
  Stopped();
  if (!orderly) counters_.Add(Counter::kServerEnds);
  call_->Finish({grpc_status, std::move(message), std::move(trailers)});
}

void IngestStream::Break(const net::Breakage& breakage) {
  Stopped();
  counters_.Add(Counter::kServerEnds);
  call_->Break(breakage);
}

bool IngestStream::Send(net::Slices reply) {
  writable_ = call_->Write(std::move(reply)) && writable_;
  return writable_;
}

}  // namespace arrowport::emulator
