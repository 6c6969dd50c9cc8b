// Test only: tables written by hand (Parquet by DuckDB, logs as text) in a temporary
// folder, a database with the catalog over them, and rows as text.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <duckdb.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "engine/database.h"
#include "engine/error.h"
#include "lake/catalog.h"
#include "lake/folder_source.h"
#include "schema/names.h"

namespace arrowport::lake {

using Rows = std::vector<std::string>;

inline Rows RowsOf(duckdb::QueryResult& result) {
  Rows rows;
  while (auto chunk = result.Fetch()) {
    for (duckdb::idx_t row = 0; row < chunk->size(); ++row) {
      std::string text;
      for (duckdb::idx_t column = 0; column < chunk->ColumnCount(); ++column) {
        if (column > 0) text += '|';
        text += chunk->GetValue(column, row).ToString();
      }
      rows.push_back(std::move(text));
    }
  }
  return rows;
}

/// One connection; failures are failures of the test.
class Session {
 public:
  explicit Session(engine::Database& database) {
    auto connection = database.Connect();
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  arrow::Result<Rows> TryRun(const std::string& sql) {
    return engine::Catching([&]() -> arrow::Result<Rows> {
      auto result = connection_->duckdb().Query(sql);
      if (result->HasError()) return engine::TranslateError(result->GetErrorObject());
      return RowsOf(*result);
    });
  }
  Rows Run(const std::string& sql) {
    auto rows = TryRun(sql);
    EXPECT_TRUE(rows.ok()) << sql << "\n" << rows.status();
    return rows.ok() ? *rows : Rows{"(failed)"};
  }
  std::string Value(const std::string& sql) {
    Rows rows = Run(sql);
    EXPECT_EQ(rows.size(), 1u) << sql;
    return rows.empty() ? "(no rows)" : rows[0];
  }
  arrow::Status Failure(const std::string& sql) {
    auto rows = TryRun(sql);
    EXPECT_FALSE(rows.ok()) << sql;
    return rows.status();
  }
  duckdb::Connection& duckdb() { return connection_->duckdb(); }

 private:
  std::unique_ptr<engine::Connection> connection_;
};

class LakeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("arrowport-lake-" + NewRandomId());
    std::filesystem::create_directories(Root());
    Open(std::make_shared<FolderSource>(FolderSourceOptions{.root = Root()}));
  }
  void TearDown() override {
    session_.reset();
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open(std::shared_ptr<LogSource> source, int threads = 2) {
    session_.reset();
    database_.reset();
    engine::DatabaseOptions options;
    options.path = ":memory:";
    options.threads = threads;
    options.temp_directory = (folder_ / "spill").string();
    auto database = engine::Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *database;
    auto attached = Attach(*database_, std::move(source));
    ASSERT_TRUE(attached.ok()) << attached;
    session_ = std::make_unique<Session>(*database_);
  }

  std::string Root() const { return (folder_ / "lake").string(); }
  std::string Path(const std::string& table, const std::string& file = "") const {
    const auto folder = std::filesystem::path(Root()) / table;
    return (file.empty() ? folder : folder / file).string();
  }

  /// Writes version `version` of the table's log, one action a line.
  void Commit(const std::string& table, int64_t version, const Rows& actions) {
    const std::filesystem::path log = Path(table, "_delta_log");
    std::filesystem::create_directories(log);
    char name[32];
    std::snprintf(name, sizeof(name), "%020lld.json", static_cast<long long>(version));
    const auto hidden = log / ("." + std::string(name));
    {
      std::ofstream file(hidden);
      for (const std::string& action : actions) file << action << "\n";
    }
    std::filesystem::rename(hidden, log / name);
  }

  /// Parquet of `select` at `file` of the table, made by DuckDB.
  void Write(const std::string& table, const std::string& file,
             const std::string& select, const std::string& options = "") {
    std::filesystem::create_directories(
        std::filesystem::path(Path(table, file)).parent_path());
    session_->Run("COPY (" + select + ") TO " +
                  schema::QuoteLiteral(Path(table, file)) + " (FORMAT parquet" + options +
                  ")");
  }

  static std::string Quote(const std::string& text) {
    std::string quoted = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    return quoted + "\"";
  }
  /// A field of a schema; `type` is a name or a JSON object.
  static std::string Field(const std::string& name, const std::string& type,
                           const std::string& metadata = "{}") {
    return R"({"name":)" + Quote(name) + R"(,"type":)" +
           (type[0] == '{' ? type : Quote(type)) + R"(,"nullable":true,"metadata":)" + metadata + "}";
  }
  static std::string Struct(const Rows& fields) {
    std::string text = R"({"type":"struct","fields":[)";
    for (size_t i = 0; i < fields.size(); ++i) text += (i ? "," : "") + fields[i];
    return text + "]}";
  }
  static std::string DeletionVectorProtocol() {
    return Protocol(3, 7, R"(["deletionVectors"])");
  }
  static std::string Protocol(int reader = 1, int writer = 2,
                              const std::string& features = "") {
    std::string text = R"({"protocol":{"minReaderVersion":)" + std::to_string(reader) +
                       R"(,"minWriterVersion":)" + std::to_string(writer);
    if (!features.empty()) {
      text += R"(,"readerFeatures":)" + features + R"(,"writerFeatures":)" + features;
    }
    return text + "}}";
  }
  static std::string Metadata(const Rows& fields, const Rows& partition_columns = {},
                              const std::string& configuration = "{}") {
    std::string partitions;
    for (const auto& name : partition_columns) {
      partitions += (partitions.empty() ? "" : ",") + Quote(name);
    }
    return R"({"metaData":{"id":"5fba94ed-9794-4965-ba6e-6ee3c0d22af9",)"
           R"("format":{"provider":"parquet","options":{}},"schemaString":)" +
           Quote(Struct(fields)) + R"(,"partitionColumns":[)" + partitions +
           R"(],"configuration":)" + configuration + R"(,"createdTime":0}})";
  }
  /// `stats` and `partition` are JSON objects; `more` further members, each with a comma
  /// in front.
  static std::string Add(const std::string& path, const std::string& stats = "",
                         const std::string& partition = "{}",
                         const std::string& more = "") {
    std::string text = R"({"add":{"path":)" + Quote(path) + R"(,"partitionValues":)" +
                       partition + R"(,"size":1,"modificationTime":0,"dataChange":true)";
    if (!stats.empty()) text += R"(,"stats":)" + Quote(stats);
    return text + more + "}}";
  }
  /// A member of add and remove that deletes `rows` (ascending), with the bitmap in the
  /// log: one array container. Source: Delta protocol, "Deletion Vector Format".
  static std::string DeletionVector(const std::vector<uint16_t>& rows) {
    std::string blob;
    const auto put = [&](uint64_t value, int bytes) {
      for (int i = 0; i < bytes; ++i) blob += static_cast<char>(value >> (8 * i));
    };
    put(1681511377, 4);  // magic number
    put(1, 8);           // bitmaps
    put(0, 4);           // key of the first
    put(12346, 4);       // without runs
    put(1, 4);           // containers
    put(0, 2);
    put(rows.size() - 1, 2);
    put(16, 4);  // where it begins
    for (uint16_t row : rows) put(row, 2);
    const size_t size = blob.size();
    blob.resize((size + 3) / 4 * 4);
    return R"(,"deletionVector":{"storageType":"i","pathOrInlineDv":)" +
           Quote(Z85(blob)) + R"(,"sizeInBytes":)" + std::to_string(size) +
           R"(,"cardinality":)" + std::to_string(rows.size()) + "}";
  }
  static std::string Z85(const std::string& bytes) {
    static const std::string kDigits =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{"
        "}@%$#";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += 4) {
      uint32_t value = 0;
      for (size_t j = 0; j < 4; ++j) {
        value = value << 8 | static_cast<uint8_t>(bytes[i + j]);
      }
      std::string digits(5, '0');
      for (int j = 4; j >= 0; --j, value /= 85) digits[j] = kDigits[value % 85];
      text += digits;
    }
    return text;
  }
  static std::string Remove(const std::string& path, const std::string& more = "") {
    return R"({"remove":{"path":)" + Quote(path) +
           R"(,"deletionTimestamp":0,"dataChange":true)" + more + "}}";
  }

  std::filesystem::path folder_;
  std::shared_ptr<engine::Database> database_;
  std::unique_ptr<Session> session_;
};

}  // namespace arrowport::lake
