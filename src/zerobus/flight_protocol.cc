#include "zerobus/flight_protocol.h"

#include <arrow/extension_type.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/compression.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/wire_text.h"

namespace arrowport::zerobus {
namespace {

// Field numbers of FlightData and PutResult.
constexpr uint32_t kDescriptorField = 1;
constexpr uint32_t kHeaderField = 2;
constexpr uint32_t kMetadataField = 3;
constexpr uint32_t kBodyField = 1000;
constexpr uint32_t kPutMetadataField = 1;
constexpr int64_t kDurationMsMax = 24 * 3600 * 1000;

std::string_view TextOf(const arrow::Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()),
          static_cast<size_t>(buffer.size())};
}

// app_metadata of a PutResult. False when the bytes are no message.
bool FindPutMetadata(std::string_view message, std::string_view* metadata) {
  *metadata = {};
  while (!message.empty()) {
    const auto tag = TakeVarint(&message);
    if (!tag || (*tag & 7) != 2)
      return false;  // all fields of PutResult are of this type
    const auto size = TakeVarint(&message);
    if (!size || *size > message.size()) return false;
    if (*tag >> 3 == kPutMetadataField) *metadata = message.substr(0, *size);
    message.remove_prefix(*size);
  }
  return true;
}

// Absent: null. False when it is there and no integer.
bool ReadInteger(const nlohmann::json& object, const char* key,
                 std::optional<int64_t>* value) {
  auto it = object.find(key);
  if (it == object.end() || it->is_null()) return true;
  if (!it->is_number_integer()) return false;
  if (it->is_number_unsigned() && it->get<uint64_t>() > INT64_MAX) return false;
  *value = it->get<int64_t>();
  return true;
}

bool HasEncoding(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY || type.id() == arrow::Type::RUN_END_ENCODED) {
    return true;
  }
  if (type.id() == arrow::Type::EXTENSION) {
    return HasEncoding(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  }
  return std::any_of(type.fields().begin(), type.fields().end(),
                     [](const auto& field) { return HasEncoding(*field->type()); });
}

}  // namespace

arrow::Result<std::shared_ptr<const FlightProtocol>> FlightProtocol::Make(
    std::shared_ptr<arrow::Schema> schema, IpcCompression compression) {
  for (const auto& field : schema->fields()) {
    if (HasEncoding(*field->type())) {
      return Error(ErrorCode::kUnsupportedType,
                   "dictionary and run-end encoded columns cannot be sent as they are: ",
                   field->name());
    }
  }
  std::shared_ptr<FlightProtocol> protocol(new FlightProtocol());
  protocol->schema_ = std::move(schema);
  arrow::ipc::IpcWriteOptions& options = protocol->write_options_;
  options.use_threads = false;  // callers convert in parallel already
  if (compression != IpcCompression::kNone) {
    auto codec = arrow::util::Codec::Create(compression == IpcCompression::kZstd
                                                ? arrow::Compression::ZSTD
                                                : arrow::Compression::LZ4_FRAME);
    if (!codec.ok()) return AsFailure(ErrorKind::kConfiguration, codec.status());
    options.codec = *std::move(codec);
  }
  arrow::ipc::IpcPayload payload;
  const arrow::ipc::DictionaryFieldMapper mapper(*protocol->schema_);
  ARROW_RETURN_NOT_OK(
      arrow::ipc::GetSchemaPayload(*protocol->schema_, options, mapper, &payload));
  protocol->schema_message_ = TextOf(*payload.metadata);
  return protocol;
}

rpc::Message FlightProtocol::OpenMessage() const {
  std::string message;
  const std::string_view descriptor("\x08\x02", 2);  // type = CMD, no command
  AppendLengthField(kDescriptorField, descriptor.size(), &message);
  message += descriptor;
  AppendLengthField(kHeaderField, schema_message_.size(), &message);
  message += schema_message_;
  return {arrow::Buffer::FromString(std::move(message))};
}

arrow::Result<ServiceMessage> FlightProtocol::Parse(std::string_view message) const {
  const arrow::Status broken = MakeFailure(
      ErrorKind::kProtocol, "the service sent no acknowledgement of this kind");
  std::string_view metadata;
  if (!FindPutMetadata(message, &metadata)) return broken;
  ServiceMessage parsed;
  const auto json = nlohmann::json::parse(metadata, nullptr, false);
  if (!json.is_object()) return broken;
  std::optional<int64_t> offset;
  std::optional<int64_t> rows;
  std::optional<int64_t> close_ms;
  if (!ReadInteger(json, "ack_up_to_offset", &offset) ||
      !ReadInteger(json, "ack_up_to_records", &rows) ||
      !ReadInteger(json, "close_stream_duration_ms", &close_ms) || (rows && *rows < 0)) {
    return broken;
  }
  if (offset && *offset == -1 && rows.value_or(0) == 0) {
    parsed.opened = ServiceMessage::Opened{};
  } else if (rows || offset) {
    parsed.ack.emplace();
    parsed.ack->up_to = rows;
  } else if (!close_ms) {
    return broken;
  }
  if (close_ms) {
    parsed.close = ServiceMessage::CloseSignal{};
    parsed.close->duration =
        std::chrono::milliseconds(std::clamp<int64_t>(*close_ms, 0, kDurationMsMax));
  }
  return parsed;
}

arrow::Result<rpc::Message> FlightProtocol::Encode(const Request& request,
                                                   int64_t skip_rows,
                                                   int64_t index) const {
  if (skip_rows > 0) {
    ARROW_ASSIGN_OR_RAISE(Request rest,
                          Slice(request, skip_rows, request.rows - skip_rows));
    return Encode(rest, 0, index);
  }
  static const auto kPadding = arrow::Buffer::FromString(std::string(8, '\0'));
  const arrow::ipc::IpcPayload& payload = *request.payload;
  const std::string metadata = "{\"offset_id\": " + std::to_string(index) + "}";
  std::string head;
  AppendLengthField(kHeaderField, static_cast<uint64_t>(payload.metadata->size()), &head);
  head += TextOf(*payload.metadata);
  AppendLengthField(kMetadataField, metadata.size(), &head);
  head += metadata;
  int64_t body_size = 0;
  for (const auto& buffer : payload.body_buffers) {
    if (buffer) body_size += arrow::bit_util::RoundUpToMultipleOf8(buffer->size());
  }
  AppendLengthField(kBodyField, static_cast<uint64_t>(body_size), &head);
  rpc::Message message;
  message.reserve(1 + 2 * payload.body_buffers.size());
  message.push_back(arrow::Buffer::FromString(std::move(head)));
  for (const auto& buffer : payload.body_buffers) {
    if (!buffer || buffer->size() == 0) continue;
    message.push_back(buffer);
    const int64_t padding =
        arrow::bit_util::RoundUpToMultipleOf8(buffer->size()) - buffer->size();
    if (padding > 0) message.push_back(arrow::SliceBuffer(kPadding, 0, padding));
  }
  return message;
}

arrow::Result<Request> FlightProtocol::MakeRequest(
    const std::shared_ptr<arrow::RecordBatch>& rows) const {
  auto payload = std::make_shared<arrow::ipc::IpcPayload>();
  ARROW_RETURN_NOT_OK(
      arrow::ipc::GetRecordBatchPayload(*rows, write_options_, payload.get()));
  Request request;
  request.rows = rows->num_rows();
  request.bytes = payload->metadata->size() + payload->body_length;
  request.batch = rows;
  request.payload = std::move(payload);
  return request;
}

arrow::Result<Request> FlightProtocol::Slice(const Request& request, int64_t first_row,
                                             int64_t rows) const {
  ARROW_ASSIGN_OR_RAISE(Request slice,
                        MakeRequest(request.batch->Slice(first_row, rows)));
  slice.delivery = request.delivery;
  slice.first_row = request.first_row + first_row;
  return slice;
}

arrow::Status FlightProtocol::AppendRequests(
    const std::shared_ptr<arrow::RecordBatch>& rows, int64_t first_row,
    int64_t body_bytes_max, std::vector<Request>* requests) const {
  ARROW_ASSIGN_OR_RAISE(Request request, MakeRequest(rows));
  if (request.payload->body_length > body_bytes_max && rows->num_rows() > 1) {
    const int64_t half = rows->num_rows() / 2;
    ARROW_RETURN_NOT_OK(
        AppendRequests(rows->Slice(0, half), first_row, body_bytes_max, requests));
    return AppendRequests(rows->Slice(half), first_row + half, body_bytes_max, requests);
  }
  request.first_row = first_row;
  requests->push_back(std::move(request));
  return {};
}

arrow::Result<std::vector<Request>> FlightProtocol::MakeRequests(
    const std::shared_ptr<arrow::RecordBatch>& batch, int64_t body_bytes_max,
    const std::shared_ptr<Delivery>& delivery) const {
  std::vector<Request> requests;
  const int64_t rows = batch->num_rows();
  if (rows == 0) return requests;
  // A first guess by the uncompressed size; what still comes out too large is halved.
  ARROW_ASSIGN_OR_RAISE(const int64_t bytes, arrow::util::ReferencedBufferSize(*batch));
  const int64_t slices =
      std::max<int64_t>(1, bytes / std::max<int64_t>(1, body_bytes_max) + 1);
  const int64_t step = std::max<int64_t>(1, (rows + slices - 1) / slices);
  for (int64_t row = 0; row < rows; row += step) {
    ARROW_RETURN_NOT_OK(
        AppendRequests(batch->Slice(row, step), row, body_bytes_max, &requests));
  }
  for (Request& request : requests) request.delivery = delivery;
  return requests;
}

}  // namespace arrowport::zerobus
