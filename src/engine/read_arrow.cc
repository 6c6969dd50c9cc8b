#include "engine/read_arrow.h"

#include <arrow/c/bridge.h>

#include <algorithm>
#include <atomic>
#include <duckdb.hpp>
#include <duckdb/catalog/catalog.hpp>
#include <duckdb/common/file_system.hpp>
#include <duckdb/common/table_column.hpp>
#include <duckdb/function/replacement_scan.hpp>
#include <duckdb/main/config.hpp>
#include <duckdb/parser/expression/constant_expression.hpp>
#include <duckdb/parser/expression/function_expression.hpp>
#include <duckdb/parser/parsed_data/create_table_function_info.hpp>
#include <duckdb/parser/tableref/table_function_ref.hpp>

#include "engine/arrow_file.h"
#include "engine/arrow_source.h"
#include "engine/error.h"

namespace arrowport::engine {
namespace {

constexpr char kFunction[] = "read_arrow";
constexpr size_t kFilesMax = 100'000;

// What may be named without being selected by *.
duckdb::column_t FilenameColumn() { return duckdb::VIRTUAL_COLUMN_START + 0x41'00; }
duckdb::column_t FileNameColumn() { return duckdb::VIRTUAL_COLUMN_START + 0x41'01; }

struct ReadBind : public duckdb::TableFunctionData {
  std::vector<std::string> files;
  /// Opened while binding: standard input can be opened only once.
  mutable std::unique_ptr<ArrowFile> first;
  std::shared_ptr<arrow::Schema> schema;
  duckdb::ArrowSchemaWrapper exported;
  duckdb::ArrowTableSchema columns;
  bool with_filename = false;

  duckdb::idx_t FieldCount() const { return schema->num_fields(); }
};

/// One column of the output.
struct Source {
  bool filename = false;
  bool nothing = false;  ///< only counted
  int field = 0;         ///< of ReadBind::schema
};

struct ReadScan : public duckdb::GlobalTableFunctionState {
  std::vector<Source> sources;
  std::vector<int> fields;  ///< of the schema, in use, ascending, once each
  duckdb::idx_t threads_max = 1;

  std::mutex mutex;
  size_t next_file = 0;
  size_t open_file = 0;
  std::shared_ptr<ArrowFile> file;

  duckdb::idx_t MaxThreads() const override { return threads_max; }
};

struct ReadLocal : public duckdb::LocalTableFunctionState {
  explicit ReadLocal(duckdb::ClientContext& context)
      : scan(duckdb::make_uniq<duckdb::ArrowArrayWrapper>(), context) {}
  duckdb::ArrowScanLocalState scan;
  duckdb::DataChunk chunk;  ///< the fields in use
  size_t file = 0;
  int64_t rows_left = 0;  ///< when no field is in use
};

void ThrowFailed(const arrow::Status& status) {
  if (CodeOf(status) == ErrorCode::kBadData) {
    throw duckdb::InvalidInputException(status.message());
  }
  throw duckdb::IOException(status.message());
}

bool IsPipeOrAddress(const std::string& name) {
  return name == "-" || name == "/dev/stdin" || name.starts_with("http://") ||
         name.starts_with("https://");
}

// Through DuckDB's file system, which knows what the session may see.
void AddFiles(duckdb::ClientContext& context, const std::string& pattern,
              std::vector<std::string>* files) {
  if (IsPipeOrAddress(pattern)) {
    duckdb::Value open;
    context.TryGetCurrentSetting("enable_external_access", open);
    if (!open.IsNull() && !duckdb::BooleanValue::Get(open.DefaultCastAs(
                              duckdb::LogicalType::BOOLEAN))) {
      throw duckdb::PermissionException(
          "read_arrow: files and addresses are closed to this session");
    }
    files->push_back(pattern);
    return;
  }
  auto& system = duckdb::FileSystem::GetFileSystem(context);
  for (const duckdb::OpenFileInfo& info :
       system.GlobFiles(pattern, duckdb::FileGlobOptions::DISALLOW_EMPTY)) {
    // Opening it is what checks the permission.
    system.OpenFile(info.path, duckdb::FileFlags::FILE_FLAGS_READ);
    files->push_back(info.path);
  }
  if (files->size() > kFilesMax) {
    throw duckdb::InvalidInputException("read_arrow: more than 100000 files");
  }
}

std::vector<std::string> NamedFiles(duckdb::ClientContext& context,
                                    const duckdb::Value& argument) {
  std::vector<std::string> files;
  if (argument.IsNull()) throw duckdb::BinderException("read_arrow needs a file name");
  if (argument.type().id() == duckdb::LogicalTypeId::LIST) {
    for (const duckdb::Value& item : duckdb::ListValue::GetChildren(argument)) {
      if (item.IsNull()) throw duckdb::BinderException("read_arrow: a file name is NULL");
      AddFiles(context, duckdb::StringValue::Get(item), &files);
    }
  } else {
    AddFiles(context, duckdb::StringValue::Get(argument), &files);
  }
  if (files.empty()) throw duckdb::BinderException("read_arrow needs at least one file");
  return files;
}

duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext& context,
                                              duckdb::TableFunctionBindInput& input,
                                              duckdb::vector<duckdb::LogicalType>& types,
                                              duckdb::vector<duckdb::string>& names) {
  auto bind = duckdb::make_uniq<ReadBind>();
  bind->files = NamedFiles(context, input.inputs[0]);
  auto option = input.named_parameters.find("filename");
  bind->with_filename = option != input.named_parameters.end() &&
                        !option->second.IsNull() &&
                        duckdb::BooleanValue::Get(option->second);
  auto first = OpenArrowFile(bind->files.front(), {});
  if (!first.ok()) ThrowFailed(first.status());
  bind->schema = (*first)->schema();
  if (IsPipeOrAddress(bind->files.front())) bind->first = *std::move(first);
  arrow::Status exported =
      arrow::ExportSchema(*bind->schema, &bind->exported.arrow_schema);
  if (!exported.ok()) ThrowFailed(exported);
  duckdb::ArrowTableFunction::PopulateArrowTableSchema(context, bind->columns,
                                                       bind->exported.arrow_schema);
  names = bind->columns.GetNames();
  types = bind->columns.GetTypes();
  if (bind->with_filename) {
    names.emplace_back("filename");
    types.emplace_back(duckdb::LogicalType::VARCHAR);
  }
  duckdb::QueryResult::DeduplicateColumns(names);
  return bind;
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitScan(
    duckdb::ClientContext&, duckdb::TableFunctionInitInput& input) {
  const auto& bind = input.bind_data->Cast<ReadBind>();
  auto scan = duckdb::make_uniq<ReadScan>();
  for (duckdb::column_t id : input.column_ids) {
    Source source;
    if (id == FilenameColumn() || id == FileNameColumn() ||
        (bind.with_filename && id == bind.FieldCount())) {
      source.filename = true;
    } else if (id >= bind.FieldCount()) {
      source.nothing = true;
    } else {
      source.field = static_cast<int>(id);
      scan->fields.push_back(source.field);
    }
    scan->sources.push_back(source);
  }
  std::sort(scan->fields.begin(), scan->fields.end());
  scan->fields.erase(std::unique(scan->fields.begin(), scan->fields.end()),
                     scan->fields.end());
  scan->threads_max = std::max<duckdb::idx_t>(
      bind.files.size(), duckdb::idx_t{std::thread::hardware_concurrency()});
  return scan;
}

duckdb::unique_ptr<duckdb::LocalTableFunctionState> InitLocal(
    duckdb::ExecutionContext& context, duckdb::TableFunctionInitInput& input,
    duckdb::GlobalTableFunctionState* global) {
  const auto& bind = input.bind_data->Cast<ReadBind>();
  auto local = duckdb::make_uniq<ReadLocal>(context.client);
  duckdb::vector<duckdb::LogicalType> types;
  for (int field : global->Cast<ReadScan>().fields) {
    local->scan.column_ids.push_back(static_cast<duckdb::column_t>(field));
    types.push_back(const_cast<ReadBind&>(bind).columns.GetTypes()[field]);
  }
  if (!types.empty()) {
    local->chunk.Initialize(duckdb::Allocator::Get(context.client), types);
  }
  return local;
}

// The columns in use of one more file, which may lack or reorder them.
std::shared_ptr<ArrowFile> OpenNext(const ReadBind& bind, const ReadScan& scan,
                                    size_t index) {
  if (index == 0 && bind.first) return std::move(bind.first);
  const std::string& name = bind.files[index];
  auto opened = OpenArrowFile(name, {});
  if (!opened.ok()) ThrowFailed(opened.status());
  std::vector<int> wanted;
  for (int field : scan.fields) {
    const auto& expected = bind.schema->field(field);
    const int found = (*opened)->schema()->GetFieldIndex(expected->name());
    if (found < 0) continue;
    const auto& type = (*opened)->schema()->field(found)->type();
    if (!type->Equals(*expected->type())) {
      throw duckdb::InvalidInputException(
          "read_arrow: column %s is %s in %s and %s in %s", expected->name(),
          type->ToString(), name, expected->type()->ToString(), bind.files.front());
    }
    wanted.push_back(found);
  }
  std::sort(wanted.begin(), wanted.end());
  if (wanted.empty()) return *std::move(opened);
  auto narrowed = OpenArrowFile(name, std::move(wanted));
  if (!narrowed.ok()) ThrowFailed(narrowed.status());
  return *std::move(narrowed);
}

std::shared_ptr<arrow::RecordBatch> InOrder(const ReadBind& bind, const ReadScan& scan,
                                            const arrow::RecordBatch& batch) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (int field : scan.fields) {
    const auto& expected = bind.schema->field(field);
    auto array = batch.GetColumnByName(expected->name());
    if (array == nullptr) {
      auto nulls = arrow::MakeArrayOfNull(expected->type(), batch.num_rows());
      if (!nulls.ok()) ThrowFailed(nulls.status());
      array = *std::move(nulls);
    }
    fields.push_back(expected);
    arrays.push_back(std::move(array));
  }
  return arrow::RecordBatch::Make(arrow::schema(std::move(fields)), batch.num_rows(),
                                  std::move(arrays));
}

bool TakeBatch(const ReadBind& bind, ReadScan& scan, ReadLocal& local) {
  for (;;) {
    std::shared_ptr<ArrowFile> file;
    {
      std::lock_guard<std::mutex> lock(scan.mutex);
      if (!scan.file) {
        if (scan.next_file >= bind.files.size()) return false;
        scan.open_file = scan.next_file++;
        scan.file = OpenNext(bind, scan, scan.open_file);
      }
      file = scan.file;
      local.file = scan.open_file;
    }
    auto batch = file->Next();
    if (!batch.ok()) ThrowFailed(batch.status());
    if (*batch == nullptr) {
      std::lock_guard<std::mutex> lock(scan.mutex);
      if (scan.file == file) scan.file.reset();
      continue;
    }
    local.rows_left = (*batch)->num_rows();
    if (!scan.fields.empty()) PointAt(local.scan, *InOrder(bind, scan, **batch), 0);
    return true;
  }
}

bool NextRows(const ReadBind& bind, const ReadScan& scan, ReadLocal& local,
              duckdb::idx_t* rows) {
  if (scan.fields.empty()) {
    *rows = std::min<duckdb::idx_t>(STANDARD_VECTOR_SIZE, local.rows_left);
    local.rows_left -= static_cast<int64_t>(*rows);
    return *rows > 0;
  }
  if (!local.scan.chunk || local.scan.chunk->arrow_array.release == nullptr) return false;
  local.chunk.Reset();
  if (!NextChunk(local.scan, bind.columns, local.chunk)) return false;
  *rows = local.chunk.size();
  return true;
}

void Scan(duckdb::ClientContext&, duckdb::TableFunctionInput& input,
          duckdb::DataChunk& output) {
  const auto& bind = input.bind_data->Cast<ReadBind>();
  auto& scan = input.global_state->Cast<ReadScan>();
  auto& local = input.local_state->Cast<ReadLocal>();
  duckdb::idx_t rows = 0;
  while (!NextRows(bind, scan, local, &rows)) {
    if (!TakeBatch(bind, scan, local)) return;
  }
  for (size_t i = 0; i < scan.sources.size(); ++i) {
    const Source& source = scan.sources[i];
    if (source.filename) {
      output.data[i].Reference(duckdb::Value(bind.files[local.file]));
    } else if (source.nothing) {
      output.data[i].Reference(duckdb::Value(output.data[i].GetType()));
    } else {
      const auto place =
          std::lower_bound(scan.fields.begin(), scan.fields.end(), source.field);
      output.data[i].Reference(local.chunk.data[place - scan.fields.begin()]);
    }
  }
  output.SetCardinality(rows);
}

duckdb::virtual_column_map_t VirtualColumns(duckdb::ClientContext&,
                                            duckdb::optional_ptr<duckdb::FunctionData>) {
  duckdb::virtual_column_map_t columns;
  columns.emplace(FilenameColumn(),
                  duckdb::TableColumn("filename", duckdb::LogicalType::VARCHAR));
  columns.emplace(FileNameColumn(),
                  duckdb::TableColumn("file_name", duckdb::LogicalType::VARCHAR));
  columns.emplace(duckdb::COLUMN_IDENTIFIER_EMPTY,
                  duckdb::TableColumn("", duckdb::LogicalType::BOOLEAN));
  return columns;
}

duckdb::unique_ptr<duckdb::TableRef> ReplaceFileName(
    duckdb::ClientContext&, duckdb::ReplacementScanInput& input,
    duckdb::optional_ptr<duckdb::ReplacementScanData>) {
  const std::string name = duckdb::ReplacementScan::GetFullPath(
      input.catalog_name, input.schema_name, input.table_name);
  const std::string lower = duckdb::StringUtil::Lower(name);
  const bool arrow = lower.ends_with(".arrow") || lower.ends_with(".arrows") ||
                     lower.ends_with(".feather") || lower.ends_with(".ipc");
  if (!arrow) return nullptr;
  auto function = duckdb::make_uniq<duckdb::TableFunctionRef>();
  duckdb::vector<duckdb::unique_ptr<duckdb::ParsedExpression>> arguments;
  arguments.push_back(
      duckdb::make_uniq<duckdb::ConstantExpression>(duckdb::Value(name)));
  function->function =
      duckdb::make_uniq<duckdb::FunctionExpression>(kFunction, std::move(arguments));
  return function;
}

duckdb::TableFunction MakeFunction(const duckdb::LogicalType& argument) {
  duckdb::TableFunction function(kFunction, {argument}, Scan, Bind, InitScan, InitLocal);
  function.named_parameters["filename"] = duckdb::LogicalType::BOOLEAN;
  function.projection_pushdown = true;
  function.filter_pushdown = false;
  function.get_virtual_columns = VirtualColumns;
  return function;
}

}  // namespace

arrow::Status RegisterReadArrow(duckdb::DuckDB& instance) {
  return Catching([&]() -> arrow::Status {
    duckdb::Connection connection(instance);
    connection.BeginTransaction();
    auto& catalog = duckdb::Catalog::GetSystemCatalog(*instance.instance);
    duckdb::TableFunctionSet functions(kFunction);
    functions.AddFunction(MakeFunction(duckdb::LogicalType::VARCHAR));
    functions.AddFunction(
        MakeFunction(duckdb::LogicalType::LIST(duckdb::LogicalType::VARCHAR)));
    duckdb::CreateTableFunctionInfo info(std::move(functions));
    info.internal = true;
    catalog.CreateTableFunction(*connection.context, info);
    connection.Commit();
    duckdb::DBConfig::GetConfig(*instance.instance)
        .replacement_scans.emplace_back(ReplaceFileName);
    return {};
  });
}

}  // namespace arrowport::engine
