#include "wire/ipc/batch_encoder.h"

#include <arrow/ipc/writer.h>

#include <cstring>
#include <exception>
#include <utility>

#include "base/error.h"

namespace arrowport::wire::ipc {
namespace {

constexpr int64_t kPaddingMax = 64;
alignas(64) constexpr uint8_t kZeros[kPaddingMax] = {};
constexpr uint8_t kEndOfStream[8] = {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};

// Below this a copy into one slice costs less than carrying many slices to the socket.
constexpr int64_t kCopyBytesMax = 16 << 10;

int64_t PaddingFor(int64_t size, int64_t alignment) {
  return (alignment - size % alignment) % alignment;
}

std::shared_ptr<arrow::Buffer> Zeros(int64_t size) {
  return std::make_shared<arrow::Buffer>(kZeros, size);
}

arrow::Result<std::shared_ptr<arrow::Buffer>> Join(const Slices& slices, int64_t size) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> joined,
                        arrow::AllocateBuffer(size));
  uint8_t* out = joined->mutable_data();
  for (const auto& slice : slices) {
    std::memcpy(out, slice->data(), static_cast<size_t>(slice->size()));
    out += slice->size();
  }
  return joined;
}

arrow::Result<EncodedMessage> ToMessage(const arrow::ipc::IpcPayload& payload,
                                        int32_t alignment) {
  EncodedMessage message;
  message.metadata = payload.metadata;
  for (const auto& buffer : payload.body_buffers) {
    if (!buffer || buffer->size() == 0) continue;
    message.body.push_back(buffer);
    const int64_t padding = PaddingFor(buffer->size(), alignment);
    if (padding > 0) message.body.push_back(Zeros(padding));
    message.body_bytes += buffer->size() + padding;
  }
  ARROWPORT_CHECK(message.body_bytes == payload.body_length);
  if (message.body.size() > 1 && message.body_bytes <= kCopyBytesMax) {
    ARROW_ASSIGN_OR_RAISE(auto joined, Join(message.body, message.body_bytes));
    message.body.assign(1, std::move(joined));
  }
  return message;
}

// Keeps what Arrow's stream writer would have written.
class PayloadCollector : public arrow::ipc::internal::IpcPayloadWriter {
 public:
  explicit PayloadCollector(std::vector<arrow::ipc::IpcPayload>* out) : out_(out) {}
  arrow::Status WritePayload(const arrow::ipc::IpcPayload& payload) override {
    out_->push_back(payload);
    return {};
  }
  arrow::Status Close() override { return {}; }

 private:
  std::vector<arrow::ipc::IpcPayload>* const out_;
};

}  // namespace

struct BatchEncoder::Impl {
  int32_t alignment = 8;
  std::vector<arrow::ipc::IpcPayload> payloads;
  EncodedMessage schema_message;
  std::unique_ptr<arrow::ipc::RecordBatchWriter> writer;
};

BatchEncoder::BatchEncoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BatchEncoder::~BatchEncoder() = default;

arrow::Result<std::unique_ptr<BatchEncoder>> BatchEncoder::Make(
    std::shared_ptr<arrow::Schema> schema, arrow::ipc::IpcWriteOptions options) {
  if (options.alignment < 8 || options.alignment > kPaddingMax) {
    return Error(ErrorCode::kInternal, "IPC alignment out of range: ", options.alignment);
  }
  options.use_threads = false;
  auto impl = std::make_unique<Impl>();
  impl->alignment = options.alignment;
  ARROW_ASSIGN_OR_RAISE(impl->writer,
                        arrow::ipc::internal::OpenRecordBatchWriter(
                            std::make_unique<PayloadCollector>(&impl->payloads),
                            std::move(schema), options));
  // Opening the writer emits the schema.
  ARROWPORT_CHECK(impl->payloads.size() == 1);
  ARROW_ASSIGN_OR_RAISE(impl->schema_message,
                        ToMessage(impl->payloads.front(), impl->alignment));
  return std::unique_ptr<BatchEncoder>(new BatchEncoder(std::move(impl)));
}

arrow::Result<EncodedMessage> BatchEncoder::EncodeSchema() {
  return impl_->schema_message;
}

arrow::Result<std::vector<EncodedMessage>> BatchEncoder::Encode(
    const arrow::RecordBatch& batch) {
  impl_->payloads.clear();
  try {
    ARROW_RETURN_NOT_OK(impl_->writer->WriteRecordBatch(batch));
  } catch (const std::exception& e) {
    return Error(ErrorCode::kOutOfMemory, "encoding a batch: ", e.what());
  }
  std::vector<EncodedMessage> messages;
  messages.reserve(impl_->payloads.size());
  for (const auto& payload : impl_->payloads) {
    ARROW_ASSIGN_OR_RAISE(auto message, ToMessage(payload, impl_->alignment));
    messages.push_back(std::move(message));
  }
  impl_->payloads.clear();
  return messages;
}

Slices ToStreamBytes(const EncodedMessage& message) {
  constexpr int64_t kPrefixBytes = 8;
  const int64_t metadata_bytes = message.metadata->size();
  const int64_t padding = PaddingFor(kPrefixBytes + metadata_bytes, 8);
  std::string head(static_cast<size_t>(kPrefixBytes + metadata_bytes + padding), '\0');
  const uint32_t prefix[2] = {0xFFFFFFFFu,
                              static_cast<uint32_t>(metadata_bytes + padding)};
  std::memcpy(head.data(), prefix, sizeof(prefix));
  std::memcpy(head.data() + kPrefixBytes, message.metadata->data(),
              static_cast<size_t>(metadata_bytes));
  Slices slices;
  slices.reserve(1 + message.body.size());
  slices.push_back(arrow::Buffer::FromString(std::move(head)));
  slices.insert(slices.end(), message.body.begin(), message.body.end());
  return slices;
}

std::shared_ptr<arrow::Buffer> EndOfStream() {
  return std::make_shared<arrow::Buffer>(kEndOfStream, sizeof(kEndOfStream));
}

}  // namespace arrowport::wire::ipc
