#include <algorithm>
#include <utility>

#include "base/error.h"
#include "wire/net/http1_state.h"

namespace arrowport::wire::net {
namespace {

namespace http = boost::beast::http;

constexpr size_t kChunkBytes = 1 << 20;

}  // namespace

// --- Answer ---

void Http1Session::OnNote(CallState& call) {
  if (&call != call_.get() || ending_ != Ending::kOpen) return;
  if (slot_.TakeGrant(call)) {
    input_ = parser_->is_done() ? Input::kDone : Input::kBody;
    StartCall();
    if (input_ == Input::kBody) FeedKept();
    return;
  }
  if (slot_.waiting()) return;
  TakeOutput();
  if (input_ == Input::kBody && call.input_failed()) {
    input_ = Input::kDiscard;
    keep_alive_ = false;
  }
}

void Http1Session::TakeOutput() {
  CallState::Output output = call_->TakeOutput();
  for (auto& buffer : output.slices) {
    slices_bytes_ += buffer->size();
    slices_.push_back({std::move(buffer)});
  }
  if (output.outcome) outcome_ = std::move(output.outcome);
  if (output.overflowed) {
    context_->Rejected("write_high");
    EndCall(Error(ErrorCode::kTimeout, "the peer reads too slowly"));
    ending_ = Ending::kClose;
    return;
  }
  if (output.head) {
    BeginAnswer(std::move(*output.head));
  } else if (outcome_ && answer_ == Answer::kNone) {
    BeginAnswer({});
  }
  if (output.aborted) {
    EndCall(Error(ErrorCode::kCancelled, "the answer was cut"));
    ending_ = Ending::kClose;
  }
  if (outcome_ && input_ == Input::kBody) {
    input_ = Input::kDiscard;
    kept_.clear();
  }
}

void Http1Session::BeginAnswer(ResponseHead head) {
  answer_ = Answer::kStreaming;
  if (input_ != Input::kDone || context_->draining) keep_alive_ = false;
  const auto& request = parser_->get();
  AnswerHeadContext answer;
  answer.version = request.version();
  answer.head_request = request.method() == http::verb::head;
  answer.whole_bytes = outcome_ ? std::optional<int64_t>(slices_bytes_) : std::nullopt;
  answer.keep_alive = keep_alive_;
  answer.request_id = call_->head().request_id;
  framing_ = AppendAnswerHead(answer, &head, &text_);
  if (framing_ == AnswerFraming::kUntilClose) keep_alive_ = false;
  length_left_ = head.content_length.value_or(0);
}

void Http1Session::Pack(OutQueue* out) {
  if (!text_.empty() && out->bytes() < kOutQueueBytes) {
    out->Copy(text_);
    text_.clear();
  }
  if (answer_ != Answer::kStreaming || ending_ == Ending::kClose) return;
  while (slices_bytes_ > 0 && out->bytes() < kOutQueueBytes) {
    if (framing_ != AnswerFraming::kChunked) {
      PackSlices(out, kChunkBytes);
      continue;
    }
    size_t size = std::min(static_cast<size_t>(slices_bytes_), kChunkBytes);
    out->Copy(ChunkHead(size));
    PackSlices(out, size);
    out->Copy("\r\n");
  }
  if (slices_bytes_ == 0 && outcome_) PackEnd(out);
}

size_t Http1Session::PackSlices(OutQueue* out, size_t bytes_max) {
  size_t packed = 0;
  while (packed < bytes_max && !slices_.empty()) {
    Slice& slice = slices_.front();
    auto size = static_cast<size_t>(slice.buffer->size() - slice.offset);
    size = std::min(size, bytes_max - packed);
    size_t sent = size;
    if (framing_ == AnswerFraming::kNone) sent = 0;
    if (framing_ == AnswerFraming::kLength) {
      sent = static_cast<size_t>(std::min<uint64_t>(size, length_left_));
      length_left_ -= sent;
    }
    if (sent > 0) out->Append(slice.buffer, slice.buffer->data() + slice.offset, sent);
    packed += size;
    slice.offset += static_cast<int64_t>(size);
    if (slice.offset == slice.buffer->size()) slices_.pop_front();
  }
  slices_bytes_ -= static_cast<int64_t>(packed);
  if (call_) call_->Taken(static_cast<int64_t>(packed));
  return packed;
}

void Http1Session::PackEnd(OutQueue* out) {
  answer_ = Answer::kPacked;
  if (framing_ == AnswerFraming::kChunked) out->Copy("0\r\n\r\n");
  // Fewer bytes than announced: only the end of the connection tells the peer.
  if (framing_ == AnswerFraming::kLength && length_left_ > 0) keep_alive_ = false;
}

void Http1Session::Refuse(Refusal refusal) {
  bool complete = input_ == Input::kDone || (parser_ && parser_->is_done());
  if (!complete || (refusal != Refusal::kNoRoute && refusal != Refusal::kOverloaded)) {
    keep_alive_ = false;
  }
  input_ = complete ? Input::kDone : Input::kDiscard;
  const RefusalFacts& facts = FactsOf(refusal);
  RequestHead none;
  const std::string id = call_ ? call_->head().request_id : RequestIdOf(none);
  std::string body = RefusalJson(refusal, id);
  ResponseHead head;
  head.status = facts.http_status;
  head.headers.emplace_back("content-type", "application/json");
  if (facts.retry_after_seconds) {
    head.headers.emplace_back("retry-after", std::to_string(*facts.retry_after_seconds));
  }
  AnswerHeadContext answer;
  answer.version = 11;
  answer.head_request = call_ && call_->head().method == "HEAD";
  answer.whole_bytes = static_cast<int64_t>(body.size());
  answer.keep_alive = keep_alive_;
  answer.request_id = id;
  AppendAnswerHead(answer, &head, &text_);
  if (!answer.head_request) text_ += body;
  EndCall(Error(ErrorCode::kInternal, "refused"));
  answer_ = Answer::kPacked;
}

void Http1Session::OnSent() {
  if (answer_ == Answer::kPacked) FinishExchange();
}

void Http1Session::FinishExchange() {
  if (framing_ == AnswerFraming::kLength && length_left_ > 0) {
    EndCall(Error(ErrorCode::kInternal, "the answer was shorter than announced"));
    ending_ = Ending::kClose;
    return;
  }
  EndCall(arrow::Status::OK());
  if (!keep_alive_ || peer_ended_ || context_->draining) {
    bool unread = input_ != Input::kDone || !kept_.empty();
    ending_ = unread ? Ending::kLinger : Ending::kClose;
    return;
  }
  call_.reset();
  parser_.reset();
  body_parser_.reset();
  body_bytes_max_.reset();
  body_bytes_ = 0;
  outcome_.reset();
  slices_.clear();
  slices_bytes_ = 0;
  framing_ = AnswerFraming::kNone;
  length_left_ = 0;
  answer_ = Answer::kNone;
  input_ = Input::kHead;
  reading_ = true;
  idle_since_ = std::chrono::steady_clock::now();
  FeedKept();
}

void Http1Session::Drain() {
  if (idle()) {
    ending_ = Ending::kClose;
  } else if (slot_.waiting()) {
    slot_.Drop();
    context_->Rejected("draining");
    Refuse(Refusal::kDraining);
  }
}

int Http1Session::Cut(const arrow::Status& status) {
  bool open = call_ && call_->attached() && !call_->ended();
  slot_.Drop();
  budget_.Stop();
  EndCall(status);
  return open ? 1 : 0;
}

}  // namespace arrowport::wire::net
