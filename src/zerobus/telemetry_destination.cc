#include "zerobus/telemetry_destination.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "arrowport/version.h"
#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/rpc/status.h"
#include "zerobus/rpc/target.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeadersMax = 64;
constexpr int kFileSetsMax = 64;
constexpr int64_t kFileBytesMax = int64_t{64} << 20;
constexpr int64_t kRotatedFilesMax = 10;
constexpr std::string_view kExtension = ".jsonl";

arrow::Status Refuse(std::string message) {
  return MakeFailure(ErrorKind::kConfiguration, std::move(message));
}

/// The statuses after which the specification lets a client try again.
bool MayRetry(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

arrow::Result<std::string> BaseUrl(const TelemetryOptions& options) {
  std::string url = options.endpoint;
  const bool plain = url.starts_with("http://");
  if (!plain && !url.starts_with("https://")) {
    return Refuse("the telemetry endpoint must begin with http:// or https://");
  }
  const size_t host = plain ? 7 : 8;
  const size_t path = url.find('/', host);
  const std::string authority = url.substr(host, path - host);
  if (authority.find('@') != std::string::npos) {
    return Refuse(
        "the telemetry endpoint may hold no credentials: give them as a header");
  }
  if (url.find_first_of("?# \t\r\n") != std::string::npos) {
    return Refuse(
        "the telemetry endpoint is a URL without query: /v1/metrics and "
        "/v1/traces are appended");
  }
  ARROW_RETURN_NOT_OK(AsFailure(ErrorKind::kConfiguration,
                                rpc::ParseEndpoint(url.substr(0, path)).status()));
  while (url.ends_with('/')) url.pop_back();
  return url;
}

int64_t RejectedOf(const std::string& body) {
  otlp::ExportServiceResponse response;
  // A collector may answer with nothing, or with JSON.
  if (!response.ParseFromString(body)) return 0;
  return std::max<int64_t>(0, response.partial_success().rejected());
}

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

arrow::Result<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_enums_as_ints = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    return Error(ErrorCode::kInternal, "telemetry cannot be written as JSON");
  }
  return text;
}

}  // namespace

// --- By HTTP ---

arrow::Result<std::unique_ptr<OtlpCollector>> OtlpCollector::Make(
    const TelemetryOptions& options) {
  ARROW_ASSIGN_OR_RAISE(std::string url, BaseUrl(options));
  if (options.headers.size() > kHeadersMax) {
    return Refuse("too many telemetry headers, the most is 64");
  }
  // Without the empty Expect libcurl asks before it sends a large body.
  std::vector<std::string> headers = {"Content-Type: application/x-protobuf", "Expect:"};
  for (const auto& [given, value] : options.headers) {
    std::string name = given;
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (!rpc::IsLegalMetadata(name, value)) {
      return Refuse("a telemetry header has a name or value that HTTP does not allow: " +
                    name.substr(0, 64));
    }
    headers.push_back(name + ": " + value);
  }
  const rpc::TlsFiles tls = {options.tls.ca_file, options.tls.cert_file,
                             options.tls.key_file};
  if (url.starts_with("https://")) {
    // Bad certificate material is told now, not by exports that fail.
    ARROW_RETURN_NOT_OK(
        AsFailure(ErrorKind::kConfiguration, rpc::TlsContext::Make(tls).status()));
  }
  const ProxyOptions& proxy = options.proxy;
  auto http = MakeHttpFetcher(tls,
                              {proxy.grpc_proxy, proxy.https_proxy, proxy.http_proxy,
                               proxy.no_grpc_proxy, proxy.no_proxy},
                              std::string("arrowport-zerobus/") + kVersionText);
  return std::unique_ptr<OtlpCollector>(
      new OtlpCollector(std::move(url), std::move(headers), std::move(http)));
}

ExportAnswer OtlpCollector::Send(Signal signal, const std::string& body,
                                 std::chrono::milliseconds timeout,
                                 const std::atomic<bool>& cancelled) const {
  HttpRequest request;
  request.url = base_url_ + (signal == Signal::kMetrics ? "/v1/metrics" : "/v1/traces");
  request.headers = headers_;
  request.body = body;
  request.timeout = timeout;
  request.cancelled = &cancelled;
  auto reply = http_->Fetch(request);
  if (!reply.ok()) {
    // No answer, a name that is unknown today, a certificate that may be renewed.
    return {.status = reply.status(), .retry = true};
  }
  if (reply->status >= 200 && reply->status < 300) {
    return {.status = {}, .rejected = RejectedOf(reply->body)};
  }
  return {.status = MakeFailure(ErrorKind::kTransmission,
                                "the collector answered " + request.url +
                                    " with status " + std::to_string(reply->status)),
          .retry = MayRetry(reply->status),
          .retry_after_seconds = reply->retry_after_seconds};
}

// --- Into files ---

arrow::Result<std::unique_ptr<OtlpFiles>> OtlpFiles::Make(const std::string& folder) {
  const fs::path otlp = fs::path(folder) / "otlp";
  std::error_code failed;
  fs::create_directories(otlp, failed);
  if (failed) {
    return Refuse("cannot make the telemetry folder " + otlp.string() + ": " +
                  failed.message());
  }
  for (int number = 1; number <= kFileSetsMax; ++number) {
    const std::string suffix = number == 1 ? "" : "_" + std::to_string(number);
    ARROW_ASSIGN_OR_RAISE(auto lock, DebugLock::Take(otlp / (".lock" + suffix)));
    if (!lock) continue;
    const auto lane = [&](const std::string& stem) {
      DebugLaneOptions options;
      options.zerobus_folder = folder;
      options.stem = stem + suffix;
      options.file_bytes_max = kFileBytesMax;
      options.rotated_files_max = kRotatedFilesMax;
      const auto rotated = ListRotated(otlp, options.stem, kExtension);
      options.stamps = std::make_shared<DebugStamps>(
          rotated.empty() ? DebugStamp{} : rotated.back().stamp);
      return options;
    };
    return std::unique_ptr<OtlpFiles>(
        new OtlpFiles(lane("metrics"), lane("traces"), std::move(lock)));
  }
  return Refuse("too many writers keep their telemetry in one folder: " + otlp.string());
}

OtlpFiles::OtlpFiles(const DebugLaneOptions& metrics, const DebugLaneOptions& traces,
                     std::unique_ptr<DebugLock> lock)
    : lock_(std::move(lock)),
      metrics_(metrics, "otlp", kExtension, ""),
      traces_(traces, "otlp", kExtension, "") {}

arrow::Status OtlpFiles::WriteLine(const std::string& line, DebugFile* file) {
  arrow::Status status;
  if (!file->empty() && file->Exceeds(static_cast<int64_t>(line.size()))) {
    status = file->Rotate();
  }
  arrow::Status written = file->Append(line);
  if (written.ok()) written = file->Flush();
  if (!written.ok() && !file->empty()) {
    static_cast<void>(file->Rotate());  // the reason is `written`
  }
  return written.ok() ? status : written;
}

arrow::Status OtlpFiles::Write(const otlp::ExportMetricsServiceRequest& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string line, ToJson(request));
  return WriteLine(line + "\n", &metrics_);
}

arrow::Status OtlpFiles::Write(const otlp::ExportTraceServiceRequest& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string text, ToJson(request));
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    return Error(ErrorCode::kInternal, "telemetry cannot be written as JSON");
  }
  // OTLP writes ids in hexadecimal where protobuf's JSON has base64.
  for (int r = 0; r < request.resource_spans_size(); ++r) {
    const auto& scopes = request.resource_spans(r).scope_spans();
    for (int s = 0; s < scopes.size(); ++s) {
      auto& spans = json["resourceSpans"][static_cast<size_t>(r)]["scopeSpans"]
                        [static_cast<size_t>(s)]["spans"];
      for (int i = 0; i < scopes[s].spans_size(); ++i) {
        auto& span = spans[static_cast<size_t>(i)];
        span["traceId"] = Hex(scopes[s].spans(i).trace_id());
        span["spanId"] = Hex(scopes[s].spans(i).span_id());
      }
    }
  }
  return WriteLine(
      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
      &traces_);
}

arrow::Status OtlpFiles::Close() {
  const arrow::Status metrics = metrics_.Close();
  const arrow::Status traces = traces_.Close();
  return metrics.ok() ? traces : metrics;
}

}  // namespace arrowport::zerobus
