// What a commit of the log is made of. Source: Delta protocol, "Actions". Paths and
// partition values are kept as the log spells them; nothing is decoded twice.
#pragma once

#include <arrow/result.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace arrowport::delta {

using StringMap = std::map<std::string, std::string, std::less<>>;
/// Physical column name -> text, or nothing for NULL ("" in a log is NULL too).
using PartitionValues = std::map<std::string, std::optional<std::string>, std::less<>>;

struct DeletionVectorDescriptor {
  std::string storage_type;  ///< "u", "i" or "p"
  std::string path_or_inline;
  std::optional<int32_t> offset;
  int32_t size_bytes = 0;
  int64_t cardinality = 0;
  std::optional<int64_t> max_row_index;

  /// storageType + pathOrInlineDv [+ "@" + offset]: identity within a file's versions.
  std::string UniqueId() const;
  bool operator==(const DeletionVectorDescriptor&) const = default;
};

struct AddFile {
  std::string path;  ///< as in the log: URI-encoded, relative to the root or absolute
  PartitionValues partition_values;
  int64_t size = 0;
  int64_t modification_time_ms = 0;
  bool data_change = true;
  std::string stats;  ///< JSON text, or empty
  StringMap tags;
  std::optional<DeletionVectorDescriptor> deletion_vector;
  std::optional<int64_t> base_row_id, default_row_commit_version;
  std::optional<std::string> clustering_provider;
};

struct RemoveFile {
  std::string path;
  std::optional<int64_t> deletion_timestamp_ms;
  bool data_change = true;
  bool extended_file_metadata = false;
  PartitionValues partition_values;  ///< with extended_file_metadata
  std::optional<int64_t> size;
  StringMap tags;
  std::optional<DeletionVectorDescriptor> deletion_vector;
  std::optional<int64_t> base_row_id, default_row_commit_version;
};

struct AddCdcFile {
  std::string path;
  PartitionValues partition_values;
  int64_t size = 0;
};

struct Metadata {
  std::string id;
  std::optional<std::string> name, description;
  std::string format_provider = "parquet";
  StringMap format_options;
  std::string schema_string;
  std::vector<std::string> partition_columns;
  StringMap configuration;
  std::optional<int64_t> created_time_ms;
};

struct Protocol {
  int32_t min_reader_version = 1;
  int32_t min_writer_version = 2;
  /// Present exactly when the version is 3 / 7.
  std::optional<std::vector<std::string>> reader_features, writer_features;
  bool operator==(const Protocol&) const = default;
};

struct SetTransaction {
  std::string app_id;
  int64_t version = 0;
  std::optional<int64_t> last_updated_ms;
};

struct DomainMetadata {
  std::string domain;
  std::string configuration;
  bool removed = false;
};

/// Known members taken out; the whole object as JSON text beside them.
struct CommitInfo {
  std::optional<int64_t> timestamp_ms;
  std::optional<int64_t> in_commit_timestamp_ms;
  std::optional<std::string> operation;
  std::optional<bool> is_blind_append;
  std::optional<std::string> txn_id;
  std::string json;
};

struct CheckpointMetadata {
  int64_t version = 0;
  StringMap tags;
};

struct Sidecar {
  std::string path;
  int64_t size_in_bytes = 0;
  int64_t modification_time_ms = 0;
};

using Action = std::variant<AddFile, RemoveFile, AddCdcFile, Metadata, Protocol,
                            SetTransaction, DomainMetadata, CommitInfo,
                            CheckpointMetadata, Sidecar>;

/// One line of a commit; nothing for an action this protocol does not know. Errors:
/// kStorageCorrupt saying which member is wrong.
arrow::Result<std::optional<Action>> ParseAction(std::string_view line);
/// One line, without the line break. Absent members are left out.
std::string ActionToJson(const Action& action);

/// A whole commit file; `name` is for messages. Errors: kStorageCorrupt with the line.
arrow::Result<std::vector<Action>> ParseCommit(std::string_view content,
                                               std::string_view name);

/// A path of the log decoded once to the store's path below the root, or an absolute
/// location. Errors: kStorageCorrupt (bad escape, "..").
struct DataPath {
  std::string path;
  bool absolute = false;
};
arrow::Result<DataPath> DecodePath(std::string_view path_in_log);
/// The inverse for a path below the root.
std::string EncodePath(std::string_view path);

}  // namespace arrowport::delta
