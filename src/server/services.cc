#include "server/services.h"

#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "query/service_options.h"
#include "server/delta_tables.h"
#include "server/landing_metrics.h"

namespace arrowport::server {
namespace {

// What is asked for and cannot be given must not be ignored when ignoring it would open a door.
arrow::Status RefuseUnbuilt(const config::Settings& settings) {
  if (!settings.auth.users.empty() || !settings.auth.tokens.empty() ||
      !settings.auth.flag_user.empty() || !settings.auth.jwt.jwks_url.empty()) {
    return Error(ErrorCode::kNotBuilt,
                 "auth: users and tokens are not built yet; without them only loopback peers are "
                 "served (see auth.allow_anonymous)");
  }
  if (!settings.tls.cert.empty() || !settings.tls.client_ca.empty()) {
    return Error(ErrorCode::kNotBuilt, "tls: not built yet; remove tls.* or put a proxy in front");
  }
  return {};
}

arrow::Result<ingest::ServiceOptions> LandingOptions(const config::Settings& settings,
                                                     const Services& services) {
  ingest::ServiceOptions options;
  options.sinks["duckdb"] = services.storage.sink;
  options.sinks["delta"] = services.storage.delta;
  ingest::SettingTexts defaults = {
      {"storage_backend", settings.storage_backend},
      {"chunk_size", std::to_string(settings.defaults.chunk_size)},
      {"on_mismatch", settings.defaults.on_mismatch},
      {"compression", settings.compression.algorithm == "zstd"
                          ? "zstd:" + std::to_string(settings.compression.level)
                          : settings.compression.algorithm},
  };
  if (!settings.defaults.schema_mode.empty()) {
    defaults["schema_mode"] = settings.defaults.schema_mode;
  }
  for (const auto& [key, value] : settings.delta_options) {
    defaults["delta_options." + key] = value;
  }
  ARROW_ASSIGN_OR_RAISE(options.defaults, ingest::ApplySettings({}, defaults));
  options.streams = settings.streams;
  options.limits.schema.columns_max = settings.limits.columns_max;
  options.limits.schema.nesting_max = settings.limits.nesting_max;
  options.limits.schema.identifier_bytes_max = settings.limits.identifier_bytes_max;
  options.limits.request_memory_max = settings.limits.request_memory_max;
  options.budget = services.budget;
  options.idempotency_window_hours = settings.idempotency_window_hours;
  options.observer = std::make_shared<LandingMetrics>(services.metrics);
  return options;
}

/// SQL that writes and the landing groups take turns.
class SinkCommitLock final : public query::CommitLock {
 public:
  explicit SinkCommitLock(std::shared_ptr<sink::DuckDbSink> sink) : sink_(std::move(sink)) {}
  bool LockFor(std::chrono::milliseconds wait) override { return sink_->LockCommitsFor(wait); }
  void Unlock() override { sink_->UnlockCommits(); }

 private:
  const std::shared_ptr<sink::DuckDbSink> sink_;
};

query::ServiceOptions QueryOptions(const config::Settings& settings, const Services& services) {
  query::ServiceOptions options;
  options.database = services.storage.database;
  options.commit_lock = std::make_shared<SinkCommitLock>(services.storage.sink);
  options.on_ended = [metrics = services.metrics](std::chrono::nanoseconds time) {
    metrics->GetHistogram(observe::Metric::kQuerySeconds)
        .Observe(std::chrono::duration<double>(time).count());
  };
  options.query_timeout = settings.limits.query_timeout.value_or(std::chrono::milliseconds(0));
  options.paused_max = settings.limits.write_stall_timeout;
  options.result_bytes_max = settings.limits.result_bytes_max.value_or(0);
  for (const auto& [name, path] : settings.datasets) options.datasets.push_back({name, path});
  return options;
}

}  // namespace

arrow::Status StartServices(const config::Settings& settings, Services* services) {
  ARROW_RETURN_NOT_OK(RefuseUnbuilt(settings));
  ARROW_ASSIGN_OR_RAISE(services->storage, OpenStorage(settings, services->metrics));
  ARROW_ASSIGN_OR_RAISE(ingest::ServiceOptions landing, LandingOptions(settings, *services));
  ARROW_ASSIGN_OR_RAISE(services->ingest, ingest::LandingService::Make(std::move(landing)));
  ARROW_ASSIGN_OR_RAISE(services->query,
                        query::Service::Make(QueryOptions(settings, *services)));
  services->maintain = MakeMaintenance(settings, *services);
  services->schedule = MakeSchedule(settings, *services);
  return {};
}

arrow::Status StopServices(const config::Settings& settings, Services* services) {
  if (!services->ingest) return {};
  services->schedule.reset();
  if (services->maintain) services->maintain->Stop();
  services->maintain.reset();
  services->ingest->Stop(std::chrono::seconds(settings.shutdown.grace_seconds));
  services->query.reset();
  arrow::Status checkpointed = services->storage.sink->Checkpoint();
  if (!checkpointed.ok()) {
    LogWarn("last checkpoint failed; the log is replayed at the next start",
            {{"reason", checkpointed.message()}});
  }
  services->ingest.reset();
  services->storage = {};
  return {};
}

}  // namespace arrowport::server
