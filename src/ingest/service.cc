#include "ingest/service.h"

#include <utility>

#include "base/error.h"
#include "ingest/service_state.h"
#include "ingest/upload.h"
#include "schema/names.h"

namespace arrowport::ingest {
namespace {

constexpr size_t kKeyBytesMax = 255;

/// What the caller holds: going away means giving up.
class SessionHandle : public Session {
 public:
  explicit SessionHandle(std::shared_ptr<Upload> upload) : upload_(std::move(upload)) {}
  ~SessionHandle() override { upload_->Abort(); }

  arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) override {
    return upload_->Start(schema);
  }
  arrow::Result<Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) override {
    return upload_->Push(std::move(batch));
  }
  void Finish() override { upload_->Finish(); }
  void Abort() override { upload_->Abort(); }
  std::optional<int64_t> producer_last_sequence() const override {
    return upload_->producer_last_sequence();
  }

 private:
  const std::shared_ptr<Upload> upload_;
};

arrow::Status CheckToken(std::string_view what, std::string_view text) {
  if (text.size() > kKeyBytesMax) {
    return Error(ErrorCode::kInvalidArgument, what, " is longer than ", kKeyBytesMax,
                 " bytes: ", text.size());
  }
  for (unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) {
      return Error(ErrorCode::kInvalidArgument, what, " contains a control character");
    }
  }
  return {};
}

arrow::Status CheckExactlyOnce(const Request& request) {
  ARROW_RETURN_NOT_OK(CheckToken("idempotency key", request.idempotency_key));
  ARROW_RETURN_NOT_OK(CheckToken("producer", request.producer));
  if (!request.producer.empty() && !request.idempotency_key.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "give an idempotency key or a producer, not both");
  }
  if (request.producer.empty() != !request.sequence.has_value()) {
    return Error(ErrorCode::kInvalidArgument,
                 "producer and sequence belong together: give both or none");
  }
  if (request.sequence && *request.sequence < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "sequence is negative: ", *request.sequence);
  }
  return {};
}

arrow::Status CheckBatchMode(const Request& request, const StreamSettings& settings) {
  if (request.commit != CommitMode::kBatch) return {};
  if (!request.idempotency_key.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "commit mode batch takes no idempotency key: use producer and sequence");
  }
  if (WriteModeOf(settings) == WriteMode::kOverwrite) {
    return Error(ErrorCode::kInvalidArgument,
                 "commit mode batch cannot be combined with mode overwrite");
  }
  return {};
}

}  // namespace

LandingService::LandingService(std::shared_ptr<ServiceState> state)
    : state_(std::move(state)) {}

LandingService::~LandingService() { Stop(std::chrono::milliseconds(0)); }

arrow::Result<std::unique_ptr<LandingService>> LandingService::Make(
    ServiceOptions options) {
  for (const auto& [name, texts] : options.streams) {
    arrow::Status valid = ApplySettings(options.defaults, texts).status();
    if (!valid.ok()) return WithContext("streams." + name, valid);
  }
  auto state = std::make_shared<ServiceState>(std::move(options));
  ARROW_RETURN_NOT_OK(state->Start());
  return std::unique_ptr<LandingService>(new LandingService(std::move(state)));
}

arrow::Result<std::unique_ptr<Session>> LandingService::Open(
    Request request, std::shared_ptr<SessionObserver> observer) {
  if (state_->draining()) return Error(ErrorCode::kDraining, "server is shutting down");
  const auto live = state_->live();
  const int64_t name_bytes_max = live->limits.schema.identifier_bytes_max;
  ARROW_RETURN_NOT_OK(schema::CheckStreamName(request.stream, name_bytes_max));
  ARROW_RETURN_NOT_OK(CheckExactlyOnce(request));

  UploadContext context;
  context.opened_at = state_->options().clock->SteadyNow();
  context.settings = live->defaults;
  if (auto stream = live->streams.find(request.stream); stream != live->streams.end()) {
    ARROW_ASSIGN_OR_RAISE(context.settings,
                          ApplySettings(std::move(context.settings), stream->second));
  }
  ARROW_ASSIGN_OR_RAISE(context.settings,
                        ApplySettings(std::move(context.settings), request.overrides));
  const StreamSettings& settings = context.settings;
  ARROW_RETURN_NOT_OK(CheckBatchMode(request, settings));
  ARROW_ASSIGN_OR_RAISE(
      context.table,
      schema::ParseRoutedTable(
          settings.target_table.empty() ? request.stream : settings.target_table,
          name_bytes_max));
  context.backend = state_->FindBackend(settings.storage_backend);
  if (context.backend == nullptr) {
    return Error(ErrorCode::kNotBuilt,
                 "storage backend is not built: ", settings.storage_backend);
  }
  ARROW_RETURN_NOT_OK(context.backend->sink->CheckName(context.table));
  context.write_options =
      std::make_shared<const sink::WriteOptions>(WriteOptionsOf(settings));
  context.mode = WriteModeOf(settings);
  if (settings.on_mismatch == OnMismatch::kQuarantine) {
    return Error(ErrorCode::kNotBuilt, "on_mismatch quarantine is not built");
  }
  state_->Opened(request.stream, context.table.ToString(), context.backend->name);
  context.service = state_;
  context.limits = live->limits;
  context.request = std::move(request);
  const bool batch_mode = context.request.commit == CommitMode::kBatch;
  auto upload = batch_mode ? NewBatchUpload(std::move(context), std::move(observer))
                           : NewStreamUpload(std::move(context), std::move(observer));
  return std::make_unique<SessionHandle>(std::move(upload));
}

std::vector<StreamInfo> LandingService::Streams() const { return state_->Streams(); }

arrow::Status LandingService::Flush() {
  state_->outstanding().WaitUntil(std::chrono::steady_clock::now() +
                                  std::chrono::hours(24));
  return {};
}

arrow::Status LandingService::Checkpoint() {
  for (const auto& [name, backend] : state_->backends()) {
    ARROW_RETURN_NOT_OK(WithContext(name, backend.sink->Checkpoint()));
  }
  return {};
}

arrow::Status LandingService::Reload(StreamSettings defaults,
                                     std::map<std::string, SettingTexts> streams,
                                     Limits limits) {
  for (const auto& [name, texts] : streams) {
    arrow::Status valid = ApplySettings(defaults, texts).status();
    if (!valid.ok()) return WithContext("streams." + name, valid);
  }
  state_->set_live(std::make_shared<ServiceState::Live>(
      ServiceState::Live{std::move(defaults), std::move(streams), limits}));
  return {};
}

void LandingService::Stop(std::chrono::milliseconds grace) { state_->Stop(grace); }

}  // namespace arrowport::ingest
