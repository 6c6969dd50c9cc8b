#include "emulator/oauth.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "emulator/json_fields.h"
#include "emulator/tables.h"
#include "wire/net/grpc_text.h"

namespace arrowport::emulator {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr size_t kTokensMax = 100000;
constexpr std::string_view kClientGrant = "client_credentials";
constexpr std::string_view kExchangeGrant =
    "urn:ietf:params:oauth:grant-type:token-exchange";
constexpr std::string_view kJwtType = "urn:ietf:params:oauth:token-type:jwt";
constexpr std::string_view kResourceHead = "api://databricks/workspaces/";
constexpr std::string_view kResourceTail = "/zerobusDirectWriteApi";

HttpReply OauthError(int status, std::string_view error, std::string_view description) {
  HttpReply reply;
  reply.status = status;
  reply.body = json{{"error", error}, {"error_description", description}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
  if (status == 401) reply.headers.emplace_back("www-authenticate", "Basic");
  return reply;
}

arrow::Status Expect(const std::map<std::string, std::string>& form,
                     const std::string& name, std::string_view wanted) {
  const auto it = form.find(name);
  if (it == form.end()) {
    return Error(ErrorCode::kInvalidArgument, "missing form field: ", name);
  }
  if (it->second != wanted) {
    return Error(ErrorCode::kInvalidArgument, "bad form field: ", name, " must be ", wanted);
  }
  return {};
}

/// What one of the three objects must say.
struct WantedDetail {
  std::string_view object_type;
  std::set<std::string> privileges;
  std::set<std::string> operations;
};

std::set<std::string> TextSet(const json& object, const char* name) {
  std::set<std::string> texts;
  const auto it = object.find(name);
  if (it == object.end() || !it->is_array()) return texts;
  for (const auto& item : *it) texts.insert(item.is_string() ? item.get<std::string>() : "");
  return texts;
}

std::string TextOf(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

/// The object_full_path of the one detail of this type.
arrow::Result<std::string> PathOfDetail(const json& details, const WantedDetail& wanted) {
  const json* found = nullptr;
  for (const auto& detail : details) {
    if (!detail.is_object() || TextOf(detail, "object_type") != wanted.object_type) continue;
    if (found) {
      return Error(ErrorCode::kInvalidArgument, "authorization_details has two objects for ",
                   wanted.object_type);
    }
    found = &detail;
  }
  if (!found) {
    return Error(ErrorCode::kInvalidArgument, "authorization_details has no object for ",
                 wanted.object_type);
  }
  if (TextOf(*found, "type") != "unity_catalog_privileges") {
    return Error(ErrorCode::kInvalidArgument, "authorization_details: the type for ",
                 wanted.object_type, " must be unity_catalog_privileges");
  }
  if (TextSet(*found, "privileges") != wanted.privileges) {
    return Error(ErrorCode::kInvalidArgument, "authorization_details: wrong privileges for ",
                 wanted.object_type);
  }
  if (TextSet(*found, "operations") != wanted.operations) {
    return Error(ErrorCode::kInvalidArgument, "authorization_details: wrong operations for ",
                 wanted.object_type);
  }
  return TextOf(*found, "object_full_path");
}

arrow::Status CheckResource(const std::string& resource, const std::string& workspace) {
  std::string_view id = resource;
  if (!id.starts_with(kResourceHead) || !id.ends_with(kResourceTail) ||
      id.size() <= kResourceHead.size() + kResourceTail.size()) {
    return Error(ErrorCode::kInvalidArgument, "bad form field: resource must be ",
                 kResourceHead, "WORKSPACE", kResourceTail);
  }
  id.remove_prefix(kResourceHead.size());
  id.remove_suffix(kResourceTail.size());
  if (!workspace.empty() && id != workspace) {
    return Error(ErrorCode::kInvalidArgument, "bad form field: resource names workspace ", id,
                 ", not ", workspace);
  }
  return {};
}

/// The table the token is for; empty for one that asks for nothing but the scope.
arrow::Result<std::string> TableOfRequest(const std::map<std::string, std::string>& form,
                                          const std::string& workspace) {
  ARROW_RETURN_NOT_OK(Expect(form, "scope", "all-apis"));
  const auto resource = form.find("resource");
  const auto details = form.find("authorization_details");
  if (resource == form.end() && details == form.end()) return std::string();
  if (resource == form.end()) {
    return Error(ErrorCode::kInvalidArgument, "missing form field: resource");
  }
  if (details == form.end()) {
    return Error(ErrorCode::kInvalidArgument, "missing form field: authorization_details");
  }
  ARROW_RETURN_NOT_OK(CheckResource(resource->second, workspace));
  return TableOfDetails(details->second);
}

}  // namespace

arrow::Result<std::string> TableOfDetails(std::string_view authorization_details) {
  const json details = json::parse(authorization_details, nullptr, false);
  if (!details.is_array() || details.size() != 3) {
    return Error(ErrorCode::kInvalidArgument,
                 "authorization_details must be a JSON list of three objects");
  }
  ARROW_ASSIGN_OR_RAISE(const std::string catalog,
                        PathOfDetail(details, {"CATALOG", {"USE CATALOG"}, {}}));
  ARROW_ASSIGN_OR_RAISE(const std::string schema,
                        PathOfDetail(details, {"SCHEMA", {"USE SCHEMA"}, {}}));
  ARROW_ASSIGN_OR_RAISE(
      std::string table,
      PathOfDetail(details, {"TABLE", {"SELECT", "MODIFY"}, {"zerobuswrite"}}));
  ARROW_ASSIGN_OR_RAISE(const auto parts, TableNameParts(table));
  if (catalog != parts[0] || schema != parts[0] + "." + parts[1]) {
    return Error(ErrorCode::kInvalidArgument,
                 "authorization_details name a catalog or schema other than the table's");
  }
  return table;
}

arrow::Status TokenIssuer::CheckClient(const HttpRequest& request,
                                       const Form& form) const {
  const std::string* authorization = request.head.Header("authorization");
  const auto grant = form.find("grant_type");
  if (grant != form.end() && grant->second == kExchangeGrant) {
    if (authorization) {
      return Error(ErrorCode::kInvalidArgument, "a token exchange carries no Basic header");
    }
    ARROW_RETURN_NOT_OK(Expect(form, "subject_token_type", kJwtType));
    const auto subject = form.find("subject_token");
    if (subject != form.end() && !subject->second.empty()) return {};
    return Error(ErrorCode::kInvalidArgument, "missing form field: subject_token");
  }
  ARROW_RETURN_NOT_OK(Expect(form, "grant_type", kClientGrant));
  constexpr std::string_view kBasic = "Basic ";
  if (!authorization || !authorization->starts_with(kBasic)) {
    return Error(ErrorCode::kUnauthenticated, "client id and secret come by HTTP Basic");
  }
  const auto pair =
      wire::net::DecodeBase64(std::string_view(*authorization).substr(kBasic.size()));
  if (!pair || *pair != options_.client_id + ":" + options_.client_secret) {
    return Error(ErrorCode::kUnauthenticated, "unknown client id or wrong secret");
  }
  return {};
}

std::string TokenIssuer::NewToken(std::string table, int64_t life_seconds) {
  const auto now = steady_clock::now();
  std::string token = "zbe-" + NewRandomId();
  MutexLock lock(mutex_);
  if (tokens_.size() >= kTokensMax) {
    std::erase_if(tokens_, [now](const auto& entry) { return entry.second.expires < now; });
  }
  tokens_[token] = {std::move(table), now + std::chrono::seconds(life_seconds)};
  return token;
}

HttpReply TokenIssuer::Issue(const HttpRequest& request, const OauthRules& rules) {
  const std::string* type = request.head.Header("content-type");
  if (!type || !type->starts_with("application/x-www-form-urlencoded")) {
    return OauthError(400, "invalid_request",
                      "the body must be application/x-www-form-urlencoded");
  }
  const auto form = ParseForm(request.body);
  if (!form) return OauthError(400, "invalid_request", "the form is malformed");
  if (const arrow::Status status = CheckClient(request, *form); !status.ok()) {
    const bool unknown = CodeOf(status) == ErrorCode::kUnauthenticated;
    return OauthError(unknown ? 401 : 400, unknown ? "invalid_client" : "invalid_request",
                      status.message());
  }
  const auto table = TableOfRequest(*form, options_.workspace_id);
  if (!table.ok()) {
    return OauthError(400, "invalid_request", table.status().message());
  }
  counters_->Of(*table).Add(Counter::kMints);
  json reply = {{"access_token", NewToken(*table, rules.token_life_seconds)},
                {"token_type", "Bearer"},
                {"scope", "all-apis"}};
  switch (rules.expires_in) {
    case OauthRules::ExpiresIn::kNumber:
      reply["expires_in"] = rules.token_life_seconds;
      break;
    case OauthRules::ExpiresIn::kText:
      reply["expires_in"] = std::to_string(rules.token_life_seconds);
      break;
    case OauthRules::ExpiresIn::kZero:
      reply["expires_in"] = 0;
      break;
    case OauthRules::ExpiresIn::kMissing:
      break;
  }
  HttpReply answer;
  answer.body = reply.dump();
  return answer;
}

HttpReply TokenIssuer::Answer(const HttpRequest& request) {
  counters_->all().Add(Counter::kTokenRequests);
  const Scenario::TokenPlan plan = scenario_->OnTokenRequest();
  if (!plan.fault) return Issue(request, plan.rules);
  const OauthFault& fault = *plan.fault;
  HttpReply reply;
  if (fault.http_status != 0) {
    reply = OauthError(fault.http_status, "scripted", "the script asked for this answer");
  } else if (!fault.hang) {
    reply = Issue(request, plan.rules);
  }
  if (fault.body) reply.body = *fault.body;
  if (fault.retry_after_seconds) {
    reply.headers.emplace_back("retry-after", std::to_string(*fault.retry_after_seconds));
  }
  reply.delay = fault.delay;
  reply.hang = fault.hang;
  return reply;
}

TokenVerdict TokenIssuer::Judge(const std::string* authorization) {
  constexpr std::string_view kBearer = "Bearer ";
  if (!authorization || !authorization->starts_with(kBearer)) return TokenVerdict::kUnknown;
  MutexLock lock(mutex_);
  const auto it = tokens_.find(std::string_view(*authorization).substr(kBearer.size()));
  if (it == tokens_.end()) return TokenVerdict::kUnknown;
  if (it->second.revoked) return TokenVerdict::kRevoked;
  if (it->second.expires <= steady_clock::now()) return TokenVerdict::kExpired;
  return TokenVerdict::kGood;
}

TokenVerdict TokenIssuer::JudgeForTable(const std::string* authorization,
                                        const std::string& table) {
  const TokenVerdict verdict = Judge(authorization);
  if (verdict != TokenVerdict::kGood) return verdict;
  MutexLock lock(mutex_);
  const auto it = tokens_.find(std::string_view(*authorization).substr(7));
  if (it == tokens_.end()) return TokenVerdict::kUnknown;
  return it->second.table == table ? TokenVerdict::kGood : TokenVerdict::kOtherTable;
}

int TokenIssuer::Revoke(const std::string& table) {
  MutexLock lock(mutex_);
  int changed = 0;
  for (auto& [token, facts] : tokens_) {
    if (facts.revoked || (!table.empty() && facts.table != table)) continue;
    facts.revoked = true;
    ++changed;
  }
  return changed;
}

int TokenIssuer::Expire(const std::string& table) {
  const auto now = steady_clock::now();
  MutexLock lock(mutex_);
  int changed = 0;
  for (auto& [token, facts] : tokens_) {
    if (facts.expires <= now || (!table.empty() && facts.table != table)) continue;
    facts.expires = now;
    ++changed;
  }
  return changed;
}

}  // namespace arrowport::emulator
