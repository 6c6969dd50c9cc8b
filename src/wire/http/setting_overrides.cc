#include "wire/http/setting_overrides.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

using Json = nlohmann::json;
using Overrides = std::map<std::string, std::string>;

std::string TextOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

arrow::Result<std::string> ListText(const std::string& name, const Json& list) {
  std::string text;
  for (const Json& entry : list) {
    const bool plain = entry.is_string() || entry.is_number() || entry.is_boolean();
    const std::string part = plain ? TextOf(entry) : "";
    if (!plain || part.find(',') != std::string::npos) {
      return Error(ErrorCode::kBadConfig,
                   "config holds a list with something else than plain values without "
                   "commas, under: ",
                   name);
    }
    if (!text.empty()) text.push_back(',');
    text.append(part);
  }
  return text;
}

arrow::Status Flatten(const std::string& prefix, const Json& object, Overrides* out) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + (prefix.empty() ? SettingNameOf(key) : key);
    if (value.is_null()) continue;
    if (value.is_array()) {
      ARROW_ASSIGN_OR_RAISE((*out)[name], ListText(name, value));
    } else if (value.is_object() && name == "compression") {
      const Json algorithm = value.value("algorithm", Json());
      const Json level = value.value("level", Json());
      if (!algorithm.is_string()) {
        return Error(ErrorCode::kBadConfig, "config.compression has no algorithm");
      }
      (*out)[name] = TextOf(algorithm) + (level.is_null() ? "" : ":" + TextOf(level));
    } else if (value.is_object()) {
      if (!prefix.empty()) {
        return Error(ErrorCode::kBadConfig, "config nests too deep, under: ", name);
      }
      ARROW_RETURN_NOT_OK(Flatten(name + ".", value, out));
    } else {
      (*out)[name] = TextOf(value);
    }
  }
  return {};
}

}  // namespace

std::string SettingNameOf(std::string_view name) {
  if (name == "table") return "target_table";
  if (name == "backend") return "storage_backend";
  if (name == "partition_by") return "delta_options.partition_by";
  if (name == "z_order_by") return "delta_options.z_order_by";
  return std::string(name);
}

arrow::Result<Overrides> ParseSettingOverrides(std::string_view json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error(ErrorCode::kBadConfig, "config is not an object");
  Overrides overrides;
  ARROW_RETURN_NOT_OK(Flatten("", object, &overrides));
  return overrides;
}

}  // namespace arrowport::wire::http
