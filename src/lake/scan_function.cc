#include "lake/scan_function.h"

#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/table_function_catalog_entry.hpp>
#include <duckdb/common/exception.hpp>
#include <duckdb/common/multi_file/multi_file_states.hpp>
#include <duckdb/common/multi_file/multi_file_function.hpp>
#include <duckdb/common/serializer/deserializer.hpp>
#include <duckdb/common/serializer/serializer.hpp>
#include <duckdb/function/partition_stats.hpp>
#include <duckdb/parser/tableref/table_function_ref.hpp>
#include <duckdb/storage/statistics/numeric_stats.hpp>

#include "lake/file_list.h"
#include "lake/file_reader.h"

namespace arrowport::lake {
namespace {

using duckdb::MultiFileBindData;

// DuckDB asks for the bounds of every column of every plan; above this the time would
// show.
constexpr size_t kFilesMergedMax = 500;

/// Also knows the catalog entry it came from.
class TableFileReader : public FileReader {
 public:
  TableFileReader(std::shared_ptr<const ScanSource> source,
                  std::shared_ptr<duckdb::TableCatalogEntry> table)
      : FileReader(std::move(source)), table_(std::move(table)) {}

  duckdb::unique_ptr<duckdb::MultiFileReader> Copy() const override {
    return duckdb::make_uniq<TableFileReader>(source(), table_);
  }
  duckdb::TableCatalogEntry* table() const { return table_.get(); }

 private:
  const std::shared_ptr<duckdb::TableCatalogEntry> table_;
};

struct TableScanInfo : public ScanInfo {
  TableScanInfo(std::shared_ptr<const ScanSource> scanned,
                std::shared_ptr<duckdb::TableCatalogEntry> entry)
      : ScanInfo(std::move(scanned)), table(std::move(entry)) {}
  const std::shared_ptr<duckdb::TableCatalogEntry> table;
};

const TableFileReader& ReaderOf(const duckdb::FunctionData& data) {
  return static_cast<const TableFileReader&>(
      *static_cast<const MultiFileBindData&>(data).multi_file_reader);
}

const FileList& FilesOf(const duckdb::FunctionData& data) {
  return static_cast<const FileList&>(
      *static_cast<const MultiFileBindData&>(data).file_list);
}

duckdb::unique_ptr<duckdb::MultiFileReader> MakeReader(
    const duckdb::TableFunction& function) {
  auto& info = static_cast<const TableScanInfo&>(*function.function_info);
  return duckdb::make_uniq<TableFileReader>(info.source, info.table);
}

// DuckDB compares serialised plans to find common parts, so this must tell any two scans
// apart that may return different rows.
void Serialize(duckdb::Serializer& serializer,
               const duckdb::optional_ptr<duckdb::FunctionData> data,
               const duckdb::TableFunction&) {
  const FileList& files = FilesOf(*data);
  const ScanSource& source = *files.source();
  serializer.WriteProperty(100, "table", source.name.ToString());
  serializer.WriteProperty(101, "version", source.version);
  serializer.WriteProperty(102, "source", source.serial);
  serializer.WriteProperty(103, "files", files.Fingerprint());
}

duckdb::unique_ptr<duckdb::FunctionData> Deserialize(duckdb::Deserializer&,
                                                     duckdb::TableFunction&) {
  throw duckdb::NotImplementedException("plans over Delta tables cannot be stored");
}

duckdb::BindInfo GetBindInfo(const duckdb::optional_ptr<duckdb::FunctionData> data) {
  duckdb::TableCatalogEntry* table = ReaderOf(*data).table();
  return table != nullptr ? duckdb::BindInfo(*table)
                          : duckdb::BindInfo(duckdb::ScanType::EXTERNAL);
}

duckdb::InsertionOrderPreservingMap<duckdb::string> ToString(
    duckdb::TableFunctionToStringInput& input) {
  duckdb::InsertionOrderPreservingMap<duckdb::string> result;
  const ScanSource& source = *FilesOf(*input.bind_data).source();
  result["Table"] = source.name.ToString();
  result["Version"] = std::to_string(source.version);
  return result;
}

duckdb::vector<duckdb::PartitionStatistics> PartitionStats(
    duckdb::ClientContext&, duckdb::GetPartitionStatsInput& input) {
  duckdb::vector<duckdb::PartitionStatistics> result;
  const std::optional<int64_t> rows = FilesOf(*input.bind_data).rows();
  if (!rows) return result;
  duckdb::PartitionStatistics all;
  all.row_start = 0;
  all.count = *rows;
  all.count_type = duckdb::CountType::COUNT_EXACT;
  result.push_back(std::move(all));
  return result;
}

/// Bounds of one column over all files of the list; nullptr when a file has none.
duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(duckdb::ClientContext&,
                                                      const duckdb::FunctionData* data,
                                                      duckdb::column_t column_id) {
  const FileList& files = FilesOf(*data);
  const ScanSource& source = *files.source();
  if (column_id >= source.columns.size() || files.kept().empty() ||
      files.kept().size() > kFilesMergedMax) {
    return nullptr;
  }
  const ScanColumn& column = source.columns[column_id];
  const auto kind = duckdb::BaseStatistics::GetStatsType(column.type);
  // Bounds of floats leave NaN out.
  if (kind != duckdb::StatisticsType::NUMERIC_STATS || column.type.IsFloating() ||
      column.type.id() == duckdb::LogicalTypeId::BOOLEAN) {
    return nullptr;
  }
  duckdb::unique_ptr<duckdb::BaseStatistics> merged;
  for (uint32_t index : files.kept()) {
    const ScanFile& file = *source.files[index];
    if (column.slot && !file.parts().constants[*column.slot]) return nullptr;
    auto one = column.slot
                   ? ConstantStatistics(*file.parts().constants[*column.slot])
                   : file.StatisticsOf(static_cast<uint32_t>(column_id), column.field,
                                       column.type)
                         .duckdb.Copy();
    if (one.CanHaveNoNull() && !duckdb::NumericStats::HasMinMax(one)) return nullptr;
    if (!merged) {
      merged = one.ToUnique();
    } else {
      merged->Merge(one);
    }
  }
  if (!duckdb::NumericStats::HasMinMax(*merged)) return nullptr;
  return merged;
}

}  // namespace

duckdb::TableFunction ScanFunction(duckdb::ClientContext& context) {
  auto& entry =
      duckdb::Catalog::GetSystemCatalog(context)
          .GetEntry<duckdb::TableFunctionCatalogEntry>(context, DEFAULT_SCHEMA,
                                                       "parquet_scan");
  duckdb::TableFunction function = entry.functions.GetFunctionByArguments(
      context, {duckdb::LogicalType::VARCHAR});
  function.name = "delta_scan";
  function.get_multi_file_reader = MakeReader;
  function.serialize = Serialize;
  function.deserialize = Deserialize;
  function.get_bind_info = GetBindInfo;
  function.to_string = ToString;
  function.get_partition_stats = PartitionStats;
  function.statistics = Statistics;
  return function;
}

BoundScan BindScan(duckdb::ClientContext& context,
                   std::shared_ptr<const ScanSource> source,
                   std::shared_ptr<duckdb::TableCatalogEntry> table) {
  BoundScan bound;
  bound.function = ScanFunction(context);
  bound.function.function_info =
      duckdb::make_shared_ptr<TableScanInfo>(std::move(source), std::move(table));
  duckdb::vector<duckdb::Value> inputs = {duckdb::Value("delta")};
  // Settings of the session must not change how a table reads.
  duckdb::named_parameter_map_t options;
  options["binary_as_string"] = duckdb::Value::BOOLEAN(false);
  options["can_have_nan"] = duckdb::Value::BOOLEAN(true);
  duckdb::vector<duckdb::LogicalType> input_types;
  duckdb::vector<duckdb::string> input_names;
  duckdb::TableFunctionRef reference;
  duckdb::TableFunctionBindInput input(inputs, options, input_types, input_names,
                                       bound.function.function_info.get(), nullptr,
                                       bound.function, reference);
  bound.data = bound.function.bind(context, input, bound.types, bound.names);
  return bound;
}

}  // namespace arrowport::lake
