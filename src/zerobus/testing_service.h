// A Zerobus service inside a test: both modes, a log of rows, and hooks to misbehave. Not
// part of the library.
#pragma once

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "arrowport/zerobus/writer.h"
#include "zerobus/protocol/zerobus.pb.h"
#include "zerobus/rpc/testing_server.h"
#include "zerobus/wire_text.h"

namespace arrowport::zerobus::testing {

using rpc::testing::ServerCall;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A request that the service received.
struct Received {
  int connection = 0;
  int64_t wire_offset = 0;
  std::vector<int64_t> ids;  ///< of its rows
};

/// Rows have one required column `id`, int64. Everything but the hooks is thread-safe;
/// hooks run on the server's thread.
class FakeService {
 public:
  struct Connection {
    int number = 0;
    bool flight = false;
    bool opened = false;
    bool closing = false;  ///< a close signal was sent
    int64_t requests = 0;
    int64_t rows = 0;
    std::shared_ptr<arrow::Schema> schema;
    std::string create;
  };
  enum class Action {
    kLogAndAck,
    kLog,
    kDrop,  ///< neither
  };
  using OpenHook = std::function<bool(ServerCall&, Connection&)>;
  using RequestHook = std::function<Action(ServerCall&, Connection&, const Received&)>;

  FakeService() : server_(Script()) {}

  /// True: the hook has answered the open request.
  void set_on_open(OpenHook hook) {
    Locked([&] { on_open_ = std::move(hook); });
  }
  void set_on_request(RequestHook hook) {
    Locked([&] { on_request_ = std::move(hook); });
  }
  void set_on_start(std::function<void(ServerCall&)> hook) {
    Locked([&] { on_start_ = std::move(hook); });
  }
  void set_on_half_close(std::function<void(ServerCall&)> hook) {
    Locked([&] { on_half_close_ = std::move(hook); });
  }

  std::string endpoint() const { return server_.endpoint(); }
  rpc::testing::TestServer& server() { return server_; }
  std::vector<Received> log() {
    std::lock_guard<std::mutex> lock(mutex_);
    return log_;
  }
  std::vector<int64_t> logged_ids() {
    std::vector<int64_t> ids;
    for (const Received& request : log()) {
      ids.insert(ids.end(), request.ids.begin(), request.ids.end());
    }
    return ids;
  }
  int64_t received() {
    std::lock_guard<std::mutex> lock(mutex_);
    return received_;
  }
  int half_closes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return half_closes_;
  }
  int requests_after_signal() {
    std::lock_guard<std::mutex> lock(mutex_);
    return after_signal_;
  }
  std::vector<std::string> violations() {
    std::lock_guard<std::mutex> lock(mutex_);
    return violations_;
  }
  int connections() const { return server_.calls(); }
  template <typename Predicate>
  bool WaitFor(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    std::unique_lock<std::mutex> lock(wait_mutex_);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      changed_.wait_for(lock, milliseconds(5));
    }
    return true;
  }

  // --- For hooks ---
  static void SendOpened(ServerCall& call, Connection& connection) {
    connection.opened = true;
    if (connection.flight) {
      return SendPut(call, "{\"ack_up_to_offset\": -1, \"ack_up_to_records\": 0}");
    }
    databricks::zerobus::EphemeralStreamResponse response;
    response.mutable_create_stream_response()->set_stream_id(
        "stream-" + std::to_string(connection.number));
    call.SendMessage(response.SerializeAsString());
  }
  static void SendAck(ServerCall& call, int64_t offset) {
    databricks::zerobus::EphemeralStreamResponse response;
    response.mutable_ingest_record_response()->set_durability_ack_up_to_offset(offset);
    call.SendMessage(response.SerializeAsString());
  }
  static void SendAckWithoutOffset(ServerCall& call) {
    databricks::zerobus::EphemeralStreamResponse response;
    response.mutable_ingest_record_response();
    call.SendMessage(response.SerializeAsString());
  }
  static void SendRowsAck(ServerCall& call, int64_t offset, int64_t rows) {
    SendPut(call, "{\"ack_up_to_offset\": " + std::to_string(offset) +
                      ", \"ack_up_to_records\": " + std::to_string(rows) + "}");
  }
  static void SendSignal(ServerCall& call, Connection& connection,
                         milliseconds duration) {
    connection.closing = true;
    if (connection.flight) {
      return SendPut(call, "{\"close_stream_duration_ms\": " +
                               std::to_string(duration.count()) + "}");
    }
    databricks::zerobus::EphemeralStreamResponse response;
    auto* signal = response.mutable_close_stream_signal();
    signal->mutable_duration()->set_seconds(duration.count() / 1000);
    signal->mutable_duration()->set_nanos(
        static_cast<int32_t>(duration.count() % 1000 * 1'000'000));
    call.SendMessage(response.SerializeAsString());
  }
  static void SendPut(ServerCall& call, const std::string& metadata) {
    std::string message;
    AppendLengthField(1, metadata.size(), &message);
    call.SendMessage(message + metadata);
  }
  void Ack(ServerCall& call, Connection& connection) {
    if (connection.flight) {
      SendRowsAck(call, connection.requests - 1, connection.rows);
    } else {
      SendAck(call, connection.requests - 1);
    }
  }

 private:
  template <typename Task>
  void Locked(Task task) {
    std::lock_guard<std::mutex> lock(mutex_);
    task();
  }

  rpc::testing::ServerScript Script() {
    rpc::testing::ServerScript script;
    script.on_start = [this](ServerCall& call) {
      std::unique_lock<std::mutex> lock(mutex_);
      auto hook = on_start_;
      lock.unlock();
      if (hook) return hook(call);
      call.SendHeaders();
    };
    script.on_message = [this](ServerCall& call, const std::string& message) {
      OnMessage(call, message);
    };
    script.on_half_close = [this](ServerCall& call) {
      std::unique_lock<std::mutex> lock(mutex_);
      ++half_closes_;
      auto hook = on_half_close_;
      lock.unlock();
      if (hook) return hook(call);
      call.Finish(0);
    };
    return script;
  }

  void OnMessage(ServerCall& call, const std::string& message) {
    std::unique_lock<std::mutex> lock(mutex_);
    Connection& connection = state_[call.number];
    connection.number = call.number;
    connection.flight = call.header(":path").ends_with("/DoPut");
    Received request;
    request.connection = call.number;
    if (call.messages == 1) {
      connection.create = message;
      if (connection.flight) ReadSchema(connection, message);
      auto hook = on_open_;
      lock.unlock();
      if (hook && hook(call, connection)) return;
      return SendOpened(call, connection);
    }
    if (!connection.opened) violations_.push_back("request before the stream was open");
    if (connection.flight) {
      ReadBatch(connection, message, &request);
    } else {
      ReadRecords(message, &request);
    }
    if (request.wire_offset != connection.requests)
      violations_.push_back("wire offset gap");
    if (request.ids.empty()) violations_.push_back("empty request");
    ++connection.requests;
    connection.rows += static_cast<int64_t>(request.ids.size());
    ++received_;
    if (connection.closing) ++after_signal_;
    auto hook = on_request_;
    lock.unlock();
    const Action action = hook ? hook(call, connection, request) : Action::kLogAndAck;
    lock.lock();
    if (action != Action::kDrop) log_.push_back(request);
    lock.unlock();
    if (action == Action::kLogAndAck) Ack(call, connection);
    changed_.notify_all();
  }

  static int64_t IdOf(std::string_view record) {
    const auto tag = TakeVarint(&record);
    return tag == uint64_t{8} ? static_cast<int64_t>(TakeVarint(&record).value_or(0))
                              : -1;
  }

  void ReadRecords(const std::string& bytes, Received* request) {
    databricks::zerobus::EphemeralStreamRequest message;
    if (!message.ParseFromString(bytes)) return violations_.push_back("no request");
    if (message.has_ingest_record()) {
      request->wire_offset = message.ingest_record().offset_id();
      const auto& record = message.ingest_record();
      request->ids.push_back(record.has_json_record()
                                 ? JsonId(record.json_record())
                                 : IdOf(record.proto_encoded_record()));
    } else {
      const auto& batch = message.ingest_record_batch();
      request->wire_offset = batch.offset_id();
      for (const std::string& record : batch.proto_encoded_batch().records()) {
        request->ids.push_back(IdOf(record));
      }
      for (const std::string& record : batch.json_batch().records()) {
        request->ids.push_back(JsonId(record));
      }
      if (request->ids.size() == 1) violations_.push_back("a batch of one");
    }
  }
  static int64_t JsonId(const std::string& record) {
    return std::stoll(record.substr(record.find(':') + 1));
  }

  struct FlightParts {
    std::string header;
    std::string metadata;
    std::string body;
  };
  FlightParts ReadFlightData(std::string_view message) {
    FlightParts parts;
    while (!message.empty()) {
      const uint64_t tag = TakeVarint(&message).value_or(0);
      const uint64_t size = TakeVarint(&message).value_or(0);
      const std::string value(message.substr(0, size));
      message.remove_prefix(std::min<size_t>(size, message.size()));
      if (tag >> 3 == 2) parts.header = value;
      if (tag >> 3 == 3) parts.metadata = value;
      if (tag >> 3 == 1000) parts.body = value;
    }
    return parts;
  }
  std::unique_ptr<arrow::ipc::Message> OpenIpc(const FlightParts& parts) {
    return arrow::ipc::Message::Open(arrow::Buffer::FromString(parts.header),
                                     arrow::Buffer::FromString(parts.body))
        .ValueOrDie();
  }
  void ReadSchema(Connection& connection, const std::string& message) {
    const FlightParts parts = ReadFlightData(message);
    if (!parts.metadata.empty()) violations_.push_back("metadata on the schema");
    arrow::ipc::DictionaryMemo memo;
    connection.schema = arrow::ipc::ReadSchema(*OpenIpc(parts), &memo).ValueOrDie();
  }
  void ReadBatch(Connection& connection, const std::string& message, Received* request) {
    const FlightParts parts = ReadFlightData(message);
    request->wire_offset =
        std::stoll(parts.metadata.substr(parts.metadata.find(':') + 1));
    auto batch = arrow::ipc::ReadRecordBatch(*OpenIpc(parts), connection.schema, nullptr,
                                             arrow::ipc::IpcReadOptions::Defaults())
                     .ValueOrDie();
    if (!batch->ValidateFull().ok()) violations_.push_back("invalid batch");
    const auto& ids = static_cast<const arrow::Int64Array&>(*batch->column(0));
    for (int64_t i = 0; i < ids.length(); ++i) request->ids.push_back(ids.Value(i));
  }

  std::mutex mutex_;
  std::mutex wait_mutex_;
  std::condition_variable changed_;
  OpenHook on_open_;
  RequestHook on_request_;
  std::function<void(ServerCall&)> on_start_;
  std::function<void(ServerCall&)> on_half_close_;
  std::map<int, Connection> state_;
  std::vector<Received> log_;
  int64_t received_ = 0;
  int half_closes_ = 0;
  int after_signal_ = 0;
  std::vector<std::string> violations_;
  rpc::testing::TestServer server_;
};

/// Rows first .. first + count - 1.
inline std::shared_ptr<arrow::RecordBatch> Ids(int64_t first, int64_t count) {
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < count; ++i) {
    if (!builder.Append(first + i).ok()) std::abort();
  }
  auto array = builder.Finish().ValueOrDie();
  return arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int64(), false)}), count, {array});
}

/// A writer's options for the service: short times, no tokens.
inline Options OptionsFor(const FakeService& service, Mode mode = Mode::kProto) {
  Options options(service.endpoint(), "main.test.ids");
  options.mode = mode;
  options.header_provider = []() -> arrow::Result<Headers> {
    return Headers{{"authorization", "Bearer test"}};
  };
  options.stream.recovery_backoff_base = milliseconds(5);
  options.stream.recovery_backoff_max = milliseconds(40);
  options.stream.recovery_timeout = seconds(5);
  options.stream.connection_timeout = seconds(5);
  options.stream.server_lack_of_ack_timeout = seconds(5);
  options.stream.flush_timeout = seconds(10);
  options.retry.delay_base = milliseconds(1);
  options.retry.delay_max = milliseconds(10);
  return options;
}

inline std::unique_ptr<ZerobusWriter> MakeWriter(const Options& options) {
  return ZerobusWriter::Make(options).ValueOrDie();
}

}  // namespace arrowport::zerobus::testing
