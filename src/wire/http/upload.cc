#include "wire/http/upload.h"

#include <charconv>
#include <utility>

#include "base/error.h"
#include "ingest/receipt_json.h"
#include "wire/http/request_target.h"
#include "wire/http/setting_overrides.h"

namespace arrowport::wire::http {
namespace {

/// Steps between two looks at other calls of the worker.
constexpr int kStepsPerTurn = 16;

arrow::Result<int64_t> ParseSequence(const std::string& text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        "Arrowport-Sequence must be a whole number from 0 on, not: ", text.substr(0, 40));
  }
  return value;
}

}  // namespace

arrow::Result<ingest::Request> UploadRequestOf(const net::RequestHead& head,
                                               const std::string& stream) {
  ingest::Request request;
  request.stream = stream;
  request.protocol = "rest";
  request.request_id = head.request_id;
  ARROW_ASSIGN_OR_RAISE(QueryParameters parameters, ParseQueryPart(head.query));
  for (auto& [name, value] : parameters) {
    request.overrides[SettingNameOf(name)] = std::move(value);
  }
  const std::string* key = head.Header("idempotency-key");
  const std::string* producer = head.Header("arrowport-producer");
  const std::string* sequence = head.Header("arrowport-sequence");
  if (key != nullptr && producer != nullptr) {
    return Error(ErrorCode::kInvalidArgument,
                 "send Idempotency-Key or Arrowport-Producer, not both");
  }
  if ((producer == nullptr) != (sequence == nullptr)) {
    return Error(ErrorCode::kInvalidArgument,
                 "Arrowport-Producer and Arrowport-Sequence go together: one is missing");
  }
  if (key != nullptr) {
    if (key->empty() || key->size() > 255) {
      return Error(ErrorCode::kInvalidArgument,
                   "Idempotency-Key must have 1 to 255 bytes, has: ", key->size());
    }
    request.idempotency_key = *key;
  }
  if (producer != nullptr) {
    if (producer->empty() || producer->size() > 255) {
      return Error(
          ErrorCode::kInvalidArgument,
          "Arrowport-Producer must have 1 to 255 bytes, has: ", producer->size());
    }
    request.producer = *producer;
    ARROW_ASSIGN_OR_RAISE(request.sequence, ParseSequence(*sequence));
  }
  return request;
}

Reply ReceiptReply(const ingest::Receipt& receipt, const std::string& request_id) {
  Reply reply;
  reply.status = receipt.quarantined ? 202 : 200;
  reply.body = ingest::ReceiptJson(receipt, request_id);
  return reply;
}

/// Carries the session's callbacks to the call's own sequence. Holds the handler by plain
/// pointer: posted tasks are dropped once the call is over, before the handler goes.
class UploadHandler::Relay : public ingest::SessionObserver {
 public:
  Relay(std::shared_ptr<net::Call> call, UploadHandler* handler)
      : call_(std::move(call)), handler_(handler) {}

  void OnReady() override {
    call_->Post([handler = handler_] { handler->OnReady(); });
  }
  void OnAck(const ingest::Ack&) override {}
  void OnDone(arrow::Result<ingest::Receipt> result) override {
    call_->Post(
        [handler = handler_, result = std::move(result)] { handler->OnReceipt(result); });
  }

 private:
  const std::shared_ptr<net::Call> call_;
  UploadHandler* const handler_;
};

UploadHandler::UploadHandler(std::unique_ptr<Exchange> exchange,
                             std::shared_ptr<ingest::Service> service,
                             ingest::Request request, std::unique_ptr<BatchSource> source)
    : exchange_(std::move(exchange)),
      service_(std::move(service)),
      request_(std::move(request)),
      source_(std::move(source)) {}

UploadHandler::~UploadHandler() = default;

void UploadHandler::OnMessage(net::Message message) {
  if (state_ == State::kOver) return;
  source_->Feed(std::move(message));
  if (state_ == State::kReading) Pump();
}

void UploadHandler::OnEnd() {
  if (state_ == State::kOver) return;
  source_->FeedEnd();
  if (state_ == State::kReading) Pump();
}

void UploadHandler::OnBodyError(arrow::Status status) { Fail(status); }

void UploadHandler::OnDone(const arrow::Status&) {
  const bool finished = state_ == State::kFinishing || state_ == State::kOver;
  if (session_ && !finished) session_->Abort();
  state_ = State::kOver;
  session_.reset();
  source_.reset();
}

void UploadHandler::Pump() {
  state_ = State::kReading;
  for (int step = 0; step < kStepsPerTurn; ++step) {
    arrow::Result<bool> more = PumpOnce();
    if (!more.ok()) return Fail(more.status());
    if (!*more) return;
  }
  state_ = State::kYielded;
  PauseReading();
  exchange_->call().Post([this] {
    if (state_ == State::kYielded) Pump();
  });
}

arrow::Result<bool> UploadHandler::PumpOnce() {
  ARROW_ASSIGN_OR_RAISE(BatchSource::Step step, source_->Next());
  if (!session_ && source_->overrides() != nullptr) ARROW_RETURN_NOT_OK(OpenSession());
  if (!started_ && session_ && source_->schema()) {
    arrow::Status status = session_->Start(source_->schema());
    if (!status.ok()) session_.reset();
    ARROW_RETURN_NOT_OK(status);
    started_ = true;
  }
  switch (step.progress) {
    case BatchSource::Progress::kWorked:
      return true;
    case BatchSource::Progress::kNeedInput:
      ResumeReading();
      return false;
    case BatchSource::Progress::kBatch:
      return PushBatch(std::move(step.batch));
    case BatchSource::Progress::kEnd:
      break;
  }
  ARROWPORT_CHECK(started_);
  state_ = State::kFinishing;
  session_->Finish();
  return false;
}

arrow::Status UploadHandler::OpenSession() {
  for (const auto& [name, value] : *source_->overrides()) {
    request_.overrides[name] = value;
  }
  auto relay = std::make_shared<Relay>(exchange_->shared_call(), this);
  ARROW_ASSIGN_OR_RAISE(session_, service_->Open(std::move(request_), std::move(relay)));
  return {};
}

arrow::Result<bool> UploadHandler::PushBatch(std::shared_ptr<arrow::RecordBatch> batch) {
  arrow::Result<ingest::Flow> flow = session_->Push(std::move(batch));
  if (!flow.ok()) session_.reset();
  ARROW_RETURN_NOT_OK(flow.status());
  if (*flow == ingest::Flow::kContinue) return true;
  state_ = State::kPaused;
  PauseReading();
  return false;
}

void UploadHandler::OnReady() {
  if (state_ == State::kPaused) Pump();
}

void UploadHandler::OnReceipt(arrow::Result<ingest::Receipt> result) {
  if (state_ == State::kOver) return;
  if (!result.ok()) return Fail(result.status());
  state_ = State::kOver;
  exchange_->Send(ReceiptReply(*result, exchange_->head().request_id));
}

void UploadHandler::Fail(const arrow::Status& status) {
  if (state_ == State::kOver) return;
  if (session_ && state_ != State::kFinishing) session_->Abort();
  state_ = State::kOver;
  session_.reset();
  source_.reset();
  exchange_->Fail(status);
}

void UploadHandler::PauseReading() {
  if (std::exchange(reading_paused_, true)) return;
  exchange_->call().PauseReading();
}

void UploadHandler::ResumeReading() {
  if (!std::exchange(reading_paused_, false)) return;
  exchange_->call().ResumeReading();
}

}  // namespace arrowport::wire::http
