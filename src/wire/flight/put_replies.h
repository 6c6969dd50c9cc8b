// The JSON that goes back on a DoPut, as app_metadata of PutResult.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingest/session.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// The session is open: {"ready": true, ...}.
net::Slices ReadyReply(std::optional<int64_t> producer_last_sequence);

/// What is durable by now, for batch mode: acknowledgements are cumulative, so any
/// number of them merge into one. Bounded, however long nobody reads. Not thread-safe.
class AckMerger {
 public:
  void Add(const ingest::Ack& ack);
  bool pending() const { return pending_; }
  /// The merged acknowledgement; clears pending().
  net::Slices Take();

 private:
  bool pending_ = false;
  ingest::Ack merged_;
  int64_t quarantined_unlisted_ = 0;
};

/// The last reply: the fields of the HTTP reply.
net::Slices SummaryReply(const ingest::Receipt& receipt, const std::string& request_id);

}  // namespace arrowport::wire::flight
