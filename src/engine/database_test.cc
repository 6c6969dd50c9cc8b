#include "engine/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <duckdb.hpp>
#include <duckdb/main/valid_checker.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "base/thread_sanitizer.h"
#include "engine/error.h"

namespace arrowport::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() {
    directory_ = fs::temp_directory_path() / ("database_test_" + NewRandomId());
    fs::create_directory(directory_);
    path_ = (directory_ / "store.duckdb").string();
    wal_ = path_ + ".wal";
  }
  ~DatabaseTest() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  arrow::Result<std::shared_ptr<Database>> Open(std::string path = {}) {
    DatabaseOptions options;
    options.path = path.empty() ? path_ : std::move(path);
    options.threads = 2;
    return Database::Open(options);
  }

  // A child commits `transactions` inserts and is killed, so that the log stays.
  void LeaveLogBehind(int transactions) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto database = Open();
      if (!database.ok()) _exit(1);
      auto connection = (*database)->Connect();
      if (!connection.ok()) _exit(2);
      arrow::Status status = (*connection)->Run("CREATE TABLE t (i BIGINT)");
      for (int i = 0; i < transactions && status.ok(); ++i) {
        status = (*connection)->Run("INSERT INTO t SELECT range FROM range(100)");
      }
      if (!status.ok()) _exit(3);
      kill(getpid(), SIGKILL);
    }
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how)) << WEXITSTATUS(how);
    ASSERT_GT(fs::file_size(wal_), 0u);
  }

  std::string ReadFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void WriteFile(const std::string& path, const std::string& bytes) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << bytes;
  }

  int64_t CountRows(Database& database) {
    auto connection = database.Connect().ValueOrDie();
    auto result = connection->duckdb().Query("SELECT count(*) FROM t");
    EXPECT_FALSE(result->HasError()) << result->GetError();
    return result->HasError() ? -1 : result->GetValue(0, 0).GetValue<int64_t>();
  }

  // Opening must fail as damaged, name a byte, and leave both files as they were.
  void ExpectCorrupt(std::string_view what) {
    const std::string data_before = ReadFile(path_);
    const std::string wal_before = ReadFile(wal_);
    auto opened = Open();
    ASSERT_FALSE(opened.ok()) << what;
    EXPECT_EQ(CodeOf(opened.status()), ErrorCode::kStorageCorrupt)
        << what << ": " << opened.status().ToString();
    EXPECT_THAT(opened.status().message(), HasSubstr("byte")) << what;
    EXPECT_EQ(ReadFile(path_), data_before) << what;
    EXPECT_EQ(ReadFile(wal_), wal_before) << what;
  }

  fs::path directory_;
  std::string path_;
  std::string wal_;
};

TEST_F(DatabaseTest, ConnectionsLandInTheStorage) {
  for (const std::string& path : {path_, std::string(":memory:")}) {
    auto database = Open(path).ValueOrDie();
    auto connection = database->Connect().ValueOrDie();
    ASSERT_TRUE(connection->Run("CREATE TABLE t (i BIGINT)").ok());
    auto where = connection->duckdb().Query(
        "SELECT current_catalog(), current_schema(), "
        "(SELECT database_name FROM duckdb_tables() WHERE table_name = 't')");
    ASSERT_FALSE(where->HasError()) << where->GetError();
    EXPECT_EQ(where->GetValue(0, 0).ToString(), database->catalog());
    EXPECT_EQ(where->GetValue(1, 0).ToString(), "main");
    EXPECT_EQ(where->GetValue(2, 0).ToString(), database->catalog());
    EXPECT_EQ(database->in_memory(), path == ":memory:");
  }
  auto again = Open().ValueOrDie();
  EXPECT_EQ(again->catalog(), "store");
  EXPECT_EQ(CountRows(*again), 0);
}

TEST_F(DatabaseTest, ReservedCatalogNamesAreAvoided) {
  for (const char* name : {"memory", "temp", "System", "delta", "main"}) {
    auto opened = Open((directory_ / (std::string(name) + ".db")).string());
    ASSERT_TRUE(opened.ok()) << name << ": " << opened.status().ToString();
    EXPECT_EQ((*opened)->catalog(), std::string(name) + "_db");
  }
}

TEST_F(DatabaseTest, QuotedPathsWork) {
  auto database = Open((directory_ / "it's \"odd\" .db").string());
  ASSERT_TRUE(database.ok()) << database.status().ToString();
  auto connection = (*database)->Connect().ValueOrDie();
  EXPECT_TRUE(connection->Run("CREATE TABLE t (i BIGINT)").ok());
}

TEST_F(DatabaseTest, SettingsAreApplied) {
  DatabaseOptions options;
  options.path = path_;
  options.threads = 1;
  options.memory_limit_bytes = 512 << 20;
  auto database = Database::Open(options).ValueOrDie();
  auto connection = database->Connect().ValueOrDie();
  auto result = connection->duckdb().Query(
      "SELECT current_setting('threads'), current_setting('memory_limit'), "
      "current_setting('autoload_known_extensions'), "
      "current_setting('autoinstall_known_extensions'), "
      "current_setting('temp_directory'), current_setting('checkpoint_threshold')");
  ASSERT_FALSE(result->HasError()) << result->GetError();
  EXPECT_EQ(result->GetValue(0, 0).ToString(), "1");
  EXPECT_EQ(result->GetValue(1, 0).ToString(), "512.0 MiB");
  EXPECT_EQ(result->GetValue(2, 0).ToString(), "false");
  EXPECT_EQ(result->GetValue(3, 0).ToString(), "false");
  EXPECT_EQ(result->GetValue(4, 0).ToString(), path_ + ".tmp");
  EXPECT_EQ(result->GetValue(5, 0).ToString(), "1.0 GiB");
}

TEST_F(DatabaseTest, SecondProcessIsToldWhoHoldsTheFile) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  int ready[2];
  int stop[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(stop), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Open();
    const char answer = database.ok() ? 'y' : 'n';
    if (write(ready[1], &answer, 1) != 1) _exit(1);
    char wait;
    if (read(stop[0], &wait, 1) != 1) _exit(2);
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  auto refused = Open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kStorageUnavailable);
  EXPECT_THAT(refused.status().message(), HasSubstr(std::to_string(child)));
  ASSERT_EQ(write(stop[1], "x", 1), 1);
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_TRUE(Open().ok());
  for (int fd : {ready[0], ready[1], stop[0], stop[1]}) close(fd);
}

TEST_F(DatabaseTest, LogOfAKilledProcessIsReplayed) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  LeaveLogBehind(5);
  EXPECT_EQ(CountRows(*Open().ValueOrDie()), 500);
}

TEST_F(DatabaseTest, TruncatedLogOpensWithWholeTransactions) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  LeaveLogBehind(5);
  const std::string data = ReadFile(path_);
  const std::string log = ReadFile(wal_);
  for (size_t cut : {size_t{1}, size_t{7}, size_t{30}, size_t{200}, log.size() / 2}) {
    WriteFile(path_, data);
    WriteFile(wal_, log.substr(0, log.size() - cut));
    auto opened = Open();
    ASSERT_TRUE(opened.ok()) << cut << ": " << opened.status().ToString();
    const int64_t rows = CountRows(**opened);
    EXPECT_EQ(rows % 100, 0) << cut;
    EXPECT_LT(rows, 500) << cut;
    if (cut < 200) {
      EXPECT_EQ(rows, 400) << cut;
    }
    opened->reset();
  }
}

TEST_F(DatabaseTest, DamagedLogIsRefusedAndLeftAlone) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  LeaveLogBehind(5);
  const std::string log = ReadFile(wal_);

  std::string damaged = log;
  damaged[log.size() / 2] ^= 0x10;
  WriteFile(wal_, damaged);
  ExpectCorrupt("bit flip in the middle");

  damaged = log;
  for (size_t i = log.size() - 300; i < log.size(); ++i) damaged[i] = 0;
  WriteFile(wal_, damaged);
  ExpectCorrupt("zeroed tail");

  WriteFile(wal_, log + std::string(4096, '\0'));
  ExpectCorrupt("trailing zeros");

  damaged = log;
  damaged[0] ^= 1;
  WriteFile(wal_, damaged);
  ExpectCorrupt("damaged version entry");

  WriteFile(wal_, log);
  EXPECT_EQ(CountRows(*Open().ValueOrDie()), 500);
}

// Every single damaged length byte: never a silent loss of whole transactions behind it.
TEST_F(DatabaseTest, DamagedLengthDoesNotHideLaterTransactions) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  LeaveLogBehind(3);
  const std::string data = ReadFile(path_);
  const std::string log = ReadFile(wal_);
  uint64_t size;
  size_t at = 10;  // version entry without identifier: two fields and the end marker
  at = log.find(std::string("\x64\x00", 2), 4) - 16;
  std::memcpy(&size, log.data() + at, sizeof(size));
  ASSERT_LT(size, log.size());
  for (size_t byte = 0; byte < 8; ++byte) {
    std::string damaged = log;
    damaged[at + byte] ^= 0x40;
    WriteFile(path_, data);
    WriteFile(wal_, damaged);
    auto opened = Open();
    EXPECT_FALSE(opened.ok()) << "length byte " << byte;
    if (!opened.ok()) {
      EXPECT_EQ(CodeOf(opened.status()), ErrorCode::kStorageCorrupt);
    }
  }
}

TEST_F(DatabaseTest, LogWithoutItsFileIsNotDeleted) {
  if (kThreadSanitizer) GTEST_SKIP() << kNoForkUnderTsan;
  LeaveLogBehind(1);
  fs::rename(path_, path_ + ".away");
  auto opened = Open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(CodeOf(opened.status()), ErrorCode::kStorageCorrupt);
  EXPECT_TRUE(fs::exists(wal_));
  fs::rename(path_ + ".away", path_);
  EXPECT_EQ(CountRows(*Open().ValueOrDie()), 100);
}

TEST_F(DatabaseTest, ForeignFileIsRefused) {
  WriteFile(path_, std::string(100000, 'x'));
  auto opened = Open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(CodeOf(opened.status()), ErrorCode::kStorageCorrupt);
  EXPECT_EQ(ReadFile(path_), std::string(100000, 'x'));
}

TEST_F(DatabaseTest, MissingFolderIsNotCalledDamage) {
  auto opened = Open((directory_ / "no" / "such" / "store.duckdb").string());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(CodeOf(opened.status()), ErrorCode::kStorageUnavailable);
}

TEST_F(DatabaseTest, ReattachKeepsTheData) {
  auto database = Open().ValueOrDie();
  {
    auto connection = database->Connect().ValueOrDie();
    ASSERT_TRUE(connection->Run("CREATE TABLE t (i BIGINT)").ok());
    ASSERT_TRUE(connection->Run("INSERT INTO t VALUES (1), (2)").ok());
  }
  const uint64_t before = database->epoch();
  ASSERT_TRUE(database->Reattach().ok());
  EXPECT_GT(database->epoch(), before);
  EXPECT_FALSE(database->invalidated());
  EXPECT_EQ(CountRows(*database), 2);
}

// What a fatal error does, with an idle connection and an open transaction in the way.
TEST_F(DatabaseTest, ReattachAfterTheWholeInstanceFailed) {
  auto database = Open().ValueOrDie();
  auto idle = database->Connect().ValueOrDie();
  auto busy = database->Connect().ValueOrDie();
  ASSERT_TRUE(idle->Run("CREATE TABLE t (i BIGINT)").ok());
  ASSERT_TRUE(idle->Run("INSERT INTO t VALUES (1), (2)").ok());
  ASSERT_TRUE(busy->Run("BEGIN; INSERT INTO t VALUES (3)").ok());
  duckdb::ValidChecker::Invalidate(
      duckdb::DatabaseInstance::GetDatabase(*idle->duckdb().context), "test");
  EXPECT_TRUE(database->invalidated());
  EXPECT_EQ(CodeOf(idle->Run("SELECT 1")), ErrorCode::kStorageUnavailable);
  std::thread dropper([&] { busy.reset(); });
  arrow::Status status = database->Reattach();
  dropper.join();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_FALSE(database->invalidated());
  EXPECT_EQ(CountRows(*database), 2);
  EXPECT_FALSE(idle->Run("SELECT 1").ok());
}

TEST_F(DatabaseTest, StatementErrorsCarryCodes) {
  auto database = Open().ValueOrDie();
  auto connection = database->Connect().ValueOrDie();
  ASSERT_TRUE(connection->Run("CREATE TABLE t (i BIGINT PRIMARY KEY)").ok());
  ASSERT_TRUE(connection->Run("INSERT INTO t VALUES (1)").ok());
  const std::pair<const char*, ErrorCode> cases[] = {
      {"SELECT * FROM nothing", ErrorCode::kTableNotFound},
      {"SELECT * FROM nowhere.nothing", ErrorCode::kTableNotFound},
      {"INSERT INTO nothing VALUES (1)", ErrorCode::kTableNotFound},
      {"SELECT j FROM t", ErrorCode::kColumnNotFound},
      {"SELEC 1", ErrorCode::kBadQuery},
      {"SELECT CAST('x' AS INTEGER)", ErrorCode::kBadQuery},
      {"SELECT no_such_function(1)", ErrorCode::kBadQuery},
      {"SELECT * FROM read_csv('/no/such/file.csv')", ErrorCode::kBadQuery},
      {"INSERT INTO t VALUES (1)", ErrorCode::kConstraintViolation},
      {"INSERT INTO t VALUES (NULL)", ErrorCode::kConstraintViolation},
      {"CREATE TABLE t (i BIGINT)", ErrorCode::kAlreadyExists},
      {"COMMIT", ErrorCode::kBadQuery},
  };
  for (const auto& [sql, code] : cases) {
    arrow::Status status = connection->Run(sql);
    ASSERT_FALSE(status.ok()) << sql;
    EXPECT_EQ(CodeOf(status), code) << sql << ": " << status.ToString();
  }
}

TEST_F(DatabaseTest, RacesAndLimitsCarryCodes) {
  auto database = Open().ValueOrDie();
  auto one = database->Connect().ValueOrDie();
  auto two = database->Connect().ValueOrDie();
  ASSERT_TRUE(one->Run("CREATE TABLE t (i BIGINT PRIMARY KEY)").ok());
  ASSERT_TRUE(one->Run("BEGIN; INSERT INTO t VALUES (7)").ok());
  ASSERT_TRUE(two->Run("BEGIN; INSERT INTO t VALUES (7)").ok());
  ASSERT_TRUE(one->Run("COMMIT").ok());
  arrow::Status status = two->Run("COMMIT");
  EXPECT_EQ(CodeOf(status), ErrorCode::kConstraintViolation) << status.ToString();

  ASSERT_TRUE(one->Run("BEGIN; UPDATE t SET i = 8 WHERE i = 7").ok());
  ASSERT_TRUE(two->Run("BEGIN").ok());
  status = two->Run("UPDATE t SET i = 9 WHERE i = 7");
  EXPECT_EQ(CodeOf(status), ErrorCode::kCommitConflict) << status.ToString();
  ASSERT_TRUE(one->Run("ROLLBACK").ok());

  DatabaseOptions small;
  small.path = ":memory:";
  small.memory_limit_bytes = 8 << 20;
  auto tiny = Database::Open(small).ValueOrDie();
  auto connection = tiny->Connect().ValueOrDie();
  ASSERT_TRUE(connection->Run("SET temp_directory = ''").ok());
  status = connection->Run(
      "CREATE TABLE big AS SELECT range i, random() r, "
      "md5(range::VARCHAR) s FROM range(5000000)");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(CodeOf(status), ErrorCode::kOutOfMemory) << status.ToString();
}

TEST_F(DatabaseTest, WhatWasInstalledIsInEveryInstance) {
  auto database = Open();
  ASSERT_TRUE(database.ok()) << database.status();
  int installed = 0;
  auto status = (*database)->Install([&](duckdb::DuckDB& instance) -> arrow::Status {
    ++installed;
    duckdb::Connection connection(instance);
    auto result = connection.Query("ATTACH ':memory:' AS other");
    if (result->HasError()) return TranslateError(result->GetErrorObject());
    return {};
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(installed, 1);
  // An invalidated instance is replaced as a whole.
  {
    auto connection = *(*database)->Connect();
    duckdb::ValidChecker::Invalidate(
        duckdb::DatabaseInstance::GetDatabase(*connection->duckdb().context), "a test");
  }
  ASSERT_TRUE((*database)->invalidated());
  status = (*database)->Reattach();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(installed, 2);
  auto connection = *(*database)->Connect();
  EXPECT_TRUE(connection->Run("CREATE TABLE other.t (i INTEGER)").ok());
  // One that fails is not kept.
  status = (*database)->Install(
      [](duckdb::DuckDB&) { return Error(ErrorCode::kBadConfig, "no"); });
  EXPECT_EQ(CodeOf(status), ErrorCode::kBadConfig);
}

TEST(ThrowStatusTest, CodesComeBack) {
  const auto [infos, count] = AllErrors();
  for (size_t i = 0; i < count; ++i) {
    auto status = Catching([&]() -> arrow::Status {
      ThrowStatus(Error(infos[i].code, "what \"happened\": ", i));
    });
    EXPECT_EQ(CodeOf(status), infos[i].code) << infos[i].name;
    EXPECT_EQ(status.message(), "what \"happened\": " + std::to_string(i));
  }
}

}  // namespace
}  // namespace arrowport::engine
