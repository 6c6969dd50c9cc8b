// Number casts that Arrow's own kernels round or refuse by type: between integers and
// floating point, double to float, floating point to and from decimals.
#pragma once

#include <arrow/array.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>

namespace arrowport::schema::internal {

/// Both integers or floating point (float, double). Errors: kSchemaMismatch.
arrow::Result<std::shared_ptr<arrow::Array>> CastNumber(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to);

/// double -> decimal128. A double is m * 2^e; it fits when m * 2^e * 10^scale is an
/// integer of at most `precision` digits. Errors: kSchemaMismatch.
arrow::Result<std::shared_ptr<arrow::Array>> DoubleToDecimal(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to);

/// decimal128 -> double; u / 10^s fits when 5^s divides u and the rest has at most 53
/// significant bits. Errors: kSchemaMismatch.
arrow::Result<std::shared_ptr<arrow::Array>> DecimalToDouble(const arrow::Array& array);

}  // namespace arrowport::schema::internal
