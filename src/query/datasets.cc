#include "query/datasets.h"

#include <arrow/array/array_binary.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "engine/read_all.h"
#include "schema/names.h"

namespace arrowport::query {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNumberedDataset = "dataset";

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return lower;
}

bool IsUrl(std::string_view path) { return path.find("://") != std::string_view::npos; }

bool HasWildcard(std::string_view path) {
  return path.find_first_of("*?[") != std::string_view::npos;
}

// A path whose wildcard characters stand for themselves.
std::string EscapeWildcards(std::string_view path) {
  std::string escaped;
  for (char c : path) {
    if (c == '*' || c == '?' || c == '[') {
      escaped += '[';
      escaped += c;
      escaped += ']';
    } else {
      escaped += c;
    }
  }
  return escaped;
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The glob of a data set, or of its one file.
struct Source {
  std::string glob;
  bool many = false;
};

Source SourceOf(const std::string& path) {
  constexpr std::string_view kBelow = "**/*.parquet";
  std::error_code ignored;
  const bool url = IsUrl(path);
  if (!url && fs::is_directory(path, ignored)) {
    std::string directory = EscapeWildcards(path);
    if (!EndsWith(directory, "/")) directory += '/';
    return {directory + std::string(kBelow), true};
  }
  if (!url && fs::exists(path, ignored)) return {EscapeWildcards(path), false};
  if (HasWildcard(path)) return {path, true};
  // A remote folder is told from a file by its name alone.
  if (EndsWith(path, "/")) return {path + std::string(kBelow), true};
  const size_t name = path.rfind('/') + 1;
  if (url && path.find('.', name) == std::string::npos) {
    return {path + "/" + std::string(kBelow), true};
  }
  return {path, false};
}

std::string FileSql(const std::string& file) {
  return "SELECT * FROM read_parquet(" + schema::QuoteLiteral(EscapeWildcards(file)) + ")";
}

std::string FileViewName(size_t index) { return "file_" + std::to_string(index); }

bool IsFileViewName(std::string_view name) {
  constexpr std::string_view kPrefix = "file_";
  if (name.substr(0, kPrefix.size()) != kPrefix || name.size() == kPrefix.size()) {
    return false;
  }
  const std::string_view digits = name.substr(kPrefix.size());
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::string ViewName(const std::string& name) {
  return std::string(Datasets::kCatalog) + ".main." + schema::QuoteIdentifier(name);
}

}  // namespace

std::string DatasetSql(const Dataset& dataset) {
  const Source source = SourceOf(dataset.path);
  std::string sql = "SELECT * FROM read_parquet(" + schema::QuoteLiteral(source.glob);
  if (source.many) sql += ", union_by_name = true";
  return sql + ")";
}

Datasets::Datasets(std::vector<Dataset> datasets) : datasets_(std::move(datasets)) {}

void Datasets::Ensure(engine::Connection& connection, uint64_t epoch) {
  MutexLock lock(mutex_);
  if (epoch_ == epoch) return;
  // The instance may be another one.
  views_.clear();
  epoch_ = epoch;
  RefreshLocked(connection);
  for (const auto& [name, status] : failures_) {
    LogWarn("a data set cannot be read now",
            {{"dataset", name}, {"error", status.message()}});
  }
}

void Datasets::Refresh(engine::Connection& connection) {
  MutexLock lock(mutex_);
  RefreshLocked(connection);
}

arrow::Result<Datasets::Remedy> Datasets::Recover(
    engine::Connection& connection, const std::vector<std::string>& tables) {
  if (datasets_.empty()) return Remedy::kNone;
  MutexLock lock(mutex_);
  std::vector<std::string> concerned;
  for (const std::string& table : tables) {
    const std::string name = Lower(table);
    const bool known =
        IsFileViewName(name) ||
        std::any_of(datasets_.begin(), datasets_.end(),
                    [&](const Dataset& one) { return Lower(one.name) == name; });
    if (known && views_.count(name) == 0) concerned.push_back(name);
  }
  if (concerned.empty()) return Remedy::kNone;
  RefreshLocked(connection);
  bool made = false;
  for (const std::string& name : concerned) {
    auto failure = failures_.find(name);
    if (failure != failures_.end()) return WithContext("data set " + name, failure->second);
    made |= views_.count(name) > 0;
  }
  return made ? Remedy::kRetry : Remedy::kNone;
}

void Datasets::RefreshLocked(engine::Connection& connection) {
  failures_.clear();
  std::vector<std::string> files;
  for (const Dataset& dataset : datasets_) {
    MakeView(connection, dataset.name, DatasetSql(dataset));
    if (Lower(dataset.name) != kNumberedDataset || !SourceOf(dataset.path).many) continue;
    auto listed = ListFiles(connection, dataset);
    if (listed.ok()) files = std::move(*listed);
  }
  if (static_cast<int64_t>(files.size()) > kFilesMax) files.clear();
  for (size_t i = 0; i < files.size(); ++i) {
    MakeView(connection, FileViewName(i), FileSql(files[i]));
  }
  for (auto view = views_.begin(); view != views_.end();) {
    const std::string name = view->first;
    const bool gone = IsFileViewName(name) &&
                      std::strtoull(name.c_str() + 5, nullptr, 10) >= files.size();
    if (!gone) {
      ++view;
      continue;
    }
    (void)connection.Run("DROP VIEW IF EXISTS " + ViewName(name));
    view = views_.erase(view);
  }
}

void Datasets::MakeView(engine::Connection& connection, const std::string& name,
                        const std::string& sql) {
  const std::string key = Lower(name);
  auto found = views_.find(key);
  if (found != views_.end() && found->second == sql) return;
  auto status =
      connection.Run("CREATE OR REPLACE VIEW " + ViewName(name) + " AS " + sql);
  if (status.ok()) {
    views_[key] = sql;
    return;
  }
  if (found != views_.end()) {
    (void)connection.Run("DROP VIEW IF EXISTS " + ViewName(name));
    views_.erase(found);
  }
  // Behind the first line DuckDB points into the text of our own statement.
  const std::string message = status.message();
  failures_.emplace(key, MakeError(CodeOf(status), message.substr(0, message.find('\n'))));
}

arrow::Result<std::vector<std::string>> Datasets::ListFiles(engine::Connection& connection,
                                                            const Dataset& dataset) {
  const std::string sql =
      "SELECT file FROM glob(" + schema::QuoteLiteral(SourceOf(dataset.path).glob) +
      ") ORDER BY file LIMIT " + std::to_string(kFilesMax + 1);
  ARROW_ASSIGN_OR_RAISE(auto batches, engine::ReadAll(connection, sql));
  std::vector<std::string> files;
  for (const auto& batch : batches) {
    const auto& column = static_cast<const arrow::StringArray&>(*batch->column(0));
    for (int64_t i = 0; i < column.length(); ++i) files.push_back(column.GetString(i));
  }
  return files;
}

}  // namespace arrowport::query
