#include "delta/row_ordering.h"

#include <arrow/builder.h>
#include <arrow/table.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "delta/table_fixture.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kRows = 200'000;

class RowOrderingTest : public TableFixture {
 protected:
  /// Rows whose texts say their key.
  std::shared_ptr<arrow::Table> RandomRows(uint64_t distinct_keys) {
    std::mt19937_64 random(7);
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    for (int64_t done = 0; done < kRows; done += 10'000) {
      arrow::Int64Builder keys;
      arrow::StringBuilder texts;
      for (int i = 0; i < 10'000; ++i) {
        const auto key = static_cast<int64_t>(random() % distinct_keys);
        EXPECT_TRUE(keys.Append(key).ok());
        EXPECT_TRUE(texts.Append("the key is " + std::to_string(key)).ok());
      }
      batches.push_back(Batch({{"key", *keys.Finish()}, {"text", *texts.Finish()}}));
    }
    return arrow::Table::FromRecordBatches(batches).ValueOrDie();
  }

  RowOrdering Ordering(int64_t memory_bytes, std::vector<uint64_t> sample) const {
    RowOrdering ordering;
    ordering.keys_of = [](const arrow::RecordBatch& rows, std::vector<uint64_t>* keys) {
      const auto& column = static_cast<const arrow::Int64Array&>(*rows.column(0));
      keys->assign(column.raw_values(), column.raw_values() + rows.num_rows());
      return arrow::Status::OK();
    };
    ordering.sample = std::move(sample);
    ordering.rows_expected = kRows;
    ordering.folder = folder_.string();
    ordering.memory_bytes = memory_bytes;
    return ordering;
  }

  /// The keys in the order they come out, each beside its own text.
  std::vector<int64_t> Ordered(const std::shared_ptr<arrow::Table>& table,
                               RowOrdering ordering) {
    arrow::TableBatchReader rows(*table);
    auto ordered = OrderRows(rows, std::move(ordering));
    EXPECT_TRUE(ordered.ok()) << ordered.status().ToString();
    std::vector<int64_t> keys;
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      EXPECT_TRUE((*ordered)->ReadNext(&batch).ok());
      if (batch == nullptr) break;
      EXPECT_TRUE(batch->ValidateFull().ok());
      const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(0));
      const auto& texts = static_cast<const arrow::StringArray&>(*batch->column(1));
      for (int64_t row = 0; row < batch->num_rows(); ++row) {
        keys.push_back(column.Value(row));
        EXPECT_EQ(texts.GetString(row), "the key is " + std::to_string(keys.back()));
      }
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "spilled files have no names";
    return keys;
  }

  static std::vector<int64_t> KeysIn(const arrow::Table& table) {
    std::vector<int64_t> keys;
    for (const auto& chunk : table.column(0)->chunks()) {
      const auto& column = static_cast<const arrow::Int64Array&>(*chunk);
      keys.insert(keys.end(), column.raw_values(), column.raw_values() + column.length());
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }
};

TEST_F(RowOrderingTest, RowsComeInTheOrderOfTheirKeys) {
  const auto table = RandomRows(1'000'000'000);
  std::vector<uint64_t> sample;
  for (uint64_t i = 0; i < 1000; ++i) sample.push_back(i * 1'000'000);
  const auto expected = KeysIn(*table);
  // In memory, spilled into few ranges, and into as many as there may be.
  for (const int64_t memory_bytes : {256 << 20, 8 << 20, 400 << 10}) {
    EXPECT_EQ(Ordered(table, Ordering(memory_bytes, sample)), expected) << memory_bytes;
  }
}

TEST_F(RowOrderingTest, ASampleThatMisleadsCostsOrderNotRows) {
  const auto table = RandomRows(1'000'000'000);
  for (const auto& sample : {std::vector<uint64_t>{}, std::vector<uint64_t>(100, 5),
                             std::vector<uint64_t>{~uint64_t{0}, 1}}) {
    auto keys = Ordered(table, Ordering(2 << 20, sample));
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(keys, KeysIn(*table));
  }
}

TEST_F(RowOrderingTest, EqualKeysAndNoRows) {
  const auto table = RandomRows(3);
  EXPECT_EQ(Ordered(table, Ordering(2 << 20, {0, 1, 2})), KeysIn(*table));
  EXPECT_TRUE(Ordered(table->Slice(0, 0), Ordering(2 << 20, {})).empty());
}

TEST_F(RowOrderingTest, AFolderThatIsGoneIsAnError) {
  const auto table = RandomRows(100);
  RowOrdering ordering = Ordering(1 << 20, {10, 50});
  ordering.folder += "/missing";
  arrow::TableBatchReader rows(*table);
  EXPECT_FALSE(OrderRows(rows, std::move(ordering)).ok());
}

}  // namespace
}  // namespace arrowport::delta
