// A DuckDB sink on a file of its own, and batches to put into it.
#pragma once

#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <duckdb.hpp>
#include <duckdb/common/arrow/result_arrow_wrapper.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "sink/duckdb/duckdb_sink.h"

namespace arrowport::sink {

class SinkFixture : public ::testing::Test {
 protected:
  SinkFixture() {
    directory_ = std::filesystem::temp_directory_path() / ("sink_test_" + NewRandomId());
    std::filesystem::create_directory(directory_);
    path_ = (directory_ / "store.duckdb").string();
  }
  ~SinkFixture() override {
    Close();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void OpenSink(std::string path = {}) {
    engine::DatabaseOptions database;
    database.path = path.empty() ? path_ : std::move(path);
    database.threads = 2;
    auto opened = engine::Database::Open(database);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    database_ = *opened;
    auto made = DuckDbSink::Make(database_, options_);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    sink_ = std::move(*made);
  }
  void Close() {
    sink_.reset();
    database_.reset();
  }
  void Reopen() {
    Close();
    OpenSink();
  }

  static std::shared_ptr<arrow::Schema> TwoColumns() {
    return arrow::schema(
        {arrow::field("id", arrow::int64()), arrow::field("name", arrow::utf8())});
  }
  /// Rows first ... first + count - 1 of TwoColumns.
  static std::shared_ptr<arrow::RecordBatch> Rows(int64_t first, int64_t count) {
    arrow::Int64Builder ids;
    arrow::StringBuilder names;
    for (int64_t i = first; i < first + count; ++i) {
      EXPECT_TRUE(ids.Append(i).ok());
      EXPECT_TRUE(names.Append("name " + std::to_string(i)).ok());
    }
    return arrow::RecordBatch::Make(TwoColumns(), count,
                                    {*ids.Finish(), *names.Finish()});
  }
  static schema::TableName Name(std::string table) { return {"main", std::move(table)}; }

  std::shared_ptr<const Table> MakeTable(const std::string& name) {
    auto table = sink_->Create(Name(name), *TwoColumns());
    EXPECT_TRUE(table.ok()) << table.status().ToString();
    return table.ok() ? *table : nullptr;
  }
  static LedgerEntry Keyed(std::string key, int64_t rows = 0) {
    LedgerEntry entry;
    entry.table = "t";
    entry.key = std::move(key);
    entry.sha256 = std::string(32, '\x07');
    entry.rows = rows;
    return entry;
  }
  static LedgerEntry Produced(std::string producer, int64_t sequence) {
    LedgerEntry entry;
    entry.table = "t";
    entry.producer = std::move(producer);
    entry.sequence = sequence;
    return entry;
  }
  std::vector<WriteOutcome> Commit(std::vector<WriteUnit> units) {
    return sink_->CommitGroup(units);
  }

  /// The first value of a query as text.
  std::string Ask(const std::string& sql) {
    auto connection = database_->Connect();
    if (!connection.ok()) return connection.status().ToString();
    auto result = (*connection)->duckdb().Query(sql);
    if (result->HasError()) return result->GetError();
    return result->RowCount() == 0 ? "(no row)" : result->GetValue(0, 0).ToString();
  }
  arrow::Status Sql(const std::string& sql) {
    ARROW_ASSIGN_OR_RAISE(auto connection, database_->Connect());
    return connection->Run(sql);
  }
  /// The rows of a query as DuckDB exports them.
  arrow::Result<std::shared_ptr<arrow::Table>> Fetch(const std::string& sql) {
    ARROW_ASSIGN_OR_RAISE(auto connection, database_->Connect());
    auto result = connection->duckdb().SendQuery(sql);
    if (result->HasError()) return arrow::Status::Invalid(result->GetError());
    auto* stream = new duckdb::ResultArrowArrayStreamWrapper(std::move(result), 1024);
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(&stream->stream));
    return reader->ToTable();
  }

  DuckDbSinkOptions options_;
  std::filesystem::path directory_;
  std::string path_;
  std::shared_ptr<engine::Database> database_;
  std::unique_ptr<DuckDbSink> sink_;
};

}  // namespace arrowport::sink
