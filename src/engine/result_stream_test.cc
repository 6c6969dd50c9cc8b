#include "engine/result_stream.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "base/error.h"
#include "engine/database.h"
#include "engine/statement.h"

namespace arrowport::engine {
namespace {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

std::shared_ptr<arrow::Array> Letters() {
  arrow::StringBuilder builder;
  EXPECT_TRUE(builder.AppendValues({"a", "b"}).ok());
  return builder.Finish().ValueOrDie();
}

class ResultStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    DatabaseOptions options;
    options.path = ":memory:";
    options.threads = 2;
    auto database = Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *database;
  }

  std::unique_ptr<Connection> Connect() {
    auto connection = database_->Connect();
    EXPECT_TRUE(connection.ok()) << connection.status();
    return std::move(*connection);
  }

  void Run(const std::string& sql) {
    auto status = Connect()->Run(sql);
    ASSERT_TRUE(status.ok()) << status;
  }

  arrow::Result<std::unique_ptr<ResultStream>> Start(
      const std::string& sql, arrow::ScalarVector parameters = {},
      ResultStreamOptions options = {}) {
    auto connection = Connect();
    ARROW_ASSIGN_OR_RAISE(auto statement, Statement::Parse(*connection, sql));
    auto stream = std::make_unique<ResultStream>(std::move(connection), options);
    ARROW_RETURN_NOT_OK(stream->Start(*statement, parameters));
    return stream;
  }

  arrow::Result<Batches> ReadAll(ResultStream& stream) {
    Batches batches;
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(auto batch, stream.Next());
      if (!batch) return batches;
      ARROW_RETURN_NOT_OK(batch->ValidateFull());
      batches.push_back(std::move(batch));
    }
  }

  std::shared_ptr<arrow::Scalar> One(const std::string& sql,
                                     arrow::ScalarVector parameters = {}) {
    auto stream = Start(sql, std::move(parameters));
    EXPECT_TRUE(stream.ok()) << sql << stream.status();
    if (!stream.ok()) return nullptr;
    auto batches = ReadAll(**stream);
    EXPECT_TRUE(batches.ok() && batches->size() == 1) << sql << batches.status();
    if (!batches.ok() || batches->empty()) return nullptr;
    return (*batches)[0]->column(0)->GetScalar(0).ValueOrDie();
  }

  std::shared_ptr<Database> database_;
};

TEST_F(ResultStreamTest, BatchesGrowFromSmallToLarge) {
  auto stream = Start("SELECT range AS i FROM range(1000000)");
  ASSERT_TRUE(stream.ok()) << stream.status();
  ResultStreamOptions options;
  int64_t next = 0;
  std::vector<int64_t> sizes;
  for (;;) {
    auto batch = (*stream)->Next();
    ASSERT_TRUE(batch.ok()) << batch.status();
    if (!*batch) break;
    const auto& column = static_cast<const arrow::Int64Array&>(*(*batch)->column(0));
    sizes.push_back(column.length());
    for (int64_t i = 0; i < column.length(); ++i) ASSERT_EQ(column.Value(i), next++);
  }
  EXPECT_EQ(next, 1000000);
  EXPECT_LE(sizes[0], options.first_batch_rows);
  EXPECT_GT(*std::max_element(sizes.begin(), sizes.end()), 8192);
  EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()), options.batch_rows_max);
  auto again = (*stream)->Next();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, nullptr);
  EXPECT_NE((*stream)->TakeConnection(), nullptr);
}

TEST_F(ResultStreamTest, BatchesAreCutByBytes) {
  ResultStreamOptions options;
  options.batch_bytes_max = 1 << 20;
  for (const char* column : {"repeat('x', 1000)", "[repeat('x', 1000)]",
                             "{'a': repeat('x', 1000), 'b': i}"}) {
    auto stream =
        Start(std::string("SELECT i, ") + column + " AS s FROM range(5000) t(i)", {}, options);
    ASSERT_TRUE(stream.ok()) << stream.status();
    auto batches = ReadAll(**stream);
    ASSERT_TRUE(batches.ok()) << batches.status();
    int64_t rows = 0;
    for (const auto& batch : *batches) {
      EXPECT_LE(batch->num_rows(), (1 << 20) / 1000) << column;
      rows += batch->num_rows();
    }
    EXPECT_EQ(rows, 5000);
  }
}

TEST_F(ResultStreamTest, RowLargerThanABatchGoesAlone) {
  auto stream = Start(
      "SELECT i, repeat('ab', CASE WHEN i = 2 THEN 10000000 ELSE 1 END) AS s "
      "FROM range(5) t(i)");
  ASSERT_TRUE(stream.ok()) << stream.status();
  auto batches = ReadAll(**stream);
  ASSERT_TRUE(batches.ok()) << batches.status();
  ASSERT_EQ(batches->size(), 3u);
  EXPECT_EQ((*batches)[0]->num_rows(), 2);
  EXPECT_EQ((*batches)[1]->num_rows(), 1);
  EXPECT_EQ((*batches)[2]->num_rows(), 2);
  const auto& big = static_cast<const arrow::StringArray&>(*(*batches)[1]->column(1));
  EXPECT_EQ(big.GetView(0).size(), 20000000u);
}

// Against DuckDB's own text of every value, with nulls in random places.
TEST_F(ResultStreamTest, RandomValuesSurvive) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Run("CREATE TABLE r AS SELECT i, hash(i, " + std::to_string(seed) +
      ") AS h FROM range(30000) t(i)");
  const std::vector<std::string> columns = {
      "(h % 2 = 0)",
      "(h % 100)::TINYINT",
      "(h % 30000)::SMALLINT",
      "(h % 2000000000)::INTEGER",
      "(h % 1000)::DECIMAL(4,1)",
      "(h % 100000)::DECIMAL(9,2)",
      "(h % 10000000)::DECIMAL(18,4)",
      "h::DECIMAL(38,3)",
      "h::HUGEINT",
      "repeat('ü', (h % 20)::INTEGER)",
      "DATE '2000-01-01' + (h % 10000)::INTEGER",
      "'u'::ENUM('u', 'v')",
      "uuid()",
  };
  for (const std::string& column : columns) {
    const std::string value = "CASE WHEN h % 7 = 3 THEN NULL ELSE " + column + " END";
    // One snapshot of the values, so that uuid() is the same in both columns.
    Run("CREATE OR REPLACE TABLE s AS SELECT " + value + " AS v FROM r");
    auto stream = Start("SELECT v, v::VARCHAR AS t FROM s");
    ASSERT_TRUE(stream.ok()) << column << stream.status();
    auto batches = ReadAll(**stream);
    ASSERT_TRUE(batches.ok()) << column << batches.status();
    int64_t rows = 0;
    for (const auto& batch : *batches) {
      const auto& texts = static_cast<const arrow::StringArray&>(*batch->column(1));
      for (int64_t i = 0; i < batch->num_rows(); ++i) {
        auto scalar = batch->column(0)->GetScalar(i).ValueOrDie();
        ASSERT_EQ(scalar->is_valid, texts.IsValid(i)) << column;
        if (scalar->is_valid) {
          ASSERT_EQ(scalar->ToString(), texts.GetString(i)) << column << " row " << i;
        }
      }
      rows += batch->num_rows();
    }
    EXPECT_EQ(rows, 30000) << column;
  }
}

TEST_F(ResultStreamTest, NullSlotsHoldNoMemoryOfOurs) {
  auto stream = Start("SELECT CASE WHEN i % 2 = 0 THEN i END AS v FROM range(100) t(i)");
  ASSERT_TRUE(stream.ok());
  auto batches = ReadAll(**stream);
  ASSERT_TRUE(batches.ok());
  const auto& column = static_cast<const arrow::Int64Array&>(*(*batches)[0]->column(0));
  for (int64_t i = 1; i < 100; i += 2) EXPECT_EQ(column.Value(i), 0);
}

TEST_F(ResultStreamTest, ZoneOfTheConnectionIsShown) {
  auto connection = Connect();
  ASSERT_TRUE(connection->Run("SET TimeZone = 'Asia/Tokyo'").ok());
  auto statement =
      Statement::Parse(*connection, "SELECT TIMESTAMPTZ '2020-01-01 00:00:00+00' AS t");
  ASSERT_TRUE(statement.ok());
  ResultStream stream(std::move(connection), {});
  ASSERT_TRUE(stream.Start(**statement, {}).ok());
  EXPECT_TRUE(stream.schema()->field(0)->type()->Equals(
      arrow::timestamp(arrow::TimeUnit::MICRO, "Asia/Tokyo")));
  auto batch = stream.Next();
  ASSERT_TRUE(batch.ok());
  const auto& column = static_cast<const arrow::TimestampArray&>(*(*batch)->column(0));
  EXPECT_EQ(column.Value(0), 1577836800000000);
}

TEST_F(ResultStreamTest, ParametersGoInAsTheyAre) {
  using arrow::TimeUnit;
  const std::vector<std::pair<std::shared_ptr<arrow::Scalar>, std::string>> cases = {
      {arrow::MakeScalar(true), "true"},
      {arrow::MakeScalar(int8_t{-3}), "-3"},
      {arrow::MakeScalar(int64_t{1} << 40), "1099511627776"},
      {arrow::MakeScalar(~uint64_t{0}), "18446744073709551615"},
      {arrow::MakeScalar(1.25), "1.25"},
      {arrow::MakeScalar(1.5f), "1.5"},
      {arrow::MakeScalar("käse"), "käse"},
      {std::make_shared<arrow::LargeStringScalar>("large"), "large"},
      {std::make_shared<arrow::BinaryScalar>(std::string("\x01\xff")), "\\x01\\xFF"},
      {std::make_shared<arrow::Date32Scalar>(18262), "2020-01-01"},
      {std::make_shared<arrow::Date64Scalar>(18262 * 86400000LL), "2020-01-01"},
      {std::make_shared<arrow::Time64Scalar>(3600000000LL, arrow::time64(TimeUnit::MICRO)),
       "01:00:00"},
      {std::make_shared<arrow::Time32Scalar>(3600500, arrow::time32(TimeUnit::MILLI)),
       "01:00:00.5"},
      {std::make_shared<arrow::TimestampScalar>(1577836800, arrow::timestamp(TimeUnit::SECOND)),
       "2020-01-01 00:00:00"},
      {std::make_shared<arrow::TimestampScalar>(1577836800123456789LL,
                                                arrow::timestamp(TimeUnit::NANO)),
       "2020-01-01 00:00:00.123456789"},
      {std::make_shared<arrow::DurationScalar>(1500, arrow::duration(TimeUnit::MILLI)),
       "00:00:01.5"},
      {std::make_shared<arrow::Decimal128Scalar>(arrow::Decimal128(-12345),
                                                 arrow::decimal128(9, 2)),
       "-123.45"},
      {std::make_shared<arrow::Decimal128Scalar>(
           arrow::Decimal128("99999999999999999999999999999999999999"),
           arrow::decimal128(38, 0)),
       "99999999999999999999999999999999999999"},
      {arrow::DictionaryScalar::Make(arrow::MakeScalar(int32_t{1}), Letters()), "b"},
      {arrow::MakeNullScalar(arrow::int32()), "NULL"},
      {arrow::MakeNullScalar(arrow::null()), "NULL"},
  };
  for (const auto& [scalar, text] : cases) {
    auto out = One("SELECT coalesce(CAST(? AS VARCHAR), 'NULL')", {scalar});
    ASSERT_NE(out, nullptr);
    EXPECT_EQ(out->ToString(), text) << scalar->type->ToString();
  }
}

TEST_F(ResultStreamTest, ParametersHaveTheirOwnType) {
  EXPECT_EQ(One("SELECT typeof(?)", {arrow::MakeScalar(int16_t{1})})->ToString(),
            "SMALLINT");
  EXPECT_EQ(One("SELECT typeof(?)", {std::make_shared<arrow::Decimal128Scalar>(
                                        arrow::Decimal128(1), arrow::decimal128(20, 3))})
                ->ToString(),
            "DECIMAL(20,3)");
  EXPECT_EQ(One("SELECT $b - $a", {arrow::MakeScalar(3), arrow::MakeScalar(10)})->ToString(),
            "-7");
}

TEST_F(ResultStreamTest, ParametersThatDoNotFitAreRefused) {
  auto few = Start("SELECT ?, ?", {arrow::MakeScalar(1)});
  EXPECT_EQ(CodeOf(few.status()), ErrorCode::kInvalidArgument);
  auto many = Start("SELECT ?", {arrow::MakeScalar(1), arrow::MakeScalar(1)});
  EXPECT_EQ(CodeOf(many.status()), ErrorCode::kInvalidArgument);
  auto finer = Start("SELECT ?", {std::make_shared<arrow::DurationScalar>(
                                     1, arrow::duration(arrow::TimeUnit::NANO))});
  EXPECT_EQ(CodeOf(finer.status()), ErrorCode::kInvalidArgument);
  auto text = Start("SELECT ?", {std::make_shared<arrow::StringScalar>("\xff\xfe")});
  EXPECT_FALSE(text.ok());
}

TEST_F(ResultStreamTest, InterruptEndsARunningStatement) {
  auto connection = Connect();
  auto statement = Statement::Parse(
      *connection, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b");
  ASSERT_TRUE(statement.ok());
  ResultStream stream(std::move(connection), {});
  std::thread other([&] {
    // Whatever the moment, the statement must end.
    std::this_thread::yield();
    stream.Interrupt();
  });
  auto status = stream.Start(**statement, {});
  if (status.ok()) status = stream.Next().status();
  other.join();
  EXPECT_EQ(CodeOf(status), ErrorCode::kCancelled) << status;
  EXPECT_EQ(stream.TakeConnection(), nullptr);
}

TEST_F(ResultStreamTest, InterruptBeforeTheStartEndsItToo) {
  auto connection = Connect();
  auto statement = Statement::Parse(
      *connection, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b");
  ASSERT_TRUE(statement.ok());
  ResultStream stream(std::move(connection), {});
  stream.Interrupt();
  auto status = stream.Start(**statement, {});
  EXPECT_EQ(CodeOf(status), ErrorCode::kCancelled) << status;
}

TEST_F(ResultStreamTest, AbandonedStreamEndsItsTransaction) {
  Run("CREATE TABLE t AS SELECT range AS i FROM range(1000000)");
  auto stream = Start("SELECT * FROM t");
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE((*stream)->Next().ok());
  stream->reset();
  // A catalog change that needs the table unused.
  Run("DROP TABLE t");
}

TEST_F(ResultStreamTest, DescribeRunsNothing) {
  auto connection = Connect();
  ASSERT_TRUE(connection->Run("CREATE TABLE t (i INTEGER, d DECIMAL(9,2))").ok());
  auto insert = Statement::Parse(*connection, "INSERT INTO t VALUES (?, ?)");
  ASSERT_TRUE(insert.ok());
  auto shape = (*insert)->Describe(*connection);
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_FALSE(shape->has_rows);
  EXPECT_EQ(shape->effect, StatementEffect::kWrite);
  EXPECT_TRUE(shape->schema->Equals(*CountSchema()));
  ASSERT_EQ(shape->parameters.size(), 2u);
  EXPECT_TRUE(shape->parameters[0]->type()->Equals(arrow::int32()));
  EXPECT_TRUE(shape->parameters[1]->type()->Equals(arrow::decimal128(9, 2)));
  EXPECT_EQ(One("SELECT count(*) FROM t")->ToString(), "0");

  auto select = Statement::Parse(*connection, "SELECT ? AS x, i FROM t");
  ASSERT_TRUE(select.ok());
  shape = (*select)->Describe(*connection);
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_TRUE(shape->has_rows);
  EXPECT_EQ(shape->schema->num_fields(), 2);
  EXPECT_TRUE(shape->parameters[0]->type()->Equals(arrow::null()));
}

TEST_F(ResultStreamTest, WideResults) {
  std::string sql = "SELECT i AS c0";
  for (int c = 1; c < 2000; ++c) sql += ", i + " + std::to_string(c) + " AS c" + std::to_string(c);
  auto stream = Start(sql + " FROM range(3000) t(i)");
  ASSERT_TRUE(stream.ok()) << stream.status();
  auto batches = ReadAll(**stream);
  ASSERT_TRUE(batches.ok()) << batches.status();
  int64_t rows = 0;
  for (const auto& batch : *batches) {
    EXPECT_LE(batch->num_rows() * 2000 * 8, 8 << 20);
    rows += batch->num_rows();
    EXPECT_EQ(static_cast<const arrow::Int64Array&>(*batch->column(1999)).Value(0),
              static_cast<const arrow::Int64Array&>(*batch->column(0)).Value(0) + 1999);
  }
  EXPECT_EQ(rows, 3000);
}

}  // namespace
}  // namespace arrowport::engine
