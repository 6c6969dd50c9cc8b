// The durable record of what the emulator acknowledges: one JSON line for each request,
//   {"table","stream","connection","mode","offset","rows","ids":[...]}
// where ids[i] is the row id of row i (absent when rows are not looked into).
#pragma once

#include <arrow/result.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace arrowport::emulator {

/// Told that lines are in the file. Called on the log's thread; must be quick.
class LogListener {
 public:
  virtual ~LogListener() = default;
  /// All lines of this listener up to `mark` are written; or they are not, and why.
  virtual void OnLogged(int64_t mark, const arrow::Status& status) = 0;
};

/// A line of the log, taken apart.
struct LoggedRequest {
  std::string table;
  std::string stream;
  int64_t connection = 0;  ///< the n-th of its table, from 1
  std::string mode;        ///< "record" or "flight"
  int64_t offset = 0;      ///< wire offset
  int64_t rows = 0;
  std::vector<std::string> ids;  ///< JSON text of each row's id
};

/// Appends wait for each other's write, not for a disk: what a killed process has
/// acknowledged is in the file, what a dead machine has may not be. Thread-safe.
class RowLog {
 public:
  /// Appends to the file at `path`, or to memory when it is empty. Errors: kBadConfig.
  static arrow::Result<std::unique_ptr<RowLog>> Open(const std::string& path);
  ~RowLog();

  /// Queues `line` (with its line break). `mark` must grow with each call of a listener.
  /// False when so much waits that the caller should hold back until OnLogged.
  bool Append(std::string_view line, const std::shared_ptr<LogListener>& listener,
              int64_t mark);

  int64_t size_bytes() const;
  /// Up to `bytes_max` bytes from `offset`, cut after the last whole line.
  arrow::Result<std::string> Read(int64_t offset, int64_t bytes_max) const;
  /// The whole log, taken apart. For tests: it must fit in memory.
  arrow::Result<std::vector<LoggedRequest>> ReadRequests() const;
  arrow::Status Clear();
  /// Writes what is queued and joins. Idempotent.
  void Stop();

 private:
  struct Mark {
    std::shared_ptr<LogListener> listener;
    int64_t mark;
  };

  explicit RowLog(int descriptor) : descriptor_(descriptor), thread_([this] { Run(); }) {}
  void Run();
  arrow::Status WriteAll(std::string_view text);

  const int descriptor_;
  /// Held while the file changes; taken before mutex_.
  mutable Mutex file_mutex_;
  int64_t size_bytes_ GUARDED_BY(file_mutex_) = 0;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::string queued_ GUARDED_BY(mutex_);
  std::vector<Mark> marks_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arrowport::emulator
