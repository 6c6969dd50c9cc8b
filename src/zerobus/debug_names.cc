#include "zerobus/debug_names.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/error.h"
#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;

constexpr size_t kStemCharactersMax = 200;
constexpr std::string_view kStampPattern = "dddddddd_dddddd";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "YYYYMMDD_HHMMSS_N", N without leading zeros.
std::optional<DebugStamp> ParseStamp(std::string_view text) {
  if (text.size() < kStampPattern.size() + 2) return std::nullopt;
  for (size_t i = 0; i < kStampPattern.size(); ++i) {
    const bool fits = kStampPattern[i] == 'd' ? IsDigit(text[i]) : text[i] == '_';
    if (!fits) return std::nullopt;
  }
  if (text[kStampPattern.size()] != '_') return std::nullopt;
  const std::string_view digits = text.substr(kStampPattern.size() + 1);
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  DebugStamp stamp{std::string(text.substr(0, kStampPattern.size())), 0};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), stamp.sequence);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      !IsDigit(digits[0])) {
    return std::nullopt;
  }
  return stamp;
}

// The stem and the stamp of a rotated file whose stem is not known.
std::optional<std::pair<std::string, DebugStamp>> SplitRotated(std::string_view name) {
  // The stamp has exactly three underscores in front of and between its parts.
  size_t at = name.size();
  for (int part = 0; part < 3; ++part) {
    if (at == 0) return std::nullopt;
    at = name.rfind('_', at - 1);
    if (at == std::string_view::npos) return std::nullopt;
  }
  auto stamp = ParseStamp(name.substr(at + 1));
  if (!stamp || at == 0) return std::nullopt;
  return std::pair(std::string(name.substr(0, at)), *std::move(stamp));
}

bool IsFile(const fs::path& path) {
  std::error_code failed;
  return fs::is_regular_file(path, failed);
}

}  // namespace

arrow::Result<std::string> DebugFileStem(std::string_view table) {
  std::string stem(table);
  for (char& c : stem) {
    if (c == '.' || c == '/' || c == '\\') c = '_';
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) ||
                      c == '_' || c == '-';
    if (!fits) {
      return MakeFailure(ErrorKind::kConfiguration,
                         "the table's name cannot name debug files: " + stem);
    }
  }
  if (stem.empty() || stem.size() > kStemCharactersMax) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "debug files need a table name of 1 to 200 characters");
  }
  return stem;
}

std::string RotatedName(std::string_view stem, const DebugStamp& stamp,
                        std::string_view extension) {
  std::string name(stem);
  name += "_" + stamp.second + "_" + std::to_string(stamp.sequence);
  return name.append(extension);
}

std::optional<DebugStamp> ParseRotatedName(std::string_view name, std::string_view stem,
                                           std::string_view extension) {
  if (!name.starts_with(stem) || !name.ends_with(extension)) return std::nullopt;
  if (name.size() <= stem.size() + 1 + extension.size()) return std::nullopt;
  name.remove_prefix(stem.size());
  name.remove_suffix(extension.size());
  if (name[0] != '_') return std::nullopt;
  return ParseStamp(name.substr(1));
}

DebugStamp NextStamp(Clock::Wall now, const DebugStamp& newest) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y%m%d_%H%M%S", &parts);
  const std::string second(text, size);
  if (second > newest.second) return {second, 0};
  return {newest.second, newest.sequence + 1};
}

fs::path LockPath(const fs::path& zerobus_folder, std::string_view stem) {
  return zerobus_folder / ("." + std::string(stem) + ".lock");
}

std::vector<RotatedFile> ListRotated(const fs::path& folder, std::string_view stem,
                                     std::string_view extension) {
  std::vector<RotatedFile> files;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    auto stamp = ParseRotatedName(it->path().filename().string(), stem, extension);
    if (!stamp || !IsFile(it->path())) continue;
    std::error_code ignored;
    if (fs::exists(LockPath(folder.parent_path(), it->path().stem().string()), ignored)) {
      continue;
    }
    files.push_back({*std::move(stamp), it->path()});
  }
  std::sort(files.begin(), files.end(), [](const RotatedFile& a, const RotatedFile& b) {
    return a.stamp < b.stamp;
  });
  return files;
}

arrow::Result<fs::path> FindDescriptor(const fs::path& rows) {
  const std::string name = rows.stem().string();
  const fs::path beside = fs::path(rows).replace_extension(kDescriptorExtension);
  if (IsFile(beside)) return beside;
  std::error_code failed;
  const fs::path whole = fs::absolute(rows, failed);
  const fs::path folder = whole.parent_path().parent_path() / "descriptors";
  std::string stem = name;
  // An active file first: its table may be named like a rotated file.
  if (fs::path own = folder / (name + std::string(kDescriptorExtension)); IsFile(own)) {
    return own;
  }
  if (const auto split = SplitRotated(name)) {
    stem = split->first;
    for (RotatedFile& file : ListRotated(folder, stem, kDescriptorExtension)) {
      if (file.stamp >= split->second) return std::move(file.path);
    }
  }
  fs::path active = folder / (stem + std::string(kDescriptorExtension));
  if (IsFile(active)) return active;
  return Error(ErrorCode::kNotFound, "the descriptor of ", rows.string(),
               " is missing: expected ", beside.string(), " or ", active.string());
}

std::error_code PruneDescriptors(const fs::path& zerobus_folder, std::string_view stem) {
  const auto rows = ListRotated(zerobus_folder / "proto", stem, kProtoExtension);
  std::error_code first_failure;
  size_t next = 0;
  for (const RotatedFile& descriptor :
       ListRotated(zerobus_folder / "descriptors", stem, kDescriptorExtension)) {
    const bool needed = next < rows.size() && rows[next].stamp <= descriptor.stamp;
    while (next < rows.size() && rows[next].stamp <= descriptor.stamp) ++next;
    if (needed) continue;
    std::error_code failed;
    fs::remove(descriptor.path, failed);
    if (failed && !first_failure) first_failure = failed;
  }
  return first_failure;
}

}  // namespace arrowport::zerobus
