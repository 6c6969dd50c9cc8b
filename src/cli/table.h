// Tables for people: fitted to the terminal, plain tab-separated lines when piped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace arrowport::cli {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::optional<std::string>>> rows;  ///< nullopt: NULL
  std::vector<bool> right_aligned;                            ///< per column; may be short
};

/// Columns that a terminal shows for UTF-8 text; control characters count as one.
int DisplayWidth(std::string_view text);
/// `text` cut to `width` columns with "…" when it does not fit; control characters and
/// bytes that are not UTF-8 become "·".
std::string Fit(std::string_view text, int width);

/// Box-drawn lines no wider than `width`: wide columns give way first, and the columns in
/// the middle are left out ("…") when even narrow ones do not fit.
std::string RenderTable(const Table& table, int width);

/// RenderTable on a terminal, tab-separated otherwise.
void PrintTable(const Table& table, const Context& context);

/// 1234567 -> "1,234,567".
std::string Grouped(int64_t number);

}  // namespace arrowport::cli
