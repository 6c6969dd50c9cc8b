#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/client_flags.h"
#include "cli/data_file.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "config/load.h"

namespace arrowport::cli {
namespace {

struct IngestOptions {
  std::string stream;
  std::vector<std::string> files;
  std::string backend;
  std::string table;
  std::vector<std::string> partition_by;
  std::string mode;
  std::string chunk_size;
  std::string schema_mode;
  std::string on_mismatch;
  std::string key;
  bool local = false;
  std::shared_ptr<ClientFlags> client;
  std::shared_ptr<std::vector<std::string>> setting_args;
};

SendOptions SendOptionsOf(const IngestOptions& options, size_t file) {
  SendOptions send;
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) send.settings[key] = value;
  };
  set("storage_backend", options.backend);
  set("target_table", options.table);
  set("mode", options.mode);
  set("chunk_size", options.chunk_size);
  set("schema_mode", options.schema_mode);
  set("on_mismatch", options.on_mismatch);
  std::string columns;
  for (const std::string& column : options.partition_by)
    columns += (columns.empty() ? "" : ",") + column;
  set("delta_options.partition_by", columns);
  if (!options.key.empty()) {
    // Each file is a request of its own: it needs a key of its own.
    send.idempotency_key = options.files.size() == 1
                               ? options.key
                               : options.key + "/" + std::to_string(file);
  }
  return send;
}

/// Counts what passes, for the progress line.
class CountingReader : public arrow::RecordBatchReader {
 public:
  CountingReader(std::shared_ptr<arrow::RecordBatchReader> reader, Progress* progress)
      : reader_(std::move(reader)), progress_(progress) {}
  std::shared_ptr<arrow::Schema> schema() const override { return reader_->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    ARROW_RETURN_NOT_OK(reader_->ReadNext(out));
    if (*out) progress_->Add((*out)->num_rows());
    return {};
  }

 private:
  const std::shared_ptr<arrow::RecordBatchReader> reader_;
  Progress* const progress_;
};

class Ingest {
 public:
  Ingest(const IngestOptions& options, Context& context)
      : options_(options), context_(context) {}

  /// kPartly when some files failed and others did not.
  void Run() {
    const arrow::Status opened = Open();
    if (!opened.ok()) return context_.Finish(opened);
    size_t failed = 0;
    arrow::Status last;
    for (size_t file = 0; file < options_.files.size(); ++file) {
      const arrow::Status sent = SendFile(file);
      if (sent.ok()) continue;
      ++failed;
      last = sent;
      context_.Finish(WithCode(CodeOf(sent), WithContext(options_.files[file], sent)));
      if (CodeOf(sent) == ErrorCode::kUnreachable) break;
    }
    if (local_) {
      const arrow::Status closed = local_->Close();
      if (!closed.ok()) return context_.Finish(closed);
    }
    if (failed == 0) return context_.FinishWith(kDone);
    const bool any_done = done_ > 0;
    context_.FinishWith(any_done ? kPartly : ExitCodeOf(last));
  }

 private:
  arrow::Status Open() {
    if (options_.local) {
      if (!context_.server.open_local)
        return Error(ErrorCode::kNotBuilt, "this program was built without the server");
      config::LoadRequest request;
      request.args = *options_.setting_args;
      request.environment = context_.environment;
      ARROW_ASSIGN_OR_RAISE(const config::Settings settings,
                            config::LoadSettings(request));
      ARROW_RETURN_NOT_OK(config::CreateParentFolders(settings));
      ARROW_ASSIGN_OR_RAISE(local_, context_.server.open_local(settings));
      return {};
    }
    ARROW_ASSIGN_OR_RAISE(const ClientOptions client_options,
                          MakeClientOptions(*options_.client, context_));
    ARROW_ASSIGN_OR_RAISE(
        client_, Client::Connect(ServerUrl(*options_.client, context_), client_options));
    return {};
  }

  arrow::Status SendFile(size_t file) {
    const std::string& path = options_.files[file];
    ARROW_ASSIGN_OR_RAISE(DataFile data, OpenDataFile(path));
    Progress progress(context_, path == "-" ? "stdin" : path, data.rows_total);
    const auto counted = [&](DataFile opened) {
      return std::make_shared<CountingReader>(std::move(opened.reader), &progress);
    };
    const SendOptions send = SendOptionsOf(options_, file);
    arrow::Result<Receipt> receipt;
    if (local_) {
      receipt = local_->Send(options_.stream, *counted(std::move(data)), send);
    } else if (path == "-") {
      receipt = client_->Send(options_.stream, counted(std::move(data)), send);
    } else {
      bool is_first = true;
      const BatchSource source =
          [&]() -> arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> {
        if (std::exchange(is_first, false)) return counted(std::move(data));
        ARROW_ASSIGN_OR_RAISE(DataFile again, OpenDataFile(path));
        return counted(std::move(again));
      };
      receipt = client_->Send(options_.stream, source, send);
    }
    progress.Clear();
    ARROW_RETURN_NOT_OK(receipt.status());
    ++done_;
    Print(path, *receipt, progress);
    return {};
  }

  void Print(const std::string& path, const Receipt& receipt, const Progress& progress) {
    if (context_.json) {
      nlohmann::json line = {{"status", receipt.quarantined ? "quarantined" : "success"},
                             {"file", path},
                             {"stream", receipt.stream},
                             {"table", receipt.table},
                             {"rows_processed", receipt.rows},
                             {"storage_backend", receipt.storage_backend},
                             {"durability", receipt.durability},
                             {"version", receipt.version},
                             {"bytes", receipt.bytes},
                             {"batches", receipt.batches},
                             {"idempotent_replay", receipt.idempotent_replay}};
      if (!receipt.warning.empty()) line["warning"] = receipt.warning;
      std::printf("%s\n", line.dump(-1, ' ', false,
                                    nlohmann::json::error_handler_t::replace)
                              .c_str());
      return;
    }
    std::string note;
    if (receipt.quarantined) note += ", quarantined";
    if (receipt.idempotent_replay) note += ", had landed before";
    std::printf("%s -> %s: %s [%s, %s%s]\n", path.c_str(), receipt.table.c_str(),
                progress.Summary().c_str(), receipt.storage_backend.c_str(),
                receipt.durability.c_str(), note.c_str());
    if (!receipt.warning.empty()) std::fprintf(stderr, "warning: %s\n", receipt.warning.c_str());
  }

  const IngestOptions& options_;
  Context& context_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<LocalIngest> local_;
  size_t done_ = 0;
};

}  // namespace

void AddIngest(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("ingest", "Land files: Arrow stream or file, Parquet, CSV");
  auto options = std::make_shared<IngestOptions>();
  command->add_option("stream", options->stream, "Stream to land in")->required();
  command->add_option("files", options->files, "Files; - is standard input")->required();
  command->add_option("--backend", options->backend, "duckdb, ducklake or delta");
  command->add_option("--table", options->table, "Table, instead of the stream's");
  command->add_option("--partition-by", options->partition_by,
                      "Partition column of a new Delta table; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--mode", options->mode, "append or overwrite");
  command->add_option("--chunk-size", options->chunk_size, "Rows in a unit of validation");
  command->add_option("--schema-mode", options->schema_mode, "strict, merge or widen");
  command->add_option("--on-mismatch", options->on_mismatch, "reject, quarantine or skip");
  command->add_option("--key", options->key,
                      "Idempotency key: a repeat changes nothing (several files: KEY/0, ...)");
  command->add_flag("--local", options->local,
                    "Into the storage itself, in this process, without a server");
  options->client = AddClientFlags(*command);
  options->setting_args = std::make_shared<std::vector<std::string>>();
  for (const char* flag : {"--config", "--db", "--delta-path", "--set"}) {
    command
        ->add_option_function<std::vector<std::string>>(
            flag,
            [args = options->setting_args, flag](const std::vector<std::string>& values) {
              for (const std::string& value : values)
                args->insert(args->end(), {flag, value});
            },
            "As of `serve`, with --local")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  AddJsonFlag(*command, context);
  command->callback([options, &context] { Ingest(*options, context).Run(); });
}

}  // namespace arrowport::cli
