// JSON rows: one object per row, members by column name.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "zerobus/encode/cell_source.h"
#include "zerobus/encode/json_text.h"
#include "zerobus/encode/plan.h"

namespace arrowport::zerobus::encode::internal {

/// Writer of plain values. Immutable.
class JsonValues {
 public:
  virtual ~JsonValues() = default;
  /// Errors: as RowEncoder::Encode's of a row.
  virtual arrow::Status Append(int64_t element, JsonText* out) const = 0;
};

/// Writer of the cells of one array. Immutable.
class JsonCells {
 public:
  /// REQUIRES as FieldCells::Make.
  static arrow::Result<JsonCells> Make(const FieldPlan& plan,
                                       std::shared_ptr<arrow::ArrayData> array);

  /// Appends `before` and the value; nothing for a null, which fails the row when the plan
  /// says so.
  arrow::Status Append(int64_t element, std::string_view before, JsonText* out) const;

 private:
  JsonCells(const FieldPlan& plan, CellSource source, std::unique_ptr<JsonValues> values)
      : plan_(&plan), source_(std::move(source)), values_(std::move(values)) {}

  const FieldPlan* plan_;
  CellSource source_;
  std::unique_ptr<JsonValues> values_;
};

/// The members of a struct, or the columns of a row. Immutable.
class JsonMembers {
 public:
  static arrow::Result<JsonMembers> Make(
      const std::vector<FieldPlan>& plans,
      const std::vector<std::shared_ptr<arrow::ArrayData>>& arrays);

  /// Appends an object. On an error `out` holds a part of it.
  arrow::Status Append(int64_t element, JsonText* out) const;

 private:
  std::vector<std::string> keys_;  ///< `,"name":`
  std::vector<JsonCells> cells_;
};

}  // namespace arrowport::zerobus::encode::internal
