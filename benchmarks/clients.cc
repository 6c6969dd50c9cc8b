#include "clients.h"

#include <arpa/inet.h>
#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/base64.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "statistics.h"

namespace arrowport::bench {

using arrow::Result;
using arrow::Status;
namespace flight = arrow::flight;

Result<std::unique_ptr<FlightSender>> FlightSender::Connect(int port) {
  ARROW_ASSIGN_OR_RAISE(auto location, flight::Location::ForGrpcTcp("127.0.0.1", port));
  // Connections are shared between channels of equal arguments: each client wants its
  // own.
  static std::atomic<int> number{0};
  auto options = flight::FlightClientOptions::Defaults();
  options.generic_options.emplace_back("arrowport.bench.client", number++);
  auto sender = std::make_unique<FlightSender>();
  ARROW_ASSIGN_OR_RAISE(sender->client_,
                        flight::FlightClient::Connect(location, options));
  return sender;
}

Status FlightSender::Put(const std::string& stream, const Batches& batches,
                         const std::string& key) {
  nlohmann::json command = {{"stream_name", stream}};
  if (!key.empty()) command["idempotency_key"] = key;
  return PutAs(command.dump(), batches);
}

Status FlightSender::PutSkipped(const std::string& stream, const Batches& batches) {
  const nlohmann::json command = {{"stream_name", stream}, {"on_mismatch", "skip"}};
  return PutAs(command.dump(), batches);
}

Status FlightSender::PutAs(const std::string& command, const Batches& batches) {
  ARROW_ASSIGN_OR_RAISE(auto call,
                        client_->DoPut(flight::FlightDescriptor::Command(command),
                                       batches.front()->schema()));
  for (const auto& batch : batches) {
    if (!call.writer->WriteRecordBatch(*batch).ok()) return call.writer->Close();
  }
  ARROW_RETURN_NOT_OK(call.writer->DoneWriting());
  std::shared_ptr<arrow::Buffer> message, summary;
  do {
    summary = message;
    ARROW_RETURN_NOT_OK(call.reader->ReadMetadata(&message));
  } while (message);
  ARROW_RETURN_NOT_OK(call.writer->Close());
  if (!summary || summary->ToString().find("success") == std::string::npos) {
    return Status::Invalid("no success in the summary: ",
                           summary ? summary->ToString() : "none");
  }
  return Status::OK();
}

Result<ExportTimes> FlightSender::Export(const std::string& sql) {
  ExportTimes times;
  double start = Now();
  ARROW_ASSIGN_OR_RAISE(auto reader, client_->DoGet(flight::Ticket{sql}));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto chunk, reader->Next());
    if (!chunk.data) break;
    if (times.rows == 0) times.first_batch_seconds = Now() - start;
    times.rows += chunk.data->num_rows();
  }
  times.seconds = Now() - start;
  return times;
}

Status FlightSender::Run(const std::string& sql) { return Export(sql).status(); }

Result<std::unique_ptr<HttpSender>> HttpSender::Connect(int port) {
  int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return Status::IOError("no socket");
  std::unique_ptr<HttpSender> sender(new HttpSender(handle));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(handle, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::IOError("cannot connect to port ", port);
  }
  int on = 1;
  setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return sender;
}

HttpSender::~HttpSender() { close(socket_); }

Status HttpSender::Send(const char* data, size_t size) {
  while (size > 0) {
    ssize_t sent = send(socket_, data, std::min<size_t>(size, 1 << 20), MSG_NOSIGNAL);
    if (sent <= 0) return Status::IOError("the server closed the connection");
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  return Status::OK();
}

Status HttpSender::Post(const std::string& path, const std::string& content_type,
                        const std::string& body, const std::string& key) {
  std::string head = "POST " + path +
                     " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + content_type +
                     "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                     (key.empty() ? "" : "Idempotency-Key: " + key + "\r\n") + "\r\n";
  if (body.size() < 256 * 1024) {
    head += body;
    ARROW_RETURN_NOT_OK(Send(head.data(), head.size()));
  } else {
    ARROW_RETURN_NOT_OK(Send(head.data(), head.size()));
    ARROW_RETURN_NOT_OK(Send(body.data(), body.size()));
  }
  received_.clear();
  size_t head_end = std::string::npos, total = 0;
  char piece[16384];
  while (head_end == std::string::npos || received_.size() < total) {
    ssize_t count = recv(socket_, piece, sizeof(piece), 0);
    if (count <= 0) return Status::IOError("the server closed the connection");
    received_.append(piece, static_cast<size_t>(count));
    if (head_end != std::string::npos) continue;
    head_end = received_.find("\r\n\r\n");
    if (head_end == std::string::npos) continue;
    std::string lower = received_.substr(0, head_end);
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    size_t length = lower.find("content-length:");
    if (length == std::string::npos) return Status::IOError("a reply without a length");
    total = head_end + 4 + std::stoul(lower.substr(length + 15));
  }
  if (received_.compare(9, 3, "200") != 0) {
    return Status::Invalid(received_.substr(0, 12), ": ", received_.substr(head_end + 4));
  }
  return Status::OK();
}

Result<std::string> IpcBody(const Batches& batches) {
  ARROW_ASSIGN_OR_RAISE(auto sink, arrow::io::BufferOutputStream::Create());
  ARROW_ASSIGN_OR_RAISE(auto writer,
                        arrow::ipc::MakeStreamWriter(sink, batches.front()->schema()));
  for (const auto& batch : batches) ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*batch));
  ARROW_RETURN_NOT_OK(writer->Close());
  ARROW_ASSIGN_OR_RAISE(auto buffer, sink->Finish());
  return buffer->ToString();
}

Result<std::string> JsonBody(const Batches& batches) {
  ARROW_ASSIGN_OR_RAISE(auto stream, IpcBody(batches));
  ARROW_ASSIGN_OR_RAISE(auto schema,
                        arrow::ipc::SerializeSchema(*batches.front()->schema()));
  return "{\"config\": {}, \"batch\": {\"arrow_schema\": \"" +
         arrow::util::base64_encode(std::string_view(*schema)) + "\", \"data\": \"" +
         arrow::util::base64_encode(stream) + "\"}}";
}

}  // namespace arrowport::bench
