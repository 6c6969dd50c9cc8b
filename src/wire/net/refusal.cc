#include "wire/net/refusal.h"

#include <utility>

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
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {507, "Insufficient Storage"},
  };
  for (const auto& [status, phrase] : kPhrases) {
    if (status == http_status) return phrase;
  }
  return "Status";
}

}  // namespace arrowport::wire::net
