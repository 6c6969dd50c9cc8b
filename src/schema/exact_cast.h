// Casts that keep every value: a value that the target type does not hold exactly is an
// error, and a change of kind (text into numbers, naive into zoned time, numbers into
// booleans) is not offered at all.
#pragma once

#include <arrow/array.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace arrowport::schema {

/// Whether values of `from` can be values of `to` at all. Pure.
bool CanCast(const arrow::DataType& from, const arrow::DataType& to);

/// True when arrays of `from` become arrays of `to` without looking at a value.
bool IsIdentityCast(const arrow::DataType& from, const arrow::DataType& to);

/// Same length, same nulls, every value equal. REQUIRES: CanCast, a ValidateFull-clean
/// array. Errors: kSchemaMismatch without position when a value does not fit.
arrow::Result<std::shared_ptr<arrow::Array>> ExactCast(
    const std::shared_ptr<arrow::Array>& array,
    const std::shared_ptr<arrow::DataType>& to);

/// The first row whose value does not survive ExactCast, if any.
std::optional<int64_t> FirstRowThatDoesNotFit(const std::shared_ptr<arrow::Array>& array,
                                              const std::shared_ptr<arrow::DataType>& to);

/// The value at `row` for an error message: short, without control bytes.
std::string ShownValue(const arrow::Array& array, int64_t row);

}  // namespace arrowport::schema
