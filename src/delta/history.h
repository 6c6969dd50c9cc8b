// What was done to a table, commit by commit.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "delta/snapshot.h"

namespace arrowport::delta {

struct HistoryLine {
  int64_t version = 0;
  int64_t timestamp_ms = 0;
  std::string operation;        ///< "" when the writer did not say
  std::string parameters_json;  ///< an object, "{}" when the writer did not say
  std::string metrics_json;     ///< an object
};

/// Newest first, at most `limit`; only versions whose commit file is kept. Errors:
/// kTableNotFound, kStorageCorrupt.
arrow::Result<std::vector<HistoryLine>> ReadHistory(const LogReader& log, int64_t limit);

}  // namespace arrowport::delta
