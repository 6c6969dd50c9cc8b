// The settings of a table (metaData.configuration) that this library acts on, with their
// defaults. Source: Delta protocol and Delta Lake, "Table properties".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "delta/actions.h"

namespace arrowport::delta {

/// Milliseconds of "interval 7 days", "30 days", "interval 1 hour 30 minutes"; months and
/// years have no fixed length and are nothing, as is other text.
std::optional<int64_t> ParseIntervalMs(std::string_view text);

/// A value that cannot be read counts as absent: a setting's fault must not make a table
/// unreadable.
struct TableProperties {
  bool append_only = false;
  bool change_data_feed = false;
  bool in_commit_timestamps = false;
  std::optional<int64_t> in_commit_timestamps_from_version, in_commit_timestamps_from_ms;
  int64_t deleted_file_retention_ms = 7LL * 24 * 3600 * 1000;
  int64_t log_retention_ms = 30LL * 24 * 3600 * 1000;
  bool expired_log_cleanup = true;
  std::optional<int64_t> transaction_retention_ms;
  bool row_tracking = false;
  bool type_widening = false;

  static TableProperties From(const StringMap& configuration);
};

}  // namespace arrowport::delta
