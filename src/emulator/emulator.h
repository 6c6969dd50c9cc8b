// A Zerobus service in one process: both gRPC modes, OAuth and the table API, a durable
// log, scripted faults. Stands alone behind `arrowport zerobus emulate`, and runs inside
// tests.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/counters.h"
#include "emulator/row_log.h"

namespace arrowport::emulator {

struct Options {
  std::string host = "127.0.0.1";
  uint16_t grpc_port = 0;  ///< 0: any free one; every port speaks everything
  uint16_t http_port = 0;
  std::string client_id = "emulator";
  std::string client_secret = "emulator";
  std::string workspace_id;  ///< in the `resource` of token requests; empty: any
  /// {"c.s.t": {"columns": [Unity Catalog column objects]}}
  std::string tables_json = "{}";
  std::string script_json = "{}";  ///< docs/reference/zerobus-emulator.md
  std::string log_path;            ///< empty: in memory
  /// Rows are parsed and checked, and their ids logged. Without it only envelopes are
  /// read: for measuring clients.
  bool look_into_rows = true;
  int64_t request_bytes_max = 10 << 20;  ///< record mode
  std::string row_id_column;             ///< empty: the first of each table
  uint64_t seed = 1;                     ///< of jitter and probabilities
  double time_scale = 1;                 ///< multiplies every time of the script
};

/// Thread-safe, but for Stop, which belongs to the owner.
class Emulator {
 public:
  /// Errors: kBadConfig (tables, script, log), kUnreachable (ports), those of the tables'
  /// columns.
  static arrow::Result<std::unique_ptr<Emulator>> Start(const Options& options);
  ~Emulator();

  uint16_t grpc_port() const;
  uint16_t http_port() const;
  /// "http://127.0.0.1:PORT"
  std::string grpc_url() const;
  std::string http_url() const;

  /// For calls that open from now on; connections are counted from 1 again.
  arrow::Status LoadScript(std::string_view script_json);
  /// Creates or alters a table; `columns_json` is the list of column objects.
  arrow::Status PutTable(const std::string& name, const std::string& columns_json);
  arrow::Status DropTable(const std::string& name);
  /// Sends open streams of `table` (empty: all) a close signal, and ends them when
  /// `duration` has passed. Returns how many.
  int Rotate(const std::string& table, std::optional<std::chrono::milliseconds> duration);
  int RevokeTokens(const std::string& table);
  int ExpireTokens(const std::string& table);

  /// Of one table; of all for an empty name.
  CounterValues Read(const std::string& table = "") const;
  int64_t Read(Counter counter, const std::string& table = "") const;
  /// False when `holds` did not become true in time.
  bool WaitUntil(const std::function<bool(const CounterValues&)>& holds,
                 std::chrono::milliseconds patience, const std::string& table = "");
  void ClearCounters();

  arrow::Result<std::vector<LoggedRequest>> ReadLog() const;
  arrow::Status ClearLog();

  /// Cuts what is open. Idempotent.
  void Stop();

 private:
  struct Parts;
  explicit Emulator(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace arrowport::emulator
