// A table in a few numbers, from its log alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "delta/snapshot.h"

namespace arrowport::delta {

struct TableInfo {
  int64_t version = 0;
  int64_t files = 0;
  int64_t size_bytes = 0;
  /// Nothing when a live file has no row count in the log.
  std::optional<int64_t> rows;
};

TableInfo DescribeTable(const Snapshot& snapshot);

/// numRecords of a file's statistics (JSON text), or nothing.
std::optional<int64_t> RecordCount(std::string_view stats);

/// RecordCount less the rows that are deleted.
std::optional<int64_t> LiveRows(const AddFile& file);

}  // namespace arrowport::delta
