#include "wire/flight/put_handler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "wire/flight/error_map.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/put_replies.h"
#include "wire/flight/put_request.h"
#include "wire/flight/reply_handler.h"

namespace arrowport::wire::flight {
namespace {

constexpr int64_t kAppMetadataBytesMax = 64 << 10;

class PutHandler;

// Takes the session's news on whatever thread they come and has the handler collect them
// on its own. At most one task is posted at a time, so news cannot pile up.
class PutObserver : public ingest::SessionObserver {
 public:
  struct News {
    bool ready = false;
    std::vector<ingest::Ack> acks;
    std::optional<arrow::Result<ingest::Receipt>> done;
  };

  PutObserver(std::shared_ptr<net::Call> call, PutHandler* handler)
      : call_(std::move(call)), handler_(handler) {}

  void OnReady() override {
    Tell([](News* news) { news->ready = true; });
  }
  void OnAck(const ingest::Ack& ack) override {
    Tell([&ack](News* news) {
      if (!news->acks.empty() && ack.quarantined.empty()) {
        auto& last = news->acks.back();
        last.offset = ack.offset;
        last.records = ack.records;
        last.version = ack.version;
      } else {
        news->acks.push_back(ack);
      }
    });
  }
  void OnDone(arrow::Result<ingest::Receipt> result) override {
    Tell([&result](News* news) { news->done.emplace(std::move(result)); });
  }

  News Take() {
    MutexLock lock(mutex_);
    posted_ = false;
    return std::exchange(news_, {});
  }

 private:
  template <typename Change>
  void Tell(Change change) {
    {
      MutexLock lock(mutex_);
      change(&news_);
      if (std::exchange(posted_, true)) return;
    }
    Post();
  }
  void Post();

  const std::shared_ptr<net::Call> call_;
  // Alive whenever a posted task runs: tasks are dropped after OnDone.
  PutHandler* const handler_;
  Mutex mutex_;
  bool posted_ GUARDED_BY(mutex_) = false;
  News news_ GUARDED_BY(mutex_);
};

// All members belong to the serial events of the call.
class PutHandler : public net::CallHandler {
 public:
  PutHandler(std::shared_ptr<net::Call> call, PutOptions options)
      : call_(std::move(call)),
        options_(std::move(options)),
        decoder_(options_.limits, options_.budget) {}

  ~PutHandler() override {
    if (session_) session_->Abort();
  }

  void OnMessage(net::Message message) override {
    if (state_ == State::kFinished || state_ == State::kFailing) return;
    const auto status = Take(std::move(message));
    if (!status.ok()) Fail(status);
  }

  void OnEnd() override {
    if (state_ == State::kFinished || state_ == State::kFailing) return;
    if (state_ != State::kStreaming) {
      return Fail(
          Error(ErrorCode::kIncompleteStream, "the upload ended before its schema"));
    }
    state_ = State::kCommitting;
    session_->Finish();
  }

  void OnBodyError(arrow::Status status) override {
    if (state_ != State::kFinished && state_ != State::kFailing) Fail(status);
  }

  void OnWritable() override {
    writable_ = true;
    Report();
  }

  void OnDone(const arrow::Status& status) override {
    // Only our own Finish ends well; whatever else ended the call, nothing uncommitted
    // may stay.
    if (session_) session_->Abort();
    session_.reset();
    state_ = State::kFinished;
  }

  // Takes the session's news; a task of the observer.

  void Collect() {
    auto news = observer_->Take();
    if (state_ == State::kFinished) return;
    for (const auto& ack : news.acks) {
      acknowledged_ = std::max(acknowledged_, ack.offset);
      acks_.Add(ack);
    }
    if (news.done) done_ = std::move(news.done);
    if (news.ready && state_ == State::kStreaming) call_->ResumeReading();
    Report();
  }

 private:
  enum class State {
    kOpening,     ///< no schema yet
    kStreaming,   ///< batches go to the session
    kCommitting,  ///< all batches are in, the session's answer is awaited
    kFailing,     ///< batch mode: an error waits for what came before it
    kFinished,
  };

  arrow::Status Take(net::Message message);
  arrow::Status Open(const std::shared_ptr<arrow::Buffer>& descriptor);
  arrow::Status CheckOffset(const std::shared_ptr<arrow::Buffer>& app_metadata,
                            bool has_batch) const;
  arrow::Status Push(std::shared_ptr<arrow::RecordBatch> batch);
  void Fail(const arrow::Status& status);
  void Report();
  void End(const arrow::Status& status);
  void Send(net::Slices reply) {
    writable_ = call_->Write(std::move(reply)) && writable_;
  }
  bool batch_mode() const { return commit_ == ingest::CommitMode::kBatch; }

  const std::shared_ptr<net::Call> call_;
  const PutOptions options_;
  ipc::BatchDecoder decoder_;
  State state_ = State::kOpening;
  ingest::CommitMode commit_ = ingest::CommitMode::kStream;
  std::shared_ptr<PutObserver> observer_;
  std::unique_ptr<ingest::Session> session_;
  int64_t next_offset_ = 0;    ///< of the next record batch
  int64_t acknowledged_ = -1;  ///< offset of the last durable batch
  bool session_dead_ = false;  ///< a Push failed
  bool writable_ = true;
  AckMerger acks_;
  std::optional<arrow::Result<ingest::Receipt>> done_;
  arrow::Status failure_;
};

void PutObserver::Post() {
  call_->Post([handler = handler_] { handler->Collect(); });
}

arrow::Status PutHandler::Open(const std::shared_ptr<arrow::Buffer>& descriptor) {
  if (!descriptor) {
    return Error(ErrorCode::kInvalidArgument,
                 "the first message of DoPut must carry a descriptor");
  }
  proto::FlightDescriptor parsed;
  ARROW_RETURN_NOT_OK(ParseMessage(descriptor, "FlightDescriptor", &parsed));
  ARROW_ASSIGN_OR_RAISE(auto request, PutRequestOf(parsed, call_->head()));
  commit_ = request.commit;
  observer_ = std::make_shared<PutObserver>(call_, this);
  ARROW_ASSIGN_OR_RAISE(session_, options_.ingest->Open(std::move(request), observer_));
  return {};
}

arrow::Status PutHandler::Take(net::Message message) {
  if (state_ == State::kCommitting) return {};
  if (!session_) ARROW_RETURN_NOT_OK(Open(message.descriptor));
  if (!message.metadata) return CheckOffset(message.app_metadata, false);
  const std::string place = "message " + std::to_string(next_offset_);
  auto decoded = decoder_.Next(std::move(message.metadata), std::move(message.body));
  if (!decoded.ok()) return WithContext(place, decoded.status());
  if (state_ == State::kOpening && decoder_.schema()) {
    ARROW_RETURN_NOT_OK(session_->Start(decoder_.schema()));
    state_ = State::kStreaming;
    Send(ReadyReply(session_->producer_last_sequence()));
  }
  ARROW_RETURN_NOT_OK(
      WithContext(place, CheckOffset(message.app_metadata, *decoded != nullptr)));
  if (!*decoded) return {};
  return WithContext(place, Push(std::move(*decoded)));
}

arrow::Status PutHandler::Push(std::shared_ptr<arrow::RecordBatch> batch) {
  auto flow = session_->Push(std::move(batch));
  if (!flow.ok()) {
    session_dead_ = true;
    return flow.status();
  }
  ++next_offset_;
  // OnReady may have come by now on another thread, but its task runs after this one.
  if (*flow == ingest::Flow::kPause) call_->PauseReading();
  return {};
}

arrow::Status PutHandler::CheckOffset(const std::shared_ptr<arrow::Buffer>& app_metadata,
                                      bool has_batch) const {
  if (!app_metadata || app_metadata->size() == 0) return {};
  if (app_metadata->size() > kAppMetadataBytesMax) {
    return Error(ErrorCode::kTooLarge, "app_metadata exceeds the limit of ",
                 kAppMetadataBytesMax, " bytes: ", app_metadata->size());
  }
  const char* begin = app_metadata->data_as<char>();
  const auto object =
      nlohmann::json::parse(begin, begin + app_metadata->size(), nullptr, false);
  // What other applications put there is none of ours.
  if (!object.is_object() || !object.contains("offset_id")) return {};
  const auto& offset = object["offset_id"];
  if (!offset.is_number_integer()) {
    return Error(ErrorCode::kInvalidArgument, "offset_id is not an integer");
  }
  if (!has_batch) {
    return Error(ErrorCode::kInvalidArgument,
                 "offset_id on a message without a record batch");
  }
  if (offset != next_offset_) {
    return Error(ErrorCode::kInvalidArgument, "offset_id must count up from 0: expected ",
                 next_offset_, ", got ", offset.dump());
  }
  return {};
}

void PutHandler::Fail(const arrow::Status& status) {
  if (!batch_mode() || !session_ || next_offset_ == 0) return End(status);
  // Every message stands for itself: those before this one are committed first.
  failure_ = status;
  state_ = State::kFailing;
  // Nothing more is of use; the rest of the upload is read and dropped.
  call_->ResumeReading();
  if (!session_dead_) session_->Finish();
  Report();
}

void PutHandler::Report() {
  if (state_ == State::kFinished) return;
  const bool earlier_settled =
      done_ || (session_dead_ && acknowledged_ + 1 >= next_offset_);
  const bool last = state_ == State::kFailing ? earlier_settled : done_.has_value();
  if (acks_.pending() && (writable_ || last)) Send(acks_.Take());
  if (!last) return;
  if (state_ == State::kFailing) return End(failure_);
  if (!done_->ok()) return End(done_->status());
  Send(SummaryReply(**done_, call_->head().request_id));
  End(arrow::Status::OK());
}

void PutHandler::End(const arrow::Status& status) {
  state_ = State::kFinished;
  if (session_ && !done_) session_->Abort();
  session_.reset();
  // A paused body would keep the call's window full to the end.
  call_->ResumeReading();
  Finish(*call_, status);
}

}  // namespace

std::unique_ptr<net::CallHandler> MakePutHandler(std::shared_ptr<net::Call> call,
                                                 PutOptions options) {
  return std::make_unique<PutHandler>(std::move(call), std::move(options));
}

}  // namespace arrowport::wire::flight
