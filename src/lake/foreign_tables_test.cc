// Tables that other writers made, read through SQL and compared with the rows that came
// with them.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lake/lake_fixture.h"

namespace arrowport::lake {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Folders by table name, wherever they are.
class NamedFolders : public LogSource {
 public:
  void Put(const std::string& name, const fs::path& folder) { folders_[name] = folder; }

  arrow::Result<std::vector<schema::TableName>> Tables() override {
    std::vector<schema::TableName> tables;
    for (const auto& [name, folder] : folders_) tables.push_back({"main", name});
    return tables;
  }
  arrow::Result<bool> HasSchema(std::string_view) override { return false; }
  arrow::Result<TableVersion> Load(const schema::TableName& name) override {
    ARROW_ASSIGN_OR_RAISE(TableVersion table, Open(name));
    ARROW_ASSIGN_OR_RAISE(table.snapshot, delta::LogReader(table.store).Load());
    return table;
  }
  arrow::Result<TableVersion> LoadVersion(const schema::TableName& name,
                                          int64_t version) override {
    ARROW_ASSIGN_OR_RAISE(TableVersion table, Open(name));
    ARROW_ASSIGN_OR_RAISE(table.snapshot, delta::LogReader(table.store).Load(version));
    return table;
  }
  arrow::Result<TableVersion> LoadAsOf(const schema::TableName& name,
                                       int64_t timestamp_ms) override {
    ARROW_ASSIGN_OR_RAISE(TableVersion table, Open(name));
    ARROW_ASSIGN_OR_RAISE(table.snapshot,
                          delta::LogReader(table.store).LoadAsOf(timestamp_ms));
    return table;
  }
  arrow::Result<lake::Commit> ReadCommit(const schema::TableName& name,
                                         int64_t version) override {
    ARROW_ASSIGN_OR_RAISE(TableVersion table, Open(name));
    lake::Commit commit{version, 0, {}};
    ARROW_ASSIGN_OR_RAISE(commit.actions,
                          delta::LogReader(table.store).ReadCommit(version));
    return commit;
  }

 private:
  arrow::Result<TableVersion> Open(const schema::TableName& name) const {
    auto found = folders_.find(name.table);
    if (found == folders_.end()) {
      return Error(ErrorCode::kTableNotFound, "no such table");
    }
    TableVersion table{name, nullptr, nullptr};
    ARROW_ASSIGN_OR_RAISE(table.store,
                          store::OpenLocalStore(found->second.string(),
                                                store::Durability::kMemory, false));
    return table;
  }

  std::map<std::string, fs::path> folders_;
};

class ForeignTables : public LakeTest {
 protected:
  void SetUp() override {
    LakeTest::SetUp();
    const char* shared = std::getenv("ARROWPORT_SHARED_DIR");
    shared_ = fs::path(shared == nullptr ? "" : shared) / "delta";
    if (shared == nullptr || !fs::exists(shared_ / "cases.json")) {
      GTEST_SKIP() << "the tables of other writers are not here (../shared/delta)";
    }
    std::ifstream file(shared_ / "cases.json");
    cases_ = json::parse(file)["cases"];
    auto source = std::make_shared<NamedFolders>();
    for (const json& one : cases_) {
      source->Put(one["name"], shared_ / one["table"].get<std::string>());
    }
    Open(source);
  }

  static std::string From(const json& one, const json& check) {
    const std::string name = one["name"];
    const std::string table = "delta." + schema::QuoteIdentifier(name);
    if (check.contains("cdf")) {
      std::string call = "delta_changes(" + schema::QuoteLiteral(name) + ", " +
                         check["cdf"][0].dump();
      if (!check["cdf"][1].is_null()) call += ", " + check["cdf"][1].dump();
      return call + ")";
    }
    if (check.contains("as_of")) {
      return table + " AT (TIMESTAMP => TIMESTAMPTZ '" +
             check["as_of"].get<std::string>() + "')";
    }
    if (check["version"].is_null()) return table;
    return table + " AT (VERSION => " + check["version"].dump() + ")";
  }

  /// What is wrong with one check, or "".
  std::string Differs(const json& one, const json& check) {
    const std::string from = From(one, check);
    const std::string want = "read_parquet(" +
                             schema::QuoteLiteral((shared_ / check["rows"]).string() +
                                                  "/*.parquet") +
                             ", hive_partitioning = false, union_by_name = true)";
    auto described = session_->TryRun("SELECT column_name, column_type FROM (DESCRIBE FROM " +
                                      from + ")");
    if (!described.ok()) return described.status().ToString();
    std::string ours, theirs;
    for (const std::string& row : *described) {
      const std::string name = row.substr(0, row.find('|'));
      const std::string type = row.substr(row.find('|') + 1);
      if (name == "_commit_timestamp") continue;
      const std::string column = schema::QuoteIdentifier(name);
      const bool is_map = type.rfind("MAP", 0) == 0 && type.back() == ')';
      const auto text = [&](const std::string& value) {
        return is_map ? "list_sort(map_entries(" + value + "))::VARCHAR" : value;
      };
      ours += (ours.empty() ? "" : ", ") + text(column);
      theirs += (theirs.empty() ? "" : ", ") + text("CAST(" + column + " AS " + type + ")");
    }
    for (bool forward : {true, false}) {
      const std::string a = "SELECT " + ours + " FROM " + from;
      const std::string b = "SELECT " + theirs + " FROM " + want;
      auto rest = session_->TryRun((forward ? a : b) + " EXCEPT ALL " +
                                   (forward ? b : a) + " LIMIT 3");
      if (!rest.ok()) return rest.status().ToString();
      if (!rest->empty()) {
        return (forward ? "rows too many: " : "rows missing: ") + (*rest)[0];
      }
    }
    auto counted = session_->TryRun("SELECT (SELECT count(*) FROM " + from +
                                    ") = (SELECT count(*) FROM " + want + ")");
    if (!counted.ok()) return counted.status().ToString();
    return (*counted)[0] == "true" ? "" : "count(*) differs";
  }

  fs::path shared_;
  json cases_;
};

TEST_F(ForeignTables, RowsAreAsExpected) {
  int checked = 0;
  for (const json& one : cases_) {
    if (one.contains("refuse") || one.contains("log_only")) continue;
    const std::string name = one["name"];
    for (const json& check : one["expected"]) {
      const std::string problem = Differs(one, check);
      // A feature that is not built must be refused by name; that is no wrong answer.
      if (one.contains("refusing_is_fine_too") &&
          problem.find("NotImplemented") != std::string::npos) {
        continue;
      }
      EXPECT_EQ(problem, "") << name << " " << check.dump();
      ++checked;
    }
  }
  EXPECT_GT(checked, 200);
}

TEST_F(ForeignTables, WhatCannotBeReadIsRefused) {
  for (const json& one : cases_) {
    if (!one.contains("refuse")) continue;
    const std::string name = one["name"];
    auto rows = session_->TryRun("SELECT * FROM delta." + schema::QuoteIdentifier(name));
    EXPECT_FALSE(rows.ok()) << name;
    if (rows.ok()) continue;
    EXPECT_NE(CodeOf(rows.status()), ErrorCode::kInternal) << name << rows.status();
  }
  EXPECT_EQ(session_->Value("SELECT 1"), "1");  // the database is still in order
}

TEST_F(ForeignTables, ListingSkipsWhatCannotBeRead) {
  EXPECT_GT(session_->Run("SELECT table_name FROM duckdb_tables() WHERE "
                          "database_name = 'delta'")
                .size(),
            150u);
}

}  // namespace
}  // namespace arrowport::lake
