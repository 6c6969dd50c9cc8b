// Test only: a sink in memory that keeps the contract and can be told to misbehave, an
// observer that waits, and a service over both.
#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ingest/row_groups.h"
#include "ingest/service.h"
#include "schema/column_match.h"
#include "sink/ddl_table_sink.h"

namespace arrowport::ingest {

inline constexpr std::chrono::seconds kDeadline{60};

/// One int64 column, or several named "a", "b", ... with the same values.
inline std::shared_ptr<arrow::RecordBatch> Ints(const std::vector<int64_t>& values,
                                                const std::vector<std::string>& names = {
                                                    "a"}) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  auto array = builder.Finish().ValueOrDie();
  arrow::FieldVector fields;
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (const auto& name : names) {
    fields.push_back(arrow::field(name, arrow::int64()));
    columns.push_back(array);
  }
  return arrow::RecordBatch::Make(arrow::schema(fields), array->length(), columns);
}

inline std::shared_ptr<arrow::RecordBatch> Range(int64_t first, int64_t rows) {
  std::vector<int64_t> values(rows);
  for (int64_t i = 0; i < rows; ++i) values[i] = first + i;
  return Ints(values);
}

/// Keeps the values of int64 columns; -1 in a row is a broken constraint.
class FakeSink : public sink::DdlTableSink {
 public:
  struct Stored {
    std::shared_ptr<const sink::Table> table;
    std::vector<int64_t> rows;  ///< first column
  };

  std::string_view backend() const override { return "duckdb"; }
  std::string_view durability() const override { return "memory"; }

  arrow::Result<std::shared_ptr<const sink::Table>> Open(
      const schema::TableName& name) override {
    std::lock_guard lock(mutex_);
    auto found = tables_.find(name);
    if (found == tables_.end()) return Error(ErrorCode::kTableNotFound, "no table");
    return found->second.table;
  }
  arrow::Result<std::shared_ptr<const sink::Table>> Create(
      const schema::TableName& name, const arrow::Schema& fields) override {
    std::lock_guard lock(mutex_);
    ++creates_;
    auto& stored = tables_[name];
    if (!stored.table) {
      auto table = std::make_shared<sink::Table>();
      table->name = name;
      table->generation = ++generation_;
      for (const auto& f : fields.fields())
        table->columns.push_back({f->name(), f->type()});
      stored.table = table;
    }
    return stored.table;
  }
  arrow::Result<std::shared_ptr<const sink::Table>> AddColumns(
      const schema::TableName& name, const arrow::FieldVector& fields) override {
    std::lock_guard lock(mutex_);
    auto table = std::make_shared<sink::Table>(*tables_[name].table);
    for (const auto& f : fields) table->columns.push_back({f->name(), f->type()});
    table->generation = ++generation_;
    tables_[name].table = table;
    return tables_[name].table;
  }
  arrow::Result<std::shared_ptr<arrow::DataType>> StoredType(
      const arrow::Field& field) const override {
    if (field.type()->id() == arrow::Type::DENSE_UNION) {
      return Error(ErrorCode::kUnsupportedType, "union: ", field.name());
    }
    return field.type();
  }
  /// As if another session had altered the table.
  void Alter(const schema::TableName& name,
             const std::function<void(sink::Table*)>& change) {
    std::lock_guard lock(mutex_);
    auto table = std::make_shared<sink::Table>(*tables_[name].table);
    change(table.get());
    table->generation = ++generation_;
    tables_[name].table = table;
  }

  std::vector<sink::WriteOutcome> CommitGroup(
      std::span<const sink::WriteUnit> units) override {
    Gate();
    std::lock_guard lock(mutex_);
    groups_.push_back(units.size());
    std::vector<sink::WriteOutcome> outcomes;
    ++version_;
    for (const auto& unit : units) {
      arrow::Status status = Check(unit.table, unit.batches);
      if (status.ok()) Write(unit.table->name, unit.batches, unit.ledger);
      outcomes.push_back({status, status.ok() ? Version() : ""});
    }
    return outcomes;
  }

  class Bulk : public sink::BulkWrite {
   public:
    Bulk(FakeSink* sink, std::shared_ptr<const sink::Table> table,
         sink::TableChange change)
        : sink_(sink), table_(std::move(table)), change_(change) {
      ++sink_->open_bulks_;
    }
    ~Bulk() override { --sink_->open_bulks_; }
    arrow::Status Append(std::vector<std::shared_ptr<arrow::RecordBatch>> b) override {
      sink_->Gate();
      std::lock_guard lock(sink_->mutex_);
      ARROW_RETURN_NOT_OK(sink_->Check(table_, b));
      for (auto& batch : b) {
        sink_->append_rows_.push_back(batch->num_rows());
        batches_.push_back(batch);
      }
      return {};
    }
    sink::WriteOutcome Commit(std::optional<sink::LedgerEntry> ledger) override {
      sink_->Gate();
      std::lock_guard lock(sink_->mutex_);
      if (change_ == sink::TableChange::kOverwrite) {
        sink_->tables_[table_->name].rows.clear();
      }
      ++sink_->version_;
      sink_->Write(table_->name, batches_, ledger);
      return {{}, sink_->Version()};
    }

   private:
    FakeSink* sink_;
    std::shared_ptr<const sink::Table> table_;
    sink::TableChange change_;
    Batches batches_;
  };
  arrow::Result<std::unique_ptr<sink::BulkWrite>> BeginBulk(
      std::shared_ptr<const sink::Table> table, sink::TableChange change,
      const sink::WriteOptions&) override {
    std::lock_guard lock(mutex_);
    ARROW_RETURN_NOT_OK(Check(table, {}));
    return std::make_unique<Bulk>(this, std::move(table), change);
  }
  arrow::Result<std::vector<sink::LedgerEntry>> LoadLedger(int64_t since_us) override {
    std::lock_guard lock(mutex_);
    return ledger_;
  }
  arrow::Status PruneLedger(int64_t) override { return {}; }
  arrow::Status Checkpoint() override { return {}; }

  /// Holds every write until Release.
  void Hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void Release() {
    std::lock_guard lock(mutex_);
    held_ = false;
    released_.notify_all();
  }
  bool WaitForBlocked(int count) {
    std::unique_lock lock(mutex_);
    return blocked_changed_.wait_for(lock, kDeadline, [&] { return blocked_ >= count; });
  }
  std::vector<int64_t> Rows(const std::string& table) {
    std::lock_guard lock(mutex_);
    return tables_[{"main", table}].rows;
  }
  bool Exists(const std::string& table) {
    std::lock_guard lock(mutex_);
    return tables_.contains({"main", table});
  }
  std::vector<size_t> groups() {
    std::lock_guard lock(mutex_);
    return groups_;
  }
  std::vector<int64_t> append_rows() {
    std::lock_guard lock(mutex_);
    return append_rows_;
  }
  int open_bulks() const { return open_bulks_; }
  void FailNext(arrow::Status status, int times = 1) {
    std::lock_guard lock(mutex_);
    fail_ = std::move(status);
    fail_times_ = times;
  }

 private:
  void Gate() {
    std::unique_lock lock(mutex_);
    ++blocked_;
    blocked_changed_.notify_all();
    released_.wait(lock, [&] { return !held_; });
    --blocked_;
  }
  arrow::Status Check(const std::shared_ptr<const sink::Table>& table,
                      const Batches& batches) {
    if (fail_times_ > 0) {
      --fail_times_;
      return fail_;
    }
    const auto& now = tables_[table->name].table;
    if (!now || now->generation != table->generation) {
      return Error(ErrorCode::kCommitConflict, "table changed");
    }
    for (const auto& batch : batches) {
      for (const auto& field : batch->schema()->fields()) {
        const sink::Column* column = nullptr;
        for (const auto& c : now->columns) {
          if (c.name == field->name()) column = &c;
        }
        ARROWPORT_CHECK(column != nullptr && column->type->Equals(*field->type()));
      }
      for (int64_t value : Values(*batch)) {
        if (value == -1) return Error(ErrorCode::kConstraintViolation, "CHECK");
      }
    }
    return {};
  }
  static std::vector<int64_t> Values(const arrow::RecordBatch& batch) {
    std::vector<int64_t> values;
    auto column = batch.column(0);
    for (int64_t i = 0; i < batch.num_rows(); ++i) {
      if (column->type_id() == arrow::Type::INT64) {
        values.push_back(static_cast<const arrow::Int64Array&>(*column).Value(i));
      } else if (column->type_id() == arrow::Type::INT32) {
        values.push_back(static_cast<const arrow::Int32Array&>(*column).Value(i));
      } else {
        values.push_back(0);
      }
    }
    return values;
  }
  void Write(const schema::TableName& name, const Batches& batches,
             const std::optional<sink::LedgerEntry>& ledger) {
    for (const auto& batch : batches) {
      for (int64_t value : Values(*batch)) tables_[name].rows.push_back(value);
    }
    if (!ledger) return;
    ledger_.push_back(*ledger);
    ledger_.back().version = Version();
    ledger_.back().committed_at_us =
        std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::system_clock::now().time_since_epoch())
            .count();
  }
  std::string Version() const { return "duckdb:" + std::to_string(version_); }

  std::mutex mutex_;
  std::condition_variable released_, blocked_changed_;
  std::map<schema::TableName, Stored> tables_;
  std::vector<sink::LedgerEntry> ledger_;
  std::vector<size_t> groups_;
  std::vector<int64_t> append_rows_;
  uint64_t generation_ = 0;
  int64_t version_ = 0;
  int creates_ = 0;
  int blocked_ = 0;
  bool held_ = false;
  arrow::Status fail_;
  int fail_times_ = 0;
  std::atomic<int> open_bulks_{0};
};

class WaitingObserver : public SessionObserver {
 public:
  void OnReady() override {
    std::lock_guard lock(mutex_);
    ++ready_;
    changed_.notify_all();
  }
  void OnAck(const Ack& ack) override {
    std::lock_guard lock(mutex_);
    EXPECT_GT(ack.offset, last_ack_.offset);
    EXPECT_FALSE(done_);
    last_ack_ = ack;
    ++acks_;
    changed_.notify_all();
  }
  void OnDone(arrow::Result<Receipt> result) override {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(done_) << "OnDone twice";
    done_ = std::move(result);
    changed_.notify_all();
  }
  arrow::Result<Receipt> Wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kDeadline, [&] { return done_.has_value(); })) {
      return arrow::Status::UnknownError("no answer in time");
    }
    return *done_;
  }
  bool WaitForAck(int64_t offset) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return last_ack_.offset >= offset; });
  }
  bool WaitForReady(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return ready_ >= count; });
  }
  bool done() {
    std::lock_guard lock(mutex_);
    return done_.has_value();
  }
  Ack last_ack() {
    std::lock_guard lock(mutex_);
    return last_ack_;
  }
  int acks() {
    std::lock_guard lock(mutex_);
    return acks_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<arrow::Result<Receipt>> done_;
  Ack last_ack_;
  int acks_ = 0;
  int ready_ = 0;
};

/// A session with its observer.
struct Client {
  std::shared_ptr<WaitingObserver> observer = std::make_shared<WaitingObserver>();
  std::unique_ptr<Session> session;
  int ready = 0;

  arrow::Status Open(Service& service, Request request) {
    ARROW_ASSIGN_OR_RAISE(session, service.Open(std::move(request), observer));
    return {};
  }
  /// Pushes, honouring kPause.
  arrow::Status Push(std::shared_ptr<arrow::RecordBatch> batch) {
    ARROW_ASSIGN_OR_RAISE(Flow flow, session->Push(std::move(batch)));
    if (flow == Flow::kPause && !observer->WaitForReady(++ready)) {
      return arrow::Status::UnknownError("never ready");
    }
    return {};
  }
  arrow::Result<Receipt> Finish() {
    session->Finish();
    return observer->Wait();
  }
};

inline arrow::Result<Receipt> Upload1(
    Service& service, Request request,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  Client client;
  ARROW_RETURN_NOT_OK(client.Open(service, std::move(request)));
  ARROW_RETURN_NOT_OK(client.session->Start(batches.front()->schema()));
  for (const auto& batch : batches) ARROW_RETURN_NOT_OK(client.Push(batch));
  return client.Finish();
}

}  // namespace arrowport::ingest
