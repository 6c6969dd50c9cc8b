// Strict reading of small JSON documents: every field is asked for by name, and what
// nobody asked for is an error that names it.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace arrowport::emulator {

/// Parses a document. Errors: kBadConfig naming `what`.
arrow::Result<nlohmann::json> ParseJson(std::string_view text, std::string_view what);

/// The fields of one object. The first error is kept and reported by Finish; readers then
/// return nothing, so callers need not check each. Not thread-safe.
class JsonFields {
 public:
  /// `path` is how errors name the object ("faults[2].action"). `object` outlives this.
  JsonFields(const nlohmann::json& object, std::string path);

  std::optional<int64_t> Integer(const std::string& name, int64_t least, int64_t most);
  std::optional<double> Number(const std::string& name, double least, double most);
  std::optional<bool> Boolean(const std::string& name);
  std::optional<std::string> Text(const std::string& name);
  std::optional<std::chrono::milliseconds> Milliseconds(const std::string& name);
  /// A number n (n to n) or a list [first, last].
  std::optional<std::pair<int64_t, int64_t>> Range(const std::string& name,
                                                   int64_t least);
  /// Any value; null when absent.
  const nlohmann::json* Value(const std::string& name);
  bool Has(const std::string& name) const { return object_.contains(name); }

  void Fail(const std::string& name, std::string_view expected);
  void Keep(const arrow::Status& status) {
    if (status_.ok()) status_ = status;
  }
  std::string PathOf(const std::string& name) const {
    return path_.empty() ? name : path_ + "." + name;
  }
  /// The first error, or that of an unknown field. Errors: kBadConfig.
  arrow::Status Finish();

 private:
  const nlohmann::json& object_;
  const std::string path_;
  std::set<std::string> known_;
  arrow::Status status_;
};

}  // namespace arrowport::emulator
