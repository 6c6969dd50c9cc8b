#include "zerobus/rpc/connection.h"

#include <algorithm>

#include "base/error.h"

namespace arrowport::zerobus::rpc {
namespace {

constexpr size_t kWriteBytes = 128 * 1024;  // handed to the link at a time
constexpr int32_t kWindowBytes = 1 << 20;
constexpr uint32_t kHeaderListBytesMax = 64 * 1024;

RpcStatus LocalStatus(StatusCode code, std::string message) {
  RpcStatus status;
  status.code = code;
  status.message = std::move(message);
  return status;
}

nghttp2_nv Field(const std::string& name, const std::string& value, uint8_t flags) {
  // nghttp2 copies both and changes neither.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

}  // namespace

Connection::Connection(Reactor* reactor, TaskPool* tasks, ConnectionOptions options)
    : reactor_(reactor),
      options_(std::move(options)),
      link_(std::make_shared<Link>(reactor, tasks, options_.link, this)) {}

std::shared_ptr<Connection> Connection::Open(Reactor* reactor, TaskPool* tasks,
                                             ConnectionOptions options) {
  std::shared_ptr<Connection> connection(
      new Connection(reactor, tasks, std::move(options)));
  connection->link_->Start();
  return connection;
}

Connection::~Connection() {
  if (keepalive_timer_) reactor_->CancelTimer(*keepalive_timer_);
  // A last word (the RST_STREAM of a cancelled call, GOAWAY) goes out if it fits.
  if (session_ != nullptr && ready_ && !lost_) {
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    Pump();
  }
  link_->Close();
  nghttp2_session_del(session_);
}

// --- Calls ---

arrow::Result<std::unique_ptr<Call>> Connection::StartCall(std::string path,
                                                           Metadata metadata,
                                                           CallHandler* handler) {
  for (const auto& [name, value] : metadata) {
    if (!IsLegalMetadata(name, value)) {
      return Error(ErrorCode::kInvalidArgument, "a header may not be sent: ", name);
    }
  }
  if (!usable()) return Error(ErrorCode::kUnreachable, "the connection is gone");
  std::unique_ptr<Call> call(new Call());
  call->connection_ = shared_from_this();
  call->handler_ = handler;
  call->path_ = std::move(path);
  call->metadata_ = std::move(metadata);
  call->message_bytes_max_ = options_.message_bytes_max;
  if (ready_) {
    Submit(call.get());
  } else {
    pending_.push_back(call.get());
  }
  return call;
}

void Connection::Submit(Call* call) {
  const Endpoint& endpoint = options_.link.endpoint;
  Metadata fields = {{":method", "POST"},    {":scheme", endpoint.tls ? "https" : "http"},
                     {":path", call->path_}, {":authority", endpoint.Authority()},
                     {"te", "trailers"},     {"content-type", "application/grpc"}};
  fields.insert(fields.end(), call->metadata_.begin(), call->metadata_.end());
  call->metadata_.clear();
  std::vector<nghttp2_nv> entries;
  for (const auto& [name, value] : fields) {
    // Secrets stay out of the compression table and of intermediaries' tables.
    const bool secret = name == "authorization";
    entries.push_back(
        Field(name, value, secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE));
  }
  nghttp2_data_provider provider;
  provider.source.ptr = call;
  provider.read_callback = [](nghttp2_session*, int32_t id, uint8_t* into, size_t length,
                              uint32_t* flags, nghttp2_data_source*,
                              void* self) -> ssize_t {
    Call* found = static_cast<Connection*>(self)->Find(id);
    if (found == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return found->Read(into, length, flags);
  };
  call->id_ = nghttp2_submit_request(session_, nullptr, entries.data(), entries.size(),
                                     &provider, nullptr);
  if (call->id_ < 0) {
    // The ids of this connection are used up; another one has its own.
    going_away_ = true;
    pending_.push_back(call);
    reactor_->Post([weak = weak_from_this(), call] {
      auto self = weak.lock();
      if (!self) return;
      auto it = std::find(self->pending_.begin(), self->pending_.end(), call);
      if (it == self->pending_.end()) return;
      call->End(
          LocalStatus(StatusCode::kUnavailable, "no stream left on the connection"));
    });
    return;
  }
  calls_[call->id_] = call;
  PumpSoon();
  ArmKeepalive();
}

Call* Connection::Find(int32_t id) {
  auto it = calls_.find(id);
  return it == calls_.end() ? nullptr : it->second;
}

void Connection::Forget(Call* call) {
  std::erase(pending_, call);
  if (call->id_ >= 0) calls_.erase(call->id_);
}

void Connection::Fail(const RpcStatus& status) {
  lost_ = true;
  std::vector<Call*> failing = pending_;
  for (auto& [id, call] : calls_) failing.push_back(call);
  // A handler may cancel or destroy other calls: only those still known are told.
  for (Call* call : failing) {
    const bool known =
        std::find(pending_.begin(), pending_.end(), call) != pending_.end() ||
        std::any_of(calls_.begin(), calls_.end(),
                    [call](const auto& entry) { return entry.second == call; });
    if (known) call->End(status);
  }
}

// --- The session ---

void Connection::SetCallbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        if (Call* call = static_cast<Connection*>(self)->Find(frame->hd.stream_id)) {
          call->BeginHeaders();
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
         size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void* self) {
        if (Call* call = static_cast<Connection*>(self)->Find(frame->hd.stream_id)) {
          call->OnHeader({reinterpret_cast<const char*>(name), name_size},
                         {reinterpret_cast<const char*>(value), value_size});
        }
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data,
                    size_t size, void* self) {
        auto* connection = static_cast<Connection*>(self);
        Call* call = connection->Find(id);
        if (call == nullptr ||
            call->TakeData({reinterpret_cast<const char*>(data), size})) {
          return 0;
        }
        nghttp2_submit_rst_stream(connection->session_, NGHTTP2_FLAG_NONE, id,
                                  NGHTTP2_CANCEL);
        call->End(
            LocalStatus(StatusCode::kInternal,
                        "the service sent a message that is compressed or too long"));
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        return static_cast<Connection*>(self)->OnFrame(frame);
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t error_code, void* self) {
        static_cast<Connection*>(self)->OnStreamClosed(id, error_code);
        return 0;
      });
}

arrow::Status Connection::MakeSession() {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) {
    return Error(ErrorCode::kOutOfMemory, "no memory for an HTTP/2 session");
  }
  SetCallbacks(callbacks);
  const int made = nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) return Error(ErrorCode::kOutOfMemory, "no memory for an HTTP/2 session");
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
  return {};
}

int Connection::OnFrame(const nghttp2_frame* frame) {
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  Call* call = Find(frame->hd.stream_id);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      if (call) call->FinishHeaders(end);
      break;
    case NGHTTP2_GOAWAY:
      going_away_ = true;  // nghttp2 closes the streams that the peer will not serve
      break;
    case NGHTTP2_PING:
      if (frame->hd.flags & NGHTTP2_FLAG_ACK) ping_outstanding_ = false;
      break;
    default:
      break;
  }
  const bool carries_data =
      frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  call = Find(frame->hd.stream_id);  // its handler may have cancelled it
  if (call && end && carries_data) {
    // The service is done; what we still had to say no longer matters.
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_CANCEL);
    call->End(LocalStatus(StatusCode::kUnknown, "the call ended without a status"));
  }
  return 0;
}

void Connection::OnStreamClosed(int32_t id, uint32_t error_code) {
  Call* call = Find(id);
  if (call == nullptr) return;
  call->End(LocalStatus(
      CodeOfHttp2Error(error_code),
      std::string("the stream was reset: ") + nghttp2_http2_strerror(error_code)));
}

// --- Link ---

void Connection::OnLinkReady() {
  if (auto status = MakeSession(); !status.ok()) {
    return Fail(LocalStatus(StatusCode::kUnavailable, status.message()));
  }
  ready_ = true;
  last_received_ = std::chrono::steady_clock::now();
  std::vector<Call*> pending;
  pending.swap(pending_);
  for (Call* call : pending) Submit(call);
  PumpSoon();
}

void Connection::OnLinkBytes(std::span<const uint8_t> bytes) {
  auto self = shared_from_this();
  last_received_ = std::chrono::steady_clock::now();
  const ssize_t used = nghttp2_session_mem_recv(session_, bytes.data(), bytes.size());
  if (used < 0) {
    Fail(LocalStatus(StatusCode::kUnavailable,
                     std::string("the peer broke HTTP/2: ") +
                         nghttp2_strerror(static_cast<int>(used))));
    return;
  }
  PumpSoon();
}

void Connection::OnLinkDrained() {
  auto self = shared_from_this();
  Pump();
}

void Connection::OnLinkLost(const arrow::Status& status) {
  auto self = shared_from_this();
  RpcStatus ended = LocalStatus(StatusCode::kUnavailable, status.message());
  ended.configuration = CodeOf(status) == ErrorCode::kBadConfig;
  Fail(ended);
}

// Writing is never done inside a caller's method: it is gathered and done once a turn.
void Connection::PumpSoon() {
  if (pump_posted_ || !ready_ || lost_) return;
  pump_posted_ = true;
  reactor_->Post([weak = weak_from_this()] {
    if (auto self = weak.lock()) {
      self->pump_posted_ = false;
      self->Pump();
    }
  });
}

void Connection::Pump() {
  if (!ready_ || lost_) return;
  for (auto& [id, call] : calls_) {
    if (!call->deferred_ || (call->queue_.empty() && !call->half_closed_)) continue;
    call->deferred_ = false;
    nghttp2_session_resume_data(session_, id);
  }
  while (link_->drained()) {
    out_.clear();
    while (out_.size() < kWriteBytes) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size <= 0) break;
      out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    if (out_.empty()) break;
    link_->Send(out_);
  }
  TellWritable();
}

void Connection::TellWritable() {
  std::vector<int32_t> writable;
  for (auto& [id, call] : calls_) {
    if (call->full_ && call->queue_bytes_ < options_.queue_bytes_high / 2) {
      call->full_ = false;
      writable.push_back(id);
    }
  }
  for (int32_t id : writable) {
    Call* call = Find(id);
    if (call && call->handler_) call->handler_->OnWritable();
  }
}

// --- Keepalive ---

void Connection::ArmKeepalive() {
  if (keepalive_timer_ || options_.keepalive_interval.count() <= 0) return;
  const TimePoint due =
      ping_outstanding_ ? std::chrono::steady_clock::now() + options_.keepalive_timeout
                        : last_received_ + options_.keepalive_interval;
  keepalive_timer_ = reactor_->RunAt(due, [this] {
    auto self = shared_from_this();
    keepalive_timer_.reset();
    OnKeepalive();
  });
}

void Connection::OnKeepalive() {
  if (lost_ || calls_.empty()) return;
  const auto silent = std::chrono::steady_clock::now() - last_received_;
  if (ping_outstanding_) {
    if (silent >= options_.keepalive_timeout) {
      link_->Close();
      return Fail(LocalStatus(StatusCode::kUnavailable, "the peer answers no ping"));
    }
    ping_outstanding_ = false;
  } else if (silent >= options_.keepalive_interval) {
    ping_outstanding_ = true;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    Pump();
  }
  if (!lost_) ArmKeepalive();
}

}  // namespace arrowport::zerobus::rpc
