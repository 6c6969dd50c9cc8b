#include "cli/program/local_ingest.h"


#include "base/error.h"
#include "ingest/blocking_observer.h"
#include "client/upload.h"
#include "server/server.h"

namespace arrowport::cli {
namespace {

class LocalIngestImpl : public LocalIngest {
 public:
  explicit LocalIngestImpl(std::unique_ptr<server::LocalServices> services)
      : services_(std::move(services)) {}

  arrow::Result<Receipt> Send(const std::string& stream, arrow::RecordBatchReader& reader,
                              const SendOptions& options) override {
    ingest::Request request;
    request.stream = stream;
    request.overrides = options.settings;
    request.idempotency_key = options.idempotency_key;
    request.producer = options.producer;
    request.sequence = options.sequence;
    request.protocol = "local";
    auto waiter = std::make_shared<ingest::BlockingObserver>();
    ARROW_ASSIGN_OR_RAISE(auto session,
                          services_->ingest().Open(std::move(request), waiter));
    ARROW_RETURN_NOT_OK(session->Start(reader.schema()));
    const arrow::Status pushed = PushAll(reader, *session, *waiter);
    if (!pushed.ok()) {
      session->Abort();
      return pushed;
    }
    session->Finish();
    ARROW_ASSIGN_OR_RAISE(const ingest::Receipt done, waiter->AwaitDone());
    return Receipt{done.stream,  done.table, done.backend,
                   done.durability, done.version, done.rows,
                   done.bytes,   done.batches, done.idempotent_replay,
                   done.quarantined, done.warning};
  }

  arrow::Status Close() override { return services_->Close(); }

 private:
  static arrow::Status PushAll(arrow::RecordBatchReader& reader, ingest::Session& session,
                               ingest::BlockingObserver& waiter) {
    while (true) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) return {};
      for (const auto& piece : client::CutBatch(batch)) {
        waiter.ExpectPause();
        ARROW_ASSIGN_OR_RAISE(const ingest::Flow flow, session.Push(piece));
        if (flow == ingest::Flow::kPause) waiter.AwaitReady();
      }
    }
  }

  const std::unique_ptr<server::LocalServices> services_;
};

}  // namespace

arrow::Result<std::unique_ptr<LocalIngest>> OpenLocalIngest(
    const config::Settings& settings) {
  ARROW_ASSIGN_OR_RAISE(auto services, server::LocalServices::Open(settings));
  return std::make_unique<LocalIngestImpl>(std::move(services));
}

}  // namespace arrowport::cli
