// Files below one root: a local folder now, an object store later. The operations are the
// ones a table format needs: nothing visible half-written, put-if-absent, durable when the
// call returns.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::store {

struct FileInfo {
  std::string path;  ///< relative to the root, '/' between parts
  int64_t size = 0;
  int64_t modified_ms = 0;  ///< wall clock of the storage
};

/// A new file being written; visible under its name only after Finish. Caller-locked.
/// Destroying it unfinished removes every trace.
class FileWriter {
 public:
  virtual ~FileWriter() = default;
  /// For Parquet encoders; owned by this object, valid until Finish or Abort.
  virtual arrow::io::OutputStream* stream() = 0;
  /// Writes out, syncs the content when the store is durable, and makes the file appear.
  /// The name's own durability comes with Store::SyncFolder. Errors: kAlreadyExists,
  /// kNoSpace, kStorageUnavailable (a failed sync: never retried).
  virtual arrow::Status Finish() = 0;
};

/// Held from Store::Lock until it is destroyed or its process ends.
class Lock {
 public:
  virtual ~Lock() = default;
};

enum class Durability {
  kSync,    ///< a call that succeeded survives power loss
  kMemory,  ///< no syncing: tests and benchmarks that say so
};

/// Thread-safe. Paths are relative to the root and may not leave it: "..", absolute paths
/// and symbolic links out of it are kInvalidName. A missing file is kNotFound.
class Store {
 public:
  virtual ~Store() = default;

  /// "file:///data/tables" or "s3://bucket/prefix": for messages and for readers that
  /// open the files themselves (PathFor).
  virtual const std::string& root() const = 0;
  /// The path another library of this process opens `path` with.
  virtual std::string PathFor(std::string_view path) const = 0;

  /// Whole content. Errors: kTooLarge above `bytes_max`.
  virtual arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::string_view path,
                                                             int64_t bytes_max) const = 0;
  virtual arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Open(
      std::string_view path) const = 0;
  virtual arrow::Result<FileInfo> Stat(std::string_view path) const = 0;

  /// Calls `visit` for the files directly in `folder` whose names are > `after`, in name
  /// order (byte-wise); a missing folder has none. Stops early when `visit` fails.
  virtual arrow::Status List(std::string_view folder, std::string_view after,
                             const std::function<arrow::Status(const FileInfo&)>& visit)
      const = 0;
  /// As List but for every file below `folder`, in any order.
  virtual arrow::Status ListBelow(std::string_view folder,
                                  const std::function<arrow::Status(const FileInfo&)>&
                                      visit) const = 0;

  /// Creates `path` with `content` unless it exists: one of many racing callers wins, the
  /// others get kAlreadyExists. Durable, name included, on return.
  virtual arrow::Status PutIfAbsent(std::string_view path, std::string_view content) = 0;
  /// Creates or atomically replaces.
  virtual arrow::Status Put(std::string_view path, std::string_view content) = 0;
  /// Parent folders are created.
  virtual arrow::Result<std::unique_ptr<FileWriter>> Create(std::string_view path) = 0;
  /// Makes the names in `folder` (and the folder's own, up to the root) durable.
  virtual arrow::Status SyncFolder(std::string_view folder) = 0;
  /// A file that is already gone is no error.
  virtual arrow::Status Remove(std::string_view path) = 0;
  /// The lock that the file `path` stands for, which is made and never removed; nullptr
  /// while somebody holds it, here or in another process. Advisory. A storage without
  /// locks gives one that keeps nobody out, and says so in the log.
  virtual arrow::Result<std::unique_ptr<Lock>> TryLock(std::string_view path) = 0;
};

/// Opens (with `create`, makes) a local folder. Errors: kNotFound, kStorageUnavailable.
arrow::Result<std::shared_ptr<Store>> OpenLocalStore(std::string_view folder,
                                                     Durability durability, bool create);

}  // namespace arrowport::store
