// DuckDB's Parquet scan reading the files of a ScanSource: constants, columns matched by
// name or id, deleted rows.
#pragma once

#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/function/table_function.hpp>
#include <memory>

#include "lake/scan_source.h"

namespace arrowport::lake {

/// Reads `source`, whatever paths it is given. Immutable; called from several threads.
class FileReader : public duckdb::MultiFileReader {
 public:
  explicit FileReader(std::shared_ptr<const ScanSource> source);

  const std::shared_ptr<const ScanSource>& source() const { return source_; }

  duckdb::shared_ptr<duckdb::MultiFileList> CreateFileList(
      duckdb::ClientContext& context, const duckdb::vector<duckdb::string>& paths,
      const duckdb::FileGlobInput& glob_input) override;
  bool Bind(duckdb::MultiFileOptions& options, duckdb::MultiFileList& files,
            duckdb::vector<duckdb::LogicalType>& return_types,
            duckdb::vector<duckdb::string>& names,
            duckdb::MultiFileReaderBindData& bind_data) override;
  void BindOptions(duckdb::MultiFileOptions&, duckdb::MultiFileList&,
                   duckdb::vector<duckdb::LogicalType>&, duckdb::vector<duckdb::string>&,
                   duckdb::MultiFileReaderBindData&) override {}
  duckdb::ReaderInitializeType InitializeReader(
      duckdb::MultiFileReaderData& reader_data,
      const duckdb::MultiFileBindData& bind_data,
      const duckdb::vector<duckdb::MultiFileColumnDefinition>& global_columns,
      const duckdb::vector<duckdb::ColumnIndex>& global_column_ids,
      duckdb::optional_ptr<duckdb::TableFilterSet> table_filters,
      duckdb::ClientContext& context, duckdb::MultiFileGlobalState& gstate) override;
  /// The default makes a stock reader, which knows neither constants nor deleted rows.
  duckdb::unique_ptr<duckdb::MultiFileReader> Copy() const override;

 private:
  const std::shared_ptr<const ScanSource> source_;
};

/// What a TableFunction made here carries as `function_info`.
struct ScanInfo : public duckdb::TableFunctionInfo {
  explicit ScanInfo(std::shared_ptr<const ScanSource> scanned)
      : source(std::move(scanned)) {}
  const std::shared_ptr<const ScanSource> source;
};

}  // namespace arrowport::lake
