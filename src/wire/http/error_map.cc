#include "wire/http/error_map.h"

namespace arrowport::wire::http {

int HttpStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kBadData:
    case ErrorCode::kIncompleteStream:
    case ErrorCode::kInvalidName:
    case ErrorCode::kUnsupportedType:
    case ErrorCode::kSchemaDeclarationMismatch:
    case ErrorCode::kBadQuery:
    case ErrorCode::kColumnNotFound:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kTableNotFound:
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kMethodNotAllowed:
      return 405;
    case ErrorCode::kSchemaMismatch:
    case ErrorCode::kConstraintViolation:
    case ErrorCode::kKeyReused:
    case ErrorCode::kSequenceGap:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kSnapshotTooOld:
    case ErrorCode::kCommitConflict:
      return 409;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kUnsupportedMediaType:
      return 415;
    case ErrorCode::kBadConfig:
      return 422;
    case ErrorCode::kOverloaded:
      return 429;
    case ErrorCode::kInternal:
    case ErrorCode::kStorageCorrupt:
      return 500;
    case ErrorCode::kNotBuilt:
    case ErrorCode::kUnimplemented:
      return 501;
    case ErrorCode::kDraining:
    case ErrorCode::kTimeout:
    case ErrorCode::kStorageUnavailable:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kUnreachable:
    case ErrorCode::kCancelled:
      return 503;
    case ErrorCode::kNoSpace:
      return 507;
  }
  return 500;
}

}  // namespace arrowport::wire::http
