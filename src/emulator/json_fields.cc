#include "emulator/json_fields.h"

#include <limits>

#include "base/error.h"

namespace arrowport::emulator {
namespace {

constexpr int64_t kMillisecondsMax = 24 * 60 * 60 * 1000;

bool IsIntegerIn(const nlohmann::json& value, int64_t least, int64_t most) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return false;
  }
  const auto number = value.get<int64_t>();
  return number >= least && number <= most;
}

}  // namespace

arrow::Result<nlohmann::json> ParseJson(std::string_view text, std::string_view what) {
  auto document = nlohmann::json::parse(text, nullptr, false);
  if (document.is_discarded()) {
    return Error(ErrorCode::kBadConfig, what, " is not JSON");
  }
  return document;
}

JsonFields::JsonFields(const nlohmann::json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) {
    Keep(Error(ErrorCode::kBadConfig, path_.empty() ? "the document" : path_,
               " must be a JSON object"));
  }
}

const nlohmann::json* JsonFields::Value(const std::string& name) {
  known_.insert(name);
  if (!object_.is_object()) return nullptr;
  const auto it = object_.find(name);
  return it == object_.end() ? nullptr : &*it;
}

void JsonFields::Fail(const std::string& name, std::string_view expected) {
  Keep(Error(ErrorCode::kBadConfig, "bad value of ", PathOf(name), ": expected ",
             expected));
}

std::optional<int64_t> JsonFields::Integer(const std::string& name, int64_t least,
                                           int64_t most) {
  const auto* value = Value(name);
  if (!value) return std::nullopt;
  if (IsIntegerIn(*value, least, most)) return value->get<int64_t>();
  Fail(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<double> JsonFields::Number(const std::string& name, double least,
                                         double most) {
  const auto* value = Value(name);
  if (!value) return std::nullopt;
  if (value->is_number() && value->get<double>() >= least &&
      value->get<double>() <= most) {
    return value->get<double>();
  }
  Fail(name, "a number from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

std::optional<bool> JsonFields::Boolean(const std::string& name) {
  const auto* value = Value(name);
  if (!value) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Fail(name, "true or false");
  return std::nullopt;
}

std::optional<std::string> JsonFields::Text(const std::string& name) {
  const auto* value = Value(name);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  Fail(name, "a text");
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> JsonFields::Milliseconds(
    const std::string& name) {
  const auto number = Integer(name, 0, kMillisecondsMax);
  if (!number) return std::nullopt;
  return std::chrono::milliseconds(*number);
}

std::optional<std::pair<int64_t, int64_t>> JsonFields::Range(const std::string& name,
                                                             int64_t least) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const auto* value = Value(name);
  if (!value) return std::nullopt;
  if (IsIntegerIn(*value, least, kMost)) {
    return std::pair(value->get<int64_t>(), value->get<int64_t>());
  }
  if (value->is_array() && value->size() == 2 &&
      IsIntegerIn((*value)[0], least, kMost) &&
      IsIntegerIn((*value)[1], (*value)[0].get<int64_t>(), kMost)) {
    return std::pair((*value)[0].get<int64_t>(), (*value)[1].get<int64_t>());
  }
  Fail(name, "an integer from " + std::to_string(least) + " or [first, last]");
  return std::nullopt;
}

arrow::Status JsonFields::Finish() {
  ARROW_RETURN_NOT_OK(status_);
  for (const auto& [name, value] : object_.items()) {
    if (known_.contains(name)) continue;
    std::string names;
    for (const auto& known : known_) names += (names.empty() ? "" : ", ") + known;
    return Error(ErrorCode::kBadConfig, "unknown field ", PathOf(name),
                 "; known here: ", names);
  }
  return {};
}

}  // namespace arrowport::emulator
