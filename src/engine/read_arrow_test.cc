#include "engine/read_arrow.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/array/builder_binary.h>
#include <arrow/io/file.h>
#include <arrow/ipc/writer.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <duckdb.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "engine/database.h"

namespace arrowport::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

enum class Format { kStream, kFile };

class ReadArrowTest : public ::testing::TestWithParam<Format> {
 protected:
  ReadArrowTest() {
    directory_ = fs::temp_directory_path() / ("read_arrow_test_" + NewRandomId());
    fs::create_directory(directory_);
    DatabaseOptions options;
    options.path = ":memory:";
    database_ = Database::Open(options).ValueOrDie();
    connection_ = database_->Connect().ValueOrDie();
  }
  ~ReadArrowTest() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  std::string Path(const std::string& name) { return (directory_ / name).string(); }

  static std::shared_ptr<arrow::RecordBatch> Rows(int64_t first, int64_t count) {
    arrow::Int64Builder id;
    arrow::StringBuilder text;
    arrow::DoubleBuilder number;
    for (int64_t i = first; i < first + count; ++i) {
      EXPECT_TRUE(id.Append(i).ok());
      EXPECT_TRUE((i % 3 == 0 ? text.AppendNull() : text.Append(std::to_string(i))).ok());
      EXPECT_TRUE(number.Append(static_cast<double>(i) / 2).ok());
    }
    return arrow::RecordBatch::Make(
        arrow::schema({arrow::field("id", arrow::int64()),
                       arrow::field("text", arrow::utf8()),
                       arrow::field("number", arrow::float64())}),
        count, {*id.Finish(), *text.Finish(), *number.Finish()});
  }

  void Write(const std::string& name,
             const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
             Format format) {
    auto out = arrow::io::FileOutputStream::Open(Path(name)).ValueOrDie();
    auto writer = format == Format::kFile
                      ? arrow::ipc::MakeFileWriter(out, batches[0]->schema())
                      : arrow::ipc::MakeStreamWriter(out, batches[0]->schema());
    for (const auto& batch : batches) {
      ASSERT_TRUE((*writer)->WriteRecordBatch(*batch).ok());
    }
    ASSERT_TRUE((*writer)->Close().ok());
    ASSERT_TRUE(out->Close().ok());
  }

  std::string Ask(const std::string& sql) {
    auto result = connection_->duckdb().Query(sql);
    if (result->HasError()) return result->GetError();
    std::string text;
    for (duckdb::idx_t row = 0; row < result->RowCount(); ++row) {
      if (row > 0) text += ";";
      for (duckdb::idx_t column = 0; column < result->ColumnCount(); ++column) {
        if (column > 0) text += ",";
        text += result->GetValue(column, row).ToString();
      }
    }
    return text;
  }

  fs::path directory_;
  std::shared_ptr<Database> database_;
  std::unique_ptr<Connection> connection_;
};

TEST_P(ReadArrowTest, RowsOfManyBatches) {
  Write("a.arrow", {Rows(0, 5000), Rows(5000, 1), Rows(5001, 4999)}, GetParam());
  const std::string from = " FROM read_arrow('" + Path("a.arrow") + "')";
  EXPECT_EQ(Ask("SELECT count(*)" + from), "10000");
  EXPECT_EQ(Ask("SELECT sum(id), count(text), sum(number)" + from),
            "49995000,6666,24997500.0");
  EXPECT_EQ(Ask("SELECT number, id" + from + " WHERE text = '4999'"), "2499.5,4999");
  EXPECT_EQ(Ask("SELECT * FROM '" + Path("a.arrow") + "' ORDER BY id LIMIT 2"),
            "0,NULL,0.0;1,1,0.5");
}

TEST_P(ReadArrowTest, ManyFilesAndTheirNames) {
  Write("b_1.arrows", {Rows(0, 10)}, GetParam());
  Write("b_2.arrows", {Rows(10, 20)}, GetParam());
  EXPECT_EQ(Ask("SELECT count(*), count(DISTINCT file_name), sum(id) FROM read_arrow('" +
                Path("b_*.arrows") + "')"),
            "30,2,435");
  EXPECT_EQ(Ask("SELECT filename, count(*) FROM read_arrow(['" + Path("b_1.arrows") +
                "', '" + Path("b_2.arrows") + "']) GROUP BY ALL ORDER BY ALL"),
            Path("b_1.arrows") + ",10;" + Path("b_2.arrows") + ",20");
  EXPECT_EQ(Ask("SELECT * FROM read_arrow('" + Path("b_1.arrows") +
                "', filename := true) WHERE id = 1"),
            "1,1,0.5," + Path("b_1.arrows"));
}

TEST_P(ReadArrowTest, ColumnsAreFoundByName) {
  auto rows = Rows(0, 3);
  Write("c_1.arrow", {rows}, GetParam());
  Write("c_2.arrow", {rows->SelectColumns({2, 0}).ValueOrDie()}, GetParam());
  EXPECT_EQ(Ask("SELECT count(text), count(*), sum(id), sum(number) FROM '" +
                Path("c_*.arrow") + "'"),
            "2,6,6,3.0");
  auto other = rows->SetColumn(0, arrow::field("id", arrow::utf8()), rows->column(1)).ValueOrDie();
  Write("c_3.arrow", {other}, GetParam());
  EXPECT_THAT(Ask("SELECT sum(id) FROM '" + Path("c_*.arrow") + "'"),
              HasSubstr("column id is string"));
  EXPECT_EQ(Ask("SELECT sum(number) FROM '" + Path("c_*.arrow") + "'"), "4.5");
}

TEST_P(ReadArrowTest, DamagedFilesAreNamed) {
  Write("d.arrow", {Rows(0, 2000)}, GetParam());
  fs::resize_file(directory_ / "d.arrow", fs::file_size(directory_ / "d.arrow") / 2);
  EXPECT_THAT(Ask("SELECT sum(id) FROM '" + Path("d.arrow") + "'"), HasSubstr("d.arrow"));
  std::ofstream(Path("e.arrow")) << "this is no Arrow data at all";
  EXPECT_THAT(Ask("FROM '" + Path("e.arrow") + "'"), HasSubstr("e.arrow"));
  EXPECT_THAT(Ask("FROM '" + Path("missing.arrow") + "'"), HasSubstr("missing.arrow"));
  EXPECT_EQ(Ask("SELECT 1"), "1");
}

TEST_P(ReadArrowTest, AClosedSessionReadsNoFiles) {
  Write("f.arrow", {Rows(0, 1)}, GetParam());
  Ask("SET enable_external_access = false");
  EXPECT_THAT(Ask("FROM '" + Path("f.arrow") + "'"), HasSubstr("Permission"));
  EXPECT_THAT(Ask("FROM read_arrow('http://127.0.0.1:1/x')"), HasSubstr("Permission"));
  EXPECT_THAT(Ask("FROM read_arrow('-')"), HasSubstr("Permission"));
}

INSTANTIATE_TEST_SUITE_P(Formats, ReadArrowTest,
                         ::testing::Values(Format::kStream, Format::kFile));

}  // namespace
}  // namespace arrowport::engine
