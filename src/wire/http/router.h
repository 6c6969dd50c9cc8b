// All HTTP routes of the server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingest/session.h"
#include "maintain/service.h"
#include "observe/metrics.h"
#include "query/service.h"
#include "wire/http/batch_source.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// Whom the server talks to while no users are configured.
enum class Access {
  kLoopbackOnly,  ///< others get 403; /health/live stays open
  kEveryone,
};

struct Readiness {
  bool ready = true;
  /// Named facts for operators: {"storage", "ok"}, {"config", "reload failed: ..."}.
  std::vector<std::pair<std::string, std::string>> details;
};

struct HttpOptions {
  std::shared_ptr<ingest::Service> ingest;
  std::shared_ptr<query::Service> query;
  std::shared_ptr<maintain::Service> maintain;  ///< null: its routes are kNotBuilt
  std::shared_ptr<observe::Registry> metrics;   ///< null: /metrics answers 404
  std::string server_version;
  Access access = Access::kLoopbackOnly;
  std::function<Readiness()> readiness;   ///< null: always ready; must not block for long
  std::optional<int64_t> body_bytes_max;  ///< of uploads; none: streamed, any size
  int64_t query_text_bytes_max = 16 << 20;
  DecodeOptions decode;
};

/// Thread-safe.
class HttpRouter : public net::Router {
 public:
  explicit HttpRouter(HttpOptions options);
  ~HttpRouter() override;

  /// Health and metrics are answered under any load.
  net::Admission AdmissionOf(const net::RequestHead& head) override;
  net::Route OnRequest(const net::RequestHead& head,
                       const std::shared_ptr<net::Call>& call) override;

 private:
  const std::shared_ptr<const HttpOptions> options_;
};

}  // namespace arrowport::wire::http
