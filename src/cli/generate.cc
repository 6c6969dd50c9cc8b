#include <arrow/io/file.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>

#include <cstdio>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/app.h"
#include "cli/progress.h"
#include "cli/sample_data.h"

namespace arrowport::cli {
namespace {

// DuckDB's row group; also what bounds the memory, whatever the size of the file.
constexpr int64_t kBatchRows = 122880;

struct GenerateOptions {
  int64_t rows = 100000;
  std::string path = "sample_data.parquet";
  std::string compression = "snappy";
  uint64_t seed = 0;
};

parquet::Compression::type CodecOf(const std::string& name) {
  if (name == "zstd") return parquet::Compression::ZSTD;
  return name == "none" ? parquet::Compression::UNCOMPRESSED : parquet::Compression::SNAPPY;
}

arrow::Result<std::unique_ptr<parquet::arrow::FileWriter>> OpenWriter(
    const std::string& path, const GenerateOptions& options) {
  const auto opened = arrow::io::FileOutputStream::Open(path);
  if (!opened.ok()) return WithCode(ErrorCode::kNotFound, opened.status());
  parquet::WriterProperties::Builder builder;
  builder.compression(CodecOf(options.compression));
  // Nothing repeats in these: a dictionary would only be given up half-way, and random
  // digits do not compress.
  for (const char* column : {"id", "value1", "value2"}) builder.disable_dictionary(column);
  for (const char* column : {"value1", "value2"})
    builder.compression(column, parquet::Compression::UNCOMPRESSED);
  builder.encoding("id", parquet::Encoding::DELTA_BINARY_PACKED);
  parquet::ArrowWriterProperties::Builder arrow_builder;
  arrow_builder.set_use_threads(true);
  return parquet::arrow::FileWriter::Open(*SampleSchema(), arrow::default_memory_pool(),
                                          *opened, builder.build(), arrow_builder.build());
}

arrow::Status WriteRows(parquet::arrow::FileWriter& writer, const GenerateOptions& options,
                        Progress& progress) {
  const auto make = [&](int64_t first) {
    return std::async(std::launch::async, MakeSampleBatch, options.seed, first,
                      std::min(kBatchRows, options.rows - first));
  };
  // The next batch is made while this one is encoded.
  std::future<arrow::Result<std::shared_ptr<arrow::RecordBatch>>> next;
  if (options.rows > 0) next = make(0);
  for (int64_t first = 0; first < options.rows; first += kBatchRows) {
    ARROW_ASSIGN_OR_RAISE(const auto batch, next.get());
    if (first + kBatchRows < options.rows) next = make(first + kBatchRows);
    ARROW_ASSIGN_OR_RAISE(const auto table, arrow::Table::FromRecordBatches({batch}));
    ARROW_RETURN_NOT_OK(writer.WriteTable(*table, kBatchRows));
    progress.Add(batch->num_rows());
  }
  return writer.Close();
}

arrow::Status Generate(const GenerateOptions& options, const Context& context) {
  const std::filesystem::path path(options.path);
  std::error_code failed;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), failed);
  const std::string partial = options.path + ".partial";
  Progress progress(context, options.path, options.rows);
  arrow::Status written;
  {
    ARROW_ASSIGN_OR_RAISE(const auto writer, OpenWriter(partial, options));
    written = WriteRows(*writer, options, progress);
  }
  if (written.ok()) std::filesystem::rename(partial, path, failed);
  if (!written.ok() || failed) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    ARROW_RETURN_NOT_OK(WithContext("writing " + options.path, written));
    return Error(ErrorCode::kNoSpace, "cannot write ", options.path, ": ", failed.message());
  }
  progress.Clear();
  if (context.json) {
    const nlohmann::json line = {{"status", "success"},
                                 {"path", options.path},
                                 {"rows", options.rows},
                                 {"seed", options.seed},
                                 {"bytes", std::filesystem::file_size(path, failed)}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%s: %s, seed %llu\n", options.path.c_str(), progress.Summary().c_str(),
                static_cast<unsigned long long>(options.seed));
  }
  return {};
}

}  // namespace

void AddGenerate(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("generate", "Write a Parquet file of sample data");
  auto options = std::make_shared<GenerateOptions>();
  command->add_option("--num-records", options->rows, "Rows (default: 100000)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--output-path", options->path,
                      "File (default: sample_data.parquet)");
  CLI::Option* seed =
      command->add_option("--seed", options->seed, "Same seed, same data");
  command->add_option("--compression", options->compression, "snappy, zstd or none")
      ->check(CLI::IsMember({"snappy", "zstd", "none"}));
  AddJsonFlag(*command, context);
  command->callback([options, seed, &context] {
    if (seed->count() == 0) options->seed = std::random_device{}();
    context.Finish(Generate(*options, context));
  });
}

}  // namespace arrowport::cli
