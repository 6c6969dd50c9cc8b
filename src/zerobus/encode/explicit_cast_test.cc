#include "zerobus/encode/explicit_cast.h"

#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::zerobus::encode {
namespace {

using ::testing::HasSubstr;
using TypePointer = std::shared_ptr<arrow::DataType>;
using ArrayPointer = std::shared_ptr<arrow::Array>;

ArrayPointer FromJson(const TypePointer& type, const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

arrow::Result<ArrayPointer> Cast(const ArrayPointer& array, ExplicitCast cast) {
  auto schema = arrow::schema({arrow::field("c", array->type())});
  ARROW_ASSIGN_OR_RAISE(auto to, ExplicitCastSchema(schema, cast));
  auto batch = arrow::RecordBatch::Make(schema, array->length(), {array});
  ARROW_ASSIGN_OR_RAISE(auto done, ExplicitCastBatch(batch, to));
  ARROW_RETURN_NOT_OK(done->ValidateFull());
  return done->column(0);
}

void ExpectCast(const ArrayPointer& array, ExplicitCast cast, const TypePointer& type,
                const std::string& json) {
  const auto made = Cast(array, cast);
  ASSERT_TRUE(made.ok()) << made.status() << " of " << array->type()->ToString();
  const auto expected = FromJson(type, json);
  EXPECT_TRUE((*made)->Equals(*expected))
      << array->type()->ToString() << ": " << (*made)->ToString();
  // A slice is the same rows.
  if (array->length() < 2) return;
  const auto slice = Cast(array->Slice(1), cast);
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_TRUE((*slice)->Equals(*expected->Slice(1))) << (*slice)->ToString();
}

TEST(ExplicitCast, Integers) {
  using arrow::TimeUnit;
  for (const auto unit : {TimeUnit::SECOND, TimeUnit::MILLI}) {
    ExpectCast(FromJson(arrow::time32(unit), "[3661, null, 0]"), ExplicitCast::kIntegers,
               arrow::int32(), "[3661, null, 0]");
  }
  for (const auto unit : {TimeUnit::MICRO, TimeUnit::NANO}) {
    ExpectCast(FromJson(arrow::time64(unit), "[3661, null, 0]"), ExplicitCast::kIntegers,
               arrow::int64(), "[3661, null, 0]");
  }
  for (const auto unit : TimeUnit::values()) {
    ExpectCast(FromJson(arrow::duration(unit), "[-5, null, 9223372036854775807]"),
               ExplicitCast::kIntegers, arrow::int64(),
               "[-5, null, 9223372036854775807]");
  }
  ExpectCast(FromJson(arrow::month_interval(), "[-5, null, 14]"), ExplicitCast::kIntegers,
             arrow::int32(), "[-5, null, 14]");
}

TEST(ExplicitCast, WhatHasNoSingleIntegerIsRefusedByName) {
  const TypePointer types[] = {arrow::day_time_interval(),
                               arrow::month_day_nano_interval(),
                               arrow::sparse_union({arrow::field("i", arrow::int64())}),
                               arrow::dense_union({arrow::field("i", arrow::int64())})};
  for (const auto& type : types) {
    const auto refused = ExplicitCastSchema(
        arrow::schema({arrow::field("when", arrow::struct_({arrow::field("x", type)}))}),
        ExplicitCast::kIntegers);
    ASSERT_FALSE(refused.ok()) << type->ToString();
    EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kUnsupportedType);
    EXPECT_THAT(refused.status().message(), HasSubstr("when"));
    EXPECT_THAT(refused.status().message(), HasSubstr("cast it to text"));
  }
}

TEST(ExplicitCast, Texts) {
  using arrow::TimeUnit;
  const auto text = [](const TypePointer& type, const std::string& in,
                       const std::string& out) {
    ExpectCast(FromJson(type, in), ExplicitCast::kText, arrow::large_utf8(), out);
  };
  text(arrow::time32(TimeUnit::SECOND), "[3661, null, 0]",
       R"(["01:01:01", null, "00:00:00"])");
  text(arrow::time32(TimeUnit::MILLI), "[86399999, null]", R"(["23:59:59.999", null])");
  text(arrow::time64(TimeUnit::MICRO), "[1, 3600000000]",
       R"(["00:00:00.000001", "01:00:00.000000"])");
  text(arrow::time64(TimeUnit::NANO), "[1]", R"(["00:00:00.000000001"])");
  text(arrow::duration(TimeUnit::SECOND), "[-90, null, 0]",
       R"(["PT-90S", null, "PT0S"])");
  text(arrow::duration(TimeUnit::MILLI), "[-1500]", R"(["PT-1.500S"])");
  text(arrow::duration(TimeUnit::MICRO), "[1]", R"(["PT0.000001S"])");
  text(arrow::duration(TimeUnit::NANO), "[-9223372036854775808]",
       R"(["PT-9223372036.854775808S"])");
  text(arrow::month_interval(), "[14, null, -2]", R"(["P14M", null, "P-2M"])");
  text(arrow::day_time_interval(), "[[1, 500], null, [-1, -2]]",
       R"(["P1DT0.500S", null, "P-1DT-0.002S"])");
  text(arrow::month_day_nano_interval(), "[[1, 2, 3], null, [-1, 0, -1]]",
       R"(["P1M2DT0.000000003S", null, "P-1M0DT-0.000000001S"])");
}

TEST(ExplicitCast, UnionsAreTheTextOfTheirValue) {
  const arrow::FieldVector members = {
      arrow::field("i", arrow::int64()), arrow::field("s", arrow::utf8()),
      arrow::field("t", arrow::time32(arrow::TimeUnit::SECOND))};
  const std::string rows = R"([[5, 7], [9, "x"], [5, null], [2, 61]])";
  const std::string texts = R"(["7", "x", null, "00:01:01"])";
  for (const auto& type : {arrow::sparse_union(members, {5, 9, 2}),
                           arrow::dense_union(members, {5, 9, 2})}) {
    ExpectCast(FromJson(type, rows), ExplicitCast::kText, arrow::large_utf8(), texts);
  }
  const auto nested = arrow::dense_union({arrow::field("l", arrow::list(arrow::int8()))});
  const auto refused =
      ExplicitCastSchema(arrow::schema({arrow::field("u", nested)}), ExplicitCast::kText);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("u"));
}

// Codes and offsets come from whoever made the array.
TEST(ExplicitCast, UnionsThatPointNowhereAreRefused) {
  const auto type =
      arrow::dense_union({arrow::field("i", arrow::int64())}, std::vector<int8_t>{3});
  const auto good = FromJson(type, "[[3, 7], [3, 8]]");
  for (const int buffer : {1, 2}) {
    auto data = good->data()->Copy();
    auto bytes = arrow::AllocateBuffer(data->buffers[buffer]->size()).ValueOrDie();
    std::memset(bytes->mutable_data(), 0x55, static_cast<size_t>(bytes->size()));
    data->buffers[buffer] = std::move(bytes);
    const auto refused = Cast(arrow::MakeArray(data), ExplicitCast::kText);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kBadData);
  }
}

TEST(ExplicitCast, InsideOtherTypes) {
  const auto time = arrow::time32(arrow::TimeUnit::SECOND);
  const auto text = arrow::large_utf8();
  const auto nested = [](const TypePointer& leaf) {
    return std::vector<TypePointer>{
        arrow::struct_({arrow::field("id", arrow::int8()), arrow::field("t", leaf)}),
        arrow::list(leaf),
        arrow::large_list(leaf),
        arrow::fixed_size_list(leaf, 2),
        arrow::list_view(leaf),
        arrow::large_list_view(leaf),
        arrow::map(arrow::utf8(), leaf),
        arrow::list(arrow::struct_({arrow::field("t", leaf)}))};
  };
  const std::string rows[] = {R"([{"id": 1, "t": %}, null, {"id": 2, "t": null}])",
                              "[[%], null, [%, %]]",
                              "[[%], null, [%, %]]",
                              "[[%, %], null, [%, null]]",
                              "[[%], null, [%, %]]",
                              "[[%], null, [%, %]]",
                              R"([[["a", %]], null, [["b", %], ["c", null]]])",
                              R"([[{"t": %}], null, [{"t": null}, {"t": %}]])"};
  const auto filled = [](std::string row, const std::string& value) {
    for (size_t at; (at = row.find('%')) != row.npos;) row.replace(at, 1, value);
    return row;
  };
  const auto from = nested(time);
  const auto to = nested(text);
  for (size_t i = 0; i < from.size(); ++i) {
    ExpectCast(FromJson(from[i], filled(rows[i], "61")), ExplicitCast::kText, to[i],
               filled(rows[i], R"("00:01:01")"));
  }
  const auto indices = FromJson(arrow::int8(), "[1, null, 0]");
  const auto values = FromJson(time, "[61, 62]");
  const auto dictionary = arrow::DictionaryArray::FromArrays(
                              arrow::dictionary(arrow::int8(), time), indices, values)
                              .ValueOrDie();
  const auto cast = Cast(dictionary, ExplicitCast::kText).ValueOrDie();
  EXPECT_TRUE(static_cast<const arrow::DictionaryArray&>(*cast).dictionary()->Equals(
      *FromJson(text, R"(["00:01:01", "00:01:02"])")));
  const auto ends = FromJson(arrow::int32(), "[2, 5]");
  const auto runs = arrow::RunEndEncodedArray::Make(5, ends, values).ValueOrDie();
  const auto cast_runs = Cast(runs, ExplicitCast::kIntegers).ValueOrDie();
  EXPECT_TRUE(static_cast<const arrow::RunEndEncodedArray&>(*cast_runs)
                  .values()
                  ->Equals(*FromJson(arrow::int32(), "[61, 62]")));
}

TEST(ExplicitCast, WhatATableHasStaysAsItIs) {
  const auto schema = arrow::schema(
      {arrow::field("i", arrow::int64()), arrow::field("l", arrow::list(arrow::utf8())),
       arrow::field("d", arrow::dictionary(arrow::int8(), arrow::utf8())),
       arrow::field("m", arrow::map(arrow::utf8(), arrow::int8()))});
  for (const auto cast : {ExplicitCast::kIntegers, ExplicitCast::kText}) {
    EXPECT_EQ(ExplicitCastSchema(schema, cast).ValueOrDie(), schema);
  }
  TypePointer deep = arrow::time32(arrow::TimeUnit::SECOND);
  for (int i = 0; i < 500; ++i) deep = arrow::list(deep);
  EXPECT_FALSE(
      ExplicitCastSchema(arrow::schema({arrow::field("deep", deep)}), ExplicitCast::kText)
          .ok());
}

}  // namespace
}  // namespace arrowport::zerobus::encode
