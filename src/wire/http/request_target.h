// The parts of a request that say what it is about: path, query parameters, media types.
// Sources: RFC 3986 (percent encoding), RFC 9110 section 12.5.1 (Accept).
#pragma once

#include <arrow/result.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::wire::http {

/// What '+' stands for: itself in a path, a space in a query part.
enum class Plus { kPlus, kSpace };

/// Errors: kInvalidArgument for a '%' without two hexadecimal digits behind it.
arrow::Result<std::string> PercentDecode(std::string_view text, Plus plus);

/// Decoded names and values. Errors: kInvalidArgument (encoding, a name given twice).
using QueryParameters = std::map<std::string, std::string>;
arrow::Result<QueryParameters> ParseQueryPart(std::string_view query);

/// The pieces of "/a/b" between slashes, still encoded: {"a", "b"}.
std::vector<std::string_view> SplitPath(std::string_view path);

/// "Text/CSV; charset=x" -> "text/csv".
std::string MediaTypeOf(std::string_view header);

/// How a query result is written.
enum class ResultFormat { kArrow, kParquet, kCsv, kJson, kNdjson };

std::string_view MediaTypeOf(ResultFormat format);

/// "arrow", "parquet", "csv", "json", "ndjson". Errors: kInvalidArgument.
arrow::Result<ResultFormat> ParseResultFormat(std::string_view name);

/// The best format for an Accept header (null: none sent, Arrow); at equal weight the
/// first named wins, and a wildcard that covers it means Arrow.
/// Errors: kUnsupportedMediaType when nothing offered is accepted.
arrow::Result<ResultFormat> NegotiateFormat(const std::string* accept);

}  // namespace arrowport::wire::http
