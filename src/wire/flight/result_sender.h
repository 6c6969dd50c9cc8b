// The rows of a statement on their way to a Flight client.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "query/service.h"
#include "wire/flight/reply_handler.h"
#include "wire/ipc/batch_encoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

struct SenderOptions {
  /// A message is cut by rows to stay below this; a single larger row goes alone.
  /// Default: under the 16 MiB that ADBC receives.
  int64_t message_bytes_max = (16 << 20) - (256 << 10);
};

/// Encodes a result onto a call: the schema, the batches (one without rows when there was
/// none, for readers that learn the columns from it), the end. Thread-safe: the query
/// pushes from its thread, the call's worker reports that the peer can take more.
class ResultSender : public query::ResultConsumer {
 public:
  ResultSender(std::shared_ptr<net::Call> call, SenderOptions options);

  void OnSchema(const std::shared_ptr<arrow::Schema>& schema) override;
  query::Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) override;
  void OnEnd(const arrow::Status& status) override;

  /// The transport takes more. True when the query, stopped by kPause, is to go on.
  bool OnWritable();

 private:
  arrow::Status SendBatch(const std::shared_ptr<arrow::RecordBatch>& batch)
      REQUIRES(mutex_);
  void EndWhenSent() REQUIRES(mutex_);

  const std::shared_ptr<net::Call> call_;
  const SenderOptions options_;
  Mutex mutex_;
  Outbox outbox_ GUARDED_BY(mutex_);
  std::shared_ptr<arrow::Schema> schema_ GUARDED_BY(mutex_);
  std::unique_ptr<ipc::BatchEncoder> encoder_ GUARDED_BY(mutex_);
  int64_t batches_ GUARDED_BY(mutex_) = 0;
  bool paused_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  std::optional<arrow::Status> end_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::wire::flight
