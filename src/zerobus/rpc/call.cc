#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "zerobus/rpc/connection.h"

namespace arrowport::zerobus::rpc {
namespace {

constexpr size_t kPrefixBytes = 5;
constexpr size_t kHeaderBytesMax = 64 * 1024;

const std::string* FindField(const Metadata& fields, std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace

// --- Sending ---

Call::Room Call::Write(Message message) {
  if (!connection_ || half_closed_) return Room::kNo;
  Outgoing outgoing;
  size_t size = 0;
  for (const auto& slice : message) size += static_cast<size_t>(slice->size());
  ARROWPORT_CHECK(size <= UINT32_MAX);
  outgoing.prefix[0] = 0;  // not compressed
  for (int i = 0; i < 4; ++i) {
    outgoing.prefix[1 + i] = static_cast<char>(size >> (24 - 8 * i));
  }
  outgoing.size = size + kPrefixBytes;
  outgoing.slices = std::move(message);
  queue_bytes_ += outgoing.size;
  queue_.push_back(std::move(outgoing));
  if (queue_bytes_ >= connection_->options_.queue_bytes_high) full_ = true;
  connection_->PumpSoon();
  return full_ ? Room::kNo : Room::kYes;
}

size_t Call::unsent_messages() const {
  return queue_.size() - (!queue_.empty() && queue_.front().sent > 0 ? 1 : 0);
}

void Call::DropUnsent() {
  for (size_t left = unsent_messages(); left > 0; --left) {
    queue_bytes_ -= queue_.back().size;
    queue_.pop_back();
  }
}

void Call::HalfClose() {
  if (!connection_ || half_closed_) return;
  half_closed_ = true;
  connection_->PumpSoon();
}

void Call::Cancel() {
  if (!connection_) return;
  auto connection = std::exchange(connection_, nullptr);
  handler_ = nullptr;
  queue_.clear();
  connection->Forget(this);
  if (id_ >= 0 && connection->session_ != nullptr) {
    nghttp2_submit_rst_stream(connection->session_, NGHTTP2_FLAG_NONE, id_,
                              NGHTTP2_CANCEL);
    connection->PumpSoon();
  }
}

size_t Call::CopyOut(uint8_t* into, size_t length) {
  Outgoing& message = queue_.front();
  size_t copied = 0;
  if (message.sent < kPrefixBytes) {
    copied = std::min(length, kPrefixBytes - message.sent);
    std::memcpy(into, message.prefix + message.sent, copied);
  }
  size_t begin = kPrefixBytes;  // of the slice, within the message
  for (const auto& slice : message.slices) {
    const auto size = static_cast<size_t>(slice->size());
    const size_t position = message.sent + copied;
    if (copied < length && position >= begin && position < begin + size) {
      const size_t part = std::min(length - copied, begin + size - position);
      std::memcpy(into + copied, slice->data() + (position - begin), part);
      copied += part;
    }
    begin += size;
  }
  message.sent += copied;
  return copied;
}

ssize_t Call::Read(uint8_t* into, size_t length, uint32_t* flags) {
  size_t copied = 0;
  while (copied < length && !queue_.empty()) {
    copied += CopyOut(into + copied, length - copied);
    if (queue_.front().sent < queue_.front().size) break;
    queue_bytes_ -= queue_.front().size;
    queue_.pop_front();
  }
  if (queue_.empty() && half_closed_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (copied == 0) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(copied);
}

// --- Receiving ---

void Call::OnHeader(std::string_view name, std::string_view value) {
  header_bytes_ += name.size() + value.size() + 32;
  if (header_bytes_ > kHeaderBytesMax) return;  // what is past the limit is not kept
  block_.emplace_back(name, value);
}

void Call::FinishHeaders(bool end) {
  Metadata block = std::move(block_);
  block_.clear();
  if (const std::string* status = FindField(block, ":status")) {
    http_status_ = std::atoi(status->c_str());
    if (http_status_ >= 100 && http_status_ < 200) return;  // more headers follow
  }
  if (!headers_done_) {
    headers_done_ = true;
    const std::string* type = FindField(block, "content-type");
    grpc_answer_ = type != nullptr && type->starts_with("application/grpc");
    if (!end) {
      if (handler_ && http_status_ == 200 && grpc_answer_) handler_->OnHeaders(block);
      return;
    }
  }
  if (end) {
    trailers_ = std::move(block);
    trailers_seen_ = true;
  }
}

bool Call::TakeData(std::string_view bytes) {
  if (!handler_) return true;
  if (!grpc_answer_ || http_status_ != 200)
    return true;  // an error page; its status counts
  // Complete messages leave at once, so that this holds less than one message and a read.
  incoming_.append(bytes);
  size_t begin = 0;
  while (incoming_.size() - begin >= kPrefixBytes) {
    const auto* head = reinterpret_cast<const uint8_t*>(incoming_.data() + begin);
    const size_t size = size_t{head[1]} << 24 | size_t{head[2]} << 16 |
                        size_t{head[3]} << 8 | size_t{head[4]};
    if (head[0] != 0 || size > message_bytes_max_) return false;
    if (incoming_.size() - begin - kPrefixBytes < size) break;
    const std::string message = incoming_.substr(begin + kPrefixBytes, size);
    begin += kPrefixBytes + size;
    handler_->OnMessage(message);
    if (!handler_) return true;  // cancelled by what it heard
  }
  incoming_.erase(0, begin);
  return true;
}

RpcStatus Call::TrailerStatus() const {
  RpcStatus status;
  status.from_peer = true;
  const std::string* code = FindField(trailers_, "grpc-status");
  if (code == nullptr) {
    status.from_peer = false;
    const bool http_failed = http_status_ != 200;
    status.code = http_failed ? CodeOfHttpStatus(http_status_) : StatusCode::kUnknown;
    status.message = http_failed
                         ? "the endpoint answered HTTP " + std::to_string(http_status_)
                         : "the call ended without a status";
    return status;
  }
  status.code = ParseStatusCode(*code);
  if (const std::string* text = FindField(trailers_, "grpc-message")) {
    status.message = DecodeGrpcMessage(*text);
  }
  if (const std::string* details = FindField(trailers_, "grpc-status-details-bin")) {
    status.details = DecodeBase64(*details).value_or("");
  }
  return status;
}

void Call::End(RpcStatus status) {
  if (!connection_) return;
  auto connection = std::exchange(connection_, nullptr);
  connection->Forget(this);
  queue_.clear();
  queue_bytes_ = 0;
  CallHandler* handler = std::exchange(handler_, nullptr);
  if (trailers_seen_) status = TrailerStatus();
  if (handler) handler->OnEnd(status);
}

}  // namespace arrowport::zerobus::rpc
