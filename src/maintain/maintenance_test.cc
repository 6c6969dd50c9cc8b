#include "maintain/maintenance.h"

#include <chrono>
#include <arrow/array/util.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "maintain/schedule.h"
#include "maintain/version_query.h"

namespace arrowport::maintain {
namespace {

using testing::HasSubstr;

/// Tables in a temporary folder; Open can be held up.
class FolderTables final : public TableSource {
 public:
  FolderTables()
      : root_(std::filesystem::temp_directory_path() / ("maintain-" + NewRandomId())) {
    environment_.encoders = std::make_shared<delta::EncoderPool>(2);
  }
  ~FolderTables() override { std::filesystem::remove_all(root_); }

  arrow::Result<std::vector<schema::TableName>> Tables() override {
    std::vector<schema::TableName> names;
    for (const auto& [name, handle] : tables_) names.push_back(name);
    return names;
  }
  arrow::Result<TableHandle> Open(const schema::TableName& name) override {
    {
      MutexLock lock(mutex_);
      ++opening_;
      changed_.notify_all();
      while (held_) lock.Wait(changed_);
    }
    const auto found = tables_.find(name);
    if (found == tables_.end()) {
      return Error(ErrorCode::kTableNotFound, "no such table: ", name.ToString());
    }
    ARROW_RETURN_NOT_OK(found->second.table->Refresh());
    return found->second;
  }

  void Hold(bool held) {
    MutexLock lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void AwaitOpening(int calls) {
    MutexLock lock(mutex_);
    while (opening_ < calls) lock.Wait(changed_);
  }

  /// One commit of one row.
  void Append(const std::string& table) {
    const schema::TableName name{"main", table};
    auto& handle = tables_[name];
    if (!handle.table) {
      handle.store = store::OpenLocalStore((root_ / table).string(),
                                           store::Durability::kMemory, true)
                         .ValueOrDie();
      handle.table =
          delta::DeltaTable::Open(handle.store, environment_, {}).ValueOrDie();
    }
    delta::WriteOptions options;
    options.create.emplace();
    delta::AppendMember member;
    member.schema = arrow::schema({arrow::field("id", arrow::int64())});
    member.batches = {arrow::RecordBatch::Make(
        member.schema, 1, {arrow::MakeArrayFromScalar(arrow::Int64Scalar(7), 1)
                               .ValueOrDie()})};
    const auto outcome = handle.table->Append({&member, 1}, options).front();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  }
  const std::shared_ptr<delta::EncoderPool>& encoders() const {
    return environment_.encoders;
  }

 private:
  const std::filesystem::path root_;
  delta::TableEnvironment environment_;
  std::map<schema::TableName, TableHandle> tables_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool held_ GUARDED_BY(mutex_) = false;
  int opening_ GUARDED_BY(mutex_) = 0;
};

class MaintenanceTest : public testing::Test {
 protected:
  MaintenanceTest() {
    MaintenanceOptions options;
    options.tables = tables_;
    options.tools.encoders = tables_->encoders();
    options.waiting_max = 2;
    service_ = Maintenance::Make(std::move(options));
  }

  Json Reply(const std::string& operation, const std::string& table,
             const std::string& body = "") {
    auto reply = service_->RunHere({operation, table, body});
    EXPECT_TRUE(reply.ok()) << reply.status().ToString();
    return reply.ok() ? Json::parse(*reply) : Json();
  }
  ErrorCode Refusal(const std::string& operation, const std::string& table,
                    const std::string& body = "") {
    auto reply = service_->RunHere({operation, table, body});
    EXPECT_FALSE(reply.ok()) << *reply;
    return reply.ok() ? ErrorCode::kInternal : CodeOf(reply.status());
  }

  std::shared_ptr<FolderTables> tables_ = std::make_shared<FolderTables>();
  std::unique_ptr<Maintenance> service_;
};

TEST_F(MaintenanceTest, RepliesAreThoseOfTheContract) {
  for (int i = 0; i < 3; ++i) tables_->Append("t");
  const Json info = Reply("info", "t");
  EXPECT_EQ(info["version"], 2);
  EXPECT_EQ(info["num_files"], 3);
  EXPECT_EQ(info["num_rows"], 3);
  EXPECT_EQ(info["schema"]["fields"][0]["name"], "id");
  EXPECT_EQ(Reply("history", "t", R"({"limit":2})")["history"].size(), 2u);
  EXPECT_EQ(Reply("optimize", "", R"({"table":"t"})")["files_removed"], 3);
  EXPECT_EQ(Reply("vacuum", "t").dump(),
            R"({"dry_run":true,"retention_hours":168,"files":0,"bytes":0})");
  // Nothing is older than no time at all until the clock has moved on.
  const auto removed_at = SystemClock().WallNow();
  while (SystemClock().WallNow() < removed_at + std::chrono::milliseconds(2)) {
  }
  const Json swept =
      Reply("vacuum", "t", R"({"retention_hours":0.0,"force":true,"dry_run":true})");
  EXPECT_EQ(swept["files"], 3);
  EXPECT_EQ(Reply("restore", "t", R"({"version":0})")["version"], 4);
  EXPECT_EQ(Reply("checkpoint", "t")["version"], 4);
  EXPECT_EQ(Reply("list", "")["tables"][0]["num_rows"], 1);
}

TEST_F(MaintenanceTest, RequestsThatAreWrongAreRefusedByName) {
  tables_->Append("t");
  EXPECT_EQ(Refusal("dance", "t"), ErrorCode::kUnimplemented);
  EXPECT_EQ(Refusal("info", ""), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("info", "t", R"({"table":"u"})"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("info", "u"), ErrorCode::kTableNotFound);
  EXPECT_EQ(Refusal("info", "a.b.c"), ErrorCode::kInvalidName);
  EXPECT_EQ(Refusal("info", "t", R"({"limit":1})"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("history", "t", R"({"limit":"1"})"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("history", "t", R"({"limit":1.5})"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("history", "t", R"({"limit":18446744073709551615})"),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("vacuum", "t", "{"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("vacuum", "t", R"({"retention_hours":1e300})"),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("vacuum", "t", R"({"retention_hours":1})"),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("vacuum", "t", std::string(kBodyBytesMax + 1, ' ')),
            ErrorCode::kTooLarge);
  EXPECT_EQ(Refusal("optimize", "t", R"({"z_order_by":"id"})"),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refusal("migrate", "t"), ErrorCode::kNotBuilt);
}

TEST_F(MaintenanceTest, OneChangeOfATableAtATime) {
  tables_->Append("t");
  tables_->Append("u");
  tables_->Hold(true);
  Mutex mutex;
  std::condition_variable done;
  std::optional<arrow::Result<std::string>> first;
  service_->Run({"optimize", "t", ""}, [&](arrow::Result<std::string> reply) {
    MutexLock lock(mutex);
    first = std::move(reply);
    done.notify_all();
  });
  tables_->AwaitOpening(1);
  EXPECT_EQ(Refusal("vacuum", "t"), ErrorCode::kCommitConflict);
  tables_->Hold(false);
  {
    MutexLock lock(mutex);
    while (!first) lock.Wait(done);
  }
  EXPECT_TRUE(first->ok()) << first->status().ToString();
  Reply("vacuum", "t");
}

TEST_F(MaintenanceTest, WhatWaitsIsBoundedAndRefusedAtTheEnd) {
  tables_->Append("t");
  tables_->Hold(true);
  Mutex mutex;
  std::vector<arrow::Status> ended;
  const auto note = [&](const arrow::Result<std::string>& reply) {
    MutexLock lock(mutex);
    ended.push_back(reply.status());
  };
  for (int i = 0; i < 2; ++i) service_->Run({"info", "t", ""}, note);
  tables_->AwaitOpening(2);  // both threads are busy
  for (int i = 0; i < 3; ++i) service_->Run({"info", "t", ""}, note);
  {
    MutexLock lock(mutex);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(CodeOf(ended[0]), ErrorCode::kOverloaded);
  }
  tables_->Hold(false);
  service_->Stop();
  MutexLock lock(mutex);
  ASSERT_EQ(ended.size(), 5u);
  for (size_t i = 1; i < ended.size(); ++i) {
    EXPECT_TRUE(ended[i].ok() || CodeOf(ended[i]) == ErrorCode::kDraining);
  }
}

/// A clock set by hand.
class HandClock final : public Clock {
 public:
  Steady SteadyNow() const override { return now; }
  Wall WallNow() const override { return std::chrono::system_clock::now(); }
  Steady now{};
};

TEST_F(MaintenanceTest, TheScheduleOptimizesWhatHasGrownAndVacuumsDaily) {
  HandClock clock;
  std::vector<std::string> ran;
  ScheduleOptions options;
  options.tables = tables_;
  options.clock = &clock;
  options.small_files_min = 4;
  options.run = [&](const Request& request) {
    ran.push_back(request.operation + " " + request.table);
    return service_->RunHere(request);
  };
  options.optimizes = [](const schema::TableName& name) { return name.table != "off"; };
  options.vacuums = [](const schema::TableName& name) { return name.table == "t"; };
  Schedule schedule(options);
  for (int i = 0; i < 3; ++i) tables_->Append("t");
  for (int i = 0; i < 9; ++i) tables_->Append("off");
  schedule.RunOnce();
  EXPECT_TRUE(ran.empty());
  tables_->Append("t");
  schedule.RunOnce();
  EXPECT_THAT(ran, testing::ElementsAre("optimize t"));
  // The one small file that is left does not count again.
  for (int i = 0; i < 3; ++i) tables_->Append("t");
  schedule.RunOnce();
  EXPECT_EQ(ran.size(), 1u);
  clock.now += std::chrono::hours(25);
  schedule.RunOnce();
  EXPECT_THAT(ran, testing::ElementsAre("optimize t", "vacuum t"));
  schedule.RunOnce();
  EXPECT_EQ(ran.size(), 2u);
}

TEST(VersionQueryTest, NamesAreQuotedAndTimesTakenInAllForms) {
  EXPECT_EQ(*VersionQuery("s.t", "5"),
            "SELECT * FROM delta.\"s\".\"t\" AT (VERSION => 5)");
  for (const char* version : {"", "-1", "1.5", "5)", "99999999999999999999"}) {
    EXPECT_FALSE(VersionQuery("t", version).ok()) << version;
  }
  EXPECT_FALSE(VersionQuery("a.b.c", "1").ok());
  const auto micros = [](const char* text) {
    auto sql = TimestampQuery("t", text);
    return sql.ok() ? *sql : sql.status().message();
  };
  for (const char* time : {"1970-01-01T00:00:01Z", "1970-01-01T00:00:01",
                           "1970-01-01 00:00:01", "1000"}) {
    EXPECT_THAT(micros(time), HasSubstr("make_timestamptz(1000000)")) << time;
  }
  EXPECT_THAT(micros("1970-01-02"), HasSubstr("make_timestamptz(86400000000)"));
  for (const char* time : {"", "soon", "1); DROP", "9223372036854775807"}) {
    EXPECT_FALSE(TimestampQuery("t", time).ok()) << time;
  }
}

}  // namespace
}  // namespace arrowport::maintain
