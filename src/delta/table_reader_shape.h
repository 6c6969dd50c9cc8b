// Columns of a data file made into columns of the table: names, missing columns, widened
// types, at every depth.
#pragma once

#include <arrow/array.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>

#include "delta/schema.h"

namespace arrowport::delta {

/// How the columns of a file are told apart.
struct ColumnMatch {
  NameStyle names = NameStyle::kLogical;
  bool by_field_id = false;  ///< where the file has ids
};

/// The index in `fields` (of a file, or of a struct in it) of the table's `field`; -1 when
/// the file lacks it.
int FindInFile(const arrow::FieldVector& fields, const StructField& field,
               const ColumnMatch& match);

/// `array` of a file as ToArrowType(type, kLogical). Errors: kStorageCorrupt when the
/// file's type is not one the table's type was widened from.
arrow::Result<std::shared_ptr<arrow::Array>> ShapeArray(
    const std::shared_ptr<arrow::Array>& array, const DataType& type,
    const ColumnMatch& match);

}  // namespace arrowport::delta
