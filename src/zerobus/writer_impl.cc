#include "zerobus/writer_impl.h"

#include <arrow/util/byte_size.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <utility>

#include "base/error.h"
#include "zerobus/failure.h"
#include "zerobus/part_converter.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;

constexpr size_t kEncodingsMax = 16;
constexpr size_t kFailedRangesMax = 1000;
constexpr int kBlockedServiceCode = 6006;

TimePoint Now() { return std::chrono::steady_clock::now(); }

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

int64_t ArrowBytes(const arrow::RecordBatch& batch) {
  return arrow::util::ReferencedBufferSize(batch).ValueOr(
      arrow::util::TotalBufferSize(batch));
}

TransmissionResult AllFailed(int64_t rows, const arrow::Status& error) {
  const auto shared = std::make_shared<const arrow::Status>(error);
  std::vector<FailedRow> failed(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    failed[static_cast<size_t>(row)] = {row, shared};
  }
  return TransmissionResult(rows, std::move(failed), error);
}

// Splits failed rows into those worth another attempt and the others. Rows that failed
// together share their status, so few statuses are looked at.
void SplitFailures(const std::vector<FailedRow>& failed,
                   std::vector<FailedRow>* retryable,
                   std::vector<FailedRow>* final_rows) {
  const arrow::Status* last = nullptr;
  bool last_retryable = false;
  for (const FailedRow& row : failed) {
    if (row.error.get() != last) {
      last = row.error.get();
      last_retryable = FactsOf(*last).retryable;
    }
    (last_retryable ? retryable : final_rows)->push_back(row);
  }
}

// Finishes a future once, at the latest when nobody can any more.
struct PendingResult {
  arrow::Future<TransmissionResult> future;
  TransmissionResult result;
  bool finished = false;
  void Finish() {
    if (!std::exchange(finished, true)) future.MarkFinished(std::move(result));
  }
  ~PendingResult() { Finish(); }
};

}  // namespace

WriterImpl::WriterImpl(Options options, std::shared_ptr<ClientCore> client,
                       std::shared_ptr<const ConnectPlan> plan,
                       std::shared_ptr<HttpFetcher> http)
    : options_(std::move(options)),
      client_(std::move(client)),
      plan_(std::move(plan)),
      http_(std::move(http)),
      uniform_(std::make_shared<UniformSource>(std::random_device{}())),
      callbacks_(std::make_shared<CallbackQueue>(
          client_->callbacks(), options_.on_durable, options_.on_failed)),
      breaker_(options_.circuit_breaker, [source = uniform_] { return (*source)(); }) {}

WriterImpl::~WriterImpl() {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    shut_down_ = true;
    stream = std::move(stream_);
  }
  if (stream) stream->Stop();
  callbacks_->Finish(options_.stream.callback_max_wait);
}

// --- Sending ---

arrow::Status WriterImpl::CheckBatch(const std::shared_ptr<arrow::RecordBatch>& batch) {
  {
    MutexLock lock(mutex_);
    if (shut_down_) return MakeFailure(ErrorKind::kClosed, "the writer is shut down");
  }
  ARROW_RETURN_NOT_OK(AsFailure(ErrorKind::kConversion, batch->Validate()));
  return breaker_.Check(Now());
}

TransmissionResult WriterImpl::SendBatch(const std::shared_ptr<arrow::RecordBatch>& batch,
                                         const SendOptions& options) {
  const TimePoint began = Now();
  if (!batch) {
    return TransmissionResult(
        0, {}, MakeFailure(ErrorKind::kConfiguration, "no batch was given"));
  }
  TransmissionResult result;
  if (auto status = CheckBatch(batch); !status.ok()) {
    result = AllFailed(batch->num_rows(), status);
    result.set_measures(0, 0, ArrowBytes(*batch));
  } else if (batch->num_rows() > 0) {
    for (const auto& observer : options_.observers) observer->OnBatch(*batch);
    result = SendWithRetries(batch, options);
  }
  result.set_measures(result.attempts(), Milliseconds(Now() - began), ArrowBytes(*batch));
  FinishSend(result, Now() - began);
  return result;
}

TransmissionResult WriterImpl::SendWithRetries(
    const std::shared_ptr<arrow::RecordBatch>& batch, const SendOptions& options) {
  std::shared_ptr<arrow::RecordBatch> rest = batch;
  std::vector<int64_t> rows_of_rest;  // in the batch; empty: the same
  std::vector<FailedRow> failed;
  auto keep = [&](std::vector<FailedRow> rows) {
    for (FailedRow& row : rows) {
      if (!rows_of_rest.empty()) {
        row.index = rows_of_rest[static_cast<size_t>(row.index)];
      }
      failed.push_back(std::move(row));
    }
  };
  for (int attempt = 1;; ++attempt) {
    auto delivery = std::make_shared<BatchDelivery>(rest, BatchDelivery::Keeper::kSender);
    Offsets offsets;
    // What could not be submitted is settled as failed: the delivery tells it all.
    static_cast<void>(Submit(delivery, options,
                             attempt == 1 ? FirstTime::kYes : FirstTime::kNo, &offsets));
    delivery->Wait();
    TransmissionResult result = delivery->TakeResult();
    std::vector<FailedRow> retryable;
    std::vector<FailedRow> final_rows;
    SplitFailures(result.failed_rows(), &retryable, &final_rows);
    std::vector<int64_t> next_rows;
    for (const FailedRow& row : retryable) next_rows.push_back(row.index);
    auto next_rest =
        TransmissionResult(rest->num_rows(), retryable).ExtractFailedBatch(rest);
    const bool again = !retryable.empty() && next_rest.ok() &&
                       attempt < options_.retry.attempts_max &&
                       WaitBeforeRetry(attempt, *retryable.front().error);
    keep(std::move(final_rows));
    if (!again) {
      keep(std::move(retryable));
      std::sort(failed.begin(), failed.end(),
                [](const FailedRow& a, const FailedRow& b) { return a.index < b.index; });
      TransmissionResult whole(batch->num_rows(), std::move(failed), result.error());
      whole.set_measures(attempt, 0, 0);
      return whole;
    }
    for (int64_t& row : next_rows) {
      if (!rows_of_rest.empty()) row = rows_of_rest[static_cast<size_t>(row)];
    }
    rows_of_rest = std::move(next_rows);
    rest = *std::move(next_rest);
  }
}

bool WriterImpl::WaitBeforeRetry(int attempt, const arrow::Status& error) {
  const double longest =
      std::min(static_cast<double>(options_.retry.delay_max.count()),
               std::ldexp(static_cast<double>(options_.retry.delay_base.count()),
                          std::min(attempt - 1, 40)));
  milliseconds wait(static_cast<int64_t>((*uniform_)() * longest));
  if (const auto asked = RetryAfterSeconds(error)) {
    wait = std::max<milliseconds>(
        wait,
        std::min<milliseconds>(std::chrono::seconds(*asked), options_.retry.delay_max));
  }
  const TimePoint until = Now() + wait;
  MutexLock lock(mutex_);
  while (!shut_down_ && Now() < until) lock.WaitUntil(changed_, until);
  return !shut_down_;
}

arrow::Result<PendingSend> WriterImpl::SendAsync(
    const std::shared_ptr<arrow::RecordBatch>& batch, const SendOptions& options) {
  if (!batch) return MakeFailure(ErrorKind::kConfiguration, "no batch was given");
  ARROW_RETURN_NOT_OK(CheckBatch(batch));
  const TimePoint began = Now();
  PendingSend pending;
  pending.result = arrow::Future<TransmissionResult>::Make();
  if (batch->num_rows() > 0) {
    for (const auto& observer : options_.observers) observer->OnBatch(*batch);
  }
  auto delivery = std::make_shared<BatchDelivery>(batch, BatchDelivery::Keeper::kWriter);
  Offsets offsets;
  const arrow::Status status = Submit(delivery, options, FirstTime::kYes, &offsets);
  if (!status.ok() && offsets.first > offsets.last) return status;
  pending.first_offset = offsets.first;
  pending.last_offset = offsets.last;
  auto result = std::make_shared<PendingResult>();
  result->future = pending.result;
  std::weak_ptr<BatchDelivery> weak = delivery;
  // Runs on the thread that settles the last row, while the writer is still there.
  delivery->OnFinished([this, weak, result, began] {
    auto finished = weak.lock();
    if (!finished) return;
    result->result = finished->TakeResult();
    result->result.set_measures(1, Milliseconds(Now() - began),
                                ArrowBytes(*finished->batch()));
    FinishSend(result->result, Now() - began);
    callbacks_->Run([result] { result->Finish(); });
  });
  return pending;
}

void WriterImpl::FinishSend(const TransmissionResult& result,
                            std::chrono::nanoseconds time) {
  const bool by_breaker = result.attempts() == 0;
  if (!by_breaker) breaker_.Record(Now(), result.total_rows(), result.failed_count());
  if (!result.error().ok()) {
    const ErrorFacts facts = FactsOf(result.error());
    if (facts.service_code == kBlockedServiceCode) breaker_.OnBlocked(Now());
    if (facts.kind == ErrorKind::kSchema) table_stale_ = true;
  }
  for (const auto& observer : options_.observers) {
    observer->OnSendFinished(result, time);
  }
  MutexLock lock(mutex_);
  ++counters_.batches_sent;
  counters_.arrow_bytes += result.batch_size_bytes();
}

arrow::Status WriterImpl::Submit(const std::shared_ptr<BatchDelivery>& delivery,
                                 const SendOptions& options, FirstTime first_time,
                                 Offsets* offsets) {
  using Count = BatchDelivery::Count;
  const arrow::RecordBatch& batch = *delivery->batch();
  const int64_t rows = batch.num_rows();
  if (rows == 0) return {};
  auto encoding = FindEncoding(batch.schema(), options.descriptor);
  if (!encoding.ok()) {
    delivery->FailRest(Count::kUnencoded, 0, rows, encoding.status());
    return encoding.status();
  }
  // Taken before converting: the connection is made meanwhile.
  std::optional<Hold> hold;
  if (!options_.writer_disabled) {
    auto acquired = AcquireStream(**encoding);
    if (!acquired.ok()) {
      delivery->FailRest(Count::kUnencoded, 0, rows, acquired.status());
      return acquired.status();
    }
    hold.emplace(*std::move(acquired));
  }
  const auto prepared = (*encoding)->Prepare(delivery->batch());
  if (!prepared.ok()) {
    const arrow::Status error = AsFailure(ErrorKind::kConversion, prepared.status());
    delivery->FailRest(Count::kUnencoded, 0, rows, error);
    return error;
  }
  const int64_t bytes = ArrowBytes(batch);
  PartConverter parts(*encoding, delivery, *prepared, bytes);
  int64_t encoded_rows = 0;
  while (!parts.done()) {
    const int64_t first_row = parts.first_row();
    auto part = parts.Next();
    if (!part.ok()) {
      const arrow::Status error = AsFailure(ErrorKind::kConversion, part.status());
      delivery->FailRest(Count::kUnencoded, first_row, rows - first_row, error);
      return error;
    }
    Converted& converted = part->converted;
    if (first_time == FirstTime::kYes) {
      ShowConverted(**encoding, converted, part->rows, bytes / rows * part->rows,
                    part->time);
    }
    for (Request& request : converted.requests) request.first_row += encoded_rows;
    encoded_rows += converted.encoded_rows;
    const arrow::Status status =
        SubmitPart(delivery, **encoding, hold ? hold->operator->() : nullptr,
                   std::move(converted), offsets);
    if (!status.ok()) {
      const int64_t next_row = first_row + part->rows;
      delivery->FailRest(Count::kUnencoded, next_row, rows - next_row, status);
      return status;
    }
  }
  return {};
}

arrow::Status WriterImpl::SubmitPart(const std::shared_ptr<BatchDelivery>& delivery,
                                     const Encoding& encoding, Stream* stream,
                                     Converted converted, Offsets* offsets) {
  delivery->AddConversionFailures(std::move(converted.failed_rows));
  int64_t rows_left = converted.encoded_rows;
  for (Request& request : converted.requests) {
    const int64_t first_row = request.first_row;
    const int64_t rows = request.rows;
    if (stream == nullptr) {
      delivery->OnSettled(first_row, rows, nullptr, FailureScope::kRows);
      continue;
    }
    auto offset = stream->Submit(std::move(request));
    if (!offset.ok()) {
      delivery->FailRest(BatchDelivery::Count::kEncoded, first_row, rows_left,
                         offset.status());
      return offset.status();
    }
    if (offsets->first > offsets->last) offsets->first = *offset;
    offsets->last = *offset;
    rows_left -= rows;
  }
  return {};
}

void WriterImpl::ShowDescriptor(const Encoding& encoding) const {
  for (const auto& observer : options_.observers) {
    observer->OnDescriptor(encoding.shown_descriptor());
  }
}

void WriterImpl::ShowConverted(const Encoding& encoding, const Converted& converted,
                               int64_t rows, int64_t arrow_bytes,
                               std::chrono::nanoseconds time) {
  {
    MutexLock lock(mutex_);
    counters_.encoded_bytes += converted.encoded_bytes;
  }
  if (!options_.writer_disabled) return ShowRows(converted, rows, arrow_bytes, time);
  // No stream keeps the rows of different descriptors apart when nothing is sent.
  MutexLock lock(shown_mutex_);
  if (shown_key_ != encoding.stream_key()) {
    shown_key_ = encoding.stream_key();
    ShowDescriptor(encoding);
  }
  ShowRows(converted, rows, arrow_bytes, time);
}

void WriterImpl::ShowRows(const Converted& converted, int64_t rows, int64_t arrow_bytes,
                          std::chrono::nanoseconds time) const {
  for (const auto& observer : options_.observers) {
    for (const Request& request : converted.requests) {
      if (!request.records) continue;
      observer->OnEncoded({reinterpret_cast<const char*>(request.records->data()),
                           static_cast<size_t>(request.records->size())},
                          request.rows);
    }
    observer->OnConverted(rows, static_cast<int64_t>(converted.failed_rows.size()),
                          arrow_bytes, converted.encoded_bytes, time);
  }
}

// --- Schema ---

arrow::Result<std::shared_ptr<const Encoding>> WriterImpl::FindEncoding(
    const std::shared_ptr<arrow::Schema>& schema, const std::string& descriptor) {
  {
    MutexLock lock(mutex_);
    if (table_stale_) encodings_.clear();
    for (auto it = encodings_.begin(); it != encodings_.end(); ++it) {
      const Encoding& known = **it;
      if ((known.schema() == schema || known.schema()->Equals(*schema, false)) &&
          known.descriptor_option() == descriptor) {
        encodings_.splice(encodings_.begin(), encodings_, it);
        return encodings_.front();
      }
    }
  }
  std::shared_ptr<const encode::TableSchema> table;
  if (descriptor.empty()) {
    ARROW_ASSIGN_OR_RAISE(table, FindTable());
  }
  auto made = Encoding::Make(options_, schema, table, descriptor);
  if (!made.ok()) return AsFailure(KindOf(made.status()), made.status());
  MutexLock lock(mutex_);
  encodings_.push_front(*made);
  if (encodings_.size() > kEncodingsMax) encodings_.pop_back();
  return *made;
}

arrow::Result<std::shared_ptr<const encode::TableSchema>> WriterImpl::FindTable() {
  if (options_.unity_catalog_url.empty() || options_.writer_disabled) return nullptr;
  MutexLock lock(table_mutex_);
  if (table_stale_.exchange(false)) table_ = nullptr;
  if (table_) return table_;
  const OAuthIdentity who = identity();
  const std::string key = TokenKey(who, options_.table, TokenUse::kTableApi);
  for (bool again : {true, false}) {
    ARROW_ASSIGN_OR_RAISE(const TokenLease token, TableToken(key));
    auto table = FetchTable(http_.get(), who.catalog_url, options_.table, token.value,
                            options_.stream.recovery_timeout);
    if (table.ok()) {
      table_ = std::make_shared<const encode::TableSchema>(*std::move(table));
      return table_;
    }
    if (!again || KindOf(table.status()) != ErrorKind::kAuthentication) {
      return table.status();
    }
    client_->tokens()->Invalidate(key, token.generation);
  }
  return nullptr;
}

arrow::Result<TokenLease> WriterImpl::TableToken(const std::string& key) {
  if (!plan_->token) {
    ARROW_ASSIGN_OR_RAISE(const Headers headers, options_.header_provider());
    constexpr std::string_view kBearer = "Bearer ";
    for (const auto& [name, value] : headers) {
      if ((name == "authorization" || name == "Authorization") &&
          value.starts_with(kBearer)) {
        return TokenLease{value.substr(kBearer.size()), 0};
      }
    }
    return MakeFailure(ErrorKind::kTokenRefresh,
                       "the header provider gives no bearer token for the table API");
  }
  TokenCache::Request request = *plan_->token;
  request.key = key;
  request.timeout = options_.stream.recovery_timeout;
  request.mint = [http = http_, who = identity(),
                  table = options_.table](milliseconds timeout) {
    return MintToken(http.get(), who, std::string(), table, TokenUse::kTableApi, timeout);
  };
  auto answer = std::make_shared<std::promise<arrow::Result<TokenLease>>>();
  client_->tokens()->Get(request, [answer](arrow::Result<TokenLease> token) {
    answer->set_value(std::move(token));
  });
  return answer->get_future().get();
}

// --- Settlements ---

void WriterImpl::OnSettled(const Settlement& settlement) {
  if (!settlement.request_done) return;
  const int64_t offset = settlement.event.offset;
  std::shared_ptr<const arrow::Status> error = settlement.error;
  if (!error && settlement.request_failed) {
    error = std::make_shared<const arrow::Status>(
        MakeFailure(ErrorKind::kConversion, "some rows of the request were refused"));
  }
  callbacks_->Add(offset, error);
  if (!error) return;
  MutexLock lock(mutex_);
  if (!failed_ranges_.empty() && failed_ranges_.back().last_offset + 1 == offset &&
      settlement.scope == FailureScope::kStream) {
    failed_ranges_.back().last_offset = offset;
    return;
  }
  failed_ranges_.push_back({offset, offset, *error});
  if (failed_ranges_.size() > kFailedRangesMax) failed_ranges_.pop_front();
}

}  // namespace arrowport::zerobus
