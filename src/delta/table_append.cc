#include "delta/table_append.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/code_point.h"

namespace arrowport::delta {
namespace {

constexpr size_t kKeyBytesMax = 255;
constexpr size_t kSha256Bytes = 32;

/// Whether a failure is about one member's rows, not about the table or the storage.
bool IsOfMember(const arrow::Status& status) {
  switch (CodeOf(status)) {
    case ErrorCode::kSchemaMismatch:
    case ErrorCode::kConstraintViolation:
    case ErrorCode::kUnsupportedType:
    case ErrorCode::kInvalidName:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kBadData:
    case ErrorCode::kTooLarge:
    case ErrorCode::kColumnNotFound:
      return true;
    default:
      return false;
  }
}

}  // namespace

arrow::Status CheckBookkeeping(const AppendMember& member) {
  if (member.key) {
    const KeyEntry& key = *member.key;
    if (key.key.empty() || key.key.size() > kKeyBytesMax || !IsUtf8(key.key)) {
      return Error(ErrorCode::kInvalidArgument,
                   "an idempotency key is UTF-8 text of 1 to ", kKeyBytesMax, " bytes");
    }
    if (key.sha256.size() != kSha256Bytes) {
      return Error(ErrorCode::kInvalidArgument, "a content digest has ", kSha256Bytes,
                   " bytes");
    }
  }
  if (member.producer) {
    const std::string& app_id = member.producer->app_id;
    if (app_id.empty() || !IsUtf8(app_id) || member.producer->version < 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "a producer is UTF-8 text with a sequence from 0");
    }
  }
  return {};
}

bool FindReplay(const TableLog& log, const AppendMember& member, WriteOutcome* outcome) {
  if (member.key) {
    if (const auto found = log.FindKey(member.key->key)) {
      if (found->sha256 != member.key->sha256) {
        outcome->status = Error(ErrorCode::kKeyReused,
                                "the idempotency key was used for other content: ",
                                member.key->key);
        return true;
      }
      outcome->status = {};
      outcome->replayed = true;
      outcome->version = found->version;
      outcome->rows = found->rows;
      return true;
    }
  }
  if (member.producer) {
    const auto last = log.LastSequence(member.producer->app_id);
    if (last && *last >= member.producer->version) {
      outcome->status = {};
      outcome->replayed = true;
      outcome->version = log.snapshot()->version();
      return true;
    }
    if (last && *last >= member.producer->First()) {
      outcome->status =
          Error(ErrorCode::kSequenceGap, "part of these sequences is in the log: the last of ",
                member.producer->app_id, " is ", *last);
      return true;
    }
  }
  return false;
}

GroupAppend::GroupAppend(TableLog* log, std::shared_ptr<store::Store> store,
                         std::shared_ptr<EncoderPool> encoders,
                         std::span<const AppendMember> members, const WriteOptions& options)
    : log_(log),
      store_(std::move(store)),
      encoders_(std::move(encoders)),
      members_(members),
      options_(options),
      outcomes_(members.size()) {
  for (size_t i = 0; i < members.size(); ++i) waiting_.push_back(i);
}

void GroupAppend::End(size_t member, arrow::Status status) {
  outcomes_[member].status = std::move(status);
  std::erase(waiting_, member);
  const auto& producer = members_[member].producer;
  if (!producer) return;
  // The log keeps one number per producer: with a later one in it, a repeat of this
  // request would be taken for done.
  const auto is_behind = [&](size_t other) {
    const auto& later = members_[other].producer;
    if (!later || later->app_id != producer->app_id || later->version < producer->version) {
      return false;
    }
    outcomes_[other].status =
        Error(ErrorCode::kSequenceGap, "an earlier sequence of the producer was refused: ",
              producer->version);
    return true;
  };
  std::erase_if(waiting_, is_behind);
  std::erase_if(later_, is_behind);
}

/// Leaves the members of `waiting_` from this position on to a commit of their own.
void GroupAppend::Defer(size_t from) {
  const auto first = waiting_.begin() + static_cast<std::ptrdiff_t>(from);
  later_.insert(later_.begin(), first, waiting_.end());
  waiting_.erase(first, waiting_.end());
}

void GroupAppend::EndAll(const arrow::Status& status) {
  for (const size_t member : waiting_) outcomes_[member].status = status;
  for (const size_t member : later_) outcomes_[member].status = status;
  waiting_.clear();
  later_.clear();
}

void GroupAppend::Succeed(int64_t version) {
  for (const size_t member : waiting_) {
    outcomes_[member].status = {};
    outcomes_[member].version = version;
  }
  waiting_.clear();
}

void GroupAppend::Sort() {
  std::map<std::string_view, size_t> by_key, by_producer;
  for (const size_t member : std::vector<size_t>(waiting_)) {
    if (outcomes_[member].status.ok()) SortOne(member, &by_key, &by_producer);
  }
}

void GroupAppend::SortOne(size_t member, std::map<std::string_view, size_t>* by_key,
                          std::map<std::string_view, size_t>* by_producer) {
  const AppendMember& request = members_[member];
  arrow::Status status = CheckBookkeeping(request);
  if (status.ok() && request.schema == nullptr) {
    status = Error(ErrorCode::kInvalidArgument, "an append needs a schema");
  }
  if (!status.ok()) return End(member, std::move(status));
  std::optional<size_t> leader;
  if (request.key) {
    auto [at, added] = by_key->emplace(request.key->key, member);
    if (!added) leader = at->second;
  }
  if (!leader && request.producer) {
    auto [at, added] = by_producer->emplace(request.producer->app_id, member);
    if (!added && request.producer->version <= members_[at->second].producer->version) {
      leader = at->second;
    } else {
      at->second = member;
    }
  }
  if (!leader) return;
  followers_.emplace_back(member, *leader);
  std::erase(waiting_, member);
}

void GroupAppend::EndFollowers() {
  for (const auto& [member, leader] : followers_) {
    WriteOutcome& outcome = outcomes_[member];
    outcome = outcomes_[leader];
    if (!outcome.status.ok()) continue;
    const auto& key = members_[member].key;
    const auto& first = members_[leader].key;
    const bool same_key = key && first && key->key == first->key;
    if (same_key && first->sha256 != key->sha256) {
      outcome = {Error(ErrorCode::kKeyReused,
                       "the idempotency key was used for other content: ", key->key)};
      continue;
    }
    if (!outcome.replayed && same_key) outcome.rows = first->rows;
    outcome.replayed = true;
  }
}

void GroupAppend::EndReplays() {
  for (const size_t member : std::vector<size_t>(waiting_)) {
    if (FindReplay(*log_, members_[member], &outcomes_[member])) {
      std::erase(waiting_, member);
    }
  }
}

/// The plan with the schemas of all members that fit; the others end.
arrow::Result<WritePlan> GroupAppend::Plan() {
  const auto base = log_->snapshot();
  std::optional<WritePlan> plan;
  const arrow::Schema* last = nullptr;
  for (const size_t member : std::vector<size_t>(waiting_)) {
    const arrow::Schema& schema = *members_[member].schema;
    if (plan && (&schema == last || schema.Equals(*last))) continue;
    arrow::Status status;
    if (!plan) {
      auto made = PlanWrite(base, schema, options_);
      status = made.status();
      if (made.ok()) plan = std::move(*made);
    } else {
      status = ExtendPlan(schema, options_, &*plan);
    }
    if (status.ok()) {
      last = &schema;
    } else if (IsOfMember(status)) {
      End(member, std::move(status));
    } else {
      return status;
    }
  }
  if (!plan) return WritePlan{};
  return std::move(*plan);
}

arrow::Result<StagedFiles> GroupAppend::Stage(const WritePlan& plan, bool* restart) {
  ARROW_ASSIGN_OR_RAISE(auto files,
                        MakeFileSet(plan, store_, encoders_, options_.files));
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const size_t member = waiting_[i];
    for (const auto& batch : members_[member].batches) {
      arrow::Status status = files->Append(batch);
      if (status.ok()) continue;
      if (!IsOfMember(status)) return status;
      // What it appended before cannot be taken back out: once more without it. Too much
      // for a file set that holds others' rows may be no more than the set can take alone.
      if (i > 0 && CodeOf(status) == ErrorCode::kTooLarge) {
        Defer(i);
      } else {
        End(member, std::move(status));
      }
      *restart = true;
      return StagedFiles();
    }
  }
  return files->Finish();
}

StagedCommit::Spec GroupAppend::Bookkeeping() const {
  StagedCommit::Spec spec;
  spec.kind = StagedCommit::Kind::kAppend;
  spec.when_stale = StagedCommit::WhenStale::kReplan;
  spec.options = options_;
  std::map<std::string_view, ProducerSequence> spans;
  for (const size_t member : waiting_) {
    if (members_[member].key) spec.keys.push_back(*members_[member].key);
    if (const auto& producer = members_[member].producer) {
      auto [at, added] = spans.emplace(producer->app_id, *producer);
      ProducerSequence& span = at->second;
      span.first = std::min(span.First(), producer->First());
      span.version = std::max(span.version, producer->version);
    }
  }
  for (auto& [app_id, span] : spans) spec.producers.push_back(std::move(span));
  return spec;
}

bool GroupAppend::ChangesNothing(const WritePlan& plan, const StagedFiles& files) const {
  if (!files.adds().empty() || plan.base == nullptr) return false;
  if (!SameState(plan.base->state(), plan.state)) return false;
  return std::none_of(waiting_.begin(), waiting_.end(), [&](size_t member) {
    return members_[member].key || members_[member].producer;
  });
}

bool GroupAppend::Attempt() {
  EndReplays();
  if (waiting_.empty()) return true;
  auto plan = Plan();
  if (!plan.ok()) {
    EndAll(plan.status());
    return true;
  }
  if (waiting_.empty()) return true;
  bool restart = false;
  auto files = Stage(*plan, &restart);
  if (restart) return waiting_.empty();
  arrow::Status status = files.status();
  if (status.ok()) status = FaultPoint("delta.commit.after_files");
  if (!status.ok()) {
    EndAll(status);
    return true;
  }
  if (ChangesNothing(*plan, *files)) {
    Succeed(plan->base->version());
    return true;
  }
  StagedCommit commit(std::move(*plan), std::move(*files), Bookkeeping());
  const CommitResult result = log_->Commit(&commit);
  switch (result.kind) {
    case CommitResult::Kind::kCommitted:
      commit.files().Keep();
      Succeed(result.version);
      return true;
    case CommitResult::Kind::kUnknown:
      commit.files().Keep();
      EndAll(result.status);
      return true;
    case CommitResult::Kind::kFailed:
      EndAll(result.status);
      return true;
    case CommitResult::Kind::kReplan:
      return false;
  }
  return true;
}

std::vector<WriteOutcome> GroupAppend::Run(int attempts_max) {
  if (options_.schema_mode == SchemaMode::kOverwrite) {
    EndAll(Error(ErrorCode::kInvalidArgument,
                 "an append cannot replace the schema; use an overwrite"));
    return std::move(outcomes_);
  }
  Sort();
  // A restart ends a member or puts it off, at most once behind each other; a replan
  // follows a change by others: all are bounded.
  const int attempts = attempts_max + 3 * static_cast<int>(members_.size());
  bool done = waiting_.empty();
  for (int attempt = 0; attempt <= attempts && !done; ++attempt) {
    if (waiting_.empty()) waiting_.swap(later_);
    done = Attempt() && later_.empty();
  }
  if (!done) {
    EndAll(Error(ErrorCode::kCommitConflict,
                 "other writers keep changing the table; attempts: ", attempts));
  }
  EndFollowers();
  return std::move(outcomes_);
}

}  // namespace arrowport::delta
