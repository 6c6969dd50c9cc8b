#include "wire/flight/get_handler.h"

#include <utility>

#include "base/error.h"
#include "wire/flight/command.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/run_once.h"

namespace arrowport::wire::flight {
namespace {

class GetHandler : public net::CallHandler {
 public:
  GetHandler(std::shared_ptr<net::Call> call, GetOptions options)
      : call_(std::move(call)), options_(std::move(options)) {}

  void OnMessage(net::Message message) override {
    if (ended_) return;
    if (received_) {
      return Fail(Error(ErrorCode::kInvalidArgument, "DoGet takes one ticket"));
    }
    received_ = true;
    ticket_ = std::move(message.body);
  }

  void OnEnd() override {
    if (ended_) return;
    const auto status = Run();
    if (!status.ok()) Fail(status);
  }

  void OnBodyError(arrow::Status status) override {
    if (!ended_) Fail(status);
  }

  void OnWritable() override {
    if (sender_ && sender_->OnWritable() && cursor_) cursor_->Resume();
  }

  void OnDone(const arrow::Status&) override {
    ended_ = true;
    cursor_.reset();
  }

 private:
  arrow::Status Run() {
    proto::Ticket ticket;
    ARROW_RETURN_NOT_OK(ParseMessage(ticket_, "Ticket", &ticket));
    ARROW_ASSIGN_OR_RAISE(const auto command, ParseCommand(ticket.ticket()));
    sender_ = std::make_shared<ResultSender>(call_, options_.sender);
    if (IsGetSqlInfo(command)) {
      ARROW_ASSIGN_OR_RAISE(const auto batch, MakeSqlInfo(command, options_.facts));
      SendOne(batch);
      return {};
    }
    if (const auto count = CountOf(command)) {
      ARROW_ASSIGN_OR_RAISE(const auto batch, MakeCountBatch(*count));
      SendOne(batch);
      return {};
    }
    ARROW_ASSIGN_OR_RAISE(auto request, QueryOf(command, call_->head()));
    ARROW_ASSIGN_OR_RAISE(cursor_, options_.query->Execute(std::move(request), sender_));
    return {};
  }

  void SendOne(const std::shared_ptr<arrow::RecordBatch>& batch) {
    sender_->OnSchema(batch->schema());
    sender_->OnBatch(batch);
    sender_->OnEnd(arrow::Status::OK());
  }

  void Fail(const arrow::Status& status) {
    ended_ = true;
    Finish(*call_, status);
  }

  const std::shared_ptr<net::Call> call_;
  const GetOptions options_;
  std::shared_ptr<arrow::Buffer> ticket_;
  std::shared_ptr<ResultSender> sender_;
  std::unique_ptr<query::Cursor> cursor_;
  bool received_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<net::CallHandler> MakeGetHandler(std::shared_ptr<net::Call> call,
                                                 GetOptions options) {
  return std::make_unique<GetHandler>(std::move(call), std::move(options));
}

}  // namespace arrowport::wire::flight
