#include "base/error.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace arrowport {
namespace {

using arrow::StatusCode;

constexpr std::array kErrors = {
    ErrorInfo{ErrorCode::kInvalidArgument, "INVALID_ARGUMENT", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kBadData, "BAD_DATA", StatusCode::Invalid, Fault::kCaller,
              false},
    ErrorInfo{ErrorCode::kIncompleteStream, "INCOMPLETE_STREAM", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kInvalidName, "INVALID_NAME", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kUnsupportedType, "UNSUPPORTED_TYPE", StatusCode::TypeError,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kSchemaDeclarationMismatch, "SCHEMA_DECLARATION_MISMATCH",
              StatusCode::Invalid, Fault::kCaller, false},
    ErrorInfo{ErrorCode::kBadQuery, "BAD_QUERY", StatusCode::Invalid, Fault::kCaller,
              false},
    ErrorInfo{ErrorCode::kBadConfig, "BAD_CONFIG", StatusCode::Invalid, Fault::kCaller,
              false},
    ErrorInfo{ErrorCode::kSchemaMismatch, "SCHEMA_MISMATCH", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kConstraintViolation, "CONSTRAINT_VIOLATION",
              StatusCode::Invalid, Fault::kCaller, false},
    ErrorInfo{ErrorCode::kKeyReused, "KEY_REUSED", StatusCode::Invalid, Fault::kCaller,
              false},
    ErrorInfo{ErrorCode::kSequenceGap, "SEQUENCE_GAP", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kTableNotFound, "TABLE_NOT_FOUND", StatusCode::KeyError,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kColumnNotFound, "COLUMN_NOT_FOUND", StatusCode::KeyError,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kNotFound, "NOT_FOUND", StatusCode::KeyError, Fault::kCaller,
              false},
    ErrorInfo{ErrorCode::kAlreadyExists, "ALREADY_EXISTS", StatusCode::AlreadyExists,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kMethodNotAllowed, "METHOD_NOT_ALLOWED", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE",
              StatusCode::Invalid, Fault::kCaller, false},
    ErrorInfo{ErrorCode::kTooLarge, "TOO_LARGE", StatusCode::CapacityError,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kUnauthenticated, "UNAUTHENTICATED", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kPermissionDenied, "PERMISSION_DENIED", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kNotBuilt, "NOT_BUILT", StatusCode::NotImplemented, Fault::kUs,
              false},
    ErrorInfo{ErrorCode::kUnimplemented, "UNIMPLEMENTED", StatusCode::NotImplemented,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kSnapshotTooOld, "SNAPSHOT_TOO_OLD", StatusCode::Invalid,
              Fault::kCaller, false},
    ErrorInfo{ErrorCode::kCommitConflict, "COMMIT_CONFLICT", StatusCode::UnknownError,
              Fault::kDependency, true},
    ErrorInfo{ErrorCode::kOverloaded, "OVERLOADED", StatusCode::UnknownError, Fault::kUs,
              true},
    ErrorInfo{ErrorCode::kDraining, "DRAINING", StatusCode::UnknownError, Fault::kUs,
              true},
    ErrorInfo{ErrorCode::kTimeout, "TIMEOUT", StatusCode::Cancelled, Fault::kUs, true},
    ErrorInfo{ErrorCode::kStorageUnavailable, "STORAGE_UNAVAILABLE", StatusCode::IOError,
              Fault::kDependency, true},
    ErrorInfo{ErrorCode::kOutOfMemory, "OUT_OF_MEMORY", StatusCode::OutOfMemory,
              Fault::kDependency, true},
    ErrorInfo{ErrorCode::kNoSpace, "NO_SPACE", StatusCode::IOError, Fault::kDependency,
              true},
    ErrorInfo{ErrorCode::kUnreachable, "UNREACHABLE", StatusCode::IOError,
              Fault::kDependency, true},
    ErrorInfo{ErrorCode::kCancelled, "CANCELLED", StatusCode::Cancelled, Fault::kCaller,
              true},
    ErrorInfo{ErrorCode::kStorageCorrupt, "STORAGE_CORRUPT", StatusCode::IOError,
              Fault::kDependency, false},
    ErrorInfo{ErrorCode::kInternal, "INTERNAL", StatusCode::UnknownError, Fault::kUs,
              false},
};

constexpr const char* kDetailTypeId = "arrowport::ErrorDetail";

}  // namespace

const ErrorDetail* DetailOf(const arrow::Status& status) {
  const auto& detail = status.detail();
  if (!detail || std::string_view(detail->type_id()) != kDetailTypeId) return nullptr;
  return static_cast<const ErrorDetail*>(detail.get());
}

const char* ErrorDetail::type_id() const { return kDetailTypeId; }

const ErrorInfo& InfoOf(ErrorCode code) { return kErrors[static_cast<size_t>(code)]; }

std::pair<const ErrorInfo*, size_t> AllErrors() {
  return {kErrors.data(), kErrors.size()};
}

ErrorCode CodeOf(const arrow::Status& status) {
  if (const ErrorDetail* detail = DetailOf(status)) return detail->code;
  switch (status.code()) {
    case StatusCode::Invalid:
    case StatusCode::TypeError:
    case StatusCode::SerializationError:
    case StatusCode::IndexError:
      return ErrorCode::kBadData;
    case StatusCode::Cancelled:
      return ErrorCode::kCancelled;
    case StatusCode::OutOfMemory:
      return ErrorCode::kOutOfMemory;
    case StatusCode::NotImplemented:
      return ErrorCode::kUnimplemented;
    case StatusCode::KeyError:
      return ErrorCode::kNotFound;
    case StatusCode::CapacityError:
      return ErrorCode::kTooLarge;
    case StatusCode::AlreadyExists:
      return ErrorCode::kAlreadyExists;
    default:
      return ErrorCode::kInternal;
  }
}

std::optional<int> RetryAfterSeconds(const arrow::Status& status) {
  const ErrorDetail* detail = DetailOf(status);
  return detail ? detail->retry_after_seconds : std::nullopt;
}

arrow::Status MakeError(ErrorCode code, std::string message,
                        std::optional<int> retry_after_seconds) {
  return MakeErrorWithDetail(std::move(message),
                             std::make_shared<ErrorDetail>(code, retry_after_seconds));
}

arrow::Status MakeErrorWithDetail(std::string message,
                                  std::shared_ptr<ErrorDetail> detail) {
  const arrow::StatusCode code = InfoOf(detail->code).status_code;
  return arrow::Status(code, std::move(message), std::move(detail));
}

arrow::Status WithContext(std::string_view context, const arrow::Status& status) {
  if (status.ok()) return status;
  std::string message(context);
  message.append(": ").append(status.message());
  return arrow::Status(status.code(), std::move(message), status.detail());
}

arrow::Status WithCode(ErrorCode code, const arrow::Status& status) {
  if (status.ok()) return status;
  return MakeError(code, status.message(), RetryAfterSeconds(status));
}

void CheckFailed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
  std::abort();
}

}  // namespace arrowport
