#include "wire/net/listener.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <future>

#include "base/error.h"
#include "base/log.h"
#include "wire/net/bind.h"
#include "wire/net/io_thread.h"

namespace arrowport::wire::net {
namespace {

using std::chrono::milliseconds;

constexpr int kAcceptsPerTurn = 64;
// With no descriptor left, accepting again at once would only spin.
constexpr milliseconds kAcceptPause{100};

arrow::Status Validate(const ListenerOptions& options) {
  if (!options.router) return Error(ErrorCode::kBadConfig, "the listener has no router");
  if (options.io_threads < 0 || options.worker_threads < 0 ||
      options.message_bytes_max <= 0 || options.request_memory_max <= 0 ||
      options.connections_max <= 0 || options.connections_per_address_max <= 0 ||
      options.requests_in_flight_max <= 0 || options.body_rate_min_bytes < 0) {
    return Error(ErrorCode::kBadConfig, "the limits of the listener must be above 0");
  }
  if (options.write_low_bytes <= 0 ||
      options.write_low_bytes > options.write_high_bytes) {
    return Error(ErrorCode::kBadConfig, "write marks must be 0 < low <= high");
  }
  for (milliseconds limit :
       {options.queue_wait, options.header_timeout, options.body_rate_window,
        options.idle_timeout, options.write_stall_timeout, options.keepalive_interval}) {
    if (limit <= milliseconds::zero()) {
      return Error(ErrorCode::kBadConfig, "the time limits must be above 0");
    }
  }
  return {};
}

class Acceptor;

class ListenerImpl final : public Listener {
 public:
  explicit ListenerImpl(ListenerOptions options)
      : context_(std::make_shared<ListenerContext>(std::move(options))) {
    for (int i = 0; i < context_->options.io_threads; ++i) {
      threads_.push_back(std::make_unique<IoThread>(context_));
    }
  }
  ~ListenerImpl() override { Stop(milliseconds::zero()); }

  arrow::Result<uint16_t> Bind(const std::string& host, uint16_t port) override;
  arrow::Status Start() override;
  int Stop(milliseconds grace) override;

  int64_t open_connections() const override { return context_->connections.open(); }
  int64_t open_calls() const override { return context_->slots.taken(); }
  const std::shared_ptr<BufferPool>& pool() const override { return context_->pool; }

 private:
  friend class Acceptor;
  enum class State { kNew, kStarted, kStopped };

  void Assign(Descriptor socket, const sockaddr_storage& address);
  void CloseAcceptors();
  /// Runs `task` on every I/O thread and waits for all.
  void OnEachThread(const std::function<void(IoThread&)>& task);

  const std::shared_ptr<ListenerContext> context_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  Mutex mutex_;  ///< Bind, Start and Stop exclude each other
  State state_ GUARDED_BY(mutex_) = State::kNew;
  std::vector<std::shared_ptr<Acceptor>> acceptors_ GUARDED_BY(mutex_);
};

/// One listening socket, served by the first I/O thread.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(ListenerImpl* listener, IoThread* thread, Descriptor socket)
      : listener_(listener),
        socket_(thread->loop(), socket.Release()),
        pause_(thread->loop()) {}

  void Wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                         if (!error) self->AcceptSome();
                       });
  }

  /// On the I/O thread, or before it runs.
  void Close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    pause_.cancel();
  }

 private:
  void AcceptSome() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      int accepted =
          ::accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                    SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted >= 0) {
        listener_->Assign(Descriptor(accepted), address);
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        LogWarn("cannot accept a connection", {{"error", std::strerror(errno)}});
        Pause();
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    }
    Wait();
  }

  void Pause() {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->AcceptSome();
    });
  }

  ListenerImpl* const listener_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer pause_;
};

arrow::Result<uint16_t> ListenerImpl::Bind(const std::string& host, uint16_t port) {
  ARROW_ASSIGN_OR_RAISE(Bound bound, BindAll(host, port));
  MutexLock lock(mutex_);
  if (state_ != State::kNew) {
    return Error(ErrorCode::kInternal, "Bind comes before Start");
  }
  for (auto& socket : bound.sockets) {
    acceptors_.push_back(
        std::make_shared<Acceptor>(this, threads_[0].get(), std::move(socket)));
  }
  return bound.port;
}

arrow::Status ListenerImpl::Start() {
  MutexLock lock(mutex_);
  if (state_ != State::kNew) {
    return Error(ErrorCode::kInternal, "the listener was started before");
  }
  state_ = State::kStarted;
  context_->workers->Start();
  for (auto& acceptor : acceptors_) acceptor->Wait();
  for (auto& thread : threads_) thread->Start();
  return {};
}

void ListenerImpl::Assign(Descriptor socket, const sockaddr_storage& address) {
  Peer peer = PeerOf(address);
  std::string_view refused = context_->connections.Open(peer);
  if (!refused.empty()) {
    context_->Rejected(refused);
    return;
  }
  int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto least = std::min_element(
      threads_.begin(), threads_.end(),
      [](const auto& a, const auto& b) { return a->assigned() < b->assigned(); });
  IoThread* thread = least->get();
  thread->CountAssigned();
  auto protocol = address.ss_family == AF_INET ? boost::asio::ip::tcp::v4()
                                               : boost::asio::ip::tcp::v6();
  auto held = std::make_shared<Descriptor>(std::move(socket));
  thread->Post([thread, protocol, held, peer = std::move(peer)] {
    boost::asio::ip::tcp::socket adopted(thread->loop());
    boost::system::error_code error;
    adopted.assign(protocol, held->get(), error);
    if (error) {
      thread->context()->connections.Close(peer);
      return;
    }
    held->Release();
    thread->Adopt(std::move(adopted), peer);
  });
}

void ListenerImpl::OnEachThread(const std::function<void(IoThread&)>& task) {
  std::vector<std::future<void>> done;
  for (auto& thread : threads_) {
    auto promise = std::make_shared<std::promise<void>>();
    done.push_back(promise->get_future());
    IoThread* target = thread.get();
    target->Post([target, &task, promise] {
      task(*target);
      promise->set_value();
    });
  }
  for (auto& future : done) future.wait();
}

void ListenerImpl::CloseAcceptors() {
  MutexLock lock(mutex_);
  for (auto& acceptor : acceptors_) acceptor->Close();
  acceptors_.clear();
}

int ListenerImpl::Stop(milliseconds grace) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(state_, State::kStopped) != State::kStarted) {
      acceptors_.clear();
      return 0;
    }
  }
  auto deadline = std::chrono::steady_clock::now() + grace;
  context_->draining = true;
  OnEachThread([this](IoThread& thread) {
    if (&thread == threads_[0].get()) CloseAcceptors();
  });
  // Connections accepted a moment ago are with their threads before this runs.
  OnEachThread([](IoThread& thread) { thread.DrainConnections(); });
  context_->connections.WaitNone(deadline);
  std::atomic<int> cut{0};
  arrow::Status status = Error(ErrorCode::kDraining, "the server is shutting down");
  OnEachThread([&](IoThread& thread) { cut += thread.CutConnections(status); });
  // Every handler gets its OnDone before the workers end.
  context_->slots.WaitNone();
  context_->workers->Stop();
  for (auto& thread : threads_) thread->Stop();
  return cut;
}

}  // namespace

arrow::Result<std::unique_ptr<Listener>> Listener::Make(ListenerOptions options) {
  ARROW_RETURN_NOT_OK(Validate(options));
  int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (options.io_threads == 0) options.io_threads = cores;
  if (options.worker_threads == 0) options.worker_threads = std::max(4, 2 * cores);
  return std::make_unique<ListenerImpl>(std::move(options));
}

}  // namespace arrowport::wire::net
