// How bytes get in and out of a connection: a plain socket here, TLS behind the same
// interface. Never blocks, never raises SIGPIPE.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace arrowport::wire::net {

enum class IoState {
  kOk,
  kWouldBlock,
  kEnd,     ///< orderly end of what the peer sends
  kFailed,  ///< the connection is broken
};

struct IoResult {
  IoState state;
  size_t bytes = 0;
};

/// Used by one I/O thread. Does not own the descriptor.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual IoResult Receive(std::span<uint8_t> into) = 0;
  virtual IoResult Send(std::span<const iovec> slices) = 0;
  /// Tells the peer that no more will be sent.
  virtual void EndSending() = 0;
};

std::unique_ptr<Transport> MakePlainTransport(int descriptor);

}  // namespace arrowport::wire::net
