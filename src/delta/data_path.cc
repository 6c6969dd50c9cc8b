// Paths of data files: DecodePath and EncodePath of actions.h.
#include <string>
#include <utility>

#include "base/error.h"
#include "delta/actions.h"

namespace arrowport::delta {
namespace {

constexpr size_t kPathBytesMax = 4000;
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// The length of a URI's scheme with its colon; 0 when `path` has none. A partition
/// folder such as "time=10:30" has a '=' before its colon and is no scheme.
size_t SchemeLength(std::string_view path) {
  if (path.empty() || !IsAlpha(path[0])) return 0;
  for (size_t i = 1; i < path.size(); ++i) {
    const char c = path[i];
    if (c == ':') return i + 1;
    if (!IsAlpha(c) && !IsDigit(c) && c != '+' && c != '-' && c != '.') return 0;
  }
  return 0;
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

arrow::Status BadPath(std::string_view what, std::string_view path) {
  return Error(ErrorCode::kStorageCorrupt, "malformed path in the log: ", what, ": ",
               path.substr(0, 200));
}

arrow::Result<std::string> Unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
    if (high < 0 || low < 0) return BadPath("a % without two hexadecimal digits", text);
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  if (out.find('\0') != std::string::npos) return BadPath("a NUL byte", text);
  return out;
}

/// "..", "." and empty parts would name a file in more than one way, or leave the root.
arrow::Status CheckParts(std::string_view path, std::string_view in_log) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == ".." || part == "." || part.empty()) {
      return BadPath("an empty part, \".\" or \"..\"", in_log);
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace

arrow::Result<DataPath> DecodePath(std::string_view path_in_log) {
  if (path_in_log.empty() || path_in_log.size() > kPathBytesMax) {
    return BadPath("empty or too long", path_in_log);
  }
  std::string_view rest = path_in_log;
  const size_t scheme = SchemeLength(rest);
  if (scheme > 0 && rest.substr(0, scheme) != "file:") {
    return DataPath{std::string(path_in_log), true};
  }
  rest.remove_prefix(scheme);
  if (rest.starts_with("///")) rest.remove_prefix(2);
  ARROW_ASSIGN_OR_RAISE(std::string decoded, Unescape(rest));
  const bool absolute = scheme > 0 || decoded.starts_with('/');
  if (absolute && !decoded.starts_with('/')) {
    return BadPath("a file: location that is not absolute", path_in_log);
  }
  ARROW_RETURN_NOT_OK(
      CheckParts(std::string_view(decoded).substr(absolute ? 1 : 0), path_in_log));
  return DataPath{std::move(decoded), absolute};
}

std::string EncodePath(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (const char c : path) {
    if (IsAlpha(c) || IsDigit(c) || std::string_view("-._~/=").find(c) != std::string::npos) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHexDigits[byte >> 4]);
      out.push_back(kHexDigits[byte & 15]);
    }
  }
  return out;
}

}  // namespace arrowport::delta
