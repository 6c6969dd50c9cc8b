#include "delta/history.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace arrowport::delta {
namespace {

std::string ObjectText(const nlohmann::ordered_json& info, const char* name) {
  const auto found = info.find(name);
  if (found == info.end() || !found->is_object()) return "{}";
  return found->dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

arrow::Result<std::vector<HistoryLine>> ReadHistory(const LogReader& log, int64_t limit) {
  ARROW_ASSIGN_OR_RAISE(const auto entries, log.History(limit));
  std::vector<HistoryLine> lines;
  lines.reserve(entries.size());
  for (const LogReader::HistoryEntry& entry : entries) {
    auto info = nlohmann::ordered_json::parse(entry.info.json, nullptr, false);
    if (!info.is_object()) info = nlohmann::ordered_json::object();
    lines.push_back({entry.version, entry.timestamp_ms, entry.info.operation.value_or(""),
                     ObjectText(info, "operationParameters"),
                     ObjectText(info, "operationMetrics")});
  }
  return lines;
}

}  // namespace arrowport::delta
