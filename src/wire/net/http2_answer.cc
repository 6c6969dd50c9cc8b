#include <algorithm>
#include <utility>

#include "base/error.h"
#include "wire/net/grpc_headers.h"
#include "wire/net/http2_state.h"

namespace arrowport::wire::net {
namespace {

constexpr std::chrono::milliseconds kGoawayDelay{100};
constexpr int kGrpcDeadlineExceeded = 4;

}  // namespace

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
  if (output.breakage) Break(stream, *output.breakage);
}

void Http2Session::Break(Stream& stream, const Breakage& breakage) {
  if (breakage.kind == Breakage::Kind::kStreamReset) {
    ResetStream(stream, breakage.http2_code,
                Error(ErrorCode::kCancelled, "the stream was reset on purpose"));
    return;
  }
  if (breakage.kind == Breakage::Kind::kGoaway) {
    goaway_sent_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_),
                          breakage.http2_code, nullptr, 0);
    return;
  }
  connection_->Break(breakage, stream.id);
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
    stream->call->End(status, PeerEnd::kGone);
  }
  return open;
}

}  // namespace arrowport::wire::net
