#include "arrowport/zerobus/options.h"

#include <algorithm>
#include <sstream>

#include "zerobus/failure.h"
#include "zerobus/oauth.h"
#include "zerobus/rpc/target.h"
#include "zerobus/secrets.h"

namespace arrowport::zerobus {
namespace {

constexpr int64_t kRequestBytesMin = 1024;
constexpr int64_t kRequestBytesMax = int64_t{1} << 30;

arrow::Status Refuse(std::string message) {
  return MakeFailure(ErrorKind::kConfiguration, std::move(message));
}

bool IsNamePart(const std::string& part) {
  return part.size() <= 255 && std::all_of(part.begin(), part.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '_';
         });
}

arrow::Status CheckTable(const std::string& table, bool writer_disabled) {
  const auto parts = TableParts(table);
  const bool count_fits =
      writer_disabled ? !parts.empty() && parts.size() <= 3 : parts.size() == 3;
  if (!count_fits || !std::all_of(parts.begin(), parts.end(), IsNamePart)) {
    return Refuse(
        "table must be catalog.schema.table, of ASCII letters, digits and underscores: " +
        table);
  }
  return {};
}

arrow::Status CheckStream(const StreamOptions& stream) {
  if (stream.max_inflight_requests < 1 || stream.max_inflight_batches < 1 ||
      stream.max_inflight_bytes < 1) {
    return Refuse("max_inflight_requests, _batches and _bytes must be at least 1");
  }
  if (stream.max_request_bytes < kRequestBytesMin ||
      stream.max_request_bytes > kRequestBytesMax) {
    return Refuse("max_request_bytes must be between 1024 and 2^30");
  }
  if (stream.recovery_retries < 0 || stream.bisect_rejections_max < 0) {
    return Refuse("recovery_retries and bisect_rejections_max must not be negative");
  }
  if (stream.recovery_timeout.count() <= 0 || stream.connection_timeout.count() <= 0 ||
      stream.flush_timeout.count() <= 0) {
    return Refuse("recovery, connection and flush time-outs must be above 0");
  }
  if (stream.recovery_backoff_base.count() < 0 ||
      stream.recovery_backoff_max < stream.recovery_backoff_base ||
      stream.server_lack_of_ack_timeout.count() < 0 ||
      stream.token_refresh_buffer.count() < 0 ||
      stream.stream_paused_max_wait.value_or(std::chrono::milliseconds(0)).count() < 0 ||
      stream.callback_max_wait.value_or(std::chrono::milliseconds(0)).count() < 0) {
    return Refuse(
        "times must not be negative, and recovery_backoff_max not below its base");
  }
  return {};
}

arrow::Status CheckRetry(const RetryOptions& retry) {
  if (retry.attempts_max < 1) return Refuse("retry attempts must be at least 1");
  if (retry.delay_base.count() < 0 || retry.delay_max < retry.delay_base) {
    return Refuse("the longest retry delay must not be below the base");
  }
  return {};
}

arrow::Status CheckBreaker(const CircuitBreakerOptions& breaker) {
  if (!breaker.enabled) return {};
  if (breaker.failed_rows_ratio_max < 0 || breaker.failed_rows_ratio_max > 1 ||
      breaker.window.count() <= 0 || breaker.rows_min < 1 ||
      breaker.pause_min.count() < 0 || breaker.pause_max < breaker.pause_min ||
      breaker.blocked_pause_min.count() < 0 ||
      breaker.blocked_pause_max < breaker.blocked_pause_min) {
    return Refuse(
        "the circuit breaker's ratio must be within 0 and 1, its window above 0, "
        "its pauses in order");
  }
  return {};
}

}  // namespace

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kProto:
      return "proto";
    case Mode::kJson:
      return "json";
    case Mode::kFlight:
      return "flight";
  }
  return "?";
}

ProxyOptions ProxyOptions::From(const std::function<const char*(const char*)>& lookup) {
  auto read = [&lookup](std::string name) -> std::string {
    const char* value = lookup(name.c_str());
    if (value != nullptr && *value != '\0') return value;
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    value = lookup(name.c_str());
    return value == nullptr ? "" : value;
  };
  ProxyOptions options;
  options.grpc_proxy = read("grpc_proxy");
  options.https_proxy = read("https_proxy");
  options.http_proxy = read("http_proxy");
  options.no_grpc_proxy = read("no_grpc_proxy");
  options.no_proxy = read("no_proxy");
  return options;
}

arrow::Status Options::Validate() const {
  ARROW_RETURN_NOT_OK(CheckTable(table, writer_disabled));
  ARROW_RETURN_NOT_OK(CheckStream(stream));
  ARROW_RETURN_NOT_OK(CheckRetry(retry));
  ARROW_RETURN_NOT_OK(CheckBreaker(circuit_breaker));
  if (writer_disabled) return {};
  ARROW_RETURN_NOT_OK(
      AsFailure(ErrorKind::kConfiguration, rpc::ParseEndpoint(endpoint).status()));
  const bool credentials = !client_id.empty() && !client_secret.empty();
  if (federation && !federation->subject_token) {
    return Refuse("federation needs a source of subject tokens");
  }
  if (!credentials && !federation && !header_provider) {
    return Refuse(client_id.empty() && client_secret.empty()
                      ? "client_id and client_secret are missing"
                      : "client_id and client_secret must be given together");
  }
  if (unity_catalog_url.empty()) {
    if (credentials || federation) {
      return Refuse(
          "unity_catalog_url is missing: tokens and the table's columns come "
          "from there");
    }
    return {};
  }
  return AsFailure(ErrorKind::kConfiguration,
                   rpc::ParseEndpoint(unity_catalog_url).status());
}

std::string Options::ToString() const {
  std::ostringstream text;
  text << "Options{endpoint=" << WithoutCredentials(endpoint) << ", table=" << table
       << ", unity_catalog_url=" << WithoutCredentials(unity_catalog_url) << ", client_id=" << client_id
       << ", client_secret=" << (client_secret.empty() ? "none" : "***")
       << ", mode=" << ModeName(mode)
       << ", writer_disabled=" << (writer_disabled ? "true" : "false") << "}";
  return text.str();
}

}  // namespace arrowport::zerobus
