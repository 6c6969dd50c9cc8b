#include "delta/snapshot.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "base/error.h"
#include "delta/log_file_set.h"

namespace arrowport::delta {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kDayMs = 24LL * 3600 * 1000;

class FixedClock final : public Clock {
 public:
  Steady SteadyNow() const override { return {}; }
  Wall WallNow() const override { return Wall(std::chrono::milliseconds(now_ms)); }
  int64_t now_ms = 1700000000000;
};

constexpr std::string_view kProtocol =
    R"({"protocol":{"minReaderVersion":1,"minWriterVersion":2}})";

std::string MetadataLine(const std::string& configuration = "") {
  return R"({"metaData":{"id":"t","format":{"provider":"parquet","options":{}},)"
         R"("schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",)"
         R"(\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}",)"
         R"("partitionColumns":[],"configuration":{)" +
         configuration + "}}}";
}
std::string AddLine(const std::string& path, int64_t size = 1) {
  return fmt::format(R"({{"add":{{"path":"{}","partitionValues":{{}},"size":{},)"
                     R"("modificationTime":1,"dataChange":true}}}})",
                     path, size);
}
std::string RemoveLine(const std::string& path, int64_t deleted_ms = 1700000000000) {
  return fmt::format(
      R"({{"remove":{{"path":"{}","deletionTimestamp":{},"dataChange":true}}}})", path,
      deleted_ms);
}

class SnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "arrowport-delta-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    store_ = *store::OpenLocalStore(pattern, store::Durability::kMemory, false);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Commit(int64_t version, const std::vector<std::string>& lines,
              int64_t modified_ms = 0) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    ASSERT_TRUE(store_->Put(CommitPath(version), text).ok());
    if (modified_ms == 0) return;
    const auto since_now = std::chrono::milliseconds(modified_ms) -
                           std::chrono::system_clock::now().time_since_epoch();
    fs::last_write_time(
        root_ / CommitPath(version),
        fs::file_time_type::clock::now() +
            std::chrono::duration_cast<fs::file_time_type::duration>(since_now));
  }
  void First(const std::string& configuration = "") {
    Commit(0, {std::string(kProtocol), MetadataLine(configuration)});
  }
  LogReader Log() { return LogReader(store_, clock_); }
  static std::set<std::string> Paths(const Snapshot& snapshot) {
    std::set<std::string> paths;
    snapshot.VisitFiles([&](int64_t, const AddFile& file) { paths.insert(file.path); });
    EXPECT_EQ(static_cast<int64_t>(paths.size()), snapshot.file_count());
    return paths;
  }
  static std::set<std::string> Tombstones(const Snapshot& snapshot) {
    std::set<std::string> paths;
    snapshot.VisitTombstones([&](const RemoveFile& file) { paths.insert(file.path); });
    return paths;
  }
  std::string FaultOfLoading(ErrorCode code) {
    const auto loaded = Log().Load();
    EXPECT_FALSE(loaded.ok());
    if (loaded.ok()) return "";
    EXPECT_EQ(CodeOf(loaded.status()), code) << loaded.status().ToString();
    return loaded.status().message();
  }

  FixedClock clock_;
  fs::path root_;
  std::shared_ptr<store::Store> store_;
};

TEST_F(SnapshotTest, ReplaysAddsRemovesAndReAdds) {
  First();
  Commit(1, {AddLine("a", 10), AddLine("b", 20)});
  Commit(2, {RemoveLine("a"), AddLine("c", 40)});
  Commit(3, {AddLine("a", 80)});
  const auto snapshot = *Log().Load();
  EXPECT_EQ(snapshot->version(), 3);
  EXPECT_THAT(Paths(*snapshot), ElementsAre("a", "b", "c"));
  EXPECT_EQ(snapshot->size_bytes(), 140);
  EXPECT_TRUE(Tombstones(*snapshot).empty()) << "a file that came back is no tombstone";
  EXPECT_TRUE(snapshot->Contains("b", ""));
  EXPECT_FALSE(snapshot->Contains("d", ""));
  const auto earlier = *Log().Load(2);
  EXPECT_THAT(Paths(*earlier), ElementsAre("b", "c"));
  EXPECT_THAT(Tombstones(*earlier), ElementsAre("a"));
}

TEST_F(SnapshotTest, FilesAreTheSameByDecodedPath) {
  First();
  Commit(1, {AddLine("k=a%20b/x")});
  Commit(2, {RemoveLine("k=a%20%62/x")});
  EXPECT_THAT(Paths(**Log().Load()), ElementsAre());
}

TEST_F(SnapshotTest, OldTombstonesAreLeftOut) {
  First(R"("delta.deletedFileRetentionDuration":"interval 2 days")");
  Commit(1, {AddLine("a"), AddLine("b")});
  Commit(2, {RemoveLine("a", clock_.now_ms - 3 * kDayMs),
             RemoveLine("b", clock_.now_ms - kDayMs)});
  EXPECT_THAT(Tombstones(**Log().Load()), ElementsAre("b"));
}

TEST_F(SnapshotTest, TransactionsAndTheirExpiry) {
  First(R"("delta.setTransactionRetentionDuration":"interval 1 day")");
  Commit(1, {R"({"txn":{"appId":"a","version":3,"lastUpdated":)" +
                 std::to_string(clock_.now_ms - 2 * kDayMs) + "}}",
             R"({"txn":{"appId":"b","version":4,"lastUpdated":)" +
                 std::to_string(clock_.now_ms) + "}}",
             R"({"txn":{"appId":"c","version":5}})"});
  Commit(2, {R"({"txn":{"appId":"c","version":6}})"});
  const auto snapshot = *Log().Load();
  EXPECT_EQ(snapshot->TransactionVersion("a"), std::nullopt);
  EXPECT_EQ(snapshot->TransactionVersion("b"), 4);
  EXPECT_EQ(snapshot->TransactionVersion("c"), 6);
  EXPECT_EQ(snapshot->transactions().size(), 3u);
}

TEST_F(SnapshotTest, DomainsComeAndGo) {
  First();
  Commit(1, {R"({"domainMetadata":{"domain":"x","configuration":"1","removed":false}})",
             R"({"domainMetadata":{"domain":"y","configuration":"2","removed":false}})"});
  Commit(2, {R"({"domainMetadata":{"domain":"x","configuration":"","removed":true}})"});
  const auto snapshot = *Log().Load();
  ASSERT_EQ(snapshot->domains().size(), 1u);
  EXPECT_EQ(snapshot->domains().at("y").configuration, "2");
}

TEST_F(SnapshotTest, RefreshReadsOnlyWhatIsNew) {
  First();
  const auto base = *Log().Load();
  EXPECT_EQ(*Log().Refresh(base), base);
  for (int version = 1; version <= 120; ++version) {
    Commit(version, {AddLine("f" + std::to_string(version))});
  }
  const auto newest = *Log().Refresh(base);
  EXPECT_EQ(newest->version(), 120);
  EXPECT_EQ(newest->file_count(), 120);
  EXPECT_EQ(base->file_count(), 0) << "a snapshot never changes";
}

TEST_F(SnapshotTest, RefreshOfATableThatIsGone) {
  First();
  const auto base = *Log().Load();
  fs::remove_all(root_ / "_delta_log");
  EXPECT_EQ(CodeOf(Log().Refresh(base).status()), ErrorCode::kTableNotFound);
}

TEST_F(SnapshotTest, FaultsOfALogAreNamed) {
  EXPECT_THAT(FaultOfLoading(ErrorCode::kTableNotFound), HasSubstr("not a table"));
  Commit(1, {AddLine("a")});
  EXPECT_THAT(FaultOfLoading(ErrorCode::kStorageCorrupt), HasSubstr("log incomplete"));
  Commit(0, {std::string(kProtocol)});
  EXPECT_THAT(FaultOfLoading(ErrorCode::kStorageCorrupt), HasSubstr("no metadata"));
  Commit(0, {MetadataLine()});
  EXPECT_THAT(FaultOfLoading(ErrorCode::kStorageCorrupt), HasSubstr("no protocol"));
  First();
  Commit(3, {AddLine("a")});
  EXPECT_THAT(FaultOfLoading(ErrorCode::kStorageCorrupt), HasSubstr("gap in the log"));
  Commit(2, {AddLine("../../etc/passwd")});
  EXPECT_THAT(FaultOfLoading(ErrorCode::kStorageCorrupt), HasSubstr("malformed path"));
}

TEST_F(SnapshotTest, VersionsOutOfRange) {
  First();
  EXPECT_EQ(CodeOf(Log().Load(1).status()), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Log().Load(-1).status()), ErrorCode::kNotFound);
}

TEST_F(SnapshotTest, TimesOfFilesAreMadeToRise) {
  Commit(0, {std::string(kProtocol), MetadataLine()}, 1600000005000);
  Commit(1, {AddLine("a")}, 1600000001000);  // an older time than the version before
  Commit(2, {AddLine("b")}, 1600000009000);
  const auto version_at = [&](int64_t ms) { return (*Log().LoadAsOf(ms))->version(); };
  EXPECT_EQ(version_at(1600000005000), 0);
  EXPECT_EQ(version_at(1600000005001), 1);
  EXPECT_EQ(version_at(1600000008999), 1);
  EXPECT_EQ(version_at(1600000009000), 2);
  EXPECT_EQ(version_at(clock_.now_ms), 2);
  EXPECT_EQ(CodeOf(Log().LoadAsOf(1600000004999).status()), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Log().LoadAsOf(clock_.now_ms + 1).status()), ErrorCode::kNotFound);
  const auto history = *Log().History(2);
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0].version, 2);
  EXPECT_EQ(history[1].timestamp_ms, 1600000005001);
}

TEST_F(SnapshotTest, AppliedCommitsAreWhatAReloadFinds) {
  First();
  auto snapshot = *Log().Load();
  std::map<std::string, int64_t> model;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int version = 1; version <= 300; ++version) {
    std::vector<std::string> lines;
    std::map<std::string, bool> touched;
    for (unsigned i = random() % 8; i > 0; --i) {
      const std::string path = "f" + std::to_string(random() % 60);
      if (!touched.emplace(path, true).second) continue;
      if (model.contains(path) && random() % 2 == 0) {
        lines.push_back(RemoveLine(path));
        model.erase(path);
      } else {
        lines.push_back(AddLine(path, version));
        model[path] = version;
      }
    }
    Commit(version, lines);
    snapshot = *LogReader::Apply(snapshot, *Log().ReadCommit(version), 0);
    std::map<std::string, int64_t> found;
    snapshot->VisitFiles(
        [&](int64_t, const AddFile& file) { found[file.path] = file.size; });
    ASSERT_EQ(found, model) << "version " << version;
    ASSERT_EQ(snapshot->file_count(), static_cast<int64_t>(model.size()));
    for (int file = 0; file < 60; ++file) {
      const std::string path = "f" + std::to_string(file);
      ASSERT_EQ(snapshot->Contains(path, ""), model.contains(path)) << path;
    }
  }
  const auto reloaded = *Log().Load();
  EXPECT_EQ(Paths(*reloaded), Paths(*snapshot));
  EXPECT_EQ(reloaded->size_bytes(), snapshot->size_bytes());
}

TEST_F(SnapshotTest, WritersAreRefusedWhatTheyCannotHonour) {
  const auto fault = [](std::string_view protocol, const std::string& configuration) {
    auto p = std::get<Protocol>(**ParseAction(protocol));
    auto m = std::get<Metadata>(**ParseAction(MetadataLine(configuration)));
    const auto state = TableState::Make(std::move(p), std::move(m));
    EXPECT_TRUE(state.ok()) << state.status().ToString();
    return CheckWritable(**state).message();
  };
  EXPECT_EQ(fault(kProtocol, ""), "");
  EXPECT_THAT(fault(kProtocol, R"("delta.constraints.c":"a > 0")"),
              HasSubstr("checkConstraints"));
  constexpr std::string_view kFeatures =
      R"({"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":)"
      R"(["columnMapping"],"writerFeatures":["columnMapping","checkConstraints"]}})";
  EXPECT_EQ(fault(kFeatures, ""), "") << "listed but not in use";
  EXPECT_THAT(fault(kFeatures, R"("delta.columnMapping.mode":"name")"),
              HasSubstr("columnMapping"));
  EXPECT_THAT(fault(R"({"protocol":{"minReaderVersion":1,"minWriterVersion":7,)"
                    R"("writerFeatures":["fancy"]}})",
                    ""),
              HasSubstr("fancy"));
  EXPECT_THAT(fault(R"({"protocol":{"minReaderVersion":1,"minWriterVersion":8}})", ""),
              HasSubstr("writer version 8"));
}

TEST(TableProperties, Intervals) {
  EXPECT_EQ(ParseIntervalMs("interval 7 days"), 7 * kDayMs);
  EXPECT_EQ(ParseIntervalMs("INTERVAL 1 week 2 Hours"), 7 * kDayMs + 7200000);
  EXPECT_EQ(ParseIntervalMs("30 days"), 30 * kDayMs);
  EXPECT_EQ(ParseIntervalMs("interval 1 month"), std::nullopt);
  EXPECT_EQ(ParseIntervalMs("interval -1 days"), std::nullopt);
  EXPECT_EQ(ParseIntervalMs("interval 9223372036854775807 days"), std::nullopt);
  EXPECT_EQ(ParseIntervalMs(""), std::nullopt);
}

}  // namespace
}  // namespace arrowport::delta
