#include "wire/ipc/message_cutter.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace arrowport::wire::ipc {
namespace {

constexpr int32_t kContinuation = -1;

// What people send by mistake, told by its first four bytes.
std::string_view HintFor(const uint8_t* word) {
  const std::string_view text(reinterpret_cast<const char*>(word), 4);
  if (text == "ARRO") {
    return "the body is an Arrow file, not an Arrow stream: send it as "
           "application/vnd.apache.arrow.file";
  }
  if (text == "PAR1") {
    return "the body is a Parquet file, not an Arrow stream: send it as "
           "application/vnd.apache.parquet";
  }
  if (text == "\x28\xB5\x2F\xFD") {
    return "the body is zstd-compressed: say so with Content-Encoding: zstd";
  }
  if (text.substr(0, 2) == "\x1F\x8B") {
    return "the body is gzip-compressed: say so with Content-Encoding: gzip";
  }
  return "the body is not an Arrow IPC stream";
}

}  // namespace

MessageCutter::MessageCutter(std::shared_ptr<BufferPool> pool, StreamParserLimits limits,
                             OnMessage on_message)
    : pool_(std::move(pool)), limits_(limits), on_message_(std::move(on_message)) {}

void MessageCutter::Enter(State state, uint8_t* target, int64_t bytes) {
  state_ = state;
  target_ = target;
  wanted_ = bytes;
  filled_ = 0;
}

arrow::Result<size_t> MessageCutter::Consume(std::span<const uint8_t> bytes,
                                             std::vector<net::Message>* out) {
  size_t taken = 0;
  while (taken < bytes.size() && !ended()) {
    if (state_ == State::kMarker && filled_ == 0) frame_offset_ = consumed_;
    const auto piece = static_cast<size_t>(
        std::min<int64_t>(wanted_ - filled_, static_cast<int64_t>(bytes.size() - taken)));
    std::memcpy(target_ + filled_, bytes.data() + taken, piece);
    filled_ += static_cast<int64_t>(piece);
    consumed_ += static_cast<int64_t>(piece);
    taken += piece;
    if (filled_ == wanted_) ARROW_RETURN_NOT_OK(Advance(out));
  }
  return taken;
}

arrow::Status MessageCutter::Advance(std::vector<net::Message>* out) {
  switch (state_) {
    case State::kMarker:
      return TakeMarker();
    case State::kLength: {
      int32_t length;
      std::memcpy(&length, word_, sizeof(length));
      return TakeLength(length);
    }
    case State::kMetadata:
      return TakeMetadata(out);
    case State::kBody:
      Emit(out);
      return {};
    case State::kEnded:
      return {};
  }
  return {};
}

arrow::Status MessageCutter::TakeMarker() {
  int32_t word;
  std::memcpy(&word, word_, sizeof(word));
  if (word == kContinuation) {
    Enter(State::kLength, word_, sizeof(word_));
    return {};
  }
  // Before Arrow 0.15 the length stood here by itself.
  if (word < 0 || word > limits_.metadata_bytes_max) {
    if (messages_ == 0) return Error(ErrorCode::kBadData, HintFor(word_));
    return Error(ErrorCode::kBadData, "IPC message ", messages_,
                 " does not start with a continuation marker");
  }
  return TakeLength(word);
}

arrow::Status MessageCutter::TakeLength(int32_t length) {
  if (length == 0) {
    Enter(State::kEnded, word_, 0);
    return {};
  }
  if (length < 0) {
    return Error(ErrorCode::kBadData, "IPC message ", messages_,
                 " has a negative metadata length: ", length);
  }
  if (length > limits_.metadata_bytes_max) {
    return Error(ErrorCode::kTooLarge, "IPC metadata exceeds the limit of ",
                 limits_.metadata_bytes_max, " bytes: ", length);
  }
  ARROW_ASSIGN_OR_RAISE(message_.metadata, pool_->Allocate(length));
  Enter(State::kMetadata, message_.metadata->mutable_data(), length);
  return {};
}

arrow::Status MessageCutter::TakeMetadata(std::vector<net::Message>* out) {
  const int64_t metadata_bytes = message_.metadata->size();
  auto head =
      ReadMessageHead({message_.metadata->data(), static_cast<size_t>(metadata_bytes)});
  if (!head.ok()) {
    if (messages_ == 0) return Error(ErrorCode::kBadData, HintFor(word_));
    return WithContext("IPC message " + std::to_string(messages_), head.status());
  }
  kind_ = head->kind;
  const int64_t body_bytes = head->body_bytes;
  if (body_bytes > limits_.message_bytes_max - metadata_bytes) {
    return Error(ErrorCode::kTooLarge, "IPC message ", messages_,
                 " exceeds the limit of ", limits_.message_bytes_max,
                 " bytes: ", body_bytes, " (send smaller record batches)");
  }
  if (body_bytes == 0) {
    Emit(out);
    return {};
  }
  ARROW_ASSIGN_OR_RAISE(message_.body, pool_->Allocate(body_bytes));
  Enter(State::kBody, message_.body->mutable_data(), body_bytes);
  return {};
}

void MessageCutter::Emit(std::vector<net::Message>* out) {
  out->push_back(std::exchange(message_, {}));
  ++messages_;
  if (on_message_) on_message_(kind_, frame_offset_);
  Enter(State::kMarker, word_, sizeof(word_));
}

}  // namespace arrowport::wire::ipc
