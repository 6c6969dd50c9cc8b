#include "zerobus/oauth.h"

#include <openssl/evp.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kLifetimeSecondsMax = 30 * 24 * 3600;
constexpr size_t kTableBytesMax = 32 << 20;

std::string Digest(const std::string& secret) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(secret.data(), secret.size(), digest, &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest), size};
}

nlohmann::json Privileges(const std::string& type, const std::string& path,
                          std::vector<std::string> privileges) {
  return {{"type", "unity_catalog_privileges"},
          {"object_type", type},
          {"object_full_path", path},
          {"privileges", std::move(privileges)}};
}

std::string AuthorizationDetails(const std::string& table) {
  const auto parts = TableParts(table);
  nlohmann::json on_table = Privileges("TABLE", table, {"SELECT", "MODIFY"});
  on_table["operations"] = {"zerobuswrite"};
  const nlohmann::json details = {
      Privileges("CATALOG", parts[0], {"USE CATALOG"}),
      Privileges("SCHEMA", parts[0] + "." + parts[1], {"USE SCHEMA"}), on_table};
  return details.dump();
}

// An integer, or an integer in quotes. None: absent; an error: neither.
arrow::Result<std::optional<int64_t>> ReadSeconds(const nlohmann::json& reply) {
  auto it = reply.find("expires_in");
  if (it == reply.end() || it->is_null()) return std::nullopt;
  int64_t seconds = -1;
  if (it->is_number_integer()) {
    seconds = it->get<int64_t>();
  } else if (it->is_string()) {
    const std::string& text = it->get_ref<const std::string&>();
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) seconds = -1;
  }
  if (seconds < 0) {
    return MakeFailure(ErrorKind::kAuthentication,
                       "the token endpoint's expires_in is no number of seconds");
  }
  return std::min(seconds, kLifetimeSecondsMax);
}

arrow::Status RefusalOf(std::string_view what, const HttpReply& reply) {
  const std::string text =
      std::string(what) + " answered HTTP " + std::to_string(reply.status);
  ErrorFacts facts;
  if (reply.status >= 500 || reply.status == 429) {
    facts.kind = ErrorKind::kConnection;
    return MakeFailure(std::move(facts), text, reply.retry_after_seconds);
  }
  facts.kind = ErrorKind::kAuthentication;
  return MakeFailure(std::move(facts), text +
                                           ": check the client id, its secret and its "
                                           "rights");
}

}  // namespace

std::vector<std::string> TableParts(const std::string& name) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    const size_t dot = name.find('.', begin);
    parts.push_back(name.substr(begin, dot == name.npos ? dot : dot - begin));
    if (parts.back().empty()) return {};
    if (dot == name.npos) return parts;
    begin = dot + 1;
  }
}

std::string TokenKey(const OAuthIdentity& identity, const std::string& table,
                     TokenUse use) {
  std::string key;
  const bool federated = identity.federation.has_value();
  for (const std::string& part :
       {std::string(federated ? "federation" : "client"), identity.catalog_url,
        federated ? identity.federation->identity + "\n" + identity.federation->client_id
                  : identity.client_id,
        federated ? std::string() : Digest(identity.client_secret),
        use == TokenUse::kStream ? table : std::string()}) {
    key += std::to_string(part.size()) + ":" + part;  // lengths: no two lists are one key
  }
  return key;
}

std::string TokenForm(const OAuthIdentity& identity, const std::string& workspace_id,
                      const std::string& table, TokenUse use,
                      const SubjectToken* subject) {
  std::string form;
  auto add = [&form](std::string_view name, std::string_view value) {
    if (!form.empty()) form += '&';
    form.append(name).append("=").append(EncodePercent(value));
  };
  if (subject != nullptr) {
    add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    add("subject_token", subject->value);
    add("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
    if (!identity.federation->client_id.empty()) {
      add("client_id", identity.federation->client_id);
    }
  } else {
    add("grant_type", "client_credentials");
  }
  add("scope", "all-apis");
  if (use == TokenUse::kStream) {
    add("resource",
        "api://databricks/workspaces/" + workspace_id + "/zerobusDirectWriteApi");
    add("authorization_details", AuthorizationDetails(table));
  }
  return form;
}

arrow::Result<MintedToken> MintToken(HttpFetcher* http, const OAuthIdentity& identity,
                                     const std::string& workspace_id,
                                     const std::string& table, TokenUse use,
                                     milliseconds timeout) {
  std::optional<SubjectToken> subject;
  if (identity.federation) {
    auto given = identity.federation->subject_token();
    if (!given.ok()) {
      return MakeFailure(ErrorKind::kTokenRefresh,
                         "no subject token: " + given.status().message());
    }
    subject = *std::move(given);
  }
  HttpRequest request;
  request.url = identity.catalog_url + "/oidc/v1/token";
  request.headers = {"Content-Type: application/x-www-form-urlencoded",
                     "Accept: application/json"};
  request.body =
      TokenForm(identity, workspace_id, table, use, subject ? &*subject : nullptr);
  request.timeout = timeout;
  if (!identity.federation) {
    request.user = identity.client_id;
    request.password = identity.client_secret;
  }
  ARROW_ASSIGN_OR_RAISE(HttpReply reply, http->Fetch(request));
  if (reply.status != 200) return RefusalOf("the token endpoint", reply);
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  if (!json.is_object() || !json.contains("access_token") ||
      !json["access_token"].is_string() ||
      json["access_token"].get_ref<const std::string&>().empty()) {
    return MakeFailure(ErrorKind::kAuthentication,
                       "the token endpoint's answer holds no access_token");
  }
  MintedToken token;
  token.value = json["access_token"].get<std::string>();
  ARROW_ASSIGN_OR_RAISE(const auto seconds, ReadSeconds(json));
  if (seconds) token.lifetime = std::chrono::seconds(*seconds);
  if (subject && subject->expires && token.lifetime) {
    const auto left = std::chrono::duration_cast<milliseconds>(
        *subject->expires - std::chrono::system_clock::now());
    // One that has ended already makes a token for this one use.
    token.lifetime = std::max(milliseconds(0), std::min(*token.lifetime, left));
  }
  return token;
}

arrow::Result<encode::TableSchema> FetchTable(HttpFetcher* http,
                                              const std::string& catalog_url,
                                              const std::string& table,
                                              const std::string& token,
                                              milliseconds timeout) {
  HttpRequest request;
  request.url = catalog_url + "/api/2.1/unity-catalog/tables/" + EncodePercent(table);
  request.headers = {"Authorization: Bearer " + token, "Accept: application/json"};
  request.timeout = timeout;
  request.reply_bytes_max = kTableBytesMax;
  ARROW_ASSIGN_OR_RAISE(HttpReply reply, http->Fetch(request));
  if (reply.status == 404) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "no such table in the catalog: " + table);
  }
  if (reply.status != 200) return RefusalOf("the table API", reply);
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  if (!json.is_object() || !json.contains("columns") || !json["columns"].is_array()) {
    return MakeFailure(ErrorKind::kSchema, "the table API's answer holds no columns");
  }
  auto schema = encode::TableSchema::FromUnityCatalogJson(json["columns"].dump());
  if (!schema.ok()) return AsFailure(ErrorKind::kSchema, schema.status());
  return schema;
}

}  // namespace arrowport::zerobus
