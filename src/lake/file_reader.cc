#include "lake/file_reader.h"

#include <duckdb/common/multi_file/multi_file_column_mapper.hpp>
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/planner/expression/bound_constant_expression.hpp>
#include <map>

#include "base/error.h"
#include "engine/error.h"
#include "lake/deletion_filter.h"
#include "lake/file_list.h"
#include "lake/pruning.h"

namespace arrowport::lake {
namespace {

using duckdb::MultiFileColumnDefinition;
using duckdb::ReaderInitializeType;
using duckdb::TableFilter;
using duckdb::TableFilterSet;
using duckdb::Value;

/// The columns a scan asks for, in terms of one opened file.
struct FileView {
  /// Full length, so that column ids index it; only what is asked for is filled in.
  duckdb::vector<MultiFileColumnDefinition> columns;
  /// By position in the scan's columns: what every row of the file has there.
  std::map<size_t, Value> constants;
  /// By position: the type in the file, where it is another than the table's.
  std::map<size_t, duckdb::LogicalType> other_types;
};

bool HasFieldIds(const duckdb::vector<MultiFileColumnDefinition>& local) {
  for (const auto& column : local) {
    if (!column.identifier.IsNull()) return true;
  }
  return local.empty();
}

FileView ViewOf(const ScanSource& source, const ScanFile& file,
                const duckdb::vector<duckdb::ColumnIndex>& column_ids,
                duckdb::BaseFileReader& reader) {
  if (source.match == MatchBy::kFieldId && !HasFieldIds(reader.columns)) {
    engine::ThrowStatus(Error(ErrorCode::kStorageCorrupt,
                              "the table matches columns by field id, but the file has "
                              "none: ",
                              reader.GetFileName()));
  }
  FileView view;
  view.columns.resize(source.columns.size(),
                      MultiFileColumnDefinition("", duckdb::LogicalType::SQLNULL));
  for (size_t i = 0; i < column_ids.size(); ++i) {
    const auto id = column_ids[i].GetPrimaryIndex();
    if (id >= source.columns.size()) continue;  // virtual
    const ScanColumn& column = source.columns[id];
    view.columns[id] = column.definition;
    if (column.slot && file.parts().constants[*column.slot]) {
      view.constants.emplace(i, *file.parts().constants[*column.slot]);
      continue;
    }
    MultiFileColumnDefinition* local =
        FindLocal(column.field, source.match, reader.columns);
    if (local == nullptr) {
      view.constants.emplace(i, Value(column.type));
      continue;
    }
    TakeTimesAsDeclared(*column.field.type, local);
    view.columns[id].identifier = Value(local->name);
    MatchDefinition(*column.field.type, source.match, *local, &view.columns[id]);
    if (local->type != column.type) view.other_types.emplace(i, local->type);
  }
  return view;
}

// Not DuckDB's own evaluation against constants: it fails on (NOT) DISTINCT FROM.
bool ConstantPasses(duckdb::ClientContext& context, const TableFilter& filter,
                    const Value& constant) {
  auto expression = filter.ToExpression(duckdb::BoundConstantExpression(constant));
  Value result = duckdb::ExpressionExecutor::EvaluateScalar(context, *expression);
  return !result.IsNull() && result.DefaultCastAs(duckdb::LogicalType::BOOLEAN)
                                 .GetValue<bool>();
}

duckdb::LogicalType TypeAt(const ScanSource& source,
                           const duckdb::vector<duckdb::ColumnIndex>& column_ids,
                           size_t position) {
  const auto id = column_ids[position].GetPrimaryIndex();
  if (id < source.columns.size()) return source.columns[id].type;
  return duckdb::LogicalType::BIGINT;  // file_row_number: the others are constants
}

/// The filters that are left for the rows of a file.
struct FileFilters {
  bool skip_file = false;
  duckdb::unique_ptr<TableFilterSet> rest;
};

FileFilters FiltersFor(duckdb::ClientContext& context, const ScanSource& source,
                       const FileView& view,
                       const duckdb::vector<duckdb::ColumnIndex>& column_ids,
                       const TableFilterSet& filters,
                       const duckdb::MultiFileConstantMap& constants) {
  FileFilters result;
  result.rest = duckdb::make_uniq<TableFilterSet>();
  for (const auto& [position, filter] : filters.filters) {
    const Value* constant = nullptr;
    for (const auto& entry : constants) {
      if (entry.column_idx.GetIndex() == position) constant = &entry.value;
    }
    auto other_type = view.other_types.find(position);
    if (constant == nullptr && other_type == view.other_types.end()) {
      auto checkable = CheckablePart(*filter, TypeAt(source, column_ids, position));
      if (checkable) result.rest->filters.emplace(position, std::move(checkable));
      continue;
    }
    // DuckDB derives optional filters that are wrong where all is NULL, and cannot
    // convert all of them to another type.
    auto required = RequiredPart(*filter);
    if (!required) continue;
    if (constant != nullptr) {
      if (ConstantPasses(context, *required, *constant)) continue;
      result.skip_file = true;
      return result;
    }
    const duckdb::LogicalType type = TypeAt(source, column_ids, position);
    // As a filter on the file's type it would round its constants; as an expression it is
    // evaluated after the column has the table's type.
    required = KeepsComparisons(other_type->second, type) ? CheckablePart(*required, type)
                                                          : AsExpression(*required, type);
    result.rest->filters.emplace(position, std::move(required));
  }
  return result;
}

}  // namespace

FileReader::FileReader(std::shared_ptr<const ScanSource> source)
    : source_(std::move(source)) {
  function_name = "delta";
}

duckdb::shared_ptr<duckdb::MultiFileList> FileReader::CreateFileList(
    duckdb::ClientContext&, const duckdb::vector<duckdb::string>&,
    const duckdb::FileGlobInput&) {
  return duckdb::make_shared_ptr<FileList>(source_);
}

bool FileReader::Bind(duckdb::MultiFileOptions& options, duckdb::MultiFileList&,
                      duckdb::vector<duckdb::LogicalType>& return_types,
                      duckdb::vector<duckdb::string>& names,
                      duckdb::MultiFileReaderBindData& bind_data) {
  options.auto_detect_hive_partitioning = false;
  options.hive_partitioning = false;
  options.union_by_name = false;
  for (const ScanColumn& column : source_->columns) {
    return_types.push_back(column.type);
    names.push_back(column.field.name);
    bind_data.schema.push_back(column.definition);
  }
  return true;
}

ReaderInitializeType FileReader::InitializeReader(
    duckdb::MultiFileReaderData& reader_data, const duckdb::MultiFileBindData& bind_data,
    const duckdb::vector<MultiFileColumnDefinition>&,
    const duckdb::vector<duckdb::ColumnIndex>& global_column_ids,
    duckdb::optional_ptr<TableFilterSet> table_filters, duckdb::ClientContext& context,
    duckdb::MultiFileGlobalState& gstate) {
  auto& files = static_cast<FileList&>(gstate.file_list);
  duckdb::BaseFileReader& reader = *reader_data.reader;
  const size_t position = reader.file_list_idx.GetIndex();
  const ScanFile& file = files.file(position);
  // The number of the file in its snapshot: two scans of one plan that prune differently
  // must call a row the same.
  reader.file_list_idx = files.kept()[position];

  FileView view = ViewOf(*source_, file, global_column_ids, reader);
  for (const auto& [index, value] : view.constants) {
    reader_data.constant_map.Add(duckdb::MultiFileGlobalIndex(index), value);
  }
  FinalizeBind(reader_data, bind_data.file_options, bind_data.reader_bind, view.columns,
               global_column_ids, context, gstate.multi_file_reader_state.get());

  duckdb::unique_ptr<TableFilterSet> filters;
  if (table_filters) {
    FileFilters adapted = FiltersFor(context, *source_, view, global_column_ids,
                                     *table_filters, reader_data.constant_map);
    if (adapted.skip_file) return ReaderInitializeType::SKIP_READING_FILE;
    if (!adapted.rest->filters.empty()) filters = std::move(adapted.rest);
  }
  auto deleted = MakeDeletionFilter(*source_, file);
  if (!deleted.ok()) engine::ThrowStatus(WithContext(reader.GetFileName(), deleted.status()));
  reader.deletion_filter = *std::move(deleted);
  return CreateMapping(context, reader_data, view.columns, global_column_ids,
                       filters.get(), files, bind_data.reader_bind,
                       bind_data.virtual_columns,
                       duckdb::MultiFileColumnMappingMode::BY_NAME);
}

duckdb::unique_ptr<duckdb::MultiFileReader> FileReader::Copy() const {
  return duckdb::make_uniq<FileReader>(source_);
}

}  // namespace arrowport::lake
