// The Delta tables of the server as maintenance and its schedule see them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "config/settings.h"
#include "maintain/maintenance.h"
#include "maintain/schedule.h"
#include "observe/metrics.h"
#include "server/services.h"
#include "server/storage.h"

namespace arrowport::server {

/// Tables by the handles their writers use, listed from the folder.
std::shared_ptr<maintain::TableSource> MakeTableSource(const Storage& storage);

/// The operations on tables, over the storage that writers and queries use.
std::shared_ptr<maintain::Maintenance> MakeMaintenance(const config::Settings& settings,
                                                       const Services& services);

/// Housekeeping as `delta_config.maintenance` and the streams' `delta_options.optimize`
/// ask for it; null when nothing does. Not started.
std::unique_ptr<maintain::Schedule> MakeSchedule(const config::Settings& settings,
                                                 const Services& services);

/// Version, files, sizes and age of the tables in use, at scrape time; they report while
/// the result lives.
std::vector<std::shared_ptr<void>> AddDeltaGauges(const Services& services);

/// Counts commits by table and result.
std::function<void(const schema::TableName&, const arrow::Status&)> CommitCounter(
    std::shared_ptr<observe::Registry> metrics);

}  // namespace arrowport::server
