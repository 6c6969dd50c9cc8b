#include "delivery_oracle.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

struct StreamState {
  int64_t next_offset = 0;
  std::vector<int64_t> last_id;  ///< of each producer
};

arrow::Status TakeLine(const std::string& line, const IdPlan& plan,
                       std::map<std::string, StreamState>* streams,
                       std::vector<uint8_t>* logged, LogVerdict* verdict) {
  const auto request = nlohmann::json::parse(line, nullptr, false);
  if (!request.is_object() || !request.contains("ids")) {
    return Error(ErrorCode::kStorageCorrupt, "the log has a line that is not ours: ", line);
  }
  StreamState& stream = (*streams)[request["stream"].get<std::string>()];
  if (stream.last_id.empty()) {
    stream.last_id.resize(static_cast<size_t>(plan.producers), -1);
  }
  if (request["offset"].get<int64_t>() != stream.next_offset++) ++verdict->gaps;
  ++verdict->requests;
  for (const auto& value : request["ids"]) {
    const auto id = value.get<int64_t>();
    if (id < 0 || id >= plan.total()) {
      return Error(ErrorCode::kStorageCorrupt, "the log has a row nobody sent: ", id);
    }
    ++verdict->rows;
    int64_t& last = stream.last_id[static_cast<size_t>(plan.ProducerOf(id))];
    if (id <= last) ++verdict->overtaken;
    last = id;
    uint8_t& count = (*logged)[static_cast<size_t>(id)];
    if (count > 0) ++verdict->duplicates;
    if (count < UINT8_MAX) ++count;
  }
  return {};
}

}  // namespace

std::string LogVerdict::ToString() const {
  return "requests " + std::to_string(requests) + ", connections " +
         std::to_string(streams) + ", rows " + std::to_string(rows) + ", lost " +
         std::to_string(lost) + ", duplicates " + std::to_string(duplicates) +
         ", untold " + std::to_string(untold) + ", gaps " + std::to_string(gaps) +
         ", overtaken " + std::to_string(overtaken);
}

arrow::Status JudgeLog(const std::string& path, const IdPlan& plan,
                       const Outcomes& outcomes, LogVerdict* verdict) {
  std::ifstream file(path);
  if (!file) return Error(ErrorCode::kInvalidArgument, "cannot read the log: ", path);
  std::map<std::string, StreamState> streams;
  std::vector<uint8_t> logged(static_cast<size_t>(plan.total()));
  for (std::string line; std::getline(file, line);) {
    ARROW_RETURN_NOT_OK(TakeLine(line, plan, &streams, &logged, verdict));
  }
  verdict->streams = static_cast<int64_t>(streams.size());
  for (int64_t id = 0; id < plan.total(); ++id) {
    const auto told = outcomes.Of(id);
    const bool there = logged[static_cast<size_t>(id)] > 0;
    if (told == Outcomes::Told::kDurable && !there) ++verdict->lost;
    if (told == Outcomes::Told::kNothing && there) ++verdict->untold;
  }
  return {};
}

}  // namespace arrowport::zerobus
