// How fast rows of the bench schema leave DuckDB as Arrow record batches: ResultStream
// beside DuckDB's own streaming wrapper, alternating in one process.
// Usage: query_stream [million_rows] [rounds] [threads]
#include <arrow/api.h>
#include <arrow/c/bridge.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <duckdb.hpp>
#include <duckdb/common/arrow/result_arrow_wrapper.hpp>
#include <vector>

#include "base/error.h"
#include "engine/database.h"
#include "engine/result_stream.h"
#include "engine/statement.h"

namespace arrowport {
namespace {

using Clock = std::chrono::steady_clock;

struct Sample {
  double seconds = 0;
  double first_batch_ms = 0;
  int64_t rows = 0;
};

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

arrow::Result<Sample> OurStream(engine::Database& database, const std::string& sql) {
  Sample sample;
  ARROW_ASSIGN_OR_RAISE(auto connection, database.Connect());
  const auto start = Clock::now();
  ARROW_ASSIGN_OR_RAISE(auto statement, engine::Statement::Parse(*connection, sql));
  engine::ResultStream stream(std::move(connection), {});
  ARROW_RETURN_NOT_OK(stream.Start(*statement, {}));
  for (;;) {
    ARROW_ASSIGN_OR_RAISE(auto batch, stream.Next());
    if (!batch) break;
    if (sample.rows == 0) sample.first_batch_ms = Since(start) * 1e3;
    sample.rows += batch->num_rows();
  }
  sample.seconds = Since(start);
  return sample;
}

arrow::Result<Sample> DuckStream(engine::Database& database, const std::string& sql,
                                 int64_t batch_rows) {
  Sample sample;
  ARROW_ASSIGN_OR_RAISE(auto connection, database.Connect());
  const auto start = Clock::now();
  auto* wrapper = new duckdb::ResultArrowArrayStreamWrapper(
      connection->duckdb().SendQuery(sql), static_cast<duckdb::idx_t>(batch_rows));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(&wrapper->stream));
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader->ReadNext(&batch));
    if (!batch) break;
    if (sample.rows == 0) sample.first_batch_ms = Since(start) * 1e3;
    sample.rows += batch->num_rows();
  }
  sample.seconds = Since(start);
  return sample;
}

void Print(const char* name, std::vector<Sample> samples) {
  auto median = [&](auto member) {
    std::sort(samples.begin(), samples.end(),
              [&](const Sample& a, const Sample& b) { return a.*member < b.*member; });
    return samples[samples.size() / 2].*member;
  };
  const double rows = static_cast<double>(samples[0].rows);
  const double seconds = median(&Sample::seconds);
  std::printf("%-28s %7.1f Mrow/s   first batch %6.2f ms\n", name, rows / seconds / 1e6,
              median(&Sample::first_batch_ms));
}

arrow::Status Main(int million_rows, int rounds, int threads) {
  engine::DatabaseOptions options;
  options.path = ":memory:";
  options.threads = threads;
  ARROW_ASSIGN_OR_RAISE(auto database, engine::Database::Open(options));
  ARROW_ASSIGN_OR_RAISE(auto connection, database->Connect());
  ARROW_RETURN_NOT_OK(connection->Run(
      "CREATE TABLE bench AS SELECT i AS id, 1700000000000000 + i AS timestamp, "
      "i * 0.5 AS value, chr(65 + (i % 4)::INTEGER) AS category, "
      "random() AS metric FROM range(" +
      std::to_string(million_rows) + "000000) t(i)"));
  ARROW_RETURN_NOT_OK(
      connection->Run("ALTER TABLE bench ALTER value TYPE DOUBLE"));
  const std::string sql = "SELECT * FROM bench";
  std::vector<Sample> ours, duck2k, duck64k, one_row;
  for (int round = 0; round < rounds; ++round) {
    ARROW_ASSIGN_OR_RAISE(Sample a, OurStream(*database, sql));
    ARROW_ASSIGN_OR_RAISE(Sample b, DuckStream(*database, sql, 2048));
    ARROW_ASSIGN_OR_RAISE(Sample c, DuckStream(*database, sql, 65536));
    ARROW_ASSIGN_OR_RAISE(Sample d, OurStream(*database, "SELECT 1"));
    ours.push_back(a);
    duck2k.push_back(b);
    duck64k.push_back(c);
    one_row.push_back(d);
  }
  std::printf("%d M rows, median of %d rounds, %d threads (0: all)\n", million_rows,
              rounds, threads);
  Print("ResultStream", ours);
  Print("DuckDB wrapper, 2,048 rows", duck2k);
  Print("DuckDB wrapper, 65,536 rows", duck64k);
  std::printf("%-28s %7.3f ms\n", "SELECT 1", one_row[one_row.size() / 2].seconds * 1e3);
  return {};
}

}  // namespace
}  // namespace arrowport

int main(int argc, char** argv) {
  const int million_rows = argc > 1 ? std::atoi(argv[1]) : 10;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 0;
  auto status = arrowport::Main(million_rows, std::max(rounds, 1), threads);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
