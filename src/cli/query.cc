#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>

#include "cli/app.h"
#include "cli/client_flags.h"
#include "cli/json_text.h"
#include "cli/progress.h"
#include "cli/result_file.h"
#include "cli/table.h"

namespace arrowport::cli {
namespace {

struct QueryFlags {
  std::string host = "localhost";
  bool host_given = false;
  int port = 0;  ///< 0: 8815, then 8889
  std::string query;
  std::string format = "display";
  std::string path;
  int64_t rows_shown = 40;
  std::shared_ptr<ClientFlags> client;
};

/// Whether something listens there, within two seconds per address.
bool CanConnect(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return false;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  for (const addrinfo* address = found; address; address = address->ai_next) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) continue;
    int error = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
      error = errno;
      pollfd wait{fd, POLLOUT, 0};
      socklen_t size = sizeof error;
      if (error == EINPROGRESS && poll(&wait, 1, 2000) == 1)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    close(fd);
    if (error == 0) return true;
  }
  return false;
}

std::string UrlOf(const std::string& host, int port) {
  const bool is_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return "grpc://" + (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

arrow::Result<std::string> FindServer(const QueryFlags& flags, const Context& context) {
  const bool by_url = !flags.client->url.empty() || !context.Environment("ARROWPORT_URL").empty();
  if (by_url && flags.port == 0 && !flags.host_given) return ServerUrl(*flags.client, context);
  if (flags.port != 0) return UrlOf(flags.host, flags.port);
  for (int port : {8815, 8889})
    if (CanConnect(flags.host, port)) return UrlOf(flags.host, port);
  return Error(ErrorCode::kUnreachable, "no server at ", flags.host,
               " on port 8815 or 8889: give --port, or start one with `arrowport serve`");
}

std::string SqlOf(const QueryFlags& flags) {
  if (flags.query != "-") return flags.query;
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

bool IsNumber(const arrow::DataType& type) {
  return arrow::is_numeric(type.id()) || arrow::is_decimal(type.id());
}

arrow::Status Display(arrow::RecordBatchReader& reader, const QueryFlags& flags,
                      const Context& context) {
  Table table;
  for (const auto& field : reader.schema()->fields()) {
    table.header.push_back(field->name());
    table.right_aligned.push_back(IsNumber(*field->type()));
  }
  Progress progress(context, "query");
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (!batch) break;
    for (int64_t row = 0; row < batch->num_rows(); ++row) {
      if (static_cast<int64_t>(table.rows.size()) >= flags.rows_shown) break;
      std::vector<std::optional<std::string>> cells;
      for (const auto& column : batch->columns()) {
        if (column->IsNull(row)) {
          cells.emplace_back();
        } else {
          cells.push_back(PlainText(*column, row));
        }
      }
      table.rows.push_back(std::move(cells));
    }
    progress.Add(batch->num_rows());
  }
  progress.Clear();
  PrintTable(table, context);
  const int64_t shown = static_cast<int64_t>(table.rows.size());
  std::string line = Grouped(progress.rows()) + (progress.rows() == 1 ? " row" : " rows");
  if (shown < progress.rows()) line += " (" + Grouped(shown) + " shown)";
  std::fprintf(context.output_is_terminal ? stdout : stderr, "%s in %.3f s\n", line.c_str(),
               progress.seconds());
  return {};
}

arrow::Status Save(arrow::RecordBatchReader& reader, const QueryFlags& flags,
                   OutputFormat format, const Context& context) {
  const std::string path = flags.path.empty() ? "query_results." + flags.format : flags.path;
  ARROW_ASSIGN_OR_RAISE(auto file, ResultFile::Create(path, format, reader.schema()));
  Progress progress(context, path);
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (!batch) break;
    ARROW_RETURN_NOT_OK(file->Write(batch));
    progress.Add(batch->num_rows());
  }
  ARROW_RETURN_NOT_OK(file->Close());
  progress.Clear();
  if (path != "-") {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), progress.Summary().c_str());
  }
  return {};
}

arrow::Status RunQuery(QueryFlags flags, const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const ClientOptions options,
                        MakeClientOptions(*flags.client, context));
  ARROW_ASSIGN_OR_RAISE(const std::string url, FindServer(flags, context));
  ARROW_ASSIGN_OR_RAISE(const auto client, Client::Connect(url, options));
  ARROW_ASSIGN_OR_RAISE(
      const auto reader,
      client->Query(SqlOf(flags), QueryOptions{.route = QueryRoute::kFlightSql}));
  if (context.json && flags.format == "display") {
    flags.format = "json";
    if (flags.path.empty()) flags.path = "-";
  }
  if (flags.format == "display") return Display(*reader, flags, context);
  const std::pair<const char*, OutputFormat> formats[] = {
      {"csv", OutputFormat::kCsv},
      {"parquet", OutputFormat::kParquet},
      {"arrow", OutputFormat::kArrow},
      {"json", OutputFormat::kJson}};
  for (const auto& [name, format] : formats)
    if (flags.format == name) return Save(*reader, flags, format, context);
  return Error(ErrorCode::kBadConfig, "no such output format: ", flags.format);
}

}  // namespace

void AddQuery(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("query", "Run SQL on a server (any Flight SQL server)");
  auto flags = std::make_shared<QueryFlags>();
  CLI::Option* host = command->add_option("--host", flags->host, "Server (default: localhost)");
  command->add_option("--port", flags->port, "Port (default: 8815, then 8889)")
      ->check(CLI::Range(1, 65535));
  command->add_option("--query", flags->query, "SQL; - reads standard input")->required();
  command->add_option("--output-format", flags->format, "csv, parquet, display, arrow, json")
      ->check(CLI::IsMember({"csv", "parquet", "display", "arrow", "json"}));
  command->add_option("--output-path", flags->path,
                      "File (default: query_results.<format>); - is standard output");
  command->add_option("--max-rows", flags->rows_shown, "Rows that display shows")
      ->check(CLI::NonNegativeNumber);
  flags->client = AddClientFlags(*command);
  AddJsonFlag(*command, context);
  command->callback([flags, host, &context] {
    flags->host_given = host->count() > 0;
    context.Finish(RunQuery(*flags, context));
  });
}

}  // namespace arrowport::cli
