#include "engine/row_group_append.h"

#include <arrow/util/byte_size.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <duckdb.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/parallel/task_scheduler.hpp>
#include <duckdb/planner/binder.hpp>
#include <duckdb/planner/bound_constraint.hpp>
#include <duckdb/storage/data_table.hpp>
#include <duckdb/storage/optimistic_data_writer.hpp>
#include <duckdb/storage/partial_block_manager.hpp>
#include <duckdb/storage/table/append_state.hpp>
#include <duckdb/transaction/meta_transaction.hpp>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "engine/append_columns.h"
#include "engine/arrow_source.h"
#include "engine/error.h"

namespace arrowport::engine {
namespace {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

constexpr int64_t kBytesAheadMax = int64_t{64} << 20;

int64_t BytesOf(const Batches& batches) {
  int64_t bytes = 0;
  for (const auto& batch : batches) {
    auto referenced = arrow::util::ReferencedBufferSize(*batch);
    bytes += referenced.ok() ? *referenced : arrow::util::TotalBufferSize(*batch);
  }
  return bytes;
}

/// One row group on its way into the transaction. Of the thread that works on it until it
/// is done, then of the owner.
struct Piece {
  Batches batches;
  int64_t bytes = 0;
  duckdb::PhysicalIndex index{duckdb::DConstants::INVALID_INDEX};
  std::unique_ptr<duckdb::OptimisticDataWriter> writer;
  duckdb::unique_ptr<duckdb::ConstraintState> constraints;
  arrow::Status status;
  bool done = false;  ///< under the mutex of Work

  /// A thread may let go of its task late: nothing of the storage is left in it by then.
  void Close() {
    writer.reset();
    constraints.reset();
  }
};

/// What the owner shares with the threads.
struct Work {
  explicit Work(duckdb::ClientContext& context) : context(context) {}

  duckdb::ClientContext& context;
  AppendColumns columns;
  duckdb::vector<duckdb::unique_ptr<duckdb::BoundConstraint>> constraints;
  duckdb::DataTable* storage = nullptr;  ///< the transaction keeps it

  Mutex mutex;
  std::condition_variable changed;
  size_t unfinished GUARDED_BY(mutex) = 0;
  int64_t unfinished_bytes GUARDED_BY(mutex) = 0;
  bool stopping GUARDED_BY(mutex) = false;

  bool AtMost(size_t pieces_max, int64_t bytes_max) REQUIRES(mutex) {
    if (unfinished == 0) return true;
    return unfinished <= pieces_max && unfinished_bytes <= bytes_max;
  }
  bool stopped() {
    MutexLock lock(mutex);
    return stopping;
  }
  void Build(Piece& piece);
  void Finish(Piece& piece);
};

void Work::Build(Piece& piece) {
  auto& target = storage->GetOptimisticCollection(context, piece.index);
  duckdb::RowGroupCollection& collection = *target.collection;
  duckdb::TableAppendState state;
  collection.InitializeEmpty();
  collection.InitializeAppend(state);
  duckdb::ArrowScanLocalState scan(duckdb::make_uniq<duckdb::ArrowArrayWrapper>(),
                                   context);
  duckdb::DataChunk scanned;
  duckdb::DataChunk rows;
  scanned.Initialize(duckdb::Allocator::DefaultAllocator(), columns.batch_types());
  rows.InitializeEmpty(columns.table_types());
  for (const auto& batch : piece.batches) {
    PointAt(scan, *batch, 0);
    for (;;) {
      scanned.Reset();
      if (!NextChunk(scan, columns.batch_columns(), scanned)) break;
      columns.Arrange(scanned, &rows);
      storage->VerifyAppendConstraints(*piece.constraints, context, rows, nullptr,
                                       nullptr);
      collection.Append(rows, state);
    }
    if (stopped()) throw duckdb::InterruptException();
  }
  collection.FinalizeAppend(duckdb::TransactionData(0, 0), state);
  piece.writer->WriteUnflushedRowGroups(target);
}

void Work::Finish(Piece& piece) {
  if (!stopped()) {
    piece.status = Catching([&]() -> arrow::Status {
      Build(piece);
      return {};
    });
  }
  piece.batches.clear();
  {
    MutexLock lock(mutex);
    piece.done = true;
    --unfinished;
    unfinished_bytes -= piece.bytes;
  }
  changed.notify_all();
}

class PieceTask final : public duckdb::Task {
 public:
  PieceTask(std::shared_ptr<Work> work, std::shared_ptr<Piece> piece)
      : work_(std::move(work)), piece_(std::move(piece)) {}

  /// Once, before it is queued. DuckDB's queue orders it before Execute, but TSan sees only
  /// what is compiled with it.
  void HandOver() { handed_over_.store(true, std::memory_order_release); }

  duckdb::TaskExecutionResult Execute(duckdb::TaskExecutionMode) override {
    (void)handed_over_.load(std::memory_order_acquire);
    work_->Finish(*piece_);
    return duckdb::TaskExecutionResult::TASK_FINISHED;
  }
  duckdb::string TaskType() const override { return "ArrowportRowGroup"; }

 private:
  const std::shared_ptr<Work> work_;
  const std::shared_ptr<Piece> piece_;
  std::atomic<bool> handed_over_{false};
};

bool OnlyNotNull(const duckdb::TableCatalogEntry& table) {
  for (const auto& constraint : table.GetConstraints()) {
    if (constraint->type != duckdb::ConstraintType::NOT_NULL) return false;
  }
  return true;
}

}  // namespace

struct RowGroupAppend::Impl {
  Impl(Connection& connection, ArrowInsertTarget target)
      : work(std::make_shared<Work>(*connection.duckdb().context)),
        target(std::move(target)),
        scheduler(duckdb::TaskScheduler::GetScheduler(work->context)),
        token(scheduler.CreateProducer()) {}

  bool Resolve();
  void Open(Piece& piece);
  bool RunQueued();
  void WaitUntilAtMost(size_t pieces, int64_t bytes);
  arrow::Status MergeDone();
  void GiveUp();

  const std::shared_ptr<Work> work;
  const ArrowInsertTarget target;
  duckdb::TaskScheduler& scheduler;
  const duckdb::unique_ptr<duckdb::ProducerToken> token;
  std::deque<std::shared_ptr<Piece>> pieces;  ///< not yet in the transaction, in order
  arrow::Status failure;
};

bool RowGroupAppend::Impl::Resolve() {
  duckdb::ClientContext& context = work->context;
  if (!work->columns.Resolve(context, target)) return false;
  duckdb::TableCatalogEntry& table = AppendColumns::Entry(context, target);
  work->storage = &table.GetStorage();
  if (work->storage->HasIndexes() || !OnlyNotNull(table)) return false;
  work->constraints = duckdb::Binder::CreateBinder(context)->BindConstraints(table);
  return true;
}

void RowGroupAppend::Impl::Open(Piece& piece) {
  duckdb::ClientContext& context = work->context;
  duckdb::TableCatalogEntry& table = AppendColumns::Entry(context, target);
  duckdb::DataTable& storage = table.GetStorage();
  if (&storage != work->storage || !storage.IsMainTable()) {
    throw duckdb::TransactionException("the table has been altered");
  }
  // What a planned INSERT would announce.
  duckdb::MetaTransaction::Get(context).ModifyDatabase(
      table.ParentCatalog().GetAttached(),
      duckdb::DatabaseModificationType(duckdb::DatabaseModificationType::INSERT_DATA));
  piece.constraints = storage.InitializeConstraintState(table, work->constraints);
  piece.writer = std::make_unique<duckdb::OptimisticDataWriter>(context, storage);
  // Kept by the transaction, which drops its blocks if it is rolled back.
  piece.index = storage.CreateOptimisticCollection(
      context, piece.writer->CreateCollection(storage, work->columns.table_types()));
}

bool RowGroupAppend::Impl::RunQueued() {
  duckdb::shared_ptr<duckdb::Task> task;
  if (!scheduler.GetTaskFromProducer(*token, task)) return false;
  task->Execute(duckdb::TaskExecutionMode::PROCESS_ALL);
  return true;
}

// Works itself as long as there is something no thread has begun.
void RowGroupAppend::Impl::WaitUntilAtMost(size_t pieces_max, int64_t bytes_max) {
  MutexLock lock(work->mutex);
  while (!work->AtMost(pieces_max, bytes_max)) {
    lock.Unlock();
    const bool ran = RunQueued();
    lock.Lock();
    if (ran) continue;
    while (!work->AtMost(pieces_max, bytes_max)) lock.Wait(work->changed);
  }
}

// In order; stops at the first that a thread still works on.
arrow::Status RowGroupAppend::Impl::MergeDone() {
  while (!pieces.empty() && failure.ok()) {
    Piece& piece = *pieces.front();
    {
      MutexLock lock(work->mutex);
      if (!piece.done) break;
    }
    failure = piece.status;
    if (!failure.ok()) break;
    failure = Catching([&]() -> arrow::Status {
      duckdb::ClientContext& context = work->context;
      context.RunFunctionInTransaction([&] {
        duckdb::DataTable& storage = *work->storage;
        storage.LocalMerge(context,
                           storage.GetOptimisticCollection(context, piece.index));
        storage.ResetOptimisticCollection(context, piece.index);
        storage.GetOptimisticWriter(context).Merge(*piece.writer);
      });
      return {};
    });
    if (!failure.ok()) break;
    piece.Close();
    pieces.pop_front();
  }
  return failure;
}

// Blocks a piece has written but not filled become the transaction's, so that rolling
// back frees them with the rest.
void RowGroupAppend::Impl::GiveUp() {
  {
    MutexLock lock(work->mutex);
    work->stopping = true;
  }
  WaitUntilAtMost(0, 0);
  if (pieces.empty()) return;
  auto given_up = Catching([&]() -> arrow::Status {
    duckdb::ClientContext& context = work->context;
    context.RunFunctionInTransaction(
        [&] {
          auto& writer = work->storage->GetOptimisticWriter(context);
          for (const auto& piece : pieces) writer.Merge(*piece->writer);
        },
        /*requires_valid_transaction=*/false);
    return {};
  });
  (void)given_up;  // the transaction is gone already
  for (const auto& piece : pieces) piece->Close();
}

RowGroupAppend::RowGroupAppend(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RowGroupAppend::~RowGroupAppend() { impl_->GiveUp(); }

arrow::Result<std::unique_ptr<RowGroupAppend>> RowGroupAppend::Prepare(
    Connection& connection, const ArrowInsertTarget& target) {
  return Catching([&]() -> arrow::Result<std::unique_ptr<RowGroupAppend>> {
    auto impl = std::make_unique<Impl>(connection, target);
    bool fits = false;
    impl->work->context.RunFunctionInTransaction([&] { fits = impl->Resolve(); });
    if (!fits) return nullptr;
    return std::unique_ptr<RowGroupAppend>(new RowGroupAppend(std::move(impl)));
  });
}

arrow::Status RowGroupAppend::Add(Batches row_group) {
  Impl& impl = *impl_;
  ARROW_RETURN_NOT_OK(impl.MergeDone());
  auto piece = std::make_shared<Piece>();
  piece->batches = std::move(row_group);
  piece->bytes = BytesOf(piece->batches);
  impl.failure = Catching([&]() -> arrow::Status {
    impl.work->context.RunFunctionInTransaction([&] { impl.Open(*piece); });
    return {};
  });
  ARROW_RETURN_NOT_OK(impl.failure);
  impl.pieces.push_back(piece);
  {
    MutexLock lock(impl.work->mutex);
    ++impl.work->unfinished;
    impl.work->unfinished_bytes += piece->bytes;
  }
  auto scheduled = Catching([&]() -> arrow::Status {
    auto task = duckdb::make_shared_ptr<PieceTask>(impl.work, piece);
    task->HandOver();
    impl.scheduler.ScheduleTask(*impl.token, std::move(task));
    return {};
  });
  if (!scheduled.ok()) impl.work->Finish(*piece);  // no other thread will
  const auto threads = static_cast<size_t>(impl.scheduler.NumberOfThreads());
  // A thread that ends its row group finds the next one while this one, which works on a
  // row group too, is busy or waits for the network.
  impl.WaitUntilAtMost(threads > 1 ? threads : 0, kBytesAheadMax);
  return impl.MergeDone();
}

arrow::Status RowGroupAppend::Settle() {
  impl_->WaitUntilAtMost(0, 0);
  return impl_->MergeDone();
}

}  // namespace arrowport::engine
