// Sorting of more rows than memory holds, by the database: for z-orders of Delta tables.
#pragma once

#include <memory>

#include "delta/optimize.h"
#include "engine/database.h"

namespace arrowport::server {

/// Thread-safe. Rows go through a temporary table of a connection of its own, which spills
/// to disk within the database's memory limit.
std::shared_ptr<delta::Sorter> MakeEngineSorter(std::shared_ptr<engine::Database> database);

}  // namespace arrowport::server
