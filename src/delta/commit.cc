#include "delta/commit.h"

#include <algorithm>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/json_text.h"
#include "delta/snapshot.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kCommitBytesMax = int64_t{1} << 30;

std::string TextMap(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out;
  JsonObject object(&out);
  for (const auto& [name, value] : values) object.String(name, value);
  object.Close();
  return out;
}

/// Whose commit stands at `version`; nothing when there is none.
arrow::Result<std::optional<std::string>> WriterOf(const store::Store& store,
                                                   int64_t version) {
  const std::string path = CommitPath(version);
  auto content = store.Read(path, kCommitBytesMax);
  if (!content.ok()) {
    if (CodeOf(content.status()) == ErrorCode::kNotFound) return std::nullopt;
    return content.status();
  }
  ARROW_ASSIGN_OR_RAISE(auto actions, ParseCommit(std::string_view(**content), path));
  for (const Action& action : actions) {
    const auto* info = std::get_if<CommitInfo>(&action);
    if (info != nullptr && info->txn_id) return *info->txn_id;
  }
  return std::string();
}

PutOutcome Unknown(int64_t version, const arrow::Status& cause) {
  return {PutResult::kUnknown,
          Error(ErrorCode::kStorageUnavailable, "whether version ", version,
                " was committed is not known; repeat with the same key to find out: ",
                cause.message())};
}

}  // namespace

CommitInfo MakeCommitInfo(const CommitHeader& header) {
  CommitInfo info;
  info.timestamp_ms = header.timestamp_ms;
  if (header.in_commit_timestamp) info.in_commit_timestamp_ms = header.timestamp_ms;
  info.operation = header.operation;
  info.is_blind_append = header.is_blind_append;
  info.txn_id = header.txn_id;

  JsonObject object(&info.json);
  if (header.in_commit_timestamp) {
    object.Number("inCommitTimestamp", header.timestamp_ms);
  }
  object.Number("timestamp", header.timestamp_ms);
  object.String("operation", header.operation);
  object.Raw("operationParameters", TextMap(header.parameters));
  if (header.read_version) object.Number("readVersion", *header.read_version);
  object.Boolean("isBlindAppend", header.is_blind_append);
  std::vector<std::pair<std::string, std::string>> metrics;
  for (const auto& [name, value] : header.metrics) {
    metrics.emplace_back(name, std::to_string(value));
  }
  object.Raw("operationMetrics", TextMap(metrics));
  object.String("engineInfo", header.engine_info);
  object.String("txnId", header.txn_id);
  if (!header.arrowport_json.empty()) object.Raw("arrowport", header.arrowport_json);
  object.Close();
  return info;
}

std::string CommitText(const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    text += ActionToJson(action);
    text.push_back('\n');
  }
  return text;
}

PutOutcome PutCommit(store::Store* store, int64_t version, const std::string& text,
                     const std::string& txn_id) {
  arrow::Status put = FaultPoint("delta.commit.before_log");
  if (!put.ok()) return {PutResult::kFailed, put};
  put = store->PutIfAbsent(CommitPath(version), text);
  if (put.ok()) put = FaultPoint("delta.commit.after_log");
  if (put.ok()) return {PutResult::kWon, {}};
  auto writer = WriterOf(*store, version);
  if (!writer.ok()) return Unknown(version, writer.status());
  if (!*writer) return {PutResult::kFailed, put};
  if (**writer != txn_id) return {PutResult::kLost, {}};
  if (CodeOf(put) == ErrorCode::kAlreadyExists) return {PutResult::kWon, {}};
  // It is there, but the call that should have made it durable failed; a failed sync is
  // never taken back by a later one that succeeds.
  return Unknown(version, put);
}

}  // namespace arrowport::delta
