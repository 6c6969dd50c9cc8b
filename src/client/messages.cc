#include "client/messages.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace arrowport::client {
namespace {

using Json = nlohmann::json;

std::string TextOf(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t NumberOf(const Json& json, const char* key, int64_t otherwise) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>()
                                                           : otherwise;
}

bool FlagOf(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

Receipt SummaryOf(const Json& json) {
  Receipt receipt;
  receipt.stream = TextOf(json, "stream");
  receipt.table = TextOf(json, "table");
  receipt.storage_backend = TextOf(json, "storage_backend");
  receipt.durability = TextOf(json, "durability");
  receipt.version = TextOf(json, "version");
  receipt.rows = NumberOf(json, "rows_processed", 0);
  receipt.bytes = NumberOf(json, "bytes", 0);
  receipt.batches = NumberOf(json, "batches", 0);
  receipt.idempotent_replay = FlagOf(json, "idempotent_replay");
  receipt.quarantined = TextOf(json, "status") == "quarantined";
  receipt.warning = TextOf(json, "warning");
  return receipt;
}

Ack AckOf(const Json& json) {
  Ack ack;
  ack.offset = NumberOf(json, "ack_up_to_offset", -1);
  ack.rows = NumberOf(json, "ack_up_to_records", 0);
  ack.version = TextOf(json, "version");
  const auto quarantined = json.find("quarantined");
  if (quarantined != json.end() && quarantined->is_array()) {
    for (const Json& offset : *quarantined) {
      if (offset.is_number_integer()) ack.quarantined.push_back(offset.get<int64_t>());
    }
  }
  return ack;
}

/// A length-delimited protobuf field (wire type 2).
std::string Field(int number, std::string_view content) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  uint64_t size = content.size();
  while (size >= 0x80) {
    field += static_cast<char>((size & 0x7f) | 0x80);
    size >>= 7;
  }
  field += static_cast<char>(size);
  return field.append(content);
}

}  // namespace

std::string DescriptorJson(const UploadRequest& request) {
  Json json = Json::object();
  for (const auto& [key, value] : request.settings) {
    constexpr std::string_view kDelta = "delta_options.";
    if (key.starts_with(kDelta)) {
      json["delta_options"][key.substr(kDelta.size())] = value;
    } else {
      json[key] = value;
    }
  }
  json["stream_name"] = request.stream;
  json["commit"] = request.commit == CommitMode::kStream ? "stream" : "batch";
  if (!request.idempotency_key.empty()) json["idempotency_key"] = request.idempotency_key;
  if (!request.producer.empty()) json["producer"] = request.producer;
  if (request.sequence) json["sequence"] = *request.sequence;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

arrow::Result<PutMessage> ParsePutMessage(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Error(ErrorCode::kInternal, "the server's acknowledgement is not JSON: ",
                 text.substr(0, 200));
  }
  PutMessage message;
  if (json.contains("status")) {
    message.summary = SummaryOf(json);
    return message;
  }
  message.is_ready = FlagOf(json, "ready");
  if (message.is_ready) {
    const int64_t last = NumberOf(json, "producer_last_sequence", INT64_MIN);
    if (last != INT64_MIN) message.producer_last_sequence = last;
  } else {
    message.ack = AckOf(json);
  }
  return message;
}

std::string StatementQueryCommand(std::string_view sql) {
  return Field(1, "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") +
         Field(2, Field(1, sql));
}

}  // namespace arrowport::client
