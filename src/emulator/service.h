// What the calls of one emulator share.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "emulator/counters.h"
#include "emulator/dialect.h"
#include "emulator/oauth.h"
#include "emulator/row_log.h"
#include "emulator/scenario.h"
#include "emulator/tables.h"
#include "emulator/timers.h"

namespace arrowport::emulator {

class IngestStream;

/// The streams that are open, so that the control interface can reach them. Thread-safe.
class OpenStreams {
 public:
  void Add(IngestStream* stream);
  void Remove(IngestStream* stream);
  /// Has every open stream of `table` (all when empty) rotated; returns how many.
  int Rotate(const std::string& table, const Rotation& rotation);

 private:
  Mutex mutex_;
  std::set<IngestStream*> streams_ GUARDED_BY(mutex_);
};

struct ServiceOptions {
  OauthOptions oauth;
  bool look_into_rows = true;
  int64_t request_bytes_max = 10 << 20;
  std::string id_column;
  uint64_t seed = 0;
  double time_scale = 1;
};

/// Outlives the listener and its handlers. Its parts are thread-safe.
struct Service {
  Service(ServiceOptions given, std::unique_ptr<RowLog> row_log);

  const ServiceOptions options;
  TableCatalog tables;
  Counters counters;
  Scenario scenario;
  TokenIssuer tokens;
  OpenStreams streams;
  const std::unique_ptr<RowLog> log;
  Timers timers;
};

}  // namespace arrowport::emulator
