// The DuckDB sink against DuckDB alone in the same process: the best ways of inserting
// Arrow data into it (the `arrow_scan` relation, the appender, a bulk `arrow_scan` over
// row-group slices), with no ledger, against DuckDbSink with and without a key.
//
// Ways are interleaved and their order turns around every round; the figure is the median
// of the ratios within a round. Usage: duckdb_insert [rounds] [folder for files]
#include <arrow/api.h>
#include <arrow/c/bridge.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <duckdb.hpp>
#include <duckdb/common/arrow/arrow_wrapper.hpp>
#include <duckdb/function/table/arrow.hpp>
#include <duckdb/main/appender.hpp>
#include <duckdb/main/relation.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "sink/duckdb/duckdb_sink.h"

namespace arrowport::sink {
namespace {

using BatchPtr = std::shared_ptr<arrow::RecordBatch>;
using Seconds = std::chrono::duration<double>;

constexpr int64_t kSliceRows = 122880;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}
void Check(const arrow::Status& status) {
  if (!status.ok()) Die(status.ToString());
}

BatchPtr MakeRows(int64_t rows) {
  arrow::Int64Builder id, timestamp;
  arrow::DoubleBuilder value, metric;
  arrow::StringBuilder category;
  for (int64_t i = 0; i < rows; ++i) {
    Check(id.Append(i));
    Check(timestamp.Append(1700000000000000 + i));
    Check(value.Append(static_cast<double>(i) * 0.37));
    Check(category.Append(std::string(1, static_cast<char>('A' + i * 7 % 4))));
    Check(metric.Append(static_cast<double>(i % 1000) * 1.25));
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("timestamp", arrow::int64()),
       arrow::field("value", arrow::float64()), arrow::field("category", arrow::utf8()),
       arrow::field("metric", arrow::float64())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *value.Finish(),
                                   *category.Finish(), *metric.Finish()});
}

std::vector<BatchPtr> Slices(const BatchPtr& batch) {
  std::vector<BatchPtr> slices;
  for (int64_t at = 0; at < batch->num_rows(); at += kSliceRows) {
    slices.push_back(batch->Slice(at, kSliceRows));
  }
  return slices;
}

/// One storage, one table, `units` of `rows` each per transaction.
struct Setting {
  bool file;
  int64_t rows;
  int units;
  int transactions;
};

struct Stage {
  std::shared_ptr<engine::Database> database;
  std::unique_ptr<DuckDbSink> sink;
  std::unique_ptr<engine::Connection> connection;
  std::shared_ptr<const Table> table;
  std::vector<BatchPtr> unit;
  int64_t keys = 0;
};

struct Factory {
  const std::vector<BatchPtr>* batches;
};

duckdb::unique_ptr<duckdb::ArrowArrayStreamWrapper> Produce(
    uintptr_t factory, duckdb::ArrowStreamParameters&) {
  auto stream = duckdb::make_uniq<duckdb::ArrowArrayStreamWrapper>();
  const auto& batches = *reinterpret_cast<Factory*>(factory)->batches;
  auto reader = arrow::RecordBatchReader::Make(batches);
  Check(arrow::ExportRecordBatchReader(*reader, &stream->arrow_array_stream));
  return stream;
}

void GetSchema(ArrowArrayStream* factory, ArrowSchema& schema) {
  const auto& batches = *reinterpret_cast<Factory*>(factory)->batches;
  Check(arrow::ExportSchema(*batches.front()->schema(), &schema));
}

void ByRelation(Stage& stage, const Setting& setting) {
  std::vector<BatchPtr> all;
  for (int i = 0; i < setting.units; ++i) {
    all.insert(all.end(), stage.unit.begin(), stage.unit.end());
  }
  Factory factory{&all};
  auto pointer = [](auto value) {
    return duckdb::Value::POINTER(reinterpret_cast<uintptr_t>(value));
  };
  duckdb::Connection& connection = stage.connection->duckdb();
  connection.BeginTransaction();
  connection
      .TableFunction("arrow_scan",
                     {pointer(&factory), pointer(&Produce), pointer(&GetSchema)})
      ->Insert(stage.database->catalog(), "main", "t");
  connection.Commit();
}

void ByAppender(Stage& stage, const Setting& setting) {
  duckdb::Connection& connection = stage.connection->duckdb();
  duckdb::ArrowSchemaWrapper schema;
  Check(arrow::ExportSchema(*stage.unit.front()->schema(), &schema.arrow_schema));
  duckdb::ArrowTableSchema columns;
  duckdb::ArrowTableFunction::PopulateArrowTableSchema(*connection.context, columns,
                                                       schema.arrow_schema);
  connection.BeginTransaction();
  duckdb::Appender appender(connection, stage.database->catalog(), "main", "t");
  duckdb::DataChunk chunk;
  chunk.Initialize(duckdb::Allocator::DefaultAllocator(), columns.GetTypes());
  for (int i = 0; i < setting.units; ++i) {
    for (const BatchPtr& batch : stage.unit) {
      duckdb::ArrowScanLocalState scan(duckdb::make_uniq<duckdb::ArrowArrayWrapper>(),
                                       *connection.context);
      Check(arrow::ExportRecordBatch(*batch, &scan.chunk->arrow_array));
      while (scan.chunk_offset < static_cast<duckdb::idx_t>(batch->num_rows())) {
        const auto rows = std::min<duckdb::idx_t>(
            STANDARD_VECTOR_SIZE,
            static_cast<duckdb::idx_t>(batch->num_rows()) - scan.chunk_offset);
        chunk.Reset();
        chunk.SetCardinality(rows);
        duckdb::ArrowTableFunction::ArrowToDuckDB(scan, columns.GetColumns(), chunk);
        appender.AppendDataChunk(chunk);
        scan.chunk_offset += rows;
      }
    }
  }
  appender.Close();
  connection.Commit();
}

enum class Ledger { kNone, kKeys };

void BySink(Stage& stage, const Setting& setting, Ledger ledger) {
  std::vector<WriteUnit> units;
  for (int i = 0; i < setting.units; ++i) {
    WriteUnit& unit = units.emplace_back();
    unit.table = stage.table;
    unit.batches = stage.unit;
    if (ledger == Ledger::kNone) continue;
    LedgerEntry& entry = unit.ledger.emplace();
    entry.table = "t";
    entry.key = "key-" + std::to_string(stage.keys++);
    entry.sha256 = std::string(32, '\x5a');
    entry.rows = setting.rows;
  }
  for (const WriteOutcome& outcome : stage.sink->CommitGroup(units)) {
    Check(outcome.status);
  }
}

struct Way {
  const char* name;
  std::function<void(Stage&, const Setting&)> run;
};

const std::vector<Way>& Ways() {
  static const std::vector<Way> ways = {
      {"relation", ByRelation},
      {"appender", ByAppender},
      {"sink", [](Stage& s, const Setting& n) { BySink(s, n, Ledger::kNone); }},
      {"sink+key", [](Stage& s, const Setting& n) { BySink(s, n, Ledger::kKeys); }},
  };
  return ways;
}

double TimeOf(const Way& way, const Setting& setting, const std::string& folder) {
  const auto home = std::filesystem::path(folder) / ("bench_" + NewRandomId());
  std::filesystem::create_directory(home);
  engine::DatabaseOptions options;
  options.path = setting.file ? (home / "bench.duckdb").string() : ":memory:";
  Stage stage;
  stage.database = engine::Database::Open(options).ValueOrDie();
  stage.sink = DuckDbSink::Make(stage.database).ValueOrDie();
  stage.connection = stage.database->Connect().ValueOrDie();
  const BatchPtr rows = MakeRows(setting.rows);
  stage.unit = Slices(rows);
  stage.table = stage.sink->Create({"main", "t"}, *rows->schema()).ValueOrDie();
  way.run(stage, setting);  // plans, first touch
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < setting.transactions; ++i) way.run(stage, setting);
  const double seconds = Seconds(std::chrono::steady_clock::now() - start).count();
  stage.connection.reset();
  stage.sink.reset();
  stage.database.reset();
  std::filesystem::remove_all(home);
  return seconds;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Compare(const Setting& setting, int rounds, const std::string& folder) {
  std::vector<std::vector<double>> seconds(Ways().size());
  for (int round = 0; round < rounds; ++round) {
    std::vector<size_t> order(Ways().size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (round % 2 == 1) std::reverse(order.begin(), order.end());
    for (size_t way : order) {
      seconds[way].push_back(TimeOf(Ways()[way], setting, folder));
    }
  }
  std::printf("%-6s %8lld rows x %2d units:", setting.file ? "file" : "memory",
              static_cast<long long>(setting.rows), setting.units);
  for (size_t way = 0; way < Ways().size(); ++way) {
    std::vector<double> against_best;
    for (int round = 0; round < rounds; ++round) {
      const auto at = static_cast<size_t>(round);
      const double best = std::min(seconds[0][at], seconds[1][at]);
      against_best.push_back(best / seconds[way][at]);
    }
    const double rows =
        static_cast<double>(setting.rows) * setting.units * setting.transactions;
    std::printf("  %s %.2f Mrow/s (%.2fx)", Ways()[way].name,
                rows / Median(seconds[way]) / 1e6, Median(against_best));
  }
  std::printf("\n");
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  const std::string folder =
      argc > 2 ? argv[2] : std::filesystem::temp_directory_path().string();
  std::printf(
      "(n x): speed against the faster lone way of the same round, median of %d "
      "rounds\n",
      rounds);
  for (bool file : {false, true}) {
    Compare({file, 1000, 1, 300}, rounds, folder);
    Compare({file, 1000, 16, 40}, rounds, folder);
    Compare({file, 1000, 64, 15}, rounds, folder);
    Compare({file, 100000, 1, 8}, rounds, folder);
    Compare({file, 1000000, 1, 2}, rounds, folder);
  }
  return 0;
}

}  // namespace
}  // namespace arrowport::sink

int main(int argc, char** argv) { return arrowport::sink::Main(argc, argv); }
