#include "emulator/row_check.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "emulator/plain_json.h"
#include "emulator/value_rules.h"
#include "zerobus/encode/compiled_descriptor.h"

namespace arrowport::emulator {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using ::testing::HasSubstr;
using Field = FieldDescriptorProto;

constexpr char kColumns[] = R"json([
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "nullable": false,
   "position": 0},
  {"name": "tiny", "type_name": "BYTE", "type_text": "tinyint", "position": 1},
  {"name": "name", "type_name": "STRING", "type_text": "string", "position": 2},
  {"name": "price", "type_name": "DECIMAL", "type_text": "decimal(5,2)",
   "type_json": "\"decimal(5,2)\"", "position": 3},
  {"name": "raw", "type_name": "BINARY", "type_text": "binary", "position": 4},
  {"name": "tags", "type_name": "ARRAY", "type_text": "array<tinyint>", "position": 5,
   "type_json": "{\"type\":\"array\",\"elementType\":\"byte\",\"containsNull\":true}"},
  {"name": "day", "type_name": "DATE", "type_text": "date", "position": 6},
  {"name": "doc", "type_name": "VARIANT", "type_text": "variant", "position": 7}])json";

std::shared_ptr<const Table> TestTable() {
  TableCatalog catalog;
  EXPECT_TRUE(catalog.Put("c.s.t", kColumns).ok());
  return catalog.Find("c.s.t");
}

void AddField(DescriptorProto* proto, const std::string& name, int number,
              Field::Type type, Field::Label label) {
  auto* field = proto->add_field();
  field->set_name(name);
  field->set_number(number);
  field->set_type(type);
  field->set_label(label);
}

DescriptorProto GoodDescriptor() {
  DescriptorProto proto;
  proto.set_name("Row");
  AddField(&proto, "id", 1, Field::TYPE_INT64, Field::LABEL_REQUIRED);
  AddField(&proto, "tiny", 2, Field::TYPE_INT32, Field::LABEL_OPTIONAL);
  AddField(&proto, "name", 3, Field::TYPE_STRING, Field::LABEL_OPTIONAL);
  AddField(&proto, "price", 4, Field::TYPE_STRING, Field::LABEL_OPTIONAL);
  AddField(&proto, "tags", 6, Field::TYPE_INT32, Field::LABEL_REPEATED);
  return proto;
}

arrow::Result<std::unique_ptr<RowCheck>> Make(const DescriptorProto& proto) {
  return MakeProtoRowCheck(proto.SerializeAsString(), TestTable(), "");
}

std::string RefusedBecause(const std::function<void(DescriptorProto*)>& change) {
  DescriptorProto proto = GoodDescriptor();
  change(&proto);
  return Make(proto).status().message();
}

TEST(ProtoRowCheckTest, NullableColumnsMayBeLeftOut) {
  EXPECT_TRUE(Make(GoodDescriptor()).ok()) << Make(GoodDescriptor()).status();
}

TEST(ProtoRowCheckTest, TheDescriptorMustFitTheTable) {
  EXPECT_THAT(RefusedBecause([](auto* p) { p->mutable_field()->DeleteSubrange(0, 1); }),
              HasSubstr("lacks the NOT NULL column id"));
  EXPECT_THAT(RefusedBecause(
                  [](auto* p) { p->mutable_field(0)->set_label(Field::LABEL_OPTIONAL); }),
              HasSubstr("id must be required"));
  EXPECT_THAT(RefusedBecause(
                  [](auto* p) { p->mutable_field(2)->set_label(Field::LABEL_REQUIRED); }),
              HasSubstr("name must be optional"));
  EXPECT_THAT(RefusedBecause(
                  [](auto* p) { p->mutable_field(4)->set_label(Field::LABEL_OPTIONAL); }),
              HasSubstr("tags must be repeated"));
  EXPECT_THAT(
      RefusedBecause([](auto* p) { p->mutable_field(2)->set_type(Field::TYPE_BYTES); }),
      HasSubstr("name is bytes"));
  EXPECT_THAT(RefusedBecause([](auto* p) {
                AddField(p, "extra", 9, Field::TYPE_BOOL, Field::LABEL_OPTIONAL);
              }),
              HasSubstr("extra is not in the table"));
  EXPECT_THAT(RefusedBecause([](auto* p) {
                p->mutable_field(2)->set_type(Field::TYPE_MESSAGE);
                p->mutable_field(2)->set_type_name(".google.protobuf.Timestamp");
              }),
              HasSubstr("4033"));
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}

std::string Number(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}

std::string Text(int field, const std::string& text) {
  return Varint((static_cast<uint64_t>(field) << 3) | 2) + Varint(text.size()) + text;
}

TEST(ProtoRowCheckTest, RowsAreParsedInFull) {
  auto check = *Make(GoodDescriptor());
  std::string ids;
  const auto error = [&](const std::string& row) {
    const arrow::Status status = check->Check(row, &ids);
    if (!status.ok()) {
      EXPECT_EQ(CodeOf(status), ErrorCode::kBadData);
    }
    return status.ok() ? "" : status.message();
  };
  const std::string id = Number(1, 42);
  EXPECT_EQ(error(id), "");
  EXPECT_EQ(error(id + Number(2, static_cast<uint64_t>(-128)) + Text(3, "é") +
                  Text(4, "-999.99") + Number(6, 127)),
            "");
  EXPECT_EQ(ids, "4242");
  EXPECT_THAT(error(Text(3, "no id")), HasSubstr("id"));
  EXPECT_THAT(error(id + Number(2, 128)), HasSubstr("tiny"));
  EXPECT_THAT(error(id + Number(6, 1) + Number(6, 300)), HasSubstr("tags"));
  EXPECT_THAT(error(id + Text(3, "\xff")), HasSubstr("not UTF-8"));
  EXPECT_THAT(error(id + Text(4, "1e3")), HasSubstr("price"));
  EXPECT_THAT(error(id + Text(4, "1000.00")), HasSubstr("price"));
  EXPECT_THAT(error(id + Number(9, 1)), HasSubstr("number 9"));
  EXPECT_THAT(error(id + "\x0a\x7f"), HasSubstr("not a message"));
}

TEST(JsonRowCheckTest, RowsAreCheckedAgainstTheColumns) {
  auto check = MakeJsonRowCheck(TestTable(), "name");
  std::string ids;
  const auto passes = [&](const std::string& row) {
    return check->Check(row, &ids).ok();
  };
  EXPECT_TRUE(passes(R"({"id": 1, "name": "n\"1"})"));
  EXPECT_EQ(ids, "\"n\\\"1\"");
  EXPECT_TRUE(passes(
      R"({"id": 9223372036854775807, "tiny": -128, "price": "1.5", "raw": "AAE=",
          "tags": [1, 2], "day": 19000, "doc": "{\"a\": [1]}", "name": null})"));
  EXPECT_FALSE(passes(R"({"name": "no id"})"));
  EXPECT_FALSE(passes(R"({"id": null})"));
  EXPECT_FALSE(passes(R"({"id": "1"})"));
  EXPECT_FALSE(passes(R"({"id": 1.5})"));
  EXPECT_FALSE(passes(R"({"id": 9223372036854775808})"));
  EXPECT_FALSE(passes(R"({"id": 1, "tiny": 128})"));
  EXPECT_FALSE(passes(R"({"id": 1, "price": 1.5})"));
  EXPECT_FALSE(passes(R"({"id": 1, "price": "1.505"})"));
  EXPECT_FALSE(passes(R"({"id": 1, "raw": "AAE"})"));
  EXPECT_FALSE(passes(R"({"id": 1, "tags": [1, null]})"));
  EXPECT_FALSE(passes(R"({"id": 1, "day": "2024-01-01"})"));
  EXPECT_FALSE(passes(R"({"id": 1, "doc": "{"})"));
  EXPECT_FALSE(passes(R"({"id": 1, "more": 1})"));
  EXPECT_FALSE(passes("{\"id\": 1, \"name\": \"\xff\"}"));
  EXPECT_FALSE(passes("[1]"));
  EXPECT_FALSE(passes(R"({"id": 1} {})"));
}

// The quick way accepts nothing that the careful one refuses, and names rows alike. A space
// before the row is what only the careful one knows.
TEST(JsonRowCheckTest, TheQuickWayIsNoMoreLenient) {
  for (const char* id_column : {"id", "name", "price", "tiny", "doc"}) {
    auto table = TestTable();
    const PlainJsonRows plain(table, id_column);
    auto careful = MakeJsonRowCheck(table, id_column);
    const std::string seeds[] = {
        R"({"id":12,"tiny":-3,"name":"é x","price":"-1.50","raw":"AAE=","day":19000})",
        R"({"id": 9, "name": null, "price": "0"})", R"({"id":0,"doc":"{}","tags":[1]})"};
    std::mt19937 random(7);
    int accepted = 0;
    for (int round = 0; round < 30'000; ++round) {
      std::string row = seeds[random() % std::size(seeds)];
      for (auto changes = random() % 4; changes > 0; --changes) {
        constexpr std::string_view kBytes = "0129-.eE+\"\\,:{}[] ntfa\xff\x01\xc3";
        const size_t at = random() % row.size();
        const char byte = kBytes[random() % kBytes.size()];
        if (random() % 2 == 0) {
          row[at] = byte;
        } else {
          row.insert(at, 1, byte);
        }
      }
      std::string quick_id;
      if (!plain.Accepts(row, &quick_id)) continue;
      ++accepted;
      std::string id;
      const arrow::Status status = careful->Check(" " + row, &id);
      ASSERT_TRUE(status.ok()) << row << status;
      ASSERT_EQ(quick_id, id) << row;
    }
    EXPECT_GT(accepted, 3'000) << id_column;
  }
}

// libprotobuf is the judge of what is a message at all.
TEST(ProtoRowCheckTest, AcceptsNoRowThatProtobufDoesNotRead) {
  auto check = *Make(GoodDescriptor());
  auto compiled = *zerobus::encode::CompiledDescriptor::Make(GoodDescriptor());
  google::protobuf::DynamicMessageFactory factory;
  std::unique_ptr<google::protobuf::Message> message(
      factory.GetPrototype(&compiled->message())->New());
  const std::string packed = Text(6, Varint(1) + Varint(100));
  const std::string seeds[] = {Number(1, 42) + Number(2, 7) + Text(3, "name") + packed,
                               Text(4, "1.25") + Number(6, 5) + Number(1, 1ULL << 63)};
  std::mt19937 random(7);
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string row = seeds[random() % std::size(seeds)];
    for (auto changes = random() % 3; changes > 0; --changes) {
      row[random() % row.size()] = static_cast<char>(random() % 2 ? random() : random() % 56);
    }
    std::string id;
    if (!check->Check(row, &id).ok()) continue;
    ++accepted;
    ASSERT_TRUE(message->ParseFromString(row));
    ASSERT_TRUE(message->GetReflection()->GetUnknownFields(*message).empty());
    const auto* field = compiled->message().FindFieldByName("id");
    ASSERT_EQ(id, std::to_string(message->GetReflection()->GetInt64(*message, field)));
  }
  EXPECT_GT(accepted, 3'000);
}

TEST(ValueRulesTest, DecimalText) {
  EXPECT_TRUE(IsDecimalText("0", 5, 2));
  EXPECT_TRUE(IsDecimalText("+000999.9", 5, 2));
  EXPECT_TRUE(IsDecimalText("-0.01", 2, 2));
  for (const char* bad :
       {"", "-", ".5", "1.", "1.234", "1000", "1e2", " 1", "1 ", "0x1", "NaN"}) {
    EXPECT_FALSE(IsDecimalText(bad, 5, 2)) << bad;
  }
}

}  // namespace
}  // namespace arrowport::emulator
