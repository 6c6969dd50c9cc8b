#include "wire/net/refusal.h"

#include "base/error.h"

namespace arrowport::wire::net {
namespace {

// gRPC status codes (google.rpc.Code).
constexpr int kGrpcDeadlineExceeded = 4;
constexpr int kGrpcResourceExhausted = 8;
constexpr int kGrpcUnimplemented = 12;
constexpr int kGrpcInternal = 13;
constexpr int kGrpcUnavailable = 14;

RefusalFacts Facts(ErrorCode code, int http_status, int grpc_status,
                   std::string_view message, std::optional<int> retry = std::nullopt) {
  const ErrorInfo& info = InfoOf(code);
  return {http_status, grpc_status, info.name, message, info.retriable, retry};
}

RefusalFacts Make(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
      return Facts(ErrorCode::kInvalidArgument, 400, kGrpcInternal,
                   "malformed HTTP request");
    case Refusal::kNoRoute:
      return Facts(ErrorCode::kNotFound, 404, kGrpcUnimplemented,
                   "no such route or method");
    case Refusal::kHeaderTimeout:
      return Facts(ErrorCode::kTimeout, 408, kGrpcDeadlineExceeded,
                   "the request head did not arrive within limits.header_timeout");
    case Refusal::kHeaderTooLarge:
      return Facts(ErrorCode::kTooLarge, 431, kGrpcResourceExhausted,
                   "the request head is too large");
    case Refusal::kOverloaded:
      return Facts(ErrorCode::kOverloaded, 429, kGrpcResourceExhausted,
                   "too many requests in flight, try again later", 1);
    case Refusal::kDraining:
      return Facts(ErrorCode::kDraining, 503, kGrpcUnavailable,
                   "the server is shutting down", 1);
    case Refusal::kUnsupportedMediaType:
      return Facts(ErrorCode::kUnsupportedMediaType, 415, kGrpcInternal,
                   "HTTP/2 is spoken for gRPC only: use HTTP/1.1");
    case Refusal::kMethodNotAllowed:
      return Facts(ErrorCode::kMethodNotAllowed, 405, kGrpcInternal,
                   "gRPC calls are made by POST");
    case Refusal::kTransferCoding:
      return Facts(ErrorCode::kUnimplemented, 501, kGrpcInternal,
                   "of transfer codings only chunked is understood");
    case Refusal::kMessageCodec:
      return Facts(ErrorCode::kUnimplemented, 501, kGrpcUnimplemented,
                   "of message codecs only identity, deflate and gzip are understood");
    case Refusal::kExpectation:
      return Facts(ErrorCode::kInvalidArgument, 417, kGrpcInternal,
                   "of expectations only 100-continue is understood");
  }
  return {};
}

}  // namespace

const RefusalFacts& FactsOf(Refusal refusal) {
  static const RefusalFacts facts[] = {Make(Refusal::kMalformed),
                                       Make(Refusal::kNoRoute),
                                       Make(Refusal::kHeaderTimeout),
                                       Make(Refusal::kHeaderTooLarge),
                                       Make(Refusal::kOverloaded),
                                       Make(Refusal::kDraining),
                                       Make(Refusal::kUnsupportedMediaType),
                                       Make(Refusal::kMethodNotAllowed),
                                       Make(Refusal::kTransferCoding),
                                       Make(Refusal::kMessageCodec),
                                       Make(Refusal::kExpectation)};
  return facts[static_cast<size_t>(refusal)];
}

std::string RefusalJson(Refusal refusal, std::string_view request_id) {
  const RefusalFacts& facts = FactsOf(refusal);
  std::string json = R"({"status":"error","code":")";
  json += facts.code;
  json += R"(","message":")";
  json += facts.message;
  json += R"(","retriable":)";
  json += facts.retriable ? "true" : "false";
  json += R"(,"request_id":")";
  json += request_id;
  json += "\"}";
  return json;
}

std::string_view ReasonPhrase(int http_status) {
  switch (http_status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace arrowport::wire::net
