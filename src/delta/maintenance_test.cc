// Vacuum, restore, optimise, history and info on tables of our own writing; rows are read
// back through the table reader.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "delta/history.h"
#include "delta/maintenance_lock.h"
#include "delta/optimize.h"
#include "delta/restore.h"
#include "delta/table_fixture.h"
#include "delta/table_info.h"
#include "delta/table_reader.h"
#include "delta/vacuum.h"
#include "delta/z_order.h"

namespace arrowport::delta {
namespace {

using ::testing::HasSubstr;
constexpr int64_t kDayMs = 24LL * 3600 * 1000;

/// The machine's clock, some days on.
class ShiftedClock final : public Clock {
 public:
  Steady SteadyNow() const override { return SystemClock().SteadyNow(); }
  Wall WallNow() const override {
    return SystemClock().WallNow() + std::chrono::milliseconds(ahead_ms);
  }
  int64_t ahead_ms = 0;
};

class MaintenanceTest : public TableFixture {
 protected:
  void SetUp() override {
    TableFixture::SetUp();
    environment_.clock = &clock_;
  }

  std::multiset<std::string> RowsOf(std::shared_ptr<const Snapshot> snapshot) {
    std::multiset<std::string> rows;
    auto reader = ReadTable(store_, std::move(snapshot));
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      const auto status = (*reader)->ReadNext(&batch);
      EXPECT_TRUE(status.ok()) << status.ToString();
      if (batch == nullptr) return rows;
      for (int64_t row = 0; row < batch->num_rows(); ++row) {
        std::string text;
        for (const auto& column : batch->columns()) {
          text += (*column->GetScalar(row))->ToString() + "|";
        }
        rows.insert(text);
      }
    }
  }

  int64_t OverwriteWith(DeltaTable& table, std::shared_ptr<arrow::RecordBatch> batch) {
    auto write = table.BeginOverwrite(batch->schema(), {}, WriteOptions{});
    EXPECT_TRUE(write.ok()) << write.status().ToString();
    EXPECT_TRUE((*write)->Append(batch).ok());
    const auto outcome = (*write)->Commit(std::nullopt, std::nullopt);
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    return outcome.version;
  }

  arrow::Result<VacuumReport> RunVacuum(DeltaTable& table, VacuumMode mode,
                                        std::optional<int64_t> retention_ms = {},
                                        bool force = false) {
    VacuumOptions options;
    options.mode = mode;
    options.retention_ms = retention_ms;
    options.force = force;
    return Vacuum(table, store_, options, clock_);
  }

  arrow::Result<OptimizeReport> RunOptimize(DeltaTable& table,
                                            const OptimizeOptions& options = {}) {
    return Optimize(table, store_, environment_.encoders, options, clock_);
  }

  ShiftedClock clock_;
};

TEST_F(MaintenanceTest, MaintenanceOfAnotherProcessIsWaitedOut) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 5))).status);
  OverwriteWith(*table, Rows(5, 5));
  clock_.ahead_ms = 30 * kDayMs;
  auto elsewhere = LockForMaintenance(OpenStore().get()).ValueOrDie();
  const arrow::Status refused[] = {Restore(*table, store_, 0, clock_).status(),
                                   RunVacuum(*table, VacuumMode::kRemove).status(),
                                   RunOptimize(*table).status()};
  for (const arrow::Status& status : refused) {
    EXPECT_EQ(CodeOf(status), ErrorCode::kCommitConflict) << status.ToString();
  }
  EXPECT_EQ(table->snapshot()->version(), 1);
  // Looking and writing need no lock.
  ASSERT_STATUS_OK(RunVacuum(*table, VacuumMode::kDryRun).status());
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(10, 5))).status);
  elsewhere.reset();
  ASSERT_STATUS_OK(Restore(*table, store_, 0, clock_).status());
  ASSERT_STATUS_OK(RunVacuum(*table, VacuumMode::kRemove).status());
  EXPECT_EQ(ReadLongs(*table->snapshot(), "id"), (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST_F(MaintenanceTest, VacuumRemovesWhatNoVersionNeedsAndNothingElse) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 10))).status);
  OverwriteWith(*table, Rows(100, 5));
  ASSERT_TRUE(store_->Put("orphan.parquet", "left behind").ok());
  ASSERT_TRUE(store_->Put("_private/x.parquet", "hidden").ok());
  ASSERT_TRUE(store_->Put(".hidden", "hidden").ok());
  ASSERT_TRUE(store_->Put("_change_data/c.parquet", "changes").ok());
  ASSERT_TRUE(store_->Put("_p=1/d.parquet", "partition").ok());
  ASSERT_TRUE(store_->Put("a/_b=1/.arrowport-tmp-0", "unfinished").ok());

  auto young = RunVacuum(*table, VacuumMode::kDryRun);
  ASSERT_STATUS_OK(young.status());
  EXPECT_EQ(young->files, 0) << "everything is younger than the retention";

  clock_.ahead_ms = 8 * kDayMs;
  auto dry = RunVacuum(*table, VacuumMode::kDryRun);
  ASSERT_STATUS_OK(dry.status());
  EXPECT_EQ(dry->files, 5);
  EXPECT_EQ(dry->version, -1);
  EXPECT_EQ(table->snapshot()->version(), 1) << "a dry run makes no version";
  EXPECT_TRUE(store_->Stat("orphan.parquet").ok());

  auto done = RunVacuum(*table, VacuumMode::kRemove);
  ASSERT_STATUS_OK(done.status());
  EXPECT_EQ(done->files, 5);
  EXPECT_EQ(done->version, 3);
  EXPECT_EQ(std::set<std::string>(done->listed.begin(), done->listed.end()),
            std::set<std::string>(dry->listed.begin(), dry->listed.end()));
  for (const char* gone : {"orphan.parquet", "_change_data/c.parquet", "_p=1/d.parquet"}) {
    EXPECT_FALSE(store_->Stat(gone).ok()) << gone;
  }
  EXPECT_TRUE(store_->Stat("_private/x.parquet").ok());
  EXPECT_TRUE(store_->Stat(".hidden").ok());
  EXPECT_EQ(RowsOf(table->snapshot()).size(), 5u);
  const auto history = ReadHistory(LogReader(store_), 2);
  ASSERT_STATUS_OK(history.status());
  EXPECT_EQ((*history)[0].operation, "VACUUM END");
  EXPECT_THAT((*history)[0].parameters_json, HasSubstr("COMPLETED"));
  EXPECT_EQ((*history)[1].operation, "VACUUM START");
}

TEST_F(MaintenanceTest, VacuumKeepsTombstonesWithinALongerRetention) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 10))).status);
  OverwriteWith(*table, Rows(100, 5));
  clock_.ahead_ms = 10 * kDayMs;
  const auto longer = RunVacuum(*table, VacuumMode::kDryRun, 30 * kDayMs);
  ASSERT_STATUS_OK(longer.status());
  EXPECT_EQ(longer->files, 0);
}

TEST_F(MaintenanceTest, AShortRetentionHasToBeForced) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 10))).status);
  const auto refused = RunVacuum(*table, VacuumMode::kRemove, kDayMs);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kInvalidArgument);
  ASSERT_STATUS_OK(RunVacuum(*table, VacuumMode::kRemove, kDayMs, true).status());
  EXPECT_EQ(RowsOf(table->snapshot()).size(), 10u);
}

TEST_F(MaintenanceTest, RestoreBringsBackRowsAndColumns) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 10))).status);
  const auto before = RowsOf(table->snapshot());
  auto wider = Batch({{"id", Longs({1})}, {"text", Texts({"x"})}, {"more", Longs({2})}});
  WriteOptions merge;
  merge.schema_mode = SchemaMode::kMerge;
  ASSERT_STATUS_OK(AppendOne(*table, Member(wider), merge).status);
  ASSERT_EQ(OverwriteWith(*table, Rows(50, 3)), 2);

  const auto report = Restore(*table, store_, 0, clock_);
  ASSERT_STATUS_OK(report.status());
  EXPECT_EQ(report->version, 3);
  EXPECT_EQ(report->files_restored, 1);
  EXPECT_EQ(report->files_removed, 1);
  EXPECT_EQ(RowsOf(table->snapshot()), before);
  EXPECT_EQ(table->snapshot()->state().schema->fields.size(), 2u);
  EXPECT_EQ(RowsOf(*LogReader(store_).Load()), before);

  const auto again = Restore(*table, store_, 0, clock_);
  ASSERT_STATUS_OK(again.status());
  EXPECT_EQ(again->version, 3) << "nothing differed, so there is no new version";
}

TEST_F(MaintenanceTest, RestoreNeedsTheFiles) {
  auto table = OpenTable();
  ASSERT_STATUS_OK(AppendOne(*table, Member(Rows(0, 10))).status);
  OverwriteWith(*table, Rows(50, 3));
  clock_.ahead_ms = 8 * kDayMs;
  ASSERT_STATUS_OK(RunVacuum(*table, VacuumMode::kRemove).status());
  const auto gone = Restore(*table, store_, 0, clock_);
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(CodeOf(gone.status()), ErrorCode::kNotFound);
  EXPECT_THAT(gone.status().message(), HasSubstr("vacuum"));
}

TEST_F(MaintenanceTest, OptimizePutsSmallFilesTogetherByPartition) {
  auto table = OpenTable();
  for (int64_t i = 0; i < 12; ++i) {
    auto batch = Batch({{"id", Longs({i, i + 100})}, {"kind", Texts({"a", "b"})}});
    ASSERT_STATUS_OK(AppendOne(*table, Member(batch), Creating({"kind"})).status);
  }
  const auto before = RowsOf(table->snapshot());
  ASSERT_EQ(table->snapshot()->file_count(), 24);
  EXPECT_EQ(DescribeTable(*table->snapshot()).rows, 24);

  OptimizeOptions only_a;
  only_a.partitions.columns = {{"kind", {"a"}}};
  ASSERT_STATUS_OK(RunOptimize(*table, only_a).status());
  EXPECT_EQ(table->snapshot()->file_count(), 13);

  const auto report = RunOptimize(*table);
  ASSERT_STATUS_OK(report.status());
  EXPECT_EQ(report->files_removed, 12);
  EXPECT_EQ(report->files_added, 1);
  EXPECT_EQ(table->snapshot()->file_count(), 2);
  EXPECT_EQ(RowsOf(table->snapshot()), before);
  EXPECT_EQ(DescribeTable(*table->snapshot()).rows, 24);
  const auto actions = LogReader(store_).ReadCommit(report->version);
  ASSERT_STATUS_OK(actions.status());
  for (const Action& action : *actions) {
    if (const auto* add = std::get_if<AddFile>(&action)) {
      EXPECT_FALSE(add->data_change);
    }
    if (const auto* remove = std::get_if<RemoveFile>(&action)) {
      EXPECT_FALSE(remove->data_change);
    }
  }
  const auto nothing = RunOptimize(*table);
  ASSERT_STATUS_OK(nothing.status());
  EXPECT_EQ(nothing->commits, 0);
  EXPECT_EQ(OrphanCount(*table->snapshot()), 24) << "old files stay until vacuum";
}

TEST_F(MaintenanceTest, ZOrderKeepsRowsAndIsIncremental) {
  auto table = OpenTable();
  const auto append = [&](int64_t seed) {
    std::vector<std::optional<int64_t>> x, y;
    for (int64_t i = 0; i < 2000; ++i) {
      x.push_back(i % 97 == 0 ? std::nullopt : std::optional((i * 7919 + seed) % 1000));
      y.push_back((i * 104729 + seed) % 1000);
    }
    return AppendOne(*table, Member(Batch({{"x", Longs(x)}, {"y", Longs(y)}}))).status;
  };
  ASSERT_STATUS_OK(append(1));
  ASSERT_STATUS_OK(append(2));
  const auto before = RowsOf(table->snapshot());
  OptimizeOptions options;
  options.z_order_by = {"x", "y"};
  ASSERT_STATUS_OK(RunOptimize(*table, options).status());
  EXPECT_EQ(RowsOf(table->snapshot()), before);
  EXPECT_EQ(table->snapshot()->file_count(), 1);
  const auto nothing = RunOptimize(*table, options);
  ASSERT_STATUS_OK(nothing.status());
  EXPECT_EQ(nothing->commits, 0) << "ordered files are left alone";
  ASSERT_STATUS_OK(append(3));
  const auto more = RunOptimize(*table, options);
  ASSERT_STATUS_OK(more.status());
  EXPECT_EQ(more->files_removed, 1) << "only the new file is ordered";
  EXPECT_EQ(RowsOf(table->snapshot()).size(), 6000u);
  options.z_order_by = {"nope"};
  EXPECT_EQ(CodeOf(RunOptimize(*table, options).status()), ErrorCode::kColumnNotFound);
}

TEST_F(MaintenanceTest, FilesOfAZOrderAreStretchesOfTheCurve) {
  auto table = OpenTable();
  std::mt19937 random(5);
  for (int i = 0; i < 2; ++i) {
    std::vector<std::optional<int64_t>> values;
    while (values.size() < 200'000) values.push_back(random() % 200'000);
    ASSERT_STATUS_OK(AppendOne(*table, Member(Batch({{"x", Longs(values)}}))).status);
  }
  OptimizeOptions options;
  options.z_order_by = {"x"};
  options.target_file_bytes = 100 << 10;
  options.memory_bytes = 1 << 20;
  ASSERT_STATUS_OK(RunOptimize(*table, options).status());
  const auto snapshot = table->snapshot();
  ASSERT_GT(snapshot->file_count(), 3);
  int64_t spans = 0, rows = 0;
  snapshot->VisitFiles([&](int64_t, const AddFile& add) {
    const auto stats = nlohmann::json::parse(add.stats);
    spans += stats["maxValues"]["x"].get<int64_t>() - stats["minValues"]["x"].get<int64_t>();
    rows += stats["numRecords"].get<int64_t>();
  });
  EXPECT_EQ(rows, 400'000);
  EXPECT_LT(spans, 2 * 200'000) << "together they cover the values about once";
}

TEST(ZOrderCurve, NeighboursInBothColumnsShareAPrefix) {
  arrow::Int64Builder x, y;
  for (int64_t i = 0; i < 4096; ++i) {
    ASSERT_TRUE(x.Append(i % 64).ok());
    ASSERT_TRUE(y.Append(i / 64 * 1000000007).ok());
  }
  const auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("x", arrow::int64()), arrow::field("y", arrow::int64())}),
      4096, {*x.Finish(), *y.Finish()});
  const auto curve = ZOrderCurve::Make({batch}, batch->schema());
  ASSERT_TRUE(curve.ok()) << curve.status().ToString();
  std::vector<uint64_t> keys;
  ASSERT_STATUS_OK(curve->Keys(*batch, &keys));
  std::vector<std::pair<uint64_t, int64_t>> order;
  for (int64_t i = 0; i < 4096; ++i) order.emplace_back(keys[static_cast<size_t>(i)], i);
  std::sort(order.begin(), order.end());
  // Every sixteenth of the curve is a small box: it spans a part of both columns.
  for (size_t part = 0; part < 16; ++part) {
    int64_t x_low = 64, x_high = 0, y_low = 64, y_high = 0;
    for (size_t i = part * 256; i < (part + 1) * 256; ++i) {
      const int64_t row = order[i].second;
      x_low = std::min(x_low, row % 64);
      x_high = std::max(x_high, row % 64);
      y_low = std::min(y_low, row / 64);
      y_high = std::max(y_high, row / 64);
    }
    EXPECT_LE((x_high - x_low + 1) * (y_high - y_low + 1), 1200) << part;
  }
}

TEST(TableInfo, RowCounts) {
  EXPECT_EQ(RecordCount(R"({"numRecords":12})"), 12);
  EXPECT_EQ(RecordCount(R"({"numRecords":12,"minValues":{}})"), 12);
  EXPECT_EQ(RecordCount(R"({"minValues":{"numRecords":5}, "numRecords": 7})"), 7);
  EXPECT_EQ(RecordCount(R"({"numRecords":-1})"), std::nullopt);
  EXPECT_EQ(RecordCount(R"({"numRecords":1.5})"), std::nullopt);
  EXPECT_EQ(RecordCount(""), std::nullopt);
  AddFile file;
  file.stats = R"({"numRecords":12})";
  file.deletion_vector = DeletionVectorDescriptor{"i", "", std::nullopt, 0, 5};
  EXPECT_EQ(LiveRows(file), 7);
}

}  // namespace
}  // namespace arrowport::delta
