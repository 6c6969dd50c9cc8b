// Rows of any amount turned into finished data files of one table: split by partition,
// rolled at the target size, on one or two encoders. Nothing of it is part of the table
// until a commit says so.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "delta/actions.h"
#include "delta/data_file_writer.h"
#include "delta/encoder_pool.h"
#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

/// Finished files that no commit names yet. Destroying it removes them, unless Keep was
/// called. Caller-locked; movable.
class StagedFiles {
 public:
  StagedFiles() = default;
  explicit StagedFiles(std::shared_ptr<store::Store> store) : store_(std::move(store)) {}
  ~StagedFiles() { Discard(); }
  StagedFiles(StagedFiles&& other) noexcept { *this = std::move(other); }
  StagedFiles& operator=(StagedFiles&& other) noexcept;
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;

  /// `path`: below the store's root.
  void Put(AddFile add, std::string path, int64_t rows);
  const std::vector<AddFile>& adds() const { return adds_; }
  int64_t rows() const { return rows_; }
  int64_t size_bytes() const { return size_bytes_; }

  /// The files belong to the table now (or nobody knows whether they do).
  void Keep() { paths_.clear(); }
  void Discard();

 private:
  std::shared_ptr<store::Store> store_;
  std::vector<AddFile> adds_;
  std::vector<std::string> paths_;
  int64_t rows_ = 0;
  int64_t size_bytes_ = 0;
};

/// Caller-locked; calls block on encoding and storage. Holds at most
/// `options.row_group_bytes` of rows (plus one batch) between calls. Destroying it
/// unfinished removes its files.
class DataFileSet {
 public:
  struct Spec {
    std::shared_ptr<store::Store> store;
    std::shared_ptr<EncoderPool> encoders;
    /// The table as it will be when the commit is made.
    std::shared_ptr<const TableSchema> schema;
    NameStyle names = NameStyle::kLogical;
    std::vector<std::string> partition_columns;
    StringMap configuration;  ///< the table's
    DataFileOptions options;
    bool data_change = true;  ///< in the add actions
  };
  /// Errors: kUnsupportedType (partition column), kBadConfig (compression).
  static arrow::Result<std::unique_ptr<DataFileSet>> Make(Spec spec);
  virtual ~DataFileSet() = default;

  /// `batch`: columns by name, exact or, when unambiguous, ignoring case; any order, ones
  /// that are missing become NULL. Types are those FromArrowField maps to the column's:
  /// only the layout is converted. Nothing is written when a batch is refused.
  /// Errors: kSchemaMismatch naming the column (unknown, or another type),
  /// kConstraintViolation (NULL in a column that is not nullable), kTooLarge (more than
  /// 4,096 partitions in one write), the store's.
  virtual arrow::Status Append(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;

  /// Ends all files; their content and names are durable, as far as the store is.
  virtual arrow::Result<StagedFiles> Finish() = 0;
};

/// `batch` as the table's files hold it: every column of `schema` in its order, partition
/// columns included, of its Arrow type. Shares what needs no conversion. Errors: as
/// DataFileSet::Append.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToTableLayout(
    const std::shared_ptr<arrow::RecordBatch>& batch, const TableSchema& schema,
    const std::shared_ptr<arrow::Schema>& arrow_schema);

}  // namespace arrowport::delta
