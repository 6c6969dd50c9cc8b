#include "delta/idempotency.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "delta/json_text.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kSummaryBytesMax = int64_t{1} << 30;
constexpr int kFormat = 1;
constexpr size_t kSummariesKept = 2;
constexpr std::string_view kFilePrefix = "keys-";
constexpr std::string_view kFileSuffix = ".jsonl";
constexpr size_t kSha256Bytes = 32;

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const unsigned char c : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", c);
  return out;
}

std::optional<std::string> FromHex(std::string_view text) {
  if (text.size() != 2 * kSha256Bytes) return std::nullopt;
  std::string out(kSha256Bytes, '\0');
  for (size_t i = 0; i < kSha256Bytes; ++i) {
    unsigned value = 0;
    const char* begin = text.data() + 2 * i;
    const auto parsed = std::from_chars(begin, begin + 2, value, 16);
    if (parsed.ec != std::errc() || parsed.ptr != begin + 2) return std::nullopt;
    out[i] = static_cast<char>(value);
  }
  return out;
}

std::optional<KeyEntry> EntryOf(const nlohmann::json& item) {
  if (!item.is_object()) return std::nullopt;
  const auto key = item.find("key"), sha256 = item.find("sha256"), rows = item.find("rows");
  if (key == item.end() || !key->is_string() || sha256 == item.end() ||
      !sha256->is_string() || rows == item.end() || !rows->is_number_integer()) {
    return std::nullopt;
  }
  auto bytes = FromHex(sha256->get_ref<const std::string&>());
  if (!bytes) return std::nullopt;
  return KeyEntry{key->get<std::string>(), std::move(*bytes), rows->get<int64_t>()};
}

void WriteEntry(std::string_view key, std::string_view sha256, int64_t rows,
                JsonObject* object) {
  object->String("key", key);
  object->String("sha256", Hex(sha256));
  object->Number("rows", rows);
}

std::optional<int64_t> VersionOfSummary(std::string_view path) {
  std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (!name.starts_with(kFilePrefix) || !name.ends_with(kFileSuffix)) return std::nullopt;
  name.remove_prefix(kFilePrefix.size());
  name.remove_suffix(kFileSuffix.size());
  int64_t version = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), version);
  if (name.size() != 20 || parsed.ec != std::errc() ||
      parsed.ptr != name.data() + name.size()) {
    return std::nullopt;
  }
  return version;
}

arrow::Result<std::vector<int64_t>> ListSummaries(const store::Store& store) {
  std::vector<int64_t> versions;
  ARROW_RETURN_NOT_OK(
      store.List(kKeyFolder, "", [&](const store::FileInfo& file) -> arrow::Status {
        if (auto version = VersionOfSummary(file.path)) versions.push_back(*version);
        return {};
      }));
  std::sort(versions.begin(), versions.end());
  return versions;
}

}  // namespace

std::string KeySummaryPath(int64_t version) {
  return fmt::format("{}/{}{:020}{}", kKeyFolder, kFilePrefix, version, kFileSuffix);
}

std::string KeysToJson(std::span<const KeyEntry> keys) {
  std::string list = "[";
  for (const KeyEntry& key : keys) {
    if (list.size() > 1) list.push_back(',');
    JsonObject object(&list);
    WriteEntry(key.key, key.sha256, key.rows, &object);
    object.Close();
  }
  list.push_back(']');
  std::string out;
  JsonObject object(&out);
  object.Raw("keys", list);
  object.Close();
  return out;
}

std::vector<KeyEntry> KeysOf(const CommitInfo& info) {
  // Most commits have none: no document is built for them.
  if (info.json.find("\"arrowport\"") == std::string::npos) return {};
  const auto document = nlohmann::json::parse(info.json, nullptr, false);
  if (!document.is_object()) return {};
  const auto ours = document.find("arrowport");
  if (ours == document.end() || !ours->is_object()) return {};
  const auto list = ours->find("keys");
  if (list == ours->end() || !list->is_array()) return {};
  std::vector<KeyEntry> keys;
  for (const auto& item : *list) {
    if (auto entry = EntryOf(item)) keys.push_back(std::move(*entry));
  }
  return keys;
}

void KeyIndex::Put(std::string key, CommittedKey committed, int64_t age_ms, Moment now) {
  const int64_t left_ms = window_ms_ - std::clamp<int64_t>(age_ms, 0, window_ms_ + 1);
  const int64_t expires_ms = now.steady_ms + left_ms;
  by_expiry_.emplace(expires_ms, key);
  keys_.insert_or_assign(std::move(key), Known{std::move(committed), expires_ms});
}

void KeyIndex::Learn(const Commit& commit, std::span<const KeyEntry> keys, Moment now) {
  version_ = std::max(version_, commit.version);
  for (const KeyEntry& entry : keys) {
    Put(entry.key, {entry.sha256, entry.rows, commit.version, commit.committed_ms},
        commit.age_ms, now);
    ++unsummarised_;
  }
}

std::optional<CommittedKey> KeyIndex::Find(std::string_view key, Moment now) const {
  const auto found = keys_.find(key);
  if (found == keys_.end() || found->second.expires_ms < now.steady_ms) {
    return std::nullopt;
  }
  return found->second.committed;
}

void KeyIndex::Prune(Moment now) {
  while (!by_expiry_.empty() && by_expiry_.begin()->first < now.steady_ms) {
    const auto key = keys_.find(by_expiry_.begin()->second);
    // A key used again after its window has a later expiry.
    if (key != keys_.end() && key->second.expires_ms == by_expiry_.begin()->first) {
      keys_.erase(key);
    }
    by_expiry_.erase(by_expiry_.begin());
  }
}

int64_t KeyIndex::SafeUpTo() const {
  if (unsummarised_ == 0 || by_expiry_.empty()) return version_;
  const auto oldest = keys_.find(by_expiry_.begin()->second);
  const int64_t in_window =
      oldest == keys_.end() ? -1 : oldest->second.committed.version - 1;
  return std::max(summary_version_, in_window);
}

std::string KeyIndex::SummaryText() const {
  std::string text;
  JsonObject header(&text);
  header.Number("format", kFormat);
  header.Number("version", version_);
  header.Number("keys", static_cast<int64_t>(keys_.size()));
  header.Close();
  text.push_back('\n');
  for (const auto& [key, known] : keys_) {
    const CommittedKey& committed = known.committed;
    JsonObject line(&text);
    WriteEntry(key, committed.sha256, committed.rows, &line);
    line.Number("version", committed.version);
    line.Number("committedMs", committed.committed_ms);
    line.Close();
    text.push_back('\n');
  }
  return text;
}

arrow::Status KeyIndex::ParseSummary(std::string_view text, Moment now) {
  const auto next_line = [&]() -> nlohmann::json {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return nullptr;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return nlohmann::json::parse(line, nullptr, false);
  };
  const auto number = [](const nlohmann::json& object, const char* name, int64_t* out) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_integer()) return false;
    *out = found->get<int64_t>();
    return true;
  };
  const nlohmann::json header = next_line();
  int64_t format = 0, version = -1, count = -1;
  if (!header.is_object() || !number(header, "format", &format) || format != kFormat ||
      !number(header, "version", &version) || !number(header, "keys", &count)) {
    return Error(ErrorCode::kStorageCorrupt, "not a key summary of a known format");
  }
  for (int64_t i = 0; i < count; ++i) {
    const nlohmann::json line = next_line();
    auto entry = EntryOf(line);
    int64_t at_version = 0, committed_ms = 0;
    if (!entry || !number(line, "version", &at_version) ||
        !number(line, "committedMs", &committed_ms)) {
      return Error(ErrorCode::kStorageCorrupt, "a key summary ends early or is damaged");
    }
    CommittedKey committed{std::move(entry->sha256), entry->rows, at_version, committed_ms};
    Put(std::move(entry->key), std::move(committed), now.wall_ms - committed_ms, now);
  }
  version_ = version;
  return {};
}

arrow::Status KeyIndex::LoadSummary(const store::Store& store, int64_t version,
                                    Moment now) {
  ARROW_ASSIGN_OR_RAISE(auto versions, ListSummaries(store));
  for (auto at = versions.rbegin(); at != versions.rend(); ++at) {
    if (*at > version) continue;
    auto content = store.Read(KeySummaryPath(*at), kSummaryBytesMax);
    arrow::Status status = content.status();
    if (content.ok()) {
      status = ParseSummary(std::string_view(**content), now);
      if (status.ok() && version_ != *at) {
        status = Error(ErrorCode::kStorageCorrupt, "a key summary has another's name");
      }
    }
    if (status.ok()) {
      summary_version_ = version_;
      return {};
    }
    // The commits say the same, only slower.
    LogWarn("a key summary cannot be used; reading commits instead",
            {{"path", KeySummaryPath(*at)}, {"error", status.message()}});
    keys_.clear();
    by_expiry_.clear();
    version_ = -1;
  }
  return {};
}

arrow::Result<int64_t> RemoveOldSummaries(store::Store* store) {
  ARROW_ASSIGN_OR_RAISE(auto versions, ListSummaries(*store));
  int64_t removed = 0;
  for (size_t i = 0; i + kSummariesKept < versions.size(); ++i) {
    ARROW_RETURN_NOT_OK(store->Remove(KeySummaryPath(versions[i])));
    ++removed;
  }
  return removed;
}

}  // namespace arrowport::delta
