#include "query/datasets.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/ids.h"
#include "query/service.h"
#include "query/service_options.h"
#include "query/testing_consumer.h"
#include "schema/names.h"

namespace arrowport::query {
namespace {

namespace fs = std::filesystem;

class DatasetsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("arrowport-datasets-" + NewRandomId());
    fs::create_directories(folder_ / "data");
    engine::DatabaseOptions options;
    options.path = (folder_ / "test.duckdb").string();
    options.threads = 2;
    auto database = engine::Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status();
    options_.database = database_ = *database;
  }

  void TearDown() override {
    service_.reset();
    options_.database.reset();
    database_.reset();
    fs::remove_all(folder_);
  }

  void Start(const std::string& path, const std::string& name = "dataset") {
    options_.datasets.push_back({name, path});
    auto made = Service::Make(options_);
    ASSERT_TRUE(made.ok()) << made.status();
    service_ = *made;
  }

  // Parquet made by DuckDB from `select`, at `file` below the data folder.
  void Write(const std::string& select, const std::string& file) {
    fs::create_directories((folder_ / "data" / file).parent_path());
    auto connection = database_->Connect();
    ASSERT_TRUE(connection.ok());
    auto status = (*connection)->Run("COPY (" + select + ") TO " +
                                     schema::QuoteLiteral(Data(file)) + " (FORMAT parquet)");
    ASSERT_TRUE(status.ok()) << status;
  }

  std::string Data(const std::string& file = "") {
    return file.empty() ? (folder_ / "data").string()
                        : (folder_ / "data" / file).string();
  }

  Outcome Run(const std::string& sql) {
    Request request;
    request.source = sql;
    return RunToEnd(*service_, std::move(request));
  }

  std::string Value(const std::string& sql) {
    auto outcome = Run(sql);
    EXPECT_TRUE(outcome.status.ok()) << sql << "\n" << outcome.status;
    if (outcome.batches.empty()) return "(no rows)";
    return outcome.batches[0]->column(0)->GetScalar(0).ValueOrDie()->ToString();
  }

  std::vector<std::string> Listed() {
    auto tables = service_->ListTables();
    EXPECT_TRUE(tables.ok()) << tables.status();
    std::vector<std::string> names;
    for (const auto& table : *tables) names.push_back(table.table);
    return names;
  }

  fs::path folder_;
  std::shared_ptr<engine::Database> database_;
  ServiceOptions options_;
  std::shared_ptr<Service> service_;
};

TEST_F(DatasetsTest, OneFile) {
  Write("SELECT 1 AS a", "odd 'name.parquet");
  Start(Data("odd 'name.parquet"));
  EXPECT_EQ(Value("SELECT a FROM dataset"), "1");
  EXPECT_EQ(Value("SELECT a FROM DataSet"), "1");
  EXPECT_EQ(Listed(), std::vector<std::string>{"dataset"});
  auto table = service_->GetTable({"", "dataset"});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->type, "VIEW");
  EXPECT_EQ(table->arrow_schema->field(0)->name(), "a");
  Request request;
  request.source = TableRef{"", "dataset"};
  EXPECT_EQ(RunToEnd(*service_, request).rows(), 1);
}

TEST_F(DatasetsTest, DirectoryWithPartitionsAndDifferingSchemas) {
  Write("SELECT 1 AS a", "year=2020/x.parquet");
  Write("SELECT 2 AS a, 'b' AS b", "year=2021/deep/y.parquet");
  Start(Data());
  EXPECT_EQ(Value("SELECT string_agg(a || '-' || coalesce(b, '') || '-' || year, ',' "
                  "ORDER BY a) FROM dataset"),
            "1--2020,2-b-2021");
  EXPECT_EQ(Value("SELECT a FROM file_0"), "1");
  EXPECT_EQ(Value("SELECT b FROM file_1"), "b");
  EXPECT_EQ(CodeOf(Run("SELECT * FROM file_2").status), ErrorCode::kTableNotFound);
  EXPECT_EQ(Listed(), (std::vector<std::string>{"dataset", "file_0", "file_1"}));
}

TEST_F(DatasetsTest, NewFilesAppear) {
  Write("SELECT 1 AS a", "1.parquet");
  Start(Data());
  EXPECT_EQ(Value("SELECT count(*) FROM dataset"), "1");
  Write("SELECT 2 AS a, 'new' AS b", "2.parquet");
  EXPECT_EQ(Value("SELECT count(*) FROM dataset"), "2");
  EXPECT_EQ(Value("SELECT b FROM dataset WHERE a = 2"), "new");
  EXPECT_EQ(Value("SELECT b FROM file_1"), "new");
  Write("SELECT 0 AS a", "0.parquet");
  EXPECT_EQ(Listed(), (std::vector<std::string>{"dataset", "file_0", "file_1", "file_2"}));
  EXPECT_EQ(Value("SELECT a FROM file_0"), "0");
  fs::remove(Data("0.parquet"));
  EXPECT_EQ(Value("SELECT count(*) FROM dataset"), "2");
  EXPECT_EQ(Listed(), (std::vector<std::string>{"dataset", "file_0", "file_1"}));
}

TEST_F(DatasetsTest, FilesMayComeLater) {
  Start(Data());
  auto empty = Run("SELECT * FROM dataset");
  EXPECT_FALSE(empty.status.ok());
  EXPECT_NE(empty.status.message().find(Data()), std::string::npos) << empty.status;
  Write("SELECT 5 AS a", "later.parquet");
  EXPECT_EQ(Value("SELECT a FROM dataset"), "5");
  // Also when planned first.
  Request request;
  request.source = "SELECT * FROM file_0";
  auto schema = service_->Describe(request);
  ASSERT_TRUE(schema.ok()) << schema.status();
}

TEST_F(DatasetsTest, BrokenFileIsNamed) {
  Write("SELECT 1 AS a", "1.parquet");
  std::ofstream(Data("2.parquet")) << "this is no parquet file at all";
  Start(Data());
  for (int i = 0; i < 2; ++i) {
    auto broken = Run("SELECT * FROM dataset");
    EXPECT_FALSE(broken.status.ok());
    EXPECT_NE(broken.status.message().find("2.parquet"), std::string::npos)
        << broken.status;
  }
  EXPECT_EQ(Value("SELECT a FROM file_0"), "1");
  auto other = Run("SELECT * FROM file_1");
  EXPECT_NE(other.status.message().find("2.parquet"), std::string::npos) << other.status;
  fs::remove(Data("2.parquet"));
  EXPECT_EQ(Value("SELECT a FROM dataset"), "1");
  // Broken while the view stands.
  std::ofstream(Data("3.parquet")) << "this is no parquet file at all";
  auto broken = Run("SELECT * FROM dataset");
  EXPECT_NE(broken.status.message().find("3.parquet"), std::string::npos)
      << broken.status;
  EXPECT_FALSE(Listed().empty());
}

TEST_F(DatasetsTest, GlobsAndNames) {
  Write("SELECT 1 AS a", "one_1.parquet");
  Write("SELECT 2 AS a", "one_2.parquet");
  Write("SELECT 3 AS a", "two.parquet");
  Write("SELECT 4 AS a", "literal[1]/x.parquet");
  options_.datasets.push_back({"two \"quoted\"", Data("two.parquet")});
  options_.datasets.push_back({"literal", Data("literal[1]")});
  options_.datasets.push_back({"missing", Data("nothing.parquet")});
  Start(Data("one_*.parquet"));
  EXPECT_EQ(Value("SELECT sum(a)::BIGINT FROM dataset"), "3");
  EXPECT_EQ(Value("SELECT a FROM \"two \"\"quoted\"\"\""), "3");
  EXPECT_EQ(Value("SELECT a FROM literal"), "4");
  auto missing = Run("SELECT * FROM missing");
  EXPECT_NE(missing.status.message().find("nothing.parquet"), std::string::npos)
      << missing.status;
  EXPECT_EQ(CodeOf(Run("SELECT * FROM unknown").status), ErrorCode::kTableNotFound);
}

TEST_F(DatasetsTest, BesideTheStorage) {
  Write("SELECT 1 AS a", "1.parquet");
  Start(Data());
  EXPECT_TRUE(Run("CREATE TABLE events AS SELECT a, 'e' AS e FROM dataset").status.ok());
  EXPECT_EQ(Value("SELECT e FROM events JOIN dataset USING (a)"), "e");
  EXPECT_EQ(Value("SELECT current_schema()"), "main");
  // A table of the storage hides a data set of its name, and nothing of the data sets is
  // written to the storage.
  EXPECT_TRUE(Run("CREATE TABLE dataset (own INTEGER)").status.ok());
  EXPECT_EQ(Run("SELECT * FROM dataset").schema->field(0)->name(), "own");
  EXPECT_EQ(Value("SELECT count(*) FROM duckdb_views() WHERE NOT internal AND "
                  "database_name = " +
                  schema::QuoteLiteral(database_->catalog())),
            "0");
}

TEST_F(DatasetsTest, SurviveTheStorageBeingReopened) {
  Write("SELECT 1 AS a", "1.parquet");
  Start(Data());
  EXPECT_TRUE(Run("CREATE TABLE t AS SELECT range AS i FROM range(1000000)").status.ok());
  auto paused = std::make_shared<KeepingConsumer>([](int) { return Flow::kPause; });
  Request request;
  request.source = "SELECT * FROM t";
  auto cursor = service_->Execute(request, paused);
  ASSERT_TRUE(cursor.ok());
  ASSERT_TRUE(paused->WaitForBatches(1));
  // The paused result must let go of the storage.
  auto status = database_->Reattach();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(paused->WaitForEnd());
  EXPECT_EQ(CodeOf(paused->outcome().status), ErrorCode::kStorageUnavailable);
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "1000000");
  EXPECT_EQ(Value("SELECT a FROM dataset"), "1");
}

TEST_F(DatasetsTest, ThousandFilesAtMostHaveAName) {
  auto connection = database_->Connect();
  ASSERT_TRUE(connection.ok());
  Write("SELECT 1 AS a", "00000.parquet");
  for (int i = 1; i < 1000; ++i) {
    const std::string name = std::to_string(100000 + i).substr(1) + ".parquet";
    fs::copy_file(Data("00000.parquet"), Data(name));
  }
  Start(Data());
  EXPECT_EQ(Value("SELECT count(*) FROM dataset"), "1000");
  EXPECT_EQ(Value("SELECT a FROM file_999"), "1");
  fs::copy_file(Data("00000.parquet"), Data("z.parquet"));
  EXPECT_EQ(Listed(), std::vector<std::string>{"dataset"});
}

}  // namespace
}  // namespace arrowport::query
