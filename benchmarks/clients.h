// How the benchmarks speak to the server: the stock Arrow Flight client, and plain
// sockets for HTTP (a body made beforehand, as curl would send a file).
#pragma once

#include <arrow/flight/client.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <utility>

#include "in_process.h"
#include "workloads.h"

namespace arrowport::bench {

/// One connection; not thread-safe.
class FlightSender {
 public:
  static arrow::Result<std::unique_ptr<FlightSender>> Connect(int port);
  /// One DoPut with all batches; returns when the server has acknowledged the whole.
  arrow::Status Put(const std::string& stream, const Batches& batches,
                    const std::string& key = "");
  /// As Put into a table whose columns do not fit: received, decoded and validated, then
  /// dropped.
  arrow::Status PutSkipped(const std::string& stream, const Batches& batches);
  arrow::Result<ExportTimes> Export(const std::string& sql);
  arrow::Status Run(const std::string& sql);

 private:
  arrow::Status PutAs(const std::string& command, const Batches& batches);
  std::unique_ptr<arrow::flight::FlightClient> client_;
};

/// One keep-alive connection; not thread-safe.
class HttpSender {
 public:
  static arrow::Result<std::unique_ptr<HttpSender>> Connect(int port);
  ~HttpSender();
  /// Any status but 200 is an error with the reply's body.
  arrow::Status Post(const std::string& path, const std::string& content_type,
                     const std::string& body, const std::string& key = "");

 private:
  explicit HttpSender(int socket) : socket_(socket) {}
  arrow::Status Send(const char* data, size_t size);
  int socket_;
  std::string received_;
};

/// The batches as an Arrow IPC stream.
arrow::Result<std::string> IpcBody(const Batches& batches);
/// The document of POST /stream: JSON with the stream in base64.
arrow::Result<std::string> JsonBody(const Batches& batches);

}  // namespace arrowport::bench
