#include "maintain/version_query.h"

#include <arrow/scalar.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/error.h"
#include "schema/names.h"

namespace arrowport::maintain {
namespace {

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> IsoMicros(std::string_view text) {
  for (const char* zone : {"", "UTC"}) {
    const auto type = arrow::timestamp(arrow::TimeUnit::MICRO, zone);
    const auto scalar = arrow::Scalar::Parse(type, text);
    if (scalar.ok()) {
      return static_cast<const arrow::TimestampScalar&>(**scalar).value;
    }
  }
  return std::nullopt;
}

arrow::Result<std::string> Query(std::string_view table, const std::string& at) {
  ARROW_ASSIGN_OR_RAISE(const auto name, schema::ParseRoutedTable(table));
  return "SELECT * FROM delta." + name.Quoted() + " AT (" + at + ")";
}

}  // namespace

arrow::Result<std::string> VersionQuery(std::string_view table, std::string_view version) {
  const auto number = WholeNumber(version);
  if (!number || *number < 0) {
    return Error(ErrorCode::kInvalidArgument, "a version is a whole number from 0, not: ",
                 version.substr(0, 100));
  }
  return Query(table, "VERSION => " + std::to_string(*number));
}

arrow::Result<std::string> TimestampQuery(std::string_view table, std::string_view time) {
  constexpr int64_t kMillisecondsMax = std::numeric_limits<int64_t>::max() / 1000;
  std::optional<int64_t> micros;
  if (const auto number = WholeNumber(time)) {
    if (*number >= -kMillisecondsMax && *number <= kMillisecondsMax) {
      micros = *number * 1000;
    }
  } else {
    micros = IsoMicros(time);
  }
  if (!micros) {
    return Error(ErrorCode::kInvalidArgument,
                 "timestamp takes ISO 8601 (2024-05-01T12:00:00Z) or milliseconds since "
                 "1970, not: ",
                 time.substr(0, 100));
  }
  return Query(table, "TIMESTAMP => make_timestamptz(" + std::to_string(*micros) + ")");
}

}  // namespace arrowport::maintain
