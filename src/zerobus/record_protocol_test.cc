#include "zerobus/record_protocol.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus {
namespace {

encode::EncodedRows JsonRows(const std::vector<std::string>& texts, int64_t row_bytes_max) {
  arrow::StringBuilder builder;
  EXPECT_TRUE(builder.AppendValues(texts).ok());
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("c", arrow::utf8())}), std::ssize(texts),
      {builder.Finish().ValueOrDie()});
  auto table = encode::TableSchema::FromArrow(*batch->schema()).ValueOrDie();
  encode::EncodeOptions options;
  options.row_bytes_max = row_bytes_max;
  options.entry_field_number = kRecordsField;
  return encode::RowEncoder::MakeJson(*batch->schema(), table, options)
      .ValueOrDie()
      ->Encode(*batch)
      .ValueOrDie();
}

TEST(MakeRecordRequests, HoldEveryRowThatDidNotFailOnceAndInOrder) {
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    // Lengths of one, two and three bytes, and rows that fail.
    const size_t size = i % 90 == 7 ? 20'000 : i % 50 == 3 ? 40'000 : i % 9 * 40;
    texts.emplace_back(size, static_cast<char>('a' + i % 26));
  }
  const encode::EncodedRows rows = JsonRows(texts, 30'000);
  ASSERT_EQ(rows.failed_rows.size(), 8u);
  std::vector<std::string> wanted;
  for (std::string_view row : rows.rows) {
    if (row.data() != nullptr) wanted.emplace_back(row);
  }
  for (int64_t request_bytes_max : {1, 3000, 25'000, 1 << 30}) {
    std::vector<std::string> found;
    const auto requests = MakeRecordRequests(rows, request_bytes_max, nullptr);
    for (const Request& request : requests) {
      EXPECT_EQ(request.first_row, std::ssize(found));
      EXPECT_EQ(request.bytes, request.records->size());
      EXPECT_TRUE(request.rows == 1 || request.bytes <= request_bytes_max);
      databricks::zerobus::JsonRecordBatch message;
      ASSERT_TRUE(message.ParseFromString(request.records->ToString()));
      EXPECT_EQ(message.records_size(), request.rows);
      found.insert(found.end(), message.records().begin(), message.records().end());
    }
    EXPECT_EQ(found, wanted);
    EXPECT_EQ(requests.size() == wanted.size(), request_bytes_max == 1);
    EXPECT_EQ(requests.size() == 1, request_bytes_max == 1 << 30);
  }
}

TEST(MakeRecordRequests, NoneForRowsThatAllFailed) {
  EXPECT_TRUE(MakeRecordRequests(JsonRows({"\xff", "\xfe"}, 100), 1000, nullptr).empty());
  EXPECT_TRUE(MakeRecordRequests(JsonRows({}, 100), 1000, nullptr).empty());
}

}  // namespace
}  // namespace arrowport::zerobus
