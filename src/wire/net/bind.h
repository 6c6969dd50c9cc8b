// Listening sockets.
#pragma once

#include <arrow/result.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "wire/net/call.h"

namespace arrowport::wire::net {

/// Owns a socket descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor();
  int get() const { return value_; }
  int Release() {
    int value = value_;
    value_ = -1;
    return value;
  }

 private:
  int value_;
};

struct Bound {
  uint16_t port = 0;
  std::vector<Descriptor> sockets;  ///< non-blocking, listening
};

/// Listens on `port` (0: one free port for all) of every address that `host` names.
/// Addresses this machine does not have are skipped as long as one remains.
/// Errors: kBadConfig (no such host), kUnreachable (taken, naming the holder if it can).
arrow::Result<Bound> BindAll(const std::string& host, uint16_t port);

/// Who listens on a TCP port, as "name (pid 7)"; empty when /proc does not tell.
std::string HolderOfPort(uint16_t port);

Peer PeerOf(const sockaddr_storage& address);

}  // namespace arrowport::wire::net
