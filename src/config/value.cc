#include "config/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"

namespace arrowport::config {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

/// A number at the front of `text`, which is advanced past it.
std::optional<double> TakeNumber(std::string_view* text) {
  double number = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number,
                                      std::chars_format::fixed);
  if (error != std::errc() || number < 0 || !std::isfinite(number)) return std::nullopt;
  text->remove_prefix(end - text->data());
  *text = Trim(*text);
  return number;
}

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr std::array kByteUnits = {
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"kb", 1000},
    Unit{"mb", 1000 * 1000},
    Unit{"gb", 1000 * 1000 * 1000},
    Unit{"tb", int64_t{1000} * 1000 * 1000 * 1000},
    Unit{"k", int64_t{1} << 10},
    Unit{"m", int64_t{1} << 20},
    Unit{"g", int64_t{1} << 30},
    Unit{"t", int64_t{1} << 40},
    Unit{"kib", int64_t{1} << 10},
    Unit{"mib", int64_t{1} << 20},
    Unit{"gib", int64_t{1} << 30},
    Unit{"tib", int64_t{1} << 40},
};

constexpr std::array kTimeUnits = {
    Unit{"ms", 1},          Unit{"s", 1000},           Unit{"m", 60 * 1000},
    Unit{"h", 3600 * 1000}, Unit{"d", 24 * 3600 * 1000},
};

arrow::Result<int64_t> Scaled(double number, int64_t factor, std::string_view text) {
  const double scaled = number * static_cast<double>(factor);
  if (scaled >= 9.2e18) return Error(ErrorCode::kBadConfig, "is too large: '", text, "'");
  return static_cast<int64_t>(std::llround(scaled));
}

arrow::Result<int64_t> ParseInteger(std::string_view text) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return Error(ErrorCode::kBadConfig, "needs a whole number, not '", text, "'");
  }
  return number;
}

arrow::Result<bool> ParseBoolean(std::string_view text) {
  const std::string lower = Lower(text);
  for (std::string_view yes : {"true", "yes", "on", "1"})
    if (lower == yes) return true;
  for (std::string_view no : {"false", "no", "off", "0"})
    if (lower == no) return false;
  return Error(ErrorCode::kBadConfig, "needs true or false, not '", text, "'");
}

arrow::Result<int64_t> ParseMemory(std::string_view text, int64_t memory_bytes) {
  if (!text.ends_with('%')) return ParseBytes(text);
  std::string_view rest = text;
  const auto percent = TakeNumber(&rest);
  if (!percent || rest != "%" || *percent <= 0 || *percent > 100) {
    return Error(ErrorCode::kBadConfig, "needs a size or 1% to 100%, not '", text, "'");
  }
  return static_cast<int64_t>(static_cast<double>(memory_bytes) * *percent / 100);
}

arrow::Result<int64_t> ParseRate(std::string_view text) {
  if (text.ends_with("/s")) text = Trim(text.substr(0, text.size() - 2));
  return ParseBytes(text);
}

std::vector<std::string> AllowedTexts(const Setting& setting) {
  return {setting.allowed.begin(), setting.allowed.end()};
}

arrow::Status CheckAllowed(const Setting& setting, const std::string& text) {
  if (setting.allowed.empty()) return {};
  std::string choices;
  for (std::string_view allowed : setting.allowed) {
    if (allowed == text) return {};
    choices.append(choices.empty() ? "" : ", ").append(allowed);
  }
  const std::string nearest = Nearest(text, AllowedTexts(setting));
  return Error(ErrorCode::kBadConfig, "must be one of ", choices, ", not '", text, "'",
               nearest.empty() ? "" : "; did you mean '" + nearest + "'?");
}

arrow::Result<int64_t> ParseNumber(const Setting& setting, std::string_view text,
                                   int64_t memory_bytes) {
  switch (setting.type) {
    case Type::kBytes:
      return ParseBytes(text);
    case Type::kMemory:
      return ParseMemory(text, memory_bytes);
    case Type::kRate:
      return ParseRate(text);
    case Type::kDuration:
      return ParseDurationMs(text);
    default:
      return ParseInteger(text);
  }
}

std::string NumberText(Type type, int64_t number) {
  switch (type) {
    case Type::kBytes:
    case Type::kMemory:
      return FormatBytes(number);
    case Type::kRate:
      return FormatBytes(number) + "/s";
    case Type::kDuration:
      return FormatDurationMs(number);
    default:
      return std::to_string(number);
  }
}

arrow::Result<Value> ParseList(const Setting& setting, const RawValue& raw) {
  std::vector<std::string> items = raw.items;
  if (raw.shape == RawValue::Shape::kScalar) {
    // The form of environment and flags: a,b or [a, b].
    std::string_view text = Trim(raw.items[0]);
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    items.clear();
    while (!Trim(text).empty()) {
      const size_t comma = text.find(',');
      items.emplace_back(Trim(text.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      text.remove_prefix(comma + 1);
    }
  }
  for (const std::string& item : items) {
    if (item.empty()) return Error(ErrorCode::kBadConfig, "has an empty item");
    ARROW_RETURN_NOT_OK(CheckAllowed(setting, item));
  }
  return Value(std::move(items));
}

}  // namespace

arrow::Result<int64_t> ParseBytes(std::string_view text) {
  std::string_view rest = Trim(text);
  if (const auto number = TakeNumber(&rest)) {
    const std::string unit = Lower(rest);
    for (const Unit& known : kByteUnits) {
      if (known.name == unit) return Scaled(*number, known.factor, text);
    }
  }
  return Error(ErrorCode::kBadConfig, "needs a size such as 64MiB, not '", text, "'");
}

arrow::Result<int64_t> ParseDurationMs(std::string_view text) {
  std::string_view rest = Trim(text);
  if (rest == "0") return 0;
  int64_t total_ms = 0;
  bool valid = !rest.empty();
  while (valid && !rest.empty()) {
    const auto number = TakeNumber(&rest);
    size_t letters = 0;
    while (letters < rest.size() && std::isalpha(static_cast<unsigned char>(rest[letters])))
      ++letters;
    const std::string unit = Lower(rest.substr(0, letters));
    const auto known = std::find_if(kTimeUnits.begin(), kTimeUnits.end(),
                                    [&](const Unit& u) { return u.name == unit; });
    valid = number.has_value() && known != kTimeUnits.end();
    if (!valid) break;
    ARROW_ASSIGN_OR_RAISE(const int64_t ms, Scaled(*number, known->factor, text));
    if (__builtin_add_overflow(total_ms, ms, &total_ms)) {
      return Error(ErrorCode::kBadConfig, "is too large: '", text, "'");
    }
    rest = Trim(rest.substr(letters));
  }
  if (!valid) {
    return Error(ErrorCode::kBadConfig, "needs a time such as 30s, 5m or 250ms, not '",
                 text, "'");
  }
  return total_ms;
}

std::string FormatBytes(int64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes).append(kUnits[unit]);
}

std::string FormatDurationMs(int64_t ms) {
  for (auto unit = kTimeUnits.rbegin(); unit != kTimeUnits.rend(); ++unit) {
    if (ms != 0 && ms % unit->factor == 0) {
      return std::to_string(ms / unit->factor).append(unit->name);
    }
  }
  return "0";
}

arrow::Result<Value> ParseValue(const Setting& setting, const RawValue& raw,
                                int64_t memory_bytes) {
  if (setting.type == Type::kTextList && raw.shape != RawValue::Shape::kNull) {
    return ParseList(setting, raw);
  }
  if (raw.shape == RawValue::Shape::kList) {
    return Error(ErrorCode::kBadConfig, "needs one value, not a list");
  }
  const std::string text =
      raw.shape == RawValue::Shape::kNull ? "" : std::string(Trim(raw.items[0]));
  if (setting.presence == Presence::kOptional &&
      (text.empty() || Lower(text) == "none" || Lower(text) == "null")) {
    return Value();
  }
  if (text.empty()) return Error(ErrorCode::kBadConfig, "needs a value");
  switch (setting.type) {
    case Type::kText:
    case Type::kPath:
      if (text.find('\0') != std::string::npos) {
        return Error(ErrorCode::kBadConfig, "must not hold a NUL character");
      }
      ARROW_RETURN_NOT_OK(CheckAllowed(setting, text));
      return Value(text);
    case Type::kBoolean: {
      ARROW_ASSIGN_OR_RAISE(const bool flag, ParseBoolean(text));
      return Value(flag);
    }
    default:
      break;
  }
  ARROW_ASSIGN_OR_RAISE(const int64_t number, ParseNumber(setting, text, memory_bytes));
  const int64_t maximum = setting.type == Type::kPort ? 65535 : setting.maximum;
  if (number < setting.minimum) {
    return Error(ErrorCode::kBadConfig, "must be at least ",
                 NumberText(setting.type, setting.minimum), ", not '", text, "'");
  }
  if (number > maximum) {
    return Error(ErrorCode::kBadConfig, "must be at most ",
                 NumberText(setting.type, maximum), ", not '", text, "'");
  }
  return Value(number);
}

Value DefaultValue(const Setting& setting, int64_t memory_bytes) {
  if (setting.default_text.empty()) return Value();
  if (setting.type == Type::kMemory && setting.default_text.ends_with('%')) {
    // Not refused on a small machine: raised to the least that works. Whole mebibytes
    // read better.
    constexpr int64_t kMiB = int64_t{1} << 20;
    const int64_t share = ParseMemory(setting.default_text, memory_bytes).ValueOr(0);
    return std::clamp(share / kMiB * kMiB, std::max(setting.minimum, 16 * kMiB),
                      setting.default_bytes_max);
  }
  auto parsed = ParseValue(
      setting, RawValue{{std::string(setting.default_text)}, RawValue::Shape::kScalar},
      memory_bytes);
  ARROWPORT_CHECK(parsed.ok());
  return std::move(parsed).ValueOrDie();
}

std::string CanonicalText(const Setting& setting, const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return "none";
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<int64_t>(&value)) {
    // Stream settings stay text, as in a request: plain bytes are what their readers
    // parse.
    const bool plain = setting.key.ends_with("delta_options.target_file_size");
    return plain ? std::to_string(*number) : NumberText(setting.type, *number);
  }
  std::string joined;
  for (const std::string& item : std::get<std::vector<std::string>>(value)) {
    joined.append(joined.empty() ? "" : ",").append(item);
  }
  return joined;
}

int EditDistance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<int> before(width), above(width), row(width);
  for (size_t j = 0; j < width; ++j) above[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j < width; ++j) {
      const int replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string Nearest(std::string_view given, const std::vector<std::string>& candidates) {
  const std::string lower = Lower(given).substr(0, 200);
  std::string best;
  int best_distance = std::max<int>(2, static_cast<int>(lower.size()) / 3) + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(lower, Lower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace arrowport::config
