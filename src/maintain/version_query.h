// The statement that reads an earlier state of a Delta table.
#pragma once

#include <arrow/result.h>

#include <string>
#include <string_view>

namespace arrowport::maintain {

/// SELECT of the rows of `table` (a routed name) at a version, as text: "5". Errors:
/// kInvalidArgument, kInvalidName.
arrow::Result<std::string> VersionQuery(std::string_view table, std::string_view version);

/// At a point in time: ISO 8601 ("2024-05-01T12:00:00Z"; without zone UTC), a date, or
/// milliseconds since 1970. Errors: as VersionQuery.
arrow::Result<std::string> TimestampQuery(std::string_view table, std::string_view time);

}  // namespace arrowport::maintain
