// The handler of every method with one request message and a known list of replies.
#pragma once

#include <arrow/result.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Ends `call` as `status` says.
void Finish(net::Call& call, const arrow::Status& status);

/// Messages on their way to the peer: holds back what the transport does not want yet.
/// Caller-locked.
class Outbox {
 public:
  explicit Outbox(std::shared_ptr<net::Call> call) : call_(std::move(call)) {}

  /// Queues one message and sends what may be sent.
  void Add(net::Slices message);
  /// After CallHandler::OnWritable.
  void OnWritable();
  /// Whether the transport takes more; if not, OnWritable will come.
  bool writable() const { return writable_; }
  bool empty() const { return waiting_.empty(); }

 private:
  void Pump();

  const std::shared_ptr<net::Call> call_;
  std::deque<net::Slices> waiting_;
  bool writable_ = true;
};

using Replies = std::vector<net::Slices>;
/// Called on a worker with the request message (null: it was empty); may block.
using Answer =
    std::function<arrow::Result<Replies>(const std::shared_ptr<arrow::Buffer>&)>;

std::unique_ptr<net::CallHandler> MakeReplyHandler(std::shared_ptr<net::Call> call,
                                                   Answer answer);

using Deliver = std::function<void(arrow::Result<Replies>)>;
/// As Answer, but may return before the replies are there; `deliver` is then called once,
/// on any thread, also after the call has ended.
using LaterAnswer =
    std::function<void(const std::shared_ptr<arrow::Buffer>&, Deliver deliver)>;

/// For what may take long: no worker waits.
std::unique_ptr<net::CallHandler> MakeLaterReplyHandler(std::shared_ptr<net::Call> call,
                                                        LaterAnswer answer);

}  // namespace arrowport::wire::flight
