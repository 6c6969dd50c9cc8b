// The writer behind the public interface: conversion outside locks, one stream at a time.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "arrowport/zerobus/writer.h"
#include "base/mutex.h"
#include "zerobus/batch_delivery.h"
#include "zerobus/callback_queue.h"
#include "zerobus/circuit_breaker.h"
#include "zerobus/client_core.h"
#include "zerobus/encoding.h"
#include "zerobus/http_fetch.h"
#include "zerobus/oauth.h"
#include "zerobus/stream.h"

namespace arrowport::zerobus {

/// Random numbers for waits. Thread-safe.
class UniformSource {
 public:
  explicit UniformSource(uint64_t seed) : random_(seed) {}
  double operator()() {
    MutexLock lock(mutex_);
    return std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  }

 private:
  Mutex mutex_;
  std::mt19937_64 random_ GUARDED_BY(mutex_);
};

class WriterImpl final : public ZerobusWriter, public StreamListener {
 public:
  WriterImpl(Options options, std::shared_ptr<ClientCore> client,
             std::shared_ptr<const ConnectPlan> plan, std::shared_ptr<HttpFetcher> http);
  ~WriterImpl() override;

  TransmissionResult SendBatch(const std::shared_ptr<arrow::RecordBatch>& batch,
                               const SendOptions& options) override;
  arrow::Result<PendingSend> SendAsync(const std::shared_ptr<arrow::RecordBatch>& batch,
                                       const SendOptions& options) override;
  arrow::Status Flush() override;
  arrow::Status WaitForOffset(int64_t offset) override;
  arrow::Status Shutdown() override;
  arrow::Result<std::vector<UnacknowledgedBatch>> TakeUnacknowledged() override;
  WriterStatistics statistics() const override;

  void OnSettled(const Settlement& settlement) override;

  OAuthIdentity identity() const;

 private:
  enum class FirstTime { kYes, kNo };
  struct Offsets {
    int64_t first = 0;
    int64_t last = -1;
  };
  /// Keeps a stream from being retired while requests are submitted to it.
  class Hold {
   public:
    Hold(WriterImpl* writer, std::shared_ptr<Stream> stream)
        : writer_(writer), stream_(std::move(stream)) {}
    Hold(Hold&& other) noexcept
        : writer_(std::exchange(other.writer_, nullptr)),
          stream_(std::move(other.stream_)) {}
    ~Hold() {
      if (writer_) writer_->Release();
    }
    Stream* operator->() const { return stream_.get(); }

   private:
    WriterImpl* writer_;
    std::shared_ptr<Stream> stream_;
  };

  arrow::Status CheckBatch(const std::shared_ptr<arrow::RecordBatch>& batch);
  /// Converts and submits every row of the delivery's batch; those that cannot be are
  /// settled as failed.
  arrow::Status Submit(const std::shared_ptr<BatchDelivery>& delivery,
                       const SendOptions& options, FirstTime first_time,
                       Offsets* offsets);
  arrow::Status SubmitPart(const std::shared_ptr<BatchDelivery>& delivery,
                           const Encoding& encoding, Stream* stream, Converted converted,
                           Offsets* offsets);
  void ShowDescriptor(const Encoding& encoding) const;
  void ShowConverted(const Encoding& encoding, const Converted& converted, int64_t rows,
                     int64_t arrow_bytes, std::chrono::nanoseconds time);
  void ShowRows(const Converted& converted, int64_t rows, int64_t arrow_bytes,
                std::chrono::nanoseconds time) const;
  void FinishSend(const TransmissionResult& result, std::chrono::nanoseconds time);
  TransmissionResult SendWithRetries(const std::shared_ptr<arrow::RecordBatch>& batch,
                                     const SendOptions& options);
  bool WaitBeforeRetry(int attempt, const arrow::Status& error);

  arrow::Result<std::shared_ptr<const Encoding>> FindEncoding(
      const std::shared_ptr<arrow::Schema>& schema, const std::string& descriptor);
  arrow::Result<std::shared_ptr<const encode::TableSchema>> FindTable();
  arrow::Result<TokenLease> TableToken(const std::string& key);

  arrow::Status FlushStream();
  arrow::Result<Hold> AcquireStream(const Encoding& encoding);
  std::shared_ptr<Stream> StartStream(const Encoding& encoding, int64_t first_offset);
  void Release();
  /// Flushes and ends a stream, and keeps what it leaves. Not under the lock.
  arrow::Status Retire(Stream* stream, TimePoint deadline);

  const Options options_;
  const std::shared_ptr<ClientCore> client_;
  const std::shared_ptr<const ConnectPlan> plan_;
  const std::shared_ptr<HttpFetcher> http_;
  const std::shared_ptr<UniformSource> uniform_;
  const std::shared_ptr<CallbackQueue> callbacks_;
  CircuitBreaker breaker_;
  std::atomic<bool> table_stale_{false};  ///< the service refused a schema

  Mutex table_mutex_;  ///< held while the table is fetched: one fetch for all
  std::shared_ptr<const encode::TableSchema> table_ GUARDED_BY(table_mutex_);

  Mutex shown_mutex_;  ///< held while observers see rows of a disabled writer
  std::string shown_key_ GUARDED_BY(shown_mutex_);

  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::list<std::shared_ptr<const Encoding>> encodings_ GUARDED_BY(mutex_);
  std::shared_ptr<Stream> stream_ GUARDED_BY(mutex_);
  std::string stream_key_ GUARDED_BY(mutex_);
  int64_t holds_ GUARDED_BY(mutex_) = 0;
  bool switching_ GUARDED_BY(mutex_) = false;
  bool shut_down_ GUARDED_BY(mutex_) = false;
  std::optional<arrow::Status> shutdown_status_ GUARDED_BY(mutex_);
  int64_t next_offset_ GUARDED_BY(mutex_) = 0;
  std::vector<StreamCore::Unacknowledged> unacknowledged_ GUARDED_BY(mutex_);
  std::list<FailedRange> failed_ranges_ GUARDED_BY(mutex_);
  WriterStatistics counters_
      GUARDED_BY(mutex_);  ///< of ended streams, and the writer's own
};

}  // namespace arrowport::zerobus
