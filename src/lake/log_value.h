// Values as a Delta log spells them, as values of DuckDB. Source: Delta protocol,
// "Partition Value Serialization" and "Per-file Statistics".
#pragma once

#include <arrow/result.h>

#include <duckdb/common/types/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "delta/schema.h"

namespace arrowport::lake {

/// The value every row of a file has in a partition column; nothing and "" are NULL. A
/// time without zone is UTC. Errors: kStorageCorrupt (text that is no value of the type),
/// kUnsupportedType (nested).
arrow::Result<duckdb::Value> PartitionValue(const std::optional<std::string>& text,
                                            const delta::DataType& type);

enum class Bound { kMin, kMax };

/// A member of minValues or maxValues: `text` is the string's content or the number's
/// digits. What is returned is true of every value of the file other than NULL: times,
/// which logs may cut to milliseconds, are widened. Nothing when the text gives no such
/// bound: unreadable, too precise, of a type without order here, or a maximum of floats,
/// which leaves NaN out while DuckDB sorts it last.
std::optional<duckdb::Value> StatisticBound(std::string_view text, bool is_string,
                                            const delta::DataType& type, Bound bound);

}  // namespace arrowport::lake
