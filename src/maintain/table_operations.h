// The operations on one Delta table, each from a request's fields to its reply.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "delta/encoder_pool.h"
#include "delta/optimize.h"
#include "maintain/request_fields.h"
#include "maintain/table_source.h"

namespace arrowport::maintain {

using Json = nlohmann::ordered_json;

/// What operations share besides the table.
struct OperationTools {
  std::shared_ptr<delta::EncoderPool> encoders;
  /// Of a vacuum that names none; the table's own is used where it is longer.
  int64_t retention_ms = int64_t{168} * 3600 * 1000;
  int64_t target_file_bytes = int64_t{128} << 20;  ///< of an optimize that names none
  const Clock* clock = &SystemClock();
};

/// Each reads the newest state first. Errors: kInvalidArgument (fields), those of the
/// delta library's function of the same name.
arrow::Result<Json> TableInfo(const TableHandle& handle, const RequestFields& fields,
                              const OperationTools& tools);
arrow::Result<Json> TableHistory(const TableHandle& handle, const RequestFields& fields,
                                 const OperationTools& tools);
arrow::Result<Json> VacuumTable(const TableHandle& handle, const RequestFields& fields,
                                const OperationTools& tools);
arrow::Result<Json> RestoreTable(const TableHandle& handle, const RequestFields& fields,
                                 const OperationTools& tools);
arrow::Result<Json> OptimizeTable(const TableHandle& handle, const RequestFields& fields,
                                  const OperationTools& tools);
arrow::Result<Json> CheckpointTable(const TableHandle& handle, const RequestFields& fields,
                                    const OperationTools& tools);

/// The numbers of a listing: version, num_files, size_bytes, num_rows.
Json TableNumbers(const delta::Snapshot& snapshot);

/// The retention of a vacuum that names none: never under the table's own, nor 7 days.
int64_t RetentionMsOf(const delta::Snapshot& snapshot, const OperationTools& tools);

}  // namespace arrowport::maintain
