// Landing and querying over one storage: what a server listens for and `--local` uses directly.
#pragma once

#include <memory>

#include <arrow/result.h>

#include "base/byte_budget.h"
#include "config/settings.h"
#include "ingest/service.h"
#include "maintain/maintenance.h"
#include "maintain/schedule.h"
#include "observe/metrics.h"
#include "query/service.h"
#include "server/storage.h"

namespace arrowport::server {

/// In the order of what stands on what. `metrics` and `budget` are made by the owner.
struct Services {
  std::shared_ptr<observe::Registry> metrics;
  std::shared_ptr<ByteBudget> budget;  ///< `limits.ingest_memory_max`
  Storage storage;
  std::shared_ptr<ingest::LandingService> ingest;
  std::shared_ptr<query::Service> query;
  std::shared_ptr<maintain::Maintenance> maintain;
  std::shared_ptr<maintain::Schedule> schedule;  ///< null: nobody asks for it
};

/// Errors: those of OpenStorage; kBadConfig; kNotBuilt for settings of a later release that would
/// be unsafe to ignore (users, TLS).
arrow::Status StartServices(const config::Settings& settings, Services* services);

/// Drains the landing side within the grace period and checkpoints.
arrow::Status StopServices(const config::Settings& settings, Services* services);

}  // namespace arrowport::server
