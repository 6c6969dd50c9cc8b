#include "wire/flight/reply_handler.h"

#include <utility>

#include "wire/flight/error_map.h"

namespace arrowport::wire::flight {
namespace {

class ReplyHandler : public net::CallHandler {
 public:
  ReplyHandler(std::shared_ptr<net::Call> call, Answer answer)
      : call_(std::move(call)), answer_(std::move(answer)), outbox_(call_) {}

  void OnMessage(net::Message message) override {
    if (finished_) return;
    if (received_) {
      return End(
          Error(ErrorCode::kInvalidArgument, "this method takes one request message"));
    }
    received_ = true;
    request_ = std::move(message.body);
  }

  void OnEnd() override {
    if (finished_) return;
    if (!received_) {
      return End(Error(ErrorCode::kInvalidArgument, "the request message is missing"));
    }
    auto replies = answer_(request_);
    if (!replies.ok()) return End(replies.status());
    for (auto& reply : *replies) outbox_.Add(std::move(reply));
    answered_ = true;
    EndWhenSent();
  }

  void OnBodyError(arrow::Status status) override {
    if (!finished_) End(status);
  }

  void OnWritable() override {
    outbox_.OnWritable();
    EndWhenSent();
  }

  void OnDone(const arrow::Status&) override { finished_ = true; }

 private:
  void EndWhenSent() {
    if (answered_ && !finished_ && outbox_.empty()) End(arrow::Status::OK());
  }
  void End(const arrow::Status& status) {
    finished_ = true;
    Finish(*call_, status);
  }

  const std::shared_ptr<net::Call> call_;
  const Answer answer_;
  Outbox outbox_;
  std::shared_ptr<arrow::Buffer> request_;
  bool received_ = false;
  bool answered_ = false;
  bool finished_ = false;
};

}  // namespace

void Finish(net::Call& call, const arrow::Status& status) {
  call.Finish(OutcomeOf(status));
}

void Outbox::Add(net::Slices message) {
  waiting_.push_back(std::move(message));
  Pump();
}

void Outbox::OnWritable() {
  writable_ = true;
  Pump();
}

void Outbox::Pump() {
  while (writable_ && !waiting_.empty()) {
    writable_ = call_->Write(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

std::unique_ptr<net::CallHandler> MakeReplyHandler(std::shared_ptr<net::Call> call,
                                                   Answer answer) {
  return std::make_unique<ReplyHandler>(std::move(call), std::move(answer));
}

}  // namespace arrowport::wire::flight
