#include "wire/net/http1_session.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/parser.hpp>
#include <deque>
#include <utility>

#include "base/error.h"
#include "wire/net/http1_head.h"
#include "wire/net/io_thread.h"
#include "wire/net/refusal.h"
#include "wire/net/waits.h"

namespace arrowport::wire::net {
namespace {

namespace http = boost::beast::http;

constexpr size_t kHeadReadBytes = 16 * 1024;
constexpr size_t kChunkHeadBytesMax = 16 * 1024;
constexpr size_t kChunkBytes = 1 << 20;
// A peer that ends its sending side after a whole request may still read; one that shows
// no other sign of life for this long while nothing was sent to it is taken for gone.
constexpr std::chrono::seconds kHalfClosedGrace{5};

/// Takes body bytes out of the parser as they lie in the receive buffer.
class BodySink {
 public:
  virtual ~BodySink() = default;
  /// False stops the parser.
  virtual bool OnBody(std::span<const uint8_t> bytes) = 0;
};

struct SpanBody {
  using value_type = BodySink*;
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& sink) : sink_(sink) {}
    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) {
      error = {};
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      size_t total = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        boost::asio::const_buffer piece(*it);
        total += piece.size();
        if (!sink_->OnBody({static_cast<const uint8_t*>(piece.data()), piece.size()})) {
          error = http::error::unexpected_body;
          return total;
        }
      }
      return total;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    BodySink* sink_;
  };
};

using Parser = http::request_parser<SpanBody>;

class Http1Session final : public Session, private BodySink {
 public:
  explicit Http1Session(Connection* connection)
      : connection_(connection),
        thread_(connection->thread()),
        context_(thread_->context()),
        slot_(context_),
        budget_(context_),
        idle_since_(std::chrono::steady_clock::now()) {}

  Protocol protocol() const override { return Protocol::kHttp1; }
  void OnBytes(std::span<const uint8_t> bytes) override;
  size_t TakeLeftover(std::span<uint8_t> into) override;
  void OnPeerEnd() override;
  bool wants_read() override;
  size_t read_bytes() const override {
    return input_ == Input::kBody || input_ == Input::kDiscard ? IoThread::kScratchBytes
                                                               : kHeadReadBytes;
  }
  void Pack(OutQueue* out) override;
  void OnSent() override;
  Ending ending() const override { return ending_; }
  void OnNote(CallState& call) override;
  void OnTick(TimePoint now) override;
  void Drain() override;
  int Cut(const arrow::Status& status) override;
  bool idle() const override { return input_ == Input::kHead && kept_.empty(); }

 private:
  enum class Input {
    kHead,
    kSlot,  ///< waiting for a slot; nothing of the body is looked at
    kBody,
    kDone,     ///< whole request taken; what follows waits for the answer
    kDiscard,  ///< the rest is of no use
  };
  enum class Answer { kNone, kStreaming, kPacked };
  struct Slice {
    std::shared_ptr<arrow::Buffer> buffer;
    int64_t offset = 0;
  };

  // Request.
  size_t FeedHead(std::span<const uint8_t> bytes);
  void OnHead();
  std::optional<Refusal> CheckHead() const;
  void StartCall();
  size_t FeedBody(std::span<const uint8_t> bytes);
  bool OnBody(std::span<const uint8_t> bytes) override;
  void DeliverMessages();
  void EndBody();
  void FailBody(arrow::Status status);
  void TickBody(TimePoint now);
  bool MayReadBody();
  /// Feeds again what was kept while the session could not use it.
  void FeedKept();

  // Answer.
  void TakeOutput();
  void BeginAnswer(ResponseHead head);
  size_t PackSlices(OutQueue* out, size_t bytes_max);
  void PackEnd(OutQueue* out);
  void Refuse(Refusal refusal);
  void FinishExchange();
  void EndCall(arrow::Status status) {
    if (call_) call_->End(std::move(status));
  }

  Connection* const connection_;
  IoThread* const thread_;
  const std::shared_ptr<ListenerContext> context_;

  std::optional<Parser> parser_;
  std::string kept_;
  Input input_ = Input::kHead;
  std::shared_ptr<CallState> call_;
  SlotWait slot_;
  BudgetWait budget_;
  std::unique_ptr<BodyParser> body_parser_;
  std::optional<int64_t> body_bytes_max_;
  int64_t body_bytes_ = 0;
  arrow::Status body_status_;
  std::vector<Message> messages_;
  std::vector<Inbound> inbound_;
  bool keep_alive_ = true;
  bool reading_ = true;  ///< what wants_read said last, for the rate
  bool peer_ended_ = false;
  TimePoint idle_since_;
  TimePoint head_since_{};
  TimePoint rate_since_{};
  int64_t rate_bytes_ = 0;
  TimePoint peer_ended_since_{};

  std::string text_;  ///< to be sent before the slices
  std::deque<Slice> slices_;
  int64_t slices_bytes_ = 0;
  Answer answer_ = Answer::kNone;
  AnswerFraming framing_ = AnswerFraming::kNone;
  uint64_t length_left_ = 0;
  std::optional<Outcome> outcome_;
  Ending ending_ = Ending::kOpen;
};

// --- Request ---

size_t Http1Session::TakeLeftover(std::span<uint8_t> into) {
  if (input_ != Input::kHead && input_ != Input::kBody) return 0;
  size_t size = std::min(kept_.size(), into.size());
  std::copy_n(kept_.data(), size, into.data());
  kept_.clear();
  return size;
}

bool Http1Session::wants_read() {
  if (ending_ != Ending::kOpen) return false;
  switch (input_) {
    case Input::kHead:
    case Input::kDiscard:
      return true;
    case Input::kSlot:
    case Input::kDone:
      return kept_.size() < kHeadReadBytes;  // to learn of a peer that goes away
    case Input::kBody:
      break;
  }
  bool may_read = MayReadBody();
  if (may_read && !reading_) {
    rate_since_ = std::chrono::steady_clock::now();
    rate_bytes_ = 0;
  }
  reading_ = may_read;
  return may_read;
}

bool Http1Session::MayReadBody() {
  if (call_->reading_paused()) return false;
  int64_t limit = context_->options.request_memory_max;
  int64_t undelivered = call_->undelivered_bytes();
  if (undelivered > limit && call_->NoteBelow(limit / 2)) return false;
  if (body_parser_->expected_bytes() > 0) return true;
  return budget_.Allows(call_, thread_->environment()->notes);
}

void Http1Session::OnBytes(std::span<const uint8_t> bytes) {
  while (!bytes.empty() && ending_ == Ending::kOpen) {
    size_t used = 0;
    if (input_ == Input::kHead) {
      used = FeedHead(bytes);
    } else if (input_ == Input::kBody) {
      used = FeedBody(bytes);
    } else if (input_ == Input::kDiscard) {
      used = bytes.size();
    }
    if (used == 0) break;
    bytes = bytes.subspan(used);
  }
  if (ending_ == Ending::kOpen) {
    kept_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

void Http1Session::FeedKept() {
  if (kept_.empty()) return;
  std::string kept = std::exchange(kept_, {});
  OnBytes({reinterpret_cast<const uint8_t*>(kept.data()), kept.size()});
}

size_t Http1Session::FeedHead(std::span<const uint8_t> bytes) {
  if (head_since_ == TimePoint{}) {
    // RFC 9112, 2.2: empty lines in front of a request line are skipped.
    if (bytes[0] == '\r' || bytes[0] == '\n') return 1;
    head_since_ = std::chrono::steady_clock::now();
  }
  if (!parser_) {
    parser_.emplace();
    parser_->get().body() = this;
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(boost::none);
  }
  boost::system::error_code error;
  size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error == http::error::need_more && bytes.size() < kHeaderBytesMax) return 0;
  if (error) {
    bool too_large =
        error == http::error::header_limit || error == http::error::need_more;
    Refuse(too_large ? Refusal::kHeaderTooLarge : Refusal::kMalformed);
    return bytes.size();
  }
  if (!parser_->is_header_done()) return used;
  OnHead();
  return used;
}

std::optional<Refusal> Http1Session::CheckHead() const {
  const auto& request = parser_->get();
  if (request.version() != 11 && request.version() != 10) return Refusal::kMalformed;
  if (request.version() == 11 && request.count(http::field::host) != 1) {
    return Refusal::kMalformed;
  }
  if (request.count(http::field::transfer_encoding) > 1) return Refusal::kMalformed;
  auto coding = request[http::field::transfer_encoding];
  if (!coding.empty() && !boost::beast::iequals(coding, "chunked")) {
    return Refusal::kTransferCoding;
  }
  auto expect = request[http::field::expect];
  if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) {
    return Refusal::kExpectation;
  }
  return std::nullopt;
}

void Http1Session::OnHead() {
  head_since_ = {};
  const auto& request = parser_->get();
  keep_alive_ = request.keep_alive();
  input_ = parser_->is_done() ? Input::kDone : Input::kSlot;
  RequestHead head;
  head.protocol = Protocol::kHttp1;
  head.method = std::string(request.method_string());
  head.peer = connection_->peer();
  for (const auto& field : request) {
    head.headers.emplace_back(LowerCase(field.name_string()), std::string(field.value()));
  }
  head.request_id = RequestIdOf(head);
  if (auto length = parser_->content_length()) head.content_length = *length;
  bool target_ok = SplitTarget(request.target(), &head);
  call_ = std::make_shared<CallState>(thread_->environment(), std::move(head));
  call_->connection = connection_->weak_from_this();
  if (auto refusal = CheckHead()) {
    Refuse(*refusal);
  } else if (!target_ok) {
    Refuse(Refusal::kMalformed);
  } else if (context_->draining) {
    context_->Rejected("draining");
    Refuse(Refusal::kDraining);
  } else {
    switch (slot_.Acquire(call_, thread_->environment()->notes,
                          std::chrono::steady_clock::now())) {
      case CallSlots::Answer::kTaken:
        StartCall();
        break;
      case CallSlots::Answer::kQueued:
        input_ = Input::kSlot;
        break;
      case CallSlots::Answer::kRefused:
        context_->Rejected("requests_in_flight_max");
        Refuse(Refusal::kOverloaded);
        break;
    }
  }
}

void Http1Session::StartCall() {
  const RequestHead& head = call_->head();
  Route route = context_->options.router->OnRequest(head, call_);
  if (!route.handler) {
    slot_.Drop();
    Refuse(Refusal::kNoRoute);
    return;
  }
  call_->Attach(std::move(route.handler), MessageFormat::kRaw, MessageCodec::kIdentity,
                slot_.Detach());
  body_parser_ = route.parser ? std::move(route.parser) : MakePieceParser(context_->pool);
  body_bytes_max_ = route.body_bytes_max;
  rate_since_ = std::chrono::steady_clock::now();
  TakeOutput();
  if (parser_->is_done()) {
    EndBody();
    return;
  }
  if (outcome_) {
    input_ = Input::kDiscard;
    return;
  }
  input_ = Input::kBody;
  if (head.content_length && body_bytes_max_ &&
      *head.content_length > static_cast<uint64_t>(*body_bytes_max_)) {
    FailBody(Error(ErrorCode::kTooLarge,
                   "request body is over the limit of bytes: ", *body_bytes_max_));
    return;
  }
  const std::string* expect = head.Header("expect");
  if (expect && answer_ == Answer::kNone && parser_->get().version() >= 11) {
    text_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
}

bool Http1Session::OnBody(std::span<const uint8_t> bytes) {
  body_bytes_ += static_cast<int64_t>(bytes.size());
  rate_bytes_ += static_cast<int64_t>(bytes.size());
  if (body_bytes_max_ && body_bytes_ > *body_bytes_max_) {
    body_status_ = Error(ErrorCode::kTooLarge,
                         "request body is over the limit of bytes: ", *body_bytes_max_);
  } else {
    body_status_ = body_parser_->Consume(bytes, &messages_);
  }
  return body_status_.ok();
}

size_t Http1Session::FeedBody(std::span<const uint8_t> bytes) {
  parser_->eager(true);
  boost::system::error_code error;
  size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  DeliverMessages();
  if (!body_status_.ok()) {
    FailBody(std::exchange(body_status_, {}));
  } else if (error && error != http::error::need_more) {
    FailBody(
        Error(ErrorCode::kInvalidArgument, "malformed HTTP body: ", error.message()));
  } else if (parser_->is_done()) {
    EndBody();
  } else if (used == 0 && bytes.size() > kChunkHeadBytesMax) {
    FailBody(Error(ErrorCode::kInvalidArgument, "malformed HTTP body: chunk header or ",
                   "trailer is too long"));
  } else if (call_->input_failed()) {
    input_ = Input::kDiscard;
    keep_alive_ = false;
  }
  return used;
}

void Http1Session::DeliverMessages() {
  for (auto& message : messages_) inbound_.push_back({std::move(message), false});
  messages_.clear();
  call_->Deliver(&inbound_);
}

void Http1Session::EndBody() {
  input_ = Input::kDone;
  budget_.Stop();
  arrow::Status status = body_parser_->End(&messages_);
  DeliverMessages();
  if (status.ok()) {
    call_->DeliverEnd();
  } else {
    call_->DeliverBodyError(std::move(status));
  }
}

void Http1Session::FailBody(arrow::Status status) {
  input_ = Input::kDiscard;
  keep_alive_ = false;
  budget_.Stop();
  kept_.clear();
  call_->DeliverBodyError(std::move(status));
}

void Http1Session::OnPeerEnd() {
  peer_ended_ = true;
  peer_ended_since_ = std::chrono::steady_clock::now();
  keep_alive_ = false;
  if (input_ == Input::kDone || input_ == Input::kDiscard) return;
  EndCall(Error(ErrorCode::kCancelled, "the peer closed the connection mid-request"));
  ending_ = Ending::kClose;
}

void Http1Session::TickBody(TimePoint now) {
  const ListenerOptions& options = context_->options;
  if (!wants_read()) {
    if (budget_.expired(now, call_->undelivered_bytes())) {
      context_->Rejected("ingest_memory_max");
      FailBody(MakeError(ErrorCode::kOverloaded,
                         "the server's memory for requests is full, try again later", 1));
    }
    return;
  }
  if (now - rate_since_ < options.body_rate_window) return;
  double seconds = std::chrono::duration<double>(now - rate_since_).count();
  if (static_cast<double>(rate_bytes_) <
      seconds * static_cast<double>(options.body_rate_min_bytes)) {
    context_->Rejected("body_rate_min");
    FailBody(Error(ErrorCode::kTimeout,
                   "request body is slower than limits.body_rate_min, bytes a second: ",
                   options.body_rate_min_bytes));
    return;
  }
  rate_since_ = now;
  rate_bytes_ = 0;
}

void Http1Session::OnTick(TimePoint now) {
  if (ending_ != Ending::kOpen) return;
  const ListenerOptions& options = context_->options;
  if (input_ == Input::kHead) {
    if (head_since_ != TimePoint{} && now - head_since_ > options.header_timeout) {
      context_->Rejected("header_timeout");
      Refuse(Refusal::kHeaderTimeout);
    } else if (head_since_ == TimePoint{} && now - idle_since_ > options.idle_timeout) {
      ending_ = Ending::kClose;
    } else {
      return;
    }
  } else if (slot_.expired(now)) {
    slot_.Drop();
    context_->Rejected("requests_in_flight_max");
    Refuse(Refusal::kOverloaded);
  } else if (input_ == Input::kBody) {
    TickBody(now);
  } else if (peer_ended_ && answer_ == Answer::kNone &&
             now - peer_ended_since_ > kHalfClosedGrace) {
    EndCall(Error(ErrorCode::kCancelled, "the peer closed the connection"));
    ending_ = Ending::kClose;
  } else {
    return;
  }
  thread_->UpdateSoon(connection_->shared_from_this());
}

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

}  // namespace

std::unique_ptr<Session> MakeHttp1Session(Connection* connection) {
  return std::make_unique<Http1Session>(connection);
}

}  // namespace arrowport::wire::net
