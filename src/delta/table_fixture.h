// Tables in temporary folders, for the tests of the writing half.
#pragma once

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "delta/table.h"

namespace arrowport::delta {

#define ASSERT_STATUS_OK(expression)                                    \
  do {                                                                  \
    const arrow::Status status_ = (expression);                         \
    ASSERT_TRUE(status_.ok()) << status_.ToString();                    \
  } while (false)

class TableFixture : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("delta-" + NewRandomId());
    std::filesystem::create_directories(folder_);
    store_ = OpenStore();
    environment_.encoders = std::make_shared<EncoderPool>(2);
    options_.log.checkpoint_spacing_ms = 0;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<store::Store> OpenStore() const {
    return store::OpenLocalStore(folder_.string(), store::Durability::kMemory, true)
        .ValueOrDie();
  }

  std::shared_ptr<DeltaTable> OpenTable() const {
    auto table = DeltaTable::Open(OpenStore(), environment_, options_);
    EXPECT_TRUE(table.ok()) << table.status().ToString();
    return table.ok() ? *table : nullptr;
  }

  static WriteOptions Creating(std::vector<std::string> partition_by = {},
                               StringMap configuration = {}) {
    WriteOptions options;
    options.create = TableDefinition{std::move(partition_by), std::move(configuration)};
    return options;
  }

  static std::shared_ptr<arrow::Array> Longs(std::vector<std::optional<int64_t>> values) {
    arrow::Int64Builder builder;
    for (const auto& value : values) {
      EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
    }
    return builder.Finish().ValueOrDie();
  }
  static std::shared_ptr<arrow::Array> Texts(
      std::vector<std::optional<std::string>> values) {
    arrow::StringBuilder builder;
    for (const auto& value : values) {
      EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
    }
    return builder.Finish().ValueOrDie();
  }

  using Columns = std::vector<std::pair<std::string, std::shared_ptr<arrow::Array>>>;
  static std::shared_ptr<arrow::RecordBatch> Batch(const Columns& columns) {
    arrow::FieldVector fields;
    arrow::ArrayVector arrays;
    for (const auto& [name, array] : columns) {
      fields.push_back(arrow::field(name, array->type()));
      arrays.push_back(array);
    }
    const int64_t rows = arrays.empty() ? 0 : arrays.front()->length();
    return arrow::RecordBatch::Make(arrow::schema(fields), rows, arrays);
  }
  /// id from `first`, and a text.
  static std::shared_ptr<arrow::RecordBatch> Rows(int64_t first, int64_t count) {
    std::vector<std::optional<int64_t>> ids;
    std::vector<std::optional<std::string>> texts;
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(first + i);
      texts.push_back("row " + std::to_string(first + i));
    }
    return Batch({{"id", Longs(ids)}, {"text", Texts(texts)}});
  }

  static AppendMember Member(std::shared_ptr<arrow::RecordBatch> batch) {
    AppendMember member;
    member.schema = batch->schema();
    member.batches = {std::move(batch)};
    return member;
  }
  static KeyEntry Key(const std::string& key, int64_t rows, char content = 'a') {
    return {key, std::string(32, content), rows};
  }

  static WriteOutcome AppendOne(DeltaTable& table, const AppendMember& member,
                                const WriteOptions& options = Creating()) {
    return table.Append(std::span(&member, 1), options).front();
  }

  /// All rows of the files live in `snapshot`, of one column that is int64; -1 for NULL or
  /// a file without it.
  std::vector<int64_t> ReadLongs(const Snapshot& snapshot, const std::string& column) {
    std::vector<int64_t> values;
    snapshot.VisitFiles([&](int64_t, const AddFile& add) {
      auto decoded = DecodePath(add.path).ValueOrDie();
      auto file = store_->Open(decoded.path).ValueOrDie();
      auto reader =
          parquet::arrow::OpenFile(file, arrow::default_memory_pool()).ValueOrDie();
      auto table = reader->ReadTable().ValueOrDie();
      auto chunked = table->GetColumnByName(column);
      if (chunked == nullptr) {
        values.insert(values.end(), static_cast<size_t>(table->num_rows()), -1);
        return;
      }
      for (const auto& chunk : chunked->chunks()) {
        const auto& longs = static_cast<const arrow::Int64Array&>(*chunk);
        for (int64_t i = 0; i < longs.length(); ++i) {
          values.push_back(longs.IsNull(i) ? -1 : longs.Value(i));
        }
      }
    });
    std::sort(values.begin(), values.end());
    return values;
  }

  /// Parquet files below the table that no live file of `snapshot` names.
  int64_t OrphanCount(const Snapshot& snapshot) const {
    int64_t orphans = 0;
    EXPECT_TRUE(store_
                    ->ListBelow("", [&](const store::FileInfo& file) -> arrow::Status {
                      const bool data = file.path.ends_with(".parquet") &&
                                        !file.path.starts_with("_delta_log/");
                      if (data && !snapshot.Contains(file.path, "")) ++orphans;
                      return {};
                    })
                    .ok());
    return orphans;
  }

  std::filesystem::path folder_;
  std::shared_ptr<store::Store> store_;
  TableEnvironment environment_;
  TableOptions options_;
};

}  // namespace arrowport::delta
