#include "wire/flight/error_map.h"

#include <string>
#include <string_view>

namespace arrowport::wire::flight {
namespace {

// Some clients refuse header blocks over 8 KiB, and the message is sent twice, once in
// percent-encoding.
constexpr size_t kMessageBytesMax = 1500;

std::string Cut(std::string_view message) {
  if (message.size() <= kMessageBytesMax) return std::string(message);
  size_t end = kMessageBytesMax;
  // Not inside a UTF-8 sequence.
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  return std::string(message.substr(0, end)) + " ...";
}

}  // namespace

GrpcStatus GrpcStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kBadData:
    case ErrorCode::kIncompleteStream:
    case ErrorCode::kInvalidName:
    case ErrorCode::kUnsupportedType:
    case ErrorCode::kSchemaDeclarationMismatch:
    case ErrorCode::kBadQuery:
    case ErrorCode::kBadConfig:
    case ErrorCode::kSchemaMismatch:
    case ErrorCode::kConstraintViolation:
    case ErrorCode::kKeyReused:
    case ErrorCode::kSequenceGap:
    case ErrorCode::kUnsupportedMediaType:
    case ErrorCode::kSnapshotTooOld:
      return GrpcStatus::kInvalidArgument;
    case ErrorCode::kTableNotFound:
    case ErrorCode::kColumnNotFound:
    case ErrorCode::kNotFound:
      return GrpcStatus::kNotFound;
    case ErrorCode::kAlreadyExists:
      return GrpcStatus::kAlreadyExists;
    case ErrorCode::kTooLarge:
    case ErrorCode::kOverloaded:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kNoSpace:
      return GrpcStatus::kResourceExhausted;
    case ErrorCode::kUnauthenticated:
      return GrpcStatus::kUnauthenticated;
    case ErrorCode::kPermissionDenied:
      return GrpcStatus::kPermissionDenied;
    case ErrorCode::kMethodNotAllowed:
    case ErrorCode::kNotBuilt:
    case ErrorCode::kUnimplemented:
      return GrpcStatus::kUnimplemented;
    case ErrorCode::kCommitConflict:
    case ErrorCode::kDraining:
    case ErrorCode::kStorageUnavailable:
    case ErrorCode::kUnreachable:
      return GrpcStatus::kUnavailable;
    case ErrorCode::kTimeout:
      return GrpcStatus::kDeadlineExceeded;
    case ErrorCode::kCancelled:
      return GrpcStatus::kCancelled;
    case ErrorCode::kStorageCorrupt:
    case ErrorCode::kInternal:
      return GrpcStatus::kInternal;
  }
  return GrpcStatus::kInternal;
}

net::Outcome OutcomeOf(const arrow::Status& status) {
  if (status.ok()) return {};
  const ErrorCode code = CodeOf(status);
  net::Outcome outcome;
  outcome.grpc_status = static_cast<int>(GrpcStatusOf(code));
  outcome.message = Cut(status.message());
  outcome.trailers = {
      {"x-arrow-status", std::to_string(static_cast<int>(status.code()))},
      {"x-arrow-status-message-bin", outcome.message},
      {"arrowport-code", std::string(InfoOf(code).name)},
  };
  if (const auto seconds = RetryAfterSeconds(status)) {
    outcome.trailers.emplace_back("retry-after", std::to_string(*seconds));
  }
  return outcome;
}

}  // namespace arrowport::wire::flight
