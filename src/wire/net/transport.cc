#include "wire/net/transport.h"

#include <sys/socket.h>

#include <cerrno>

namespace arrowport::wire::net {
namespace {

IoResult Failure() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::kWouldBlock};
  return {IoState::kFailed};
}

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(int descriptor) : descriptor_(descriptor) {}

  IoResult Receive(std::span<uint8_t> into) override {
    ssize_t size = 0;
    do {
      size = ::recv(descriptor_, into.data(), into.size(), MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return Failure();
    if (size == 0) return {IoState::kEnd};
    return {IoState::kOk, static_cast<size_t>(size)};
  }

  IoResult Send(std::span<const iovec> slices) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(slices.data());
    message.msg_iovlen = slices.size();
    ssize_t size = 0;
    do {
      size = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return Failure();
    return {IoState::kOk, static_cast<size_t>(size)};
  }

  void EndSending() override { ::shutdown(descriptor_, SHUT_WR); }

 private:
  const int descriptor_;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(int descriptor) {
  return std::make_unique<PlainTransport>(descriptor);
}

}  // namespace arrowport::wire::net
