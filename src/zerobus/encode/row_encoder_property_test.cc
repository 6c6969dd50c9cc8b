// Random schemas, nestings, nulls and slices, judged by foreign readers.
#include <arrow/api.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

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

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRows, ::testing::Range(0, 300));

}  // namespace
}  // namespace arrowport::zerobus::encode
