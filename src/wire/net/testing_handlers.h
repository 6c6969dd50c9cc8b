// Handlers and clients for the tests and the benchmark of the listener: an echo, a sink
// that decodes and forgets, a source of prebuilt results, a raw socket. Not part of the
// library.
#pragma once

#include <arpa/inet.h>
#include <arrow/api.h>
#include <arrow/ipc/api.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "wire/net/listener.h"

namespace arrowport::wire::net::testing {

constexpr std::string_view kFlightService = "/arrow.flight.protocol.FlightService/";

/// The bench schema: id, timestamp, value, category (one of 4 letters), metric.
inline std::shared_ptr<arrow::RecordBatch> MakeBatch(int64_t rows, int64_t first = 0) {
  arrow::Int64Builder id, timestamp;
  arrow::DoubleBuilder value, metric;
  arrow::StringBuilder category;
  for (int64_t i = first; i < first + rows; ++i) {
    (void)id.Append(i);
    (void)timestamp.Append(1'700'000'000'000 + i);
    (void)value.Append(static_cast<double>(i) * 0.5);
    (void)category.Append(std::string(1, static_cast<char>('A' + i % 4)));
    (void)metric.Append(static_cast<double>(i) * 0.25);
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("timestamp", arrow::int64()),
       arrow::field("value", arrow::float64()), arrow::field("category", arrow::utf8()),
       arrow::field("metric", arrow::float64())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *value.Finish(),
                                   *category.Finish(), *metric.Finish()});
}

/// Messages as they come, for a stream reader.
class QueueMessageReader : public arrow::ipc::MessageReader {
 public:
  explicit QueueMessageReader(std::deque<std::unique_ptr<arrow::ipc::Message>>* queue)
      : queue_(queue) {}
  arrow::Result<std::unique_ptr<arrow::ipc::Message>> ReadNextMessage() override {
    if (queue_->empty()) return nullptr;
    auto message = std::move(queue_->front());
    queue_->pop_front();
    return message;
  }

 private:
  std::deque<std::unique_ptr<arrow::ipc::Message>>* const queue_;
};

/// DoPut: decodes, validates, forgets.
class PutSink : public CallHandler {
 public:
  explicit PutSink(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  void OnMessage(Message message) override {
    if (auto status = Take(std::move(message)); !status.ok()) Fail(status);
  }
  void OnEnd() override { call_->Finish({0, "", {{"x-rows", std::to_string(rows_)}}}); }
  void OnBodyError(arrow::Status status) override { Fail(status); }
  void OnDone(const arrow::Status&) override {}

 private:
  arrow::Status Take(Message message) {
    if (!message.metadata) return {};
    ARROW_ASSIGN_OR_RAISE(auto ipc,
                          arrow::ipc::Message::Open(message.metadata, message.body));
    bool schema = ipc->type() == arrow::ipc::MessageType::SCHEMA;
    bool batch = ipc->type() == arrow::ipc::MessageType::RECORD_BATCH;
    queue_.push_back(std::move(ipc));
    if (schema) {
      ARROW_ASSIGN_OR_RAISE(reader_, arrow::ipc::RecordBatchStreamReader::Open(
                                         std::make_unique<QueueMessageReader>(&queue_)));
    }
    if (!batch || !reader_) return {};
    std::shared_ptr<arrow::RecordBatch> decoded;
    ARROW_RETURN_NOT_OK(reader_->ReadNext(&decoded));
    ARROW_RETURN_NOT_OK(decoded->ValidateFull());
    rows_ += decoded->num_rows();
    return {};
  }
  void Fail(const arrow::Status& status) {
    int code =
        CodeOf(status) == ErrorCode::kTooLarge || CodeOf(status) == ErrorCode::kOverloaded
            ? 8
            : 3;
    call_->Finish({code, status.message(), {}});
  }

  const std::shared_ptr<Call> call_;
  std::deque<std::unique_ptr<arrow::ipc::Message>> queue_;
  std::shared_ptr<arrow::ipc::RecordBatchStreamReader> reader_;
  int64_t rows_ = 0;
};

inline void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

/// A FlightData message as slices.
inline Slices ToFlightData(const arrow::ipc::IpcPayload& payload) {
  std::string head;
  AppendVarint(2 << 3 | 2, &head);
  AppendVarint(static_cast<uint64_t>(payload.metadata->size()), &head);
  Slices slices{arrow::Buffer::FromString(std::move(head)), payload.metadata};
  if (payload.type == arrow::ipc::MessageType::SCHEMA) return slices;
  std::string body;
  AppendVarint(1000 << 3 | 2, &body);
  AppendVarint(static_cast<uint64_t>(payload.body_length), &body);
  slices.push_back(arrow::Buffer::FromString(std::move(body)));
  static const auto zeros = arrow::Buffer::FromString(std::string(8, '\0'));
  for (const auto& buffer : payload.body_buffers) {
    if (!buffer || buffer->size() == 0) continue;
    slices.push_back(buffer);
    int64_t padding = (8 - buffer->size() % 8) % 8;
    if (padding > 0) slices.push_back(arrow::SliceBuffer(zeros, 0, padding));
  }
  return slices;
}

/// DoGet: sends the schema and the same batches again and again.
class GetSource : public CallHandler {
 public:
  GetSource(std::shared_ptr<Call> call,
            std::vector<std::shared_ptr<arrow::RecordBatch>> batches)
      : call_(std::move(call)), batches_(std::move(batches)) {}

  void OnMessage(Message) override {}
  void OnEnd() override {
    arrow::ipc::DictionaryFieldMapper mapper;
    arrow::ipc::IpcPayload payload;
    auto options = arrow::ipc::IpcWriteOptions::Defaults();
    (void)arrow::ipc::GetSchemaPayload(*batches_[0]->schema(), options, mapper, &payload);
    if (call_->Write(ToFlightData(payload))) OnWritable();
  }
  void OnBodyError(arrow::Status status) override {
    call_->Finish({3, status.message(), {}});
  }
  void OnWritable() override {
    auto options = arrow::ipc::IpcWriteOptions::Defaults();
    while (next_ < batches_.size()) {
      arrow::ipc::IpcPayload payload;
      (void)arrow::ipc::GetRecordBatchPayload(*batches_[next_++], options, &payload);
      if (!call_->Write(ToFlightData(payload))) return;
    }
    if (!std::exchange(finished_, true)) call_->Finish({});
  }
  void OnDone(const arrow::Status&) override {}

 private:
  const std::shared_ptr<Call> call_;
  const std::vector<std::shared_ptr<arrow::RecordBatch>> batches_;
  size_t next_ = 0;
  bool finished_ = false;
};

/// A blocking client socket with a deadline on everything.
class RawSocket {
 public:
  explicit RawSocket(uint16_t port) {
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address),
                           sizeof address) == 0;
  }
  ~RawSocket() { Close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  bool connected() const { return connected_; }
  int descriptor() const { return descriptor_; }
  void Close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }
  void EndSending() { ::shutdown(descriptor_, SHUT_WR); }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t size = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(size));
    }
    return true;
  }
  /// Appends what comes within `wait_ms`; false at the end of the stream or after it.
  bool ReceiveSome(std::string* into, int wait_ms = 10'000) {
    pollfd entry{descriptor_, POLLIN, 0};
    if (::poll(&entry, 1, wait_ms) <= 0) return false;
    char buffer[65536];
    ssize_t size = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (size <= 0) {
      ended_ = true;
      return false;
    }
    into->append(buffer, static_cast<size_t>(size));
    return true;
  }
  /// Until `text` holds `mark`, from `from` on.
  bool ReceiveUntil(std::string_view mark, std::string* text, size_t from = 0) {
    while (text->find(mark, from) == std::string::npos) {
      if (!ReceiveSome(text)) return false;
    }
    return true;
  }
  std::string ReceiveAll(int wait_ms = 10'000) {
    std::string all;
    while (ReceiveSome(&all, wait_ms)) {
    }
    return all;
  }
  bool ended() const { return ended_; }

 private:
  int descriptor_ = -1;
  bool connected_ = false;
  bool ended_ = false;
};

}  // namespace arrowport::wire::net::testing
