#include "delta/table_info.h"

#include <array>
#include <charconv>

#include "delta/json_scalars.h"

namespace arrowport::delta {

std::optional<int64_t> RecordCount(std::string_view stats) {
  // Every known writer puts the count first.
  constexpr std::string_view kFront = "{\"numRecords\":";
  int64_t count = 0;
  if (stats.starts_with(kFront)) {
    const char* begin = stats.data() + kFront.size();
    const auto [end, error] = std::from_chars(begin, stats.data() + stats.size(), count);
    const bool ended = end != stats.data() + stats.size() && (*end == ',' || *end == '}');
    if (error == std::errc() && ended && count >= 0) return count;
  }
  std::array<JsonPick, 1> records{JsonPick{"numRecords", {}, {}}};
  if (!PickScalars(stats, records) || !records[0].found) return std::nullopt;
  const auto& [text, is_string] = *records[0].found;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && !is_string && count >= 0 ? std::optional(count) : std::nullopt;
}

std::optional<int64_t> LiveRows(const AddFile& file) {
  const auto records = RecordCount(file.stats);
  if (!records || !file.deletion_vector) return records;
  const int64_t live = *records - file.deletion_vector->cardinality;
  return live < 0 ? std::nullopt : std::optional(live);
}

TableInfo DescribeTable(const Snapshot& snapshot) {
  TableInfo info{snapshot.version(), snapshot.file_count(), snapshot.size_bytes(), 0};
  snapshot.VisitFiles([&](int64_t, const AddFile& file) {
    if (!info.rows) return;
    const auto rows = LiveRows(file);
    if (!rows || __builtin_add_overflow(*info.rows, *rows, &*info.rows)) info.rows.reset();
  });
  return info;
}

}  // namespace arrowport::delta
