// The fields of a request's JSON object, each asked for by name and kind.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::maintain {

/// Immutable.
class RequestFields {
 public:
  /// `body` empty stands for {}. Errors: kInvalidArgument (not a JSON object, nested
  /// deeper than a request ever is), kTooLarge.
  static arrow::Result<RequestFields> Parse(std::string_view body);

  /// Errors: kInvalidArgument naming a key that is not in `known` (nor `table`).
  arrow::Status CheckKnown(std::initializer_list<std::string_view> known) const;

  /// Each nothing when the field is absent or null. Errors: kInvalidArgument naming the
  /// field and what it takes.
  arrow::Result<std::optional<int64_t>> Integer(const char* name, int64_t minimum,
                                                int64_t maximum) const;
  arrow::Result<std::optional<double>> Number(const char* name, double minimum,
                                              double maximum) const;
  arrow::Result<std::optional<bool>> Flag(const char* name) const;
  arrow::Result<std::optional<std::string>> Text(const char* name) const;
  arrow::Result<std::vector<std::string>> TextList(const char* name) const;
  /// An object of settings, their values as texts (lists comma-separated).
  arrow::Result<std::map<std::string, std::string>> Settings(const char* name) const;

 private:
  explicit RequestFields(nlohmann::json object) : object_(std::move(object)) {}
  const nlohmann::json* Find(const char* name) const;

  nlohmann::json object_;
};

}  // namespace arrowport::maintain
