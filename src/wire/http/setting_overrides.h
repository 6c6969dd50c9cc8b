// Stream settings that come with a request, in JSON or as query parameters.
#pragma once

#include <arrow/result.h>

#include <map>
#include <string>
#include <string_view>

namespace arrowport::wire::http {

/// The configuration's name of a setting that requests may call by a short name:
/// "table" -> "target_table", "partition_by" -> "delta_options.partition_by".
std::string SettingNameOf(std::string_view name);

/// A JSON object of settings, flattened: nested objects with dots, lists with commas,
/// `compression: {"algorithm": "zstd", "level": 3}` as "zstd:3"; null means not given.
/// What the settings mean is checked by the service. Errors: kBadConfig.
arrow::Result<std::map<std::string, std::string>> ParseSettingOverrides(
    std::string_view json);

}  // namespace arrowport::wire::http
