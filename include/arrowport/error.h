// What a failed call says beyond its text. Every function of this library returns
// arrow::Status or arrow::Result; nothing throws. Never branch on a message: ask here.
#pragma once

#include <arrow/status.h>

#include <string_view>

namespace arrowport {

/// The stable code of a failure, "SCHEMA_MISMATCH", as in the server's replies.
/// REQUIRES: !status.ok().
std::string_view ErrorName(const arrow::Status& status);

/// Whether the same call may succeed later. REQUIRES: !status.ok().
bool IsRetriable(const arrow::Status& status);

}  // namespace arrowport
