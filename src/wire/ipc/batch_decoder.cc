#include "wire/ipc/batch_decoder.h"

#include <arrow/array/data.h>
#include <arrow/ipc/reader.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "wire/ipc/message_head.h"
#include "wire/ipc/message_pool.h"

namespace arrowport::wire::ipc {
namespace {

// A producer may pad a body behind its declared length to its own alignment.
constexpr int64_t kBodyPaddingMax = 64;
// A ratio says little about small messages: constant columns compress without end.
constexpr int64_t kRatioBaseBytes = 64 << 10;

int64_t SaturatingProduct(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::numeric_limits<int64_t>::max();
  return product;
}

class BatchListener : public arrow::ipc::Listener {
 public:
  arrow::Status OnRecordBatchDecoded(std::shared_ptr<arrow::RecordBatch> batch) override {
    batch_ = std::move(batch);
    return {};
  }
  std::shared_ptr<arrow::RecordBatch> TakeBatch() { return std::move(batch_); }

 private:
  std::shared_ptr<arrow::RecordBatch> batch_;
};

// Lengths cost nothing on the wire where a type has no buffers (null, run-end encoded,
// fixed size of zero), but a row costs whoever stores it.
arrow::Status CheckLengths(const arrow::ArrayData& data, int64_t length_max) {
  if (data.length < 0 || data.length > length_max) {
    return Error(ErrorCode::kTooLarge,
                 "a message holds more values than its size allows (", length_max,
                 "): ", data.length);
  }
  for (const auto& child : data.child_data) {
    if (child) ARROW_RETURN_NOT_OK(CheckLengths(*child, length_max));
  }
  if (data.dictionary) return CheckLengths(*data.dictionary, length_max);
  return {};
}

// Field nodes that a column of `type` has in a RecordBatch message.
size_t NodeCount(const arrow::DataType& type) {
  if (type.id() == arrow::Type::EXTENSION) {
    return NodeCount(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  }
  size_t count = 1;
  if (type.id() == arrow::Type::DICTIONARY) return count;
  for (const auto& child : type.fields()) count += NodeCount(*child->type());
  return count;
}

}  // namespace

struct BatchDecoder::Impl {
  Impl(DecoderLimits limits, std::shared_ptr<ByteBudget> budget)
      : limits(limits),
        pool(MessagePool::Make(std::move(budget))),
        listener(std::make_shared<BatchListener>()),
        decoder(listener, ReadOptions()) {}

  arrow::ipc::IpcReadOptions ReadOptions() const {
    auto options = arrow::ipc::IpcReadOptions::Defaults();
    options.use_threads = false;
    options.max_recursion_depth = limits.nesting_max;
    options.memory_pool = pool.get();
    options.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;
    return options;
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Take(
      const std::shared_ptr<arrow::Buffer>& metadata,
      std::shared_ptr<arrow::Buffer> body);
  arrow::Status CheckKind(const MessageHead& head) const;
  arrow::Status CheckNodes(const MessageHead& head) const;
  arrow::Status Feed(const std::shared_ptr<arrow::Buffer>& metadata,
                     std::shared_ptr<arrow::Buffer> body, int64_t body_bytes);
  arrow::Status CountDictionary(const MessageHead& head);
  int64_t allowance_bytes(int64_t wire_bytes) const;
  int64_t values_max(int64_t wire_bytes) const;

  const DecoderLimits limits;
  // Destroyed after the decoder, which holds buffers of it.
  const MessagePool::Ptr pool;
  const std::shared_ptr<BatchListener> listener;
  arrow::ipc::StreamDecoder decoder;
  std::unordered_map<int64_t, int64_t> dictionary_bytes_by_id;
  int64_t dictionary_bytes = 0;
  std::shared_ptr<arrow::Schema> schema;
  arrow::Status failure;
};

int64_t BatchDecoder::Impl::allowance_bytes(int64_t wire_bytes) const {
  const int64_t by_ratio = SaturatingProduct(limits.decompress_ratio_max,
                                             std::max(wire_bytes, kRatioBaseBytes));
  // Arrow joins the parts of a growing dictionary when a batch first needs it.
  return std::min(limits.decoded_bytes_max, by_ratio) + 2 * dictionary_bytes;
}

int64_t BatchDecoder::Impl::values_max(int64_t wire_bytes) const {
  // The densest stored value is a bit.
  const int64_t base = std::max(wire_bytes, kRatioBaseBytes) + dictionary_bytes;
  return SaturatingProduct(8, SaturatingProduct(limits.decompress_ratio_max, base));
}

arrow::Status BatchDecoder::Impl::CheckKind(const MessageHead& head) const {
  const bool started = schema != nullptr;
  switch (head.kind) {
    case MessageKind::kSchema:
      if (started) return Error(ErrorCode::kBadData, "a second schema in the stream");
      return CheckSchemaShape(head, {limits.columns_max, limits.nesting_max});
    case MessageKind::kDictionaryBatch:
    case MessageKind::kRecordBatch:
      if (!started) {
        return Error(ErrorCode::kBadData, "the stream does not start with a schema");
      }
      return {};
    default:
      return Error(ErrorCode::kBadData,
                   "unexpected kind of IPC message: ", static_cast<int>(head.kind));
  }
}

// Arrow reads the nodes it expects and ignores further ones: a batch of another schema could
// pass for one of this.
arrow::Status BatchDecoder::Impl::CheckNodes(const MessageHead& head) const {
  constexpr int kNodesField = 1;
  constexpr size_t kNodeBytes = 16;  // struct FieldNode { length: long; null_count: long; }
  size_t expected = 0;
  for (const auto& field : schema->fields()) expected += NodeCount(*field->type());
  const size_t found = head.header.VectorSize(kNodesField, kNodeBytes);
  if (found != expected) {
    return Error(ErrorCode::kBadData, "a batch does not have the columns of its schema: ",
                 found, " field nodes instead of ", expected);
  }
  return {};
}

arrow::Status BatchDecoder::Impl::Feed(const std::shared_ptr<arrow::Buffer>& metadata,
                                       std::shared_ptr<arrow::Buffer> body,
                                       int64_t body_bytes) {
  const uint32_t prefix[2] = {0xFFFFFFFFu, static_cast<uint32_t>(metadata->size())};
  arrow::Status status;
  try {
    status = decoder.Consume(reinterpret_cast<const uint8_t*>(prefix), sizeof(prefix));
    if (status.ok()) status = decoder.Consume(metadata);
    if (status.ok() && body_bytes > 0) {
      if (body->size() > body_bytes) body = arrow::SliceBuffer(body, 0, body_bytes);
      status = decoder.Consume(std::move(body));
    }
  } catch (const std::exception& e) {
    status = arrow::Status::Invalid(e.what());
  }
  if (status.ok()) return status;
  if (pool->refused()) {
    return Error(ErrorCode::kTooLarge, "a message decodes to more bytes than its limit: ",
                 allowance_bytes(metadata->size() + body_bytes));
  }
  switch (status.code()) {
    case arrow::StatusCode::OutOfMemory:
      // Our pool would have said so: this is a claimed length that no memory could hold.
      return WithContext("malformed IPC message", WithCode(ErrorCode::kTooLarge, status));
    case arrow::StatusCode::NotImplemented:
      return WithContext("IPC message", WithCode(ErrorCode::kUnsupportedType, status));
    default:
      return WithContext("malformed IPC message", WithCode(ErrorCode::kBadData, status));
  }
}

arrow::Status BatchDecoder::Impl::CountDictionary(const MessageHead& head) {
  // Decompressed columns replace the body; others keep it alive.
  const int64_t bytes = std::max(head.body_bytes, pool->message_bytes());
  int64_t& held = dictionary_bytes_by_id[head.dictionary_id()];
  if (!head.dictionary_is_delta()) {
    dictionary_bytes -= held;
    held = 0;
  }
  held += bytes;
  dictionary_bytes += bytes;
  if (dictionary_bytes > limits.dictionary_bytes_max) {
    return Error(
        ErrorCode::kTooLarge,
        "the dictionaries of the stream exceed the limit: ", limits.dictionary_bytes_max);
  }
  return {};
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> BatchDecoder::Impl::Take(
    const std::shared_ptr<arrow::Buffer>& metadata, std::shared_ptr<arrow::Buffer> body) {
  if (!metadata || metadata->size() == 0) {
    return Error(ErrorCode::kBadData, "IPC message without metadata");
  }
  if (metadata->size() > std::numeric_limits<int32_t>::max()) {
    return Error(ErrorCode::kTooLarge, "IPC metadata too large: ", metadata->size());
  }
  ARROW_ASSIGN_OR_RAISE(
      MessageHead head,
      ReadMessageHead({metadata->data(), static_cast<size_t>(metadata->size())}));
  ARROW_RETURN_NOT_OK(CheckKind(head));
  const int64_t present = body ? body->size() : 0;
  if (present < head.body_bytes || present - head.body_bytes >= kBodyPaddingMax) {
    return Error(ErrorCode::kBadData, "IPC message declares a body of ", head.body_bytes,
                 " bytes but carries ", present);
  }
  const int64_t wire_bytes = metadata->size() + head.body_bytes;
  if (head.kind == MessageKind::kRecordBatch) ARROW_RETURN_NOT_OK(CheckNodes(head));
  pool->StartMessage(allowance_bytes(wire_bytes));
  ARROW_RETURN_NOT_OK(Feed(metadata, std::move(body), head.body_bytes));
  if (head.kind == MessageKind::kSchema) {
    schema = decoder.schema();
  } else if (head.kind == MessageKind::kDictionaryBatch) {
    ARROW_RETURN_NOT_OK(CountDictionary(head));
  }
  auto batch = listener->TakeBatch();
  if ((batch != nullptr) != (head.kind == MessageKind::kRecordBatch)) {
    return Error(ErrorCode::kBadData, "malformed IPC message: no whole message in it");
  }
  if (!batch) return batch;
  const int64_t length_max = values_max(wire_bytes);
  if (batch->num_rows() < 0 || batch->num_rows() > length_max) {
    return Error(ErrorCode::kTooLarge, "a message holds more rows than its size allows (",
                 length_max, "): ", batch->num_rows());
  }
  for (const auto& column : batch->column_data()) {
    ARROW_RETURN_NOT_OK(CheckLengths(*column, length_max));
  }
  return batch;
}

BatchDecoder::BatchDecoder(DecoderLimits limits, std::shared_ptr<ByteBudget> budget)
    : impl_(std::make_unique<Impl>(limits, std::move(budget))) {}

BatchDecoder::~BatchDecoder() = default;

arrow::Result<std::shared_ptr<arrow::RecordBatch>> BatchDecoder::Next(
    std::shared_ptr<arrow::Buffer> metadata, std::shared_ptr<arrow::Buffer> body) {
  if (!impl_->failure.ok()) return impl_->failure;
  auto batch = impl_->Take(metadata, std::move(body));
  // A decoder that failed half-way through a message cannot go on.
  if (!batch.ok()) impl_->failure = batch.status();
  return batch;
}

const std::shared_ptr<arrow::Schema>& BatchDecoder::schema() const {
  return impl_->schema;
}

}  // namespace arrowport::wire::ipc
