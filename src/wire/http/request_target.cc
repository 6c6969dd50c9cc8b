#include "wire/http/request_target.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

/// Cuts the piece up to `separator` off the front of `text`.
std::string_view NextPiece(std::string_view* text, char separator) {
  const size_t end = text->find(separator);
  std::string_view piece = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return piece;
}

struct Offer {
  std::string_view media_type;
  ResultFormat format;
};

constexpr std::array kOffers = {
    Offer{"application/vnd.apache.arrow.stream", ResultFormat::kArrow},
    Offer{"application/vnd.apache.parquet", ResultFormat::kParquet},
    Offer{"text/csv", ResultFormat::kCsv},
    Offer{"application/json", ResultFormat::kJson},
    Offer{"application/x-ndjson", ResultFormat::kNdjson},
    Offer{"application/ndjson", ResultFormat::kNdjson},
    Offer{"application/jsonl", ResultFormat::kNdjson},
    Offer{"application/octet-stream", ResultFormat::kArrow},
    Offer{"*/*", ResultFormat::kArrow},
    Offer{"application/*", ResultFormat::kArrow},
    Offer{"text/*", ResultFormat::kCsv},
};

/// The `q` of a media range in thousandths; a malformed one counts as 0.
int WeightOf(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view parameter = Trim(NextPiece(&parameters, ';'));
    if (parameter.size() < 2 || (parameter[0] != 'q' && parameter[0] != 'Q') ||
        parameter[1] != '=') {
      continue;
    }
    const std::string number(parameter.substr(2));
    char* end = nullptr;
    const double weight = std::strtod(number.c_str(), &end);
    if (end == number.c_str() || !(weight >= 0 && weight <= 1)) return 0;
    return static_cast<int>(weight * 1000);
  }
  return 1000;
}

}  // namespace

arrow::Result<std::string> PercentDecode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return Error(ErrorCode::kInvalidArgument, "bad percent encoding at byte: ", i);
      }
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else if (text[i] == '+' && plus == Plus::kSpace) {
      out.push_back(' ');
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

arrow::Result<QueryParameters> ParseQueryPart(std::string_view query) {
  QueryParameters parameters;
  while (!query.empty()) {
    std::string_view value = NextPiece(&query, '&');
    if (value.empty()) continue;
    const bool has_value = value.find('=') != std::string_view::npos;
    std::string_view name = NextPiece(&value, '=');
    ARROW_ASSIGN_OR_RAISE(std::string decoded, PercentDecode(name, Plus::kSpace));
    ARROW_ASSIGN_OR_RAISE(std::string text,
                          PercentDecode(has_value ? value : "", Plus::kSpace));
    auto [at, added] = parameters.emplace(std::move(decoded), std::move(text));
    if (!added) {
      return Error(ErrorCode::kInvalidArgument,
                   "query parameter given twice: ", at->first);
    }
  }
  return parameters;
}

std::vector<std::string_view> SplitPath(std::string_view path) {
  std::vector<std::string_view> pieces;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const size_t end = path.find('/');
    pieces.push_back(path.substr(0, end));
    if (end == std::string_view::npos) return pieces;
    path.remove_prefix(end + 1);
  }
}

std::string MediaTypeOf(std::string_view header) {
  std::string type(Trim(header.substr(0, header.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

std::string_view MediaTypeOf(ResultFormat format) {
  switch (format) {
    case ResultFormat::kArrow:
      return "application/vnd.apache.arrow.stream";
    case ResultFormat::kParquet:
      return "application/vnd.apache.parquet";
    case ResultFormat::kCsv:
      return "text/csv; charset=utf-8; header=present";
    case ResultFormat::kJson:
      return "application/json";
    case ResultFormat::kNdjson:
      return "application/x-ndjson";
  }
  return "application/octet-stream";
}

arrow::Result<ResultFormat> ParseResultFormat(std::string_view name) {
  if (name == "arrow") return ResultFormat::kArrow;
  if (name == "parquet") return ResultFormat::kParquet;
  if (name == "csv") return ResultFormat::kCsv;
  if (name == "json") return ResultFormat::kJson;
  if (name == "ndjson") return ResultFormat::kNdjson;
  return Error(ErrorCode::kInvalidArgument,
               "format must be arrow, parquet, csv, json or ndjson, not: ", name);
}

arrow::Result<ResultFormat> NegotiateFormat(const std::string* accept) {
  if (accept == nullptr || Trim(*accept).empty()) return ResultFormat::kArrow;
  int best_weight = 0;
  bool best_is_wildcard = false;
  ResultFormat best = ResultFormat::kArrow;
  std::string_view rest = *accept;
  while (!rest.empty()) {
    std::string_view range = NextPiece(&rest, ',');
    const std::string type = MediaTypeOf(range);
    const size_t parameters = range.find(';');
    const int weight = parameters == std::string_view::npos
                           ? 1000
                           : WeightOf(range.substr(parameters + 1));
    const bool wildcard = type.ends_with("/*");
    const bool better =
        weight > best_weight || (weight == best_weight && best_is_wildcard && !wildcard);
    auto offer = std::find_if(kOffers.begin(), kOffers.end(),
                              [&](const Offer& o) { return o.media_type == type; });
    if (offer == kOffers.end() || weight == 0 || !better) continue;
    best = offer->format;
    best_weight = weight;
    best_is_wildcard = wildcard;
  }
  if (best_weight == 0) {
    return Error(ErrorCode::kUnsupportedMediaType,
                 "no offered result format is accepted (offered: "
                 "application/vnd.apache.arrow.stream, application/vnd.apache.parquet, "
                 "text/csv, application/json, application/x-ndjson), accepted: ",
                 accept->substr(0, 200));
  }
  return best;
}

}  // namespace arrowport::wire::http
