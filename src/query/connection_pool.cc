#include "query/connection_pool.h"

#include "query/datasets.h"
#include "schema/names.h"

namespace arrowport::query {

ConnectionPool::ConnectionPool(std::shared_ptr<engine::Database> database,
                               std::shared_ptr<Datasets> datasets, int idle_max)
    : database_(std::move(database)),
      datasets_(std::move(datasets)),
      idle_max_(static_cast<size_t>(idle_max)) {}

arrow::Result<PooledConnection> ConnectionPool::Take() {
  const uint64_t epoch = database_->epoch();
  std::vector<PooledConnection> stale;
  {
    MutexLock lock(mutex_);
    while (!idle_.empty()) {
      PooledConnection last = std::move(idle_.back());
      idle_.pop_back();
      if (last.epoch == epoch) return last;
      stale.push_back(std::move(last));
    }
  }
  stale.clear();
  return Make();
}

arrow::Result<PooledConnection> ConnectionPool::Make() {
  PooledConnection made;
  made.epoch = database_->epoch();
  ARROW_ASSIGN_OR_RAISE(made.connection, database_->Connect());
  if (datasets_->empty()) return made;
  const std::string path = schema::QuoteIdentifier(database_->catalog()) + ".main," +
                           std::string(Datasets::kCatalog) + ".main";
  ARROW_RETURN_NOT_OK(
      made.connection->Run("SET search_path = " + schema::QuoteLiteral(path)));
  datasets_->Ensure(*made.connection, made.epoch);
  return made;
}

void ConnectionPool::Give(PooledConnection connection) {
  if (!connection.connection || connection.epoch != database_->epoch()) return;
  MutexLock lock(mutex_);
  if (idle_.size() < idle_max_) idle_.push_back(std::move(connection));
}

void ConnectionPool::DropStale() {
  const bool all = database_->invalidated();
  const uint64_t epoch = database_->epoch();
  std::vector<PooledConnection> stale;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < idle_.size();) {
    if (!all && idle_[i].epoch == epoch) {
      ++i;
      continue;
    }
    stale.push_back(std::move(idle_[i]));
    idle_[i] = std::move(idle_.back());
    idle_.pop_back();
  }
  lock.Unlock();
  stale.clear();
  lock.Lock();
}

}  // namespace arrowport::query
