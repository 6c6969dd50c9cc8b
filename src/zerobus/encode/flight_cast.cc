#include "zerobus/encode/flight_cast.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/util/utf8.h>

#include <algorithm>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "base/error.h"
#include "zerobus/encode/cell_source.h"
#include "zerobus/encode/cell_values.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/plan.h"
#include "zerobus/encode/text_columns.h"
#include "zerobus/encode/variant_value.h"

namespace arrowport::zerobus::encode {
namespace {

using internal::CellSource;
using internal::FieldPlan;
using internal::ListRange;
using internal::ListReader;

arrow::Status ValueError(ErrorCode code, const char* phrase, const FieldPlan& plan) {
  return Error(code, phrase, plan.path);
}

/// Appends plain values to the builder of their Flight type.
class CastValues {
 public:
  virtual ~CastValues() = default;
  virtual arrow::Status Append(int64_t element) = 0;
};

/// Appends cells, nulls too.
class CastCells {
 public:
  /// `builder` must be one for FlightTypeOf the column.
  static arrow::Result<CastCells> Make(const FieldPlan& plan,
                                       std::shared_ptr<arrow::ArrayData> array,
                                       arrow::ArrayBuilder* builder);

  arrow::Status Append(int64_t element) {
    ARROW_ASSIGN_OR_RAISE(int64_t value, source_.ResolveOne(element));
    if (value >= 0) return values_->Append(value);
    if (plan_->nulls == internal::NullRule::kFail) {
      return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ",
                        *plan_);
    }
    return builder_->AppendNull();
  }

 private:
  CastCells(const FieldPlan& plan, CellSource source, std::unique_ptr<CastValues> values,
            arrow::ArrayBuilder* builder)
      : plan_(&plan),
        source_(std::move(source)),
        values_(std::move(values)),
        builder_(builder) {}

  const FieldPlan* plan_;
  CellSource source_;
  std::unique_ptr<CastValues> values_;
  arrow::ArrayBuilder* builder_;
};

template <typename Reader, typename Builder>
class CastInteger final : public CastValues {
 public:
  CastInteger(const FieldPlan& plan, Reader reader, arrow::ArrayBuilder* builder)
      : plan_(plan), reader_(reader), builder_(static_cast<Builder*>(builder)) {}
  arrow::Status Append(int64_t element) override {
    int64_t value;
    if (!reader_.Read(element, &value)) {
      return ValueError(ErrorCode::kSchemaMismatch, "value does not fit the column: ",
                        plan_);
    }
    return builder_->Append(static_cast<typename Builder::value_type>(value));
  }

 private:
  const FieldPlan& plan_;
  Reader reader_;
  Builder* builder_;
};

template <typename Reader, typename Builder>
class CastFloat final : public CastValues {
 public:
  CastFloat(Reader reader, arrow::ArrayBuilder* builder)
      : reader_(reader), builder_(static_cast<Builder*>(builder)) {}
  arrow::Status Append(int64_t element) override {
    return builder_->Append(reader_.Read(element));
  }

 private:
  Reader reader_;
  Builder* builder_;
};

template <typename Reader>
class CastBytes final : public CastValues {
 public:
  CastBytes(const FieldPlan& plan, Reader reader, arrow::ArrayBuilder* builder)
      : plan_(plan), reader_(reader), builder_(builder) {}
  arrow::Status Append(int64_t element) override {
    std::string_view value;
    if (!reader_.Read(element, &value)) {
      return ValueError(ErrorCode::kBadData, "value lies outside its buffer: ", plan_);
    }
    if (plan_.target == TypeId::kVariant) return AppendVariant(value);
    if (plan_.target == TypeId::kString && !arrow::util::ValidateUTF8(value)) {
      return ValueError(ErrorCode::kBadData, "value is not UTF-8: ", plan_);
    }
    return static_cast<arrow::LargeBinaryBuilder*>(builder_)->Append(value);
  }

 private:
  arrow::Status AppendVariant(std::string_view json) {
    arrow::Status status = internal::VariantFromJson(json, &metadata_, &value_);
    if (!status.ok()) return WithContext("column " + plan_.path, status);
    auto* fields = static_cast<arrow::StructBuilder*>(builder_);
    ARROW_RETURN_NOT_OK(fields->Append());
    ARROW_RETURN_NOT_OK(
        static_cast<arrow::LargeBinaryBuilder*>(fields->child(0))->Append(metadata_));
    return static_cast<arrow::LargeBinaryBuilder*>(fields->child(1))->Append(value_);
  }

  const FieldPlan& plan_;
  Reader reader_;
  arrow::ArrayBuilder* builder_;
  std::string metadata_;
  std::string value_;
};

class CastDecimal final : public CastValues {
 public:
  CastDecimal(const FieldPlan& plan, internal::DecimalReader reader,
              arrow::ArrayBuilder* builder)
      : plan_(plan),
        reader_(reader),
        builder_(static_cast<arrow::LargeStringBuilder*>(builder)) {}
  arrow::Status Append(int64_t element) override {
    char text[internal::kDecimalBytesMax];
    const char* end = reader_.Write(element, text);
    if (end == nullptr) {
      return ValueError(ErrorCode::kSchemaMismatch,
                        "value does not fit the precision and scale of the column: ",
                        plan_);
    }
    return builder_->Append(text, end - text);
  }

 private:
  const FieldPlan& plan_;
  internal::DecimalReader reader_;
  arrow::LargeStringBuilder* builder_;
};

/// Members that the batch leaves out become null.
class CastStruct final : public CastValues {
 public:
  CastStruct(int64_t offset, arrow::ArrayBuilder* builder)
      : offset_(offset),
        builder_(static_cast<arrow::StructBuilder*>(builder)),
        members_(static_cast<size_t>(builder->num_children())) {}

  arrow::Status AddMembers(const FieldPlan& plan, const arrow::ArrayData& values) {
    const std::shared_ptr<arrow::DataType> type = builder_->type();  // made by the call
    for (const FieldPlan& member : plan.children) {
      int place =
          static_cast<const arrow::StructType&>(*type).GetFieldIndex(member.name);
      ARROW_ASSIGN_OR_RAISE(
          CastCells cells,
          CastCells::Make(member, values.child_data[static_cast<size_t>(member.child_index)],
                          builder_->child(place)));
      members_[static_cast<size_t>(place)] = std::make_unique<CastCells>(std::move(cells));
    }
    return arrow::Status::OK();
  }

  arrow::Status Append(int64_t element) override {
    ARROW_RETURN_NOT_OK(builder_->Append());
    for (size_t i = 0; i < members_.size(); ++i) {
      ARROW_RETURN_NOT_OK(members_[i] ? members_[i]->Append(offset_ + element)
                                      : builder_->child(static_cast<int>(i))->AppendNull());
    }
    return arrow::Status::OK();
  }

 private:
  int64_t offset_;
  arrow::StructBuilder* builder_;
  std::vector<std::unique_ptr<CastCells>> members_;
};

class CastList final : public CastValues {
 public:
  CastList(const FieldPlan& plan, ListReader reader, CastCells element,
           arrow::ArrayBuilder* builder)
      : plan_(plan),
        reader_(reader),
        element_(std::move(element)),
        builder_(static_cast<arrow::ListBuilder*>(builder)) {}
  arrow::Status Append(int64_t i) override {
    ListRange range;
    if (!reader_.Read(i, &range)) {
      return ValueError(ErrorCode::kBadData, "list lies outside its elements: ", plan_);
    }
    ARROW_RETURN_NOT_OK(builder_->Append());
    for (int64_t k = 0; k < range.count; ++k) {
      ARROW_RETURN_NOT_OK(element_.Append(range.first + k));
    }
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  ListReader reader_;
  CastCells element_;
  arrow::ListBuilder* builder_;
};

/// Repeated keys stay: an Arrow map may hold them and the service takes the last.
class CastMap final : public CastValues {
 public:
  CastMap(const FieldPlan& plan, const arrow::ArrayData& values, CellSource entries,
          CastCells key, CastCells value, arrow::ArrayBuilder* builder)
      : plan_(plan),
        reader_(plan, values),
        offset_(values.child_data[0]->offset),
        entries_(std::move(entries)),
        key_(std::move(key)),
        value_(std::move(value)),
        builder_(static_cast<arrow::MapBuilder*>(builder)) {}
  arrow::Status Append(int64_t i) override {
    ListRange range;
    if (!reader_.Read(i, &range)) {
      return ValueError(ErrorCode::kBadData, "list lies outside its elements: ", plan_);
    }
    ARROW_RETURN_NOT_OK(builder_->Append());
    for (int64_t k = 0; k < range.count; ++k) {
      ARROW_ASSIGN_OR_RAISE(int64_t entry, entries_.ResolveOne(range.first + k));
      if (entry < 0) {
        return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ",
                          plan_);
      }
      ARROW_RETURN_NOT_OK(key_.Append(offset_ + entry));
      ARROW_RETURN_NOT_OK(value_.Append(offset_ + entry));
    }
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  ListReader reader_;
  int64_t offset_;
  CellSource entries_;
  CastCells key_;
  CastCells value_;
  arrow::MapBuilder* builder_;
};

/// The values of a column of type null: there are none.
class CastNothing final : public CastValues {
 public:
  arrow::Status Append(int64_t) override { return arrow::Status::OK(); }
};

using Made = arrow::Result<std::unique_ptr<CastValues>>;

Made MakeNested(const FieldPlan& plan, const arrow::ArrayData& values,
                arrow::ArrayBuilder* builder) {
  if (plan.target == TypeId::kStruct) {
    auto fields = std::make_unique<CastStruct>(values.offset, builder);
    ARROW_RETURN_NOT_OK(fields->AddMembers(plan, values));
    return fields;
  }
  const std::shared_ptr<arrow::ArrayData>& child = values.child_data[0];
  if (plan.target == TypeId::kArray) {
    ARROW_ASSIGN_OR_RAISE(
        CastCells element,
        CastCells::Make(plan.children[0], child,
                        static_cast<arrow::ListBuilder*>(builder)->value_builder()));
    return std::make_unique<CastList>(plan, ListReader(plan, values), std::move(element),
                                      builder);
  }
  auto* map = static_cast<arrow::MapBuilder*>(builder);
  ARROW_ASSIGN_OR_RAISE(CellSource entries, CellSource::Make(plan.children[0], child));
  ARROW_ASSIGN_OR_RAISE(CastCells key, CastCells::Make(plan.children[0], child->child_data[0],
                                                       map->key_builder()));
  ARROW_ASSIGN_OR_RAISE(CastCells value,
                        CastCells::Make(plan.children[1], child->child_data[1],
                                        map->item_builder()));
  return std::make_unique<CastMap>(plan, values, std::move(entries), std::move(key),
                                   std::move(value), builder);
}

template <typename Builder>
std::unique_ptr<CastValues> MakeInteger(const FieldPlan& plan,
                                        const arrow::ArrayData& values,
                                        arrow::ArrayBuilder* builder) {
  return internal::WithVarintReader(
      plan, values, [&](auto reader) -> std::unique_ptr<CastValues> {
        return std::make_unique<CastInteger<decltype(reader), Builder>>(plan, reader,
                                                                        builder);
      });
}

template <typename Value, typename Builder>
std::unique_ptr<CastValues> MakeFloat(const FieldPlan& plan, const arrow::ArrayData& values,
                                      arrow::ArrayBuilder* builder) {
  return internal::WithFloatReader<Value>(
      plan, values, [&](auto reader) -> std::unique_ptr<CastValues> {
        return std::make_unique<CastFloat<decltype(reader), Builder>>(reader, builder);
      });
}

Made MakeValues(const FieldPlan& plan, const arrow::ArrayData& values,
                arrow::ArrayBuilder* builder) {
  if (plan.is_null_type) return std::make_unique<CastNothing>();
  switch (plan.target) {
    case TypeId::kBoolean:
      return MakeInteger<arrow::BooleanBuilder>(plan, values, builder);
    case TypeId::kTinyInt:
      return MakeInteger<arrow::Int8Builder>(plan, values, builder);
    case TypeId::kSmallInt:
      return MakeInteger<arrow::Int16Builder>(plan, values, builder);
    case TypeId::kInt:
      return MakeInteger<arrow::Int32Builder>(plan, values, builder);
    case TypeId::kBigInt:
      return MakeInteger<arrow::Int64Builder>(plan, values, builder);
    case TypeId::kDate:
      return MakeInteger<arrow::Date32Builder>(plan, values, builder);
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return MakeInteger<arrow::TimestampBuilder>(plan, values, builder);
    case TypeId::kFloat:
      return MakeFloat<float, arrow::FloatBuilder>(plan, values, builder);
    case TypeId::kDouble:
      return MakeFloat<double, arrow::DoubleBuilder>(plan, values, builder);
    case TypeId::kDecimal:
      return std::make_unique<CastDecimal>(plan, internal::MakeDecimalReader(plan, values),
                                           builder);
    case TypeId::kString:
    case TypeId::kVariant:
    case TypeId::kBinary:
      return internal::WithBytesReader(
          plan, values, [&](auto reader) -> std::unique_ptr<CastValues> {
            return std::make_unique<CastBytes<decltype(reader)>>(plan, reader, builder);
          });
    default:
      return MakeNested(plan, values, builder);
  }
}

arrow::Result<CastCells> CastCells::Make(const FieldPlan& plan,
                                         std::shared_ptr<arrow::ArrayData> array,
                                         arrow::ArrayBuilder* builder) {
  ARROW_ASSIGN_OR_RAISE(CellSource source, CellSource::Make(plan, std::move(array)));
  ARROW_ASSIGN_OR_RAISE(auto values, MakeValues(plan, *source.values(), builder));
  return CastCells(plan, std::move(source), std::move(values), builder);
}

/// Whether the buffers of a column are those of its Flight type and no value of it can be
/// wrong.
bool SharesBuffers(const FieldPlan& plan, const arrow::DataType& flight) {
  if (plan.arrow_type->id() != flight.id() || !arrow::is_primitive(flight.id())) {
    return false;
  }
  return flight.id() != arrow::Type::TIMESTAMP ||
         static_cast<const arrow::TimestampType&>(*plan.arrow_type).unit() ==
             arrow::TimeUnit::MICRO;
}

bool IsText(TypeId target) {
  return target == TypeId::kString || target == TypeId::kBinary;
}

arrow::Result<std::shared_ptr<arrow::Array>> CastColumn(
    const FieldPlan& plan, const std::shared_ptr<arrow::ArrayData>& array,
    const std::shared_ptr<arrow::DataType>& flight) {
  const bool nulls_fail =
      plan.nulls == internal::NullRule::kFail && array->GetNullCount() > 0;
  if (SharesBuffers(plan, *flight) && !nulls_fail) {
    auto shared = array->Copy();
    shared->type = flight;
    return arrow::MakeArray(shared);
  }
  if (IsText(plan.target) && !nulls_fail) {
    const auto rule = plan.target == TypeId::kString ? internal::TextRule::kUtf8
                                                     : internal::TextRule::kBytes;
    ARROW_ASSIGN_OR_RAISE(auto shared, internal::ShareText(*array, rule, flight));
    if (shared) return arrow::MakeArray(shared);
  }
  std::unique_ptr<arrow::ArrayBuilder> builder;
  ARROW_RETURN_NOT_OK(
      arrow::MakeBuilder(arrow::default_memory_pool(), flight, &builder));
  ARROW_RETURN_NOT_OK(builder->Reserve(array->length));
  ARROW_ASSIGN_OR_RAISE(CastCells cells, CastCells::Make(plan, array, builder.get()));
  for (int64_t row = 0; row < array->length; ++row) {
    arrow::Status status = cells.Append(row);
    if (!status.ok()) return WithContext("row " + std::to_string(row), status);
  }
  std::shared_ptr<arrow::ArrayData> data;
  ARROW_RETURN_NOT_OK(builder->FinishInternal(&data));
  data->type = flight;  // a builder may have names of its own for entries
  return arrow::MakeArray(data);
}

bool IsOfRow(const arrow::Status& status) {
  switch (CodeOf(status)) {
    case ErrorCode::kBadData:
    case ErrorCode::kSchemaMismatch:
    case ErrorCode::kConstraintViolation:
    case ErrorCode::kTooLarge:
      return true;
    default:
      return false;
  }
}

arrow::Status FindInColumn(const FieldPlan& plan,
                           const std::shared_ptr<arrow::ArrayData>& array,
                           const std::shared_ptr<arrow::DataType>& flight,
                           std::map<int64_t, arrow::Status>* failed) {
  const bool nulls_fail = plan.nulls == internal::NullRule::kFail;
  if (SharesBuffers(plan, *flight) && !(nulls_fail && array->GetNullCount() > 0)) {
    return {};
  }
  std::unique_ptr<arrow::ArrayBuilder> builder;
  ARROW_RETURN_NOT_OK(
      arrow::MakeBuilder(arrow::default_memory_pool(), flight, &builder));
  ARROW_ASSIGN_OR_RAISE(CastCells cells, CastCells::Make(plan, array, builder.get()));
  for (int64_t row = 0; row < array->length; ++row) {
    arrow::Status status = cells.Append(row);
    if (status.ok()) continue;
    if (!IsOfRow(status)) return status;
    failed->emplace(row, std::move(status));
    builder->Reset();  // a half of a nested value may be in it
  }
  return {};
}

arrow::Result<std::unique_ptr<internal::RecordPlan>> PlanOf(
    const arrow::RecordBatch& batch, const TableSchema& table) {
  arrow::util::InitializeUTF8();
  if (arrow::Status valid = batch.Validate(); !valid.ok()) {
    return WithCode(ErrorCode::kBadData, WithContext("batch is not valid", valid));
  }
  // Nulls in lists and as map values are for Flight to keep: no row fails for them.
  EncodeOptions options;
  options.null_elements = NullElements::kDrop;
  return internal::CompilePlan(internal::RowFormat::kFlight, *batch.schema(), nullptr,
                               &table, options);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> Cast(const arrow::RecordBatch& batch,
                                                        const TableSchema& table) {
  ARROW_ASSIGN_OR_RAISE(auto plan, PlanOf(batch, table));
  std::shared_ptr<arrow::Schema> schema = FlightSchemaOf(table);
  arrow::ArrayVector columns;
  for (const auto& field : schema->fields()) {
    auto found = std::find_if(plan->fields.begin(), plan->fields.end(),
                              [&](const FieldPlan& f) { return f.name == field->name(); });
    if (found == plan->fields.end()) {
      ARROW_ASSIGN_OR_RAISE(columns.emplace_back(),
                            arrow::MakeArrayOfNull(field->type(), batch.num_rows()));
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(
        columns.emplace_back(),
        CastColumn(*found, batch.column_data(found->child_index), field->type()));
  }
  return arrow::RecordBatch::Make(schema, batch.num_rows(), std::move(columns));
}

arrow::Result<std::vector<FailedRow>> Find(const arrow::RecordBatch& batch,
                                           const TableSchema& table) {
  ARROW_ASSIGN_OR_RAISE(auto plan, PlanOf(batch, table));
  const std::shared_ptr<arrow::Schema> schema = FlightSchemaOf(table);
  std::map<int64_t, arrow::Status> failed;
  for (const FieldPlan& field : plan->fields) {
    const auto flight = schema->GetFieldByName(field.name);
    ARROWPORT_CHECK(flight != nullptr);
    ARROW_RETURN_NOT_OK(FindInColumn(field, batch.column_data(field.child_index),
                                     flight->type(), &failed));
  }
  std::vector<FailedRow> rows;
  for (auto& [row, status] : failed) rows.push_back({row, std::move(status)});
  return rows;
}

}  // namespace

arrow::Result<std::vector<FailedRow>> FindUncastableRows(const arrow::RecordBatch& batch,
                                                         const TableSchema& table) {
  try {
    return Find(batch, table);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "no memory to check a batch");
  }
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CastToTable(
    const arrow::RecordBatch& batch, const TableSchema& table) {
  try {
    return Cast(batch, table);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "no memory to cast a batch");
  }
}

}  // namespace arrowport::zerobus::encode
