#include <arrow/util/byte_size.h>

#include <cstdio>
#include <deque>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arrowport/zerobus/writer.h"
#include "base/error.h"
#include "cli/app.h"
#include "cli/data_file.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/zerobus_settings.h"

namespace arrowport::cli {
namespace {

// Batches under way; the writer bounds their encoded bytes itself.
constexpr size_t kBatchesMax = 64;
constexpr int64_t kArrowBytesMax = int64_t{256} << 20;
constexpr size_t kErrorsShown = 5;

struct RowError {
  int64_t row = 0;  ///< in the file, from 0
  std::shared_ptr<const arrow::Status> error;
};

/// What became of a file's rows.
struct Outcome {
  int64_t durable = 0;
  int64_t failed = 0;
  std::vector<RowError> errors;  ///< the first of them
  arrow::Status stopped;         ///< why the rest of the file was not sent

  void Add(const zerobus::TransmissionResult& result, int64_t first_row,
           const std::vector<int64_t>& rows) {
    durable += result.successful_count();
    failed += result.failed_count();
    for (const zerobus::FailedRow& row : result.failed_rows()) {
      if (errors.size() == kErrorsShown) break;
      const int64_t index = rows.empty() ? row.index : rows[static_cast<size_t>(row.index)];
      errors.push_back({first_row + index, row.error});
    }
  }
};

/// Sends one file with many batches under way. Caller-locked.
class FileSender {
 public:
  FileSender(zerobus::ZerobusWriter& writer, Progress& progress)
      : writer_(writer), progress_(progress) {}

  /// Errors: the file cannot be read on; what was sent is settled and in outcome().
  arrow::Status Send(arrow::RecordBatchReader& reader) {
    const arrow::Status read = SendAll(reader);
    while (!pending_.empty()) SettleOldest();
    return read;
  }
  const Outcome& outcome() const { return outcome_; }

 private:
  struct Pending {
    std::shared_ptr<arrow::RecordBatch> batch;
    int64_t first_row = 0;
    int64_t bytes = 0;
    arrow::Future<zerobus::TransmissionResult> result;
  };

  arrow::Status SendAll(arrow::RecordBatchReader& reader) {
    int64_t first_row = 0;
    while (outcome_.stopped.ok()) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) return {};
      if (batch->num_rows() == 0) continue;
      SendOne(batch, first_row);
      first_row += batch->num_rows();
    }
    return {};
  }

  void SendOne(const std::shared_ptr<arrow::RecordBatch>& batch, int64_t first_row) {
    const int64_t bytes = arrow::util::TotalBufferSize(*batch);
    while (!pending_.empty() && (pending_.size() >= kBatchesMax ||
                                 bytes > kArrowBytesMax - pending_bytes_)) {
      SettleOldest();
    }
    if (!outcome_.stopped.ok()) return;
    auto sent = writer_.SendAsync(batch);
    if (sent.ok()) {
      pending_bytes_ += bytes;
      pending_.push_back({batch, first_row, bytes, sent->result});
      return;
    }
    // Nothing of it was accepted: alone, it is tried as often as the settings say.
    while (!pending_.empty()) SettleOldest();
    if (outcome_.stopped.ok()) Settle(writer_.SendBatch(batch), first_row, {});
  }

  void SettleOldest() {
    const Pending oldest = std::move(pending_.front());
    pending_.pop_front();
    pending_bytes_ -= oldest.bytes;
    const auto& waited = oldest.result.result();
    if (!waited.ok()) {
      outcome_.stopped = waited.status();
      outcome_.failed += oldest.batch->num_rows();
      return;
    }
    // Rows of a stream that broke for good get the attempts that are left; those that
    // were refused do not.
    std::vector<int64_t> again;
    std::vector<zerobus::FailedRow> final_rows;
    for (const zerobus::FailedRow& row : waited->failed_rows()) {
      if (outcome_.stopped.ok() && zerobus::FactsOf(*row.error).retryable) {
        again.push_back(row.index);
      } else {
        final_rows.push_back(row);
      }
    }
    if (again.empty()) return Settle(*waited, oldest.first_row, {});
    std::vector<zerobus::FailedRow> marked;
    for (const int64_t index : again) marked.push_back({index, nullptr});
    auto rest = zerobus::TransmissionResult(oldest.batch->num_rows(), std::move(marked))
                    .ExtractFailedBatch(oldest.batch);
    if (!rest.ok()) return Settle(*waited, oldest.first_row, {});
    const auto others = oldest.batch->num_rows() - static_cast<int64_t>(again.size());
    outcome_.durable += others - static_cast<int64_t>(final_rows.size());
    progress_.Add(others);
    for (const zerobus::FailedRow& row : final_rows) {
      ++outcome_.failed;
      if (outcome_.errors.size() < kErrorsShown) {
        outcome_.errors.push_back({oldest.first_row + row.index, row.error});
      }
    }
    Settle(writer_.SendBatch(*rest), oldest.first_row, again);
  }

  void Settle(const zerobus::TransmissionResult& result, int64_t first_row,
              const std::vector<int64_t>& rows) {
    outcome_.Add(result, first_row, rows);
    progress_.Add(result.total_rows());
    if (!result.error().ok() && outcome_.stopped.ok()) outcome_.stopped = result.error();
  }

  zerobus::ZerobusWriter& writer_;
  Progress& progress_;
  std::deque<Pending> pending_;
  int64_t pending_bytes_ = 0;
  Outcome outcome_;
};

class Send {
 public:
  Send(const std::vector<std::string>& files, const ZerobusFlags& flags, Context& context)
      : files_(files), flags_(flags), context_(context) {}

  void Run() {
    const arrow::Status opened = Open();
    if (!opened.ok()) return context_.Finish(opened);
    for (const std::string& file : files_) {
      arrow::Status sent = SendFile(file);
      if (sent.ok()) continue;
      Fail(WithContext(file, sent));
      if (!IsOfFile(sent)) break;
    }
    if (const auto status = writer_->Shutdown(); !status.ok()) Fail(status);
    // What could not be exported was told, and is no failure of the send.
    if (telemetry_) static_cast<void>(telemetry_->Close());
    if (debug_files_) {
      // A file that could not be written is no failure of the send.
      static_cast<void>(debug_files_->Close());
      if (debug_files_->write_errors() > 0) {
        std::cerr << "warning: debug files lack something, write errors: "
                  << debug_files_->write_errors() << "; "
                  << debug_files_->last_error().message() << "\n";
      }
    }
    if (failure_.ok()) return context_.FinishWith(kDone);
    context_.FinishWith(rows_durable_ > 0 ? kPartly : ExitCodeOf(failure_));
  }

 private:
  arrow::Status Open() {
    ARROW_ASSIGN_OR_RAISE(ZerobusSettings settings, LoadZerobusSettings(flags_, context_));
    zerobus::Options& options = settings.options;
    if (settings.debug) {
      ARROW_ASSIGN_OR_RAISE(
          debug_files_,
          zerobus::DebugFiles::Make(options.table, options.mode, *settings.debug));
      options.observers.push_back(debug_files_);
    }
    if (settings.telemetry) {
      settings.telemetry->log = [](zerobus::TelemetryLevel, std::string_view text) {
        std::cerr << "telemetry: " + std::string(text) + "\n";
      };
      ARROW_ASSIGN_OR_RAISE(telemetry_,
                            zerobus::Telemetry::Make(*std::move(settings.telemetry)));
      options.observers.push_back(telemetry_->ObserverOf(options));
    }
    table_ = options.table;
    is_dry_run_ = options.writer_disabled;
    return zerobus::ZerobusWriter::Make(options).Value(&writer_);
  }

  // Another file may fare better than one that cannot be read or does not fit the table.
  static bool IsOfFile(const arrow::Status& status) {
    const zerobus::ErrorKind kind = zerobus::KindOf(status);
    return kind == zerobus::ErrorKind::kConversion || kind == zerobus::ErrorKind::kSchema ||
           CodeOf(status) == ErrorCode::kNotFound;
  }

  void Fail(const arrow::Status& status) {
    context_.Finish(status);
    failure_ = status;
  }

  arrow::Status SendFile(const std::string& path) {
    ARROW_ASSIGN_OR_RAISE(const DataFile data, OpenDataFile(path));
    Progress progress(context_, path == "-" ? "stdin" : path, data.rows_total);
    FileSender sender(*writer_, progress);
    const arrow::Status read = sender.Send(*data.reader);
    progress.Clear();
    const Outcome& outcome = sender.outcome();
    rows_durable_ += outcome.durable;
    const arrow::Status status = read.ok() ? outcome.stopped : read;
    Print(path, outcome, status, progress);
    ARROW_RETURN_NOT_OK(status);
    if (outcome.failed == 0) return {};
    return Error(ErrorCode::kBadData, "rows that were not sent: ", outcome.failed);
  }

  void Print(const std::string& path, const Outcome& outcome, const arrow::Status& status,
             const Progress& progress) const {
    const bool is_whole = status.ok() && outcome.failed == 0;
    if (context_.json) {
      nlohmann::ordered_json line = {
          {"status", is_whole ? "success" : outcome.durable > 0 ? "partial" : "error"},
          {"file", path},
          {"table", table_},
          {"sent", !is_dry_run_},
          {"rows_durable", is_dry_run_ ? 0 : outcome.durable},
          {"rows_converted", outcome.durable},
          {"rows_failed", outcome.failed}};
      for (const RowError& error : outcome.errors) {
        line["errors"].push_back(
            {{"row", error.row},
             {"kind", std::string(zerobus::ErrorKindName(zerobus::KindOf(*error.error)))},
             {"message", error.error->message()}});
      }
      std::printf(
          "%s\n",
          line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      return;
    }
    for (const RowError& error : outcome.errors) {
      std::cerr << path << ": row " << error.row << ": " << error.error->message() << "\n";
    }
    if (outcome.durable == 0 && !is_whole) return;
    std::printf("%s -> %s: %s%s", path.c_str(), table_.c_str(),
                is_dry_run_ ? "converted, not sent: " : "",
                is_whole ? progress.Summary().c_str() : "");
    if (!is_whole) {
      std::printf("%lld rows durable, %lld failed",
                  static_cast<long long>(outcome.durable),
                  static_cast<long long>(outcome.failed));
    }
    std::printf("\n");
  }

  const std::vector<std::string>& files_;
  const ZerobusFlags& flags_;
  Context& context_;
  std::shared_ptr<zerobus::DebugFiles> debug_files_;
  std::shared_ptr<zerobus::Telemetry> telemetry_;
  std::unique_ptr<zerobus::ZerobusWriter> writer_;
  std::string table_;
  bool is_dry_run_ = false;
  int64_t rows_durable_ = 0;
  arrow::Status failure_;  ///< the last one
};

}  // namespace

void AddZerobusSend(CLI::App& zerobus, Context& context) {
  CLI::App* command = zerobus.add_subcommand(
      "send", "Send files into a Databricks table: Arrow stream or file, Parquet, CSV");
  auto files = std::make_shared<std::vector<std::string>>();
  command->add_option("files", *files, "Files; - is standard input")->required();
  auto flags = AddZerobusFlags(*command);
  AddJsonFlag(*command, context);
  command->footer(
      "At least once: rows that were durable but not acknowledged when a connection broke "
      "are sent again.\nA repeated command sends its files again.");
  command->callback([files, flags, &context] { Send(*files, *flags, context).Run(); });
}

}  // namespace arrowport::cli
