// Writers of protobuf fields, a block of cells at a time: Size() adds the encoded size of
// every cell to its message instance and finds what cannot be encoded, Write() puts the
// bytes at the instances' cursors. One object per column and call; caller-locked.
// Wire format: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <arrow/array/data.h>
#include <arrow/result.h>

#include <memory>
#include <utility>

#include "zerobus/encode/cell_source.h"
#include "zerobus/encode/plan.h"
#include "zerobus/encode/selection.h"

namespace arrowport::zerobus::encode::internal {

/// Values without nulls, behind a CellSource.
class ValueCells {
 public:
  virtual ~ValueCells() = default;
  /// `cells` must stay until Write.
  virtual void Size(const Selection& cells, Frame* frame) = 0;
  /// The cells of the last Size, none of which failed.
  virtual void Write(Frame* frame) = 0;
};

/// One field with everything below it.
class FieldCells {
 public:
  /// REQUIRES: array->type is plan.arrow_type, structurally valid. Keeps both alive by
  /// reference: `plan` must outlive the result.
  static arrow::Result<FieldCells> Make(const FieldPlan& plan,
                                        std::shared_ptr<arrow::ArrayData> array);

  void Size(const Selection& cells, Frame* frame) {
    values_->Size(source_.Resolve(cells, *frame), frame);
  }
  void Write(Frame* frame) { values_->Write(frame); }

  CellSource& source() { return source_; }

 private:
  FieldCells(CellSource source, std::unique_ptr<ValueCells> values)
      : source_(std::move(source)), values_(std::move(values)) {}

  CellSource source_;
  std::unique_ptr<ValueCells> values_;
};

/// Scalars and text; null for structs, lists and maps.
std::unique_ptr<ValueCells> MakeScalarCells(const FieldPlan& plan,
                                            const arrow::ArrayData& values);

/// Structs, lists and maps.
arrow::Result<std::unique_ptr<ValueCells>> MakeNestedCells(const FieldPlan& plan,
                                                           const arrow::ArrayData& values);

}  // namespace arrowport::zerobus::encode::internal
