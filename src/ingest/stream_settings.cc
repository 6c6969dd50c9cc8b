#include "ingest/stream_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <utility>

#include "base/error.h"

namespace arrowport::ingest {
namespace {

constexpr size_t kShownBytesMax = 64;

std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kShownBytesMax));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return "'" + shown + (text.size() > kShownBytesMax ? "...'" : "'");
}

template <typename T>
using Choices = std::vector<std::pair<std::string_view, T>>;

template <typename T>
arrow::Status Choose(std::string_view text, const Choices<T>& choices, T* out) {
  std::string allowed;
  for (const auto& [name, value] : choices) {
    if (name == text) {
      *out = value;
      return {};
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += name;
  }
  return Error(ErrorCode::kBadConfig, "value is not one of ", allowed, ": ", Shown(text));
}

arrow::Status OneOf(std::string_view text, const std::vector<std::string_view>& names,
                    std::string* out) {
  Choices<std::string_view> choices;
  for (std::string_view name : names) choices.emplace_back(name, name);
  std::string_view chosen;
  ARROW_RETURN_NOT_OK(Choose(text, choices, &chosen));
  *out = chosen;
  return {};
}

arrow::Status Number(std::string_view text, int64_t low, int64_t high, int64_t* out) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low ||
      value > high) {
    return Error(ErrorCode::kBadConfig, "value is not a whole number from ", low, " to ",
                 high, ": ", Shown(text));
  }
  *out = value;
  return {};
}

arrow::Status List(std::string_view text, std::vector<std::string>* out) {
  out->clear();
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item.empty()) {
      return Error(ErrorCode::kBadConfig, "list has an empty item: ", Shown(text));
    }
    out->emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return {};
}

arrow::Status Boolean(std::string_view text, bool* out) {
  return Choose<bool>(text, {{"true", true}, {"false", false}}, out);
}

arrow::Status Codec(std::string_view text, std::string* out) {
  std::string_view name = text.substr(0, text.find(':'));
  std::string checked;
  ARROW_RETURN_NOT_OK(OneOf(name, {"zstd", "lz4", "none"}, &checked));
  if (name.size() != text.size()) {
    int64_t level = 0;
    ARROW_RETURN_NOT_OK(Number(text.substr(name.size() + 1), 1, 22, &level));
  }
  *out = text;
  return {};
}

arrow::Status Schema(std::string_view text, schema::SchemaMode* out) {
  using enum schema::SchemaMode;
  return Choose<schema::SchemaMode>(
      text, {{"strict", kStrict}, {"merge", kMerge}, {"widen", kWiden}}, out);
}

arrow::Status Mode(std::string_view text, WriteMode* out) {
  if (text == "upsert") {
    return Error(ErrorCode::kNotBuilt, "mode upsert is not built yet");
  }
  using enum WriteMode;
  return Choose<WriteMode>(text, {{"append", kAppend}, {"overwrite", kOverwrite}}, out);
}

arrow::Status Mismatch(std::string_view text, OnMismatch* out) {
  using enum OnMismatch;
  return Choose<OnMismatch>(
      text, {{"reject", kReject}, {"quarantine", kQuarantine}, {"skip", kSkip}}, out);
}

struct Setting {
  std::string_view name;
  arrow::Status (*apply)(std::string_view text, StreamSettings* out);
};

using S = StreamSettings*;
using V = std::string_view;
constexpr int64_t kFileBytesMax = int64_t{1} << 40;
constexpr int64_t kIntervalMsMax = 3'600'000;

constexpr std::array kSettings = {
    Setting{"target_table",
            [](V text, S out) {
              out->target_table = text;
              return arrow::Status::OK();
            }},
    Setting{"storage_backend",
            [](V text, S out) {
              return OneOf(text, {"duckdb", "ducklake", "delta"}, &out->storage_backend);
            }},
    Setting{"chunk_size",
            [](V text, S out) {
              return Number(text, 1, int64_t{1} << 30, &out->chunk_size);
            }},
    Setting{"compression", [](V text, S out) { return Codec(text, &out->compression); }},
    Setting{"schema_mode", [](V text, S out) { return Schema(text, &out->schema_mode); }},
    Setting{"on_mismatch",
            [](V text, S out) { return Mismatch(text, &out->on_mismatch); }},
    Setting{"mode", [](V text, S out) { return Mode(text, &out->mode); }},
    Setting{"delta_options.partition_by",
            [](V text, S out) { return List(text, &out->delta.partition_by); }},
    Setting{"delta_options.z_order_by",
            [](V text, S out) { return List(text, &out->delta.z_order_by); }},
    Setting{"delta_options.target_file_size",
            [](V text, S out) {
              return Number(text, 1, kFileBytesMax, &out->delta.target_file_size);
            }},
    Setting{"delta_options.compression",
            [](V text, S out) {
              return OneOf(text, {"snappy", "zstd", "gzip", "lz4", "none"},
                           &out->delta.compression);
            }},
    Setting{"delta_options.schema_mode",
            [](V text, S out) { return Schema(text, &out->delta.schema_mode); }},
    Setting{"delta_options.mode",
            [](V text, S out) { return Mode(text, &out->delta.mode); }},
    Setting{"delta_options.type_widening",
            [](V text, S out) { return Boolean(text, &out->delta.type_widening); }},
    Setting{"delta_options.commit_interval_ms",
            [](V text, S out) {
              return Number(text, 0, kIntervalMsMax, &out->delta.commit_interval_ms);
            }},
    Setting{"delta_options.optimize",
            [](V text, S out) {
              return OneOf(text, {"off", "auto", "on"}, &out->delta.optimize);
            }},
};

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kAliases = {{
    {"table", "target_table"},
    {"backend", "storage_backend"},
    {"partition_by", "delta_options.partition_by"},
    {"z_order_by", "delta_options.z_order_by"},
    {"target_file_size", "delta_options.target_file_size"},
    {"commit_interval_ms", "delta_options.commit_interval_ms"},
}};

/// Levenshtein distance, for the nearest valid key.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1,
                         diagonal + static_cast<size_t>(a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string_view Nearest(std::string_view key) {
  key = key.substr(0, kShownBytesMax);
  std::string_view nearest = kSettings.front().name;
  for (const Setting& setting : kSettings) {
    if (Distance(key, setting.name) < Distance(key, nearest)) nearest = setting.name;
  }
  return nearest;
}

const Setting* Find(std::string_view key) {
  for (const auto& [alias, name] : kAliases) {
    if (alias == key) key = name;
  }
  auto found = std::ranges::find(kSettings, key, &Setting::name);
  return found == kSettings.end() ? nullptr : &*found;
}

bool WritesDelta(const StreamSettings& settings) {
  return settings.storage_backend == "delta";
}

}  // namespace

arrow::Result<StreamSettings> ApplySettings(StreamSettings base,
                                            const SettingTexts& texts) {
  bool schema_mode_given = false, mode_given = false;
  for (const auto& [key, text] : texts) {
    const Setting* setting = Find(key);
    if (setting == nullptr) {
      return Error(ErrorCode::kBadConfig,
                   "unknown stream setting (nearest: ", Nearest(key), "): ", Shown(key));
    }
    ARROW_RETURN_NOT_OK(WithContext(setting->name, setting->apply(text, &base)));
    schema_mode_given |= setting->name == "schema_mode";
    mode_given |= setting->name == "mode";
  }
  // A stream's own choice holds for Delta too, unless its delta_options say otherwise.
  if (schema_mode_given && !texts.contains("delta_options.schema_mode")) {
    base.delta.schema_mode = base.schema_mode;
  }
  if (mode_given && !texts.contains("delta_options.mode")) base.delta.mode = base.mode;
  return base;
}

sink::WriteOptions WriteOptionsOf(const StreamSettings& settings) {
  sink::WriteOptions options;
  options.schema_mode = WritesDelta(settings) ? settings.delta.schema_mode : settings.schema_mode;
  options.partition_by = settings.delta.partition_by;
  options.type_widening = settings.delta.type_widening;
  options.compression = settings.delta.compression;
  options.target_file_bytes = settings.delta.target_file_size;
  return options;
}

WriteMode WriteModeOf(const StreamSettings& settings) {
  return WritesDelta(settings) ? settings.delta.mode : settings.mode;
}

std::chrono::milliseconds CommitSpacingOf(const StreamSettings& settings) {
  return std::chrono::milliseconds(
      WritesDelta(settings) ? settings.delta.commit_interval_ms : 0);
}

}  // namespace arrowport::ingest
