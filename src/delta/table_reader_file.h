// The rows of one data file as rows of the table.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delta/actions.h"
#include "delta/deletion_vector.h"
#include "delta/snapshot.h"
#include "delta/table_reader_shape.h"
#include "store/store.h"

namespace arrowport::delta {

/// What is read of every file of a table. Immutable.
class ReadPlan {
 public:
  /// `columns`: names of the table's schema in the order wanted, nullptr for all; `extra`:
  /// columns that are in the files but not in the table (a change file's _change_type).
  /// Errors: kColumnNotFound.
  static arrow::Result<std::shared_ptr<const ReadPlan>> Make(
      const TableState& state, const std::vector<std::string>* columns,
      std::vector<StructField> extra = {});

  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }

 private:
  friend class FileRows;
  struct Column {
    StructField field;
    bool partition = false;
    std::string stored_name;  ///< key of the partition values
  };
  std::vector<Column> columns_;
  std::shared_ptr<arrow::Schema> schema_;
  ColumnMatch match_;
};

/// Rows of one file by physical position: not in `without`, and in `only` when given.
struct RowSelection {
  std::shared_ptr<const DeletedRows> without, only;
};

struct FileReadOptions {
  int64_t batch_rows = 64 << 10;
  arrow::MemoryPool* pool = arrow::default_memory_pool();
};

/// Caller-locked.
class FileRows {
 public:
  /// `path` is below the store's root. Errors: kStorageCorrupt ("missing data file", a
  /// file that is no Parquet or does not fit the table).
  static arrow::Result<std::unique_ptr<FileRows>> Open(
      const store::Store& store, const std::string& path,
      std::shared_ptr<const ReadPlan> plan, const PartitionValues& partition_values,
      RowSelection selection, const FileReadOptions& options);
  ~FileRows();

  /// The next rows in the plan's schema, never empty; nullptr at the end.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Next();

 private:
  struct Opened;
  FileRows() = default;

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> NextPhysical();
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToTable(
      const arrow::RecordBatch& batch) const;
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Select(
      std::shared_ptr<arrow::RecordBatch> batch, int64_t first_row) const;
  arrow::Status Explain(const arrow::Status& status) const;

  std::unique_ptr<Opened> opened_;
  std::string path_;
  std::shared_ptr<const ReadPlan> plan_;
  std::vector<std::shared_ptr<arrow::Scalar>> constants_;  ///< of partition columns
  std::vector<int> in_batch_;  ///< per column: index in the physical batch, or -1
  RowSelection selection_;
  FileReadOptions options_;
  int64_t next_row_ = 0;
};

}  // namespace arrowport::delta
