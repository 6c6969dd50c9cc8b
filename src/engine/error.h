// The one place where errors of DuckDB become ours. DuckDB gives a type for most of them
// and only text for a few; those texts are known here and nowhere else.
#pragma once

#include <arrow/status.h>

#include <exception>
#include <string>
#include <utility>

#include "base/error.h"

namespace duckdb {
class ErrorData;
}  // namespace duckdb

namespace arrowport::engine {

/// Status for an error of a statement. Missing table or schema: kTableNotFound; missing
/// column: kColumnNotFound; parser, binder, conversion and other faults of the statement:
/// kBadQuery; kConstraintViolation; lost races: kCommitConflict; interrupted: kCancelled;
/// memory limit: kOutOfMemory; disk full: kNoSpace; invalidated or failing storage:
/// kStorageUnavailable; failed checksum: kStorageCorrupt; permission: kPermissionDenied;
/// DuckDB's own defects: kInternal.
arrow::Status TranslateError(const duckdb::ErrorData& error);
arrow::Status TranslateException(const std::exception& exception);

/// As TranslateError for a failed open of `path`: what is not a lock, a full disk, memory
/// or a missing permission is kStorageCorrupt.
arrow::Status TranslateOpenError(const duckdb::ErrorData& error, const std::string& path);

/// True when the error says that the COMMIT is durable and only the checkpoint DuckDB ran
/// behind it failed.
bool IsCommitSucceededCheckpointFailed(const duckdb::ErrorData& error);
bool IsCommitSucceededCheckpointFailed(const std::exception& exception);

/// Throws `status` as an exception of DuckDB, for code of ours that DuckDB calls: where
/// the statement fails, TranslateError gives the same code and message back.
/// REQUIRES: !status.ok().
[[noreturn]] void ThrowStatus(const arrow::Status& status);

/// Runs `function` (returning arrow::Status or arrow::Result) and turns what DuckDB
/// throws into a Status.
template <typename Function>
auto Catching(Function&& function) -> decltype(std::forward<Function>(function)()) {
  try {
    return std::forward<Function>(function)();
  } catch (const std::exception& exception) {
    return TranslateException(exception);
  } catch (...) {
    return Error(ErrorCode::kInternal, "DuckDB threw something unknown");
  }
}

}  // namespace arrowport::engine
