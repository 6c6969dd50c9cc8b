// A table copied from one storage to the other, and compared.
//
// The source is read by one statement, so at one snapshot; a Delta table at the version it
// has at the start. Rows travel in chunks, each a transaction of the landing service with
// an idempotency key of its own. A migration that was cut is run again: the rows that the
// target holds already must be the first ones of the source, which is checked by count and
// checksum before any is added. At the end count and checksum of the whole are compared.
// The source is left as it is.
#pragma once

#include <arrow/result.h>

#include <atomic>
#include <memory>
#include <string>

#include "ingest/session.h"
#include "maintain/maintenance.h"
#include "maintain/request_fields.h"
#include "maintain/table_source.h"
#include "query/service.h"

namespace arrowport::maintain {

struct MigrationOptions {
  std::shared_ptr<ingest::Service> ingest;
  std::shared_ptr<query::Service> query;
  std::shared_ptr<TableSource> delta_tables;
  int64_t chunk_rows = 1 << 20;          ///< a chunk ends above
  int64_t chunk_bytes = int64_t{128} << 20;
};

/// Thread-safe.
class Migration final : public Migrator {
 public:
  explicit Migration(MigrationOptions options) : options_(std::move(options)) {}

  /// `fields`: from and to ("duckdb", "delta"), delta_options (of the Delta table made).
  /// Errors: kInvalidArgument, kBadConfig, kTableNotFound, kAlreadyExists (the target
  /// holds other rows), kUnsupportedType and kInvalidName (what the target cannot hold),
  /// kCommitConflict (the copies differ: somebody else writes to the target), kDraining.
  arrow::Result<Json> Migrate(const std::string& table,
                              const RequestFields& fields) override;
  void Cancel() override { cancelled_ = true; }

 private:
  const MigrationOptions options_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace arrowport::maintain
