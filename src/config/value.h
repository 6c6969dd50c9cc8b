// Texts of files, environment and flags turned into checked values.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting_table.h"

namespace arrowport::config {

/// What a source says before it is checked: one scalar, or a list of scalars.
struct RawValue {
  std::vector<std::string> items;
  enum class Shape { kScalar, kList, kNull } shape = Shape::kScalar;
};

/// Checks against the setting's type, choices and bounds. `memory_bytes` is what
/// percentages are of. Errors: kBadConfig with a message that says what is allowed (the
/// caller adds key and place).
arrow::Result<Value> ParseValue(const Setting& setting, const RawValue& raw,
                                int64_t memory_bytes);

/// The table's default; monostate without one. Never fails: a test parses them all.
Value DefaultValue(const Setting& setting, int64_t memory_bytes);

/// Text that ParseValue would read back.
std::string CanonicalText(const Setting& setting, const Value& value);

/// "64MiB", "10 GB", "1024", "1.5GiB" -> bytes. Errors: kBadConfig.
arrow::Result<int64_t> ParseBytes(std::string_view text);
/// "250ms", "30s", "5m", "12h", "7d", "1h30m", "0" -> milliseconds. Errors: kBadConfig.
arrow::Result<int64_t> ParseDurationMs(std::string_view text);
std::string FormatBytes(int64_t bytes);
std::string FormatDurationMs(int64_t ms);

/// Number of edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
int EditDistance(std::string_view a, std::string_view b);
/// The nearest of `candidates`, or empty when none is near enough to be a typing error.
std::string Nearest(std::string_view given, const std::vector<std::string>& candidates);

/// Bytes the machine or the container (cgroup v1 or v2) grants this process.
int64_t MemoryGrantedBytes();

}  // namespace arrowport::config
