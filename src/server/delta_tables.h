// The Delta tables of the server as maintenance and its schedule see them.
#pragma once

#include <memory>

#include "config/settings.h"
#include "maintain/maintenance.h"
#include "server/services.h"
#include "server/storage.h"

namespace arrowport::server {

/// Tables by the handles their writers use, listed from the folder.
std::shared_ptr<maintain::TableSource> MakeTableSource(const Storage& storage);

/// The operations on tables, over the storage that writers and queries use.
std::shared_ptr<maintain::Maintenance> MakeMaintenance(const config::Settings& settings,
                                                       const Services& services);

}  // namespace arrowport::server
