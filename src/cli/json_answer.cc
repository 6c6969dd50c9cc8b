#include "cli/json_answer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/error.h"

namespace arrowport::cli {
namespace {

std::optional<std::string> CellOf(const Json& value) {
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return Grouped(value.get<int64_t>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

arrow::Result<Json> ParseAnswer(const std::string& body) {
  Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_discarded())
    return Error(ErrorCode::kInternal, "the server's answer is not JSON");
  return answer;
}

void PrintJson(const Json& answer) {
  std::printf("%s\n",
              answer.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

Table TableOf(const Json& rows) {
  Table table;
  for (const Json& row : rows) {
    if (!row.is_object()) continue;
    for (const auto& [key, value] : row.items()) {
      if (std::find(table.header.begin(), table.header.end(), key) != table.header.end())
        continue;
      table.header.push_back(key);
      table.right_aligned.push_back(value.is_number());
    }
  }
  for (const Json& row : rows) {
    std::vector<std::optional<std::string>> cells;
    for (const std::string& key : table.header) {
      const auto found = row.find(key);
      cells.push_back(found == row.end() ? std::nullopt : CellOf(*found));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

const Json* ListIn(const Json& answer) {
  if (answer.is_array()) return &answer;
  for (const auto& item : answer.items())
    if (item.value().is_array()) return &item.value();
  return nullptr;
}

}  // namespace arrowport::cli
