#include "delta/log_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr size_t kVersionDigits = 20;
constexpr size_t kPartDigits = 10;
constexpr int64_t kHintBytesMax = 1 << 20;
constexpr int64_t kPartsMax = 100000;

/// The digits at the front of `name`, which are taken off it with the dot behind them.
std::optional<int64_t> TakeNumber(std::string_view* name, size_t digits) {
  if (name->size() <= digits || (*name)[digits] != '.') return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(name->data(), name->data() + digits, value);
  if (error != std::errc() || end != name->data() + digits || value < 0) return std::nullopt;
  name->remove_prefix(digits + 1);
  return value;
}

struct PartKey {
  int64_t version, parts;
  auto operator<=>(const PartKey&) const = default;
};

struct Parts {
  std::map<int64_t, std::string> paths;  ///< part number -> path
  int64_t modified_ms = 0;
};

class ListingBuilder {
 public:
  void Add(const store::FileInfo& file) {
    std::string_view name = file.path;
    name.remove_prefix(kLogFolder.size() + 1);
    const auto version = TakeNumber(&name, kVersionDigits);
    if (!version) return;
    if (name == "json") {
      listing_.commits.push_back({*version, file.size, file.modified_ms});
      return;
    }
    // An empty file is what a writer without atomic creation leaves when it dies.
    if (!name.starts_with("checkpoint.") || file.size == 0) return;
    name.remove_prefix(std::string_view("checkpoint.").size());
    AddCheckpoint(*version, name, file);
  }

  LogListing Finish() {
    for (auto& [key, parts] : parts_) {
      // Part numbers run from 1: as many as there should be, the last the highest.
      if (static_cast<int64_t>(parts.paths.size()) != key.parts ||
          parts.paths.begin()->first != 1 || parts.paths.rbegin()->first != key.parts) {
        continue;
      }
      CheckpointFiles files{key.version, CheckpointForm::kMultiPart, {}, parts.modified_ms};
      for (auto& [part, path] : parts.paths) files.paths.push_back(std::move(path));
      listing_.checkpoints.push_back(std::move(files));
    }
    std::stable_sort(listing_.checkpoints.begin(), listing_.checkpoints.end(),
                     [](const auto& a, const auto& b) { return a.version < b.version; });
    return std::move(listing_);
  }

 private:
  void AddCheckpoint(int64_t version, std::string_view name, const store::FileInfo& file) {
    const auto add = [&](CheckpointForm form) {
      listing_.checkpoints.push_back({version, form, {file.path}, file.modified_ms});
    };
    if (name == "parquet") return add(CheckpointForm::kClassic);
    std::string_view rest = name;
    if (const auto part = TakeNumber(&rest, kPartDigits)) {
      const auto count = TakeNumber(&rest, kPartDigits);
      if (!count || rest != "parquet" || *part < 1 || *part > *count || *count > kPartsMax) {
        return;
      }
      Parts& parts = parts_[{version, *count}];
      parts.paths[*part] = file.path;
      parts.modified_ms = std::max(parts.modified_ms, file.modified_ms);
      return;
    }
    if (name.ends_with(".parquet")) return add(CheckpointForm::kUuidParquet);
    if (name.ends_with(".json")) return add(CheckpointForm::kUuidJson);
  }

  LogListing listing_;
  std::map<PartKey, Parts> parts_;
};

}  // namespace

const LogEntry* LogListing::FindCommit(int64_t version) const {
  const auto at = std::lower_bound(
      commits.begin(), commits.end(), version,
      [](const LogEntry& entry, int64_t wanted) { return entry.version < wanted; });
  return at != commits.end() && at->version == version ? &*at : nullptr;
}

const CheckpointFiles* LogListing::NewestCheckpoint(int64_t version) const {
  const CheckpointFiles* newest = nullptr;
  for (const CheckpointFiles& files : checkpoints) {
    if (files.version <= version) newest = &files;
  }
  return newest;
}

int64_t LogListing::newest_version() const {
  const int64_t commit = commits.empty() ? -1 : commits.back().version;
  const int64_t checkpoint = checkpoints.empty() ? -1 : checkpoints.back().version;
  return std::max(commit, checkpoint);
}

arrow::Result<LogListing> ListLog(const store::Store& store, int64_t from_version) {
  ListingBuilder builder;
  const std::string after = from_version <= 0 ? "" : fmt::format("{:020}", from_version);
  ARROW_RETURN_NOT_OK(store.List(kLogFolder, after, [&](const store::FileInfo& file) {
    builder.Add(file);
    return arrow::Status::OK();
  }));
  return builder.Finish();
}

std::optional<int64_t> LastCheckpointHint(const store::Store& store) {
  const auto content =
      store.Read(std::string(kLogFolder) + "/_last_checkpoint", kHintBytesMax);
  if (!content.ok()) return std::nullopt;
  const std::string_view text(**content);
  const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto version = json.find("version");
  if (version == json.end() || !version->is_number_unsigned() ||
      version->get<uint64_t>() > INT64_MAX) {
    return std::nullopt;
  }
  return version->get<int64_t>();
}

arrow::Result<LogSegment> SegmentFor(const LogListing& listing, int64_t version) {
  LogSegment segment;
  segment.checkpoint = listing.NewestCheckpoint(version);
  const int64_t first =
      segment.checkpoint == nullptr ? 0 : segment.checkpoint->version + 1;
  int64_t next = first;
  for (const LogEntry& commit : listing.commits) {
    if (commit.version < first) continue;
    if (commit.version > version || commit.version != next) break;
    segment.commits.push_back(commit);
    ++next;
  }
  if (next == version + 1) return segment;
  const bool begins_late = segment.checkpoint == nullptr && segment.commits.empty();
  if (begins_late && !listing.checkpoints.empty()) {
    return Error(ErrorCode::kNotFound, "version ", version,
                 " is no longer in the log: its files were cleaned up");
  }
  if (begins_late) {
    return Error(ErrorCode::kStorageCorrupt, "log incomplete: it begins with version ",
                 listing.commits.front().version, " and has no complete checkpoint");
  }
  return Error(ErrorCode::kStorageCorrupt, "gap in the log: version ", next,
               " is missing before ", version);
}

void MakeTimesMonotone(std::vector<LogEntry>* commits) {
  for (size_t i = 1; i < commits->size(); ++i) {
    (*commits)[i].modified_ms =
        std::max((*commits)[i].modified_ms, (*commits)[i - 1].modified_ms + 1);
  }
}

}  // namespace arrowport::delta
