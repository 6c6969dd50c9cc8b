#include "sink/delta/member.h"

#include "base/error.h"

namespace arrowport::sink {

std::optional<delta::ProducerSequence> ProducerOf(
    const std::optional<LedgerEntry>& entry) {
  if (!entry || entry->producer.empty()) return std::nullopt;
  return delta::ProducerSequence{entry->producer, entry->sequence, entry->first_sequence};
}

std::optional<delta::KeyEntry> KeyOf(const std::optional<LedgerEntry>& entry) {
  if (!entry || entry->key.empty()) return std::nullopt;
  return delta::KeyEntry{entry->key, entry->sha256, entry->rows};
}

const DeltaPlan& PlanOf(const Table& table) {
  return static_cast<const DeltaPlan&>(table);
}

delta::AppendMember MemberOf(const WriteUnit& unit) {
  return {unit.batches, PlanOf(*unit.table).written, ProducerOf(unit.ledger),
          KeyOf(unit.ledger)};
}

bool NeedsReopening(const arrow::Status& status) {
  if (status.ok()) return false;
  const ErrorCode code = CodeOf(status);
  return code == ErrorCode::kNotFound || code == ErrorCode::kStorageUnavailable ||
         code == ErrorCode::kStorageCorrupt;
}

WriteOutcome OutcomeOf(const delta::WriteOutcome& outcome, const DeltaPlan& plan,
                       OpenTable& table) {
  WriteOutcome told;
  told.status = outcome.status;
  if (outcome.status.ok()) {
    told.version = VersionToken(table.name(), outcome.version);
    told.replayed = outcome.replayed;
    told.rows = outcome.rows;
    return told;
  }
  const ErrorCode code = CodeOf(outcome.status);
  const bool misfit = code == ErrorCode::kSchemaMismatch ||
                      code == ErrorCode::kUnsupportedType ||
                      code == ErrorCode::kConstraintViolation;
  const bool stale = misfit && table.Generation() != plan.generation;
  // A missing file: somebody took the folder away; a new handle finds out what is there.
  if (stale || code == ErrorCode::kNotFound) {
    told.status = WithCode(ErrorCode::kCommitConflict,
                           WithContext("the table has changed since the request was planned",
                                       outcome.status));
  }
  return told;
}

}  // namespace arrowport::sink
