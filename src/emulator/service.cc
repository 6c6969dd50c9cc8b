#include "emulator/service.h"

#include <utility>

#include "emulator/ingest_stream.h"

namespace arrowport::emulator {

void OpenStreams::Add(IngestStream* stream) {
  MutexLock lock(mutex_);
  streams_.insert(stream);
}

void OpenStreams::Remove(IngestStream* stream) {
  MutexLock lock(mutex_);
  streams_.erase(stream);
}

int OpenStreams::Rotate(const std::string& table, const Rotation& rotation) {
  MutexLock lock(mutex_);
  int rotated = 0;
  for (IngestStream* stream : streams_) {
    if (!table.empty() && stream->table_name() != table) continue;
    stream->RotateSoon(rotation);
    ++rotated;
  }
  return rotated;
}

Service::Service(ServiceOptions given, std::unique_ptr<RowLog> row_log)
    : options(std::move(given)),
      scenario(options.seed),
      tokens(options.oauth, &scenario, &counters),
      log(std::move(row_log)),
      timers(options.time_scale) {}

}  // namespace arrowport::emulator
