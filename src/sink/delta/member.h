// Requests of the sink's contract as the Delta library takes them, and what came of them.
#pragma once

#include <optional>

#include "delta/table.h"
#include "sink/delta/open_table.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

std::optional<delta::ProducerSequence> ProducerOf(const std::optional<LedgerEntry>& entry);
std::optional<delta::KeyEntry> KeyOf(const std::optional<LedgerEntry>& entry);

/// The plan a unit was made with. REQUIRES: a Table of the Delta sink.
const DeltaPlan& PlanOf(const Table& table);

delta::AppendMember MemberOf(const WriteUnit& unit);

/// `outcome` in the contract's terms. A unit that no longer fits because the table has
/// changed since `plan` is worth another try: kCommitConflict.
WriteOutcome OutcomeOf(const delta::WriteOutcome& outcome, const DeltaPlan& plan,
                       OpenTable& table);

/// Whether the handle on the table may be the cause: its folder was taken away, or nobody
/// knows what was written.
bool NeedsReopening(const arrow::Status& status);

}  // namespace arrowport::sink
