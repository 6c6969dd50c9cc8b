#include "delta/table_properties.h"

#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace arrowport::delta {
namespace {

constexpr std::array<std::pair<std::string_view, int64_t>, 7> kUnits = {{
    {"millisecond", 1},
    {"second", 1000},
    {"minute", 60LL * 1000},
    {"hour", 3600LL * 1000},
    {"day", 24LL * 3600 * 1000},
    {"week", 7LL * 24 * 3600 * 1000},
    {"microsecond", 0},
}};

std::string_view NextWord(std::string_view* text) {
  const size_t begin = text->find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  const size_t end = std::min(text->find_first_of(" \t", begin), text->size());
  const std::string_view word = text->substr(begin, end - begin);
  text->remove_prefix(end);
  return word;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> UnitMs(std::string_view word) {
  if (word.size() > 1 && word.ends_with('s')) word.remove_suffix(1);
  for (const auto& [name, ms] : kUnits) {
    if (name == word) return ms;
  }
  return std::nullopt;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

class Lookup {
 public:
  explicit Lookup(const StringMap& configuration) : configuration_(configuration) {}
  std::optional<std::string> Text(std::string_view name) const {
    const auto found = configuration_.find(name);
    if (found == configuration_.end()) return std::nullopt;
    return found->second;
  }
  void Flag(std::string_view name, bool* out) const {
    if (const auto text = Text(name)) *out = Lower(*text) == "true";
  }
  std::optional<int64_t> Integer(std::string_view name) const {
    const auto text = Text(name);
    return text ? ParseInteger(*text) : std::nullopt;
  }
  std::optional<int64_t> Interval(std::string_view name) const {
    const auto text = Text(name);
    return text ? ParseIntervalMs(*text) : std::nullopt;
  }

 private:
  const StringMap& configuration_;
};

}  // namespace

std::optional<int64_t> ParseIntervalMs(std::string_view text) {
  const std::string lower = Lower(text);
  std::string_view rest = lower;
  std::string_view word = NextWord(&rest);
  if (word == "interval") word = NextWord(&rest);
  if (word.empty()) return std::nullopt;
  int64_t total = 0;
  while (!word.empty()) {
    const auto number = ParseInteger(word);
    const auto unit = UnitMs(NextWord(&rest));
    int64_t part = 0;
    if (!number || !unit || *number < 0 || __builtin_mul_overflow(*number, *unit, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return std::nullopt;
    }
    word = NextWord(&rest);
  }
  return total;
}

TableProperties TableProperties::From(const StringMap& configuration) {
  const Lookup lookup(configuration);
  TableProperties properties;
  lookup.Flag("delta.appendOnly", &properties.append_only);
  lookup.Flag("delta.enableChangeDataFeed", &properties.change_data_feed);
  lookup.Flag("delta.enableInCommitTimestamps", &properties.in_commit_timestamps);
  lookup.Flag("delta.enableExpiredLogCleanup", &properties.expired_log_cleanup);
  lookup.Flag("delta.enableRowTracking", &properties.row_tracking);
  lookup.Flag("delta.enableTypeWidening", &properties.type_widening);
  properties.in_commit_timestamps_from_version =
      lookup.Integer("delta.inCommitTimestampEnablementVersion");
  properties.in_commit_timestamps_from_ms =
      lookup.Integer("delta.inCommitTimestampEnablementTimestamp");
  if (const auto ms = lookup.Interval("delta.deletedFileRetentionDuration")) {
    properties.deleted_file_retention_ms = *ms;
  }
  if (const auto ms = lookup.Interval("delta.logRetentionDuration")) {
    properties.log_retention_ms = *ms;
  }
  properties.transaction_retention_ms =
      lookup.Interval("delta.setTransactionRetentionDuration");
  return properties;
}

}  // namespace arrowport::delta
