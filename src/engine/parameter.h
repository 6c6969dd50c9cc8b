// Statement parameters: Arrow scalars to DuckDB values, type for type.
#pragma once

#include <arrow/result.h>
#include <arrow/scalar.h>

#include <duckdb/common/types/value.hpp>

namespace arrowport::engine {

/// A null scalar becomes a typed NULL. Errors: kUnsupportedType naming the Arrow type,
/// kInvalidArgument for a value outside what DuckDB holds.
arrow::Result<duckdb::Value> ToDuckValue(const arrow::Scalar& scalar);

}  // namespace arrowport::engine
