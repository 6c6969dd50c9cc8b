// State of one HTTP/2 stream, that is of one gRPC call. I/O thread only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/net/call_state.h"
#include "wire/net/grpc_framing.h"
#include "wire/net/limits.h"
#include "wire/net/waits.h"

namespace arrowport::wire::net {

struct Http2Stream {
  Http2Stream(int32_t stream_id, const std::shared_ptr<ListenerContext>& context)
      : id(stream_id), slot(context), budget(context) {}

  const int32_t id;

  // The request.
  RequestHead head;  ///< until the call exists
  size_t header_bytes = 0;
  bool metadata_ok = true;
  std::shared_ptr<CallState> call;
  MessageCodec codec = MessageCodec::kIdentity;
  SlotWait slot;
  BudgetWait budget;
  std::optional<MessageCutter> cutter;  ///< while the body is of use
  std::vector<Inbound> ready;           ///< cut in this turn, not yet delivered
  /// Received and not usable yet: no slot, or no room for the message. Bounded by the
  /// window. Not charged: waiting streams would keep each other out.
  std::vector<uint8_t> stash;
  bool discard = false;       ///< the rest of the body is of no use
  bool remote_ended = false;  ///< the peer sent END_STREAM
  bool end_delivered = false;
  bool touched = false;  ///< listed for the end of this turn
  bool window_raised = false;
  bool credit_stopped = false;
  int messages_admitted = 0;
  size_t withheld_bytes = 0;  ///< received and not yet given back as credit
  TimePoint rate_since{};
  int64_t rate_bytes = 0;
  std::optional<TimePoint> deadline;

  // The answer.
  struct Slice {
    std::shared_ptr<arrow::Buffer> buffer;
    int64_t offset = 0;
  };
  std::deque<Slice> slices;
  size_t slices_bytes = 0;
  std::optional<Outcome> outcome;
  bool plain_http = false;  ///< not gRPC: no trailers
  bool head_submitted = false;
  bool deferred = false;
  bool trailers_submitted = false;
  bool answer_sent = false;
  TimePoint last_progress{};
};

}  // namespace arrowport::wire::net
