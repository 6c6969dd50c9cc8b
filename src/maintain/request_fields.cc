#include "maintain/request_fields.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "maintain/service.h"

namespace arrowport::maintain {
namespace {

constexpr int kDepthMax = 4;

/// Whether brackets outside of texts nest deeper than any request does.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

arrow::Status Misused(const char* name, std::string_view wanted) {
  return Error(ErrorCode::kInvalidArgument, "field \"", name, "\" takes ", wanted);
}

/// A setting's value as configuration files write it; nothing for other kinds.
std::optional<std::string> SettingText(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return value.dump();
  if (!value.is_array()) return std::nullopt;
  std::string list;
  for (const auto& element : value) {
    if (!element.is_string()) return std::nullopt;
    if (!list.empty()) list += ',';
    list += element.get<std::string>();
  }
  return list;
}

}  // namespace

arrow::Result<RequestFields> RequestFields::Parse(std::string_view body) {
  if (body.size() > kBodyBytesMax) {
    return Error(ErrorCode::kTooLarge, "the request's JSON is over the limit of bytes: ",
                 kBodyBytesMax);
  }
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return RequestFields(nlohmann::json::object());
  }
  if (NestsTooDeep(body)) {
    return Error(ErrorCode::kInvalidArgument, "the request's JSON nests too deep");
  }
  auto object = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return Error(ErrorCode::kInvalidArgument, "the request is not a JSON object");
  }
  return RequestFields(std::move(object));
}

arrow::Status RequestFields::CheckKnown(
    std::initializer_list<std::string_view> known) const {
  for (const auto& item : object_.items()) {
    if (item.key() == "table" ||
        std::find(known.begin(), known.end(), item.key()) != known.end()) {
      continue;
    }
    std::string names;
    for (const std::string_view name : known) {
      names.append(names.empty() ? "" : ", ").append(name);
    }
    return Error(ErrorCode::kInvalidArgument, "unknown field \"",
                 item.key().substr(0, 100), "\"; this operation takes: ",
                 names.empty() ? "nothing" : names);
  }
  return {};
}

const nlohmann::json* RequestFields::Find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

arrow::Result<std::optional<int64_t>> RequestFields::Integer(const char* name,
                                                             int64_t minimum,
                                                             int64_t maximum) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  const int64_t number = fits ? value->get<int64_t>() : 0;
  if (fits && number >= minimum && number <= maximum) return number;
  return Misused(name, "a whole number from " + std::to_string(minimum) + " to " +
                           std::to_string(maximum));
}

arrow::Result<std::optional<double>> RequestFields::Number(const char* name,
                                                           double minimum,
                                                           double maximum) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= minimum && number <= maximum) return number;
  }
  std::ostringstream wanted;
  wanted << "a number from " << minimum << " to " << maximum;
  return Misused(name, wanted.str());
}

arrow::Result<std::optional<bool>> RequestFields::Flag(const char* name) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return Misused(name, "true or false");
  return value->get<bool>();
}

arrow::Result<std::optional<std::string>> RequestFields::Text(const char* name) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return Misused(name, "text");
  return value->get<std::string>();
}

arrow::Result<std::vector<std::string>> RequestFields::TextList(const char* name) const {
  std::vector<std::string> list;
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return list;
  if (!value->is_array()) return Misused(name, "a list of texts");
  for (const auto& element : *value) {
    if (!element.is_string()) return Misused(name, "a list of texts");
    list.push_back(element.get<std::string>());
  }
  return list;
}

arrow::Result<std::map<std::string, std::string>> RequestFields::Settings(
    const char* name) const {
  std::map<std::string, std::string> settings;
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return settings;
  if (!value->is_object()) return Misused(name, "an object of settings");
  for (const auto& item : value->items()) {
    auto text = SettingText(item.value());
    if (!text) {
      return Error(ErrorCode::kInvalidArgument, "not a setting's value: ", name, ".",
                   item.key().substr(0, 100));
    }
    settings.emplace(item.key(), *std::move(text));
  }
  return settings;
}

}  // namespace arrowport::maintain
