#include "config/source.h"

#include <algorithm>

#include "base/error.h"

namespace arrowport::config {
namespace {

struct Pattern {
  const Setting* setting;
  std::vector<std::string> parts;
};

/// Keys and aliases of the table, split once.
const std::vector<Pattern>& Patterns() {
  static const std::vector<Pattern> patterns = [] {
    std::vector<Pattern> made;
    for (const Setting& setting : SettingTable()) {
      made.push_back({&setting, SplitKey(setting.key)});
      for (std::string_view alias : setting.aliases)
        made.push_back({&setting, SplitKey(alias)});
    }
    return made;
  }();
  return patterns;
}

bool IsIndex(const std::string& part) {
  return !part.empty() && part.size() <= 5 &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool PartMatches(const std::string& pattern, const std::string& part) {
  if (pattern == "<n>") return IsIndex(part);
  if (IsWildcard(pattern)) return !part.empty();
  return pattern == part;
}

/// Whether the first `count` parts agree.
bool PrefixMatches(const std::vector<std::string>& pattern,
                   const std::vector<std::string>& path, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!PartMatches(pattern[i], path[i])) return false;
  }
  return true;
}

/// `path` with a name that holds unquoted dots put together, if some pattern wants that.
std::vector<std::string> JoinDottedName(const std::vector<std::string>& path) {
  std::vector<std::string> best;
  size_t best_fixed = 0;
  for (const Pattern& pattern : Patterns()) {
    const auto& parts = pattern.parts;
    const auto wild = std::find_if(parts.begin(), parts.end(),
                                   [](const std::string& p) { return IsWildcard(p); });
    if (wild == parts.end() || *wild == "<n>" || path.size() <= parts.size()) continue;
    const size_t before = wild - parts.begin();
    const size_t after = parts.size() - before - 1;
    std::vector<std::string> joined(path.begin(), path.begin() + before + 1);
    for (size_t i = before + 1; i < path.size() - after; ++i)
      joined.back().append(".").append(path[i]);
    joined.insert(joined.end(), path.end() - after, path.end());
    if (PrefixMatches(parts, joined, parts.size()) &&
        (best.empty() || before + after > best_fixed)) {
      best = joined;
      best_fixed = before + after;
    }
  }
  return best.empty() ? path : best;
}

}  // namespace

void Problems::Add(std::string_view origin, std::string_view what) {
  std::string line(origin);
  lines_.push_back(line.append(line.empty() ? "" : ": ").append(what));
}

arrow::Status Problems::ToStatus() const {
  if (lines_.empty()) return {};
  constexpr size_t kShown = 20;
  std::string text = "bad configuration: " + lines_[0];
  for (size_t i = 1; i < std::min(lines_.size(), kShown); ++i) text += "\n  " + lines_[i];
  if (lines_.size() > kShown)
    text += "\n  and " + std::to_string(lines_.size() - kShown) + " more";
  return MakeError(ErrorCode::kBadConfig, std::move(text));
}

Match FindSetting(const std::vector<std::string>& path) {
  for (const Pattern& pattern : Patterns()) {
    if (pattern.parts.size() != path.size() ||
        !PrefixMatches(pattern.parts, path, path.size())) {
      continue;
    }
    Match match{pattern.setting, {}};
    for (size_t i = 0; i < path.size(); ++i) {
      if (IsWildcard(pattern.parts[i])) match.names.push_back(path[i]);
    }
    return match;
  }
  return {};
}

bool IsGroup(const std::vector<std::string>& path) {
  return std::any_of(Patterns().begin(), Patterns().end(), [&](const Pattern& pattern) {
    return pattern.parts.size() > path.size() &&
           PrefixMatches(pattern.parts, path, path.size());
  });
}

bool IsCompressionKey(const std::vector<std::string>& path) {
  return std::any_of(CompressionKeys().begin(), CompressionKeys().end(),
                     [&](std::string_view key) {
                       const auto parts = SplitKey(key);
                       return parts.size() == path.size() &&
                              PrefixMatches(parts, path, path.size());
                     });
}

std::string UnknownKeyText(const std::vector<std::string>& path) {
  std::vector<std::string> candidates;
  std::string by_last_part;
  for (const Pattern& pattern : Patterns()) {
    if (!pattern.setting->in_files) continue;
    std::vector<std::string> parts = pattern.parts;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (IsWildcard(parts[i]) && i < path.size()) parts[i] = path[i];
    }
    const std::string key = JoinKey(parts);
    candidates.push_back(key);
    if (by_last_part.empty() && !HasWildcard(*pattern.setting) &&
        parts.back() == path.back()) {
      by_last_part = key;
    }
  }
  const std::string given = JoinKey(path);
  std::string nearest = Nearest(given, candidates);
  if (nearest.empty()) nearest = by_last_part;
  std::string text = "unknown key '" + given + "'";
  if (!nearest.empty()) text += "; did you mean '" + nearest + "'?";
  return text;
}

std::string JoinKey(const std::vector<std::string>& path) {
  std::string key;
  for (const std::string& part : path) {
    if (!key.empty()) key += '.';
    const bool quoted = part.find('.') != std::string::npos || part.empty();
    key += quoted ? '"' + part + '"' : part;
  }
  return key;
}

std::vector<std::string> PathOfKey(std::string_view key) {
  std::vector<std::string> path(1);
  bool quoted = false;
  for (char c : key) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '.' && !quoted) {
      path.emplace_back();
    } else {
      path.back() += c;
    }
  }
  if (FindSetting(path).setting || IsCompressionKey(path)) return path;
  return JoinDottedName(path);
}

const std::vector<FlagSpec>& Flags() {
  static const std::vector<FlagSpec> flags = [] {
    std::vector<FlagSpec> made;
    for (const Setting& setting : SettingTable()) {
      if (!setting.flag.empty())
        made.push_back({setting.flag, std::string(setting.key), setting.type, setting.doc});
    }
    made.push_back({"--parquet-path", "datasets.dataset", Type::kPath,
                    "Parquet file, folder or glob to serve as the view `dataset`."});
    return made;
  }();
  return flags;
}

}  // namespace arrowport::config
