#include "ingest/content_hash.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include <random>

namespace arrowport::ingest {
namespace {

using arrow::field;

std::shared_ptr<arrow::RecordBatch> Batch(const std::shared_ptr<arrow::DataType>& type,
                                          const std::string& json) {
  auto array = arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
  return arrow::RecordBatch::Make(arrow::schema({field("c", type)}), array->length(),
                                  {array});
}

std::string Hash(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  ContentHash hash(*batches.front()->schema());
  for (const auto& batch : batches) EXPECT_TRUE(hash.Update(*batch).ok());
  auto digest = hash.Finish();
  EXPECT_TRUE(digest.ok()) << digest.status().ToString();
  return digest.ValueOr("");
}

struct Sample {
  std::shared_ptr<arrow::DataType> type;
  std::string json;
};

std::vector<Sample> Samples() {
  auto text = arrow::utf8();
  return {
      {arrow::int32(), "[1,null,null,4,5,null]"},
      {arrow::float64(), "[1.5,2,3]"},
      {arrow::boolean(), "[true,null,false,true]"},
      {arrow::decimal128(9, 2), R"(["1.25",null,"3.00"])"},
      {arrow::fixed_size_binary(2), R"(["ab",null,"cd"])"},
      {arrow::null(), "[null,null]"},
      {text, R"(["a","",null,"long enough to be out of line","b"])"},
      {arrow::utf8_view(), R"(["a","",null,"long enough to be out of line","b"])"},
      {arrow::large_binary(), R"(["a",null,"bcd"])"},
      {arrow::list(text), R"([["a","b"],null,[],["c",null]])"},
      {arrow::large_list(arrow::int8()), "[[1],[2,3],null]"},
      {arrow::list_view(arrow::int8()), "[[1],[2,3],null]"},
      {arrow::fixed_size_list(arrow::int8(), 2), "[[1,2],null,[3,4]]"},
      {arrow::struct_({field("x", arrow::int8()), field("y", text)}),
       R"([{"x":1,"y":"a"},null,{"x":null,"y":"b"}])"},
      {arrow::map(text, arrow::int8()), R"([[["k",1]],null,[]])"},
      {arrow::dictionary(arrow::int8(), text), R"(["a","b",null,"a"])"},
      {arrow::dense_union({field("i", arrow::int8()), field("s", text)}, {0, 1}),
       R"([[0,1],[1,"a"],[0,2]])"},
      {arrow::month_day_nano_interval(), "[[1,2,3],null,[4,5,6]]"},
  };
}

TEST(ContentHash, DoesNotDependOnHowRowsAreCut) {
  for (const Sample& sample : Samples()) {
    auto whole = Batch(sample.type, sample.json);
    const std::string expected = Hash({whole});
    for (int64_t cut = 0; cut <= whole->num_rows(); ++cut) {
      EXPECT_EQ(Hash({whole->Slice(0, cut), whole->Slice(cut)}), expected)
          << sample.type->ToString() << " cut at " << cut;
    }
    std::vector<std::shared_ptr<arrow::RecordBatch>> singles;
    for (int64_t i = 0; i < whole->num_rows(); ++i) singles.push_back(whole->Slice(i, 1));
    EXPECT_EQ(Hash(singles), expected) << sample.type->ToString();
  }
}

TEST(ContentHash, EveryValueCounts) {
  for (const Sample& sample : Samples()) {
    auto whole = Batch(sample.type, sample.json);
    EXPECT_NE(Hash({whole->Slice(1)}), Hash({whole})) << sample.type->ToString();
  }
  auto hash = [](const char* json) { return Hash({Batch(arrow::utf8(), json)}); };
  EXPECT_NE(hash(R"(["ab","c"])"), hash(R"(["a","bc"])"));
  EXPECT_NE(hash(R"(["",null])"), hash(R"([null,""])"));
  auto ints = [](const char* json) { return Hash({Batch(arrow::int64(), json)}); };
  EXPECT_NE(ints("[1,null]"), ints("[null,1]"));
  EXPECT_NE(ints("[0]"), ints("[null]"));
  EXPECT_NE(ints("[1]"), Hash({Batch(arrow::int32(), "[1]")}));
  auto lists = [](const char* json) {
    return Hash({Batch(arrow::list(arrow::int8()), json)});
  };
  EXPECT_NE(lists("[[1],[2,3]]"), lists("[[1,2],[3]]"));
  EXPECT_NE(lists("[[],[1]]"), lists("[null,[1]]"));
}

TEST(ContentHash, EncodingsOfTheSameValuesAreEqual) {
  const char* json = R"(["a","b",null,"a longer one than twelve bytes"])";
  const std::string expected = Hash({Batch(arrow::utf8(), json)});
  for (const auto& type : {arrow::large_utf8(), arrow::utf8_view(),
                           arrow::dictionary(arrow::int32(), arrow::utf8())}) {
    EXPECT_EQ(Hash({Batch(type, json)}), expected) << type->ToString();
  }
  ASSERT_TRUE(arrow::compute::Initialize().ok());
  auto plain = Batch(arrow::int64(), "[7,7,7,null,null,8]");
  auto encoded = arrow::compute::RunEndEncode(plain->column(0)).ValueOrDie().make_array();
  auto batch = arrow::RecordBatch::Make(arrow::schema({field("c", encoded->type())}),
                                        encoded->length(), {encoded});
  EXPECT_EQ(Hash({batch}), Hash({plain}));
}

TEST(ContentHash, WhatHidesUnderNullsDoesNotCount) {
  auto validity = arrow::Buffer::FromString(std::string("\x05", 1));
  auto make = [&](int64_t hidden) {
    const int64_t values[3] = {1, hidden, 3};
    auto data = arrow::ArrayData::Make(
        arrow::int64(), 3,
        {validity, arrow::Buffer::FromString(
                       std::string(reinterpret_cast<const char*>(values), 24))});
    return arrow::RecordBatch::Make(arrow::schema({field("c", arrow::int64())}), 3,
                                    {arrow::MakeArray(data)});
  };
  EXPECT_EQ(Hash({make(2)}), Hash({make(99)}));
}

TEST(ContentHash, ColumnsAreKeptApart) {
  auto two = [](const char* a, const char* b) {
    auto left = Batch(arrow::int8(), a), right = Batch(arrow::int8(), b);
    return Hash({arrow::RecordBatch::Make(
        arrow::schema({field("x", arrow::int8()), field("y", arrow::int8())}),
        left->num_rows(), {left->column(0), right->column(0)})});
  };
  EXPECT_NE(two("[1,2]", "[3,4]"), two("[3,4]", "[1,2]"));
  EXPECT_NE(two("[null,2]", "[3,4]"), two("[2,null]", "[3,4]"));
}

}  // namespace
}  // namespace arrowport::ingest
