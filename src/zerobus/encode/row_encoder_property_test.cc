// Random schemas, nestings, nulls and slices, judged by foreign readers.
#include <arrow/api.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string_view>

#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/expected_value_test.h"
#include "zerobus/encode/random_batch_test.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::zerobus::encode {
namespace {

namespace pb = google::protobuf;

class RandomRows : public ::testing::TestWithParam<int> {};

TEST_P(RandomRows, ReadBackByForeignReaders) {
  const uint32_t seed = static_cast<uint32_t>(GetParam()) * 7919 + 1;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const bool null_elements = random() % 2 == 0;
  const bool with_table = random() % 2 == 0;
  const int64_t row_count = random() % 8 == 0 ? 2500 : random() % 90;
  EncodeOptions options;
  if (null_elements) options.null_elements = NullElements::kDrop;
  auto batch = RandomBatch({seed, row_count, null_elements});
  SCOPED_TRACE(batch->schema()->ToString());
  // Not ValidateFull: it refuses a Date64 between two days, which must work.
  ASSERT_TRUE(batch->Validate().ok()) << batch->Validate();

  auto table = TableSchema::FromArrow(*batch->schema());
  ASSERT_TRUE(table.ok()) << table.status();
  auto proto = MakeDescriptor(*table);
  ASSERT_TRUE(proto.ok()) << proto.status();
  auto compiled = CompiledDescriptor::Make(*proto);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  auto encoder = RowEncoder::MakeProtobuf(*batch->schema(), *proto,
                                          with_table ? &*table : nullptr, options);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  auto json_encoder = RowEncoder::MakeJson(*batch->schema(), *table, options);
  ASSERT_TRUE(json_encoder.ok()) << json_encoder.status();
  auto rows = (*encoder)->Encode(*batch);
  auto json_rows = (*json_encoder)->Encode(*batch);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_TRUE(json_rows.ok()) << json_rows.status();
  ASSERT_TRUE(rows->failed_rows.empty()) << rows->failed_rows[0].status;
  ASSERT_TRUE(json_rows->failed_rows.empty()) << json_rows->failed_rows[0].status;
  ASSERT_EQ(std::ssize(rows->rows), row_count);
  ASSERT_EQ(std::ssize(json_rows->rows), row_count);

  pb::DynamicMessageFactory factory;
  const pb::Message* prototype = factory.GetPrototype(&(*compiled)->message());
  for (size_t i = 0; i < rows->rows.size() && !HasFailure(); ++i) {
    std::unique_ptr<pb::Message> message(prototype->New());
    std::string_view bytes = rows->rows[i];
    ASSERT_TRUE(message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    Value wanted = ExpectedRow(*batch, static_cast<int64_t>(i));
    ExpectSame(*message, wanted, "row " + std::to_string(i) + " ");
    auto json = nlohmann::json::parse(json_rows->rows[i], nullptr, false);
    ASSERT_TRUE(json.is_object()) << json_rows->rows[i];
    ExpectSameJson(json, wanted, "row " + std::to_string(i) + " ");
  }
}

/// Rows as entries are what libprotobuf reads as a repeated field, and the same rows.
TEST_P(RandomRows, EntriesAreARepeatedField) {
  const uint32_t seed = static_cast<uint32_t>(GetParam()) * 104729 + 5;
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto batch = RandomBatch({seed, 1 + seed % 200, false});
  auto table = TableSchema::FromArrow(*batch->schema()).ValueOrDie();
  auto proto = MakeDescriptor(table).ValueOrDie();
  EncodeOptions options;
  options.row_bytes_max = 20 + seed % 300;  // some rows fail
  EncodeOptions as_entries = options;
  as_entries.entry_field_number = 1 + static_cast<int>(seed % 15);

  pb::DescriptorProto entries_proto;
  entries_proto.set_name("Entries");
  auto* field = entries_proto.add_field();
  field->set_name("rows");
  field->set_number(as_entries.entry_field_number);
  field->set_label(pb::FieldDescriptorProto::LABEL_REPEATED);
  field->set_type(pb::FieldDescriptorProto::TYPE_BYTES);
  auto entries_type = CompiledDescriptor::Make(entries_proto).ValueOrDie();
  pb::DynamicMessageFactory factory;
  const pb::Message* prototype = factory.GetPrototype(&entries_type->message());

  auto expect_same = [&](const RowEncoder& plain, const RowEncoder& encoder) {
    EncodedRows wanted = plain.Encode(*batch).ValueOrDie();
    EncodedRows rows = encoder.Encode(*batch).ValueOrDie();
    EXPECT_EQ(rows.rows, wanted.rows);
    EXPECT_EQ(rows.bytes, wanted.bytes);
    EXPECT_EQ(rows.failed_rows.size(), wanted.failed_rows.size());
    std::erase_if(wanted.rows, [](std::string_view row) { return row.data() == nullptr; });
    std::unique_ptr<pb::Message> message(prototype->New());
    ASSERT_TRUE(message->ParseFromString(rows.buffer->ToString()));
    const pb::Reflection& reflection = *message->GetReflection();
    EXPECT_TRUE(reflection.GetUnknownFields(*message).empty());
    const auto* field = entries_type->message().field(0);
    ASSERT_EQ(reflection.FieldSize(*message, field), std::ssize(wanted.rows));
    for (int i = 0; i < std::ssize(wanted.rows); ++i) {
      ASSERT_EQ(reflection.GetRepeatedString(*message, field, i),
                wanted.rows[static_cast<size_t>(i)]);
    }
  };
  expect_same(*RowEncoder::MakeProtobuf(*batch->schema(), proto, &table, options).ValueOrDie(),
              *RowEncoder::MakeProtobuf(*batch->schema(), proto, &table, as_entries)
                   .ValueOrDie());
  expect_same(*RowEncoder::MakeJson(*batch->schema(), table, options).ValueOrDie(),
              *RowEncoder::MakeJson(*batch->schema(), table, as_entries).ValueOrDie());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRows, ::testing::Range(0, 300));

}  // namespace
}  // namespace arrowport::zerobus::encode
