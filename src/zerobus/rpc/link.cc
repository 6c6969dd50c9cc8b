#include "zerobus/rpc/link.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "zerobus/rpc/status.h"

namespace arrowport::zerobus::rpc {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kTunnelReplyBytesMax = 16 * 1024;
constexpr unsigned kUnackedDataMsMax = 120'000;

arrow::Status Unreachable(std::string_view what, int error) {
  return Error(ErrorCode::kUnreachable, what, ": ", std::strerror(error));
}

void SetOption(int socket, int level, int name, int value) {
  setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

Link::Link(Reactor* reactor, TaskPool* tasks, LinkOptions options, LinkHandler* handler)
    : reactor_(reactor), tasks_(tasks), options_(std::move(options)), handler_(handler) {}

Link::~Link() { Close(); }

void Link::Close() {
  handler_ = nullptr;
  DropSocket();
  state_ = State::kClosed;
}

void Link::DropSocket() {
  if (address_timer_) reactor_->CancelTimer(*address_timer_);
  address_timer_.reset();
  if (socket_ < 0) return;
  if (watch_ != 0) reactor_->Unwatch(watch_);
  close(socket_);
  socket_ = -1;
  watch_ = 0;
}

void Link::Soon(std::function<void(Link*)> task) {
  reactor_->Post([weak = weak_from_this(), task = std::move(task)] {
    if (auto self = weak.lock(); self && self->state_ != State::kClosed) task(self.get());
  });
}

void Link::Lose(const arrow::Status& status) {
  if (state_ == State::kClosed) return;
  DropSocket();
  state_ = State::kClosed;
  if (LinkHandler* handler = std::exchange(handler_, nullptr)) {
    handler->OnLinkLost(status);
  }
}

// --- Resolve and connect ---

arrow::Result<std::deque<Link::Address>> Link::Resolve(const std::string& host,
                                                       uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return Error(ErrorCode::kUnreachable, "no address for ", host, ": ",
                 gai_strerror(error));
  }
  std::deque<Address> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Address address{};
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    addresses.push_back(address);
  }
  freeaddrinfo(found);
  return addresses;
}

void Link::Start() {
  state_ = State::kResolving;
  const std::string host = options_.proxy ? options_.proxy->host : options_.endpoint.host;
  const uint16_t port = options_.proxy ? options_.proxy->port : options_.endpoint.port;
  if (auto numeric = Resolve(host, port, AI_NUMERICHOST); numeric.ok()) {
    Soon([addresses = *std::move(numeric)](Link* self) { self->OnResolved(addresses); });
    return;
  }
  const bool running =
      tasks_->Run([weak = weak_from_this(), reactor = reactor_, host, port] {
        auto addresses = Resolve(host, port, 0);
        reactor->Post([weak, addresses = std::move(addresses)]() mutable {
          auto self = weak.lock();
          if (self && self->state_ == State::kResolving)
            self->OnResolved(std::move(addresses));
        });
      });
  if (!running) {
    Soon([](Link* self) {
      self->Lose(Error(ErrorCode::kUnreachable, "no thread for name resolution"));
    });
  }
}

void Link::OnResolved(arrow::Result<std::deque<Address>> addresses) {
  if (!addresses.ok()) return Lose(addresses.status());
  addresses_ = *std::move(addresses);
  ConnectNext();
}

void Link::ConnectNext() {
  state_ = State::kConnecting;
  const Address address = addresses_.front();
  addresses_.pop_front();
  socket_ =
      socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return NextAddress(Unreachable("socket", errno));
  SetOption(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(socket_, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(kUnackedDataMsMax));
  const int result =
      connect(socket_, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (result != 0 && errno != EINPROGRESS) {
    return NextAddress(Unreachable("connect", errno));
  }
  auto watch = reactor_->Watch(socket_, EPOLLOUT, this);
  if (!watch.ok()) return Lose(watch.status());
  watch_ = *watch;
  if (addresses_.empty()) return;  // the last one has what is left of the attempt
  address_timer_ = reactor_->RunAt(
      std::chrono::steady_clock::now() + options_.address_timeout, [this] {
        address_timer_.reset();
        NextAddress(Error(ErrorCode::kUnreachable, "connect: no answer"));
      });
}

void Link::NextAddress(const arrow::Status& status) {
  DropSocket();
  if (addresses_.empty()) return Lose(status);
  ConnectNext();
}

void Link::OnConnected() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return NextAddress(Unreachable("connect", error));
  if (address_timer_) reactor_->CancelTimer(*address_timer_);
  address_timer_.reset();
  addresses_.clear();
  if (options_.proxy) {
    BeginTunnel();
  } else {
    BeginTls();
  }
}

// --- Tunnel and TLS ---

void Link::BeginTunnel() {
  state_ = State::kTunnel;
  const Endpoint& endpoint = options_.endpoint;
  std::string host = endpoint.host.find(':') == std::string::npos
                         ? endpoint.host
                         : "[" + endpoint.host + "]";
  host += ":" + std::to_string(endpoint.port);
  out_ = "CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (!options_.user_agent.empty()) out_ += "User-Agent: " + options_.user_agent + "\r\n";
  if (!options_.proxy->credentials.empty()) {
    out_ += "Proxy-Authorization: Basic " + EncodeBase64(options_.proxy->credentials) +
            "\r\n";
  }
  out_ += "\r\n";
  Flush();
}

arrow::Status Link::TakeTunnelReply(std::span<const uint8_t> bytes) {
  tunnel_reply_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t end = tunnel_reply_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (tunnel_reply_.size() <= kTunnelReplyBytesMax) return {};
    return Error(ErrorCode::kUnreachable, "the proxy's answer is too long");
  }
  const std::string line = tunnel_reply_.substr(0, tunnel_reply_.find("\r\n"));
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') {
    return Error(ErrorCode::kUnreachable, "the proxy does not speak HTTP");
  }
  const std::string code = line.substr(9, 3);
  if (code == "407") {
    return Error(ErrorCode::kBadConfig, "the proxy asks for other credentials (407)");
  }
  if (code[0] != '2') {
    return Error(ErrorCode::kUnreachable, "the proxy refused the tunnel: ", code);
  }
  if (tunnel_reply_.size() > end + 4 && options_.endpoint.tls) {
    // In TLS the client speaks first: these bytes are not the service's.
    return Error(ErrorCode::kUnreachable, "the proxy sent bytes of its own");
  }
  const std::string rest = tunnel_reply_.substr(end + 4);
  tunnel_reply_.clear();
  BeginTls();
  if (rest.empty() || state_ == State::kClosed) return {};
  return TakeBytes({reinterpret_cast<const uint8_t*>(rest.data()), rest.size()});
}

void Link::BeginTls() {
  if (!options_.endpoint.tls) return BecomeReady();
  state_ = State::kTls;
  auto engine =
      TlsEngine::Make(options_.tls, options_.server_name.empty() ? options_.endpoint.host
                                                                 : options_.server_name);
  if (!engine.ok()) return Lose(engine.status());
  tls_ = *std::move(engine);
  if (auto status = tls_->Advance(); !status.ok()) return Lose(status);
  tls_->TakeOutput(&out_);
  Flush();
}

void Link::BecomeReady() {
  state_ = State::kReady;
  UpdateEvents();
  handler_->OnLinkReady();
}

// --- Bytes ---

void Link::UpdateEvents() {
  if (watch_ == 0) return;
  reactor_->SetEvents(watch_, EPOLLIN | (drained() || write_failed_ ? 0U : EPOLLOUT));
}

void Link::OnSocket(uint32_t events) {
  auto self = shared_from_this();  // the handler may let go of us
  if (state_ == State::kConnecting) return OnConnected();
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) Read();
  if (state_ != State::kClosed && (events & EPOLLOUT) && !drained()) {
    Flush();
    if (state_ == State::kReady && drained()) handler_->OnLinkDrained();
  }
}

void Link::Read() {
  uint8_t buffer[kReadBytes];
  const ssize_t size = recv(socket_, buffer, sizeof(buffer), 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (size <= 0) {
    return Lose(size == 0 ? Error(ErrorCode::kUnreachable,
                                  "the connection was closed by the peer")
                          : Unreachable("the connection broke", errno));
  }
  const arrow::Status status = TakeBytes({buffer, static_cast<size_t>(size)});
  if (!status.ok()) Lose(status);
}

arrow::Status Link::TakeBytes(std::span<const uint8_t> bytes) {
  switch (state_) {
    case State::kTunnel:
      return TakeTunnelReply(bytes);
    case State::kTls:
    case State::kReady: {
      if (!tls_) {
        handler_->OnLinkBytes(bytes);
        return {};
      }
      plain_.clear();
      const arrow::Status status = tls_->Receive(bytes, &plain_);
      tls_->TakeOutput(&out_);  // also the alert that goes with a failure
      Flush();
      if (state_ == State::kTls && tls_->established()) BecomeReady();
      if (state_ == State::kReady && !plain_.empty()) {
        handler_->OnLinkBytes(
            {reinterpret_cast<const uint8_t*>(plain_.data()), plain_.size()});
      }
      ARROW_RETURN_NOT_OK(status);
      if (state_ != State::kClosed && tls_->ended()) {
        return Error(ErrorCode::kUnreachable, "the connection was closed by the peer");
      }
      return {};
    }
    default:
      return {};
  }
}

void Link::Send(std::string_view bytes) {
  if (state_ != State::kReady) return;
  if (tls_) {
    if (auto status = tls_->Send(bytes); !status.ok()) {
      return Soon([status](Link* self) { self->Lose(status); });
    }
    tls_->TakeOutput(&out_);
  } else {
    out_.append(bytes);
  }
  Flush();
}

void Link::Flush() {
  while (!drained() && !write_failed_) {
    const ssize_t size =
        send(socket_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL);
    if (size < 0) {
      if (errno == EINTR) continue;
      // A failed write is no verdict: the peer's last words may wait to be read, and the
      // end of the connection comes that way too.
      if (errno != EAGAIN && errno != EWOULDBLOCK) write_failed_ = true;
      break;
    }
    out_begin_ += static_cast<size_t>(size);
  }
  if (drained()) {
    out_.clear();
    out_begin_ = 0;
  }
  UpdateEvents();
}

}  // namespace arrowport::zerobus::rpc
