// One entry of the log: its text, and the attempt to be the one who writes it.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "delta/actions.h"
#include "store/store.h"

namespace arrowport::delta {

/// The provenance of a commit; what it may say stands in the protocol under "Commit
/// Provenance Information".
struct CommitHeader {
  std::string operation;
  std::vector<std::pair<std::string, std::string>> parameters;
  std::vector<std::pair<std::string, int64_t>> metrics;
  bool is_blind_append = false;
  std::string engine_info;
  std::string txn_id;        ///< of this commit alone: how we know our own
  int64_t timestamp_ms = 0;  ///< never below the version before
  bool in_commit_timestamp = false;  ///< timestamp_ms is one
  std::optional<int64_t> read_version;
  std::string arrowport_json;  ///< KeysToJson, or empty
};

/// The commitInfo action of a header.
CommitInfo MakeCommitInfo(const CommitHeader& header);

/// One line per action.
std::string CommitText(const std::vector<Action>& actions);

enum class PutResult {
  kWon,      ///< the version is ours and durable
  kLost,     ///< the version is another writer's
  kFailed,   ///< nothing was written
  kUnknown,  ///< it may be ours: its data files may not be removed
};

struct PutOutcome {
  PutResult result = PutResult::kFailed;
  arrow::Status status;  ///< kFailed: the store's error; kUnknown: kStorageUnavailable
};

/// Puts `text` as `version` unless it exists. An answer that leaves the outcome open is
/// settled by reading the version back and comparing `txn_id`.
PutOutcome PutCommit(store::Store* store, int64_t version, const std::string& text,
                     const std::string& txn_id);

}  // namespace arrowport::delta
