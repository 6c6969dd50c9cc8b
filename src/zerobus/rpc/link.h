// A byte stream to the service: name resolution, TCP, proxy tunnel, TLS.
#pragma once

#include <arrow/status.h>
#include <netinet/in.h>

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "zerobus/rpc/reactor.h"
#include "zerobus/rpc/target.h"
#include "zerobus/rpc/task_pool.h"
#include "zerobus/rpc/tls.h"

namespace arrowport::zerobus::rpc {

struct LinkOptions {
  Endpoint endpoint;
  std::optional<Proxy> proxy;
  std::shared_ptr<const TlsContext> tls;  ///< REQUIRES: set when endpoint.tls
  std::string server_name;                ///< empty: the endpoint's host
  std::string user_agent;                 ///< told to the proxy
  /// Before the next of several addresses is tried.
  std::chrono::milliseconds address_timeout{5'000};
};

/// Told about a link on the I/O thread, never from inside one of its methods.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void OnLinkReady() = 0;
  virtual void OnLinkBytes(std::span<const uint8_t> bytes) = 0;
  /// What Send took has left for the socket.
  virtual void OnLinkDrained() = 0;
  /// Nothing comes after this. Everything received before was handed over.
  /// kBadConfig: trying again cannot help; else kUnreachable.
  virtual void OnLinkLost(const arrow::Status& status) = 0;
};

/// I/O thread only. Holds at most what one Send gave it and one read of the socket.
class Link final : public SocketHandler, public std::enable_shared_from_this<Link> {
 public:
  Link(Reactor* reactor, TaskPool* tasks, LinkOptions options, LinkHandler* handler);
  ~Link() override;

  /// Begins; the handler learns the rest.
  void Start();
  /// Takes all of `bytes`. REQUIRES: ready and drained().
  void Send(std::string_view bytes);
  bool drained() const { return out_.size() == out_begin_; }
  /// Ends at once and silently.
  void Close();

 private:
  enum class State { kIdle, kResolving, kConnecting, kTunnel, kTls, kReady, kClosed };
  struct Address {
    sockaddr_storage storage;
    socklen_t size;
  };

  void OnSocket(uint32_t events) override;
  void OnResolved(arrow::Result<std::deque<Address>> addresses);
  static arrow::Result<std::deque<Address>> Resolve(const std::string& host,
                                                    uint16_t port, int flags);
  void ConnectNext();
  void NextAddress(const arrow::Status& status);
  void OnConnected();
  void BeginTunnel();
  void BeginTls();
  void BecomeReady();
  void Read();
  arrow::Status TakeBytes(std::span<const uint8_t> bytes);
  arrow::Status TakeTunnelReply(std::span<const uint8_t> bytes);
  void Flush();
  void Soon(std::function<void(Link*)> task);
  void Lose(const arrow::Status& status);
  void DropSocket();
  void UpdateEvents();

  Reactor* const reactor_;
  TaskPool* const tasks_;
  const LinkOptions options_;
  LinkHandler* handler_;
  State state_ = State::kIdle;
  std::deque<Address> addresses_;
  int socket_ = -1;
  uint64_t watch_ = 0;
  std::optional<Reactor::TimerId> address_timer_;
  std::unique_ptr<TlsEngine> tls_;
  std::string tunnel_reply_;
  std::string plain_;
  std::string out_;
  size_t out_begin_ = 0;
  bool write_failed_ = false;
};

}  // namespace arrowport::zerobus::rpc
