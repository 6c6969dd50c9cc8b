#include "maintain/service.h"

#include <array>

namespace arrowport::maintain {
namespace {

constexpr std::array kOperations = {
    OperationInfo{"list", "Delta tables of this server", false, Effect::kRead},
    OperationInfo{"info", "Version, size, schema and properties of a Delta table", true,
                  Effect::kRead},
    OperationInfo{"history", "Commits of a Delta table, newest first", true,
                  Effect::kRead},
    OperationInfo{"vacuum", "Removes files no version within the retention needs", true,
                  Effect::kExclusive},
    OperationInfo{"restore", "Makes a Delta table what it was at an earlier version", true,
                  Effect::kExclusive},
    OperationInfo{"optimize", "Few large files for many small ones, or a z-order", true,
                  Effect::kExclusive},
    OperationInfo{"checkpoint", "Writes a checkpoint of a Delta table", true,
                  Effect::kBeside},
    OperationInfo{"migrate", "Copies a table between DuckDB and Delta", true,
                  Effect::kExclusive},
};

}  // namespace

std::span<const OperationInfo> Operations() { return kOperations; }

}  // namespace arrowport::maintain
