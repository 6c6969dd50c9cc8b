// The one declared table of settings. From it come the YAML and environment parser, the
// flags, the help, the reference page and the view of effective values.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.h"

namespace arrowport::config {

enum class Type {
  kText,
  kPath,
  kInteger,
  kPort,
  kBoolean,
  kBytes,     ///< "64MiB"
  kMemory,    ///< as kBytes, or "25%" of the memory granted to the process
  kRate,      ///< "1KiB/s"
  kDuration,  ///< "30s"; held in milliseconds
  kTextList,  ///< a YAML list or comma-separated text
};

/// A checked value; monostate: none.
using Value =
    std::variant<std::monostate, bool, int64_t, std::string, std::vector<std::string>>;

struct Setting;

/// What an Apply function gets. `names` are the parts that stood for <name> and <n>.
struct Assignment {
  const Setting& setting;
  const std::vector<std::string>& names;
  const Value& value;
  const std::string& text;  ///< canonical text of `value`
};

/// Whether "none" (or null) is a value.
enum class Presence { kRequired, kOptional };
/// When a change of the file takes effect.
enum class Reload { kRestart, kLive };
enum class Visibility { kPlain, kSecret };

struct Setting {
  /// Parts in angle brackets stand for any name: "streams.<name>.mode"; <n> is a list
  /// index.
  std::string_view key;
  Type type = Type::kText;
  /// As written in a file; empty: none, or nothing at all below <name>.
  std::string_view default_text = {};
  /// For people, where default_text does not say it.
  std::string_view default_note = {};
  std::string_view doc = {};
  void (*apply)(Settings&, const Assignment&) = nullptr;
  std::vector<std::string_view> allowed = {};
  int64_t minimum = 0;
  int64_t maximum = std::numeric_limits<int64_t>::max();
  int64_t default_bytes_max = std::numeric_limits<int64_t>::max();  ///< of a kMemory default
  Presence presence = Presence::kRequired;
  Reload reload = Reload::kRestart;
  Visibility visibility = Visibility::kPlain;
  std::string_view flag = {};                       ///< "--host"
  std::vector<std::string_view> environment = {};  ///< besides ARROWPORT_<KEY>
  std::vector<std::string_view> aliases = {};      ///< other keys
  bool in_files = true;  ///< false: flag and environment only
};

/// Built once, immutable; the order is that of the reference page. Thread-safe.
const std::vector<Setting>& SettingTable();

/// A key that stands for `<key>.algorithm` and `<key>.level` when written as one scalar:
/// "zstd:3". With its names the same notation as Setting::key.
const std::vector<std::string_view>& CompressionKeys();

/// Parts of a key or pattern, split at dots.
std::vector<std::string> SplitKey(std::string_view key);

inline bool IsWildcard(std::string_view part) { return part.starts_with('<'); }
bool HasWildcard(const Setting& setting);

/// ARROWPORT_ + the key in upper case with '_'. REQUIRES: !HasWildcard(setting).
std::string EnvironmentName(const Setting& setting);

/// Short name of a type for help and reference: "size", "time" ...
std::string_view TypeName(Type type);

namespace internal {
// The table's two halves, in files of their own for their length.
std::vector<Setting> ServerSettings();
std::vector<Setting> NamedSettings();
}  // namespace internal

}  // namespace arrowport::config
