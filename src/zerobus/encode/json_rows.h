// JSON rows: one object per row, members by column name.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
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

/// What stands before values, in a form that is fast to copy.
class JsonKey {
 public:
  explicit JsonKey(std::string text) : text_(std::move(text)) {
    std::memcpy(head_, text_.data(), std::min(text_.size(), sizeof head_));
  }
  void AppendTo(JsonText* out) const {
    char* at = out->Reserve(std::max(text_.size(), sizeof head_));
    std::memcpy(at, head_, sizeof head_);
    if (text_.size() > sizeof head_) std::memcpy(at, text_.data(), text_.size());
    out->SetEnd(at + text_.size());
  }

 private:
  char head_[32] = {};
  std::string text_;
};

/// Writer of the cells of one array. Immutable.
class JsonCells {
 public:
  /// REQUIRES as FieldCells::Make.
  static arrow::Result<JsonCells> Make(const FieldPlan& plan,
                                       std::shared_ptr<arrow::ArrayData> array);

  /// Appends `before` and the value; nothing for a null, which fails the row when the plan
  /// says so.
  arrow::Status Append(int64_t element, const JsonKey& before, JsonText* out) const {
    const int64_t value = source_.Find(element);
    if (value < 0) [[unlikely]] return AppendNothing(value);
    before.AppendTo(out);
    return values_->Append(value, out);
  }

 private:
  /// For what CellSource::Find gives instead of an element.
  arrow::Status AppendNothing(int64_t found) const;
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
  struct Member {
    JsonKey key;  ///< `,"name":`
    JsonCells cells;
  };
  std::vector<Member> members_;
};

}  // namespace arrowport::zerobus::encode::internal
