#include "engine/arrow_insert.h"

#include <arrow/c/bridge.h>
#include <arrow/util/byte_size.h>

#include <algorithm>
#include <atomic>
#include <duckdb.hpp>
#include <duckdb/catalog/catalog.hpp>
#include <duckdb/main/client_context_state.hpp>
#include <duckdb/main/prepared_statement.hpp>
#include <duckdb/parser/parsed_data/create_table_function_info.hpp>
#include <map>
#include <utility>

#include "base/error.h"
#include "engine/arrow_source.h"
#include "engine/direct_append.h"
#include "engine/error.h"
#include "engine/row_group_append.h"

namespace arrowport::engine {
namespace {

constexpr char kRowsFunction[] = "_arrowport_rows";
constexpr char kRowGroupsFunction[] = "_arrowport_row_groups";
constexpr char kSlotsState[] = "_arrowport_insert_slots";

/// What one prepared INSERT reads: its schema for good, its batches for one run.
struct Source {
  duckdb::ArrowSchemaWrapper schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
};

/// The sources of a connection by number. The table functions take the number: a value a
/// stranger makes up finds nothing, or in his own connection nothing at all.
struct Slots : public duckdb::ClientContextState {
  std::map<int64_t, std::shared_ptr<Source>> sources;
  int64_t next = 1;
};

struct BindData : public duckdb::TableFunctionData {
  std::shared_ptr<Source> source;
  duckdb::ArrowTableSchema columns;
};

struct ScanState : public duckdb::GlobalTableFunctionState {
  std::atomic<size_t> next{0};
  duckdb::idx_t threads_max = 1;
  duckdb::idx_t MaxThreads() const override { return threads_max; }
};

duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext& context,
                                              duckdb::TableFunctionBindInput& input,
                                              duckdb::vector<duckdb::LogicalType>& types,
                                              duckdb::vector<duckdb::string>& names) {
  auto slots = context.registered_state->Get<Slots>(kSlotsState);
  const duckdb::Value& slot = input.inputs[0];
  if (!slots || slot.IsNull()) {
    throw duckdb::BinderException("this function is reserved for Arrowport itself");
  }
  auto found = slots->sources.find(slot.GetValue<int64_t>());
  if (found == slots->sources.end()) {
    throw duckdb::BinderException("this function is reserved for Arrowport itself");
  }
  auto bind = duckdb::make_uniq<BindData>();
  bind->source = found->second;
  duckdb::ArrowTableFunction::PopulateArrowTableSchema(context, bind->columns,
                                                       bind->source->schema.arrow_schema);
  names = bind->columns.GetNames();
  types = bind->columns.GetTypes();
  return bind;
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitRows(
    duckdb::ClientContext&, duckdb::TableFunctionInitInput&) {
  return duckdb::make_uniq<ScanState>();
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitRowGroups(
    duckdb::ClientContext&, duckdb::TableFunctionInitInput& input) {
  auto state = duckdb::make_uniq<ScanState>();
  state->threads_max =
      std::max<size_t>(1, input.bind_data->Cast<BindData>().source->batches.size());
  return state;
}

bool TakeBatch(const Source& source, ScanState& scan,
               duckdb::ArrowScanLocalState& local) {
  const size_t index = scan.next.fetch_add(1);
  if (index >= source.batches.size()) return false;
  PointAt(local, *source.batches[index], index);
  return true;
}

duckdb::unique_ptr<duckdb::LocalTableFunctionState> InitLocal(
    duckdb::ExecutionContext& context, duckdb::TableFunctionInitInput& input,
    duckdb::GlobalTableFunctionState* global) {
  auto local = duckdb::make_uniq<duckdb::ArrowScanLocalState>(
      duckdb::make_uniq<duckdb::ArrowArrayWrapper>(), context.client);
  if (!TakeBatch(*input.bind_data->Cast<BindData>().source, global->Cast<ScanState>(),
                 *local)) {
    return nullptr;
  }
  return local;
}

void Scan(duckdb::ClientContext&, duckdb::TableFunctionInput& input,
          duckdb::DataChunk& output) {
  if (!input.local_state) return;
  const auto& bind = input.bind_data->Cast<BindData>();
  auto& local = input.local_state->Cast<duckdb::ArrowScanLocalState>();
  while (!NextChunk(local, bind.columns, output)) {
    if (!TakeBatch(*bind.source, input.global_state->Cast<ScanState>(), local)) return;
  }
}

duckdb::OperatorPartitionData PartitionData(
    duckdb::ClientContext&, duckdb::TableFunctionGetPartitionInput& input) {
  return duckdb::OperatorPartitionData(
      input.local_state->Cast<duckdb::ArrowScanLocalState>().batch_index);
}

duckdb::TableFunction MakeFunction(const char* name, InsertPlan plan) {
  duckdb::TableFunction function(name, {duckdb::LogicalType::BIGINT}, Scan, Bind,
                                 plan == InsertPlan::kRows ? InitRows : InitRowGroups,
                                 InitLocal);
  // A source with partition data is what makes DuckDB choose its parallel batch insert;
  // without it rows go straight to the transaction's local storage on one thread.
  if (plan == InsertPlan::kRowGroups) function.get_partition_data = PartitionData;
  function.projection_pushdown = false;
  function.filter_pushdown = false;
  return function;
}

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

Batches CutToRowGroups(const Batches& batches) {
  Batches pieces;
  pieces.reserve(batches.size());
  for (const auto& batch : batches) {
    if (batch->num_rows() == 0) continue;
    if (batch->num_rows() <= kRowGroupRows) {
      pieces.push_back(batch);
      continue;
    }
    for (int64_t at = 0; at < batch->num_rows(); at += kRowGroupRows) {
      pieces.push_back(batch->Slice(at, kRowGroupRows));
    }
  }
  return pieces;
}

// The batch insert keeps each batch as a collection of its own until it merges them, so
// neighbours that together fit a row group are joined: the copy costs less.
arrow::Result<Batches> JoinSmall(const Batches& batches) {
  Batches joined;
  Batches run;
  int64_t run_rows = 0;
  const auto flush = [&]() -> arrow::Status {
    if (run.size() == 1) joined.push_back(run.front());
    if (run.size() > 1) {
      ARROW_ASSIGN_OR_RAISE(auto one, arrow::ConcatenateRecordBatches(run));
      joined.push_back(std::move(one));
    }
    run.clear();
    run_rows = 0;
    return {};
  };
  for (const auto& batch : batches) {
    if (run_rows + batch->num_rows() > kRowGroupRows) ARROW_RETURN_NOT_OK(flush());
    run.push_back(batch);
    run_rows += batch->num_rows();
  }
  ARROW_RETURN_NOT_OK(flush());
  return joined;
}

/// Row groups of one transaction below the planner; what falls short of one is held.
class RowGroupRun {
 public:
  RowGroupRun(Connection& connection, const ArrowInsertTarget& target, DirectAppend& rows)
      : connection_(connection), target_(target), rows_(rows) {}

  /// Whether the table can be filled this way. To be called in each transaction.
  arrow::Result<bool> Begin() {
    if (!row_groups_) {
      ARROW_ASSIGN_OR_RAISE(row_groups_, RowGroupAppend::Prepare(connection_, target_));
    }
    return row_groups_ != nullptr;
  }

  arrow::Status Run(const Batches& batches) {
    for (const auto& batch : batches) {
      for (int64_t at = 0; at < batch->num_rows();) {
        const int64_t rows = std::min(batch->num_rows() - at, kRowGroupRows - held_rows_);
        held_.push_back(rows == batch->num_rows() ? batch : batch->Slice(at, rows));
        held_rows_ += rows;
        at += rows;
        if (held_rows_ < kRowGroupRows) continue;
        held_rows_ = 0;
        any_added_ = true;
        ARROW_RETURN_NOT_OK(row_groups_->Add(std::exchange(held_, {})));
      }
    }
    if (held_.empty() || HeldBytes() <= kHeldBytesMax) return {};
    ARROW_RETURN_NOT_OK(row_groups_->Settle());
    return AppendHeld();
  }

  /// Ends this transaction's run, well or not.
  arrow::Status Settle() {
    arrow::Status settled = AddRest();
    Drop();
    return settled;
  }

  void Drop() {
    held_.clear();
    held_rows_ = 0;
    any_added_ = false;
    row_groups_.reset();
  }

  bool open() const { return row_groups_ != nullptr; }

 private:
  // Wide rows may never make a row group that memory could hold.
  static constexpr int64_t kHeldBytesMax = int64_t{16} << 20;

  int64_t HeldBytes() const {
    int64_t bytes = 0;
    for (const auto& batch : held_) {
      auto referenced = arrow::util::ReferencedBufferSize(*batch);
      bytes += referenced.ok() ? *referenced : arrow::util::TotalBufferSize(*batch);
    }
    return bytes;
  }

  arrow::Status AddRest() {
    if (!held_.empty() && any_added_) {
      held_rows_ = 0;
      ARROW_RETURN_NOT_OK(row_groups_->Add(std::exchange(held_, {})));
    }
    ARROW_RETURN_NOT_OK(row_groups_->Settle());
    return AppendHeld();
  }

  arrow::Status AppendHeld() {
    held_rows_ = 0;
    const Batches held = std::exchange(held_, {});
    return held.empty() ? arrow::Status() : rows_.Run(held);
  }

  Connection& connection_;
  const ArrowInsertTarget& target_;
  DirectAppend& rows_;
  std::unique_ptr<RowGroupAppend> row_groups_;
  Batches held_;
  int64_t held_rows_ = 0;
  bool any_added_ = false;
};

}  // namespace

struct ArrowInsert::Impl {
  InsertPlan plan = InsertPlan::kRows;
  ArrowInsertTarget target;
  std::unique_ptr<DirectAppend> direct;     ///< then there is no statement
  std::unique_ptr<RowGroupRun> row_groups;  ///< with direct and kRowGroups
  std::shared_ptr<Source> source = std::make_shared<Source>();
  duckdb::shared_ptr<Slots> slots;
  int64_t slot = 0;
  duckdb::unique_ptr<duckdb::PreparedStatement> statement;

  arrow::Result<bool> GoBelowPlanner(Connection& connection);
  arrow::Status Plan(Connection& connection);
};

arrow::Result<bool> ArrowInsert::Impl::GoBelowPlanner(Connection& connection) {
  if (!connection.InTransaction()) return false;
  ARROW_ASSIGN_OR_RAISE(auto rows, DirectAppend::Prepare(connection, target));
  if (!rows) return false;
  if (plan == InsertPlan::kRowGroups) {
    auto groups = std::make_unique<RowGroupRun>(connection, target, *rows);
    ARROW_ASSIGN_OR_RAISE(const bool fits, groups->Begin());
    if (!fits) return false;
    row_groups = std::move(groups);
  }
  direct = std::move(rows);
  return true;
}

arrow::Status ArrowInsert::Impl::Plan(Connection& connection) {
  ARROW_RETURN_NOT_OK(arrow::ExportSchema(*target.columns, &source->schema.arrow_schema));
  std::string sql = "INSERT INTO " + schema::QuoteIdentifier(target.catalog) + "." +
                    target.table.Quoted() + " (";
  for (int i = 0; i < target.columns->num_fields(); ++i) {
    if (i > 0) sql += ", ";
    sql += schema::QuoteIdentifier(target.columns->field(i)->name());
  }
  return Catching([&]() -> arrow::Status {
    duckdb::ClientContext& context = *connection.duckdb().context;
    slots = context.registered_state->GetOrCreate<Slots>(kSlotsState);
    slot = slots->next++;
    slots->sources[slot] = source;
    sql += ") SELECT * FROM ";
    sql += plan == InsertPlan::kRows ? kRowsFunction : kRowGroupsFunction;
    sql += "(" + std::to_string(slot) + ")";
    statement = connection.duckdb().Prepare(sql);
    if (statement->HasError()) return TranslateError(statement->error);
    return {};
  });
}

ArrowInsert::ArrowInsert(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ArrowInsert::~ArrowInsert() {
  if (impl_->slots) impl_->slots->sources.erase(impl_->slot);
}

arrow::Result<std::unique_ptr<ArrowInsert>> ArrowInsert::Prepare(Connection& connection,
                                                                 ArrowInsertTarget target,
                                                                 InsertPlan plan) {
  std::unique_ptr<ArrowInsert> insert(new ArrowInsert(std::make_unique<Impl>()));
  Impl& impl = *insert->impl_;
  impl.plan = plan;
  impl.target = std::move(target);
  ARROW_ASSIGN_OR_RAISE(const bool below, impl.GoBelowPlanner(connection));
  if (!below) ARROW_RETURN_NOT_OK(impl.Plan(connection));
  return insert;
}

arrow::Status ArrowInsert::Run(const Batches& batches) {
  if (impl_->row_groups) {
    ARROW_ASSIGN_OR_RAISE(const bool fits, impl_->row_groups->Begin());
    if (fits) return impl_->row_groups->Run(batches);
    return Error(ErrorCode::kCommitConflict,
                 "the table has been altered: ", impl_->target.table.ToString());
  }
  if (impl_->direct) return impl_->direct->Run(batches);
  Batches pieces = CutToRowGroups(batches);
  if (impl_->plan == InsertPlan::kRowGroups) {
    ARROW_ASSIGN_OR_RAISE(pieces, JoinSmall(pieces));
  }
  impl_->source->batches = std::move(pieces);
  if (impl_->source->batches.empty()) return {};
  arrow::Status status = Catching([&]() -> arrow::Status {
    duckdb::vector<duckdb::Value> none;
    auto result = impl_->statement->Execute(none, false);
    if (result->HasError()) return TranslateError(result->GetErrorObject());
    return {};
  });
  impl_->source->batches.clear();
  return status;
}

arrow::Status ArrowInsert::Settle() {
  if (!impl_->row_groups || !impl_->row_groups->open()) return {};
  return impl_->row_groups->Settle();
}

void ArrowInsert::Drop() {
  if (impl_->row_groups) impl_->row_groups->Drop();
}

arrow::Status RegisterArrowInsert(duckdb::DuckDB& instance) {
  return Catching([&]() -> arrow::Status {
    duckdb::Connection connection(instance);
    connection.BeginTransaction();
    auto& catalog = duckdb::Catalog::GetSystemCatalog(*instance.instance);
    for (const auto& [name, plan] :
         {std::pair(kRowsFunction, InsertPlan::kRows),
          std::pair(kRowGroupsFunction, InsertPlan::kRowGroups)}) {
      duckdb::CreateTableFunctionInfo info(MakeFunction(name, plan));
      info.internal = true;
      catalog.CreateTableFunction(*connection.context, info);
    }
    connection.Commit();
    return {};
  });
}

}  // namespace arrowport::engine
