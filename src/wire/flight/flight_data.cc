#include "wire/flight/flight_data.h"

#include <climits>
#include <utility>

#include "base/error.h"
#include "wire/ipc/message_head.h"

namespace arrowport::wire::flight {
namespace {

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// A length-delimited field: (number << 3 | 2), then the length.
void AppendFieldHead(uint32_t number, int64_t size, std::string* out) {
  AppendVarint(number << 3 | 2, out);
  AppendVarint(static_cast<uint64_t>(size), out);
}

constexpr uint32_t kDataHeader = 2;
constexpr uint32_t kDataBody = 1000;

// A batch has a body even when it is empty, a schema never: readers tell them so.
bool HasBody(const ipc::EncodedMessage& message) {
  const auto head = ipc::ReadMessageHead(
      {message.metadata->data(), static_cast<size_t>(message.metadata->size())});
  return head.ok() && head->kind != ipc::MessageKind::kSchema;
}

}  // namespace

net::Slices ToFlightData(const ipc::EncodedMessage& message) {
  std::string head;
  head.reserve(static_cast<size_t>(message.metadata->size()) + 24);
  AppendFieldHead(kDataHeader, message.metadata->size(), &head);
  head.append(message.metadata->data_as<char>(),
              static_cast<size_t>(message.metadata->size()));
  if (HasBody(message)) AppendFieldHead(kDataBody, message.body_bytes, &head);
  net::Slices slices;
  slices.reserve(1 + message.body.size());
  slices.push_back(arrow::Buffer::FromString(std::move(head)));
  slices.insert(slices.end(), message.body.begin(), message.body.end());
  return slices;
}

net::Slices ToSlices(const google::protobuf::MessageLite& message) {
  return {arrow::Buffer::FromString(message.SerializeAsString())};
}

arrow::Status ParseMessage(const std::shared_ptr<arrow::Buffer>& body,
                           std::string_view what, google::protobuf::MessageLite* out) {
  if (!body) {
    out->Clear();
    return {};
  }
  if (body->size() > INT_MAX ||
      !out->ParseFromArray(body->data(), static_cast<int>(body->size()))) {
    return Error(ErrorCode::kInvalidArgument, "malformed message: ", what);
  }
  return {};
}

arrow::Result<std::string> SerializeSchema(const std::shared_ptr<arrow::Schema>& schema) {
  ARROW_ASSIGN_OR_RAISE(
      auto encoder,
      ipc::BatchEncoder::Make(schema, arrow::ipc::IpcWriteOptions::Defaults()));
  ARROW_ASSIGN_OR_RAISE(const auto message, encoder->EncodeSchema());
  std::string bytes;
  for (const auto& slice : ipc::ToStreamBytes(message)) {
    bytes.append(slice->data_as<char>(), static_cast<size_t>(slice->size()));
  }
  return bytes;
}

}  // namespace arrowport::wire::flight
