#include "cli/table.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace arrowport::cli {
namespace {

constexpr int kNarrow = 6;  // a column this wide still says something
constexpr std::string_view kNull = "NULL";

/// Decodes one code point and advances; U+FFFD for bytes that are not UTF-8.
char32_t TakeCodePoint(std::string_view* text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>((*text)[i]); };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  char32_t point = lead < 0x80 ? lead : lead & (0x7F >> length);
  bool valid = lead < 0x80 || (lead >= 0xC2 && lead <= 0xF4 && text->size() >= length);
  for (size_t i = 1; valid && i < length; ++i) {
    valid = (byte(i) & 0xC0) == 0x80;
    point = point << 6 | (byte(i) & 0x3F);
  }
  text->remove_prefix(valid ? length : 1);
  return valid ? point : 0xFFFD;
}

/// Columns of one code point: combining marks none, East Asian wide and emoji two.
int WidthOf(char32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) ||
      (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0x20D0 && c <= 0x20FF)) {
    return 0;
  }
  const bool is_wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                       (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                       (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                       (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) ||
                       (c >= 0x20000 && c <= 0x3FFFD);
  return is_wide ? 2 : 1;
}

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFD; }

std::string_view CellText(const std::optional<std::string>& cell) {
  return cell ? std::string_view(*cell) : kNull;
}

/// Widths that fit; a column left out gets -1.
std::vector<int> FitWidths(std::vector<int> wanted, int width) {
  const auto total = [&] {
    int sum = 1;
    for (int column : wanted) sum += column < 0 ? 0 : column + 3;
    return sum;
  };
  while (total() > width) {
    auto widest = std::max_element(wanted.begin(), wanted.end());
    if (*widest <= kNarrow) break;
    --*widest;
  }
  // Leave out from the middle, keeping room for the column of dots.
  const int middle = static_cast<int>(wanted.size()) / 2;
  std::vector<int> order(wanted.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return std::abs(a - middle) < std::abs(b - middle);
  });
  int dots = 0;
  for (size_t i = 0; i + 2 < order.size() && total() + dots > width; ++i) {
    wanted[order[i]] = -1;
    dots = 4;
  }
  return wanted;
}

class Renderer {
 public:
  Renderer(const Table& table, int width) : table_(table) {
    std::vector<int> wanted;
    for (size_t column = 0; column < table.header.size(); ++column) {
      int widest = std::max(1, DisplayWidth(table.header[column]));
      for (const auto& row : table.rows)
        widest = std::max(widest, DisplayWidth(CellText(row[column])));
      wanted.push_back(widest);
    }
    widths_ = FitWidths(std::move(wanted), width);
  }

  std::string Render() {
    std::string text = Border("┌", "┬", "┐");
    std::vector<std::optional<std::string>> header(table_.header.begin(),
                                                   table_.header.end());
    text += Line(header) + Border("├", "┼", "┤");
    for (const auto& row : table_.rows) text += Line(row);
    return text + Border("└", "┴", "┘");
  }

 private:
  template <typename Shown, typename Hidden>
  void EachColumn(const Shown& shown, const Hidden& hidden) const {
    bool in_gap = false;
    for (size_t column = 0; column < widths_.size(); ++column) {
      if (widths_[column] >= 0) {
        shown(column);
        in_gap = false;
      } else if (!in_gap) {
        hidden();
        in_gap = true;
      }
    }
  }

  std::string Border(const char* left, const char* middle, const char* right) const {
    std::string line;
    const auto add = [&](int width) {
      line += line.empty() ? left : middle;
      for (int i = 0; i < width + 2; ++i) line += "─";
    };
    EachColumn([&](size_t column) { add(widths_[column]); }, [&] { add(1); });
    return line + right + "\n";
  }

  std::string Line(const std::vector<std::optional<std::string>>& cells) const {
    std::string line = "│";
    EachColumn(
        [&](size_t column) {
          const std::string cell = Fit(CellText(cells[column]), widths_[column]);
          const std::string padding(widths_[column] - DisplayWidth(cell), ' ');
          const bool right =
              column < table_.right_aligned.size() && table_.right_aligned[column];
          line += " " + (right ? padding + cell : cell + padding) + " │";
        },
        [&] { line += " … │"; });
    return line + "\n";
  }

  const Table& table_;
  std::vector<int> widths_;
};

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const char32_t point = TakeCodePoint(&text);
    width += IsControl(point) ? 1 : WidthOf(point);
  }
  return width;
}

std::string Fit(std::string_view text, int width) {
  const bool is_cut = DisplayWidth(text) > width;
  const int room = is_cut ? width - 1 : width;
  std::string fitted;
  int used = 0;
  while (!text.empty()) {
    const std::string_view before = text;
    const char32_t point = TakeCodePoint(&text);
    const int columns = IsControl(point) ? 1 : WidthOf(point);
    if (used + columns > room) break;
    used += columns;
    fitted += IsControl(point) ? std::string_view("·")
                               : before.substr(0, before.size() - text.size());
  }
  if (is_cut && width > 0) fitted += "…";
  return fitted;
}

std::string RenderTable(const Table& table, int width) {
  if (table.header.empty()) return "";
  return Renderer(table, width).Render();
}

void PrintTable(const Table& table, const Context& context) {
  if (context.output_is_terminal) {
    std::fputs(RenderTable(table, context.width).c_str(), stdout);
    return;
  }
  const auto print = [](const auto& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::optional<std::string> cell = cells[i];
      line += i ? "\t" : "";
      for (char c : CellText(cell)) line += c == '\t' || c == '\n' || c == '\r' ? ' ' : c;
    }
    std::printf("%s\n", line.c_str());
  };
  print(table.header);
  for (const auto& row : table.rows) print(row);
}

std::string Grouped(int64_t number) {
  std::string text = std::to_string(number);
  const size_t first = text[0] == '-' ? 1 : 0;
  for (size_t i = text.size(); i > first + 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

}  // namespace arrowport::cli
