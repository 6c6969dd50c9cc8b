// What beside the rows is kept, read and removed: keys and their window, old log files, and
// what an append asks of the store.
#include "delta/log_cleanup.h"

#include <gmock/gmock.h>

#include <chrono>

#include "delta/idempotency.h"
#include "delta/snapshot.h"
#include "delta/table_fixture.h"

namespace arrowport::delta {
namespace {

using std::chrono::hours;

class MovedClock : public Clock {
 public:
  Steady SteadyNow() const override { return SystemClock().SteadyNow() + ahead; }
  Wall WallNow() const override { return SystemClock().WallNow() + ahead + jump; }
  std::chrono::hours ahead{0};
  std::chrono::hours jump{0};  ///< of the wall clock alone
};

/// Counts what is asked of a store that does the work.
class CountingStore : public store::Store {
 public:
  explicit CountingStore(std::shared_ptr<store::Store> inner) : inner_(std::move(inner)) {}
  const std::string& root() const override { return inner_->root(); }
  std::string PathFor(std::string_view path) const override {
    return inner_->PathFor(path);
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::string_view path,
                                                     int64_t bytes_max) const override {
    ++reads;
    return inner_->Read(path, bytes_max);
  }
  arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Open(
      std::string_view path) const override {
    ++reads;
    return inner_->Open(path);
  }
  arrow::Result<store::FileInfo> Stat(std::string_view path) const override {
    return inner_->Stat(path);
  }
  arrow::Status List(std::string_view folder, std::string_view after,
                     const std::function<arrow::Status(const store::FileInfo&)>& visit)
      const override {
    ++lists;
    return inner_->List(folder, after, visit);
  }
  arrow::Status ListBelow(std::string_view folder,
                          const std::function<arrow::Status(const store::FileInfo&)>&
                              visit) const override {
    ++lists;
    return inner_->ListBelow(folder, visit);
  }
  arrow::Result<std::unique_ptr<store::Lock>> TryLock(std::string_view path) override {
    return inner_->TryLock(path);
  }
  arrow::Status PutIfAbsent(std::string_view path, std::string_view content) override {
    ++puts;
    return inner_->PutIfAbsent(path, content);
  }
  arrow::Status Put(std::string_view path, std::string_view content) override {
    ++puts;
    return inner_->Put(path, content);
  }
  arrow::Result<std::unique_ptr<store::FileWriter>> Create(
      std::string_view path) override {
    ++puts;
    return inner_->Create(path);
  }
  arrow::Status SyncFolder(std::string_view folder) override {
    return inner_->SyncFolder(folder);
  }
  arrow::Status Remove(std::string_view path) override { return inner_->Remove(path); }

  mutable int reads = 0, lists = 0, puts = 0;

 private:
  const std::shared_ptr<store::Store> inner_;
};

class UpkeepTest : public TableFixture {
 protected:
  void SetUp() override {
    TableFixture::SetUp();
    environment_.clock = &clock_;
  }

  bool HasCommit(int64_t version) const {
    return std::filesystem::exists(folder_ / CommitPath(version));
  }
  /// Commits up to `version` become `age` old.
  void Age(int64_t version, hours age) {
    for (int64_t v = 0; v <= version; ++v) {
      std::filesystem::last_write_time(
          folder_ / CommitPath(v), std::filesystem::file_time_type::clock::now() - age);
    }
  }
  /// 25 commits, checkpoints of 10 and 20, the first 15 commits ten days old.
  std::shared_ptr<DeltaTable> OldTable(StringMap properties,
                                       std::optional<int64_t> keyed = std::nullopt) {
    auto table = OpenTable();
    for (int64_t i = 0; i < 25; ++i) {
      AppendMember member = Member(Rows(i, 1));
      if (keyed == i) member.key = Key("k", 1);
      EXPECT_TRUE(AppendOne(*table, member, Creating({}, properties)).status.ok());
      if (i == 10 || i == 20) {
        EXPECT_TRUE(table->WriteCheckpoint().ok());
      }
    }
    Age(14, hours(240));
    return table;
  }

  MovedClock clock_;
};

const StringMap kOneDay = {{"delta.logRetentionDuration", "interval 1 days"}};

TEST_F(UpkeepTest, CleanUpStopsAtTheCheckpointBeforeTheCutoff) {
  auto table = OldTable(kOneDay);
  const auto report = table->CleanUpLog();
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->log_files_removed, 10);
  EXPECT_FALSE(HasCommit(9));
  EXPECT_TRUE(HasCommit(10));
  EXPECT_EQ(ReadLongs(*OpenTable()->snapshot(), "id").size(), 25u);
  // A version inside the retention is still there to be read.
  auto old = LogReader(OpenStore()).Load(14);
  ASSERT_TRUE(old.ok()) << old.status().ToString();
  EXPECT_EQ((*old)->file_count(), 15);
}

TEST_F(UpkeepTest, CleanUpKeepsCommitsWhoseKeysAreInNoSummary) {
  auto table = OldTable(kOneDay, 3);
  const auto report = table->CleanUpLog();
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->log_files_removed, 3);
  EXPECT_TRUE(HasCommit(3));
}

TEST_F(UpkeepTest, CleanUpCanBeForbidden) {
  StringMap properties = kOneDay;
  properties["delta.enableExpiredLogCleanup"] = "false";
  auto table = OldTable(properties);
  EXPECT_EQ(table->CleanUpLog().ValueOrDie().log_files_removed, 0);
}

TEST_F(UpkeepTest, NothingYoungIsRemoved) {
  auto table = OldTable({});  // retention of 30 days
  EXPECT_EQ(table->CleanUpLog().ValueOrDie().log_files_removed, 0);
}

TEST_F(UpkeepTest, AKeyIsForgottenAfterTheWindow) {
  auto table = OpenTable();
  AppendMember member = Member(Rows(0, 1));
  member.key = Key("k", 1);
  ASSERT_STATUS_OK(AppendOne(*table, member).status);
  clock_.ahead = hours(23);
  EXPECT_TRUE(table->FindKey("k"));
  EXPECT_TRUE(OpenTable()->FindKey("k"));
  clock_.ahead = hours(25);
  EXPECT_FALSE(table->FindKey("k"));
  EXPECT_FALSE(OpenTable()->FindKey("k"));
  // Used again it is a new request, and known again.
  EXPECT_FALSE(AppendOne(*table, member).replayed);
  EXPECT_EQ(table->FindKey("k")->version, 1);
}

TEST_F(UpkeepTest, AJumpOfTheWallClockForgetsNoKey) {
  auto table = OpenTable();
  AppendMember first = Member(Rows(0, 1)), second = Member(Rows(1, 1));
  first.key = Key("k", 1);
  second.key = Key("l", 1);
  ASSERT_STATUS_OK(AppendOne(*table, first).status);
  for (const int jump : {24 * 365, -24 * 365}) {
    clock_.jump = hours(jump);
    EXPECT_TRUE(table->FindKey("k"));
    ASSERT_STATUS_OK(AppendOne(*table, second).status);
    EXPECT_TRUE(AppendOne(*table, first).replayed);
    EXPECT_TRUE(AppendOne(*table, second).replayed);
  }
  clock_.ahead = hours(25);
  EXPECT_FALSE(table->FindKey("k"));
  EXPECT_FALSE(table->FindKey("l"));
}

TEST_F(UpkeepTest, ADamagedSummaryCostsOnlyTime) {
  auto table = OpenTable();
  for (int i = 0; i < 70; ++i) {
    AppendMember member = Member(Rows(i, 1));
    member.key = Key("key " + std::to_string(i), 1);
    ASSERT_STATUS_OK(AppendOne(*table, member).status);
  }
  ASSERT_STATUS_OK(table->WriteCheckpoint());
  const auto path = folder_ / KeySummaryPath(69);
  ASSERT_TRUE(std::filesystem::exists(path));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_TRUE(OpenTable()->FindKey("key 0"));
  EXPECT_TRUE(OpenTable()->FindKey("key 69"));
}

TEST_F(UpkeepTest, TimestampsDoNotGoBackWithTheClock) {
  auto table = OpenTable();
  clock_.ahead = hours(10);
  const StringMap properties = {{"delta.enableInCommitTimestamps", "true"}};
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 1)), Creating({}, properties)).status);
  const int64_t before = table->snapshot()->timestamp_ms();
  clock_.ahead = hours(0);
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(1, 1))).status);
  EXPECT_EQ(table->snapshot()->timestamp_ms(), before + 1);
}

TEST_F(UpkeepTest, StampsOfCommitsDoNotGoBackWithTheClock) {
  // Without times in commits readers go by those of the files; the stamps are for people.
  const auto stamp = [&](int64_t version) {
    const auto actions = LogReader(store_).ReadCommit(version).ValueOrDie();
    return std::get<CommitInfo>(actions.front()).timestamp_ms.value_or(0);
  };
  clock_.jump = hours(10);
  ASSERT_STATUS_OK(AppendOne(*OpenTable(), Member(Rows(0, 1))).status);
  clock_.jump = hours(0);
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(1, 1))).status);
  clock_.jump = hours(-10);
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(2, 1))).status);
  EXPECT_LE(stamp(0), stamp(1));
  EXPECT_LE(stamp(1), stamp(2));
}

TEST_F(UpkeepTest, AnAppendReadsAndListsNothingHoweverManyFilesThereAre) {
  auto store = std::make_shared<CountingStore>(OpenStore());
  auto table = DeltaTable::Open(store, environment_, options_).ValueOrDie();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 1))).status);
  FileChange many;
  many.operation = "WRITE";
  many.planned_on = table->snapshot();
  for (int i = 0; i < 10'000; ++i) {
    AddFile add;
    add.path = "file-" + std::to_string(i) + ".parquet";
    add.size = 1;
    many.adds.push_back(add);
  }
  ASSERT_TRUE(table->Commit(many).ok());
  store->reads = store->lists = store->puts = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(i, 1))).status);
  }
  EXPECT_EQ(store->reads, 0);
  EXPECT_EQ(store->lists, 0);
  EXPECT_EQ(store->puts, 20);  // a data file and a log entry each
  EXPECT_EQ(table->snapshot()->file_count(), 10'011);
}

TEST_F(UpkeepTest, ACheckpointOfManyFilesIsReadBackWhole) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(
      AppendOne(*table, Member(Batch({{"p", Texts({"x"})}, {"id", Longs({1})}})),
                Creating({"p"}))
          .status);
  FileChange many;
  many.operation = "WRITE";
  many.planned_on = table->snapshot();
  for (int i = 0; i < 40'000; ++i) {
    AddFile add;
    add.path = "file-" + std::to_string(i) + ".parquet";
    add.size = i;
    add.stats = R"({"numRecords":1})";
    if (i % 2 == 0) {
      add.partition_values["p"] = std::to_string(i);
    } else {
      add.partition_values["p"] = std::nullopt;
    }
    many.adds.push_back(add);
  }
  ASSERT_TRUE(table->Commit(many).ok());
  ASSERT_STATUS_OK(table->WriteCheckpoint());
  std::filesystem::remove(folder_ / CommitPath(0));
  const auto snapshot = OpenTable()->snapshot();
  EXPECT_EQ(snapshot->file_count(), 40'001);
  EXPECT_EQ(snapshot->size_bytes(), table->snapshot()->size_bytes());
  int64_t seen = 0;
  snapshot->VisitFiles([&](int64_t, const AddFile& add) {
    if (!add.path.starts_with("file-")) return;
    ++seen;
    if (add.size % 2 == 0) {
      EXPECT_EQ(add.partition_values.at("p"), std::to_string(add.size));
    } else {
      EXPECT_EQ(add.partition_values.at("p"), std::nullopt);
    }
  });
  EXPECT_EQ(seen, 40'000);
}

}  // namespace
}  // namespace arrowport::delta
