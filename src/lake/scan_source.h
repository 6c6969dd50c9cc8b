// What one scan reads: columns and files of a table at one version, prepared once per
// snapshot and shared by every statement that reads it.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <duckdb/common/multi_file/multi_file_data.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "delta/actions.h"
#include "lake/column_type.h"
#include "lake/file_statistics.h"
#include "lake/log_source.h"

namespace arrowport::lake {

/// Which rows of a file are read, when it has a deletion vector.
enum class DeletedRows { kLeftOut, kOnlyThem };

/// One data file. Thread-safe; all but the cache of statistics is immutable.
class ScanFile {
 public:
  struct Parts {
    std::string path;  ///< as DuckDB opens it
    /// By the slots of ScanSource; nothing where the file itself has the column.
    std::vector<std::optional<duckdb::Value>> constants;
    std::string stats;  ///< add.stats
    std::optional<delta::DeletionVectorDescriptor> deletion_vector;
    /// Rows of this earlier vector are not read although `deletion_vector` has them
    /// (kOnlyThem: what one commit deleted).
    std::optional<delta::DeletionVectorDescriptor> earlier_deletion_vector;
    DeletedRows deleted_rows = DeletedRows::kLeftOut;
    int64_t size_bytes = 0;
  };

  explicit ScanFile(Parts parts);

  const Parts& parts() const { return parts_; }
  /// Rows a scan without filter returns, when the log says.
  std::optional<int64_t> rows() const { return rows_; }
  /// What `log_rows` was made of: physical rows.
  std::optional<int64_t> records() const { return records_; }

  struct Column {
    uint32_t index;
    ColumnStatistics log;
    duckdb::BaseStatistics duckdb;
  };
  /// Statistics of a column that is read from the file. Parsed when first asked for; the
  /// reference lives as long as the file.
  const Column& StatisticsOf(uint32_t index, const delta::StructField& field,
                             const duckdb::LogicalType& type) const;

 private:
  const Parts parts_;
  const std::optional<int64_t> records_;
  const std::optional<int64_t> rows_;
  mutable Mutex mutex_;
  /// Few: the columns that queries filter by.
  mutable std::vector<std::unique_ptr<const Column>> columns_ GUARDED_BY(mutex_);
};

struct ScanColumn {
  delta::StructField field;
  duckdb::LogicalType type;
  duckdb::MultiFileColumnDefinition definition;
  /// Index into ScanFile's constants, for columns that are constant in (most) files.
  std::optional<uint32_t> slot;
};

/// Immutable. Shared by bind data, file lists and readers.
struct ScanSource {
  schema::TableName name;
  int64_t version = 0;
  uint64_t serial = 0;  ///< no two sources of the process have the same
  std::shared_ptr<const store::Store> store;
  std::shared_ptr<const delta::Snapshot> snapshot;  ///< keeps what `files` came from
  MatchBy match = MatchBy::kName;
  std::vector<ScanColumn> columns;
  uint32_t slot_count = 0;
  std::vector<std::shared_ptr<const ScanFile>> files;
  /// Where `files` came from, entry by entry, when `snapshot` has them all.
  std::vector<const delta::AddFile*> adds;
};

/// Columns of a table, partition columns with their slots, without files. Errors:
/// kUnsupportedType.
arrow::Result<std::shared_ptr<ScanSource>> SourceWithoutFiles(const TableVersion& table);

/// The files of a snapshot. `previous`, of the same table, lends the entries both have.
/// Errors: also kStorageCorrupt (paths, partition values).
arrow::Result<std::shared_ptr<const ScanSource>> SourceOf(const TableVersion& table,
                                                          const ScanSource* previous);

/// Where DuckDB opens a path of the log. Errors: kStorageCorrupt, kNotBuilt for one outside
/// the table's folder: whoever may write a log could else have the server read any file.
arrow::Result<std::string> OpenablePath(const store::Store& store,
                                        std::string_view path_in_log);
/// Values for the slots of the partition columns; further slots are left out.
arrow::Result<std::vector<std::optional<duckdb::Value>>> PartitionConstants(
    const ScanSource& source, const delta::PartitionValues& values);

}  // namespace arrowport::lake
