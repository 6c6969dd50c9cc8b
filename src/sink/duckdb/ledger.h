// What was applied, in the storage itself: rows of `_arrowport.ledger`, written in the
// transaction of the rows they stand for (docs/formats/ledger.md). The highest `version`
// in it is the storage's version.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/database.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

/// Functions on a connection of the storage; caller-locked as that.
/// Creates schema and table when they are not there.
arrow::Status EnsureLedger(engine::Connection& connection);

/// The highest version, 0 when nothing was written yet.
arrow::Result<int64_t> ReadLedgerVersion(engine::Connection& connection);

/// Adds `entries` (a row that carries the version alone when there are none) in the
/// connection's open transaction.
arrow::Status AppendLedger(engine::Connection& connection, const std::string& catalog,
                           int64_t version, int64_t committed_at_us,
                           const std::vector<const LedgerEntry*>& entries);

/// Entries not older than `since_us`, and the newest of each (producer, table) whatever
/// its age; oldest first.
arrow::Result<std::vector<LedgerEntry>> ReadLedger(engine::Connection& connection,
                                                   int64_t since_us);

/// Drops rows older than `before_us` and rows that carry a version alone; never the
/// newest row, nor the newest of a (producer, table).
arrow::Status PruneLedgerRows(engine::Connection& connection, int64_t before_us);

/// "duckdb:<n>".
std::string VersionToken(int64_t version);

}  // namespace arrowport::sink
