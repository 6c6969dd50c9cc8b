// The gate of the listener: DoPut into a sink that decodes, validates and forgets, and
// DoGet of prebuilt batches, over our listener and over arrow::flight::FlightServerBase
// with the same handlers, by the same C++ client, in interleaved pairs. Prints the median
// of each and of the ratios; fails when a ratio is under its mark.
//
//   listener_gate [pairs [rows per run]]
//   listener_gate serve      both servers for other clients (listener_gate.py): prints
//                            "base port, own port", then answers each line "rows count" of
//                            its input, which sets the batches, with "set"
#include <arrow/flight/api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "wire/net/testing_handlers.h"

namespace arrowport::wire::net {
namespace {

namespace flight = arrow::flight;
using testing::MakeBatch;

/// The judge: Arrow's own server.
class BaseServer : public flight::FlightServerBase {
 public:
  explicit BaseServer(std::shared_ptr<arrow::RecordBatch>* batch,
                      const int64_t* batch_count)
      : batch_(batch), batch_count_(batch_count) {}

  arrow::Status DoPut(const flight::ServerCallContext&,
                      std::unique_ptr<flight::FlightMessageReader> reader,
                      std::unique_ptr<flight::FlightMetadataWriter>) override {
    while (true) {
      ARROW_ASSIGN_OR_RAISE(auto chunk, reader->Next());
      if (!chunk.data) return {};
      ARROW_RETURN_NOT_OK(chunk.data->ValidateFull());
    }
  }
  arrow::Status DoGet(const flight::ServerCallContext&, const flight::Ticket&,
                      std::unique_ptr<flight::FlightDataStream>* stream) override {
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches(
        static_cast<size_t>(*batch_count_), *batch_);
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::RecordBatchReader::Make(batches));
    *stream = std::make_unique<flight::RecordBatchStream>(std::move(reader));
    return {};
  }

 private:
  std::shared_ptr<arrow::RecordBatch>* const batch_;
  const int64_t* const batch_count_;
};

class GateRouter : public Router {
 public:
  GateRouter(std::shared_ptr<arrow::RecordBatch>* batch, const int64_t* batch_count)
      : batch_(batch), batch_count_(batch_count) {}
  Route OnRequest(const RequestHead& head, const std::shared_ptr<Call>& call) override {
    Route route;
    if (head.path.ends_with("/DoPut")) {
      route.format = MessageFormat::kFlightData;
      route.handler = std::make_unique<testing::PutSink>(call);
    } else if (head.path.ends_with("/DoGet")) {
      route.handler = std::make_unique<testing::GetSource>(
          call, std::vector<std::shared_ptr<arrow::RecordBatch>>(
                    static_cast<size_t>(*batch_count_), *batch_));
    }
    return route;
  }

 private:
  std::shared_ptr<arrow::RecordBatch>* const batch_;
  const int64_t* const batch_count_;
};

struct Gate {
  std::shared_ptr<arrow::RecordBatch> batch;
  int64_t batch_count = 0;
};

arrow::Result<double> Put(flight::FlightClient* client, const Gate& gate) {
  auto start = std::chrono::steady_clock::now();
  ARROW_ASSIGN_OR_RAISE(auto put, client->DoPut(flight::FlightDescriptor::Path({"t"}),
                                                gate.batch->schema()));
  for (int64_t i = 0; i < gate.batch_count; ++i) {
    ARROW_RETURN_NOT_OK(put.writer->WriteRecordBatch(*gate.batch));
  }
  ARROW_RETURN_NOT_OK(put.writer->DoneWriting());
  ARROW_RETURN_NOT_OK(put.writer->Close());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

arrow::Result<double> Get(flight::FlightClient* client, const Gate& gate) {
  auto start = std::chrono::steady_clock::now();
  ARROW_ASSIGN_OR_RAISE(auto reader, client->DoGet(flight::Ticket{"t"}));
  int64_t rows = 0;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto chunk, reader->Next());
    if (!chunk.data) break;
    rows += chunk.data->num_rows();
  }
  if (rows != gate.batch->num_rows() * gate.batch_count) {
    return arrow::Status::Invalid("rows are missing: ", rows);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

using Run = arrow::Result<double> (*)(flight::FlightClient*, const Gate&);

/// True when the ratio reaches `mark`.
arrow::Result<bool> Compare(const char* name, Run run, flight::FlightClient* base,
                            flight::FlightClient* own, const Gate& gate, int pairs,
                            double mark) {
  std::vector<double> base_rates, own_rates, ratios;
  double rows = static_cast<double>(gate.batch->num_rows() * gate.batch_count) / 1e6;
  ARROW_RETURN_NOT_OK(run(base, gate));
  ARROW_RETURN_NOT_OK(run(own, gate));
  for (int i = 0; i < pairs; ++i) {
    // The order alternates, so that a drift of the machine favours neither.
    double base_seconds = 0, own_seconds = 0;
    if (i % 2 == 0) {
      ARROW_ASSIGN_OR_RAISE(base_seconds, run(base, gate));
    }
    ARROW_ASSIGN_OR_RAISE(own_seconds, run(own, gate));
    if (i % 2 == 1) {
      ARROW_ASSIGN_OR_RAISE(base_seconds, run(base, gate));
    }
    base_rates.push_back(rows / base_seconds);
    own_rates.push_back(rows / own_seconds);
    ratios.push_back(base_seconds / own_seconds);
  }
  double ratio = Median(ratios);
  std::printf(
      "%-6s %7lld rows  base %6.1f  own %6.1f M rows/s  ratio %.2f  (>= %.2f)%s\n", name,
      static_cast<long long>(gate.batch->num_rows()), Median(base_rates),
      Median(own_rates), ratio, mark, ratio < mark ? "  UNDER" : "");
  std::fflush(stdout);
  return ratio >= mark;
}

/// Both servers with the same handlers, on free ports; Stop before it goes.
class Servers {
 public:
  Servers() : base_(&gate.batch, &gate.batch_count) {}

  arrow::Status Start() {
    ARROW_ASSIGN_OR_RAISE(auto any, flight::Location::ForGrpcTcp("127.0.0.1", 0));
    ARROW_RETURN_NOT_OK(base_.Init(flight::FlightServerOptions(any)));
    ListenerOptions options;
    options.router = std::make_shared<GateRouter>(&gate.batch, &gate.batch_count);
    ARROW_ASSIGN_OR_RAISE(listener_, Listener::Make(options));
    ARROW_ASSIGN_OR_RAISE(own_port_, listener_->Bind("127.0.0.1", 0));
    return listener_->Start();
  }
  arrow::Status Stop() {
    listener_->Stop(std::chrono::seconds(1));
    return base_.Shutdown();
  }
  int base_port() const { return base_.port(); }
  uint16_t own_port() const { return own_port_; }

  Gate gate;

 private:
  BaseServer base_;
  std::unique_ptr<Listener> listener_;
  uint16_t own_port_ = 0;
};

arrow::Status Serve() {
  Servers servers;
  ARROW_RETURN_NOT_OK(servers.Start());
  std::cout << servers.base_port() << ' ' << servers.own_port() << std::endl;
  int64_t rows = 0;
  while (std::cin >> rows >> servers.gate.batch_count) {
    servers.gate.batch = MakeBatch(rows);
    std::cout << "set" << std::endl;
  }
  return servers.Stop();
}

arrow::Result<bool> RunGate(int pairs, int64_t rows_per_run) {
  Servers servers;
  ARROW_RETURN_NOT_OK(servers.Start());
  Gate& gate = servers.gate;
  ARROW_ASSIGN_OR_RAISE(auto base_at,
                        flight::Location::ForGrpcTcp("127.0.0.1", servers.base_port()));
  ARROW_ASSIGN_OR_RAISE(auto own_at,
                        flight::Location::ForGrpcTcp("127.0.0.1", servers.own_port()));
  ARROW_ASSIGN_OR_RAISE(auto base_client, flight::FlightClient::Connect(base_at));
  ARROW_ASSIGN_OR_RAISE(auto own_client, flight::FlightClient::Connect(own_at));
  bool passed = true;
  for (int64_t rows : {1'000, 10'000, 65'536, 122'880}) {
    bool strict = rows == 10'000 || rows == 65'536;
    gate.batch = MakeBatch(rows);
    gate.batch_count =
        std::max<int64_t>(1, rows_per_run / (rows == 1'000 ? 2 : 1) / rows);
    ARROW_ASSIGN_OR_RAISE(bool put, Compare("DoPut", Put, base_client.get(),
                                            own_client.get(), gate, pairs, 1.0));
    ARROW_ASSIGN_OR_RAISE(
        bool get, Compare("DoGet", Get, base_client.get(), own_client.get(), gate, pairs,
                          strict ? 0.95 : 0.9));
    passed &= put && get;
  }
  ARROW_RETURN_NOT_OK(own_client->Close());
  ARROW_RETURN_NOT_OK(base_client->Close());
  ARROW_RETURN_NOT_OK(servers.Stop());
  return passed;
}

}  // namespace
}  // namespace arrowport::wire::net

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "serve") {
    arrow::Status served = arrowport::wire::net::Serve();
    if (!served.ok()) std::fprintf(stderr, "%s\n", served.ToString().c_str());
    return served.ok() ? 0 : 2;
  }
  int pairs = argc > 1 ? std::atoi(argv[1]) : 5;
  int64_t rows = argc > 2 ? std::atoll(argv[2]) : 20'000'000;
  auto passed = arrowport::wire::net::RunGate(std::max(1, pairs), rows);
  if (!passed.ok()) {
    std::fprintf(stderr, "%s\n", passed.status().ToString().c_str());
    return 2;
  }
  return *passed ? 0 : 1;
}
