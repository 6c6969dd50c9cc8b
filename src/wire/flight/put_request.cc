#include "wire/flight/put_request.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "wire/flight/command.h"

namespace arrowport::wire::flight {
namespace {

using nlohmann::json;

constexpr int kOptionNestingMax = 3;

arrow::Status BadOption(std::string_view key, std::string_view expected) {
  return Error(ErrorCode::kInvalidArgument, "bad value of a DoPut option: ", key,
               " takes ", expected);
}

arrow::Result<std::string> Text(const std::string& key, const json& value) {
  if (!value.is_string()) return BadOption(key, "a text");
  return value.get<std::string>();
}

arrow::Result<std::string> ScalarText(const std::string& key, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return value.dump();
  return BadOption(key, "a text, a number, true, false, or a list of them");
}

arrow::Status AddSetting(const std::string& key, const json& value, int depth,
                         std::map<std::string, std::string>* settings) {
  if (value.is_object()) {
    if (depth >= kOptionNestingMax) return BadOption(key, "fewer levels of objects");
    for (const auto& [name, inner] : value.items()) {
      ARROW_RETURN_NOT_OK(AddSetting(key + "." + name, inner, depth + 1, settings));
    }
    return {};
  }
  if (value.is_array()) {
    std::string list;
    for (const auto& element : value) {
      ARROW_ASSIGN_OR_RAISE(const auto text, ScalarText(key, element));
      list.append(list.empty() ? "" : ",").append(text);
    }
    (*settings)[key] = std::move(list);
    return {};
  }
  ARROW_ASSIGN_OR_RAISE((*settings)[key], ScalarText(key, value));
  return {};
}

arrow::Status Apply(const std::string& key, const json& value, ingest::Request* request) {
  if (key == "stream_name") {
    ARROW_ASSIGN_OR_RAISE(request->stream, Text(key, value));
  } else if (key == "idempotency_key") {
    ARROW_ASSIGN_OR_RAISE(request->idempotency_key, Text(key, value));
  } else if (key == "producer") {
    ARROW_ASSIGN_OR_RAISE(request->producer, Text(key, value));
  } else if (key == "sequence") {
    if (!value.is_number_integer()) return BadOption(key, "an integer");
    if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) {
      return BadOption(key, "a 64-bit signed integer");
    }
    request->sequence = value.get<int64_t>();
  } else if (key == "commit") {
    ARROW_ASSIGN_OR_RAISE(const auto mode, Text(key, value));
    if (mode != "stream" && mode != "batch") {
      return BadOption(key, "\"stream\" or \"batch\"");
    }
    request->commit =
        mode == "batch" ? ingest::CommitMode::kBatch : ingest::CommitMode::kStream;
  } else if (key == "table") {
    return AddSetting("target_table", value, 0, &request->overrides);
  } else if (key == "backend") {
    return AddSetting("storage_backend", value, 0, &request->overrides);
  } else {
    return AddSetting(key, value, 0, &request->overrides);
  }
  return {};
}

arrow::Status CheckCombination(const ingest::Request& request) {
  if (!request.producer.empty() && !request.sequence) {
    return Error(ErrorCode::kInvalidArgument, "a producer needs a sequence");
  }
  if (request.producer.empty() && request.sequence) {
    return Error(ErrorCode::kInvalidArgument, "a sequence needs a producer");
  }
  if (!request.producer.empty() && !request.idempotency_key.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "give an idempotency_key or a producer, not both");
  }
  if (request.commit == ingest::CommitMode::kBatch) {
    if (!request.idempotency_key.empty()) {
      return Error(ErrorCode::kInvalidArgument,
                   "commit mode batch takes a producer and a sequence, not an "
                   "idempotency_key");
    }
    const auto mode = request.overrides.find("mode");
    if (mode != request.overrides.end() && mode->second == "overwrite") {
      return Error(ErrorCode::kInvalidArgument,
                   "mode overwrite does not go with commit mode batch");
    }
  }
  return {};
}

}  // namespace

arrow::Result<ingest::Request> PutRequestOf(const proto::FlightDescriptor& descriptor,
                                            const net::RequestHead& head) {
  ARROW_ASSIGN_OR_RAISE(const Command command, ParseDescriptor(descriptor));
  ingest::Request request;
  request.protocol = "flight";
  request.request_id = head.request_id;
  if (const auto* flight_sql = std::get_if<FlightSqlCommand>(&command)) {
    return Error(ErrorCode::kUnimplemented,
                 "this Flight SQL command is not offered: ", flight_sql->name);
  }
  if (const auto* path = std::get_if<DescriptorPath>(&command)) {
    if (path->parts.size() != 1 || path->parts[0].empty()) {
      return Error(ErrorCode::kInvalidArgument,
                   "a path to write is [stream]; parts given: ", path->parts.size());
    }
    request.stream = path->parts[0];
    return request;
  }
  const auto* object = std::get_if<json>(&command);
  if (!object || !object->contains("stream_name")) {
    return Error(ErrorCode::kInvalidArgument,
                 "DoPut takes a path [stream] or JSON {\"stream_name\": NAME, ...}");
  }
  for (const auto& [key, value] : object->items()) {
    ARROW_RETURN_NOT_OK(Apply(key, value, &request));
  }
  if (request.stream.empty()) {
    return Error(ErrorCode::kInvalidArgument, "the stream_name is empty");
  }
  ARROW_RETURN_NOT_OK(CheckCombination(request));
  return request;
}

}  // namespace arrowport::wire::flight
