// The columns of a batch put into the order and types of a table.
#include <arrow/array.h>

#include "base/error.h"
#include "delta/data_file_set.h"
#include "schema/exact_cast.h"

namespace arrowport::delta {
namespace {

using ArrayPtr = std::shared_ptr<arrow::Array>;

bool HasRequiredBelow(const DataType& type) {
  for (const StructField& field : type.fields) {
    if (!field.nullable || HasRequiredBelow(*field.type)) return true;
  }
  if (type.kind == TypeKind::kArray) {
    return !type.contains_null || HasRequiredBelow(*type.element);
  }
  if (type.kind == TypeKind::kMap) {
    return !type.contains_null || HasRequiredBelow(*type.element) ||
           HasRequiredBelow(*type.key);
  }
  return false;
}

arrow::Status NullIn(const std::string& path) {
  return Error(ErrorCode::kConstraintViolation,
               "NULL in a column that is not nullable: ", path);
}

/// What hides under null parents is not judged.
arrow::Status CheckRequired(const DataType& type, bool nullable, const ArrayPtr& array,
                            const std::string& path) {
  if (!nullable && array->null_count() > 0) return NullIn(path);
  if (!HasRequiredBelow(type)) return {};
  if (type.kind == TypeKind::kStruct) {
    const auto& rows = static_cast<const arrow::StructArray&>(*array);
    // Only rows whose struct is there count.
    for (size_t i = 0; i < type.fields.size(); ++i) {
      const StructField& field = type.fields[i];
      ArrayPtr child = rows.field(static_cast<int>(i));
      const std::string child_path = path + "." + field.name;
      if (array->null_count() == 0) {
        ARROW_RETURN_NOT_OK(
            CheckRequired(*field.type, field.nullable, child, child_path));
        continue;
      }
      for (int64_t row = 0; row < array->length(); ++row) {
        if (array->IsNull(row)) continue;
        ARROW_RETURN_NOT_OK(CheckRequired(*field.type, field.nullable,
                                          child->Slice(row, 1), child_path));
      }
    }
    return {};
  }
  if (type.kind == TypeKind::kMap) {
    ARROW_ASSIGN_OR_RAISE(ArrayPtr flat,
                          static_cast<const arrow::MapArray&>(*array).Flatten());
    const auto& entries = static_cast<const arrow::StructArray&>(*flat);
    ARROW_RETURN_NOT_OK(
        CheckRequired(*type.key, false, entries.field(0), path + ".key"));
    return CheckRequired(*type.element, type.contains_null, entries.field(1),
                         path + ".value");
  }
  if (type.kind == TypeKind::kArray) {
    ARROW_ASSIGN_OR_RAISE(ArrayPtr flat,
                          static_cast<const arrow::ListArray&>(*array).Flatten());
    return CheckRequired(*type.element, type.contains_null, flat, path + ".element");
  }
  return {};
}

arrow::Result<ArrayPtr> ConvertColumn(const ArrayPtr& column, const StructField& field,
                                      const std::shared_ptr<arrow::DataType>& to) {
  if (column->type()->Equals(*to)) return column;
  if (!schema::CanCast(*column->type(), *to)) {
    return Error(ErrorCode::kSchemaMismatch, "column ", field.name, " is ",
                 field.type->ToString(), " in the table, not ",
                 column->type()->ToString());
  }
  auto cast = schema::ExactCast(column, to);
  if (cast.ok()) return *cast;
  if (CodeOf(cast.status()) != ErrorCode::kSchemaMismatch) return cast.status();
  const auto row = schema::FirstRowThatDoesNotFit(column, to);
  if (!row) return cast.status();
  return Error(ErrorCode::kSchemaMismatch, "a value does not fit column ", field.name,
               " (", field.type->ToString(), ") exactly: row ", *row, ", value ",
               schema::ShownValue(*column, *row));
}

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToTableLayout(
    const std::shared_ptr<arrow::RecordBatch>& batch, const TableSchema& schema,
    const std::shared_ptr<arrow::Schema>& arrow_schema) {
  std::vector<ArrayPtr> columns(schema.fields.size());
  for (int i = 0; i < batch->num_columns(); ++i) {
    const std::string& name = batch->schema()->field(i)->name();
    const StructField* field = FindField(schema, name);
    if (field == nullptr) {
      return Error(ErrorCode::kSchemaMismatch, "the table has no such column: ", name);
    }
    const auto at = static_cast<size_t>(field - schema.fields.data());
    if (columns[at]) {
      return Error(ErrorCode::kSchemaMismatch, "a column comes twice: ", name);
    }
    ARROW_ASSIGN_OR_RAISE(
        columns[at], ConvertColumn(batch->column(i), *field,
                                   arrow_schema->field(static_cast<int>(at))->type()));
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    const StructField& field = schema.fields[i];
    if (!columns[i]) {
      if (!field.nullable) {
        return Error(ErrorCode::kSchemaMismatch,
                     "a column that is not nullable is missing: ", field.name);
      }
      ARROW_ASSIGN_OR_RAISE(
          columns[i], arrow::MakeArrayOfNull(
                          arrow_schema->field(static_cast<int>(i))->type(),
                          batch->num_rows(), EncoderMemoryPool()));
      continue;
    }
    ARROW_RETURN_NOT_OK(
        CheckRequired(*field.type, field.nullable, columns[i], field.name));
  }
  return arrow::RecordBatch::Make(arrow_schema, batch->num_rows(), std::move(columns));
}

}  // namespace arrowport::delta
