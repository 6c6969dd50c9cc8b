// Reads a DuckDB write-ahead log from outside, before DuckDB opens it. DuckDB takes an
// entry that runs past the end of the file for a torn tail and drops it with all that
// follows; when the length field itself is damaged that loses acknowledged transactions.
// Format: DuckDB 1.5 src/storage/write_ahead_log.cpp, wal_replay.cpp (version 2): an
// unchecked version entry, then entries of {uint64 size, uint64 checksum, payload}; each
// transaction ends in a flush entry.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <string>

namespace arrowport::engine {

enum class WalState {
  kWhole,          ///< every entry is complete and the last one ends a transaction
  kTornTail,       ///< cut short: whole transactions up to bad_offset
  kCorrupt,        ///< damaged at bad_offset
  kUnknownFormat,  ///< other version or encrypted: left to DuckDB
};

struct WalScan {
  WalState state = WalState::kWhole;
  int64_t bad_offset = 0;
  std::string reason;
};

/// Walks the log's entries; checksums of complete entries are left to DuckDB, which
/// verifies them and names the byte. Errors: kStorageUnavailable when it cannot be read.
arrow::Result<WalScan> ScanWal(const std::string& wal_path);

}  // namespace arrowport::engine
