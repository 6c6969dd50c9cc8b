#include "delta/json_scalars.h"

#include <nlohmann/json.hpp>

#include "delta/code_point.h"

namespace arrowport::delta {
namespace {

constexpr int kDepthMax = 100;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Reads strictly from front to back; every function is false at the first fault.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  bool Ended() {
    SkipSpace();
    return at_ == end_;
  }

  char Peek() {
    SkipSpace();
    return at_ == end_ ? '\0' : *at_;
  }

  bool Take(char wanted) {
    if (Peek() != wanted) return false;
    ++at_;
    return true;
  }

  /// `text`: with the quotes around it.
  bool String(std::string_view* text, bool* has_escapes) {
    if (Peek() != '"') return false;
    const char* begin = at_++;
    *has_escapes = false;
    for (; at_ != end_; ++at_) {
      if (*at_ == '"') {
        ++at_;
        *text = std::string_view(begin, static_cast<size_t>(at_ - begin));
        return true;
      }
      if (static_cast<unsigned char>(*at_) < 0x20) return false;
      if (*at_ == '\\') {
        *has_escapes = true;
        if (!Escape()) return false;
      }
    }
    return false;
  }

  bool Number(std::string_view* digits) {
    const char* begin = at_;
    if (at_ != end_ && *at_ == '-') ++at_;
    const bool leads_with_zero = at_ != end_ && *at_ == '0';
    if (leads_with_zero) {
      ++at_;
    } else if (!Digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!Digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!Digits()) return false;
    }
    *digits = std::string_view(begin, static_cast<size_t>(at_ - begin));
    return true;
  }

  /// Any value but those; `depth` is that of what surrounds it.
  bool Skip(int depth) {
    std::string_view unused;
    bool has_escapes = false;
    switch (Peek()) {
      case '"':
        return String(&unused, &has_escapes);
      case '{':
      case '[':
        return depth < kDepthMax && SkipNested(depth + 1);
      case 't':
        return Literal("true");
      case 'f':
        return Literal("false");
      case 'n':
        return Literal("null");
      default:
        return Number(&unused);
    }
  }

 private:
  void SkipSpace() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) {
      ++at_;
    }
  }

  bool Digits() {
    const char* begin = at_;
    while (at_ != end_ && IsDigit(*at_)) ++at_;
    return at_ != begin;
  }

  bool Literal(std::string_view text) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(text)) {
      return false;
    }
    at_ += text.size();
    return true;
  }

  /// Leaves the cursor on the escape's last character.
  bool Escape() {
    if (++at_ == end_) return false;
    if (*at_ != 'u') return std::string_view("\"\\/bfnrt").find(*at_) != std::string_view::npos;
    for (int i = 0; i < 4; ++i) {
      if (++at_ == end_) return false;
      const char c = *at_;
      if (!IsDigit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) return false;
    }
    return true;
  }

  bool SkipNested(int depth) {
    const bool is_object = *at_++ == '{';
    const char close = is_object ? '}' : ']';
    if (Take(close)) return true;
    do {
      std::string_view key;
      bool has_escapes = false;
      if (is_object && !(String(&key, &has_escapes) && Take(':'))) return false;
      if (!Skip(depth)) return false;
    } while (Take(','));
    return Take(close);
  }

  const char* at_;
  const char* const end_;
};

/// Nothing for a half of a surrogate pair alone.
std::optional<std::string> Decoded(std::string_view quoted, bool has_escapes) {
  if (!has_escapes) return std::string(quoted.substr(1, quoted.size() - 2));
  const auto json = nlohmann::json::parse(quoted.begin(), quoted.end(), nullptr,
                                          /*allow_exceptions=*/false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

class Picker {
 public:
  Picker(std::string_view json, std::span<JsonPick> picks) : cursor_(json), picks_(picks) {}

  bool Run() { return Object({}, 1) && cursor_.Ended(); }

 private:
  /// Members of the top object, or of the one under `section`.
  bool Object(std::string_view section, int depth) {
    if (!cursor_.Take('{')) return false;
    if (cursor_.Take('}')) return true;
    do {
      std::string_view quoted;
      bool has_escapes = false;
      if (!cursor_.String(&quoted, &has_escapes) || !cursor_.Take(':')) return false;
      std::string decoded;
      std::string_view name = quoted.substr(1, quoted.size() - 2);
      if (has_escapes) {
        auto text = Decoded(quoted, true);
        if (!text) return false;
        decoded = *std::move(text);
        name = decoded;
      }
      const bool known = depth == 1 ? Member(name, {}, depth) : Member(section, name, depth);
      if (!known) return false;
    } while (cursor_.Take(','));
    return cursor_.Take('}');
  }

  bool Member(std::string_view section, std::string_view name, int depth) {
    const char first = cursor_.Peek();
    if (depth == 1 && ForgetBelow(section) && first == '{') return Object(section, depth + 1);
    JsonPick* pick = Find(section, name, depth);
    if (pick == nullptr) return cursor_.Skip(depth);
    pick->found.reset();
    if (first == '"') {
      std::string_view quoted;
      bool has_escapes = false;
      if (!cursor_.String(&quoted, &has_escapes)) return false;
      auto text = Decoded(quoted, has_escapes);
      if (!text) return false;
      pick->found = JsonScalar{*std::move(text), true};
      return true;
    }
    if (first != '-' && !IsDigit(first)) return cursor_.Skip(depth);
    std::string_view digits;
    if (!cursor_.Number(&digits)) return false;
    pick->found = JsonScalar{std::string(digits), false};
    return true;
  }

  /// Whether something below `section` is wanted; what an earlier section of that name
  /// said is dropped.
  bool ForgetBelow(std::string_view section) const {
    bool wanted = false;
    for (JsonPick& pick : picks_) {
      if (pick.name.empty() || pick.section != section) continue;
      pick.found.reset();
      wanted = true;
    }
    return wanted;
  }

  JsonPick* Find(std::string_view section, std::string_view name, int depth) const {
    for (JsonPick& pick : picks_) {
      const bool here = pick.name.empty() == (depth == 1);
      if (here && pick.section == section && pick.name == name) return &pick;
    }
    return nullptr;
  }

  Cursor cursor_;
  const std::span<JsonPick> picks_;
};

}  // namespace

bool PickScalars(std::string_view json, std::span<JsonPick> picks) {
  return IsUtf8(json) && Picker(json, picks).Run();
}

}  // namespace arrowport::delta
