// The one vocabulary of failures. Every function that can fail returns arrow::Status or
// arrow::Result; a Status made here carries a stable ErrorCode. Each edge (HTTP status,
// Flight status, CLI exit code, Python class) has exactly one map from ErrorCode and
// never looks at the message text.
#pragma once

#include <arrow/status.h>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace arrowport {

enum class ErrorCode {
  // The request is wrong: sending it again unchanged cannot succeed.
  kInvalidArgument,            // malformed request: descriptor, parameter, JSON
  kBadData,                    // payload is not valid Arrow / Parquet / base64 / zstd ...
  kIncompleteStream,           // the body ended before its end marker
  kInvalidName,                // stream, table or column name outside the rules
  kUnsupportedType,            // the backend cannot hold this type exactly
  kSchemaDeclarationMismatch,  // declared schema and stream schema differ
  kBadQuery,                   // SQL syntax, bind, cast or runtime error
  kBadConfig,                  // a setting, here or in a request
  kSchemaMismatch,             // data does not fit the table
  kConstraintViolation,        // PRIMARY KEY, UNIQUE, CHECK, NOT NULL
  kKeyReused,                  // same idempotency key, other content
  kSequenceGap,                // producer sequence beyond last + 1
  kTableNotFound,              // also schema or catalog
  kColumnNotFound,
  kNotFound,  // route, stream, ticket, id
  kAlreadyExists,
  kMethodNotAllowed,
  kUnsupportedMediaType,
  kTooLarge,  // over a limit that waiting does not lift
  kUnauthenticated,
  kPermissionDenied,
  kNotBuilt,       // a documented ability that this build does not have
  kUnimplemented,  // not offered at all
  kSnapshotTooOld,
  // The same request may succeed later.
  kCommitConflict,      // lost a race (DDL, another writer)
  kOverloaded,          // admission: queue or memory budget full
  kDraining,            // the server is shutting down
  kTimeout,             // a time limit of the server
  kStorageUnavailable,  // the database is being reopened or is refused
  kOutOfMemory,         // the engine's memory limit
  kNoSpace,             // disk full or below the floor
  kUnreachable,         // client side: no connection
  kCancelled,           // the peer went away or asked to stop
  kStorageCorrupt,      // a checksum or log check failed
  kInternal,            // a defect of ours
};

enum class Fault { kCaller, kUs, kDependency };

/// Fixed facts of a code.
struct ErrorInfo {
  ErrorCode code;
  std::string_view name;  ///< stable text on the wire: "SCHEMA_MISMATCH"
  arrow::StatusCode status_code;
  Fault fault;
  bool retriable;
};

/// Facts of `code`; total over the enum.
const ErrorInfo& InfoOf(ErrorCode code);

/// All codes in declaration order, for tests that must cover every one.
std::pair<const ErrorInfo*, size_t> AllErrors();

/// What a Status made here carries. A module with more to say derives from it and attaches
/// its own with MakeErrorWithDetail; CodeOf and the rest keep working.
class ErrorDetail : public arrow::StatusDetail {
 public:
  explicit ErrorDetail(ErrorCode code,
                       std::optional<int> retry_after_seconds = std::nullopt)
      : code(code), retry_after_seconds(retry_after_seconds) {}
  const char* type_id() const final;
  std::string ToString() const override { return std::string(InfoOf(code).name); }

  const ErrorCode code;
  const std::optional<int> retry_after_seconds;
};

/// The detail of a Status made here, or null.
const ErrorDetail* DetailOf(const arrow::Status& status);

/// Code carried by `status`; a status without our detail is mapped by its
/// arrow::StatusCode (Invalid -> kBadData, Cancelled -> kCancelled, OutOfMemory ->
/// kOutOfMemory, NotImplemented
/// -> kUnimplemented, KeyError -> kNotFound, CapacityError -> kTooLarge, else kInternal).
/// REQUIRES: !status.ok().
ErrorCode CodeOf(const arrow::Status& status);

/// After how many seconds a retriable failure should be tried again, when known.
std::optional<int> RetryAfterSeconds(const arrow::Status& status);

arrow::Status MakeError(ErrorCode code, std::string message,
                        std::optional<int> retry_after_seconds = std::nullopt);

/// As MakeError. REQUIRES: detail is not null.
arrow::Status MakeErrorWithDetail(std::string message,
                                  std::shared_ptr<ErrorDetail> detail);

/// MakeError with the parts streamed together: fixed text first, values last.
template <typename... Args>
arrow::Status Error(ErrorCode code, Args&&... args) {
  std::ostringstream message;
  (message << ... << args);
  return MakeError(code, std::move(message).str());
}

/// `status` with "context: " in front of its message and the same detail; OK stays OK.
arrow::Status WithContext(std::string_view context, const arrow::Status& status);

/// `status` with its code replaced; OK stays OK.
arrow::Status WithCode(ErrorCode code, const arrow::Status& status);

/// Aborts with file and line when an invariant of our own is broken. Input never reaches
/// one.
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace arrowport

#define ARROWPORT_CHECK(condition)                                              \
  do {                                                                          \
    if (!(condition)) ::arrowport::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
