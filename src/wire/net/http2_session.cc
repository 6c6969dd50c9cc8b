#include "wire/net/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "wire/net/grpc_headers.h"
#include "wire/net/grpc_text.h"
#include "wire/net/http2_stream.h"
#include "wire/net/io_thread.h"
#include "wire/net/refusal.h"

namespace arrowport::wire::net {
namespace {

// A stream may send this much before its first message is admitted, and the larger
// window from then on: idle streams cannot hold much memory, busy ones run at full speed.
constexpr int32_t kFirstWindowBytes = 64 * 1024 - 1;
constexpr int32_t kStreamWindowBytes = 8 << 20;
constexpr int32_t kConnectionWindowBytes = 16 << 20;
constexpr uint32_t kFrameBytesMax = 1 << 20;
constexpr int64_t kRaiseWindowFromBytes = 16 * 1024;
constexpr int64_t kQueueHighBytes = 16 << 20;
constexpr uint32_t kStreamsMax = 1000;
// Header fields past this, decoded, end the connection: HPACK makes them nearly free for
// the peer.
constexpr size_t kHeaderBytesFatal = 1 << 20;
constexpr std::chrono::milliseconds kGoawayDelay{100};
constexpr int kGrpcDeadlineExceeded = 4;

class Http2Session final : public Session {
 public:
  explicit Http2Session(Connection* connection);
  ~Http2Session() override;

  Protocol protocol() const override { return Protocol::kGrpc; }
  void OnBytes(std::span<const uint8_t> bytes) override;
  void OnPeerEnd() override { closing_ = true; }
  bool wants_read() override { return !closing_; }
  size_t read_bytes() const override { return IoThread::kScratchBytes; }
  void Pack(OutQueue* out) override;
  void OnSent() override {}
  Ending ending() const override;
  void OnNote(CallState& call) override;
  void OnTick(TimePoint now) override;
  void Drain() override;
  int Cut(const arrow::Status& status) override;
  bool idle() const override { return streams_.empty(); }

 private:
  using Stream = Http2Stream;

  // Callbacks of nghttp2.
  static nghttp2_session_callbacks* Callbacks();
  int OnBeginHeaders(const nghttp2_frame* frame);
  int OnHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value);
  int OnFrameReceived(const nghttp2_frame* frame);
  int OnData(int32_t id, std::span<const uint8_t> bytes);
  int OnFrameSent(const nghttp2_frame* frame);
  int OnStreamClosed(int32_t id, uint32_t error_code);
  ssize_t OnReadSlices(Stream* stream, size_t length, uint32_t* flags);
  int OnSendSlices(Stream* stream, const uint8_t* frame_head, size_t length);

  // Request.
  Stream* Find(int32_t id);
  void BeginRequest(Stream& stream);
  std::optional<Refusal> CheckRequest(Stream& stream);
  void StartCall(Stream& stream);
  void Feed(Stream& stream, std::span<const uint8_t> bytes);
  void FeedStash(Stream& stream);
  bool MayAdmit(Stream& stream);
  void RaiseWindow(Stream& stream);
  void OnRemoteEnd(Stream& stream);
  void FailBody(Stream& stream, arrow::Status status);
  void DropBody(Stream& stream);
  void GiveCredit(Stream& stream);
  bool MayCredit(Stream& stream);
  void FinishTurn();

  // Answer.
  void TakeOutput(Stream& stream);
  void SubmitHead(Stream& stream, const ResponseHead& head);
  void SubmitOutcomeOnly(Stream& stream);
  void SubmitTrailers(Stream& stream);
  void Resume(Stream& stream);
  void Refuse(Stream& stream, Refusal refusal);
  void RefusePlain(Stream& stream, Refusal refusal);
  void ResetStream(Stream& stream, uint32_t error_code, arrow::Status status);

  void TickStream(Stream& stream, TimePoint now);
  void TickConnection(TimePoint now);
  void Terminate(uint32_t error_code, std::string_view reason);
  void UpdateSoon() { thread_->UpdateSoon(connection_->shared_from_this()); }

  Connection* const connection_;
  IoThread* const thread_;
  const std::shared_ptr<ListenerContext> context_;
  const int64_t queue_high_bytes_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<int32_t> touched_;
  OutQueue* packing_ = nullptr;
  bool closing_ = false;
  bool settings_received_ = false;
  bool ping_outstanding_ = false;
  bool draining_ = false;
  bool goaway_sent_ = false;
  RateLimit control_rate_{500, 50};  ///< PING, SETTINGS, PRIORITY, empty DATA
  RateLimit reset_rate_{1000, 100};  ///< streams that end unanswered
  TimePoint opened_;
  TimePoint idle_since_;
  TimePoint headers_since_{};
  TimePoint ping_sent_{};
  TimePoint drain_since_{};
};

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
    stream->stash.Append(bytes);
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
    stream.call->End(Error(ErrorCode::kCancelled, "the peer ended the call"));
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
      stream.stash.Append(bytes);
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
  std::vector<uint8_t> bytes = stream.stash.Take();
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
                                        kStreamWindowBytes);
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
  stream.stash.Take();
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

// --- Answer ---

void Http2Session::OnNote(CallState& call) {
  Stream* stream = Find(call.stream_id);
  if (!stream || stream->call.get() != &call || closing_) return;
  if (stream->slot.TakeGrant(call)) {
    StartCall(*stream);
    FeedStash(*stream);
  } else if (stream->slot.waiting()) {
    return;
  } else {
    TakeOutput(*stream);
    if (call.input_failed() && !stream->discard) DropBody(*stream);
    if (stream->cutter &&
        (!stream->stash.empty() || stream->cutter->awaiting_admission())) {
      FeedStash(*stream);
    }
  }
  GiveCredit(*stream);
}

void Http2Session::TakeOutput(Stream& stream) {
  CallState::Output output = stream.call->TakeOutput();
  if (stream.outcome || stream.answer_sent) return;
  if (!output.slices.empty() && stream.slices.empty()) {
    stream.last_progress = std::chrono::steady_clock::now();
  }
  for (auto& buffer : output.slices) {
    stream.slices_bytes += static_cast<size_t>(buffer->size());
    stream.slices.push_back({std::move(buffer)});
  }
  if (output.overflowed) {
    context_->Rejected("write_high");
    ResetStream(stream, NGHTTP2_ENHANCE_YOUR_CALM,
                Error(ErrorCode::kTimeout, "the peer reads too slowly"));
    return;
  }
  if (output.aborted) {
    ResetStream(stream, NGHTTP2_INTERNAL_ERROR,
                Error(ErrorCode::kCancelled, "the answer was cut"));
    return;
  }
  if (output.outcome) stream.outcome = std::move(output.outcome);
  if (output.head) {
    SubmitHead(stream, *output.head);
  } else if (stream.outcome && !stream.head_submitted) {
    SubmitOutcomeOnly(stream);
  }
  if (stream.outcome && !stream.discard) DropBody(stream);
  Resume(stream);
}

void Http2Session::Resume(Stream& stream) {
  if (!stream.deferred || (stream.slices_bytes == 0 && !stream.outcome)) return;
  stream.deferred = false;
  nghttp2_session_resume_data(session_, stream.id);
}

void Http2Session::SubmitHead(Stream& stream, const ResponseHead& head) {
  HeaderBlock block;
  std::string status = std::to_string(stream.plain_http ? head.status : 200);
  block.Add(":status", status);
  block.Add("content-type", stream.plain_http ? "application/json" : "application/grpc");
  if (!stream.plain_http) block.Add("grpc-accept-encoding", kGrpcAcceptEncoding);
  block.Add("x-request-id", stream.call->head().request_id);
  block.AddMetadata(head.headers);
  nghttp2_data_provider provider;
  provider.source.ptr = &stream;
  provider.read_callback = [](nghttp2_session*, int32_t, uint8_t*, size_t length,
                              uint32_t* flags, nghttp2_data_source* source,
                              void* self) -> ssize_t {
    return static_cast<Http2Session*>(self)->OnReadSlices(
        static_cast<Stream*>(source->ptr), length, flags);
  };
  stream.head_submitted = true;
  const auto& entries = block.entries();
  nghttp2_submit_response(session_, stream.id, entries.data(), entries.size(), &provider);
}

void Http2Session::SubmitOutcomeOnly(Stream& stream) {
  HeaderBlock block;
  block.Add(":status", "200");
  block.Add("content-type", "application/grpc");
  block.Add("grpc-accept-encoding", kGrpcAcceptEncoding);
  block.Add("x-request-id", stream.call->head().request_id);
  block.AddOutcome(*stream.outcome);
  stream.head_submitted = true;
  stream.trailers_submitted = true;
  const auto& entries = block.entries();
  nghttp2_submit_response(session_, stream.id, entries.data(), entries.size(), nullptr);
}

void Http2Session::SubmitTrailers(Stream& stream) {
  if (std::exchange(stream.trailers_submitted, true)) return;
  HeaderBlock block;
  block.AddOutcome(*stream.outcome);
  const auto& entries = block.entries();
  nghttp2_submit_trailer(session_, stream.id, entries.data(), entries.size());
}

ssize_t Http2Session::OnReadSlices(Stream* stream, size_t length, uint32_t* flags) {
  if (stream->slices_bytes == 0 && !stream->outcome) {
    stream->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  size_t size = std::min(length, stream->slices_bytes);
  if (size == stream->slices_bytes && stream->outcome) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream->plain_http) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      SubmitTrailers(*stream);
    }
  }
  return static_cast<ssize_t>(size);
}

int Http2Session::OnSendSlices(Stream* stream, const uint8_t* frame_head, size_t length) {
  if (packing_->bytes() >= kOutQueueBytes) return NGHTTP2_ERR_WOULDBLOCK;
  packing_->Copy({frame_head, 9});
  size_t left = length;
  while (left > 0) {
    Stream::Slice& slice = stream->slices.front();
    auto size = static_cast<size_t>(slice.buffer->size() - slice.offset);
    size = std::min(size, left);
    packing_->Append(slice.buffer, slice.buffer->data() + slice.offset, size);
    left -= size;
    slice.offset += static_cast<int64_t>(size);
    if (slice.offset == slice.buffer->size()) stream->slices.pop_front();
  }
  stream->slices_bytes -= length;
  stream->last_progress = std::chrono::steady_clock::now();
  stream->call->Taken(static_cast<int64_t>(length));
  return 0;
}

void Http2Session::Refuse(Stream& stream, Refusal refusal) {
  stream.call->End(Error(ErrorCode::kInternal, "refused"));
  if (stream.plain_http) {
    RefusePlain(stream, refusal);
  } else {
    const RefusalFacts& facts = FactsOf(refusal);
    Outcome outcome{facts.grpc_status, std::string(facts.message), {}};
    if (facts.retry_after_seconds) {
      int seconds = *facts.retry_after_seconds;
      outcome.trailers.emplace_back("retry-after", std::to_string(seconds));
      outcome.trailers.emplace_back("grpc-retry-pushback-ms",
                                    std::to_string(seconds * 1000));
    }
    stream.outcome = std::move(outcome);
    SubmitOutcomeOnly(stream);
  }
  DropBody(stream);
}

void Http2Session::RefusePlain(Stream& stream, Refusal refusal) {
  std::string json = RefusalJson(refusal, stream.call->head().request_id);
  stream.slices_bytes = json.size();
  stream.slices.push_back({arrow::Buffer::FromString(std::move(json))});
  stream.outcome.emplace();
  ResponseHead head;
  head.status = FactsOf(refusal).http_status;
  SubmitHead(stream, head);
}

void Http2Session::ResetStream(Stream& stream, uint32_t error_code,
                               arrow::Status status) {
  stream.call->End(std::move(status));
  stream.answer_sent = true;
  DropBody(stream);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error_code);
}

void Http2Session::Pack(OutQueue* out) {
  packing_ = out;
  while (out->bytes() < kOutQueueBytes) {
    const uint8_t* bytes = nullptr;
    ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) closing_ = true;
    if (size <= 0) break;
    out->Copy({bytes, static_cast<size_t>(size)});
  }
  packing_ = nullptr;
}

Session::Ending Http2Session::ending() const {
  bool over =
      closing_ || (goaway_sent_ && streams_.empty()) ||
      (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_));
  return over ? Ending::kClose : Ending::kOpen;
}

// --- Time and ends ---

void Http2Session::Terminate(uint32_t error_code, std::string_view reason) {
  if (closing_) return;
  closing_ = true;
  context_->Rejected(reason);
  nghttp2_session_terminate_session(session_, error_code);
  UpdateSoon();
}

void Http2Session::TickStream(Stream& stream, TimePoint now) {
  const ListenerOptions& options = context_->options;
  if (stream.answer_sent) return;
  if (stream.slot.expired(now)) {
    stream.slot.Drop();
    context_->Rejected("requests_in_flight_max");
    Refuse(stream, Refusal::kOverloaded);
    return;
  }
  if (stream.deadline && now > *stream.deadline && !stream.outcome) {
    stream.slot.Drop();
    stream.call->End(Error(ErrorCode::kTimeout, "the call's deadline has passed"));
    stream.slices.clear();
    stream.slices_bytes = 0;
    stream.outcome = Outcome{kGrpcDeadlineExceeded, "the call's deadline has passed", {}};
    if (!stream.head_submitted) SubmitOutcomeOnly(stream);
    Resume(stream);
    DropBody(stream);
    return;
  }
  if (stream.cutter && stream.cutter->awaiting_admission() &&
      stream.budget.expired(now, stream.call->undelivered_bytes())) {
    context_->Rejected("ingest_memory_max");
    FailBody(stream,
             MakeError(ErrorCode::kOverloaded,
                       "the server's memory for requests is full, try again later", 1));
    return;
  }
  if (!stream.cutter || !stream.cutter->within_message() || stream.withheld_bytes > 0) {
    stream.rate_since = now;
    stream.rate_bytes = 0;
  } else if (now - stream.rate_since >= options.body_rate_window) {
    double seconds = std::chrono::duration<double>(now - stream.rate_since).count();
    bool slow = static_cast<double>(stream.rate_bytes) <
                seconds * static_cast<double>(options.body_rate_min_bytes);
    stream.rate_since = now;
    stream.rate_bytes = 0;
    if (slow) {
      context_->Rejected("body_rate_min");
      FailBody(stream, Error(ErrorCode::kTimeout, "the rest of a message did not come"));
      return;
    }
  }
  if (stream.slices_bytes > 0 &&
      now - stream.last_progress > options.write_stall_timeout) {
    context_->Rejected("write_stall");
    ResetStream(stream, NGHTTP2_CANCEL,
                Error(ErrorCode::kTimeout, "the peer does not read its answer"));
  }
}

void Http2Session::TickConnection(TimePoint now) {
  const ListenerOptions& options = context_->options;
  bool slow_head =
      (!settings_received_ && now - opened_ > options.header_timeout) ||
      (headers_since_ != TimePoint{} && now - headers_since_ > options.header_timeout);
  if (slow_head) {
    Terminate(NGHTTP2_ENHANCE_YOUR_CALM, "header_timeout");
  } else if (draining_ && !goaway_sent_ && now - drain_since_ >= kGoawayDelay) {
    goaway_sent_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
  } else if (streams_.empty() && now - idle_since_ > options.idle_timeout) {
    closing_ = true;
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  } else if (streams_.empty()) {
    ping_outstanding_ = false;
  } else if (!ping_outstanding_ &&
             now - connection_->last_received() > options.keepalive_interval) {
    ping_outstanding_ = true;
    ping_sent_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  } else if (ping_outstanding_ && now - ping_sent_ > options.keepalive_interval) {
    Terminate(NGHTTP2_NO_ERROR, "keepalive");
  }
}

void Http2Session::OnTick(TimePoint now) {
  if (closing_) return;
  std::vector<int32_t> ids;
  for (auto& [id, stream] : streams_) ids.push_back(id);
  for (int32_t id : ids) {
    if (Stream* stream = Find(id)) TickStream(*stream, now);
  }
  TickConnection(now);
  if (nghttp2_session_want_write(session_) || closing_) UpdateSoon();
}

void Http2Session::Drain() {
  if (std::exchange(draining_, true)) return;
  drain_since_ = std::chrono::steady_clock::now();
  nghttp2_submit_shutdown_notice(session_);
  for (auto& [id, stream] : streams_) {
    if (!stream->slot.waiting()) continue;
    stream->slot.Drop();
    Refuse(*stream, Refusal::kDraining);
  }
}

int Http2Session::Cut(const arrow::Status& status) {
  int open = 0;
  closing_ = true;
  for (auto& [id, stream] : streams_) {
    stream->slot.Drop();
    stream->budget.Stop();
    if (!stream->call) continue;
    if (stream->call->attached() && !stream->call->ended()) ++open;
    stream->call->End(status);
  }
  return open;
}

}  // namespace

std::unique_ptr<Session> MakeHttp2Session(Connection* connection) {
  return std::make_unique<Http2Session>(connection);
}

}  // namespace arrowport::wire::net
