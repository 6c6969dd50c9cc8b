#include "zerobus/stream.h"

#include <algorithm>
#include <future>

#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/secrets.h"

namespace arrowport::zerobus {
namespace {

constexpr std::string_view kTableHeader = "x-databricks-zerobus-table-name";
constexpr size_t kProvidedHeadersMax = 64;

TimePoint Now() { return std::chrono::steady_clock::now(); }

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

Stream::Stream(ClientCore* client, Parts parts)
    : client_(client),
      parts_(std::move(parts)),
      core_(parts_.core, parts_.protocol, parts_.uniform) {}

std::shared_ptr<Stream> Stream::Start(ClientCore* client, Parts parts) {
  return std::shared_ptr<Stream>(new Stream(client, std::move(parts)));
}

// --- Producers ---

arrow::Result<int64_t> Stream::Submit(Request request) {
  MutexLock lock(mutex_);
  while (core_.phase() != StreamCore::Phase::kEnded && !closing_ &&
         !core_.HasRoom(request.bytes)) {
    if (parts_.core.stream.back_pressure == BackPressure::kFail) {
      return MakeFailure(ErrorKind::kTransmission,
                         "too much is in flight: wait for acknowledgements, or raise "
                         "max_inflight_bytes or max_inflight_requests");
    }
    lock.Wait(changed_);
  }
  if (core_.phase() == StreamCore::Phase::kEnded && !core_.end_status().ok()) {
    return core_.end_status();
  }
  if (closing_ || core_.phase() == StreamCore::Phase::kEnded) {
    return MakeFailure(ErrorKind::kClosed, "the stream is closed");
  }
  const int64_t offset = core_.Accept(std::move(request), Now());
  DriveSoon();
  return offset;
}

arrow::Status Stream::WaitSettled(int64_t end_offset, TimePoint deadline) {
  MutexLock lock(mutex_);
  while (core_.settled_offset() < end_offset &&
         core_.phase() != StreamCore::Phase::kEnded) {
    if (lock.WaitUntil(changed_, deadline) == std::cv_status::timeout &&
        core_.settled_offset() < end_offset && Now() >= deadline) {
      return MakeFailure(ErrorKind::kClosed,
                         "not everything was durable in time: " +
                             std::to_string(core_.inflight_requests()) +
                             " requests are still under way");
    }
  }
  return end_offset <= core_.failed_from() ? arrow::Status::OK() : core_.end_status();
}

arrow::Status Stream::Close() {
  MutexLock lock(mutex_);
  closing_ = true;
  // Done by the I/O thread, as everything that settles requests: their order is kept.
  client_->reactor()->Post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->CloseCore();
  });
  changed_.notify_all();
  while (core_.phase() != StreamCore::Phase::kEnded) lock.Wait(changed_);
  return core_.end_status();
}

void Stream::CloseCore() {
  Outcomes out;
  {
    MutexLock lock(mutex_);
    if (stopped_) return;
    core_.Close(Now(), &out);
    DriveLocked(&out);
  }
  Dispatch(&out);
}

void Stream::Stop() {
  auto task = [this] {
    Outcomes out;
    {
      MutexLock lock(mutex_);
      stopped_ = true;
      closing_ = true;
      core_.Abort(MakeFailure(ErrorKind::kClosed, "the stream was given up"), &out);
      in_flight_ = {core_.inflight_requests(), core_.inflight_bytes()};
    }
    ++attempt_;
    if (timer_) client_->reactor()->CancelTimer(*timer_);
    timer_.reset();
    if (call_) call_->Cancel();
    call_.reset();
    Dispatch(&out);
  };
  if (client_->reactor()->OnThread()) return task();
  std::promise<void> done;
  client_->reactor()->Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

bool Stream::ended() const {
  MutexLock lock(mutex_);
  return core_.phase() == StreamCore::Phase::kEnded || closing_;
}

int64_t Stream::next_offset() const {
  MutexLock lock(mutex_);
  return core_.next_offset();
}

std::vector<StreamCore::Unacknowledged> Stream::TakeUnacknowledged() {
  MutexLock lock(mutex_);
  return core_.TakeUnacknowledged();
}

WriterStatistics Stream::counters() const {
  MutexLock lock(mutex_);
  WriterStatistics counters = core_.counters();
  counters.in_flight_requests = core_.inflight_requests();
  counters.in_flight_bytes = core_.inflight_bytes();
  return counters;
}

// --- The I/O thread's turn ---

void Stream::DriveSoon() {
  if (drive_posted_ || stopped_) return;
  drive_posted_ = true;
  client_->reactor()->Post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Drive();
  });
}

void Stream::Drive() {
  Outcomes out;
  {
    MutexLock lock(mutex_);
    drive_posted_ = false;
    if (stopped_) return;
    DriveLocked(&out);
  }
  Dispatch(&out);
}

void Stream::DriveLocked(Outcomes* out) {
  while (true) {
    const bool was_connecting = core_.phase() == StreamCore::Phase::kConnecting;
    switch (core_.Next(Now(), out)) {
      case StreamCore::Step::kNothing:
        ArmTimer();
        in_flight_ = {core_.inflight_requests(), core_.inflight_bytes()};
        return;
      case StreamCore::Step::kConnect:
        BeginAttempt();
        break;
      case StreamCore::Step::kSend:
        Send();
        break;
      case StreamCore::Step::kHalfClose:
        if (call_) call_->HalfClose();
        break;
      case StreamCore::Step::kDrop:
        if (was_connecting) {
          NoteFailedAttempt(out->reconnects.empty() ? core_.end_status()
                                                    : out->reconnects.back().error);
        }
        DropCall();
        break;
    }
  }
}

void Stream::Send() {
  const StreamCore::Sending sending = core_.NextToSend();
  auto message =
      parts_.protocol->Encode(*sending.request, sending.skip_rows, sending.index);
  if (!message.ok() || !call_) {
    // Encoding again what was encoded before fails only for want of memory.
    Outcomes out;
    EndConnection(
        {Reaction::kRetry, AsFailure(ErrorKind::kTransmission,
                                     message.ok() ? Error(ErrorCode::kInternal, "no call")
                                                  : message.status())},
        &out);
    client_->reactor()->Post([weak = weak_from_this(), out = std::move(out)]() mutable {
      if (auto self = weak.lock()) self->Dispatch(&out);
    });
    return;
  }
  if (!parts_.observers.empty()) sent_events_.emplace_back(sending.event, sending.replay);
  if (call_->Write(*std::move(message)) == rpc::Call::Room::kNo) {
    core_.SetTransportFull(true);
  }
  core_.MarkSent(Now());
}

void Stream::ArmTimer() {
  const TimePoint due = core_.NextDeadline();
  if (timer_ && timer_->first == due) return;
  if (timer_) client_->reactor()->CancelTimer(*timer_);
  timer_.reset();
  if (due == TimePoint::max()) return;
  timer_ = client_->reactor()->RunAt(due, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->timer_.reset();
    self->Drive();
  });
}

void Stream::Dispatch(Outcomes* out) {
  for (const Settlement& settlement : out->settlements) {
    if (settlement.delivery) {
      settlement.delivery->OnSettled(settlement.first_row, settlement.event.rows,
                                     settlement.error, settlement.scope);
    }
    if (parts_.listener) parts_.listener->OnSettled(settlement);
  }
  // Woken after the results are there: who waits for an offset may look at once.
  changed_.notify_all();
  Observe(*out);
}

void Stream::Observe(const Outcomes& out) {
  if (parts_.observers.empty()) return;
  const auto sent = std::exchange(sent_events_, {});
  const auto connected_in = std::exchange(connected_in_, std::nullopt);
  const auto failed_attempts = std::exchange(failed_attempts_, {});
  for (const auto& observer : parts_.observers) {
    if (connected_in) observer->OnConnected(stream_id_, *connected_in);
    for (const auto& [event, replay] : sent) observer->OnRequestSent(event, replay);
    for (const Settlement& settlement : out.settlements) {
      RequestEvent event = settlement.event;
      event.is_last = settlement.request_done;
      if (settlement.error) {
        observer->OnRequestFailed(event, *settlement.error);
      } else {
        observer->OnRequestAcked(event, Now() - settlement.sent_at);
      }
    }
    for (const auto& [error, time] : failed_attempts) {
      observer->OnConnectFailed(error, time);
    }
    for (const ReconnectNote& note : out.reconnects) {
      observer->OnReconnect(note.cause, note.attempt, note.wait, note.error);
    }
    observer->OnInFlight(in_flight_.first, in_flight_.second);
  }
}

void Stream::NoteFailedAttempt(const arrow::Status& error) {
  if (!parts_.observers.empty() && !error.ok()) {
    failed_attempts_.emplace_back(error, Now() - attempt_began_);
  }
}

// --- What the service says ---

void Stream::OnMessage(std::string_view message) {
  Outcomes out;
  {
    MutexLock lock(mutex_);
    auto parsed = parts_.protocol->Parse(message);
    if (!parsed.ok()) {
      EndConnection({Reaction::kRetry, parsed.status()}, &out);
    } else {
      TakeMessage(*parsed, &out);
    }
    DriveLocked(&out);
  }
  Dispatch(&out);
}

void Stream::TakeMessage(const ServiceMessage& message, Outcomes* out) {
  const TimePoint now = Now();
  if (core_.phase() == StreamCore::Phase::kConnecting) {
    if (!message.opened) {
      return EndConnection(
          {Reaction::kRetry, MakeFailure(ErrorKind::kConnection,
                                         "the service did not begin with its greeting")},
          out);
    }
    stream_id_ = message.opened->stream_id;
    MaskSecrets(secrets_, &stream_id_);
    connected_in_ = now - attempt_began_;
    core_.OnOpened(*message.opened, now, out);
  }
  if (message.ack) {
    const auto unsent = static_cast<int64_t>(call_ ? call_->unsent_messages() : 0);
    const arrow::Status status = core_.OnAck(*message.ack, unsent, now, out);
    if (!status.ok()) return EndConnection({Reaction::kRetry, status}, out);
  }
  if (message.close && core_.phase() == StreamCore::Phase::kOpen) {
    // What still waits in the queue is not sent any more.
    if (call_) {
      core_.TakeBack(static_cast<int64_t>(call_->unsent_messages()));
      call_->DropUnsent();
    }
    core_.OnCloseSignal(*message.close, now);
  }
}

void Stream::EndConnection(const CallFailure& failure, Outcomes* out) {
  if (core_.phase() == StreamCore::Phase::kConnecting) NoteFailedAttempt(failure.error);
  DropCall();
  core_.OnEnded(failure, Now(), out);
}

void Stream::OnWritable() {
  Outcomes out;
  {
    MutexLock lock(mutex_);
    core_.SetTransportFull(false);
    DriveLocked(&out);
  }
  Dispatch(&out);
}

void Stream::OnEnd(const rpc::RpcStatus& ended) {
  Outcomes out;
  rpc::RpcStatus status = ended;
  MaskSecrets(secrets_, &status.message);
  MaskSecrets(secrets_, &status.details);
  {
    MutexLock lock(mutex_);
    const CallFailure failure = JudgeCall(
        status, core_.phase() == StreamCore::Phase::kConnecting ? CallPhase::kOpening
                                                                : CallPhase::kOpen);
    if (failure.reaction == Reaction::kRenewToken && lease_ && parts_.plan->token) {
      client_->tokens()->Invalidate(parts_.plan->token->key, lease_->generation);
    }
    EndConnection(failure, &out);
    DriveLocked(&out);
  }
  Dispatch(&out);
}

// The call may be on the stack: it is destroyed a turn later.
void Stream::DropCall() {
  ++attempt_;
  if (!call_) return;
  call_->Cancel();
  client_->reactor()->Post([call = std::shared_ptr<rpc::Call>(std::move(call_))] {});
}

// --- An attempt to connect: token, headers, call ---

template <typename Task>
void Stream::PostForAttempt(uint64_t attempt, Task task) {
  client_->reactor()->Post([weak = weak_from_this(), attempt, task = std::move(task)] {
    auto self = weak.lock();
    if (self && self->attempt_ == attempt) task(self.get());
  });
}

void Stream::BeginAttempt() {
  const uint64_t attempt = ++attempt_;
  attempt_began_ = Now();
  lease_.reset();
  if (!parts_.plan->token) {
    return PostForAttempt(
        attempt, [](Stream* self) { self->OnToken(self->attempt_, TokenLease{}); });
  }
  TokenCache::Request request = *parts_.plan->token;
  request.timeout = parts_.core.attempt_timeout;
  rpc::Reactor* reactor = client_->reactor();
  client_->tokens()->Get(request, [weak = weak_from_this(), reactor,
                                   attempt](arrow::Result<TokenLease> token) {
    reactor->Post([weak, attempt, token = std::move(token)] {
      auto self = weak.lock();
      if (self) self->OnToken(attempt, token);
    });
  });
}

void Stream::OnToken(uint64_t attempt, arrow::Result<TokenLease> token) {
  if (attempt != attempt_) return;
  if (!token.ok()) return FailAttempt(attempt, token.status());
  if (!token->value.empty()) lease_ = *token;
  if (!parts_.plan->header_provider) return OpenCall({});
  rpc::Reactor* reactor = client_->reactor();
  const bool running = client_->tasks()->Run([weak = weak_from_this(), reactor, attempt,
                                              provider = parts_.plan->header_provider] {
    auto headers = provider();
    reactor->Post([weak, attempt, headers = std::move(headers)] {
      if (auto self = weak.lock()) self->OnProvided(attempt, headers);
    });
  });
  if (!running) {
    FailAttempt(attempt,
                MakeFailure(ErrorKind::kConnection, "no thread for the header provider"));
  }
}

void Stream::OnProvided(uint64_t attempt, arrow::Result<Headers> headers) {
  if (attempt != attempt_) return;
  if (!headers.ok()) {
    return FailAttempt(attempt, AsFailure(ErrorKind::kTokenRefresh, headers.status()));
  }
  OpenCall(*headers);
}

void Stream::OpenCall(const Headers& provided) {
  const ConnectPlan& plan = *parts_.plan;
  const uint64_t attempt = attempt_;
  rpc::Metadata metadata = {{std::string(kTableHeader), plan.table},
                            {"user-agent", plan.user_agent}};
  bool authorized = false;
  secrets_.clear();
  for (size_t i = 0; i < std::min(provided.size(), kProvidedHeadersMax); ++i) {
    std::string name = Lower(provided[i].first);
    if (name == kTableHeader || name == "te" || name == "content-type") continue;
    authorized |= name == "authorization";
    std::erase_if(metadata, [&](const auto& field) { return field.first == name; });
    if (name != "user-agent") secrets_.push_back(SecretOf(provided[i].second));
    metadata.emplace_back(std::move(name), provided[i].second);
  }
  if (!authorized && lease_) {
    secrets_.push_back(lease_->value);
    metadata.emplace_back("authorization", "Bearer " + lease_->value);
  }
  auto connection =
      plan.share_key.empty()
          ? rpc::Connection::Open(client_->reactor(), client_->tasks(), plan.connection)
          : client_->SharedConnection(plan.share_key, plan.connection);
  auto call = connection->StartCall(parts_.protocol->path(), std::move(metadata), this);
  if (!call.ok()) {
    return FailAttempt(attempt, AsFailure(ErrorKind::kConfiguration, call.status()));
  }
  call_ = *std::move(call);
  call_->Write(parts_.protocol->OpenMessage());
}

void Stream::FailAttempt(uint64_t attempt, const arrow::Status& status) {
  if (attempt != attempt_) return;
  Outcomes out;
  {
    MutexLock lock(mutex_);
    if (stopped_) return;
    const Reaction reaction =
        FactsOf(status).retryable ? Reaction::kRetry : Reaction::kGiveUp;
    EndConnection({reaction, status}, &out);
    DriveLocked(&out);
  }
  Dispatch(&out);
}

}  // namespace arrowport::zerobus
