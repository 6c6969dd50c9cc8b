// What the server says about itself to Flight SQL clients (CommandGetSqlInfo).
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>
#include <string>

#include "wire/flight/command.h"

namespace arrowport::wire::flight {

struct ServerFacts {
  std::string version = "1.0.0";
};

/// The schema that the specification prescribes, to the bit.
const std::shared_ptr<arrow::Schema>& SqlInfoSchema();

/// The facts asked for, all of them when none is named; unknown numbers are left out.
/// REQUIRES: IsGetSqlInfo(command). Errors: kInvalidArgument.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeSqlInfo(const Command& command,
                                                               const ServerFacts& facts);

}  // namespace arrowport::wire::flight
