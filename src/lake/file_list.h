// The files of a scan as DuckDB's multi-file reader asks for them.
#pragma once

#include <duckdb/common/multi_file/multi_file_list.hpp>
#include <memory>
#include <string>

#include "lake/pruning.h"
#include "lake/scan_source.h"

namespace arrowport::lake {

/// A subset of a source's files. Immutable.
class FileList : public duckdb::MultiFileList {
 public:
  explicit FileList(std::shared_ptr<const ScanSource> source);
  FileList(std::shared_ptr<const ScanSource> source, FileIndexes kept);

  const std::shared_ptr<const ScanSource>& source() const { return source_; }
  const FileIndexes& kept() const { return kept_; }
  const ScanFile& file(size_t position) const {
    return *source_->files[kept_[position]];
  }
  /// Rows of all files, when the log has them all.
  std::optional<int64_t> rows() const;
  /// Which files these are, as text of a bounded size.
  std::string Fingerprint() const;

  duckdb::unique_ptr<duckdb::MultiFileList> ComplexFilterPushdown(
      duckdb::ClientContext& context, const duckdb::MultiFileOptions& options,
      duckdb::MultiFilePushdownInfo& info,
      duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& filters) const override;
  duckdb::unique_ptr<duckdb::MultiFileList> DynamicFilterPushdown(
      duckdb::ClientContext& context, const duckdb::MultiFileOptions& options,
      const duckdb::vector<duckdb::string>& names,
      const duckdb::vector<duckdb::LogicalType>& types,
      const duckdb::vector<duckdb::column_t>& column_ids,
      duckdb::TableFilterSet& filters) const override;
  duckdb::vector<duckdb::OpenFileInfo> GetAllFiles() const override;
  duckdb::FileExpandResult GetExpandResult() const override;
  duckdb::idx_t GetTotalFileCount() const override { return kept_.size(); }
  duckdb::unique_ptr<duckdb::NodeStatistics> GetCardinality(
      duckdb::ClientContext& context) const override;
  /// The default makes a plain list of paths, without constants and deleted rows.
  duckdb::unique_ptr<duckdb::MultiFileList> Copy() const override;

 protected:
  duckdb::OpenFileInfo GetFile(duckdb::idx_t position) const override;

 private:
  const std::shared_ptr<const ScanSource> source_;
  const FileIndexes kept_;
};

}  // namespace arrowport::lake
