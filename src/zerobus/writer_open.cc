// Options to a writer: checks, certificates, the plan of its connections.
#include <random>

#include "arrowport/version.h"
#include "zerobus/failure.h"
#include "zerobus/rpc/status.h"
#include "zerobus/writer_impl.h"

namespace arrowport::zerobus {
namespace {

rpc::ProxySettings ProxySettingsOf(const ProxyOptions& proxy) {
  return {proxy.grpc_proxy, proxy.https_proxy, proxy.http_proxy, proxy.no_grpc_proxy,
          proxy.no_proxy};
}

rpc::TlsFiles TlsFilesOf(const TlsOptions& tls) {
  return {tls.ca_file, tls.cert_file, tls.key_file};
}

std::string CatalogUrl(const Options& options) {
  std::string url = options.unity_catalog_url;
  while (!url.empty() && url.back() == '/') url.pop_back();
  if (!url.empty() && url.find("://") == std::string::npos) url.insert(0, "https://");
  return url;
}

std::string UserAgent(const Options& options) {
  std::string agent = std::string("arrowport-zerobus/") + kVersionText;
  if (!options.application_name.empty()) agent += " " + options.application_name;
  return agent;
}

std::string WorkspaceId(const Options& options, const rpc::Endpoint& endpoint) {
  if (!options.workspace_id.empty()) return options.workspace_id;
  return endpoint.host.substr(0, endpoint.host.find('.'));
}

OAuthIdentity IdentityOf(const Options& options) {
  return {CatalogUrl(options), options.client_id, options.client_secret,
          options.federation};
}

arrow::Result<std::shared_ptr<const ConnectPlan>> MakePlan(
    const Options& options, const std::shared_ptr<HttpFetcher>& http) {
  auto plan = std::make_shared<ConnectPlan>();
  plan->table = options.table;
  plan->user_agent = UserAgent(options);
  plan->header_provider = options.header_provider;
  if (!rpc::IsLegalMetadata("user-agent", plan->user_agent)) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "application_name may hold visible ASCII characters only");
  }
  rpc::LinkOptions& link = plan->connection.link;
  ARROW_ASSIGN_OR_RAISE(link.endpoint, rpc::ParseEndpoint(options.endpoint));
  ARROW_ASSIGN_OR_RAISE(
      link.proxy, rpc::ChooseProxy(ProxySettingsOf(options.proxy), link.endpoint.host));
  link.server_name = options.tls.server_name;
  link.user_agent = plan->user_agent;
  if (link.endpoint.tls) {
    ARROW_ASSIGN_OR_RAISE(link.tls, rpc::TlsContext::Make(TlsFilesOf(options.tls)));
  }
  if (!options.stream.connection_per_stream) {
    plan->share_key = link.endpoint.Authority() + (link.endpoint.tls ? " tls " : " ") +
                      options.tls.ca_file + " " + options.tls.cert_file + " " +
                      options.tls.server_name;
  }
  const bool credentials = !options.client_id.empty() || options.federation.has_value();
  if (!credentials) return plan;
  const OAuthIdentity identity = IdentityOf(options);
  const std::string workspace = WorkspaceId(options, link.endpoint);
  TokenCache::Request request;
  request.key = TokenKey(identity, options.table, TokenUse::kStream);
  request.refresh_buffer = options.stream.token_refresh_buffer;
  request.cached = options.stream.token_cache;
  request.mint = [http, identity, workspace, table = options.table,
                  observers = options.observers](std::chrono::milliseconds timeout) {
    const auto began = std::chrono::steady_clock::now();
    auto token =
        MintToken(http.get(), identity, workspace, table, TokenUse::kStream, timeout);
    for (const auto& observer : observers) {
      observer->OnTokenMinted(token.ok(), std::chrono::steady_clock::now() - began);
    }
    return token;
  };
  plan->token = std::move(request);
  return plan;
}

}  // namespace

OAuthIdentity WriterImpl::identity() const { return IdentityOf(options_); }

arrow::Result<std::unique_ptr<ZerobusWriter>> ZerobusWriter::Make(
    const Options& options) {
  ARROW_RETURN_NOT_OK(options.Validate());
  std::shared_ptr<HttpFetcher> http = MakeHttpFetcher(
      TlsFilesOf(options.tls), ProxySettingsOf(options.proxy), UserAgent(options));
  std::shared_ptr<const ConnectPlan> plan = std::make_shared<ConnectPlan>();
  if (!options.writer_disabled) {
    auto made = MakePlan(options, http);
    if (!made.ok()) return AsFailure(ErrorKind::kConfiguration, made.status());
    plan = *std::move(made);
  }
  std::shared_ptr<ClientCore> client =
      std::dynamic_pointer_cast<ClientCore>(options.client);
  if (!client) {
    ARROW_ASSIGN_OR_RAISE(client, ClientCore::Start());
  }
  return std::make_unique<WriterImpl>(options, std::move(client), std::move(plan),
                                      std::move(http));
}

}  // namespace arrowport::zerobus
