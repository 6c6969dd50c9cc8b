#include "delta/table_reader_file.h"

#include <arrow/array/util.h>
#include <arrow/builder.h>
#include <arrow/compute/api_vector.h>
#include <arrow/scalar.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "delta/partition_value.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kReadBufferBytes = 1 << 20;

/// Leaf columns below the chosen top-level fields.
std::vector<int> LeavesOf(const parquet::FileMetaData& metadata,
                          const std::vector<int>& fields) {
  std::vector<int> leaves;
  const auto* schema = metadata.schema();
  for (int i = 0; i < metadata.num_columns(); ++i) {
    const int field = schema->group_node()->FieldIndex(*schema->GetColumnRoot(i));
    if (std::find(fields.begin(), fields.end(), field) != fields.end()) leaves.push_back(i);
  }
  return leaves;
}

}  // namespace

struct FileRows::Opened {
  std::unique_ptr<parquet::arrow::FileReader> reader;
  std::unique_ptr<arrow::RecordBatchReader> batches;
  int64_t rows = 0;

  arrow::Status Open(std::shared_ptr<arrow::io::RandomAccessFile> file,
                     const FileReadOptions& options) {
    parquet::ReaderProperties reading(options.pool);
    // A row group is decoded bit by bit; its columns are never in memory as a whole.
    reading.enable_buffered_stream();
    reading.set_buffer_size(kReadBufferBytes);
    parquet::ArrowReaderProperties properties;
    properties.set_batch_size(options.batch_rows);
    properties.set_pre_buffer(false);
    properties.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(builder.Open(std::move(file), reading));
    builder.memory_pool(options.pool)->properties(properties);
    ARROW_ASSIGN_OR_RAISE(reader, builder.Build());
    rows = reader->parquet_reader()->metadata()->num_rows();
    return {};
  }

  /// Begins to read the fields (indices of the file's schema).
  arrow::Status Start(const std::vector<int>& fields) {
    if (fields.empty()) return {};
    std::vector<int> groups(static_cast<size_t>(reader->num_row_groups()));
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    const auto leaves = LeavesOf(*reader->parquet_reader()->metadata(), fields);
    ARROW_ASSIGN_OR_RAISE(batches, reader->GetRecordBatchReader(groups, leaves));
    return {};
  }
};

arrow::Result<std::shared_ptr<const ReadPlan>> ReadPlan::Make(
    const TableState& state, const std::vector<std::string>* columns,
    std::vector<StructField> extra) {
  auto plan = std::make_shared<ReadPlan>();
  plan->match_ = {state.column_names, state.match_by_field_id};
  arrow::FieldVector fields;
  const auto add = [&](const StructField& field, bool partition) {
    plan->columns_.push_back({field, partition, state.StoredName(field)});
    fields.push_back(arrow::field(field.name, ToArrowType(*field.type, NameStyle::kLogical),
                                  field.nullable));
  };
  if (columns == nullptr) {
    for (const StructField& field : state.schema->fields) {
      add(field, state.IsPartitionColumn(field.name));
    }
  } else {
    for (const std::string& name : *columns) {
      const StructField* field = FindField(*state.schema, name);
      if (field == nullptr) {
        return Error(ErrorCode::kColumnNotFound, "the table has no such column: ", name);
      }
      add(*field, state.IsPartitionColumn(field->name));
    }
  }
  for (const StructField& field : extra) add(field, false);
  plan->schema_ = arrow::schema(std::move(fields));
  return plan;
}

FileRows::~FileRows() = default;

arrow::Status FileRows::Explain(const arrow::Status& status) const {
  if (status.ok()) return status;
  const ErrorCode code = CodeOf(status);
  if (code == ErrorCode::kNotFound) {
    return Error(ErrorCode::kStorageCorrupt, "missing data file: ", path_);
  }
  // A status of Arrow's own about a file is about its bytes.
  const bool ours = status.detail() != nullptr;
  return WithContext("data file " + path_,
                     ours ? status : WithCode(ErrorCode::kStorageCorrupt, status));
}

arrow::Result<std::unique_ptr<FileRows>> FileRows::Open(
    const store::Store& store, const std::string& path,
    std::shared_ptr<const ReadPlan> plan, const PartitionValues& partition_values,
    RowSelection selection, const FileReadOptions& options) {
  std::unique_ptr<FileRows> rows(new FileRows());
  rows->path_ = path;
  rows->plan_ = std::move(plan);
  rows->selection_ = std::move(selection);
  rows->options_ = options;
  rows->opened_ = std::make_unique<Opened>();
  const auto open = [&]() -> arrow::Status {
    ARROW_ASSIGN_OR_RAISE(auto file, store.Open(path));
    ARROW_RETURN_NOT_OK(rows->opened_->Open(std::move(file), options));
    std::shared_ptr<arrow::Schema> file_schema;
    ARROW_RETURN_NOT_OK(rows->opened_->reader->GetSchema(&file_schema));
    std::vector<int> chosen;
    for (const ReadPlan::Column& column : rows->plan_->columns_) {
      const int field = column.partition ? -1
                                         : FindInFile(file_schema->fields(), column.field,
                                                      rows->plan_->match_);
      rows->in_batch_.push_back(field);
      if (field >= 0) chosen.push_back(field);
    }
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (int& field : rows->in_batch_) {
      if (field < 0) continue;
      field = static_cast<int>(
          std::lower_bound(chosen.begin(), chosen.end(), field) - chosen.begin());
    }
    return rows->opened_->Start(chosen);
  };
  arrow::Status status;
  try {
    status = open();
  } catch (const std::exception& error) {
    status = arrow::Status::IOError(error.what());
  }
  ARROW_RETURN_NOT_OK(rows->Explain(status));
  for (const ReadPlan::Column& column : rows->plan_->columns_) {
    auto& constant = rows->constants_.emplace_back();
    if (!column.partition) continue;
    const auto found = partition_values.find(column.stored_name);
    ARROW_ASSIGN_OR_RAISE(
        constant,
        ParsePartitionValue(found == partition_values.end() ? std::nullopt : found->second,
                            *column.field.type));
  }
  if (rows->selection_.without != nullptr &&
      rows->selection_.without->last() >= rows->opened_->rows) {
    return Error(ErrorCode::kStorageCorrupt,
                 "a deletion vector names rows beyond the end of its file: ", path);
  }
  return rows;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> FileRows::NextPhysical() {
  if (opened_->batches != nullptr) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(opened_->batches->ReadNext(&batch));
    return batch;
  }
  // Nothing of the file itself is wanted but the number of its rows.
  const int64_t count = std::min(options_.batch_rows, opened_->rows - next_row_);
  if (count <= 0) return nullptr;
  return arrow::RecordBatch::Make(arrow::schema(arrow::FieldVector{}), count,
                                  arrow::ArrayVector{});
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> FileRows::Next() {
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    try {
      auto physical = NextPhysical();
      ARROW_RETURN_NOT_OK(Explain(physical.status()));
      batch = std::move(*physical);
    } catch (const std::exception& error) {
      return Explain(arrow::Status::IOError(error.what()));
    }
    if (batch == nullptr) return nullptr;
    const int64_t first_row = next_row_;
    next_row_ += batch->num_rows();
    ARROW_ASSIGN_OR_RAISE(batch, ToTable(*batch));
    ARROW_ASSIGN_OR_RAISE(batch, Select(std::move(batch), first_row));
    if (batch->num_rows() > 0) return batch;
  }
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> FileRows::ToTable(
    const arrow::RecordBatch& batch) const {
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < plan_->columns_.size(); ++i) {
    const ReadPlan::Column& column = plan_->columns_[i];
    arrow::Result<std::shared_ptr<arrow::Array>> array;
    if (column.partition) {
      array = arrow::MakeArrayFromScalar(*constants_[i], batch.num_rows(), options_.pool);
    } else if (in_batch_[i] < 0) {
      array = arrow::MakeArrayOfNull(plan_->schema_->field(static_cast<int>(i))->type(),
                                     batch.num_rows(), options_.pool);
    } else {
      array = ShapeArray(batch.column(in_batch_[i]), *column.field.type, plan_->match_);
    }
    if (!array.ok()) return Explain(WithContext("column " + column.field.name, array.status()));
    arrays.push_back(std::move(*array));
  }
  return arrow::RecordBatch::Make(plan_->schema_, batch.num_rows(), std::move(arrays));
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> FileRows::Select(
    std::shared_ptr<arrow::RecordBatch> batch, int64_t first_row) const {
  const int64_t end = first_row + batch->num_rows();
  const bool some = selection_.only != nullptr;
  if (!some && (selection_.without == nullptr ||
                !selection_.without->AnyIn(first_row, end))) {
    return batch;
  }
  std::vector<uint8_t> keep(static_cast<size_t>(batch->num_rows()), some ? 0 : 1);
  const auto set = [&](const std::shared_ptr<const DeletedRows>& rows, uint8_t value) {
    if (rows == nullptr) return;
    rows->VisitRuns(first_row, end, [&](int64_t from, int64_t to) {
      std::fill(keep.begin() + (from - first_row), keep.begin() + (to - first_row), value);
    });
  };
  set(selection_.only, 1);
  set(selection_.without, 0);
  arrow::BooleanBuilder mask(options_.pool);
  ARROW_RETURN_NOT_OK(mask.AppendValues(keep.data(), static_cast<int64_t>(keep.size())));
  ARROW_ASSIGN_OR_RAISE(auto mask_array, mask.Finish());
  ARROW_ASSIGN_OR_RAISE(const auto kept, arrow::compute::Filter(batch, mask_array));
  return kept.record_batch();
}

}  // namespace arrowport::delta
