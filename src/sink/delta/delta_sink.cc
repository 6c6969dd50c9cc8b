#include "sink/delta/delta_sink.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "delta/encoder_pool.h"
#include "sink/delta/delta_bulk_write.h"
#include "sink/delta/member.h"
#include "sink/delta/table_registry.h"
#include "sink/delta/upkeep.h"
#include "sink/free_space.h"

namespace arrowport::sink {
namespace {

RegistryOptions RegistryOptionsOf(const DeltaSinkOptions& options) {
  RegistryOptions registry;
  registry.root = options.root;
  registry.durability = options.durability;
  registry.tables_max = options.tables_max;
  registry.new_tables.enable_change_feed = options.enable_change_feed;
  registry.table.log.checkpoint_interval = options.checkpoint_interval;
  registry.table.log.checkpoint_spacing_ms = options.checkpoint_spacing_ms;
  registry.table.log.key_window_ms = options.idempotency_window_hours * 3600 * 1000;
  return registry;
}

delta::TableEnvironment EnvironmentOf(const DeltaSinkOptions& options) {
  const auto processors = static_cast<int>(std::thread::hardware_concurrency());
  delta::TableEnvironment environment;
  environment.clock = options.clock;
  environment.encoders = std::make_shared<delta::EncoderPool>(
      options.encoders > 0 ? options.encoders : std::max(processors, 1));
  return environment;
}

const WriteOptions& OptionsOf(const WriteUnit& unit) {
  static const WriteOptions kDefaults;
  return unit.options ? *unit.options : kDefaults;
}

}  // namespace

std::unique_ptr<DeltaSink> DeltaSink::Make(DeltaSinkOptions options) {
  return std::unique_ptr<DeltaSink>(new DeltaSink(std::move(options)));
}

DeltaSink::DeltaSink(DeltaSinkOptions options)
    : options_(std::move(options)),
      environment_(EnvironmentOf(options_)),
      registry_(
          std::make_unique<TableRegistry>(RegistryOptionsOf(options_), environment_)),
      upkeep_(std::make_shared<Upkeep>(options_.clock)) {}

DeltaSink::~DeltaSink() = default;

std::string_view DeltaSink::durability() const {
  return options_.durability == store::Durability::kSync ? "file" : "memory";
}

arrow::Status DeltaSink::CheckBuilt() const {
  if (options_.root.find("://") == std::string::npos) return {};
  return Error(
      ErrorCode::kNotBuilt,
      "delta_config.table_path: only local folders are built yet, not: ", options_.root);
}

arrow::Status DeltaSink::CheckName(const schema::TableName& name) const {
  ARROW_RETURN_NOT_OK(CheckBuilt());
  return CheckDeltaName(name);
}

arrow::Status DeltaSink::CheckRoom() const {
  ARROW_RETURN_NOT_OK(CheckBuilt());
  return CheckFreeSpace(options_.root, options_.free_space_min);
}

arrow::Result<std::shared_ptr<OpenTable>> DeltaSink::FindToRead(
    const schema::TableName& name) {
  ARROW_RETURN_NOT_OK(CheckName(name));
  return registry_->Find(name, IfMissing::kRefuse);
}

arrow::Result<std::shared_ptr<OpenTable>> DeltaSink::FindToWrite(
    const schema::TableName& name) {
  ARROW_ASSIGN_OR_RAISE(auto table, registry_->Find(name, IfMissing::kMake));
  if (table->table().snapshot() == nullptr) {
    ARROW_RETURN_NOT_OK(CheckNewTableFolder(options_.root, name));
  }
  return table;
}

arrow::Result<std::shared_ptr<const Table>> DeltaSink::Open(
    const schema::TableName& name) {
  ARROW_ASSIGN_OR_RAISE(auto table, FindToRead(name));
  if (!table) {
    return Error(ErrorCode::kTableNotFound, "no such Delta table: ", name.ToString());
  }
  ARROW_RETURN_NOT_OK(table->table().Refresh());
  return table->Present();
}

arrow::Result<std::shared_ptr<const Table>> DeltaSink::Plan(
    const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
    const WriteOptions& options) {
  ARROW_ASSIGN_OR_RAISE(auto table, FindToRead(name));
  if (table) {
    auto plan = table->Plan(incoming, options);
    if (plan.ok() && (*plan)->standing == Standing::kPresent) return plan;
  }
  // Another writer may have changed the table, or made it.
  return Prepare(name, incoming, options);
}

arrow::Result<std::shared_ptr<const Table>> DeltaSink::Prepare(
    const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
    const WriteOptions& options) {
  ARROW_ASSIGN_OR_RAISE(auto table, FindToRead(name));
  if (table) {
    auto refreshed = table->table().Refresh();
    if (NeedsReopening(refreshed.status())) registry_->Forget(*table);
    ARROW_RETURN_NOT_OK(refreshed);
    if (*refreshed != nullptr) return table->Plan(incoming, options);
  }
  ARROW_RETURN_NOT_OK(CheckNewTableFolder(options_.root, name));
  return PlanNewTable(name, *incoming, options, registry_->options().new_tables);
}

std::vector<WriteOutcome> DeltaSink::CommitGroup(std::span<const WriteUnit> units) {
  std::vector<WriteOutcome> outcomes(units.size());
  std::vector<bool> taken(units.size(), false);
  for (size_t first = 0; first < units.size(); ++first) {
    if (taken[first]) continue;
    std::vector<size_t> members;
    for (size_t i = first; i < units.size(); ++i) {
      const bool together = !taken[i] &&
                            units[i].table->name == units[first].table->name &&
                            OptionsOf(units[i]) == OptionsOf(units[first]);
      if (!together) continue;
      taken[i] = true;
      members.push_back(i);
    }
    CommitTable(units, members, &outcomes);
  }
  return outcomes;
}

void DeltaSink::CommitTable(std::span<const WriteUnit> units,
                            const std::vector<size_t>& members,
                            std::vector<WriteOutcome>* outcomes) {
  const WriteUnit& first = units[members.front()];
  arrow::Status status = FaultPoint("sink.commit.before");
  auto table = status.ok() ? FindToWrite(first.table->name) : status;
  if (!table.ok()) {
    for (const size_t member : members) (*outcomes)[member].status = table.status();
    return;
  }
  std::vector<delta::AppendMember> requests;
  requests.reserve(members.size());
  for (const size_t member : members) requests.push_back(MemberOf(units[member]));
  const auto committed = (*table)->table().Append(
      requests, DeltaOptionsOf(OptionsOf(first), registry_->options().new_tables));
  bool reopen = false, any = false;
  for (size_t i = 0; i < members.size(); ++i) {
    const WriteUnit& unit = units[members[i]];
    (*outcomes)[members[i]] = OutcomeOf(committed[i], PlanOf(*unit.table), **table);
    reopen |= NeedsReopening(committed[i].status);
    any |= committed[i].status.ok();
  }
  if (reopen) registry_->Forget(**table);
  if (options_.on_commit && !committed.empty()) {
    options_.on_commit(first.table->name,
                       any ? arrow::Status::OK() : committed.front().status);
  }
  if (!any) return;
  // What fails here cannot undo the commit.
  status = FaultPoint("sink.commit.after");
  if (!status.ok()) LogWarn("after a commit", {{"error", status.message()}});
  upkeep_->Look(*table);
}

arrow::Result<std::unique_ptr<BulkWrite>> DeltaSink::BeginBulk(
    std::shared_ptr<const Table> table, TableChange change, const WriteOptions& options) {
  ARROW_ASSIGN_OR_RAISE(auto open, FindToWrite(table->name));
  const delta::WriteOptions wanted =
      DeltaOptionsOf(options, registry_->options().new_tables);
  const auto& schema = PlanOf(*table).written;
  auto begun = change == TableChange::kAppend
                   ? open->table().BeginAppend(schema, wanted)
                   : open->table().BeginOverwrite(schema, {}, wanted);
  if (!begun.ok()) {
    delta::WriteOutcome refused;
    refused.status = begun.status();
    return OutcomeOf(refused, PlanOf(*table), *open).status;
  }
  return std::make_unique<DeltaBulkWrite>(registry_.get(), upkeep_, options_.on_commit,
                                          std::move(open), std::move(table),
                                          *std::move(begun));
}

arrow::Result<std::vector<LedgerEntry>> DeltaSink::LoadLedger(int64_t) {
  return std::vector<LedgerEntry>();
}

arrow::Result<std::optional<LedgerEntry>> DeltaSink::RecallKey(
    const schema::TableName& name, const std::string& key) {
  ARROW_ASSIGN_OR_RAISE(auto table, FindToRead(name));
  if (!table) return std::nullopt;
  const auto found = table->table().FindKey(key);
  if (!found) return std::nullopt;
  LedgerEntry entry;
  entry.table = name.ToString();
  entry.key = key;
  entry.sha256 = found->sha256;
  entry.rows = found->rows;
  entry.committed_at_us = found->committed_ms * 1000;
  entry.version = VersionToken(name, found->version);
  return entry;
}

arrow::Result<std::optional<LedgerEntry>> DeltaSink::RecallProducer(
    const schema::TableName& name, const std::string& producer) {
  ARROW_ASSIGN_OR_RAISE(auto table, FindToRead(name));
  if (!table) return std::nullopt;
  // The producer may have come from another server.
  ARROW_RETURN_NOT_OK(table->table().Refresh());
  const auto last = table->table().LastSequence(producer);
  if (!last) return std::nullopt;
  LedgerEntry entry;
  entry.table = name.ToString();
  entry.producer = producer;
  entry.sequence = *last;
  entry.version = VersionToken(name, table->table().snapshot()->version());
  return entry;
}

arrow::Status DeltaSink::Checkpoint() {
  arrow::Status first_failure;
  registry_->VisitOpen([&](OpenTable& table) {
    arrow::Status status = table.table().WriteCheckpoint();
    // A foreign table that was opened to be read and that we may not write.
    if (!status.ok() && CodeOf(status) == ErrorCode::kNotBuilt) return;
    if (first_failure.ok() && !status.ok()) {
      first_failure = WithContext("table " + table.name().ToString(), status);
    }
  });
  return first_failure;
}

arrow::Result<SharedTable> DeltaSink::Share(const schema::TableName& name) {
  ARROW_ASSIGN_OR_RAISE(auto open, FindToRead(name));
  auto refreshed = open ? open->table().Refresh()
                        : arrow::Result<std::shared_ptr<const delta::Snapshot>>(nullptr);
  if (NeedsReopening(refreshed.status())) registry_->Forget(*open);
  ARROW_RETURN_NOT_OK(refreshed);
  if (*refreshed == nullptr) {
    return Error(ErrorCode::kTableNotFound, "no such Delta table: ", name.ToString());
  }
  SharedTable shared;
  ARROW_ASSIGN_OR_RAISE(
      shared.store,
      OpenTableFolder(options_.root, name, options_.durability, IfMissing::kRefuse));
  // Of the open table, so that it counts as used.
  delta::DeltaTable* table = &open->table();
  shared.table = std::shared_ptr<delta::DeltaTable>(std::move(open), table);
  return shared;
}

void DeltaSink::VisitTables(
    const std::function<void(const schema::TableName& name,
                             const std::shared_ptr<const delta::Snapshot>& snapshot)>&
        visit) const {
  registry_->VisitOpen([&](OpenTable& table) {
    const auto snapshot = table.table().snapshot();
    if (snapshot != nullptr) visit(table.name(), snapshot);
  });
}

DeltaSinkCounters DeltaSink::counters() const {
  const UpkeepCounters upkeep = upkeep_->counters();
  return {upkeep.checkpoints, upkeep.failures, upkeep.log_files_removed};
}

}  // namespace arrowport::sink
