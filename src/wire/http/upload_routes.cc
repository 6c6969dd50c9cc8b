// POST /ingest/{stream}, POST /stream/{stream} and POST /delta/{table}.
#include <array>
#include <utility>

#include "base/error.h"
#include "wire/http/request_target.h"
#include "wire/http/routes.h"
#include "wire/http/upload.h"
#include "wire/ipc/stream_parser.h"

namespace arrowport::wire::http {
namespace {

enum class BodyFormat { kArrowStream, kArrowFile, kParquet };

arrow::Result<BodyFormat> BodyFormatOf(const std::string* content_type) {
  const std::string type = content_type ? MediaTypeOf(*content_type) : "";
  if (type.empty() || type == "application/vnd.apache.arrow.stream" ||
      type == "application/octet-stream" || type == "application/x-www-form-urlencoded") {
    return BodyFormat::kArrowStream;
  }
  if (type == "application/vnd.apache.arrow.file") return BodyFormat::kArrowFile;
  if (type == "application/vnd.apache.parquet") return BodyFormat::kParquet;
  return Error(ErrorCode::kUnsupportedMediaType,
               "Content-Type must be application/vnd.apache.arrow.stream, "
               "application/vnd.apache.arrow.file or application/vnd.apache.parquet, "
               "not: ",
               type.substr(0, 100));
}

net::Route UploadRoute(RouteRequest& request, ingest::Request upload,
                       std::unique_ptr<BatchSource> source) {
  net::Route route;
  route.handler = std::make_unique<UploadHandler>(std::move(request.exchange),
                                                  request.options->ingest,
                                                  std::move(upload), std::move(source));
  route.body_bytes_max = request.options->body_bytes_max;
  return route;
}

/// A body in one of the Arrow formats or Parquet.
arrow::Result<net::Route> RawUpload(RouteRequest& request, ingest::Request upload) {
  const DecodeOptions& decode = request.options->decode;
  const auto pool = request.exchange->call().pool();
  ARROW_ASSIGN_OR_RAISE(BodyFormat format,
                        BodyFormatOf(request.head.Header("content-type")));
  ARROW_ASSIGN_OR_RAISE(ContentEncoding encoding,
                        ParseContentEncoding(request.head.Header("content-encoding")));
  std::unique_ptr<BatchSource> source;
  if (format == BodyFormat::kParquet) {
    ARROW_ASSIGN_OR_RAISE(source, MakeParquetSource(decode, encoding));
  } else if (format == BodyFormat::kArrowFile) {
    ARROW_ASSIGN_OR_RAISE(source, MakeArrowFileSource(decode, encoding));
  } else if (encoding != ContentEncoding::kIdentity) {
    ARROW_ASSIGN_OR_RAISE(source, MakeEncodedStreamSource(decode, pool, encoding));
  } else {
    net::Route route = UploadRoute(request, std::move(upload), MakeMessageSource(decode));
    route.parser = std::make_unique<ipc::StreamParser>(pool, decode.parser,
                                                       ipc::EndMarker::kRequired);
    return route;
  }
  return UploadRoute(request, std::move(upload), std::move(source));
}

arrow::Result<net::Route> JsonUpload(RouteRequest& request, ingest::Request upload,
                                     JsonUploadForm form) {
  ARROW_ASSIGN_OR_RAISE(ContentEncoding encoding,
                        ParseContentEncoding(request.head.Header("content-encoding")));
  ARROW_ASSIGN_OR_RAISE(
      auto source, MakeJsonSource(request.options->decode, request.exchange->call().pool(),
                                  encoding, std::move(form)));
  return UploadRoute(request, std::move(upload), std::move(source));
}

arrow::Result<net::Route> MakeIngest(RouteRequest& request) {
  ARROW_ASSIGN_OR_RAISE(ingest::Request upload,
                        UploadRequestOf(request.head, request.arguments[0]));
  return RawUpload(request, std::move(upload));
}

arrow::Result<net::Route> MakeStream(RouteRequest& request) {
  const std::string* header = request.head.Header("content-type");
  const std::string type = header ? MediaTypeOf(*header) : "";
  if (!type.empty() && type != "application/json" && type != "text/json" &&
      type != "text/plain" && type != "application/octet-stream" &&
      type != "application/x-www-form-urlencoded") {
    return Error(ErrorCode::kUnsupportedMediaType,
                 "Content-Type must be application/json (raw Arrow bodies go to "
                 "/ingest), not: ",
                 type.substr(0, 100));
  }
  ARROW_ASSIGN_OR_RAISE(ingest::Request upload,
                        UploadRequestOf(request.head, request.arguments[0]));
  return JsonUpload(request, std::move(upload), {});
}

arrow::Result<net::Route> MakeDelta(RouteRequest& request) {
  ARROW_ASSIGN_OR_RAISE(ingest::Request upload,
                        UploadRequestOf(request.head, request.arguments[0]));
  JsonUploadForm form;
  form.shape = JsonShape::kDelta;
  form.fixed = {{"storage_backend", "delta"}, {"target_table", request.arguments[0]}};
  for (const auto& [name, value] : form.fixed) {
    auto [given, is_new] = upload.overrides.emplace(name, value);
    if (!is_new && given->second != value) {
      return Error(ErrorCode::kBadConfig, "this route has its own value of ", name, " (",
                   value, "), not: ", given->second.substr(0, 100));
    }
  }
  const std::string* header = request.head.Header("content-type");
  const std::string type = header ? MediaTypeOf(*header) : "";
  const bool raw = type.starts_with("application/vnd.apache.") ||
                   type == "application/octet-stream";
  if (raw) return RawUpload(request, std::move(upload));
  if (!type.empty() && type != "application/json" && type != "text/json" &&
      type != "text/plain" && type != "application/x-www-form-urlencoded") {
    return Error(ErrorCode::kUnsupportedMediaType,
                 "Content-Type must be application/json, or that of a raw Arrow or "
                 "Parquet body, not: ",
                 type.substr(0, 100));
  }
  return JsonUpload(request, std::move(upload), std::move(form));
}

constexpr std::array kRoutes = {
    RouteEntry{"POST", "/ingest/{stream}", MakeIngest},
    RouteEntry{"POST", "/stream/{stream}", MakeStream},
    RouteEntry{"POST", "/delta/{table}", MakeDelta},
};

}  // namespace

std::span<const RouteEntry> UploadRoutes() { return kRoutes; }

}  // namespace arrowport::wire::http
