// One upload over HTTP: body -> BatchSource -> ingest session -> reply once durable.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ingest/session.h"
#include "wire/http/batch_source.h"
#include "wire/http/exchange.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// The ingest request that path, query parameters and headers describe.
/// Errors: kInvalidArgument.
arrow::Result<ingest::Request> UploadRequestOf(const net::RequestHead& head,
                                               const std::string& stream);

/// The success reply of the contract.
Reply ReceiptReply(const ingest::Receipt& receipt, const std::string& request_id);

/// Events and posted tasks run one at a time (net::Call); no other thread enters.
class UploadHandler : public net::CallHandler {
 public:
  UploadHandler(std::unique_ptr<Exchange> exchange,
                std::shared_ptr<ingest::Service> service, ingest::Request request,
                std::unique_ptr<BatchSource> source);
  ~UploadHandler() override;

  void OnMessage(net::Message message) override;
  void OnEnd() override;
  void OnBodyError(arrow::Status status) override;
  void OnDone(const arrow::Status& status) override;

 private:
  class Relay;
  enum class State {
    kReading,    ///< pumping, or waiting for input
    kPaused,     ///< the session has no room
    kYielded,    ///< a posted Pump goes on
    kFinishing,  ///< all was pushed; the receipt comes
    kOver,       ///< answered or given up
  };

  void Pump();
  /// One step; false when pumping must stop for now.
  arrow::Result<bool> PumpOnce();
  arrow::Status OpenSession();
  arrow::Result<bool> PushBatch(std::shared_ptr<arrow::RecordBatch> batch);
  void OnReady();
  void OnReceipt(arrow::Result<ingest::Receipt> result);
  void Fail(const arrow::Status& status);
  void PauseReading();
  void ResumeReading();

  std::unique_ptr<Exchange> exchange_;
  const std::shared_ptr<ingest::Service> service_;
  ingest::Request request_;
  std::unique_ptr<BatchSource> source_;
  std::unique_ptr<ingest::Session> session_;
  State state_ = State::kReading;
  bool started_ = false;
  bool reading_paused_ = false;
};

}  // namespace arrowport::wire::http
