// Runs one statement on a connection and hands its rows out as Arrow record batches
// while DuckDB produces them: memory stays bounded by DuckDB's streaming buffer and one
// batch.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "engine/database.h"
#include "engine/statement.h"

namespace arrowport::engine {

/// True for a failure that DuckDB 1.5 shows once in a while under concurrent appends and
/// that a second run of a statement that only reads does not show.
bool IsPassingDefect(const arrow::Status& status);

struct ResultStreamOptions {
  /// The first batch is small so that the first row is there in milliseconds; each
  /// further one is up to four times larger, up to `batch_rows_max`.
  int64_t first_batch_rows = 2048;
  int64_t batch_rows_max = 65536;
  /// A batch is cut before it grows beyond this; a single larger row goes alone.
  int64_t batch_bytes_max = int64_t{8} << 20;
  /// A batch with rows in it goes out after this time although it is not full.
  int64_t linger_ms = 20;
};

/// Types out: the Arrow types every client reads. Strings are utf8 (no views), ENUM,
/// UUID, BIT, BIGNUM, JSON and VARIANT are utf8 text, HUGEINT and UHUGEINT
/// decimal128(38, 0) (a value beyond is kBadQuery), all decimals decimal128, INTERVAL
/// month_day_nano, TIMESTAMPTZ timestamp[us] with the connection's zone.
///
/// Start and Next from one thread at a time; Interrupt from any. The connection belongs
/// to the stream: its transaction lives until the end, a failure or the destructor.
class ResultStream {
 public:
  ResultStream(std::unique_ptr<Connection> connection, ResultStreamOptions options);
  ~ResultStream();

  /// Plans and starts the statement; blocks until its first rows can be fetched. A
  /// statement without rows has run to its end and is committed when this returns.
  /// Errors: as TranslateError; kCancelled after Interrupt; kInvalidArgument when the
  /// parameters do not fit the placeholders.
  arrow::Status Start(const Statement& statement,
                      const std::vector<std::shared_ptr<arrow::Scalar>>& parameters);

  /// True once Start got past the planner: the statement may have had effects.
  bool planned() const { return planned_; }

  /// REQUIRES: Start succeeded.
  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }

  /// The next batch (never empty), or null at the end. Blocks on execution.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Next();

  /// Makes a running Start or Next, or the next call of either, fail with kCancelled. No
  /// effect once the stream has ended.
  void Interrupt();

  /// The connection after the end of a stream that left it as good as new, else null.
  std::unique_ptr<Connection> TakeConnection();

 private:
  struct Run;

  arrow::Status Plan(const Statement& statement,
                     const std::vector<std::shared_ptr<arrow::Scalar>>& parameters);
  arrow::Status AwaitRows();
  arrow::Status Execute();
  arrow::Status CollectCount();
  arrow::Result<bool> FetchChunk();
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> FillBatch();
  arrow::Status Finish(arrow::Status status);
  arrow::Status Checked(arrow::Status status) const;

  const ResultStreamOptions options_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Run> run_;
  std::shared_ptr<arrow::Schema> schema_;
  int64_t batch_rows_target_;
  bool planned_ = false;
  bool clean_ = false;
  bool ended_ = false;

  std::atomic<bool> interrupted_{false};
  Mutex mutex_;
  bool interruptible_ GUARDED_BY(mutex_) = true;
};

}  // namespace arrowport::engine
