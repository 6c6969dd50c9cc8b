// The token endpoint: checks every field of a request, issues opaque tokens bound to one
// table, and judges them when a call opens.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "emulator/counters.h"
#include "emulator/http_handler.h"
#include "emulator/scenario.h"

namespace arrowport::emulator {

struct OauthOptions {
  std::string client_id;
  std::string client_secret;
  std::string workspace_id;  ///< empty: any
};

enum class TokenVerdict { kGood, kUnknown, kExpired, kRevoked, kOtherTable };

/// Thread-safe. `scenario` and `counters` outlive it.
class TokenIssuer {
 public:
  TokenIssuer(OauthOptions options, Scenario* scenario, Counters* counters)
      : options_(std::move(options)), scenario_(scenario), counters_(counters) {}

  /// POST /oidc/v1/token.
  HttpReply Answer(const HttpRequest& request);

  /// `authorization` is the header's value; null when there is none.
  TokenVerdict JudgeForTable(const std::string* authorization, const std::string& table);
  /// For the table API: any token that is good.
  TokenVerdict Judge(const std::string* authorization);

  /// Of one table, or all for an empty name. Returns how many.
  int Revoke(const std::string& table);
  int Expire(const std::string& table);

 private:
  struct Token {
    std::string table;  ///< empty: for the table API alone
    std::chrono::steady_clock::time_point expires;
    bool revoked = false;
  };
  using Form = std::map<std::string, std::string>;

  HttpReply Issue(const HttpRequest& request, const OauthRules& rules);
  arrow::Status CheckClient(const HttpRequest& request, const Form& form) const;
  std::string NewToken(std::string table, int64_t life_seconds);

  const OauthOptions options_;
  Scenario* const scenario_;
  Counters* const counters_;
  Mutex mutex_;
  std::map<std::string, Token, std::less<>> tokens_ GUARDED_BY(mutex_);
};

/// The table that `authorization_details` asks to write: exactly the three privileges of
/// CATALOG, SCHEMA and TABLE, with the operation zerobuswrite on the last.
/// Errors: kInvalidArgument naming what is missing.
arrow::Result<std::string> TableOfDetails(std::string_view authorization_details);

}  // namespace arrowport::emulator
