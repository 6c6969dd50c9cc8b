#include "engine/error.h"

#include <cerrno>
#include <duckdb/common/error_data.hpp>
#include <duckdb/common/exception.hpp>
#include <new>
#include <optional>
#include <string_view>

namespace arrowport::engine {
namespace {

using duckdb::ErrorData;
using duckdb::ExceptionType;

// Texts of DuckDB 1.5, for the facts it gives no type for.
constexpr std::string_view kCommitSucceeded = "COMMIT succeeded and is durable";
constexpr std::string_view kCommitFailed = "Failed to commit: ";
constexpr std::string_view kLockHeld = "Conflicting lock is held";
constexpr std::string_view kNoSpaceLeft = "No space left on device";
constexpr std::string_view kInvalidated = "has been invalidated";
// Where ThrowStatus leaves the code.
constexpr char kCodeKey[] = "arrowport_code";

bool Has(const ErrorData& error, std::string_view text) {
  return error.RawMessage().find(text) != std::string::npos;
}

int ErrnoOf(const ErrorData& error) {
  auto found = error.ExtraInfo().find("errno");
  if (found == error.ExtraInfo().end()) return 0;
  return std::atoi(found->second.c_str());
}

std::string_view Extra(const ErrorData& error, const char* key) {
  auto found = error.ExtraInfo().find(key);
  return found == error.ExtraInfo().end() ? std::string_view() : found->second;
}

bool IsDiskFull(const ErrorData& error) {
  const int number = ErrnoOf(error);
  return number == ENOSPC || number == EDQUOT || Has(error, kNoSpaceLeft) ||
         Has(error, "Disk quota exceeded");
}

bool IsCorrupt(const ErrorData& error) {
  return Has(error, "Corrupt") || Has(error, "corrupt database file") ||
         Has(error, "does not match stored checksum") ||
         Has(error, "not a valid DuckDB database file");
}

ErrorCode CatalogCode(const ErrorData& error) {
  const std::string_view subtype = Extra(error, "error_subtype");
  if (subtype == "ENTRY_ALREADY_EXISTS") return ErrorCode::kAlreadyExists;
  if (subtype != "MISSING_ENTRY") {
    if (Has(error, "does not exist because ")) return ErrorCode::kTableNotFound;
    return Has(error, "already exists") ? ErrorCode::kAlreadyExists
                                        : ErrorCode::kBadQuery;
  }
  const std::string_view type = Extra(error, "type");
  const bool names_table =
      type == "Table" || type == "View" || type == "Schema" || type == "Database";
  return names_table ? ErrorCode::kTableNotFound : ErrorCode::kBadQuery;
}

ErrorCode IoCode(const ErrorData& error) {
  if (IsDiskFull(error)) return ErrorCode::kNoSpace;
  if (Has(error, kLockHeld) || Has(error, kInvalidated)) {
    return ErrorCode::kStorageUnavailable;
  }
  if (IsCorrupt(error)) return ErrorCode::kStorageCorrupt;
  switch (ErrnoOf(error)) {
    case 0:  // a file that a statement names and that is not there, or is of another kind
    case ENOENT:
    case EACCES:
    case EPERM:
    case ENOTDIR:
    case EISDIR:
      return ErrorCode::kBadQuery;
    default:
      return ErrorCode::kStorageUnavailable;
  }
}

// A COMMIT that fails arrives as a transaction error around the text of its cause.
ErrorCode TransactionCode(const ErrorData& error) {
  if (IsDiskFull(error)) return ErrorCode::kNoSpace;
  if (Has(error, kInvalidated)) return ErrorCode::kStorageUnavailable;
  if (Has(error, kCommitFailed)) {
    if (Has(error, "onstraint")) return ErrorCode::kConstraintViolation;
    if (Has(error, "Could not write") || Has(error, "fsync")) {
      return ErrorCode::kStorageUnavailable;
    }
    return ErrorCode::kCommitConflict;
  }
  const bool misuse = Has(error, "is aborted") ||
                      Has(error, "no transaction is active") ||
                      Has(error, "within a transaction") || Has(error, "read-only");
  return misuse ? ErrorCode::kBadQuery : ErrorCode::kCommitConflict;
}

std::optional<ErrorCode> ThrownCode(const ErrorData& error) {
  const std::string_view name = Extra(error, kCodeKey);
  if (name.empty()) return std::nullopt;
  const auto [infos, count] = AllErrors();
  for (size_t i = 0; i < count; ++i) {
    if (infos[i].name == name) return infos[i].code;
  }
  return std::nullopt;
}

// The nearest of DuckDB's types. Never INTERNAL or FATAL: those invalidate the database.
ExceptionType TypeFor(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCancelled:
      return ExceptionType::INTERRUPT;
    case ErrorCode::kOutOfMemory:
      return ExceptionType::OUT_OF_MEMORY;
    case ErrorCode::kPermissionDenied:
      return ExceptionType::PERMISSION;
    case ErrorCode::kNotBuilt:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kUnsupportedType:
      return ExceptionType::NOT_IMPLEMENTED;
    case ErrorCode::kTableNotFound:
    case ErrorCode::kNotFound:
      return ExceptionType::CATALOG;
    case ErrorCode::kStorageUnavailable:
    case ErrorCode::kStorageCorrupt:
    case ErrorCode::kNoSpace:
      return ExceptionType::IO;
    default:
      return ExceptionType::INVALID_INPUT;
  }
}

ErrorCode CodeFor(const ErrorData& error) {
  if (std::optional<ErrorCode> thrown = ThrownCode(error)) return *thrown;
  switch (error.Type()) {
    case ExceptionType::INTERRUPT:
      return ErrorCode::kCancelled;
    case ExceptionType::OUT_OF_MEMORY:
      return ErrorCode::kOutOfMemory;
    case ExceptionType::CONSTRAINT:
      return ErrorCode::kConstraintViolation;
    case ExceptionType::CATALOG:
      return CatalogCode(error);
    case ExceptionType::BINDER:
      return Extra(error, "error_subtype") == "COLUMN_NOT_FOUND"
                 ? ErrorCode::kColumnNotFound
                 : ErrorCode::kBadQuery;
    case ExceptionType::TRANSACTION:
      return TransactionCode(error);
    case ExceptionType::IO:
      return IoCode(error);
    case ExceptionType::PERMISSION:
      return ErrorCode::kPermissionDenied;
    case ExceptionType::FATAL:
      if (IsDiskFull(error)) return ErrorCode::kNoSpace;
      return ErrorCode::kStorageUnavailable;
    case ExceptionType::CONNECTION:
      return ErrorCode::kStorageUnavailable;
    case ExceptionType::INTERNAL:
    case ExceptionType::NULL_POINTER:
    case ExceptionType::SCHEDULER:
    case ExceptionType::INVALID:
      return ErrorCode::kInternal;
    case ExceptionType::SERIALIZATION:
      return IsCorrupt(error) ? ErrorCode::kStorageCorrupt : ErrorCode::kInternal;
    default:
      return ErrorCode::kBadQuery;
  }
}

}  // namespace

arrow::Status TranslateError(const ErrorData& error) {
  return MakeError(CodeFor(error), error.RawMessage());
}

arrow::Status TranslateException(const std::exception& exception) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    return Error(ErrorCode::kOutOfMemory, "out of memory");
  }
  return TranslateError(ErrorData(exception));
}

arrow::Status TranslateOpenError(const ErrorData& error, const std::string& path) {
  if (Has(error, kLockHeld)) {
    return Error(ErrorCode::kStorageUnavailable,
                 "another process holds the database: stop it or choose another path: ",
                 error.RawMessage());
  }
  if (IsDiskFull(error)) {
    return Error(ErrorCode::kNoSpace, "the disk is full, cannot open the database ", path,
                 ": ", error.RawMessage());
  }
  if (error.Type() == ExceptionType::OUT_OF_MEMORY) {
    return Error(ErrorCode::kOutOfMemory,
                 "opening needs more than the memory limit, raise it: ", path, ": ",
                 error.RawMessage());
  }
  if (error.Type() == ExceptionType::INTERRUPT || ErrnoOf(error) != 0 ||
      error.Type() == ExceptionType::PERMISSION ||
      error.Type() == ExceptionType::BINDER) {
    return Error(ErrorCode::kStorageUnavailable, "cannot open the database ", path, ": ",
                 error.RawMessage());
  }
  return Error(ErrorCode::kStorageCorrupt,
               "the database is damaged and was left as it is (copy it with its .wal "
               "before any repair): ",
               path, ": ", error.RawMessage());
}

void ThrowStatus(const arrow::Status& status) {
  const ErrorCode code = CodeOf(status);
  duckdb::unordered_map<duckdb::string, duckdb::string> extra;
  extra[kCodeKey] = std::string(InfoOf(code).name);
  throw duckdb::Exception(extra, TypeFor(code), status.message());
}

bool IsCommitSucceededCheckpointFailed(const ErrorData& error) {
  return Has(error, kCommitSucceeded);
}

bool IsCommitSucceededCheckpointFailed(const std::exception& exception) {
  return IsCommitSucceededCheckpointFailed(ErrorData(exception));
}

}  // namespace arrowport::engine
