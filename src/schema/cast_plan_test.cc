#include "schema/cast_plan.h"

#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "schema/exact_cast.h"

namespace arrowport::schema {
namespace {

using arrow::field;

std::shared_ptr<arrow::Array> Json(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

std::shared_ptr<arrow::RecordBatch> Batch(const arrow::FieldVector& fields,
                                          const std::vector<std::string>& json) {
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (size_t i = 0; i < fields.size(); ++i) {
    columns.push_back(Json(fields[i]->type(), json[i]));
  }
  const int64_t rows = columns[0]->length();
  return arrow::RecordBatch::Make(arrow::schema(fields), rows, columns);
}

void ExpectError(const arrow::Status& status, ErrorCode code,
                 const std::vector<std::string>& fragments) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(CodeOf(status), code) << status.ToString();
  for (const auto& fragment : fragments) {
    EXPECT_NE(status.message().find(fragment), std::string::npos)
        << status.message() << " lacks " << fragment;
  }
}

struct CastCase {
  std::shared_ptr<arrow::DataType> from, to;
  std::string in;
  std::string out;  ///< empty: a value does not fit
  int64_t bad_row = 0;
};

class ExactCastTest : public testing::TestWithParam<CastCase> {};

TEST_P(ExactCastTest, KeepsValuesOrNamesTheRow) {
  const CastCase& c = GetParam();
  ASSERT_TRUE(CanCast(*c.from, *c.to)) << c.from->ToString() << " " << c.to->ToString();
  auto whole = Json(c.from, c.in);
  // The same again as a slice, so that offsets are honoured.
  auto padded =
      arrow::Concatenate({Json(c.from, "[null]"), whole}).ValueOrDie()->Slice(1);
  for (const auto& array : {whole, padded}) {
    auto cast = ExactCast(array, c.to);
    if (c.out.empty()) {
      ExpectError(cast.status(), ErrorCode::kSchemaMismatch, {});
      EXPECT_EQ(FirstRowThatDoesNotFit(array, c.to), c.bad_row);
      continue;
    }
    ASSERT_TRUE(cast.ok()) << cast.status().ToString();
    ASSERT_TRUE((*cast)->ValidateFull().ok()) << (*cast)->ValidateFull().ToString();
    auto expected = Json(c.to, c.out);
    EXPECT_TRUE((*cast)->type()->Equals(*c.to));
    EXPECT_TRUE((*cast)->Equals(*expected, arrow::EqualOptions().nans_equal(true)))
        << (*cast)->ToString() << expected->ToString();
    EXPECT_EQ(FirstRowThatDoesNotFit(array, c.to), std::nullopt);
  }
}

const auto kUs = arrow::TimeUnit::MICRO;
const auto kNs = arrow::TimeUnit::NANO;
const auto kS = arrow::TimeUnit::SECOND;

INSTANTIATE_TEST_SUITE_P(
    Integers, ExactCastTest,
    testing::Values(
        CastCase{arrow::int32(), arrow::int64(), "[1,null,-5]", "[1,null,-5]"},
        CastCase{arrow::int64(), arrow::int8(), "[1,127,128]", "", 2},
        CastCase{arrow::int64(), arrow::uint8(), "[0,null,-1]", "", 2},
        CastCase{arrow::uint64(), arrow::int64(), "[9223372036854775807]",
                 "[9223372036854775807]"},
        CastCase{arrow::uint64(), arrow::int64(), "[9223372036854775808]", ""},
        CastCase{arrow::int64(), arrow::float64(), "[9007199254740992,18014398509481984]",
                 "[9007199254740992,18014398509481984]"},
        CastCase{arrow::int64(), arrow::float64(), "[1,9007199254740993]", "", 1},
        CastCase{arrow::int64(), arrow::float64(), "[9223372036854775807]", ""},
        CastCase{arrow::int64(), arrow::float32(), "[16777216,null]", "[16777216,null]"},
        CastCase{arrow::int64(), arrow::float32(), "[16777217]", ""},
        CastCase{arrow::int64(), arrow::decimal128(5, 2), "[999,-999,null]",
                 "[\"999.00\",\"-999.00\",null]"},
        CastCase{arrow::int64(), arrow::decimal128(5, 2), "[1000]", ""},
        CastCase{arrow::uint64(), arrow::decimal128(20, 0), "[18446744073709551615]",
                 "[\"18446744073709551615\"]"}));

INSTANTIATE_TEST_SUITE_P(
    Floats, ExactCastTest,
    testing::Values(
        CastCase{arrow::float64(), arrow::int32(), "[1.0,-0.0,null]", "[1,0,null]"},
        CastCase{arrow::float64(), arrow::int32(), "[1.0,2147483648]", "", 1},
        CastCase{arrow::float64(), arrow::int64(), "[9223372036854775808]", ""},
        CastCase{arrow::float64(), arrow::int64(), "[1,2,2.5]", "", 2},
        CastCase{arrow::float64(), arrow::int64(), "[NaN]", ""},
        CastCase{arrow::float64(), arrow::float32(), "[0.5,NaN,Inf,null]",
                 "[0.5,NaN,Inf,null]"},
        CastCase{arrow::float64(), arrow::float32(), "[0.1]", ""},
        CastCase{arrow::float64(), arrow::float32(), "[1e300]", ""},
        CastCase{arrow::float32(), arrow::float64(), "[0.5,NaN]", "[0.5,NaN]"},
        CastCase{arrow::float16(), arrow::float32(), "[0.5,null]", "[0.5,null]"},
        CastCase{arrow::float16(), arrow::int32(), "[0.5]", ""},
        CastCase{arrow::float64(), arrow::decimal128(10, 2), "[0.25,-1.5,0,1e7,null]",
                 "[\"0.25\",\"-1.50\",\"0.00\",\"10000000.00\",null]"},
        CastCase{arrow::float64(), arrow::decimal128(10, 2), "[0.1]", ""},
        CastCase{arrow::float64(), arrow::decimal128(10, 2), "[1e8]", ""},
        CastCase{arrow::float64(), arrow::decimal128(38, 0), "[1e300]", ""},
        CastCase{arrow::float32(), arrow::decimal256(40, 2), "[0.5]", "[\"0.50\"]"},
        CastCase{arrow::decimal128(10, 2), arrow::float64(), "[\"0.25\",\"-3.00\",null]",
                 "[0.25,-3,null]"},
        CastCase{arrow::decimal128(10, 2), arrow::float64(), "[\"1.00\",\"0.10\"]", "",
                 1},
        CastCase{arrow::decimal128(10, 2), arrow::int8(), "[\"5.00\"]", "[5]"},
        CastCase{arrow::decimal128(10, 2), arrow::int8(), "[\"5.50\"]", ""},
        CastCase{arrow::decimal128(10, 2), arrow::int8(), "[\"500.00\"]", ""},
        CastCase{arrow::decimal128(10, 2), arrow::decimal128(4, 1), "[\"1.10\"]",
                 "[\"1.1\"]"},
        CastCase{arrow::decimal128(10, 2), arrow::decimal128(4, 1), "[\"1.15\"]", ""},
        CastCase{arrow::decimal128(10, 2), arrow::decimal128(4, 1), "[\"1000.00\"]", ""},
        CastCase{arrow::decimal256(40, 1), arrow::decimal128(10, 2), "[\"1.5\"]",
                 "[\"1.50\"]"}));

INSTANTIATE_TEST_SUITE_P(
    Times, ExactCastTest,
    testing::Values(
        CastCase{arrow::timestamp(kNs), arrow::timestamp(kUs), "[1000,null]", "[1,null]"},
        CastCase{arrow::timestamp(kNs), arrow::timestamp(kUs), "[1000,1001]", "", 1},
        CastCase{arrow::timestamp(kS), arrow::timestamp(kUs), "[9223372036854775807]",
                 ""},
        CastCase{arrow::timestamp(kNs, "Europe/Paris"), arrow::timestamp(kUs, "UTC"),
                 "[2000]", "[2]"},
        CastCase{arrow::timestamp(kNs, "No/Such_Zone"), arrow::timestamp(kUs, "UTC"),
                 "[2001]", ""},
        CastCase{arrow::timestamp(kUs, "Asia/Tokyo"), arrow::timestamp(kUs, "UTC"), "[7]",
                 "[7]"},
        CastCase{arrow::date64(), arrow::date32(), "[86400000]", "[1]"},
        CastCase{arrow::date32(), arrow::timestamp(kUs), "[1]", "[86400000000]"},
        CastCase{arrow::timestamp(kUs), arrow::date32(), "[86400000000,1]", "", 1},
        CastCase{arrow::time64(kNs), arrow::time64(kUs), "[5000]", "[5]"},
        CastCase{arrow::time64(kNs), arrow::time64(kUs), "[5001]", ""},
        CastCase{arrow::time32(kS), arrow::time64(kUs), "[5]", "[5000000]"},
        CastCase{arrow::duration(kNs), arrow::duration(kUs), "[1500]", ""},
        CastCase{arrow::month_day_nano_interval(), arrow::month_day_nano_interval(),
                 "[[1,2,3000],null]", "[[1,2,3000],null]"},
        CastCase{arrow::month_day_nano_interval(), arrow::month_day_nano_interval(),
                 "[[1,2,3000],[0,0,1]]", "", 1}));

const auto kDict = arrow::dictionary(arrow::int8(), arrow::utf8());

INSTANTIATE_TEST_SUITE_P(
    TextAndNested, ExactCastTest,
    testing::Values(
        CastCase{arrow::large_utf8(), arrow::utf8(), R"(["a",null])", R"(["a",null])"},
        CastCase{arrow::utf8_view(), arrow::utf8(), R"(["a","a longer text than 12"])",
                 R"(["a","a longer text than 12"])"},
        CastCase{arrow::fixed_size_binary(2), arrow::binary(), R"(["ab",null])",
                 R"(["ab",null])"},
        CastCase{kDict, arrow::utf8(), R"(["x",null,"x"])", R"(["x",null,"x"])"},
        CastCase{arrow::null(), arrow::int32(), "[null,null]", "[null,null]"},
        CastCase{arrow::list(arrow::int64()), arrow::list(arrow::int8()),
                 "[[1,2],null,[],[3]]", "[[1,2],null,[],[3]]"},
        CastCase{arrow::list(arrow::int64()), arrow::list(arrow::int8()),
                 "[[1,2],null,[300]]", "", 2},
        CastCase{arrow::large_list(kDict), arrow::list(arrow::utf8()),
                 R"([["a","b"],null,["a"]])", R"([["a","b"],null,["a"]])"},
        CastCase{arrow::list_view(arrow::int32()), arrow::list(arrow::int64()),
                 "[[1,2],null,[3]]", "[[1,2],null,[3]]"},
        CastCase{arrow::fixed_size_list(arrow::float32(), 2),
                 arrow::list(arrow::float64()), "[[1,2],null,[3,4]]",
                 "[[1,2],null,[3,4]]"},
        CastCase{arrow::fixed_size_list(arrow::float32(), 2),
                 arrow::fixed_size_list(arrow::float64(), 2), "[[1,2],null,[3,4]]",
                 "[[1,2],null,[3,4]]"},
        CastCase{arrow::struct_({field("a", arrow::int64()), field("B", arrow::utf8())}),
                 arrow::struct_({field("b", arrow::utf8()), field("a", arrow::int16()),
                                 field("c", arrow::int8())}),
                 R"([{"a":1,"B":"x"},null])", R"([{"b":"x","a":1,"c":null},null])"},
        CastCase{arrow::struct_({field("a", arrow::int64())}),
                 arrow::struct_({field("a", arrow::int8())}), R"([{"a":1},{"a":1000}])",
                 "", 1},
        CastCase{arrow::map(arrow::utf8(), arrow::int64()),
                 arrow::map(arrow::utf8(), arrow::int16()), R"([[["k",1]],null,[]])",
                 R"([[["k",1]],null,[]])"},
        CastCase{arrow::map(arrow::utf8(), arrow::int64()),
                 arrow::map(arrow::utf8(), arrow::int16()), R"([[["k",100000]]])", ""}));

TEST(ExactCast, ChangesOfKindAreNotOffered) {
  const std::vector<
      std::pair<std::shared_ptr<arrow::DataType>, std::shared_ptr<arrow::DataType>>>
      pairs = {{arrow::utf8(), arrow::int64()},
               {arrow::utf8(), arrow::timestamp(kUs)},
               {arrow::utf8(), arrow::binary()},
               {arrow::binary(), arrow::utf8()},
               {arrow::int64(), arrow::utf8()},
               {arrow::int64(), arrow::boolean()},
               {arrow::boolean(), arrow::int8()},
               {arrow::int64(), arrow::timestamp(kUs)},
               {arrow::timestamp(kUs), arrow::timestamp(kUs, "UTC")},
               {arrow::timestamp(kUs, "UTC"), arrow::timestamp(kUs)},
               {arrow::list(arrow::utf8()), arrow::list(arrow::int8())},
               {arrow::struct_({field("x", arrow::int8())}),
                arrow::struct_({field("a", arrow::int8())})},
               {kDict, arrow::int32()}};
  for (const auto& [from, to] : pairs) {
    EXPECT_FALSE(CanCast(*from, *to)) << from->ToString() << " " << to->ToString();
  }
}

TEST(ExactCast, ValuesUnderNullParentsAreNotJudged) {
  auto child = Json(arrow::int64(), "[1,1000]");
  auto validity = Json(arrow::boolean(), "[true,false]")->data()->buffers[1];
  auto rows = std::make_shared<arrow::StructArray>(
      arrow::struct_({field("a", arrow::int64())}), 2,
      std::vector<std::shared_ptr<arrow::Array>>{child}, validity);
  auto to = arrow::struct_({field("a", arrow::int8())});
  auto cast = ExactCast(rows, to);
  ASSERT_TRUE(cast.ok()) << cast.status().ToString();
  EXPECT_TRUE((*cast)->Equals(*Json(to, R"([{"a":1},null])")));
}

TEST(CastPlan, IdentityPassesTheBatchItself) {
  auto batch =
      Batch({field("a", arrow::int64()), field("b", arrow::utf8())}, {"[1]", R"(["x"])"});
  auto plan =
      CastPlan::Make(batch->schema(),
                     {{"b", arrow::utf8()}, {"a", arrow::int64()}, {"c", arrow::int8()}},
                     SchemaMode::kStrict)
          .ValueOrDie();
  EXPECT_TRUE(plan.identity());
  EXPECT_EQ(plan.Apply(batch, 0).ValueOrDie().get(), batch.get());
}

TEST(CastPlan, MatchesExactThenIgnoringCase) {
  auto batch =
      Batch({field("B", arrow::int32()), field("a", arrow::int64())}, {"[7]", "[1]"});
  auto plan = CastPlan::Make(
                  batch->schema(),
                  {{"A", arrow::int64()}, {"a", arrow::int64()}, {"b", arrow::int64()}},
                  SchemaMode::kStrict)
                  .ValueOrDie();
  EXPECT_FALSE(plan.identity());
  auto out = plan.Apply(batch, 0).ValueOrDie();
  EXPECT_EQ(out->schema()->field_names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_TRUE(out->column(0)->Equals(*Json(arrow::int64(), "[7]")));
  EXPECT_EQ(out->column(1).get(), batch->column(1).get());

  auto ambiguous = arrow::schema({field("X", arrow::int8())});
  ExpectError(CastPlan::Make(ambiguous, {{"x", arrow::int8()}, {"x", arrow::int8()}},
                             SchemaMode::kStrict)
                  .status(),
              ErrorCode::kSchemaMismatch, {"several"});
}

TEST(CastPlan, FurtherAndMissingColumns) {
  auto schema = arrow::schema({field("a", arrow::int8()), field("new", arrow::int8())});
  std::vector<TargetColumn> table = {{"a", arrow::int8()}};
  ExpectError(CastPlan::Make(schema, table, SchemaMode::kStrict).status(),
              ErrorCode::kSchemaMismatch, {"not in the table", "\"new\""});
  auto merge = CastPlan::Make(schema, table, SchemaMode::kMerge).ValueOrDie();
  ASSERT_EQ(merge.columns_to_add().size(), 1u);
  EXPECT_EQ(merge.columns_to_add()[0]->name(), "new");

  auto only_a = arrow::schema({field("a", arrow::int8())});
  table.push_back({"n", arrow::int8(), /*nullable=*/false});
  ExpectError(CastPlan::Make(only_a, table, SchemaMode::kMerge).status(),
              ErrorCode::kSchemaMismatch, {"missing", "\"n\""});
  table.back().has_default = true;
  EXPECT_TRUE(CastPlan::Make(only_a, table, SchemaMode::kStrict).ok());
}

TEST(CastPlan, ErrorsNameColumnRowAndValue) {
  auto batch = Batch({field("a", arrow::int64())}, {"[1,2,300,4,500]"});
  auto plan = CastPlan::Make(batch->schema(), {{"a", arrow::int8()}}, SchemaMode::kStrict)
                  .ValueOrDie();
  ExpectError(plan.Apply(batch, 1000).status(), ErrorCode::kSchemaMismatch,
              {"\"a\"", "int8", "row 1002", "value 300"});
  auto text = arrow::schema({field("a", arrow::utf8())});
  ExpectError(CastPlan::Make(text, {{"a", arrow::int8()}}, SchemaMode::kStrict).status(),
              ErrorCode::kSchemaMismatch, {"\"a\"", "int8", "string"});
}

TEST(CastPlan, NullInANotNullColumn) {
  auto batch = Batch({field("a", arrow::int64())}, {"[1,2,null,4]"});
  auto plan =
      CastPlan::Make(batch->schema(), {{"a", arrow::int64(), false}}, SchemaMode::kStrict)
          .ValueOrDie();
  ExpectError(plan.Apply(batch, 10).status(), ErrorCode::kSchemaMismatch,
              {"NOT NULL", "\"a\"", "row 12"});
  EXPECT_TRUE(plan.Apply(batch->Slice(0, 2), 10).ok());
}

TEST(IncomingSchema, HostileSchemasAreRefused) {
  SchemaLimits limits;
  auto check = [&](const arrow::FieldVector& fields) {
    return CheckIncomingSchema(*arrow::schema(fields), limits);
  };
  ExpectError(check({}), ErrorCode::kInvalidArgument, {"no columns"});
  ExpectError(check({field("", arrow::int8())}), ErrorCode::kInvalidName, {"empty"});
  ExpectError(check({field("a", arrow::int8()), field("A", arrow::int8())}),
              ErrorCode::kInvalidName, {"twice"});
  ExpectError(check({field("s", arrow::struct_({field("x", arrow::int8()),
                                                field("x", arrow::int8())}))}),
              ErrorCode::kInvalidName, {"twice"});
  ExpectError(
      check({field("s", arrow::list(arrow::struct_({field("", arrow::int8())})))}),
      ErrorCode::kInvalidName, {"empty"});
  arrow::FieldVector many;
  for (int i = 0; i <= limits.columns_max; ++i) {
    many.push_back(field("c" + std::to_string(i), arrow::int8()));
  }
  ExpectError(check(many), ErrorCode::kTooLarge, {"5000"});
  many.pop_back();
  EXPECT_TRUE(check(many).ok());
  std::shared_ptr<arrow::DataType> deep = arrow::int8();
  for (int i = 1; i < limits.nesting_max; ++i) deep = arrow::list(deep);
  EXPECT_TRUE(check({field("d", deep)}).ok());
  ExpectError(check({field("d", arrow::list(deep))}), ErrorCode::kTooLarge, {"deeper"});
}

TEST(ExactCast, DurationsAndIntervalsBecomeOneInterval) {
  const auto to = arrow::month_day_nano_interval();
  const auto cast = [&](const std::shared_ptr<arrow::DataType>& type, const char* json) {
    return ExactCast(arrow::json::ArrayFromJSONString(type, json).ValueOrDie(), to);
  };
  auto seconds = cast(arrow::duration(arrow::TimeUnit::SECOND), "[3, null]").ValueOrDie();
  const auto& intervals = static_cast<const arrow::MonthDayNanoIntervalArray&>(*seconds);
  EXPECT_EQ(intervals.GetValue(0).nanoseconds, 3'000'000'000);
  EXPECT_TRUE(intervals.IsNull(1));
  EXPECT_TRUE(cast(arrow::duration(arrow::TimeUnit::NANO), "[5000]").ok());
  EXPECT_EQ(CodeOf(cast(arrow::duration(arrow::TimeUnit::NANO), "[1]").status()),
            ErrorCode::kSchemaMismatch);
  EXPECT_EQ(CodeOf(cast(arrow::duration(arrow::TimeUnit::SECOND), "[9223372036854775807]")
                       .status()),
            ErrorCode::kSchemaMismatch);
  auto months = cast(arrow::month_interval(), "[14]").ValueOrDie();
  EXPECT_EQ(static_cast<const arrow::MonthDayNanoIntervalArray&>(*months).GetValue(0).months, 14);
  auto days = cast(arrow::day_time_interval(), "[[2, 5]]").ValueOrDie();
  EXPECT_EQ(static_cast<const arrow::MonthDayNanoIntervalArray&>(*days).GetValue(0).nanoseconds,
            5'000'000);
}

}  // namespace
}  // namespace arrowport::schema
