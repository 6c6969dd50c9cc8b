#include "client/batch_writer.h"

#include <arrow/util/byte_size.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <thread>

#include "base/error.h"
#include "base/mutex.h"
#include "client/upload.h"

namespace arrowport::client {
namespace {

/// One call of the stream; its reader thread ends with it.
class BatchWriter : public Writer {
 public:
  BatchWriter(std::unique_ptr<Upload> upload, std::shared_ptr<arrow::Schema> schema,
              const WriterOptions& options)
      : options_(options), schema_(std::move(schema)), upload_(std::move(upload)) {
    reader_ = std::thread([this] { ReadAcks(); });
  }

  ~BatchWriter() override { (void)Close(); }

  arrow::Result<int64_t> Write(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    // Refused here, where nothing was sent: the server would never answer.
    if (!batch->schema()->Equals(*schema_, /*check_metadata=*/false)) {
      return Error(ErrorCode::kInvalidArgument,
                   "the batch does not have the schema the writer was opened with: ",
                   batch->schema()->ToString());
    }
    MutexLock order(write_mutex_);
    const int64_t bytes = arrow::util::ReferencedBufferSize(*batch).ValueOr(0);
    int64_t offset = 0;
    {
      MutexLock lock(mutex_);
      while (!reads_ended_ && !HasRoom(bytes)) lock.Wait(changed_);
      if (!reads_ended_) {
        offset = next_offset_++;
        unacknowledged_.push_back({offset, bytes});
        unacknowledged_bytes_ += bytes;
      }
    }
    if (!ReadsEnded() && upload_->Write(*batch, offset).ok()) return offset;
    // The server has ended the call: its last messages and its status say how.
    AwaitReadsEnded();
    return DeadStatus();
  }

  arrow::Status Flush() override {
    {
      MutexLock lock(mutex_);
      const int64_t target = next_offset_ - 1;
      while (!reads_ended_ && acknowledged_ < target) lock.Wait(changed_);
      if (acknowledged_ >= target) return {};
    }
    MutexLock order(write_mutex_);
    return DeadStatus();
  }

  arrow::Result<Receipt> Close() override {
    MutexLock order(write_mutex_);
    if (reader_.joinable()) {
      if (!ReadsEnded()) (void)upload_->DoneWriting();
      reader_.join();
    }
    ARROW_RETURN_NOT_OK(upload_->Finish());
    MutexLock lock(mutex_);
    if (!receipt_) return Error(ErrorCode::kInternal, "the server sent no summary");
    return *receipt_;
  }

  int64_t acknowledged_offset() const override {
    MutexLock lock(mutex_);
    return acknowledged_;
  }

  std::optional<int64_t> producer_last_sequence() const override {
    return upload_->producer_last_sequence();
  }

 private:
  struct Sent {
    int64_t offset;
    int64_t bytes;
  };

  bool HasRoom(int64_t bytes) const REQUIRES(mutex_) {
    if (unacknowledged_.empty()) return true;
    return static_cast<int64_t>(unacknowledged_.size()) <
               options_.unacknowledged_batches_max &&
           unacknowledged_bytes_ + bytes <= options_.unacknowledged_bytes_max;
  }

  bool ReadsEnded() const {
    MutexLock lock(mutex_);
    return reads_ended_;
  }

  void AwaitReadsEnded() {
    MutexLock lock(mutex_);
    while (!reads_ended_) lock.Wait(changed_);
  }

  /// The end of the call, which must not meet a write of another thread.
  arrow::Status DeadStatus() REQUIRES(write_mutex_) {
    ARROW_RETURN_NOT_OK(upload_->Finish());
    return Error(ErrorCode::kInvalidArgument, "the writer is closed");
  }

  void ReadAcks() {
    while (true) {
      auto message = upload_->Read();
      if (!message.ok() || !*message) break;
      if ((*message)->ack) Take(*(*message)->ack);
      if ((*message)->summary) {
        // The summary of a clean end acknowledges all.
        MutexLock lock(mutex_);
        receipt_ = (*message)->summary;
        acknowledged_ = next_offset_ - 1;
        unacknowledged_.clear();
      }
    }
    MutexLock lock(mutex_);
    reads_ended_ = true;
    changed_.notify_all();
  }

  void Take(const Ack& ack) {
    {
      MutexLock lock(mutex_);
      acknowledged_ = std::max(acknowledged_, std::min(ack.offset, next_offset_ - 1));
      while (!unacknowledged_.empty() && unacknowledged_.front().offset <= acknowledged_) {
        unacknowledged_bytes_ -= unacknowledged_.front().bytes;
        unacknowledged_.pop_front();
      }
      changed_.notify_all();
    }
    if (options_.on_ack) options_.on_ack(ack);
  }

  const WriterOptions options_;
  const std::shared_ptr<arrow::Schema> schema_;
  const std::unique_ptr<Upload> upload_;
  std::thread reader_;
  Mutex write_mutex_;  // before mutex_; keeps writes in order and away from the end

  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sent> unacknowledged_ GUARDED_BY(mutex_);
  int64_t unacknowledged_bytes_ GUARDED_BY(mutex_) = 0;
  int64_t next_offset_ GUARDED_BY(mutex_) = 0;
  int64_t acknowledged_ GUARDED_BY(mutex_) = -1;
  std::optional<Receipt> receipt_ GUARDED_BY(mutex_);
  bool reads_ended_ GUARDED_BY(mutex_) = false;
};

}  // namespace

arrow::Result<std::unique_ptr<Writer>> OpenBatchWriter(
    std::shared_ptr<Connection> connection, const std::string& stream,
    const std::shared_ptr<arrow::Schema>& schema, const WriterOptions& options) {
  UploadRequest request;
  request.stream = stream;
  request.commit = CommitMode::kBatch;
  request.producer = options.producer;
  request.sequence = options.sequence;
  request.settings = options.settings;
  ARROW_ASSIGN_OR_RAISE(auto upload, Upload::Open(std::move(connection), request, schema));
  return std::make_unique<BatchWriter>(std::move(upload), schema, options);
}

}  // namespace arrowport::client
