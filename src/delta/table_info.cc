#include "delta/table_info.h"

#include <charconv>
#include <nlohmann/json.hpp>

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
  const auto json = nlohmann::json::parse(stats.begin(), stats.end(), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find("numRecords");
  if (found == json.end() || !found->is_number_integer()) return std::nullopt;
  count = found->get<int64_t>();
  return count < 0 ? std::nullopt : std::optional(count);
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
