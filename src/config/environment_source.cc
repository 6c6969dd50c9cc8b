#include <algorithm>
#include <cctype>

#include "config/source.h"

namespace arrowport::config {
namespace {

constexpr std::string_view kPrefix = "ARROWPORT_";

/// Names that are not settings: of the program itself, of its tests.
constexpr std::string_view kOthers[] = {
    "ARROWPORT_CONFIG", "ARROWPORT_URL",        "ARROWPORT_TEST_FAULTS",
    "ARROWPORT_TOKEN",  "ARROWPORT_SOURCE_DIR", "ARROWPORT_SHARED_DIR"};

std::string Upper(std::string_view text) {
  std::string upper;
  for (unsigned char c : text) upper += std::isalnum(c) ? std::toupper(c) : '_';
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower;
  for (unsigned char c : text) lower += std::tolower(c);
  return lower;
}

/// What Kubernetes sets for a service called "arrowport"; ARROWPORT_PORT is one of them.
bool IsServiceLink(const std::string& name, const std::string& value) {
  return name.starts_with("ARROWPORT_SERVICE_") || name.starts_with("ARROWPORT_PORT_") ||
         (name == "ARROWPORT_PORT" && value.find("://") != std::string::npos);
}

/// A path below one wildcard key: ARROWPORT_STREAMS_EVENTS_MODE -> streams.events.mode.
std::vector<std::string> NamedPath(const std::string& name,
                                   const std::vector<Entry>& file_entries) {
  std::vector<std::string> keys(CompressionKeys().begin(), CompressionKeys().end());
  for (const Setting& setting : SettingTable()) keys.emplace_back(setting.key);
  std::vector<std::string> best;
  size_t best_fixed = 0;
  for (const std::string& key : keys) {
    const size_t start = key.find("<name>");
    if (start == std::string::npos || key.find("<n>") != std::string::npos) continue;
    const std::string before = std::string(kPrefix) + Upper(key.substr(0, start));
    const std::string after = Upper(key.substr(start + 6));
    const size_t fixed = before.size() + after.size();
    if (name.size() <= fixed || fixed <= best_fixed || !name.starts_with(before) ||
        !name.ends_with(after)) {
      continue;
    }
    best_fixed = fixed;
    const std::string middle = name.substr(before.size(), name.size() - fixed);
    best = SplitKey(key);
    std::string& wild = *std::find(best.begin(), best.end(), "<name>");
    wild = Lower(middle);
    for (const Entry& entry : file_entries) {
      if (entry.path.size() > 1 && entry.path[0] == best[0] &&
          Upper(entry.path[1]) == middle) {
        wild = entry.path[1];
      }
    }
  }
  return best;
}

}  // namespace

void ReadEnvironment(const std::map<std::string, std::string>& environment,
                     const std::vector<Entry>& file_entries, std::vector<Entry>* entries,
                     std::vector<std::string>* warnings, Problems* problems) {
  std::map<std::string, std::vector<std::string>> fixed_names;
  fixed_names["ARROWPORT_COMPRESSION"] = {"compression"};
  for (const Setting& setting : SettingTable()) {
    if (HasWildcard(setting)) continue;
    fixed_names[EnvironmentName(setting)] = SplitKey(setting.key);
    for (std::string_view alias : setting.environment)
      fixed_names[std::string(alias)] = SplitKey(setting.key);
  }
  std::map<std::vector<std::string>, std::pair<std::string, std::string>> seen;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || IsServiceLink(name, value)) continue;
    if (std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers))
      continue;
    // An empty variable is how shells and containers say "not set".
    if (value.empty()) continue;
    const auto fixed = fixed_names.find(name);
    std::vector<std::string> path = fixed != fixed_names.end()
                                        ? fixed->second
                                        : NamedPath(name, file_entries);
    if (path.empty()) {
      std::vector<std::string> candidates;
      for (const auto& item : fixed_names) candidates.push_back(item.first);
      const std::string nearest = Nearest(name, candidates);
      warnings->push_back("unknown environment variable " + name + " is ignored" +
                          (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
      continue;
    }
    const auto [before, is_new] = seen.emplace(path, std::pair(name, value));
    if (!is_new) {
      if (before->second.second != value) {
        problems->Add(name, "and " + before->second.first +
                                " name the same setting with different values");
      }
      continue;
    }
    entries->push_back({std::move(path), {{value}, RawValue::Shape::kScalar},
                        OriginKind::kEnvironment, name, false});
  }
}

}  // namespace arrowport::config
