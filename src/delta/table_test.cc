// One process writing tables: what lands, what is refused, what is found again.
#include "delta/table.h"

#include <gmock/gmock.h>

#include <numeric>

#include "delta/table_fixture.h"

namespace arrowport::delta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TableTest : public TableFixture {};

std::vector<int64_t> Range(int64_t first, int64_t count) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST_F(TableTest, TheFirstWriteIsVersionZeroWithItsRows) {
  auto table = OpenTable();
  EXPECT_EQ(table->snapshot(), nullptr);
  const WriteOutcome outcome = AppendOne(*table, Member(Rows(0, 10)));
  ASSERT_STATUS_OK(outcome.status);
  EXPECT_EQ(outcome.version, 0);
  auto reopened = OpenTable();
  ASSERT_NE(reopened->snapshot(), nullptr);
  EXPECT_EQ(reopened->snapshot()->version(), 0);
  EXPECT_EQ(ReadLongs(*reopened->snapshot(), "id"), Range(0, 10));
  EXPECT_EQ(reopened->snapshot()->state().protocol.min_writer_version, 2);
}

TEST_F(TableTest, WithoutADefinitionAMissingTableIsAnError) {
  auto table = OpenTable();
  const WriteOutcome outcome = AppendOne(*table, Member(Rows(0, 1)), WriteOptions{});
  EXPECT_EQ(CodeOf(outcome.status), ErrorCode::kTableNotFound);
  EXPECT_EQ(table->snapshot(), nullptr);
}

TEST_F(TableTest, OnlyItsOwnPartitionsAreTooManyForAMember) {
  auto table = OpenTable();
  std::vector<AppendMember> members = {Member(Rows(0, 4090)), Member(Rows(4090, 10)),
                                       Member(Rows(4100, 5000)), Member(Rows(9100, 10))};
  members[1].producer = {"p", 1, {}};
  members[2].producer = {"q", 1, {}};
  members[3].producer = {"p", 2, {}};
  const auto outcomes = table->Append(members, Creating({"id"}));
  for (const size_t good : {0, 1, 3}) ASSERT_STATUS_OK(outcomes[good].status);
  EXPECT_EQ(CodeOf(outcomes[2].status), ErrorCode::kTooLarge);
  EXPECT_EQ(outcomes[0].version, 0);
  EXPECT_EQ(outcomes[1].version, 1);
  EXPECT_EQ(outcomes[3].version, 2);
  EXPECT_EQ(table->snapshot()->file_count(), 4090 + 10 + 10);
  EXPECT_EQ(table->LastSequence("p"), 2);
  EXPECT_EQ(table->LastSequence("q"), std::nullopt);
  EXPECT_EQ(OrphanCount(*table->snapshot()), 0);
}

TEST_F(TableTest, WhatIsPutOffEndsWithTheRefusedSequenceBeforeIt) {
  auto table = OpenTable();
  std::vector<AppendMember> members = {Member(Rows(0, 10)), Member(Rows(10, 5000)),
                                       Member(Rows(5010, 4090))};
  for (size_t i = 0; i < members.size(); ++i) {
    members[i].producer = {"p", static_cast<int64_t>(i), {}};
  }
  const auto outcomes = table->Append(members, Creating({"id"}));
  ASSERT_STATUS_OK(outcomes[0].status);
  EXPECT_EQ(CodeOf(outcomes[1].status), ErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(outcomes[2].status), ErrorCode::kSequenceGap);
  EXPECT_EQ(table->LastSequence("p"), 0);
  EXPECT_EQ(table->snapshot()->file_count(), 10);
}

TEST_F(TableTest, ALogThatLostItsVersionsIsNotBegunAgain) {
  ASSERT_STATUS_OK(store_->Put("_delta_log/_last_checkpoint", R"({"version":5,"size":3})"));
  const auto table = DeltaTable::Open(OpenStore(), environment_, options_);
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(CodeOf(table.status()), ErrorCode::kStorageCorrupt);
  EXPECT_THAT(table.status().message(), HasSubstr("version 5"));
}

TEST_F(TableTest, AGroupIsOneVersionAndOnlyTheCulpritFails) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 5))).status);
  std::vector<AppendMember> members = {
      Member(Rows(5, 5)), Member(Batch({{"id", Texts({"not a number"})}})),
      Member(Rows(10, 5)), Member(Batch({{"unknown", Longs({1})}}))};
  const auto outcomes = table->Append(members, Creating());
  ASSERT_STATUS_OK(outcomes[0].status);
  ASSERT_STATUS_OK(outcomes[2].status);
  EXPECT_EQ(outcomes[0].version, 1);
  EXPECT_EQ(outcomes[2].version, 1);
  EXPECT_EQ(CodeOf(outcomes[1].status), ErrorCode::kSchemaMismatch);
  EXPECT_THAT(outcomes[1].status.message(), HasSubstr("id"));
  EXPECT_EQ(CodeOf(outcomes[3].status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(ReadLongs(*table->snapshot(), "id"), Range(0, 15));
  EXPECT_EQ(OrphanCount(*table->snapshot()), 0);
}

TEST_F(TableTest, AValueThatDoesNotFitNamesColumnRowAndValue) {
  auto table = OpenTable();
  arrow::Int16Builder shorts;
  ASSERT_STATUS_OK(shorts.Append(7));
  ASSERT_STATUS_OK(
      AppendOne(*table, Member(Batch({{"n", shorts.Finish().ValueOrDie()}}))).status);
  ASSERT_STATUS_OK(AppendOne(*table, Member(Batch({{"n", Longs({8})}}))).status);
  const auto refused = AppendOne(*table, Member(Batch({{"n", Longs({1, 2, 70000})}})));
  EXPECT_EQ(CodeOf(refused.status), ErrorCode::kSchemaMismatch);
  EXPECT_THAT(refused.status.message(),
              testing::AllOf(HasSubstr("n"), HasSubstr("row 2"), HasSubstr("70000")));
}

TEST_F(TableTest, AKeyIsAnsweredFromTheLogAlsoAfterAReopening) {
  auto table = OpenTable();
  AppendMember member = Member(Rows(0, 5));
  member.key = Key("order 1", 5);
  ASSERT_STATUS_OK(AppendOne(*table, member).status);
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(5, 5))).status);
  for (int round = 0; round < 2; ++round) {
    const WriteOutcome again = AppendOne(*table, member);
    ASSERT_STATUS_OK(again.status);
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.version, 0);
    EXPECT_EQ(again.rows, 5);
    table = OpenTable();
  }
  member.key = Key("order 1", 5, 'b');
  EXPECT_EQ(CodeOf(AppendOne(*table, member).status), ErrorCode::kKeyReused);
  EXPECT_EQ(table->snapshot()->version(), 1);
  EXPECT_EQ(ReadLongs(*table->snapshot(), "id"), Range(0, 10));
}

TEST_F(TableTest, KeysComeFromTheSummaryWhenTheirCommitsAreGone) {
  auto table = OpenTable();
  for (int i = 0; i < 70; ++i) {
    AppendMember member = Member(Rows(i, 1));
    member.key = Key("key " + std::to_string(i), 1);
    ASSERT_STATUS_OK(AppendOne(*table, member).status);
  }
  ASSERT_STATUS_OK(table->WriteCheckpoint());
  for (int version = 0; version < 69; ++version) {
    std::filesystem::remove(folder_ / CommitPath(version));
  }
  auto reopened = OpenTable();
  for (int i = 0; i < 70; ++i) {
    const auto found = reopened->FindKey("key " + std::to_string(i));
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->version, i);
  }
  EXPECT_FALSE(reopened->FindKey("key 70"));
  EXPECT_EQ(ReadLongs(*reopened->snapshot(), "id"), Range(0, 70));
}

TEST_F(TableTest, ARepeatWithinAGroupIsAReplay) {
  auto table = OpenTable();
  std::vector<AppendMember> members = {Member(Rows(0, 5)), Member(Rows(0, 5)),
                                       Member(Rows(0, 5))};
  for (auto& member : members) member.key = Key("k", 5);
  members[2].key = Key("k", 5, 'b');
  const auto outcomes = table->Append(members, Creating());
  ASSERT_STATUS_OK(outcomes[0].status);
  ASSERT_STATUS_OK(outcomes[1].status);
  EXPECT_FALSE(outcomes[0].replayed);
  EXPECT_TRUE(outcomes[1].replayed);
  EXPECT_EQ(CodeOf(outcomes[2].status), ErrorCode::kKeyReused);
  EXPECT_EQ(ReadLongs(*table->snapshot(), "id"), Range(0, 5));
}

TEST_F(TableTest, SequencesOfAProducerAreWrittenOnce) {
  auto table = OpenTable();
  std::vector<AppendMember> members;
  for (int64_t sequence : {1, 2, 2, 3}) {
    members.push_back(Member(Rows(sequence * 10, 2)));
    members.back().producer = ProducerSequence{"sensor", sequence};
  }
  auto outcomes = table->Append(members, Creating());
  for (const auto& outcome : outcomes) ASSERT_STATUS_OK(outcome.status);
  EXPECT_TRUE(outcomes[2].replayed);
  EXPECT_EQ(table->LastSequence("sensor"), 3);
  EXPECT_EQ(OpenTable()->LastSequence("sensor"), 3);
  EXPECT_TRUE(AppendOne(*table, members[1]).replayed);
  EXPECT_THAT(ReadLongs(*table->snapshot(), "id"), ElementsAre(10, 11, 20, 21, 30, 31));
}

TEST_F(TableTest, ARefusedSequenceStopsTheOnesBehindIt) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 1))).status);
  std::vector<AppendMember> members = {Member(Rows(1, 1)),
                                       Member(Batch({{"id", Texts({"x"})}})),
                                       Member(Rows(3, 1)), Member(Rows(9, 1))};
  for (size_t i = 0; i < 3; ++i) {
    members[i].producer = ProducerSequence{"p", static_cast<int64_t>(i + 1)};
  }
  const auto outcomes = table->Append(members, Creating());
  ASSERT_STATUS_OK(outcomes[0].status);
  EXPECT_EQ(CodeOf(outcomes[1].status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(CodeOf(outcomes[2].status), ErrorCode::kSequenceGap);
  ASSERT_STATUS_OK(outcomes[3].status);
  EXPECT_EQ(table->LastSequence("p"), 1);
  EXPECT_THAT(ReadLongs(*table->snapshot(), "id"), ElementsAre(0, 1, 9));
}

TEST_F(TableTest, MergeAddsColumnsInTheSameCommit) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 2))).status);
  const std::string id = table->snapshot()->state().metadata.id;
  WriteOptions merge = Creating();
  merge.schema_mode = SchemaMode::kMerge;
  std::vector<AppendMember> members = {
      Member(Batch({{"id", Longs({2})}, {"extra", Longs({5})}})),
      Member(Batch({{"ID", Longs({3})}, {"other", Longs({6})}}))};
  for (const auto& outcome : table->Append(members, merge)) {
    ASSERT_STATUS_OK(outcome.status);
    EXPECT_EQ(outcome.version, 1);
  }
  const auto snapshot = OpenTable()->snapshot();
  EXPECT_EQ(snapshot->state().metadata.id, id);
  EXPECT_EQ(snapshot->state().schema->fields.size(), 4u);
  EXPECT_THAT(ReadLongs(*snapshot, "id"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ReadLongs(*snapshot, "other"), ElementsAre(-1, -1, -1, 6));
}

TEST_F(TableTest, MergeReachesIntoStructs) {
  auto table = OpenTable();
  const auto one = [&](std::vector<std::string> names) {
    arrow::ArrayVector children(names.size(), Longs({1}));
    return Batch({{"s", arrow::StructArray::Make(children, names).ValueOrDie()}});
  };
  WriteOptions merge = Creating();
  merge.schema_mode = SchemaMode::kMerge;
  ASSERT_STATUS_OK(AppendOne(*table, Member(one({"a"})), merge).status);
  ASSERT_STATUS_OK(AppendOne(*table, Member(one({"b", "a"})), merge).status);
  EXPECT_EQ(table->snapshot()->state().schema->fields[0].type->ToString(),
            "struct<a:long,b:long>");
  ASSERT_STATUS_OK(AppendOne(*table, Member(one({"b"})), merge).status);
  EXPECT_EQ(table->snapshot()->version(), 2);
}

TEST_F(TableTest, ATypeWidensOnlyWhenAsked) {
  auto table = OpenTable();
  arrow::Int32Builder ints;
  ASSERT_STATUS_OK(ints.Append(7));
  auto narrow = Member(Batch({{"n", ints.Finish().ValueOrDie()}}));
  auto wide = Member(Batch({{"n", Longs({int64_t{1} << 40})}}));
  ASSERT_STATUS_OK(AppendOne(*table, narrow).status);
  WriteOptions merge = Creating();
  merge.schema_mode = SchemaMode::kMerge;
  EXPECT_EQ(CodeOf(AppendOne(*table, wide, merge).status), ErrorCode::kSchemaMismatch);
  merge.type_widening = TypeWidening::kEnable;
  ASSERT_STATUS_OK(AppendOne(*table, wide, merge).status);
  const auto snapshot = OpenTable()->snapshot();
  const TableState& state = snapshot->state();
  EXPECT_EQ(state.schema->fields[0].type->ToString(), "long");
  EXPECT_THAT(*state.protocol.writer_features, testing::Contains("typeWidening"));
  EXPECT_THAT(*state.protocol.reader_features, testing::Contains("typeWidening"));
  EXPECT_THAT(state.metadata.schema_string, HasSubstr("delta.typeChanges"));
}

TEST_F(TableTest, AnOverwriteReplacesEverythingAndMayReplaceTheSchema) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 5))).status);
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(5, 5))).status);
  WriteOptions options;
  options.schema_mode = SchemaMode::kOverwrite;
  auto batch = Batch({{"value", Longs({1, 2, 3})}});
  auto write = table->BeginOverwrite(batch->schema(), {}, options).ValueOrDie();
  ASSERT_STATUS_OK(write->Append(batch));
  const WriteOutcome outcome = write->Commit(std::nullopt, Key("k", 3));
  ASSERT_STATUS_OK(outcome.status);
  EXPECT_EQ(outcome.version, 2);
  const auto snapshot = OpenTable()->snapshot();
  EXPECT_EQ(snapshot->file_count(), 1);
  EXPECT_EQ(snapshot->state().schema->fields.size(), 1u);
  EXPECT_THAT(ReadLongs(*snapshot, "value"), ElementsAre(1, 2, 3));
}

TEST_F(TableTest, AnOverwriteOfPartitionsLeavesTheOthers) {
  auto table = OpenTable();
  const auto rows = [&](std::vector<std::optional<std::string>> days,
                        std::vector<std::optional<int64_t>> ids) {
    return Batch({{"day", Texts(days)}, {"id", Longs(ids)}});
  };
  auto first = rows({"a", "b", "c", "a", std::nullopt, ""}, {1, 2, 3, 4, 5, 6});
  ASSERT_STATUS_OK(AppendOne(*table, Member(first), Creating({"day"})).status);
  EXPECT_EQ(table->snapshot()->file_count(), 4);
  const auto replace = [&](const std::shared_ptr<arrow::RecordBatch>& batch) {
    PartitionFilter filter{{{"day", {"a", std::nullopt}}}};
    auto write = table->BeginOverwrite(batch->schema(), filter, {}).ValueOrDie();
    EXPECT_TRUE(write->Append(batch).ok());
    return write->Commit(std::nullopt, std::nullopt);
  };
  EXPECT_EQ(CodeOf(replace(rows({"a", "b"}, {7, 8})).status), ErrorCode::kSchemaMismatch);
  ASSERT_STATUS_OK(replace(rows({"a"}, {9})).status);
  EXPECT_THAT(ReadLongs(*table->snapshot(), "id"), ElementsAre(2, 3, 9));
}

TEST_F(TableTest, AnAppendOnlyTableRefusesAnOverwrite) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 5)),
                             Creating({}, {{"delta.appendOnly", "true"}}))
                       .status);
  auto refused = table->BeginOverwrite(Rows(0, 1)->schema(), {}, {});
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kConstraintViolation);
}

TEST_F(TableTest, AnAbandonedWriteLeavesNoFile) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 5))).status);
  WriteOptions options;
  options.files.row_group_rows = 10;
  options.files.target_file_bytes = 1;
  auto write = table->BeginAppend(Rows(0, 1)->schema(), options).ValueOrDie();
  ASSERT_STATUS_OK(write->Append(Rows(0, 100)));
  write.reset();
  EXPECT_EQ(OrphanCount(*table->snapshot()), 0);
}

TEST_F(TableTest, FilesRollAtTheTarget) {
  auto table = OpenTable();
  WriteOptions options = Creating();
  options.files.row_group_rows = 1000;
  options.files.target_file_bytes = 10'000;
  auto write = table->BeginAppend(Rows(0, 1)->schema(), options).ValueOrDie();
  for (int i = 0; i < 20; ++i) ASSERT_STATUS_OK(write->Append(Rows(i * 700, 700)));
  ASSERT_STATUS_OK(write->Commit(std::nullopt, std::nullopt).status);
  EXPECT_GT(table->snapshot()->file_count(), 2);
  EXPECT_EQ(ReadLongs(*table->snapshot(), "id"), Range(0, 14000));
}

TEST_F(TableTest, InCommitTimestampsRise) {
  auto table = OpenTable();
  int64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_STATUS_OK(
        AppendOne(*table, Member(Rows(i, 1)),
                  Creating({}, {{"delta.enableInCommitTimestamps", "true"}}))
            .status);
    EXPECT_GT(table->snapshot()->timestamp_ms(), last);
    last = table->snapshot()->timestamp_ms();
  }
  EXPECT_EQ(OpenTable()->snapshot()->timestamp_ms(), last);
}

TEST_F(TableTest, ACheckpointSaysWhatTheLogSays) {
  auto table = OpenTable();
  for (int i = 0; i < 12; ++i) {
    AppendMember member = Member(Rows(i, 1));
    member.producer = ProducerSequence{"p" + std::to_string(i % 3), i};
    ASSERT_STATUS_OK(AppendOne(*table, member).status);
  }
  EXPECT_TRUE(table->CheckpointDue());
  ASSERT_STATUS_OK(table->WriteCheckpoint());
  EXPECT_FALSE(table->CheckpointDue());
  for (int version = 0; version < 11; ++version) {
    std::filesystem::remove(folder_ / CommitPath(version));
  }
  auto reopened = OpenTable();
  EXPECT_EQ(ReadLongs(*reopened->snapshot(), "id"), Range(0, 12));
  EXPECT_EQ(reopened->LastSequence("p2"), 11);
  EXPECT_EQ(reopened->snapshot()->state().metadata.id,
            table->snapshot()->state().metadata.id);
}

TEST_F(TableTest, NoRowsAndNothingToRecordIsNoVersion) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 0))).status);
  EXPECT_EQ(table->snapshot()->version(), 0);
  EXPECT_EQ(table->snapshot()->file_count(), 0);
  const WriteOutcome nothing = AppendOne(*table, Member(Rows(0, 0)));
  ASSERT_STATUS_OK(nothing.status);
  EXPECT_EQ(nothing.version, 0);
  AppendMember keyed = Member(Rows(0, 0));
  keyed.key = Key("k", 0);
  EXPECT_EQ(AppendOne(*table, keyed).version, 1);
}

}  // namespace
}  // namespace arrowport::delta
