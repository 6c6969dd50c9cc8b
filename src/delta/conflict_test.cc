// Two writers of one table, each with its own view of the log.
#include "delta/conflict.h"

#include <gmock/gmock.h>

#include <numeric>
#include <thread>

#include "base/fault_point.h"
#include "delta/table_fixture.h"

namespace arrowport::delta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ConflictTest : public TableFixture {
 protected:
  void SetUp() override {
    TableFixture::SetUp();
    first_ = OpenTable();
    ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(0, 2))).status);
    second_ = OpenTable();
  }

  /// An empty folder; stores hold on to the folder they opened.
  void StartOver() {
    std::filesystem::remove_all(folder_);
    store_ = OpenStore();
  }

  std::vector<int64_t> Ids() { return ReadLongs(*OpenTable()->snapshot(), "id"); }

  static std::vector<AddFile> Files(const Snapshot& snapshot) {
    std::vector<AddFile> files;
    snapshot.VisitFiles([&](int64_t, const AddFile& add) { files.push_back(add); });
    return files;
  }
  static RemoveFile Removal(const AddFile& add, bool data_change) {
    RemoveFile remove;
    remove.path = add.path;
    remove.deletion_timestamp_ms = 1;
    remove.data_change = data_change;
    remove.extended_file_metadata = true;
    remove.size = add.size;
    return remove;
  }
  /// The first file of the table rewritten under another name, as compaction does.
  FileChange Compaction(const DeltaTable& table) {
    FileChange change;
    change.operation = "OPTIMIZE";
    change.planned_on = table.snapshot();
    AddFile add = Files(*change.planned_on).front();
    change.removes = {Removal(add, false)};
    const std::string copy = "copy-" + NewRandomId() + ".parquet";
    std::filesystem::copy(folder_ / add.path, folder_ / copy);
    add.path = copy;
    add.data_change = false;
    change.adds = {add};
    return change;
  }
  static WriteOutcome Overwrite(DeltaTable& table,
                                const std::shared_ptr<arrow::RecordBatch>& batch,
                                const WriteOptions& options = {}) {
    auto write = table.BeginOverwrite(batch->schema(), {}, options);
    EXPECT_TRUE(write.ok()) << write.status().ToString();
    EXPECT_TRUE((*write)->Append(batch).ok());
    return (*write)->Commit(std::nullopt, std::nullopt);
  }

  std::shared_ptr<DeltaTable> first_, second_;
};

TEST_F(ConflictTest, AnAppendGoesOnBehindAnAppend) {
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(2, 2))).status);
  const WriteOutcome late = AppendOne(*second_, Member(Rows(4, 2)));
  ASSERT_STATUS_OK(late.status);
  EXPECT_EQ(late.version, 2);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(ConflictTest, ManyThreadsOverTwoHandlesLoseNothing) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&, i] {
      DeltaTable& table = i % 2 == 0 ? *first_ : *second_;
      for (int64_t round = 0; round < 25; ++round) {
        const auto outcome = AppendOne(table, Member(Rows(2 + i * 25 + round, 1)));
        EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
      }
    });
  }
  for (auto& writer : writers) writer.join();
  std::vector<int64_t> expected(102);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(Ids(), expected);
  EXPECT_EQ(OpenTable()->snapshot()->version(), 100);
}

TEST_F(ConflictTest, OneKeyOnTwoHandlesLandsOnce) {
  AppendMember keyed = Member(Rows(2, 2));
  keyed.key = Key("k", 2);
  ASSERT_STATUS_OK(AppendOne(*first_, keyed).status);
  std::vector<AppendMember> group = {Member(Rows(4, 2)), keyed};
  const auto outcomes = second_->Append(group, {});
  ASSERT_STATUS_OK(outcomes[0].status);
  EXPECT_EQ(outcomes[0].version, 2);
  ASSERT_STATUS_OK(outcomes[1].status);
  EXPECT_TRUE(outcomes[1].replayed);
  EXPECT_EQ(outcomes[1].version, 1);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(OrphanCount(*OpenTable()->snapshot()), 0);
}

TEST_F(ConflictTest, OneSequenceOnTwoHandlesLandsOnce) {
  AppendMember member = Member(Rows(2, 2));
  member.producer = ProducerSequence{"p", 1};
  ASSERT_STATUS_OK(AppendOne(*first_, member).status);
  EXPECT_TRUE(AppendOne(*second_, member).replayed);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3));
}

// One handle has 1..5 in the log, the other, which knows 1..2, comes with 3..8.
TEST_F(ConflictTest, SequencesThatAreInTheLogInPartAreRefused) {
  auto one = OpenTable(), other = OpenTable();
  const auto produced = [](int64_t first, int64_t last) {
    AppendMember member = Member(Rows(100 + first, last - first + 1));
    member.producer = ProducerSequence{"p", last, first};
    return member;
  };
  ASSERT_STATUS_OK(AppendOne(*other, produced(1, 2)).status);
  ASSERT_STATUS_OK(one->Refresh().status());
  ASSERT_STATUS_OK(AppendOne(*one, produced(3, 5)).status);
  const WriteOutcome outcome = AppendOne(*other, produced(3, 8));
  ASSERT_FALSE(outcome.status.ok());
  EXPECT_EQ(CodeOf(outcome.status), ErrorCode::kSequenceGap) << outcome.status.ToString();
  ASSERT_STATUS_OK(AppendOne(*other, produced(6, 8)).status);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 101, 102, 103, 104, 105, 106, 107, 108));
}

// Somebody empties the folder, or puts another table there, while a handle is open.
TEST_F(ConflictTest, ALogThatWasReplacedIsNotWrittenOnTopOf) {
  auto table = OpenTable();
  for (int64_t i = 0; i < 3; ++i) {
    ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(i, 1))).status);
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "_delta_log")) {
    std::filesystem::remove_all(entry.path());
  }
  const WriteOutcome outcome = AppendOne(*table, Member(Rows(7, 1)));
  ASSERT_STATUS_OK(outcome.status);
  EXPECT_EQ(outcome.version, 0);
  EXPECT_THAT(Ids(), ElementsAre(7));
}

TEST_F(ConflictTest, AnAppendFollowsANewColumnOfTheWinner) {
  WriteOptions merge;
  merge.schema_mode = SchemaMode::kMerge;
  ASSERT_STATUS_OK(
      AppendOne(*first_, Member(Batch({{"id", Longs({2})}, {"x", Longs({7})}})), merge)
          .status);
  ASSERT_STATUS_OK(AppendOne(*second_, Member(Rows(3, 1))).status);
  // Both add the same column, then one adds it with another type.
  ASSERT_STATUS_OK(
      AppendOne(*first_, Member(Batch({{"id", Longs({4})}, {"y", Longs({7})}})), merge)
          .status);
  ASSERT_STATUS_OK(
      AppendOne(*second_, Member(Batch({{"id", Longs({5})}, {"y", Longs({8})}})), merge)
          .status);
  EXPECT_THAT(ReadLongs(*OpenTable()->snapshot(), "y"), ElementsAre(-1, -1, -1, -1, 7, 8));
  ASSERT_STATUS_OK(
      AppendOne(*first_, Member(Batch({{"id", Longs({6})}, {"z", Longs({7})}})), merge)
          .status);
  const auto refused = AppendOne(
      *second_, Member(Batch({{"id", Longs({7})}, {"z", Texts({"t"})}})), merge);
  EXPECT_EQ(CodeOf(refused.status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(OrphanCount(*OpenTable()->snapshot()), 0);
}

TEST_F(ConflictTest, AStreamedAppendGoesOnOnlyWhenItsFilesFit) {
  auto fits = second_->BeginAppend(Rows(0, 1)->schema(), {}).ValueOrDie();
  ASSERT_STATUS_OK(fits->Append(Rows(10, 1)));
  WriteOptions merge;
  merge.schema_mode = SchemaMode::kMerge;
  ASSERT_STATUS_OK(
      AppendOne(*first_, Member(Batch({{"id", Longs({2})}, {"x", Longs({7})}})), merge)
          .status);
  ASSERT_STATUS_OK(fits->Commit(std::nullopt, std::nullopt).status);

  auto late = second_->BeginAppend(Rows(0, 1)->schema(), {}).ValueOrDie();
  ASSERT_STATUS_OK(late->Append(Rows(20, 1)));
  WriteOptions replace;
  replace.schema_mode = SchemaMode::kOverwrite;
  ASSERT_STATUS_OK(Overwrite(*first_, Batch({{"other", Longs({1})}}), replace).status);
  const auto refused = late->Commit(std::nullopt, std::nullopt);
  EXPECT_EQ(CodeOf(refused.status), ErrorCode::kCommitConflict);
  EXPECT_EQ(ReadLongs(*OpenTable()->snapshot(), "other").size(), 1u);
}

TEST_F(ConflictTest, AnOverwriteTakesInTheAppendsOfWinners) {
  auto write = second_->BeginOverwrite(Rows(0, 1)->schema(), {}, {}).ValueOrDie();
  ASSERT_STATUS_OK(write->Append(Rows(100, 2)));
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(2, 2))).status);
  const auto outcome = write->Commit(std::nullopt, std::nullopt);
  ASSERT_STATUS_OK(outcome.status);
  EXPECT_EQ(outcome.version, 2);
  EXPECT_THAT(Ids(), ElementsAre(100, 101));
}

TEST_F(ConflictTest, BothMakeTheTable) {
  StartOver();
  first_ = OpenTable();
  second_ = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(0, 1))).status);
  const auto same = AppendOne(*second_, Member(Rows(1, 1)));
  ASSERT_STATUS_OK(same.status);
  EXPECT_EQ(same.version, 1);
  EXPECT_THAT(Ids(), ElementsAre(0, 1));

  StartOver();
  first_ = OpenTable();
  second_ = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(0, 1))).status);
  const auto other = AppendOne(*second_, Member(Batch({{"id", Texts({"x"})}})));
  EXPECT_EQ(CodeOf(other.status), ErrorCode::kSchemaMismatch);
}

TEST_F(ConflictTest, CompactionAndAppendDoNotConflict) {
  FileChange change = Compaction(*second_);
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(2, 2))).status);
  const auto version = second_->Commit(change);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(*version, 2);
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(4, 2))).status);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(ConflictTest, AFileIsRemovedOnce) {
  FileChange mine = Compaction(*first_), theirs = Compaction(*second_);
  ASSERT_TRUE(first_->Commit(mine).ok());
  EXPECT_EQ(CodeOf(second_->Commit(theirs).status()), ErrorCode::kCommitConflict);
  // On a handle that has seen the winner, too.
  EXPECT_EQ(CodeOf(second_->Commit(theirs).status()), ErrorCode::kCommitConflict);
  EXPECT_THAT(Ids(), ElementsAre(0, 1));
}

TEST_F(ConflictTest, WhatWasReadMayNotChangeButForBlindAppends) {
  const auto reading = [&](DeltaTable& table) {
    FileChange change = Compaction(table);
    change.reads.kind = ReadSet::Kind::kTable;
    return change;
  };
  FileChange change = reading(*second_);
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(2, 2))).status);  // blind
  ASSERT_TRUE(second_->Commit(change).ok());

  ASSERT_TRUE(first_->Refresh().ok());
  change = reading(*second_);
  ASSERT_STATUS_OK(Overwrite(*first_, Rows(50, 1)).status);
  const auto refused = second_->Commit(change);
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kCommitConflict);
  EXPECT_THAT(Ids(), ElementsAre(50));
}

TEST_F(ConflictTest, NewMetadataStopsAChangeOfFiles) {
  FileChange change = Compaction(*second_);
  WriteOptions merge;
  merge.schema_mode = SchemaMode::kMerge;
  ASSERT_STATUS_OK(
      AppendOne(*first_, Member(Batch({{"id", Longs({2})}, {"x", Longs({7})}})), merge)
          .status);
  const auto refused = second_->Commit(change);
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kCommitConflict);
  EXPECT_THAT(refused.status().message(), HasSubstr("metadata"));
}

TEST_F(ConflictTest, PartitionsThatWereNotReadMayChange) {
  StartOver();
  first_ = OpenTable();
  const auto rows = Batch({{"day", Texts({"a", "b"})}, {"id", Longs({1, 2})}});
  ASSERT_STATUS_OK(AppendOne(*first_, Member(rows), Creating({"day"})).status);
  second_ = OpenTable();
  const auto delete_of = [&](DeltaTable& table, const std::string& day) {
    FileChange change;
    change.operation = "DELETE";
    change.planned_on = table.snapshot();
    change.reads = {ReadSet::Kind::kPartitions, {{{"day", {day}}}}};
    for (const AddFile& add : Files(*change.planned_on)) {
      if (add.partition_values.at("day") != day) continue;
      change.removes.push_back(Removal(add, true));
      change.removes.back().partition_values = add.partition_values;
    }
    return change;
  };
  FileChange of_b = delete_of(*second_, "b"), again = delete_of(*second_, "a");
  ASSERT_TRUE(first_->Commit(delete_of(*first_, "a")).ok());
  ASSERT_TRUE(second_->Commit(of_b).ok());
  EXPECT_EQ(CodeOf(second_->Commit(again).status()), ErrorCode::kCommitConflict);
  EXPECT_EQ(OpenTable()->snapshot()->file_count(), 0);
}

TEST_F(ConflictTest, AnErrorAfterTheLogIsSettledByReadingBack) {
  ASSERT_STATUS_OK(ArmFaultPoints("delta.commit.after_log=error@1"));
  const auto outcome = AppendOne(*first_, Member(Rows(2, 2)));
  EXPECT_EQ(CodeOf(outcome.status), ErrorCode::kStorageUnavailable);
  EXPECT_EQ(OrphanCount(*OpenTable()->snapshot()), 0);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3));
  // The handle finds its own commit and goes on behind it.
  ASSERT_STATUS_OK(AppendOne(*first_, Member(Rows(4, 1))).status);
  EXPECT_THAT(Ids(), ElementsAre(0, 1, 2, 3, 4));
}

}  // namespace
}  // namespace arrowport::delta
