// Small HTTP requests answered by functions: the token endpoint, the table API, the
// control interface.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "emulator/timers.h"
#include "wire/net/call.h"

namespace arrowport::emulator {

struct HttpRequest {
  const wire::net::RequestHead& head;
  std::string body;
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  wire::net::Headers headers;
  std::chrono::milliseconds delay{0};
  bool hang = false;  ///< no answer, ever
};

/// {"error_code", "message"}, the form of Unity Catalog's errors.
HttpReply HttpError(int status, std::string_view error_code, std::string_view message);
/// The same for a failure of ours. REQUIRES: !status.ok().
HttpReply HttpErrorOf(const arrow::Status& status);

using HttpFunction = std::function<HttpReply(const HttpRequest&)>;

/// Collects the body and answers once. `function` runs on a worker and must not block;
/// `timers` outlives the handler.
std::unique_ptr<wire::net::CallHandler> MakeHttpHandler(
    std::shared_ptr<wire::net::Call> call, Timers* timers, HttpFunction function);

/// Undoes percent-encoding, and '+' when `plus_is_space`. Null when malformed.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);
/// application/x-www-form-urlencoded, or a query. Null when malformed or a name is given
/// twice.
std::optional<std::map<std::string, std::string>> ParseForm(std::string_view text);

}  // namespace arrowport::emulator
