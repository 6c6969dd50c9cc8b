#include "lake/folder_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>

#include "base/error.h"

namespace arrowport::lake {
namespace {

namespace fs = std::filesystem;

constexpr char kLogFolder[] = "_delta_log";
constexpr char kMain[] = "main";
constexpr size_t kNameBytesMax = 255;
constexpr size_t kTablesListedMax = 100'000;

bool IsPart(std::string_view part) {
  if (part.empty() || part.size() > kNameBytesMax) return false;
  return std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
  });
}

arrow::Status CheckName(const schema::TableName& name) {
  if (IsPart(name.schema) && IsPart(name.table)) return {};
  return Error(ErrorCode::kInvalidName,
               "Delta tables are named by letters, digits, '_' and '-': ",
               name.ToString());
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool IsTable(const fs::path& folder) { return IsFolder(folder / kLogFolder); }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return lower;
}

/// Names of the folders in `folder` that a table or schema may have, sorted.
std::vector<std::string> FoldersIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::string name = entries->path().filename().string();
    if (IsPart(name) && IsFolder(entries->path())) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// `name` itself when such a folder exists, else the only one equal ignoring case.
std::optional<std::string> FindFolder(const fs::path& parent, const std::string& name,
                                      bool (*accepts)(const fs::path&)) {
  if (accepts(parent / name)) return name;
  std::optional<std::string> found;
  for (const std::string& folder : FoldersIn(parent)) {
    if (Lower(folder) != Lower(name) || !accepts(parent / folder)) continue;
    if (found) return std::nullopt;
    found = folder;
  }
  return found;
}

/// Tells a folder from another one that took its name.
struct FolderId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FolderId&) const = default;
};

FolderId IdOf(const std::string& folder) {
  struct stat facts = {};
  if (::stat(folder.c_str(), &facts) != 0) return {};
  return {facts.st_dev, facts.st_ino};
}

}  // namespace

/// An open table and the newest snapshot seen of it.
struct FolderSource::Table {
  schema::TableName name;
  std::shared_ptr<const store::Store> store;
  FolderId id;
  std::atomic<int64_t> file_count{0};

  Mutex mutex;
  std::shared_ptr<const delta::Snapshot> newest GUARDED_BY(mutex);
  /// The commit file of `newest` as it was: another one means another table took the
  /// folder.
  std::optional<store::FileInfo> commit GUARDED_BY(mutex);

  arrow::Result<std::shared_ptr<const delta::Snapshot>> Newest() EXCLUDES(mutex);
  bool IsSameTable() const REQUIRES(mutex);
};

bool FolderSource::Table::IsSameTable() const {
  if (!newest || !commit) return false;
  auto now = store->Stat(commit->path);
  return now.ok() && now->size == commit->size && now->modified_ms == commit->modified_ms;
}

arrow::Result<std::shared_ptr<const delta::Snapshot>> FolderSource::Table::Newest() {
  delta::LogReader reader(store);
  MutexLock lock(mutex);
  std::shared_ptr<const delta::Snapshot> found;
  if (IsSameTable()) {
    ARROW_ASSIGN_OR_RAISE(found, reader.Refresh(newest));
    if (found == newest) return found;
  } else {
    ARROW_ASSIGN_OR_RAISE(found, reader.Load());
  }
  newest = std::move(found);
  file_count.store(newest->file_count());
  // A log whose last commit is only in a checkpoint has no such file: it is loaded anew
  // each time.
  auto file = store->Stat(delta::CommitPath(newest->version()));
  commit = file.ok() ? std::optional(*std::move(file)) : std::nullopt;
  return newest;
}

FolderSource::FolderSource(FolderSourceOptions options) : options_(std::move(options)) {}

std::string FolderSource::FolderOf(const schema::TableName& name) const {
  const fs::path root(options_.root);
  return (name.schema == kMain ? root / name.table : root / name.schema / name.table)
      .string();
}

arrow::Result<std::vector<schema::TableName>> FolderSource::Tables() {
  std::vector<schema::TableName> tables;
  const fs::path root(options_.root);
  for (const std::string& folder : FoldersIn(root)) {
    if (IsTable(root / folder)) {
      tables.push_back({kMain, folder});
    } else if (Lower(folder) != kMain) {
      for (const std::string& inner : FoldersIn(root / folder)) {
        if (IsTable(root / folder / inner)) tables.push_back({folder, inner});
      }
    }
    if (tables.size() > kTablesListedMax) {
      return Error(ErrorCode::kTooLarge, "more Delta tables than can be listed: ",
                   kTablesListedMax);
    }
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

arrow::Result<bool> FolderSource::HasSchema(std::string_view schema) {
  if (Lower(schema) == kMain) return true;
  if (!IsPart(schema)) return false;
  auto folder = FindFolder(options_.root, std::string(schema), IsFolder);
  return folder && !IsTable(fs::path(options_.root) / *folder);
}

arrow::Result<schema::TableName> FolderSource::Resolve(
    const schema::TableName& name) const {
  ARROW_RETURN_NOT_OK(CheckName(name));
  schema::TableName resolved{kMain, name.table};
  fs::path parent(options_.root);
  if (Lower(name.schema) != kMain) {
    resolved.schema = FindFolder(parent, name.schema, IsFolder).value_or(name.schema);
    parent /= resolved.schema;
  }
  // What lies in a table's folder is the table's.
  auto table = IsTable(parent) ? std::nullopt : FindFolder(parent, name.table, IsTable);
  if (!table) {
    return Error(ErrorCode::kTableNotFound, "there is no Delta table ", name.ToString());
  }
  resolved.table = *table;
  return resolved;
}

arrow::Result<std::shared_ptr<FolderSource::Table>> FolderSource::Open(
    const schema::TableName& name) {
  ARROW_ASSIGN_OR_RAISE(schema::TableName resolved, Resolve(name));
  const std::string folder = FolderOf(resolved);
  const FolderId id = IdOf(folder);
  if (std::shared_ptr<Table> cached = Cached(resolved)) {
    if (cached->id == id) return cached;
    Forget(resolved);
  }
  std::error_code error;
  const fs::path root = fs::canonical(options_.root, error);
  const fs::path real = error ? fs::path() : fs::canonical(folder, error);
  if (error || std::mismatch(root.begin(), root.end(), real.begin(), real.end()).first !=
                   root.end()) {
    return Error(ErrorCode::kInvalidName,
                 "the table's folder is a link out of the tables' root: ",
                 resolved.ToString());
  }
  auto table = std::make_shared<Table>();
  table->name = resolved;
  table->id = id;
  ARROW_ASSIGN_OR_RAISE(table->store,
                        store::OpenLocalStore(real.string(), store::Durability::kMemory,
                                              /*create=*/false));
  MutexLock lock(mutex_);
  auto [entry, is_new] = tables_.emplace(resolved, table);
  if (is_new) order_.push_front(resolved);
  return entry->second;
}

std::shared_ptr<FolderSource::Table> FolderSource::Cached(
    const schema::TableName& name) {
  MutexLock lock(mutex_);
  auto found = tables_.find(name);
  if (found == tables_.end()) return nullptr;
  order_.splice(order_.begin(), order_, std::find(order_.begin(), order_.end(), name));
  return found->second;
}

void FolderSource::Shrink() {
  // Freed after the lock: a snapshot may be large.
  std::vector<std::shared_ptr<Table>> dropped;
  MutexLock lock(mutex_);
  int64_t files = 0;
  size_t count = 0;
  for (auto name = order_.begin(); name != order_.end();) {
    auto table = tables_.find(*name);
    files += table->second->file_count.load();
    ++count;
    if (count == 1 ||
        (count <= options_.cached_tables_max && files <= options_.cached_files_max)) {
      ++name;
      continue;
    }
    dropped.push_back(std::move(table->second));
    tables_.erase(table);
    name = order_.erase(name);
  }
}

void FolderSource::Forget(const schema::TableName& name) {
  MutexLock lock(mutex_);
  if (tables_.erase(name) > 0) order_.remove(name);
}

arrow::Result<TableVersion> FolderSource::LoadNewest(const schema::TableName& name) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<Table> table, Open(name));
  const int64_t files_before = table->file_count.load();
  auto snapshot = table->Newest();
  if (!snapshot.ok()) {
    Forget(table->name);
    return snapshot.status();
  }
  if (files_before != table->file_count.load()) Shrink();
  return TableVersion{table->name, table->store, *std::move(snapshot)};
}

arrow::Result<TableVersion> FolderSource::Load(const schema::TableName& name) {
  auto loaded = LoadNewest(name);
  // A folder that was replaced between two steps is found anew the second time.
  if (!loaded.ok() && CodeOf(loaded.status()) == ErrorCode::kTableNotFound) {
    return LoadNewest(name);
  }
  return loaded;
}

arrow::Result<TableVersion> FolderSource::LoadVersion(const schema::TableName& name,
                                                      int64_t version) {
  ARROW_ASSIGN_OR_RAISE(TableVersion newest, Load(name));
  if (newest.snapshot->version() == version) return newest;
  if (version < 0 || version > newest.snapshot->version()) {
    return Error(ErrorCode::kNotFound, "the table has no version ", version,
                 "; its newest is ", newest.snapshot->version());
  }
  ARROW_ASSIGN_OR_RAISE(newest.snapshot,
                        delta::LogReader(newest.store).Load(version));
  return newest;
}

arrow::Result<TableVersion> FolderSource::LoadAsOf(const schema::TableName& name,
                                                   int64_t timestamp_ms) {
  ARROW_ASSIGN_OR_RAISE(TableVersion table, Load(name));
  ARROW_ASSIGN_OR_RAISE(table.snapshot,
                        delta::LogReader(table.store).LoadAsOf(timestamp_ms));
  return table;
}

arrow::Result<Commit> FolderSource::ReadCommit(const schema::TableName& name,
                                               int64_t version) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<Table> table, Open(name));
  Commit commit;
  commit.version = version;
  ARROW_ASSIGN_OR_RAISE(commit.actions, delta::LogReader(table->store).ReadCommit(version));
  for (const delta::Action& action : commit.actions) {
    const auto* info = std::get_if<delta::CommitInfo>(&action);
    if (info != nullptr && info->in_commit_timestamp_ms) {
      commit.timestamp_ms = *info->in_commit_timestamp_ms;
      return commit;
    }
  }
  ARROW_ASSIGN_OR_RAISE(store::FileInfo file,
                        table->store->Stat(delta::CommitPath(version)));
  commit.timestamp_ms = file.modified_ms;
  return commit;
}

}  // namespace arrowport::lake
