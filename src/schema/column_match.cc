#include "schema/column_match.h"

#include <unordered_map>

#include "base/error.h"

namespace arrowport::schema {

std::string FoldCase(std::string_view name) {
  std::string folded(name);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

namespace internal {
namespace {

constexpr int kNone = -1;
constexpr int kSeveral = -2;

}  // namespace

arrow::Result<ColumnMatch> MatchColumns(const std::vector<std::string_view>& incoming,
                                        const std::vector<std::string_view>& table) {
  std::unordered_map<std::string_view, int> exact;
  std::unordered_map<std::string, int> folded;
  for (int i = 0; i < static_cast<int>(table.size()); ++i) {
    exact.emplace(table[i], i);
    auto [at, is_new] = folded.emplace(FoldCase(table[i]), i);
    if (!is_new) at->second = kSeveral;
  }
  ColumnMatch match;
  std::vector<int> claimed_by(table.size(), kNone);
  for (int i = 0; i < static_cast<int>(incoming.size()); ++i) {
    int target = kNone;
    if (auto at = exact.find(incoming[i]); at != exact.end()) {
      target = at->second;
    } else if (auto like = folded.find(FoldCase(incoming[i])); like != folded.end()) {
      target = like->second;
    }
    if (target == kSeveral) {
      return Error(
          ErrorCode::kSchemaMismatch,
          "column name fits several columns of the table but for case: ", incoming[i]);
    }
    match.target.push_back(target);
    if (target == kNone) {
      match.unmatched.push_back(i);
      continue;
    }
    if (claimed_by[target] != kNone) {
      return Error(ErrorCode::kSchemaMismatch, "two columns go into one, ", table[target],
                   ": ", incoming[claimed_by[target]], " and ", incoming[i]);
    }
    claimed_by[target] = i;
  }
  return match;
}

arrow::Result<ColumnMatch> MatchColumns(const arrow::FieldVector& incoming,
                                        const arrow::FieldVector& table) {
  std::vector<std::string_view> from, to;
  for (const auto& field : incoming) from.push_back(field->name());
  for (const auto& field : table) to.push_back(field->name());
  return MatchColumns(from, to);
}

}  // namespace internal
}  // namespace arrowport::schema
