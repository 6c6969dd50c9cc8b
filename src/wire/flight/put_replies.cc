#include "wire/flight/put_replies.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "ingest/receipt_json.h"
#include "wire/flight/flight_data.h"
#include "wire/flight/proto/flight.pb.h"

namespace arrowport::wire::flight {
namespace {

using nlohmann::json;

constexpr size_t kQuarantinedListedMax = 1000;

net::Slices ToPutResult(std::string text) {
  proto::PutResult result;
  result.set_app_metadata(std::move(text));
  return ToSlices(result);
}

net::Slices ToPutResult(const json& object) {
  return ToPutResult(object.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace

net::Slices ReadyReply(std::optional<int64_t> producer_last_sequence) {
  json reply = {{"ready", true}, {"ack_up_to_offset", -1}, {"ack_up_to_records", 0}};
  reply["producer_last_sequence"] =
      producer_last_sequence ? json(*producer_last_sequence) : json(nullptr);
  return ToPutResult(reply);
}

void AckMerger::Add(const ingest::Ack& ack) {
  pending_ = true;
  merged_.offset = std::max(merged_.offset, ack.offset);
  merged_.records = std::max(merged_.records, ack.records);
  if (!ack.version.empty()) merged_.version = ack.version;
  for (const int64_t offset : ack.quarantined) {
    if (merged_.quarantined.size() < kQuarantinedListedMax) {
      merged_.quarantined.push_back(offset);
    } else {
      ++quarantined_unlisted_;
    }
  }
}

net::Slices AckMerger::Take() {
  json reply = {{"ack_up_to_offset", merged_.offset},
                {"ack_up_to_records", merged_.records},
                {"version", merged_.version}};
  if (!merged_.quarantined.empty()) reply["quarantined"] = merged_.quarantined;
  if (quarantined_unlisted_ > 0) reply["quarantined_unlisted"] = quarantined_unlisted_;
  pending_ = false;
  merged_.quarantined.clear();
  quarantined_unlisted_ = 0;
  return ToPutResult(reply);
}

net::Slices SummaryReply(const ingest::Receipt& receipt, const std::string& request_id) {
  return ToPutResult(ingest::ReceiptJson(receipt, request_id));
}

}  // namespace arrowport::wire::flight
