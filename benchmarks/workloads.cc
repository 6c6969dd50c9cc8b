#include "workloads.h"

#include <arrow/api.h>
#include <arrow/c/bridge.h>

#include <array>
#include <duckdb.hpp>
#include <duckdb/common/arrow/result_arrow_wrapper.hpp>
#include <random>

namespace arrowport::bench {

namespace {

using arrow::Result;
using arrow::Status;

template <typename Make>
Result<Batches> Cut(int64_t rows, int64_t batch_rows, Make&& make) {
  Batches batches;
  for (int64_t first = 0; first < rows; first += batch_rows) {
    ARROW_ASSIGN_OR_RAISE(auto batch, make(first, std::min(batch_rows, rows - first)));
    batches.push_back(std::move(batch));
  }
  return batches;
}

template <typename Builder, typename Value>
Result<std::shared_ptr<arrow::Array>> Column(Builder&& builder, int64_t rows,
                                             double null_share, std::mt19937_64& random,
                                             Value&& value) {
  std::bernoulli_distribution is_null(null_share);
  ARROW_RETURN_NOT_OK(builder.Reserve(rows));
  for (int64_t row = 0; row < rows; ++row) {
    if (null_share > 0 && is_null(random)) {
      ARROW_RETURN_NOT_OK(builder.AppendNull());
    } else {
      ARROW_RETURN_NOT_OK(builder.Append(value(row)));
    }
  }
  return builder.Finish();
}

Result<std::shared_ptr<arrow::Array>> WideColumn(int kind, int64_t first, int64_t rows,
                                                 std::mt19937_64& random) {
  constexpr double kNulls = 0.1;
  auto* pool = arrow::default_memory_pool();
  auto number = [&](int64_t) { return static_cast<int64_t>(random() % 1'000'000); };
  switch (kind % 8) {
    case 0:
      return Column(arrow::Int64Builder(), rows, kNulls, random, number);
    case 1:
      return Column(arrow::Int32Builder(), rows, kNulls, random, number);
    case 2:
      return Column(arrow::DoubleBuilder(), rows, kNulls, random,
                    [&](int64_t) { return static_cast<double>(random() % 10'000) / 7; });
    case 3:
      return Column(arrow::BooleanBuilder(), rows, kNulls, random,
                    [&](int64_t) { return random() % 2 == 0; });
    case 4:
      return Column(arrow::Date32Builder(), rows, kNulls, random,
                    [&](int64_t) { return static_cast<int32_t>(random() % 20'000); });
    case 5:
      return Column(
          arrow::TimestampBuilder(arrow::timestamp(arrow::TimeUnit::MICRO), pool), rows,
          kNulls, random, [&](int64_t row) { return (first + row) * 1'000'000; });
    case 6:
      return Column(arrow::StringBuilder(), rows, kNulls, random,
                    [&](int64_t) { return "value " + std::to_string(random() % 5'000); });
    default:
      return Column(arrow::FloatBuilder(), rows, kNulls, random,
                    [&](int64_t) { return static_cast<float>(random() % 1000) / 3; });
  }
}

Result<Batches> Drain(duckdb::unique_ptr<duckdb::QueryResult> result, int64_t batch_rows) {
  if (result->HasError()) return Status::Invalid(result->GetError());
  auto* wrapper = new duckdb::ResultArrowArrayStreamWrapper(
      std::move(result), static_cast<duckdb::idx_t>(batch_rows));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(&wrapper->stream));
  ARROW_ASSIGN_OR_RAISE(auto batches, reader->ToRecordBatches());
  return batches;
}

// Rows with lineitem's types, cardinalities and widths, for machines without the extension.
constexpr const char* kLineitemShape = R"(
  SELECT (i / 4 + 1)::BIGINT AS l_orderkey, (random() * 200000)::BIGINT AS l_partkey,
    (random() * 10000)::BIGINT AS l_suppkey, (i % 7 + 1)::BIGINT AS l_linenumber,
    (1 + i % 50)::DECIMAL(15,2) AS l_quantity,
    (random() * 100000)::DECIMAL(15,2) AS l_extendedprice,
    (random() * 0.1)::DECIMAL(15,2) AS l_discount, (random() * 0.08)::DECIMAL(15,2) AS l_tax,
    ['A', 'N', 'R'][1 + i % 3] AS l_returnflag, ['O', 'F'][1 + i % 2] AS l_linestatus,
    DATE '1992-01-01' + (random() * 2500)::INT AS l_shipdate,
    DATE '1992-01-01' + (random() * 2500)::INT AS l_commitdate,
    DATE '1992-01-01' + (random() * 2500)::INT AS l_receiptdate,
    ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][1 + i % 4]
      AS l_shipinstruct,
    ['AIR', 'MAIL', 'SHIP', 'TRUCK', 'RAIL', 'FOB', 'REG AIR'][1 + i % 7] AS l_shipmode,
    left(md5(i::VARCHAR) || md5((i + 1)::VARCHAR), 10 + (i % 34)::INT) AS l_comment
  FROM range()";

}  // namespace

int64_t Workload::rows() const {
  int64_t total = 0;
  for (const auto& batch : batches) total += batch->num_rows();
  return total;
}

int64_t Workload::bytes() const {
  int64_t total = 0;
  for (const auto& batch : batches) {
    for (const auto& column : batch->column_data()) {
      for (const auto& buffer : column->buffers) total += buffer ? buffer->size() : 0;
      if (column->dictionary) {
        for (const auto& buffer : column->dictionary->buffers) {
          total += buffer ? buffer->size() : 0;
        }
      }
    }
  }
  return total;
}

Result<Workload> MakeDocumented(int64_t rows, int64_t batch_rows) {
  std::mt19937_64 random(1);
  auto schema = arrow::schema({arrow::field("id", arrow::int64()),
                               arrow::field("timestamp", arrow::int64()),
                               arrow::field("value", arrow::float64()),
                               arrow::field("category", arrow::utf8()),
                               arrow::field("metric", arrow::float64())});
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(0, 100);
  auto make = [&](int64_t first,
                  int64_t count) -> Result<std::shared_ptr<arrow::RecordBatch>> {
    std::vector<std::shared_ptr<arrow::Array>> columns(5);
    ARROW_ASSIGN_OR_RAISE(columns[0],
                          Column(arrow::Int64Builder(), count, 0, random,
                                 [&](int64_t row) { return first + row; }));
    ARROW_ASSIGN_OR_RAISE(
        columns[1],
        Column(arrow::Int64Builder(), count, 0, random,
               [&](int64_t row) { return 1'700'000'000'000 + (first + row) * 1000; }));
    ARROW_ASSIGN_OR_RAISE(columns[2], Column(arrow::DoubleBuilder(), count, 0, random,
                                             [&](int64_t) { return normal(random); }));
    ARROW_ASSIGN_OR_RAISE(columns[3],
                          Column(arrow::StringBuilder(), count, 0, random, [&](int64_t) {
                            return std::string(1, "ABCD"[random() % 4]);
                          }));
    ARROW_ASSIGN_OR_RAISE(columns[4], Column(arrow::DoubleBuilder(), count, 0, random,
                                             [&](int64_t) { return uniform(random); }));
    return arrow::RecordBatch::Make(schema, count, std::move(columns));
  };
  Workload workload;
  workload.name = "W1 " + std::to_string(rows) + " rows";
  ARROW_ASSIGN_OR_RAISE(workload.batches, Cut(rows, batch_rows, make));
  return workload;
}

Result<Workload> MakeWide(int64_t rows, int64_t batch_rows) {
  constexpr int kColumns = 200;
  std::mt19937_64 random(3);
  auto make = [&](int64_t first,
                  int64_t count) -> Result<std::shared_ptr<arrow::RecordBatch>> {
    std::vector<std::shared_ptr<arrow::Array>> columns;
    arrow::FieldVector fields;
    for (int column = 0; column < kColumns; ++column) {
      ARROW_ASSIGN_OR_RAISE(auto array, WideColumn(column, first, count, random));
      fields.push_back(arrow::field("column_" + std::to_string(column), array->type()));
      columns.push_back(std::move(array));
    }
    return arrow::RecordBatch::Make(arrow::schema(fields), count, std::move(columns));
  };
  Workload workload;
  workload.name = "W3 wide, " + std::to_string(rows) + " rows";
  ARROW_ASSIGN_OR_RAISE(workload.batches, Cut(rows, batch_rows, make));
  return workload;
}

Result<Workload> MakeText(int64_t rows, int64_t batch_rows) {
  constexpr int kWords = 100;
  std::mt19937_64 random(5);
  arrow::StringBuilder words;
  for (int word = 0; word < kWords; ++word) {
    ARROW_RETURN_NOT_OK(words.Append("category number " + std::to_string(word)));
  }
  ARROW_ASSIGN_OR_RAISE(auto dictionary, words.Finish());
  auto type = arrow::dictionary(arrow::int32(), arrow::utf8());
  auto make = [&](int64_t first,
                  int64_t count) -> Result<std::shared_ptr<arrow::RecordBatch>> {
    ARROW_ASSIGN_OR_RAISE(
        auto unique, Column(arrow::StringBuilder(), count, 0, random, [&](int64_t row) {
          std::string text = std::to_string(first + row) + " ";
          size_t length = 8 + random() % 193;
          while (text.size() < length) {
            text.push_back(static_cast<char>('a' + random() % 26));
          }
          return text;
        }));
    ARROW_ASSIGN_OR_RAISE(auto indices, Column(arrow::Int32Builder(), count, 0, random,
                                               [&](int64_t) { return random() % kWords; }));
    ARROW_ASSIGN_OR_RAISE(auto word,
                          arrow::DictionaryArray::FromArrays(type, indices, dictionary));
    auto schema = arrow::schema({arrow::field("unique_text", arrow::utf8()),
                                 arrow::field("word", type)});
    return arrow::RecordBatch::Make(schema, count, {unique, word});
  };
  Workload workload;
  workload.name = "W5 text, " + std::to_string(rows) + " rows";
  ARROW_ASSIGN_OR_RAISE(workload.batches, Cut(rows, batch_rows, make));
  return workload;
}

Result<Workload> MakeLineitem(double scale, int64_t batch_rows,
                              const std::string& extension) {
  Workload workload;
  duckdb::DuckDB database(nullptr);
  duckdb::Connection connection(database);
  std::string sql = "SELECT * FROM lineitem";
  bool generated = false;
  if (!extension.empty()) {
    auto loaded = connection.Query("LOAD '" + extension + "'");
    if (!loaded->HasError()) {
      auto made = connection.Query("CALL dbgen(sf = " + std::to_string(scale) + ")");
      generated = !made->HasError();
    }
  }
  if (!generated) {
    auto rows = static_cast<int64_t>(6'000'000 * scale);
    sql = kLineitemShape + std::to_string(rows) + ") t(i)";
  }
  ARROW_ASSIGN_OR_RAISE(workload.batches, Drain(connection.SendQuery(sql), batch_rows));
  workload.name = "W6 lineitem, " + std::to_string(workload.rows()) + " rows";
  workload.note = generated ? "dbgen of the tpch extension"
                            : "rows of lineitem's shape (the tpch extension is not there)";
  return workload;
}

}  // namespace arrowport::bench
