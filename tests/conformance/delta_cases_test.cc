// Every table of the shared collection of foreign Delta tables: read as expected, or
// refused for the stated reason.
#include <arrow/api.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "delta/change_feed.h"
#include "delta/partition_value.h"
#include "delta/snapshot.h"
#include "delta/table_reader.h"

namespace arrowport::delta {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ::testing::HasSubstr;

fs::path CollectionDir() {
  const char* shared = std::getenv("ARROWPORT_SHARED_DIR");
  return fs::path(shared != nullptr ? shared : "../shared") / "delta";
}

const Json& Cases() {
  static const Json cases = [] {
    std::ifstream file(CollectionDir() / "cases.json");
    const Json index = Json::parse(file, nullptr, false);
    return index.is_object() ? index["cases"] : Json::array();
  }();
  return cases;
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const Json& entry : Cases()) names.push_back(entry["name"]);
  if (names.empty()) names.push_back("collection_absent");
  return names;
}

/// A value as text in which equal values of equal types are equal texts.
std::string ValueText(const arrow::Array& array, int64_t row);

std::string FloatText(double value) {
  if (std::isnan(value)) return "NaN";
  return value == 0 ? "0" : fmt::format("{}", value);
}

std::string ListText(const arrow::Array& values, int64_t begin, int64_t end, bool sorted) {
  std::vector<std::string> items;
  for (int64_t i = begin; i < end; ++i) items.push_back(ValueText(values, i));
  if (sorted) std::sort(items.begin(), items.end());
  std::string text = "[";
  for (const std::string& item : items) text += item + ",";
  return text + "]";
}

std::string StructText(const arrow::StructArray& array, int64_t row) {
  std::string text = "{";
  for (int i = 0; i < array.num_fields(); ++i) {
    text += array.struct_type()->field(i)->name() + ":" + ValueText(*array.field(i), row) + ",";
  }
  return text + "}";
}

std::string ValueText(const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) return "null";
  switch (array.type_id()) {
    case arrow::Type::FLOAT:
      return "f" + FloatText(static_cast<const arrow::FloatArray&>(array).Value(row));
    case arrow::Type::DOUBLE:
      return "d" + FloatText(static_cast<const arrow::DoubleArray&>(array).Value(row));
    case arrow::Type::STRING_VIEW:
      return "string:" + (*array.GetScalar(row))->ToString();
    case arrow::Type::STRUCT:
      return StructText(static_cast<const arrow::StructArray&>(array), row);
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      return ListText(*list.values(), list.value_offset(row), list.value_offset(row + 1),
                      false);
    }
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapArray&>(array);
      return ListText(*map.values(), map.value_offset(row), map.value_offset(row + 1), true);
    }
    case arrow::Type::TIMESTAMP: {
      const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
      const int64_t value = static_cast<const arrow::TimestampArray&>(array).Value(row);
      const int64_t micros = type.unit() == arrow::TimeUnit::NANO    ? value / 1000
                             : type.unit() == arrow::TimeUnit::MILLI ? value * 1000
                                                                     : value;
      return (type.timezone().empty() ? "ntz" : "utc") + std::to_string(micros);
    }
    default:
      return array.type()->ToString() + ":" + (*array.GetScalar(row))->ToString();
  }
}

/// The rows as sorted texts, columns in the order of `columns`.
void AppendRows(const arrow::RecordBatch& batch, const std::vector<std::string>& columns,
                std::vector<std::string>* rows) {
  const auto structs = *batch.ToStructArray();
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (const std::string& name : columns) {
    const int index = structs->struct_type()->GetFieldIndex(name);
    ASSERT_GE(index, 0) << "no column " << name << " in " << batch.schema()->ToString();
    arrays.push_back(structs->field(index));
  }
  for (int64_t row = 0; row < batch.num_rows(); ++row) {
    std::string text;
    for (const auto& array : arrays) text += ValueText(*array, row) + " | ";
    rows->push_back(std::move(text));
  }
}

struct Rows {
  std::vector<std::string> columns;
  std::vector<std::string> rows;
};

arrow::Result<Rows> ReadExpected(const fs::path& folder) {
  Rows expected;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".parquet") continue;
    parquet::ArrowReaderProperties properties;
    properties.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(builder.OpenFile(entry.path().string()));
    builder.properties(properties);
    ARROW_ASSIGN_OR_RAISE(auto reader, builder.Build());
    ARROW_ASSIGN_OR_RAISE(auto batches, reader->GetRecordBatchReader());
    expected.columns = batches->schema()->field_names();
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(batches->ReadNext(&batch));
      if (batch == nullptr) break;
      AppendRows(*batch, expected.columns, &expected.rows);
    }
  }
  std::sort(expected.rows.begin(), expected.rows.end());
  return expected;
}

arrow::Result<std::vector<std::string>> ReadRows(arrow::RecordBatchReader& reader,
                                                 const std::vector<std::string>& columns) {
  std::vector<std::string> rows;
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (batch == nullptr) break;
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    AppendRows(*batch, columns, &rows);
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

class DeltaCases : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const Json& entry : Cases()) {
      if (entry["name"] == GetParam()) case_ = entry;
    }
    if (case_.is_null()) {
      GTEST_SKIP() << "the shared collection of tables is absent: " << CollectionDir();
    }
    const fs::path table = CollectionDir() / case_["table"].get<std::string>();
    auto opened = store::OpenLocalStore(table.string(), store::Durability::kMemory, false);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = *opened;
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> Open(const Json& check) {
    const LogReader log(store_);
    if (check.contains("cdf")) {
      const Json& range = check["cdf"];
      return ReadChanges(store_, range[0],
                         range[1].is_null() ? std::nullopt
                                            : std::optional<int64_t>(range[1]));
    }
    std::shared_ptr<const Snapshot> snapshot;
    if (check.contains("as_of")) {
      const auto micros = ParseTimestampText(check["as_of"].get<std::string>());
      ARROW_ASSIGN_OR_RAISE(snapshot, log.LoadAsOf(micros.value() / 1000));
      EXPECT_EQ(snapshot->version(), check["resolves_to"]);
    } else if (check["version"].is_null()) {
      ARROW_ASSIGN_OR_RAISE(snapshot, log.Load());
      CheckFacts(*snapshot);
    } else {
      ARROW_ASSIGN_OR_RAISE(snapshot, log.Load(check["version"].get<int64_t>()));
      EXPECT_EQ(snapshot->version(), check["version"]);
    }
    return ReadTable(store_, std::move(snapshot));
  }

  void CheckFacts(const Snapshot& snapshot) {
    const TableState& state = snapshot.state();
    if (!case_.contains("version")) return;
    EXPECT_EQ(snapshot.version(), case_["version"]);
    // Where the files of log compaction contradict the commits, the index counts by them.
    const Json& capabilities = case_["capabilities"];
    if (std::find(capabilities.begin(), capabilities.end(), "logCompaction") ==
        capabilities.end()) {
      EXPECT_EQ(snapshot.file_count(), case_["num_files"]);
    }
    EXPECT_EQ(state.metadata.id, case_["table_id"].get<std::string>());
    EXPECT_EQ(state.protocol.min_reader_version, case_["min_reader"]);
    EXPECT_EQ(state.protocol.min_writer_version, case_["min_writer"]);
    EXPECT_EQ(state.metadata.partition_columns,
              case_["partition_columns"].get<std::vector<std::string>>());
    if (case_["schema"].is_null()) return;
    const auto schema = ParseSchema(case_["schema"].dump());
    ASSERT_TRUE(schema.ok()) << schema.status().ToString();
    EXPECT_EQ(state.schema->ToString(), (*schema)->ToString());
  }

  void CheckRows(const Json& check) {
    SCOPED_TRACE(check.dump());
    const auto expected =
        ReadExpected(CollectionDir() / check["rows"].get<std::string>());
    ASSERT_TRUE(expected.ok()) << expected.status().ToString();
    auto reader = Open(check);
    if (!reader.ok() && case_.contains("refusing_is_fine_too")) return;
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    const auto rows = ReadRows(**reader, expected->columns);
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    ASSERT_EQ(rows->size(), expected->rows.size());
    for (size_t i = 0; i < rows->size(); ++i) ASSERT_EQ((*rows)[i], expected->rows[i]);
  }

  void CheckRefused() {
    const auto refuse = case_["refuse"].get<std::string>();
    auto reader = Open(Json{{"version", nullptr}});
    arrow::Status status = reader.status();
    if (status.ok()) status = ReadRows(**reader, {}).status();
    ASSERT_FALSE(status.ok()) << "returned rows instead of refusing: " << refuse;
    EXPECT_THAT(status.message(), HasSubstr(refuse));
    EXPECT_NE(CodeOf(status), ErrorCode::kInternal);
  }

  void CheckLog() {
    const auto snapshot = LogReader(store_).Load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.status().ToString();
    CheckFacts(**snapshot);
    std::vector<std::string> paths;
    (*snapshot)->VisitFiles(
        [&](int64_t, const AddFile& file) { paths.push_back(file.path); });
    EXPECT_THAT(paths, ::testing::UnorderedElementsAreArray(
                           case_["active_paths"].get<std::vector<std::string>>()));
  }

  Json case_;
  std::shared_ptr<store::Store> store_;
};

TEST_P(DeltaCases, ReadsOrRefuses) {
  if (case_.contains("refuse")) return CheckRefused();
  if (case_.value("log_only", false)) return CheckLog();
  ASSERT_FALSE(case_["expected"].empty());
  for (const Json& check : case_["expected"]) CheckRows(check);
}

INSTANTIATE_TEST_SUITE_P(Collection, DeltaCases, ::testing::ValuesIn(CaseNames()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace arrowport::delta
