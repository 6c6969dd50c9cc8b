// The workspace's HTTP interfaces: tokens (OAuth client credentials, token exchange) and
// the columns of a table.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <memory>
#include <string>

#include "arrowport/zerobus/options.h"
#include "zerobus/encode/table_schema.h"
#include "zerobus/http_fetch.h"
#include "zerobus/token_cache.h"

namespace arrowport::zerobus {

/// Who asks for tokens, and where.
struct OAuthIdentity {
  std::string catalog_url;  ///< scheme://host[:port], no slash behind
  std::string client_id;
  std::string client_secret;
  std::optional<Federation> federation;
};

enum class TokenUse {
  kStream,    ///< write one table through the service
  kTableApi,  ///< read a table's columns
};

/// The cache's key: identity, a digest of the secret, table and use.
std::string TokenKey(const OAuthIdentity& identity, const std::string& table,
                     TokenUse use);

/// The form of the token request; for tests. REQUIRES: table has three parts.
std::string TokenForm(const OAuthIdentity& identity, const std::string& workspace_id,
                      const std::string& table, TokenUse use,
                      const SubjectToken* subject = nullptr);

/// Errors: Connection (no answer, 5xx, 429 with its Retry-After), Authentication (other
/// refusals, answers that cannot be read), TokenRefresh (no subject token). No text holds
/// a secret or a token.
arrow::Result<MintedToken> MintToken(HttpFetcher* http, const OAuthIdentity& identity,
                                     const std::string& workspace_id,
                                     const std::string& table, TokenUse use,
                                     std::chrono::milliseconds timeout);

/// Errors: Connection, Authentication, Schema (a type that records cannot hold),
/// Configuration (no such table).
arrow::Result<encode::TableSchema> FetchTable(HttpFetcher* http,
                                              const std::string& catalog_url,
                                              const std::string& table,
                                              const std::string& token,
                                              std::chrono::milliseconds timeout);

/// `name` as its dotted parts, each non-empty.
std::vector<std::string> TableParts(const std::string& name);

}  // namespace arrowport::zerobus
