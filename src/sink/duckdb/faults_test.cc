// What a crash, a full disk and a failed storage leave behind.
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duckdb/main/valid_checker.hpp>
#include <fstream>
#include <map>
#include <thread>

#include "base/fault_point.h"
#include "base/thread_sanitizer.h"
#include "sink/duckdb/sink_test_fixture.h"

namespace arrowport::sink {
namespace {

constexpr int64_t kRowsPerUnit = 700;
constexpr auto kPatience = std::chrono::seconds(60);

class FaultsTest : public SinkFixture {
 protected:
  /// Units that a killed child was told are durable, by number.
  using Acknowledged = std::vector<int32_t>;

  void RunVictim(const std::string& fault, int acknowledge_fd) {
    options_.checkpoint_wal_bytes = 200000;
    OpenSink();
    auto table = MakeTable("t");
    if (!table || !ArmFaultPoints(fault).ok()) _exit(1);
    int32_t unit = 0;
    for (int round = 0; round < 400; ++round) {
      std::vector<int32_t> done;
      if (round % 5 == 4) {
        auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
        if (!bulk.ok() || !(*bulk)->Append({UnitRows(unit)}).ok()) continue;
        if ((*bulk)->Commit(UnitEntry(unit)).status.ok()) done.push_back(unit);
        ++unit;
      } else {
        std::vector<WriteUnit> units;
        const int32_t first = unit;
        for (int i = 0; i < 3; ++i, ++unit) {
          units.push_back({table, {UnitRows(unit)}, UnitEntry(unit)});
        }
        auto outcomes = Commit(units);
        for (int32_t i = 0; i < 3; ++i) {
          if (outcomes[static_cast<size_t>(i)].status.ok()) done.push_back(first + i);
        }
      }
      for (int32_t number : done) {
        if (write(acknowledge_fd, &number, sizeof(number)) != sizeof(number)) _exit(2);
      }
    }
    _exit(0);
  }

  static std::shared_ptr<arrow::RecordBatch> UnitRows(int32_t unit) {
    return Rows(unit * kRowsPerUnit, kRowsPerUnit);
  }
  static LedgerEntry UnitEntry(int32_t unit) {
    return Keyed(std::to_string(unit), kRowsPerUnit);
  }

  Acknowledged KillAt(const std::string& fault) {
    int acknowledge[2];
    EXPECT_EQ(pipe(acknowledge), 0);
    const pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child == 0) {
      close(acknowledge[0]);
      RunVictim(fault, acknowledge[1]);
    }
    close(acknowledge[1]);
    Acknowledged numbers;
    int32_t number = 0;
    while (read(acknowledge[0], &number, sizeof(number)) == sizeof(number)) {
      numbers.push_back(number);
    }
    close(acknowledge[0]);
    int how = 0;
    EXPECT_EQ(waitpid(child, &how, 0), child);
    EXPECT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
        << "exit " << WEXITSTATUS(how);
    return numbers;
  }

  /// Every acknowledged unit is there, every unit there is whole, and the ledger names
  /// exactly the units that are there.
  void ExpectWholeAndDurable(const Acknowledged& acknowledged) {
    EXPECT_EQ(Ask("SELECT count(*) FROM (SELECT id // 700 AS unit FROM t GROUP BY unit "
                  "HAVING count(*) != 700 OR count(DISTINCT id) != 700)"),
              "0");
    EXPECT_EQ(Ask("SELECT count(*) FROM (SELECT DISTINCT id // 700 AS unit FROM t) "
                  "FULL JOIN (SELECT key::BIGINT AS unit FROM _arrowport.ledger "
                  "WHERE key IS NOT NULL) l USING (unit) "
                  "WHERE l.unit IS NULL OR unit IS NULL"),
              "0");
    std::map<std::string, int> ledger;
    auto entries = sink_->LoadLedger(0);
    ASSERT_TRUE(entries.ok());
    for (const LedgerEntry& entry : *entries) ++ledger[entry.key];
    for (int32_t unit : acknowledged) {
      EXPECT_EQ(ledger[std::to_string(unit)], 1) << "unit " << unit;
    }
    EXPECT_EQ(Ask("SELECT count(*) FROM t"),
              std::to_string(static_cast<int64_t>(ledger.size()) * kRowsPerUnit));
  }

  /// Tries again while the storage is being reopened.
  WriteOutcome CommitPatiently(const WriteUnit& unit) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      auto outcome = sink_->CommitGroup({&unit, 1})[0];
      const bool again = !outcome.status.ok() && InfoOf(CodeOf(outcome.status)).retriable;
      if (!again || std::chrono::steady_clock::now() > deadline) return outcome;
      std::this_thread::yield();
    }
  }

  /// What failed while there was no room may still be reopened for it: that is over once
  /// a checkpoint succeeds.
  arrow::Status CheckpointPatiently() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      arrow::Status done = sink_->Checkpoint();
      if (done.ok() || std::chrono::steady_clock::now() > deadline) return done;
      std::this_thread::yield();
    }
  }
};

TEST_F(FaultsTest, KilledAnywhereNothingAcknowledgedIsLostAndNothingIsTorn) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  for (const char* fault :
       {"sink.insert.before=kill@9", "sink.insert.after=kill@9",
        "sink.commit.before=kill@9", "sink.commit.after=kill@9",
        "sink.insert.after=kill@10", "sink.commit.after=kill@10",
        "sink.checkpoint.before=kill@2", "sink.checkpoint.after=kill@2"}) {
    SCOPED_TRACE(fault);
    const Acknowledged acknowledged = KillAt(fault);
    EXPECT_FALSE(acknowledged.empty());
    OpenSink();
    ExpectWholeAndDurable(acknowledged);
    // The storage takes rows again.
    auto table = sink_->Open(Name("t"));
    ASSERT_TRUE(table.ok());
    EXPECT_TRUE(Commit({{*table, {UnitRows(100000)}, UnitEntry(100000)}})[0].status.ok());
    Close();
    for (const char* suffix : {"", ".wal", ".wal.checkpoint"}) {
      std::filesystem::remove(path_ + suffix);
    }
  }
}

TEST_F(FaultsTest, KilledAfterCommitTheLedgerHasTheKey) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  const Acknowledged acknowledged = KillAt("sink.commit.after=kill@1");
  EXPECT_TRUE(acknowledged.empty());
  OpenSink();
  auto entries = sink_->LoadLedger(0);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ(entries->front().key, "0");
  EXPECT_EQ(sink_->version(), 1);
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "2100");
}

TEST_F(FaultsTest, AFailedStorageIsReopenedInTheBackground) {
  OpenSink();
  auto table = MakeTable("t");
  ASSERT_TRUE(Commit({{table, {Rows(0, 10)}, Keyed("a")}})[0].status.ok());
  auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*bulk)->Append({Rows(10, 10)}).ok());
  {
    auto connection = database_->Connect().ValueOrDie();
    duckdb::ValidChecker::Invalidate(
        duckdb::DatabaseInstance::GetDatabase(*connection->duckdb().context), "test");
  }
  auto refused = Commit({{table, {Rows(20, 10)}, Keyed("b")}});
  EXPECT_EQ(CodeOf(refused[0].status), ErrorCode::kStorageUnavailable)
      << refused[0].status.ToString();
  auto outcome = CommitPatiently({table, {Rows(20, 10)}, Keyed("b")});
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_EQ(outcome.version, "duckdb:2");
  EXPECT_FALSE((*bulk)->Append({Rows(30, 10)}).ok());
  EXPECT_FALSE((*bulk)->Commit(std::nullopt).status.ok());
  EXPECT_EQ(Ask("SELECT count(*) || ',' || max(id) FROM t"), "20,29");
  EXPECT_EQ(sink_->counters().reopenings, 1);
}

// Errors injected between the steps: only whole units, and the group goes on.
TEST_F(FaultsTest, InjectedErrorsRollBack) {
  OpenSink();
  auto table = MakeTable("t");
  for (const char* point :
       {"sink.insert.before", "sink.insert.after", "sink.commit.before"}) {
    ASSERT_TRUE(ArmFaultPoints(std::string(point) + "=error@1").ok());
    auto outcomes = Commit({{table, {Rows(0, 5)}, Keyed("k")}});
    EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kInternal) << point;
    EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0") << point;
  }
  ASSERT_TRUE(Commit({{table, {Rows(0, 5)}, Keyed("k")}})[0].status.ok());
  EXPECT_EQ(sink_->version(), 1);
}

class FullDisk {
 public:
  explicit FullDisk(const std::filesystem::path& at) : at_(at) {
    std::filesystem::create_directory(at_);
    mounted_ = mount("tmpfs", at_.c_str(), "tmpfs", 0, "size=24m") == 0;
  }
  ~FullDisk() {
    if (mounted_) umount2(at_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void Fill(int64_t leave_bytes) {
    const auto space = std::filesystem::space(at_);
    std::ofstream out(at_ / "filler", std::ios::binary);
    const std::string block(4096, 'f');
    for (auto left = static_cast<int64_t>(space.available) - leave_bytes; left > 0;
         left -= 4096) {
      out << block;
    }
  }
  void Free() { std::filesystem::remove(at_ / "filler"); }

 private:
  const std::filesystem::path at_;
  bool mounted_ = false;
};

TEST_F(FaultsTest, AFullDiskLosesNothingAcknowledgedAndHeals) {
  FullDisk disk(directory_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  options_.checkpoint_wal_bytes = 300000;
  OpenSink((directory_ / "disk" / "store.duckdb").string());
  auto table = MakeTable("t");
  Acknowledged acknowledged;
  int32_t unit = 0;
  for (int round = 0; round < 3; ++round) {
    disk.Fill(400000);
    arrow::Status refused;
    for (int i = 0; i < 2000 && refused.ok(); ++i, ++unit) {
      auto outcome = Commit({{table, {UnitRows(unit)}, UnitEntry(unit)}})[0];
      refused = outcome.status;
      if (refused.ok()) acknowledged.push_back(unit);
    }
    ASSERT_FALSE(refused.ok());
    const ErrorCode code = CodeOf(refused);
    EXPECT_TRUE(code == ErrorCode::kNoSpace || code == ErrorCode::kStorageUnavailable)
        << refused.ToString();
    disk.Free();
    auto outcome = CommitPatiently({table, {UnitRows(unit)}, UnitEntry(unit)});
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    acknowledged.push_back(unit++);
    const arrow::Status healed = CheckpointPatiently();
    ASSERT_TRUE(healed.ok()) << healed.ToString();
    ExpectWholeAndDurable(acknowledged);
  }
  Close();
  OpenSink((directory_ / "disk" / "store.duckdb").string());
  ExpectWholeAndDurable(acknowledged);
  Close();
}

}  // namespace
}  // namespace arrowport::sink
