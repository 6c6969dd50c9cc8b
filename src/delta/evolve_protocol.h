// Table properties we know, and the protocol a table needs for its schema and properties.
// Source: Delta protocol, "Requirements for Writers" and "Table Features".
#pragma once

#include <arrow/result.h>

#include "delta/actions.h"
#include "delta/schema.h"

namespace arrowport::delta {

/// Errors: kBadConfig naming a delta.* property that is unknown or cannot be honoured by a
/// table we make, or a value of one.
arrow::Status CheckProperties(const StringMap& configuration);

/// `current` with every feature that `schema` and `configuration` use; never lower, and the
/// very same when nothing is missing. What old version numbers imply is carried into the
/// lists as far as the table uses it.
Protocol ProtocolFor(const Protocol& current, const TableSchema& schema,
                     const StringMap& configuration);

/// A boolean property, false when absent.
bool IsPropertyTrue(const StringMap& configuration, std::string_view name);

/// Whole numbers >= 1; `otherwise` when absent or not readable.
int64_t NumberProperty(const StringMap& configuration, std::string_view name,
                       int64_t otherwise);

}  // namespace arrowport::delta
