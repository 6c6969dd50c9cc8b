#include "sink/delta/delta_sink.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/ids.h"
#include "delta/table.h"
#include "sink/delta/table_folder.h"

namespace arrowport::sink {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<arrow::RecordBatch> Ints(const std::string& column,
                                         std::vector<int64_t> values) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return arrow::RecordBatch::Make(arrow::schema({arrow::field(column, arrow::int64())}),
                                  static_cast<int64_t>(values.size()),
                                  {builder.Finish().ValueOrDie()});
}

class DeltaSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("delta_sink_" + NewRandomId());
    fs::create_directory(folder_);
    Reopen();
  }
  void TearDown() override {
    sink_.reset();
    fs::remove_all(folder_);
  }
  void Reopen() {
    sink_.reset();
    options_.root = (folder_ / "lake").string();
    options_.checkpoint_spacing_ms = 0;
    sink_ = DeltaSink::Make(options_);
  }

  static schema::TableName Name(const std::string& table) { return {"main", table}; }

  WriteUnit Unit(const schema::TableName& name, std::shared_ptr<arrow::RecordBatch> batch,
                 WriteOptions options = Merging()) {
    WriteUnit unit;
    unit.options = std::make_shared<WriteOptions>(std::move(options));
    auto plan = sink_->Plan(name, batch->schema(), *unit.options);
    EXPECT_TRUE(plan.ok()) << plan.status().ToString();
    if (plan.ok()) unit.table = *plan;
    unit.batches = {std::move(batch)};
    return unit;
  }
  static WriteOptions Merging() {
    WriteOptions options;
    options.schema_mode = schema::SchemaMode::kMerge;
    return options;
  }
  std::vector<WriteOutcome> Commit(const std::vector<WriteUnit>& units) {
    return sink_->CommitGroup(units);
  }
  size_t Versions(const std::string& table) {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_ / "lake" / table / "_delta_log")) {
      count += entry.path().extension() == ".json";
    }
    return count;
  }

  fs::path folder_;
  DeltaSinkOptions options_;
  std::unique_ptr<DeltaSink> sink_;
};

TEST_F(DeltaSinkTest, PlanningTouchesNothingAndTheCommitMakesTheTable) {
  auto unit = Unit(Name("t"), Ints("a", {1, 2}));
  EXPECT_EQ(unit.table->standing, Standing::kInCommit);
  EXPECT_FALSE(fs::exists(folder_ / "lake"));
  EXPECT_EQ(CodeOf(sink_->Open(Name("t")).status()), ErrorCode::kTableNotFound);
  auto outcomes = Commit({unit, unit});
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    EXPECT_EQ(outcome.version, "delta:t:0");
  }
  EXPECT_EQ(Versions("t"), 1u);
  auto again = Unit(Name("t"), Ints("a", {3}));
  EXPECT_EQ(again.table->standing, Standing::kPresent);
  auto wider = Unit(Name("t"), Ints("b", {3}));
  EXPECT_EQ(wider.table->standing, Standing::kInCommit);
  EXPECT_EQ(Commit({wider}).front().version, "delta:t:1");
  EXPECT_EQ((*sink_->Open(Name("t")))->columns.size(), 2u);
}

TEST_F(DeltaSinkTest, TablesAndOptionsOfAGroupAreKeptApart) {
  WriteOptions zstd = Merging();
  zstd.compression = "zstd";
  auto outcomes = Commit({Unit(Name("a"), Ints("x", {1})), Unit(Name("b"), Ints("x", {1})),
                          Unit(Name("a"), Ints("x", {2}), zstd),
                          Unit(Name("a"), Ints("x", {3}))});
  EXPECT_EQ(outcomes[0].version, "delta:a:0");
  EXPECT_EQ(outcomes[1].version, "delta:b:0");
  EXPECT_EQ(outcomes[2].version, "delta:a:1");
  EXPECT_EQ(outcomes[3].version, "delta:a:0");
}

TEST_F(DeltaSinkTest, KeysAndProducersAreRecalledFromTheLog) {
  EXPECT_EQ(*sink_->RecallKey(Name("t"), "k"), std::nullopt);
  auto unit = Unit(Name("t"), Ints("a", {1, 2, 3}));
  LedgerEntry entry;
  entry.table = "t";
  entry.key = "k";
  entry.sha256 = std::string(32, 'x');
  entry.rows = 3;
  unit.ledger = entry;
  ASSERT_TRUE(Commit({unit}).front().status.ok());
  entry.key.clear();
  entry.sha256.clear();
  entry.producer = "p";
  entry.sequence = 7;
  unit.ledger = entry;
  ASSERT_TRUE(Commit({unit}).front().status.ok());
  for (bool reopened : {false, true}) {
    if (reopened) Reopen();
    auto key = sink_->RecallKey(Name("t"), "k");
    ASSERT_TRUE(key.ok() && *key) << key.status().ToString();
    EXPECT_EQ((*key)->rows, 3);
    EXPECT_EQ((*key)->version, "delta:t:0");
    auto producer = sink_->RecallProducer(Name("t"), "p");
    ASSERT_TRUE(producer.ok() && *producer) << producer.status().ToString();
    EXPECT_EQ((*producer)->sequence, 7);
    // The log is asked in the commit itself too: another server may have been first.
    auto repeat = Commit({unit}).front();
    EXPECT_TRUE(repeat.status.ok() && repeat.replayed) << repeat.status.ToString();
  }
  EXPECT_EQ(Versions("t"), 2u);
}

TEST_F(DeltaSinkTest, APlanThatAnotherWriterOvertookIsMadeAgain) {
  auto first = Unit(Name("t"), Ints("a", {1}));
  auto text = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("a", arrow::utf8())}), 1,
      {arrow::MakeArrayFromScalar(arrow::StringScalar("x"), 1).ValueOrDie()});
  auto second = Unit(Name("t"), text);
  ASSERT_TRUE(Commit({first}).front().status.ok());
  EXPECT_EQ(CodeOf(Commit({second}).front().status), ErrorCode::kCommitConflict);
  auto prepared = sink_->Prepare(Name("t"), text->schema(), Merging());
  EXPECT_EQ(CodeOf(prepared.status()), ErrorCode::kSchemaMismatch);
}

TEST_F(DeltaSinkTest, AFolderTakenAwayIsNoticed) {
  ASSERT_TRUE(Commit({Unit(Name("t"), Ints("a", {1}))}).front().status.ok());
  auto unit = Unit(Name("t"), Ints("a", {2}));
  fs::remove_all(folder_ / "lake" / "t");
  EXPECT_EQ(CodeOf(Commit({unit}).front().status), ErrorCode::kCommitConflict);
  ASSERT_TRUE(sink_->Prepare(Name("t"), unit.batches[0]->schema(), Merging()).ok());
  auto outcome = Commit({unit}).front();
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_EQ(outcome.version, "delta:t:0");
}

TEST_F(DeltaSinkTest, BulkWritesLandInOneVersionOrNotAtAll) {
  auto unit = Unit(Name("t"), Ints("a", {1, 2}));
  {
    auto dropped = sink_->BeginBulk(unit.table, TableChange::kAppend, Merging());
    ASSERT_TRUE(dropped.ok()) << dropped.status().ToString();
    ASSERT_TRUE((*dropped)->Append(unit.batches).ok());
  }
  EXPECT_EQ(CodeOf(sink_->Open(Name("t")).status()), ErrorCode::kTableNotFound);
  for (const TableChange change : {TableChange::kAppend, TableChange::kOverwrite}) {
    auto bulk = sink_->BeginBulk(unit.table, change, Merging());
    ASSERT_TRUE(bulk.ok()) << bulk.status().ToString();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE((*bulk)->Append(unit.batches).ok());
    auto outcome = (*bulk)->Commit(std::nullopt);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  }
  EXPECT_EQ(Versions("t"), 2u);
}

TEST_F(DeltaSinkTest, NamesStayBelowTheRoot) {
  for (const char* name : {"", "..", "a b", "a/b", "_delta_log", "_change_data", "\xc3\xa9"}) {
    EXPECT_EQ(CodeOf(sink_->CheckName(Name(name))), ErrorCode::kInvalidName) << name;
    EXPECT_EQ(CodeOf(sink_->CheckName({name, "t"})), ErrorCode::kInvalidName) << name;
  }
  EXPECT_TRUE(sink_->CheckName({"a-b", "C_9"}).ok());
  fs::create_directories(folder_ / "lake");
  fs::create_directories(folder_ / "elsewhere");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "lake" / "out");
  auto out = sink_->Plan(Name("out"), Ints("a", {1})->schema(), Merging());
  EXPECT_EQ(CodeOf(out.status()), ErrorCode::kInvalidName);
}

TEST_F(DeltaSinkTest, ATableHoldsNoOtherTables) {
  ASSERT_TRUE(Commit({Unit({"s", "t"}, Ints("a", {1}))}).front().status.ok());
  EXPECT_EQ(CodeOf(sink_->Plan(Name("s"), Ints("a", {1})->schema(), Merging()).status()),
            ErrorCode::kInvalidName);
  ASSERT_TRUE(Commit({Unit(Name("u"), Ints("a", {1}))}).front().status.ok());
  EXPECT_EQ(CodeOf(sink_->Plan({"u", "t"}, Ints("a", {1})->schema(), Merging()).status()),
            ErrorCode::kInvalidName);
}

TEST_F(DeltaSinkTest, FewTablesAreKeptOpen) {
  options_.tables_max = 2;
  Reopen();
  for (int round = 0; round < 2; ++round) {
    for (const char* name : {"a", "b", "c", "d"}) {
      auto outcome = Commit({Unit(Name(name), Ints("a", {1}))}).front();
      ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
      EXPECT_EQ(outcome.version, "delta:" + std::string(name) + ":" + std::to_string(round));
    }
  }
}

}  // namespace
}  // namespace arrowport::sink
