#include "wire/flight/reply_handler.h"

#include <utility>

#include "wire/flight/error_map.h"

namespace arrowport::wire::flight {
namespace {

/// What both kinds of handler do: take the request message, send the replies.
class ReplyHandler : public net::CallHandler {
 public:
  explicit ReplyHandler(std::shared_ptr<net::Call> call)
      : call_(std::move(call)), outbox_(call_) {}

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
    OnRequest(request_);
  }

  void OnBodyError(arrow::Status status) override {
    if (!finished_) End(status);
  }

  void OnWritable() override {
    outbox_.OnWritable();
    EndWhenSent();
  }

  void OnDone(const arrow::Status&) override { finished_ = true; }

 protected:
  virtual void OnRequest(const std::shared_ptr<arrow::Buffer>& request) = 0;

  /// REQUIRES: an event of the call, or a task posted to it.
  void SendReplies(arrow::Result<Replies> replies) {
    if (finished_) return;
    if (!replies.ok()) return End(replies.status());
    for (auto& reply : *replies) outbox_.Add(std::move(reply));
    answered_ = true;
    EndWhenSent();
  }
  const std::shared_ptr<net::Call>& call() const { return call_; }

 private:
  void EndWhenSent() {
    if (answered_ && !finished_ && outbox_.empty()) End(arrow::Status::OK());
  }
  void End(const arrow::Status& status) {
    finished_ = true;
    Finish(*call_, status);
  }

  const std::shared_ptr<net::Call> call_;
  Outbox outbox_;
  std::shared_ptr<arrow::Buffer> request_;
  bool received_ = false;
  bool answered_ = false;
  bool finished_ = false;
};

class PromptHandler : public ReplyHandler {
 public:
  PromptHandler(std::shared_ptr<net::Call> call, Answer answer)
      : ReplyHandler(std::move(call)), answer_(std::move(answer)) {}

 private:
  void OnRequest(const std::shared_ptr<arrow::Buffer>& request) override {
    SendReplies(answer_(request));
  }

  const Answer answer_;
};

class LaterHandler : public ReplyHandler {
 public:
  LaterHandler(std::shared_ptr<net::Call> call, LaterAnswer answer)
      : ReplyHandler(std::move(call)), answer_(std::move(answer)) {}

 private:
  void OnRequest(const std::shared_ptr<arrow::Buffer>& request) override {
    // The handler is gone with the call, and so is what was posted to it.
    answer_(request, [this, call = call()](arrow::Result<Replies> replies) {
      call->Post([this, replies = std::move(replies)] { SendReplies(replies); });
    });
  }

  const LaterAnswer answer_;
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
  return std::make_unique<PromptHandler>(std::move(call), std::move(answer));
}

std::unique_ptr<net::CallHandler> MakeLaterReplyHandler(std::shared_ptr<net::Call> call,
                                                        LaterAnswer answer) {
  return std::make_unique<LaterHandler>(std::move(call), std::move(answer));
}

}  // namespace arrowport::wire::flight
