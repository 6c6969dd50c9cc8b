// Runs every *.test file of this folder in process through query::Service, in memory and
// on a file. With ARROWPORT_SQL_UPDATE=1 it writes the results it sees into the files.
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/ids.h"
#include "query/service.h"
#include "query/service_options.h"
#include "query/testing_consumer.h"
#include "sql_case.h"

namespace arrowport {
namespace {

namespace fs = std::filesystem;

std::string SourceDir() {
  const char* dir = std::getenv("ARROWPORT_SOURCE_DIR");
  return dir == nullptr ? "." : dir;
}

std::vector<std::string> CaseFiles() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(SourceDir() + "/tests/sql")) {
    if (entry.path().extension() == ".test") files.push_back(entry.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class SqlTest : public testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  void SetUp() override {
    engine::DatabaseOptions options;
    options.path = ":memory:";
    if (std::get<1>(GetParam())) {
      folder_ = fs::temp_directory_path() / ("arrowport-sql-" + NewRandomId());
      fs::create_directories(folder_);
      options.path = (folder_ / "test.duckdb").string();
    }
    options.threads = 2;
    auto database = engine::Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status();
    query::ServiceOptions service;
    service.database = *database;
    auto made = query::Service::Make(std::move(service));
    ASSERT_TRUE(made.ok()) << made.status();
    service_ = *made;
  }

  void TearDown() override {
    service_.reset();
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  std::shared_ptr<query::Service> service_;
  fs::path folder_;
};

TEST_P(SqlTest, Cases) {
  const std::string path =
      SourceDir() + "/tests/sql/" + std::get<0>(GetParam()) + ".test";
  auto cases = sql_test::ReadCases(path);
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_FALSE(cases->empty());
  const bool update = std::getenv("ARROWPORT_SQL_UPDATE") != nullptr;
  std::vector<std::vector<std::string>> results;
  for (const auto& one : *cases) {
    SCOPED_TRACE(path + ":" + std::to_string(one.line));
    results.emplace_back();
    query::Request request;
    request.source = one.sql;
    auto outcome = query::RunToEnd(*service_, std::move(request));
    if (one.kind == sql_test::Case::Kind::kError) {
      ASSERT_FALSE(outcome.status.ok()) << one.sql;
      EXPECT_EQ(InfoOf(CodeOf(outcome.status)).name, one.error) << outcome.status;
      continue;
    }
    ASSERT_TRUE(outcome.status.ok()) << one.sql << "\n" << outcome.status;
    if (one.kind == sql_test::Case::Kind::kOk) continue;
    auto lines = sql_test::Format(*outcome.schema, outcome.batches, one.rowsort);
    ASSERT_TRUE(lines.ok()) << lines.status();
    if (!update) {
      EXPECT_EQ(*lines, one.expected) << one.sql;
    }
    results.back() = std::move(*lines);
  }
  if (update) {
    ASSERT_TRUE(sql_test::Rewrite(path, *cases, results).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SqlTest, testing::Combine(testing::ValuesIn(CaseFiles()), testing::Bool()),
    [](const auto& info) {
      return std::get<0>(info.param) + (std::get<1>(info.param) ? "_file" : "_memory");
    });

}  // namespace
}  // namespace arrowport
