#include "zerobus/encode/descriptor.h"

#include <arrow/api.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::zerobus::encode {
namespace {

namespace pb = google::protobuf;
using arrow::field;

TableSchema TableOf(const arrow::FieldVector& fields) {
  return TableSchema::FromArrow(*arrow::schema(fields)).ValueOrDie();
}

pb::DescriptorProto Parsed(const std::string& text) {
  pb::DescriptorProto proto;
  EXPECT_TRUE(pb::TextFormat::ParseFromString(text, &proto));
  return proto;
}

TEST(Descriptor, TheWholeShape) {
  auto geo = arrow::struct_({field("lat", arrow::float64(), false)});
  auto table = TableOf(
      {field("id", arrow::int64(), false), field("name", arrow::utf8()),
       field("home_address", arrow::struct_({field("geo", geo)})),
       field("tags", arrow::list(arrow::utf8())),
       field("spots", arrow::list(geo)),
       field("by_name", arrow::map(arrow::utf8(), geo))});
  auto proto = MakeDescriptor(table, "Air");
  ASSERT_TRUE(proto.ok()) << proto.status();
  auto wanted = Parsed(R"(
    name: "Air"
    field { name: "id" number: 1 label: LABEL_REQUIRED type: TYPE_INT64 }
    field { name: "name" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "home_address" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: "HomeAddress" }
    field { name: "tags" number: 4 label: LABEL_REPEATED type: TYPE_STRING }
    field { name: "spots" number: 5 label: LABEL_REPEATED type: TYPE_MESSAGE
            type_name: "Spots" }
    field { name: "by_name" number: 6 label: LABEL_REPEATED type: TYPE_MESSAGE
            type_name: "ByNameEntry" }
    nested_type { name: "HomeAddress"
      field { name: "geo" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: "HomeAddressGeo" }
      nested_type { name: "HomeAddressGeo"
        field { name: "lat" number: 1 label: LABEL_REQUIRED type: TYPE_DOUBLE } } }
    nested_type { name: "Spots"
      field { name: "lat" number: 1 label: LABEL_REQUIRED type: TYPE_DOUBLE } }
    nested_type { name: "ByNameEntry"
      field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
      field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: "ByName" }
      options { map_entry: true } }
    nested_type { name: "ByName"
      field { name: "lat" number: 1 label: LABEL_REQUIRED type: TYPE_DOUBLE } })");
  EXPECT_EQ(proto->DebugString(), wanted.DebugString());
  auto compiled = CompiledDescriptor::Make(*proto);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_TRUE((*compiled)->message().FindFieldByName("by_name")->is_map());
}

TEST(Descriptor, NumbersFollowPositionsAndJumpOverTheReservedRange) {
  auto table = TableSchema::Make({{"a", {.id = TypeId::kInt}, true, 18998},
                                  {"b", {.id = TypeId::kInt}, true, 18999},
                                  {"c", {.id = TypeId::kInt}, true, 20500}});
  auto proto = MakeDescriptor(*table);
  ASSERT_TRUE(proto.ok()) << proto.status();
  EXPECT_EQ(proto->field(0).number(), 18999);
  EXPECT_EQ(proto->field(1).number(), 20000);
  EXPECT_EQ(proto->field(2).number(), 21501);
  EXPECT_TRUE(CompiledDescriptor::Make(*proto).ok());
  auto far = TableSchema::Make({{"a", {.id = TypeId::kInt}, true, 1 << 30}});
  EXPECT_EQ(CodeOf(MakeDescriptor(*far).status()), ErrorCode::kTooLarge);
}

TEST(Descriptor, NamesThatMeetStayApart) {
  auto inner = arrow::struct_({field("x", arrow::int8())});
  auto table = TableOf({field("Home", arrow::utf8()), field("home", inner),
                        field("ho_me", inner), field("_1", inner), field("optional", inner),
                        field("a_b", arrow::utf8()), field("aB", arrow::utf8()),
                        field("spotsEntry", inner),
                        field("spots", arrow::map(arrow::utf8(), inner))});
  auto proto = MakeDescriptor(table);
  ASSERT_TRUE(proto.ok()) << proto.status();
  auto compiled = CompiledDescriptor::Make(*proto);
  ASSERT_TRUE(compiled.ok()) << compiled.status() << proto->DebugString();
  auto clash = TableOf({field("a_b", arrow::map(arrow::utf8(), arrow::utf8())),
                        field("aB", arrow::map(arrow::utf8(), arrow::utf8()))});
  EXPECT_EQ(CodeOf(MakeDescriptor(clash).status()), ErrorCode::kInvalidName);
}

TEST(Descriptor, BadNamesAreRefused) {
  for (const std::string& name :
       {std::string(""), std::string("1a"), std::string("a-b"), std::string("é"),
        std::string("a b"), std::string(256, 'a'), std::string("a\0b", 3)}) {
    auto table = TableOf({field(name, arrow::int8())});
    EXPECT_EQ(CodeOf(MakeDescriptor(table).status()), ErrorCode::kInvalidName) << name;
  }
  EXPECT_TRUE(MakeDescriptor(TableOf({field("message", arrow::int8())})).ok());
}

TEST(Descriptor, WhatProtobufCannotHoldIsRefused) {
  auto list = arrow::list(arrow::int8());
  auto map = arrow::map(arrow::utf8(), arrow::int8());
  auto inside = [](std::shared_ptr<arrow::DataType> type) {
    return arrow::struct_({field("m", std::move(type))});
  };
  for (const auto& type :
       {arrow::list(list), arrow::list(map), arrow::map(arrow::utf8(), list),
        arrow::map(arrow::utf8(), map), arrow::map(arrow::float32(), arrow::int8()),
        arrow::map(arrow::float64(), arrow::int8()),
        arrow::map(arrow::binary(), arrow::int8()), arrow::map(list, arrow::int8()),
        arrow::map(inside(arrow::int8()), arrow::int8()), inside(arrow::list(list))}) {
    auto made = MakeDescriptor(TableOf({field("c", type)}));
    ASSERT_FALSE(made.ok()) << type->ToString();
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kUnsupportedType) << made.status();
  }
}

TEST(Descriptor, DeepStructsResolve) {
  auto deep = arrow::struct_({field("x", arrow::int8())});
  for (int i = 0; i < 85; ++i) {
    deep = i % 9 == 4 ? arrow::struct_({field("m", arrow::map(arrow::int8(), deep))})
                      : arrow::struct_({field("s", deep), field("i", arrow::int16())});
  }
  auto proto = MakeDescriptor(TableOf({field("s", deep)}));
  ASSERT_TRUE(proto.ok()) << proto.status();
  auto compiled = CompiledDescriptor::Make(*proto);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  int depth = 1;
  for (const pb::Descriptor* at = &(*compiled)->message(); at; ++depth) {
    const pb::FieldDescriptor* next = at->FindFieldByName("s");
    if (!next && (next = at->FindFieldByName("m"))) {
      EXPECT_TRUE(next->is_map());
      next = next->message_type()->map_value();
    }
    if (!next) break;
    at = next->message_type();
  }
  EXPECT_EQ(depth, 87);
  for (int i = 0; i < 20; ++i) deep = arrow::struct_({field("s", deep)});
  EXPECT_FALSE(TableSchema::FromArrow(*arrow::schema({field("s", deep)})).ok());
}

TEST(Descriptor, ForeignDescriptorsAreSelfContainedOrRefused) {
  auto absolute = Parsed(R"(name: "Air"
    field { name: "a" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: ".my.pkg.Air.Inner" }
    nested_type { name: "Inner"
      field { name: "x" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 } })");
  EXPECT_TRUE(CompiledDescriptor::Make(absolute).ok());
  auto outside = Parsed(R"(name: "Air"
    field { name: "a" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: ".google.protobuf.Timestamp" })");
  EXPECT_EQ(CodeOf(CompiledDescriptor::Make(outside).status()), ErrorCode::kInvalidArgument);
  auto missing = Parsed(R"(name: "Air"
    field { name: "a" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: "Nowhere" })");
  EXPECT_EQ(CodeOf(CompiledDescriptor::Make(missing).status()), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(CompiledDescriptor::Make(pb::DescriptorProto()).ok());
  pb::DescriptorProto deep;
  pb::DescriptorProto* at = &deep;
  for (int i = 0; i < 300; ++i) {
    at->set_name("M");
    at = at->add_nested_type();
  }
  at->set_name("M");
  EXPECT_EQ(CodeOf(CompiledDescriptor::Make(deep).status()), ErrorCode::kTooLarge);
}

TEST(Descriptor, CheckedAgainstArrowByName) {
  auto proto = Parsed(R"(name: "Air"
    field { name: "id" number: 7 label: LABEL_REQUIRED type: TYPE_INT64 }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_DOUBLE }
    field { name: "tags" number: 9 label: LABEL_REPEATED type: TYPE_STRING })");
  auto check = [&](const arrow::FieldVector& fields) {
    arrow::Status status = CheckDescriptor(proto, *arrow::schema(fields));
    return status.ok() ? std::optional<ErrorCode>() : CodeOf(status);
  };
  auto id = field("id", arrow::int32());
  EXPECT_EQ(check({id}), std::nullopt);
  EXPECT_EQ(check({field("value", arrow::float16()), id}), std::nullopt);
  EXPECT_EQ(check({id, field("tags", arrow::list(arrow::utf8()))}), std::nullopt);
  EXPECT_EQ(check({id, field("unknown", arrow::null())}), std::nullopt);
  EXPECT_EQ(check({field("value", arrow::float64())}), ErrorCode::kColumnNotFound);
  EXPECT_EQ(check({id, field("unknown", arrow::int8())}), ErrorCode::kColumnNotFound);
  EXPECT_EQ(check({id, field("tags", arrow::utf8())}), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(check({id, field("value", arrow::list(arrow::float64()))}),
            ErrorCode::kSchemaMismatch);
  EXPECT_EQ(check({id, field("tags", arrow::list(arrow::list(arrow::utf8())))}),
            ErrorCode::kSchemaMismatch);
  EXPECT_EQ(check({id, field("value", arrow::utf8())}), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(check({id, id}), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(check({field("id", arrow::null())}), ErrorCode::kSchemaMismatch);
  auto table = TableSchema::Make({{"id", {.id = TypeId::kInt}, false, 0}});
  EXPECT_FALSE(CheckDescriptor(proto, *arrow::schema({id}), &*table).ok());
}

TEST(Descriptor, FlightSchema) {
  TableSchema table =
      TableOf({field("s", arrow::utf8(), false), field("d", arrow::decimal128(5, 2)),
               field("b", arrow::binary()), field("t", arrow::date64()),
               field("z", arrow::timestamp(arrow::TimeUnit::NANO, "Asia/Tokyo")),
               field("n", arrow::timestamp(arrow::TimeUnit::NANO)),
               field("l", arrow::list(arrow::int8())),
               field("m", arrow::map(arrow::utf8(), arrow::int16()))});
  EXPECT_EQ(FlightSchemaOf(table)->ToString(),
            "s: large_string not null\nd: large_string\nb: large_binary\nt: date32[day]\n"
            "z: timestamp[us, tz=UTC]\nn: timestamp[us]\nl: list<item: int8>\n"
            "m: map<large_string ('keys'), int16 ('values')>");
  auto entries = FlightTypeOf(table.columns()[7].type)->field(0);
  EXPECT_EQ(entries->ToString(),
            "entries: struct<keys: large_string not null, values: int16> not null");
  EXPECT_EQ(FlightTypeOf({.id = TypeId::kVariant})->ToString(),
            "struct<metadata: large_binary not null, value: large_binary not null>");
}

}  // namespace
}  // namespace arrowport::zerobus::encode
