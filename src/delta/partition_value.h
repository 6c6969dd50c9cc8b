// Partition values: text in the log, typed in the table. Source: Delta protocol,
// "Partition Value Serialization", and the forms writers are known to leave.
#pragma once

#include <arrow/result.h>
#include <arrow/scalar.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "delta/schema.h"

namespace arrowport::delta {

/// The value as a scalar of ToArrowType(type); nothing (or "") is NULL. Timestamps may be
/// ISO 8601 with a zone, or "yyyy-MM-dd HH:mm:ss[.f]", which is taken for UTC. Errors:
/// kStorageCorrupt with the text and the type.
arrow::Result<std::shared_ptr<arrow::Scalar>> ParsePartitionValue(
    const std::optional<std::string>& text, const DataType& type);

/// Days since 1970 of "yyyy-MM-dd" (years may have a sign and more digits).
std::optional<int64_t> ParseDateText(std::string_view text);
/// Microseconds since 1970, UTC unless the text has an offset.
std::optional<int64_t> ParseTimestampText(std::string_view text);

}  // namespace arrowport::delta
