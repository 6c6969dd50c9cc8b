#include "schema/cast_plan.h"

#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "schema/column_match.h"
#include "schema/exact_cast.h"
#include "schema/names.h"

namespace arrowport::schema {
namespace {

arrow::Status CheckFields(const arrow::FieldVector& fields, const SchemaLimits& limits) {
  std::unordered_set<std::string> seen;
  for (const auto& field : fields) {
    ARROW_RETURN_NOT_OK(CheckColumnName(field->name(), limits.identifier_bytes_max));
    if (!seen.insert(FoldCase(field->name())).second) {
      return Error(ErrorCode::kInvalidName,
                   "column name appears twice: ", QuoteIdentifier(field->name()));
    }
  }
  return {};
}

arrow::Status CheckNesting(const arrow::DataType& type, int depth,
                           const SchemaLimits& limits) {
  if (depth > limits.nesting_max) {
    return Error(ErrorCode::kTooLarge, "columns are nested deeper than ",
                 limits.nesting_max);
  }
  if (type.id() == arrow::Type::DICTIONARY) {
    const auto& dictionary = static_cast<const arrow::DictionaryType&>(type);
    return CheckNesting(*dictionary.value_type(), depth + 1, limits);
  }
  if (type.id() == arrow::Type::EXTENSION) {
    const auto& extension = static_cast<const arrow::ExtensionType&>(type);
    return CheckNesting(*extension.storage_type(), depth, limits);
  }
  if (type.id() == arrow::Type::STRUCT) {
    ARROW_RETURN_NOT_OK(CheckFields(type.fields(), limits));
  }
  for (const auto& field : type.fields()) {
    ARROW_RETURN_NOT_OK(CheckNesting(*field->type(), depth + 1, limits));
  }
  return {};
}

std::string Text(const SchemaMode mode) {
  return mode == SchemaMode::kStrict ? "strict" : "merge";
}

arrow::Status MissingColumns(const std::vector<TargetColumn>& columns,
                             const std::vector<bool>& filled) {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!filled[i] && !columns[i].nullable && !columns[i].has_default) {
      return Error(ErrorCode::kSchemaMismatch,
                   "column is missing, and it is NOT NULL without a default: ",
                   QuoteIdentifier(columns[i].name));
    }
  }
  return {};
}

/// What went wrong in `array`, for people. Looks again for the first row at fault, which
/// costs as much as casting the batch twice.
arrow::Status Mismatch(const std::shared_ptr<arrow::Array>& array,
                       const TargetColumn& target, int64_t first_row,
                       const arrow::Status& cause) {
  const ErrorCode code = CodeOf(cause);
  if (code != ErrorCode::kSchemaMismatch && code != ErrorCode::kBadData) return cause;
  auto row = FirstRowThatDoesNotFit(array, target.type);
  if (!row) return cause;
  return Error(ErrorCode::kSchemaMismatch,
               "value does not fit its column exactly: column ",
               QuoteIdentifier(target.name), " ", target.type->ToString(), ", row ",
               first_row + *row, ", value ", ShownValue(*array, *row));
}

arrow::Status CheckNotNull(const arrow::Array& array, const TargetColumn& target,
                           int64_t first_row) {
  if (target.nullable || array.null_count() == 0) return {};
  int64_t row = 0;
  while (row + 1 < array.length() && array.IsValid(row)) ++row;
  return Error(ErrorCode::kSchemaMismatch, "NULL in a NOT NULL column: column ",
               QuoteIdentifier(target.name), ", row ", first_row + row, ", value null");
}

}  // namespace

arrow::Status CheckIncomingSchema(const arrow::Schema& incoming,
                                  const SchemaLimits& limits) {
  if (incoming.num_fields() == 0) {
    return Error(ErrorCode::kInvalidArgument, "schema has no columns");
  }
  if (incoming.num_fields() > limits.columns_max) {
    return Error(ErrorCode::kTooLarge, "schema has more than ", limits.columns_max,
                 " columns: ", incoming.num_fields());
  }
  ARROW_RETURN_NOT_OK(CheckFields(incoming.fields(), limits));
  for (const auto& field : incoming.fields()) {
    arrow::Status status = CheckNesting(*field->type(), 1, limits);
    if (!status.ok())
      return WithContext("column " + QuoteIdentifier(field->name()), status);
  }
  return {};
}

arrow::Result<CastPlan> CastPlan::Make(const std::shared_ptr<arrow::Schema>& incoming,
                                       std::vector<TargetColumn> columns,
                                       SchemaMode mode) {
  std::vector<std::string_view> from, to;
  for (const auto& field : incoming->fields()) from.push_back(field->name());
  for (const auto& column : columns) to.push_back(column.name);
  ARROW_ASSIGN_OR_RAISE(auto match, internal::MatchColumns(from, to));
  if (!match.unmatched.empty() && mode == SchemaMode::kStrict) {
    return Error(ErrorCode::kSchemaMismatch, "column is not in the table (schema_mode ",
                 Text(mode), "): ", QuoteIdentifier(from[match.unmatched.front()]));
  }
  CastPlan plan;
  plan.identity_ = true;
  arrow::FieldVector output;
  std::vector<bool> filled(columns.size(), false);
  for (int i = 0; i < incoming->num_fields(); ++i) {
    const auto& field = incoming->field(i);
    if (match.target[i] < 0) {
      plan.columns_to_add_.push_back(field);
      continue;
    }
    const TargetColumn& target = columns[match.target[i]];
    if (!CanCast(*field->type(), *target.type)) {
      return Error(ErrorCode::kSchemaMismatch, "type does not fit its column: column ",
                   QuoteIdentifier(target.name), " is ", target.type->ToString(),
                   ", data is ", field->type()->ToString());
    }
    filled[match.target[i]] = true;
    const bool same = field->type()->Equals(*target.type) &&
                      IsIdentityCast(*field->type(), *target.type);
    plan.casts_.push_back(!same);
    plan.identity_ &= same && target.nullable && field->name() == target.name;
    output.push_back(arrow::field(target.name, target.type, target.nullable));
    plan.targets_.push_back(target);
  }
  ARROW_RETURN_NOT_OK(MissingColumns(columns, filled));
  plan.identity_ &= plan.columns_to_add_.empty();
  plan.output_ = arrow::schema(std::move(output));
  return plan;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CastPlan::Apply(
    const std::shared_ptr<arrow::RecordBatch>& batch, int64_t first_row) const {
  ARROWPORT_CHECK(columns_to_add_.empty());
  if (identity_) return batch;
  std::vector<std::shared_ptr<arrow::Array>> columns(targets_.size());
  for (size_t i = 0; i < targets_.size(); ++i) {
    const TargetColumn& target = targets_[i];
    columns[i] = batch->column(static_cast<int>(i));
    if (casts_[i]) {
      auto cast = ExactCast(columns[i], target.type);
      if (!cast.ok()) return Mismatch(columns[i], target, first_row, cast.status());
      columns[i] = *std::move(cast);
    }
    ARROW_RETURN_NOT_OK(CheckNotNull(*columns[i], target, first_row));
  }
  return arrow::RecordBatch::Make(output_, batch->num_rows(), std::move(columns));
}

}  // namespace arrowport::schema
