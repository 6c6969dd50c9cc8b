// The writer's streams: opened, replaced, flushed, shut down.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/writer_impl.h"

namespace arrowport::zerobus {
namespace {

TimePoint Now() { return std::chrono::steady_clock::now(); }

void Merge(const WriterStatistics& from, WriterStatistics* into) {
  into->rows_durable += from.rows_durable;
  into->rows_failed += from.rows_failed;
  into->requests_sent += from.requests_sent;
  into->requests_replayed += from.requests_replayed;
  into->acks_received += from.acks_received;
  into->acks_without_progress += from.acks_without_progress;
  into->protocol_errors += from.protocol_errors;
  into->reconnects_after_failure += from.reconnects_after_failure;
  into->rotations += from.rotations;
  into->streams_opened += from.streams_opened;
  into->in_flight_requests += from.in_flight_requests;
  into->in_flight_bytes += from.in_flight_bytes;
}

}  // namespace

std::shared_ptr<Stream> WriterImpl::StartStream(const Encoding& encoding,
                                                int64_t first_offset) {
  Stream::Parts parts;
  const bool flight = options_.mode == Mode::kFlight;
  parts.core.stream = options_.stream;
  parts.core.requests_max = flight ? options_.stream.max_inflight_batches
                                   : options_.stream.max_inflight_requests;
  parts.core.attempt_timeout =
      flight ? options_.stream.connection_timeout : options_.stream.recovery_timeout;
  parts.core.first_offset = first_offset;
  parts.protocol = encoding.protocol();
  parts.plan = plan_;
  parts.observers = options_.observers;
  parts.listener = this;
  parts.uniform = [source = uniform_] { return (*source)(); };
  return Stream::Start(client_.get(), std::move(parts));
}

// One stream at a time: a batch of another kind waits until the one before is durable, so
// that offsets run on and nothing is encoded against the wrong schema.
arrow::Result<WriterImpl::Hold> WriterImpl::AcquireStream(const Encoding& encoding) {
  MutexLock lock(mutex_);
  while (true) {
    if (shut_down_) return MakeFailure(ErrorKind::kClosed, "the writer is shut down");
    if (switching_) {
      lock.Wait(changed_);
      continue;
    }
    const bool alive = stream_ && !stream_->ended();
    if (alive && stream_key_ == encoding.stream_key()) {
      ++holds_;
      return Hold(this, stream_);
    }
    if (alive && options_.schema_change == SchemaChange::kRefuse) {
      return MakeFailure(ErrorKind::kSchema,
                         "the batch's schema is not the one this writer began with");
    }
    switching_ = true;
    while (holds_ > 0) lock.Wait(changed_);
    const std::shared_ptr<Stream> old = std::exchange(stream_, nullptr);
    lock.Unlock();
    // Its failures are told to those who sent the rows.
    if (old) static_cast<void>(Retire(old.get(), Now() + options_.stream.flush_timeout));
    // Observers may write files; nobody encodes meanwhile, since there is no stream.
    ShowDescriptor(encoding);
    lock.Lock();
    if (old) next_offset_ = old->next_offset();
    if (!shut_down_) {
      stream_ = StartStream(encoding, next_offset_);
      stream_key_ = encoding.stream_key();
    }
    switching_ = false;
    changed_.notify_all();
  }
}

void WriterImpl::Release() {
  MutexLock lock(mutex_);
  if (--holds_ == 0) changed_.notify_all();
}

arrow::Status WriterImpl::Retire(Stream* stream, TimePoint deadline) {
  const int64_t end = stream->next_offset();
  const arrow::Status flushed = stream->WaitSettled(end, deadline);
  static_cast<void>(stream->Close());
  // Acks may have come while it closed, and rows may have failed then.
  const arrow::Status settled = stream->WaitSettled(end, deadline);
  stream->Stop();
  auto left = stream->TakeUnacknowledged();
  const WriterStatistics counters = stream->counters();
  MutexLock lock(mutex_);
  Merge(counters, &counters_);
  std::move(left.begin(), left.end(), std::back_inserter(unacknowledged_));
  const auto kept_max = static_cast<size_t>(options_.mode == Mode::kFlight
                                                ? options_.stream.max_inflight_batches
                                                : options_.stream.max_inflight_requests);
  if (unacknowledged_.size() > kept_max) {
    unacknowledged_.erase(unacknowledged_.begin(),
                          unacknowledged_.end() - static_cast<ptrdiff_t>(kept_max));
  }
  if (settled.ok()) return settled;
  return flushed.ok() ? settled : flushed;
}

arrow::Status WriterImpl::Flush() {
  const arrow::Status status = FlushStream();
  for (const auto& observer : options_.observers) observer->OnFlush();
  return status;
}

arrow::Status WriterImpl::FlushStream() {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    while (switching_) lock.Wait(changed_);
    stream = stream_;
  }
  if (!stream) return {};
  return stream->WaitSettled(stream->next_offset(),
                             Now() + options_.stream.flush_timeout);
}

arrow::Status WriterImpl::WaitForOffset(int64_t offset) {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    while (switching_) lock.Wait(changed_);
    stream = stream_;
  }
  const int64_t end = [&] {
    MutexLock lock(mutex_);
    return stream ? stream->next_offset() : next_offset_;
  }();
  if (offset < 0 || offset >= end) {
    return Error(ErrorCode::kInvalidArgument, "no request has this offset: ", offset);
  }
  if (stream) {
    ARROW_RETURN_NOT_OK(
        stream->WaitSettled(offset + 1, Now() + options_.stream.flush_timeout));
  }
  MutexLock lock(mutex_);
  for (const FailedRange& range : failed_ranges_) {
    if (offset >= range.first_offset && offset <= range.last_offset) return range.error;
  }
  return {};
}

arrow::Status WriterImpl::Shutdown() {
  const TimePoint deadline = Now() + options_.stream.flush_timeout;
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    if (shut_down_) {
      while (!shutdown_status_) lock.Wait(changed_);
      return *shutdown_status_;
    }
    shut_down_ = true;
    changed_.notify_all();
    while (switching_) lock.Wait(changed_);
    // Those who are still handing over their batches may finish.
    while (holds_ > 0 && lock.WaitUntil(changed_, deadline) != std::cv_status::timeout) {
    }
    stream = stream_;
  }
  arrow::Status status;
  if (stream) status = Retire(stream.get(), deadline);
  const int64_t dropped = callbacks_->Finish(options_.stream.callback_max_wait);
  for (const auto& observer : options_.observers) {
    observer->OnFlush();
    observer->OnShutdown();
  }
  MutexLock lock(mutex_);
  if (stream) next_offset_ = stream->next_offset();
  stream_ = nullptr;
  counters_.callbacks_dropped += dropped;
  shutdown_status_ = status;
  changed_.notify_all();
  return status;
}

arrow::Result<std::vector<UnacknowledgedBatch>> WriterImpl::TakeUnacknowledged() {
  std::vector<StreamCore::Unacknowledged> left;
  {
    MutexLock lock(mutex_);
    left = std::exchange(unacknowledged_, {});
    if (stream_) {
      auto more = stream_->TakeUnacknowledged();
      std::move(more.begin(), more.end(), std::back_inserter(left));
    }
  }
  std::vector<UnacknowledgedBatch> batches;
  for (const auto& request : left) {
    ARROW_ASSIGN_OR_RAISE(auto rows,
                          request.delivery->Rows(request.first_row, request.rows));
    batches.push_back({request.offset, std::move(rows)});
  }
  return batches;
}

WriterStatistics WriterImpl::statistics() const {
  MutexLock lock(mutex_);
  WriterStatistics sum = counters_;
  if (stream_) Merge(stream_->counters(), &sum);
  sum.tokens_minted = client_->tokens()->minted();
  return sum;
}

}  // namespace arrowport::zerobus
