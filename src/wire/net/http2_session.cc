#include "wire/net/http2_session.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "wire/net/grpc_headers.h"
#include "wire/net/grpc_text.h"
#include "wire/net/http2_state.h"

namespace arrowport::wire::net {
namespace {

// A stream may send this much before its first message is admitted, and the larger
// window from then on: idle streams cannot hold much memory, busy ones run at full speed.
constexpr int32_t kFirstWindowBytes = 64 * 1024 - 1;
constexpr int64_t kStreamWindowBytesMax = 8 << 20;
constexpr int64_t kStreamWindowBytesMin = 256 * 1024;
constexpr int32_t kConnectionWindowBytes = 16 << 20;
constexpr uint32_t kFrameBytesMax = 1 << 20;
constexpr int64_t kRaiseWindowFromBytes = 16 * 1024;
constexpr int64_t kQueueHighBytes = 16 << 20;
constexpr uint32_t kStreamsMax = 1000;
// Header fields past this, decoded, end the connection: HPACK makes them nearly free for
// the peer.
constexpr size_t kHeaderBytesFatal = 1 << 20;

// The windows of all calls together are no more than the budget, so that what has arrived
// and waits for room at most doubles it.
int32_t StreamWindow(const ListenerOptions& options) {
  if (!options.budget) return kStreamWindowBytesMax;
  int64_t share = options.budget->limit_bytes() / options.requests_in_flight_max;
  return static_cast<int32_t>(
      std::clamp(share, kStreamWindowBytesMin, kStreamWindowBytesMax));
}

}  // namespace

// --- Set-up and callbacks ---

nghttp2_session_callbacks* Http2Session::Callbacks() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        return static_cast<Http2Session*>(self)->OnBeginHeaders(frame);
      });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
         size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void* self) {
        return static_cast<Http2Session*>(self)->OnHeader(
            frame, {reinterpret_cast<const char*>(name), name_size},
            {reinterpret_cast<const char*>(value), value_size});
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        return static_cast<Http2Session*>(self)->OnFrameReceived(frame);
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data,
                    size_t size, void* self) {
        return static_cast<Http2Session*>(self)->OnData(id, {data, size});
      });
  nghttp2_session_callbacks_set_on_frame_send_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        return static_cast<Http2Session*>(self)->OnFrameSent(frame);
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t error_code, void* self) {
        return static_cast<Http2Session*>(self)->OnStreamClosed(id, error_code);
      });
  nghttp2_session_callbacks_set_send_data_callback(
      callbacks, [](nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head,
                    size_t length, nghttp2_data_source* source, void* self) {
        return static_cast<Http2Session*>(self)->OnSendSlices(
            static_cast<Stream*>(source->ptr), frame_head, length);
      });
  nghttp2_session_callbacks_set_data_source_read_length_callback(
      callbacks,
      [](nghttp2_session*, uint8_t, int32_t, int32_t, int32_t, uint32_t remote_frame_max,
         void*) -> ssize_t {
        return static_cast<ssize_t>(std::min(remote_frame_max, kFrameBytesMax));
      });
  return callbacks;
}

Http2Session::Http2Session(Connection* connection)
    : connection_(connection),
      thread_(connection->thread()),
      context_(thread_->context()),
      queue_high_bytes_(std::min(kQueueHighBytes, context_->options.request_memory_max)),
      stream_window_bytes_(StreamWindow(context_->options)),
      opened_(std::chrono::steady_clock::now()),
      idle_since_(opened_) {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, kStreamsMax);
  nghttp2_session_callbacks* callbacks = Callbacks();
  nghttp2_session_server_new2(&session_, callbacks, this, option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kFirstWindowBytes},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameBytesMax},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderBytesMax}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        kConnectionWindowBytes);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

Http2Stream* Http2Session::Find(int32_t id) {
  auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : it->second.get();
}

void Http2Session::OnBytes(std::span<const uint8_t> bytes) {
  if (closing_) return;
  ssize_t used = nghttp2_session_mem_recv(session_, bytes.data(), bytes.size());
  FinishTurn();
  if (used < 0) Terminate(NGHTTP2_PROTOCOL_ERROR, "http2_protocol");
}

int Http2Session::OnBeginHeaders(const nghttp2_frame* frame) {
  headers_since_ = std::chrono::steady_clock::now();
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  int32_t id = frame->hd.stream_id;
  auto stream = std::make_unique<Stream>(id, context_);
  stream->head.protocol = Protocol::kGrpc;
  stream->head.peer = connection_->peer();
  streams_[id] = std::move(stream);
  return 0;
}

int Http2Session::OnHeader(const nghttp2_frame* frame, std::string_view name,
                           std::string_view value) {
  Stream* stream = Find(frame->hd.stream_id);
  if (!stream) return 0;
  stream->header_bytes += name.size() + value.size() + 32;
  if (stream->header_bytes > kHeaderBytesFatal) return NGHTTP2_ERR_CALLBACK_FAILURE;
  if (stream->header_bytes > kHeaderBytesMax || stream->call) return 0;
  if (name == ":path") {
    size_t mark = value.find('?');
    stream->head.path = value.substr(0, mark);
    if (mark != std::string_view::npos) stream->head.query = value.substr(mark + 1);
  } else if (name == ":method") {
    stream->head.method = value;
  } else if (name == ":authority") {
    stream->head.headers.emplace_back("host", value);
  } else if (name[0] != ':') {
    stream->metadata_ok &= AppendMetadata(name, value, &stream->head.headers);
  }
  return 0;
}

int Http2Session::OnFrameReceived(const nghttp2_frame* frame) {
  bool control = false;
  bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  Stream* stream = Find(frame->hd.stream_id);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      headers_since_ = {};
      if (!stream) break;
      if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) BeginRequest(*stream);
      if (ends) OnRemoteEnd(*stream);
      break;
    case NGHTTP2_DATA:
      control = frame->hd.length == 0 && !ends;
      if (stream && ends) OnRemoteEnd(*stream);
      break;
    case NGHTTP2_SETTINGS:
      settings_received_ = true;
      control = (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
      break;
    case NGHTTP2_PING:
      control = (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
      if (!control) ping_outstanding_ = false;
      break;
    case NGHTTP2_PRIORITY:
      control = true;
      break;
    default:
      break;
  }
  if (control && !control_rate_.Take(connection_->last_received())) {
    Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "http2_flood");
  }
  return 0;
}

int Http2Session::OnData(int32_t id, std::span<const uint8_t> bytes) {
  nghttp2_session_consume_connection(session_, bytes.size());
  Stream* stream = Find(id);
  if (!stream) return 0;
  stream->withheld_bytes += bytes.size();
  stream->rate_bytes += static_cast<int64_t>(bytes.size());
  if (!stream->touched) {
    stream->touched = true;
    touched_.push_back(id);
  }
  if (stream->discard) return 0;
  if (!stream->cutter || !stream->stash.empty()) {
    Stash(*stream, bytes);
  } else {
    Feed(*stream, bytes);
  }
  return 0;
}

void Http2Session::FinishTurn() {
  for (int32_t id : touched_) {
    Stream* stream = Find(id);
    if (!stream) continue;
    stream->touched = false;
    if (stream->call) stream->call->Deliver(&stream->ready);
    GiveCredit(*stream);
  }
  touched_.clear();
}

int Http2Session::OnFrameSent(const nghttp2_frame* frame) {
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  // As in gRPC: a peer may ping more often while we send to it.
  control_rate_.Refill();
  Stream* stream = Find(frame->hd.stream_id);
  if (!stream || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  stream->answer_sent = true;
  if (stream->call) stream->call->End(arrow::Status::OK());
  if (!stream->remote_ended) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

int Http2Session::OnStreamClosed(int32_t id, uint32_t error_code) {
  auto it = streams_.find(id);
  if (it == streams_.end()) return 0;
  Stream& stream = *it->second;
  bool answered = stream.answer_sent;
  if (stream.call && !answered) {
    stream.call->End(
        Error(ErrorCode::kCancelled, "the peer ended the call"),
        error_code == NGHTTP2_CANCEL ? PeerEnd::kCancel : PeerEnd::kReset);
  }
  streams_.erase(it);
  if (streams_.empty()) idle_since_ = std::chrono::steady_clock::now();
  if (!answered && !reset_rate_.Take(std::chrono::steady_clock::now())) {
    Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "http2_flood");
  }
  return 0;
}

// --- Request ---

std::optional<Refusal> Http2Session::CheckRequest(Stream& stream) {
  const RequestHead& head = stream.head;
  if (stream.header_bytes > kHeaderBytesMax) return Refusal::kHeaderTooLarge;
  const std::string* type = head.Header("content-type");
  if (!type || !type->starts_with("application/grpc")) {
    stream.plain_http = true;
    return Refusal::kUnsupportedMediaType;
  }
  if (head.method != "POST") {
    stream.plain_http = true;
    return Refusal::kMethodNotAllowed;
  }
  if (!stream.metadata_ok) return Refusal::kMalformed;
  if (const std::string* timeout = head.Header("grpc-timeout")) {
    auto duration = ParseGrpcTimeout(*timeout);
    if (!duration) return Refusal::kMalformed;
    stream.deadline =
        std::chrono::steady_clock::now() +
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(*duration);
  }
  if (const std::string* encoding = head.Header("grpc-encoding")) {
    auto codec = ParseMessageCodec(*encoding);
    if (!codec) return Refusal::kMessageCodec;
    stream.codec = *codec;
  }
  if (context_->draining) {
    context_->Rejected("draining");
    return Refusal::kDraining;
  }
  return std::nullopt;
}

void Http2Session::BeginRequest(Stream& stream) {
  stream.head.request_id = RequestIdOf(stream.head);
  stream.last_progress = connection_->last_received();
  auto refusal = CheckRequest(stream);
  stream.call =
      std::make_shared<CallState>(thread_->environment(), std::move(stream.head));
  stream.call->connection = connection_->weak_from_this();
  stream.call->stream_id = stream.id;
  if (refusal) {
    Refuse(stream, *refusal);
    return;
  }
  switch (stream.slot.Acquire(stream.call, thread_->environment()->notes,
                              stream.last_progress)) {
    case CallSlots::Answer::kTaken:
      StartCall(stream);
      break;
    case CallSlots::Answer::kQueued:
      break;
    case CallSlots::Answer::kRefused:
      context_->Rejected("requests_in_flight_max");
      Refuse(stream, Refusal::kOverloaded);
      break;
  }
}

void Http2Session::StartCall(Stream& stream) {
  Route route = context_->options.router->OnRequest(stream.call->head(), stream.call);
  if (!route.handler) {
    stream.slot.Drop();
    Refuse(stream, Refusal::kNoRoute);
    return;
  }
  stream.cutter.emplace(route.format, context_->options.message_bytes_max,
                        context_->pool);
  stream.call->Attach(std::move(route.handler), route.format, stream.codec,
                      stream.slot.Detach());
  TakeOutput(stream);
}

void Http2Session::Feed(Stream& stream, std::span<const uint8_t> bytes) {
  while (true) {
    auto used = stream.cutter->Feed(bytes, &stream.ready);
    if (!used.ok()) {
      FailBody(stream, used.status());
      return;
    }
    bytes = bytes.subspan(*used);
    if (!stream.cutter->awaiting_admission()) return;
    if (!MayAdmit(stream)) {
      Stash(stream, bytes);
      return;
    }
    RaiseWindow(stream);
    ++stream.messages_admitted;
    stream.rate_since = connection_->last_received();
    stream.rate_bytes = 0;
    stream.cutter->Admit();
  }
}

void Http2Session::FeedStash(Stream& stream) {
  if (!stream.cutter) return;
  std::vector<uint8_t> bytes = std::exchange(stream.stash, {});
  Feed(stream, bytes);
  stream.call->Deliver(&stream.ready);
  if (stream.remote_ended) OnRemoteEnd(stream);
}

bool Http2Session::MayAdmit(Stream& stream) {
  int64_t size = stream.cutter->message_bytes();
  // What is cut but not handed over counts too, so hand it over first.
  stream.call->Deliver(&stream.ready);
  int64_t room = std::max<int64_t>(0, context_->options.request_memory_max - size);
  if (stream.call->NoteBelow(room)) return false;
  return stream.budget.Allows(stream.call, thread_->environment()->notes);
}

void Http2Session::RaiseWindow(Stream& stream) {
  if (stream.window_raised) return;
  if (stream.messages_admitted == 0 &&
      stream.cutter->message_bytes() < kRaiseWindowFromBytes) {
    return;
  }
  stream.window_raised = true;
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream.id,
                                        stream_window_bytes_);
}

void Http2Session::OnRemoteEnd(Stream& stream) {
  stream.remote_ended = true;
  if (stream.discard || stream.end_delivered || !stream.cutter) return;
  if (!stream.stash.empty() || stream.cutter->awaiting_admission()) return;
  if (!stream.cutter->at_boundary()) {
    FailBody(stream,
             Error(ErrorCode::kIncompleteStream, "the request ends within a message"));
    return;
  }
  stream.end_delivered = true;
  stream.call->Deliver(&stream.ready);
  stream.call->DeliverEnd();
}

void Http2Session::DropBody(Stream& stream) {
  stream.discard = true;
  stream.cutter.reset();
  stream.stash = {};
  stream.budget.Stop();
  GiveCredit(stream);
}

void Http2Session::FailBody(Stream& stream, arrow::Status status) {
  stream.call->Deliver(&stream.ready);
  stream.call->DeliverBodyError(std::move(status));
  DropBody(stream);
}

bool Http2Session::MayCredit(Stream& stream) {
  if (stream.discard) return true;
  if (!stream.cutter || stream.cutter->awaiting_admission()) return false;
  if (stream.call->reading_paused()) return false;
  int64_t mark = stream.credit_stopped ? queue_high_bytes_ / 2 : queue_high_bytes_;
  if (stream.call->undelivered_bytes() > mark &&
      stream.call->NoteBelow(queue_high_bytes_ / 2)) {
    stream.credit_stopped = true;
    return false;
  }
  stream.credit_stopped = false;
  // An admitted message is paid for: holding it up would only keep its memory longer.
  if (stream.cutter->within_message()) return true;
  return stream.budget.Allows(stream.call, thread_->environment()->notes);
}

void Http2Session::GiveCredit(Stream& stream) {
  if (stream.withheld_bytes == 0 || !MayCredit(stream)) return;
  nghttp2_session_consume_stream(session_, stream.id, stream.withheld_bytes);
  stream.withheld_bytes = 0;
}

std::unique_ptr<Session> MakeHttp2Session(Connection* connection) {
  return std::make_unique<Http2Session>(connection);
}

}  // namespace arrowport::wire::net
