// The statistics of a checkpoint that keeps them only as columns (stats_parsed), as the
// JSON text that actions carry.
#pragma once

#include <arrow/array.h>

#include <cstdint>
#include <string>

namespace arrowport::delta {

/// "" when nothing of use is there. Values JSON cannot hold are left out.
std::string StatsToJson(const arrow::StructArray& stats, int64_t row);

}  // namespace arrowport::delta
