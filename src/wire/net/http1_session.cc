#include "wire/net/http1_session.h"

#include <limits>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "wire/net/http1_state.h"

namespace arrowport::wire::net {
namespace {

namespace http = boost::beast::http;

constexpr size_t kChunkHeadBytesMax = 16 * 1024;
// A peer that ends its sending side after a whole request may still read; one that shows
// no other sign of life for this long while nothing was sent to it is taken for gone.
constexpr std::chrono::seconds kHalfClosedGrace{5};

}  // namespace

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
  head_bytes_ += used;
  bool fits = head_bytes_ + (bytes.size() - used) < kHeaderBytesMax;
  // Beast takes the start line and fields as they become complete.
  if (error == http::error::need_more && fits) return used;
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
  head_bytes_ = 0;
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
  const int64_t limit = body_bytes_max_.value_or(std::numeric_limits<int64_t>::max());
  if (head.content_length && *head.content_length > static_cast<uint64_t>(limit)) {
    FailBody(Error(ErrorCode::kTooLarge, "request body is over the limit of bytes: ", limit));
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

std::unique_ptr<Session> MakeHttp1Session(Connection* connection) {
  return std::make_unique<Http1Session>(connection);
}

}  // namespace arrowport::wire::net
