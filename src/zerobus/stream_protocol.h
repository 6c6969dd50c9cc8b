// What differs between the services a stream can speak to: how a connection is opened,
// how a request looks on the wire, what replies mean. The seam for other stream kinds.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "zerobus/request.h"
#include "zerobus/rpc/connection.h"

namespace arrowport::zerobus {

/// What acknowledgements count on a connection.
enum class AckUnit { kRequests, kRows };

/// A message of the service. Several parts may come in one.
struct ServiceMessage {
  struct Opened {
    std::string stream_id;
    /// Requests in flight that the service has already, oldest first: not sent again.
    int64_t settled_requests = 0;
  };
  struct Ack {
    /// Of kRequests: the highest wire offset that is durable; of kRows: how many rows of
    /// this connection are. None: the service left it out.
    std::optional<int64_t> up_to;
  };
  struct CloseSignal {
    std::chrono::milliseconds duration{0};
  };
  std::optional<Opened> opened;
  std::optional<Ack> ack;
  std::optional<CloseSignal> close;
};

/// Immutable, thread-safe.
class StreamProtocol {
 public:
  virtual ~StreamProtocol() = default;
  virtual std::string path() const = 0;
  virtual AckUnit ack_unit() const = 0;
  /// The first message of a connection.
  virtual rpc::Message OpenMessage() const = 0;
  /// Errors: Protocol, for bytes that are no such message.
  virtual arrow::Result<ServiceMessage> Parse(std::string_view message) const = 0;
  /// The message for `request` without its first `skip_rows` rows, as number `index`,
  /// from 0, of its connection. Errors: kInternal, kOutOfMemory.
  virtual arrow::Result<rpc::Message> Encode(const Request& request, int64_t skip_rows,
                                             int64_t index) const = 0;
  /// A request of `rows` rows of `request` from `first_row` on.
  virtual arrow::Result<Request> Slice(const Request& request, int64_t first_row,
                                       int64_t rows) const = 0;
};

}  // namespace arrowport::zerobus
