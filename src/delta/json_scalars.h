// Scalars near the top of a JSON object, found without building a document: a query that
// prunes reads one column of the statistics of every file of a table. Source: RFC 8259.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace arrowport::delta {

struct JsonScalar {
  std::string text;  ///< a number's digits as they stand, or a string decoded
  bool is_string = false;
};

/// A value wanted: at the top under `section`, or below it under `name`.
struct JsonPick {
  std::string_view section;
  std::string_view name;  ///< empty: at the top
  std::optional<JsonScalar> found;
};

/// Fills in what is a number or a string; of members with the same name the last counts.
/// False when the text is not one JSON object, or nests deeper than 100 levels; then
/// nothing that was found means anything.
bool PickScalars(std::string_view json, std::span<JsonPick> picks);

}  // namespace arrowport::delta
