// What the JSON rows of a batch look like, and which rows fail.
#include <arrow/api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "zerobus/encode/encoded_rows_test.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::zerobus::encode {
namespace {

using arrow::field;
using ArrayPtr = std::shared_ptr<arrow::Array>;

template <typename Builder, typename T>
ArrayPtr Values(const std::vector<std::optional<T>>& values) {
  Builder builder;
  for (const auto& value : values) {
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  }
  return builder.Finish().ValueOrDie();
}
ArrayPtr Texts(const std::vector<std::optional<std::string>>& values) {
  return Values<arrow::StringBuilder, std::string>(values);
}

/// One column of each name.
EncodedRows Encoded(const std::vector<std::pair<std::string, ArrayPtr>>& columns,
                    const EncodeOptions& options = {}) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const auto& [name, array] : columns) {
    fields.push_back(field(name, array->type()));
    arrays.push_back(array);
  }
  auto batch =
      arrow::RecordBatch::Make(arrow::schema(fields), arrays[0]->length(), arrays);
  auto table = TableSchema::FromArrow(*batch->schema());
  EXPECT_TRUE(table.ok()) << table.status();
  auto encoder = RowEncoder::MakeJson(*batch->schema(), *table, options);
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  auto rows = (*encoder)->Encode(*batch);
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? std::move(rows).ValueUnsafe() : EncodedRows{};
}

TEST(JsonRows, Doubles) {
  using Limits = std::numeric_limits<double>;
  EncodedRows rows = Encoded({{"c", Values<arrow::DoubleBuilder, double>(
                                        {0.0, -0.0, 1e22, 5e-324, Limits::max(), 1e5, 0.1,
                                         Limits::quiet_NaN(), Limits::infinity(),
                                         -Limits::infinity(), std::nullopt})}});
  const std::vector<std::string_view> wanted = {
      R"({"c":0})", R"({"c":-0})", R"({"c":1e+22})", R"({"c":5e-324})",
      R"({"c":1.7976931348623157e+308})", R"({"c":1e+05})", R"({"c":0.1})",
      R"({"c":"NaN"})", R"({"c":"Infinity"})", R"({"c":"-Infinity"})", "{}"};
  EXPECT_EQ(rows.rows, wanted);
  rows = Encoded({{"c", Values<arrow::FloatBuilder, float>({0.1f, 16777216.0f, 1e-45f})}});
  EXPECT_EQ(rows.rows[0], R"({"c":0.1})");
  EXPECT_EQ(rows.rows[1], R"({"c":16777216})");
  EXPECT_EQ(rows.rows[2], R"({"c":1e-45})");
}

TEST(JsonRows, CommasAndBracesWithNullsAnywhere) {
  using Cells = std::vector<std::optional<int64_t>>;
  const std::string long_name(100, 'n');
  const std::string escaped_name = "tab\t\"quoted\"";
  EncodedRows rows = Encoded(
      {{"a", Values<arrow::Int64Builder>(Cells{1, std::nullopt, std::nullopt, 4})},
       {long_name, Values<arrow::Int64Builder>(Cells{1, 2, std::nullopt, std::nullopt})},
       {escaped_name, Values<arrow::Int64Builder>(Cells{1, 2, std::nullopt, 4})}});
  EXPECT_EQ(rows.rows[0],
            R"({"a":1,")" + long_name + R"(":1,"tab\t\"quoted\"":1})");
  EXPECT_EQ(rows.rows[1], "{\"" + long_name + R"(":2,"tab\t\"quoted\"":2})");
  EXPECT_EQ(rows.rows[2], "{}");
  EXPECT_EQ(rows.rows[3], R"({"a":4,"tab\t\"quoted\"":4})");
}

TEST(JsonRows, CharactersSplitOverCellsAreNotText) {
  for (size_t before = 0; before < 18; ++before) {
    const std::string head(before, 'x');
    EncodedRows rows = Encoded({{"c", Texts({head + "é", head + "\xc3", "\xa9" + head,
                                             head + "\xf0\x9f", "\x8e\x89" + head, "é"})}});
    EXPECT_EQ(Failures(rows), "1:BAD_DATA 2:BAD_DATA 3:BAD_DATA 4:BAD_DATA");
    EXPECT_EQ(rows.rows[0], R"({"c":")" + head + "é\"}");
    EXPECT_EQ(rows.rows[5], R"({"c":"é"})");
  }
}

TEST(JsonRows, RowsOfVeryDifferentLength) {
  for (const bool long_first : {false, true}) {
    std::vector<std::optional<std::string>> texts;
    for (int i = 0; i < 300; ++i) {
      texts.emplace_back(std::string((i < 100) == long_first ? 3000 : 1, '"'));
    }
    EncodedRows rows = Encoded({{"c", Texts(texts)}});
    EXPECT_EQ(Failures(rows), "");
    for (size_t i = 0; i < texts.size(); ++i) {
      auto read = nlohmann::json::parse(rows.rows[i], nullptr, false);
      ASSERT_EQ(read["c"], *texts[i]);
    }
  }
}

TEST(JsonRows, TheLimitCountsEscapes) {
  EncodeOptions options;
  options.row_bytes_max = 20;  // {"c":""} and 12
  EncodedRows rows =
      Encoded({{"c", Texts({"123456789012", "1234567890123", "\"\"\"\"\"\"", "1\"\"\"\"\"\"",
                            std::string("\0\0", 2), std::string("\0\0\0", 3), "\xff",
                            std::string(21, '\xff')})}},
              options);
  EXPECT_EQ(Failures(rows), "1:TOO_LARGE 3:TOO_LARGE 5:TOO_LARGE 6:BAD_DATA 7:TOO_LARGE");
  EXPECT_EQ(rows.rows[0].size(), 20u);
  EXPECT_EQ(rows.rows[2].size(), 20u);
  EXPECT_EQ(rows.rows[4].size(), 20u);
  EXPECT_EQ(rows.bytes, 60);
}

ArrayPtr Maps(const std::vector<int32_t>& offsets, const ArrayPtr& keys,
              const ArrayPtr& items) {
  arrow::Int32Builder ends;
  EXPECT_TRUE(ends.AppendValues(offsets).ok());
  return arrow::MapArray::FromArrays(ends.Finish().ValueOrDie(), keys, items).ValueOrDie();
}

TEST(JsonRows, MapsOfManyEqualKeys) {
  auto keys = Texts({"k", "j", "k", "\"", "k", "j", "k"});
  auto items = Texts({"1", "2", std::string(40, 'x'), "3", "4", "5", std::nullopt});
  EncodeOptions options;
  options.null_elements = NullElements::kDrop;
  EXPECT_EQ(Encoded({{"c", Maps({0, 7}, keys, items)}}, options).rows[0],
            R"({"c":{"k":"4","j":"5","\"":"3"}})");
  // What is replaced later may not make the row larger than the limit meanwhile.
  options.row_bytes_max = 50;
  EXPECT_EQ(Failures(Encoded({{"c", Maps({0, 3, 7}, keys, items)}}, options)),
            "0:TOO_LARGE");
  options.row_bytes_max = 64;
  EXPECT_EQ(Encoded({{"c", Maps({0, 3, 7}, keys, items)}}, options).rows[0],
            R"({"c":{"k":")" + std::string(40, 'x') + R"(","j":"2"}})");
}

TEST(JsonRows, KeysBecomeText) {
  using Cells = std::vector<std::optional<int64_t>>;
  auto items = Values<arrow::Int64Builder>(Cells{1, 2, 3});
  EXPECT_EQ(Encoded({{"c", Maps({0, 3}, Values<arrow::Int64Builder>(Cells{-7, 0, -7}),
                                items)}})
                .rows[0],
            R"({"c":{"-7":3,"0":2}})");
  auto flags = Values<arrow::BooleanBuilder, bool>({true, false, true});
  EXPECT_EQ(Encoded({{"c", Maps({0, 3}, flags, items)}}).rows[0],
            R"({"c":{"true":3,"false":2}})");
}

TEST(JsonRows, HostileViewsFailTheirRows) {
  using View = arrow::BinaryViewType::c_type;
  auto data = arrow::Buffer::FromString("some text that is long enough");
  auto view = [](int32_t size, int32_t buffer, int32_t offset) {
    View made{};
    made.ref = {size, {{'s', 'o', 'm', 'e'}}, buffer, offset};
    return made;
  };
  const std::vector<View> views = {view(20, 0, 0),  view(20, 1, 0),        view(20, -1, 0),
                                   view(20, 0, 10), view(-1, 0, 0),        view(20, 0, -5),
                                   view(29, 0, 0),  view(2'000'000'000, 0, 0)};
  auto array = arrow::MakeArray(arrow::ArrayData::Make(
      arrow::utf8_view(), std::ssize(views),
      {nullptr, arrow::Buffer::FromVector(views), data}));
  EncodedRows rows = Encoded({{"c", array}});
  EXPECT_EQ(Failures(rows),
            "1:BAD_DATA 2:BAD_DATA 3:BAD_DATA 4:BAD_DATA 5:BAD_DATA 7:BAD_DATA");
  EXPECT_EQ(rows.rows[0], R"({"c":"some text that is lo"})");
  EXPECT_EQ(rows.rows[6], R"({"c":"some text that is long enough"})");
}

TEST(JsonRows, OffsetsAtTheEndOfTheBufferReadNothingBeyond) {
  for (int64_t size = 1; size < 20; ++size) {
    // Memory of just this size: a checker of addresses would see one byte more.
    auto bytes = std::make_unique<uint8_t[]>(static_cast<size_t>(size));
    std::fill_n(bytes.get(), size, 'x');
    const std::vector<int64_t> offsets = {0, size / 2, size, size, size + 1};
    auto array = arrow::MakeArray(arrow::ArrayData::Make(
        arrow::large_utf8(), 3,
        {nullptr, arrow::Buffer::FromVector(offsets),
         std::make_shared<arrow::Buffer>(bytes.get(), size)}));
    EncodedRows rows = Encoded({{"c", array}});
    EXPECT_EQ(Failures(rows), "");
    EXPECT_EQ(rows.rows[0].size() + rows.rows[1].size(), static_cast<size_t>(size) + 16);
    EXPECT_EQ(rows.rows[2], R"({"c":""})");
  }
}

}  // namespace
}  // namespace arrowport::zerobus::encode
