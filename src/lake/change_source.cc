#include "lake/change_source.h"

#include <duckdb/common/string_util.hpp>
#include <duckdb/common/types/timestamp.hpp>
#include <map>

#include "base/error.h"

namespace arrowport::lake {
namespace {

using duckdb::LogicalType;
using duckdb::Value;

constexpr int64_t kCommitsMax = 100'000;
constexpr char kFeedProperty[] = "delta.enableChangeDataFeed";
constexpr char kChangeType[] = "_change_type";
constexpr char kCommitVersion[] = "_commit_version";
constexpr char kCommitTimestamp[] = "_commit_timestamp";
constexpr char kInsert[] = "insert";
constexpr char kDelete[] = "delete";

struct PathActions {
  const delta::AddFile* add = nullptr;
  const delta::RemoveFile* remove = nullptr;
};

/// Turns commits into files of a source.
class ChangeFiles {
 public:
  ChangeFiles(LogSource& log, const TableVersion& table, ScanSource* source)
      : log_(log), table_(table), source_(source) {
    AddColumn(kChangeType, delta::TypeKind::kString, LogicalType::VARCHAR);
    AddColumn(kCommitVersion, delta::TypeKind::kLong, LogicalType::BIGINT);
    AddColumn(kCommitTimestamp, delta::TypeKind::kTimestamp, LogicalType::TIMESTAMP_TZ);
  }

  arrow::Status AddCommit(const Commit& commit) {
    std::map<std::string, PathActions> paths;
    bool has_change_files = false;
    for (const delta::Action& action : commit.actions) {
      if (const auto* cdc = std::get_if<delta::AddCdcFile>(&action)) {
        has_change_files = true;
        ARROW_RETURN_NOT_OK(AddChangeFile(commit, *cdc));
      } else if (const auto* add = std::get_if<delta::AddFile>(&action)) {
        if (add->data_change) paths[add->path].add = add;
      } else if (const auto* metadata = std::get_if<delta::Metadata>(&action)) {
        keeps_feed_ = KeepsFeed(*metadata);
      } else if (const auto* remove = std::get_if<delta::RemoveFile>(&action)) {
        if (remove->data_change) paths[remove->path].remove = remove;
      }
    }
    if (has_change_files) return {};
    for (const auto& [path, actions] : paths) {
      if (actions.remove != nullptr) ARROW_RETURN_NOT_OK(CheckFeed(commit));
      ARROW_RETURN_NOT_OK(AddPath(commit, actions));
    }
    return {};
  }

 private:
  void AddColumn(const char* name, delta::TypeKind kind, const LogicalType& type) {
    delta::StructField field;
    field.name = name;
    auto data_type = std::make_shared<delta::DataType>();
    data_type->kind = kind;
    field.type = std::move(data_type);
    auto definition = DefinitionOf(field, type);
    source_->columns.push_back(
        {std::move(field), type, std::move(definition), source_->slot_count++});
  }

  static bool KeepsFeed(const delta::Metadata& metadata) {
    auto found = metadata.configuration.find(kFeedProperty);
    return found != metadata.configuration.end() &&
           duckdb::StringUtil::CIEquals(found->second, "true");
  }

  // Rewritten files hold rows that did not change: without a change feed they would be
  // reported as removed and added.
  arrow::Status CheckFeed(const Commit& commit) {
    if (!keeps_feed_) {
      ARROW_ASSIGN_OR_RAISE(TableVersion then,
                            log_.LoadVersion(table_.name, commit.version));
      keeps_feed_ = KeepsFeed(then.snapshot->state().metadata);
    }
    if (*keeps_feed_) return {};
    return Error(ErrorCode::kBadQuery,
                 "the table kept no change feed when version ", commit.version,
                 " removed or rewrote rows: set ", kFeedProperty,
                 " on the table, or ask for later versions");
  }

  arrow::Result<ScanFile::Parts> PartsOf(const Commit& commit, const std::string& path,
                                         const delta::PartitionValues& partition,
                                         std::optional<std::string> change_type) const {
    ScanFile::Parts parts;
    ARROW_ASSIGN_OR_RAISE(parts.path, OpenablePath(*source_->store, path));
    ARROW_ASSIGN_OR_RAISE(parts.constants, PartitionConstants(*source_, partition));
    const size_t first = source_->slot_count - 3;
    if (change_type) {
      parts.constants[first] = Value(*change_type);
    } else {
      parts.constants[first].reset();
    }
    parts.constants[first + 1] = Value::BIGINT(commit.version);
    parts.constants[first + 2] =
        Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(commit.timestamp_ms * 1000));
    return parts;
  }

  void Push(ScanFile::Parts parts) {
    source_->files.push_back(std::make_shared<const ScanFile>(std::move(parts)));
  }

  arrow::Status AddChangeFile(const Commit& commit, const delta::AddCdcFile& cdc) {
    ARROW_ASSIGN_OR_RAISE(auto parts, PartsOf(commit, cdc.path, cdc.partition_values,
                                              std::nullopt));
    parts.size_bytes = cdc.size;
    Push(std::move(parts));
    return {};
  }

  arrow::Status AddPath(const Commit& commit, const PathActions& actions) {
    if (actions.remove == nullptr) return AddWhole(commit, *actions.add);
    if (actions.add == nullptr) return AddRemoved(commit, *actions.remove);
    // One file, two deletion vectors: what is in one of them alone changed.
    ARROW_RETURN_NOT_OK(AddDifference(commit, *actions.add, actions.add->deletion_vector,
                                      actions.remove->deletion_vector, kDelete));
    return AddDifference(commit, *actions.add, actions.remove->deletion_vector,
                         actions.add->deletion_vector, kInsert);
  }

  arrow::Status AddWhole(const Commit& commit, const delta::AddFile& add) {
    ARROW_ASSIGN_OR_RAISE(auto parts,
                          PartsOf(commit, add.path, add.partition_values, kInsert));
    parts.stats = add.stats;
    parts.deletion_vector = add.deletion_vector;
    parts.size_bytes = add.size;
    Push(std::move(parts));
    return {};
  }

  arrow::Status AddDifference(
      const Commit& commit, const delta::AddFile& add,
      const std::optional<delta::DeletionVectorDescriptor>& listed,
      const std::optional<delta::DeletionVectorDescriptor>& earlier, const char* type) {
    if (!listed || listed == earlier) return {};
    ARROW_ASSIGN_OR_RAISE(auto parts,
                          PartsOf(commit, add.path, add.partition_values, type));
    parts.stats = add.stats;
    parts.deletion_vector = listed;
    parts.earlier_deletion_vector = earlier;
    parts.deleted_rows = DeletedRows::kOnlyThem;
    parts.size_bytes = add.size;
    Push(std::move(parts));
    return {};
  }

  arrow::Status AddRemoved(const Commit& commit, const delta::RemoveFile& remove) {
    delta::PartitionValues partition = remove.partition_values;
    if (!remove.extended_file_metadata && partition.empty() &&
        !table_.snapshot->state().metadata.partition_columns.empty()) {
      ARROW_ASSIGN_OR_RAISE(partition, PartitionBefore(commit, remove.path));
    }
    ARROW_ASSIGN_OR_RAISE(auto parts, PartsOf(commit, remove.path, partition, kDelete));
    parts.deletion_vector = remove.deletion_vector;
    parts.size_bytes = remove.size.value_or(0);
    Push(std::move(parts));
    return {};
  }

  // A remove action need not repeat what the file's add action said.
  arrow::Result<delta::PartitionValues> PartitionBefore(const Commit& commit,
                                                        const std::string& path) const {
    ARROW_ASSIGN_OR_RAISE(TableVersion before,
                          log_.LoadVersion(table_.name, commit.version - 1));
    const delta::AddFile* found = nullptr;
    before.snapshot->VisitFiles([&](int64_t, const delta::AddFile& add) {
      if (add.path == path) found = &add;
    });
    if (found == nullptr) {
      return Error(ErrorCode::kStorageCorrupt, "version ", commit.version,
                   " removes a file that was not in the table: ", path);
    }
    return found->partition_values;
  }

  LogSource& log_;
  const TableVersion& table_;
  ScanSource* source_;
  std::optional<bool> keeps_feed_;  ///< at the commit looked at
};

}  // namespace

arrow::Result<std::shared_ptr<const ScanSource>> ChangesOf(LogSource& log,
                                                           const TableVersion& table,
                                                           int64_t first) {
  const int64_t last = table.snapshot->version();
  if (first < 0 || first > last) {
    return Error(ErrorCode::kBadQuery, "no such range of versions: ", first, " to ", last);
  }
  if (last - first >= kCommitsMax) {
    return Error(ErrorCode::kTooLarge, "more commits than can be read at once: ",
                 kCommitsMax);
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<ScanSource> source, SourceWithoutFiles(table));
  for (const ScanColumn& column : source->columns) {
    for (const char* reserved : {kChangeType, kCommitVersion, kCommitTimestamp}) {
      if (duckdb::StringUtil::CIEquals(column.field.name, reserved)) {
        return Error(ErrorCode::kBadQuery, "the table has a column that the changes need: ",
                     reserved);
      }
    }
  }
  ChangeFiles files(log, table, source.get());
  for (int64_t version = first; version <= last; ++version) {
    ARROW_ASSIGN_OR_RAISE(Commit commit, log.ReadCommit(table.name, version));
    arrow::Status added = files.AddCommit(commit);
    if (!added.ok()) return WithContext("changes of " + table.name.ToString(), added);
  }
  return source;
}

}  // namespace arrowport::lake
