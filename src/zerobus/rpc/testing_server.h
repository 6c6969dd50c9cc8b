// A gRPC server that does what a test says, one thread, on nghttp2. Not part of the
// library.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace arrowport::zerobus::rpc::testing {

class TestServer;

/// Server thread only.
struct ServerConnection {
  int socket = -1;
  nghttp2_session* session = nullptr;
  std::string out;
  bool reading = true;
  bool closing = false;  ///< when `out` is sent
  bool dead = false;
};

/// One call as the server sees it. Server thread only; valid while the server lives.
class ServerCall {
 public:
  int number = 0;  ///< of all calls, from 0
  int32_t id = 0;
  std::multimap<std::string, std::string> headers;
  int64_t messages = 0;
  bool half_closed = false;
  bool reset = false;
  bool closed = false;

  std::string header(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
  void SendHeaders();
  void SendMessage(std::string_view message) {
    SendHeaders();
    out += '\0';
    for (int shift = 24; shift >= 0; shift -= 8) {
      out += static_cast<char>(message.size() >> shift);
    }
    out += message;
    Resume();
  }
  void SendRaw(std::string_view bytes) {
    SendHeaders();
    out += bytes;
    Resume();
  }
  /// Ends the call with a status; alone (trailers only) when nothing was sent.
  void Finish(int code, const std::string& message = "", const std::string& details = "");
  void Reset(uint32_t error_code) {
    nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, id, error_code);
  }
  void GoAway(uint32_t error_code) {
    nghttp2_session_terminate_session(connection->session, error_code);
    connection->closing = true;
  }
  void CloseTcp() { connection->closing = true; }
  void ResetTcp() {
    linger hard{1, 0};
    setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    connection->dead = true;
  }
  void SetReading(bool reading) { connection->reading = reading; }

 private:
  friend class TestServer;
  void Resume() {
    if (headers_sent) nghttp2_session_resume_data(connection->session, id);
  }
  ServerConnection* connection = nullptr;
  std::string in;
  std::string out;
  size_t out_sent = 0;
  bool headers_sent = false;
  bool finishing = false;
  std::vector<std::pair<std::string, std::string>> trailers;
};

struct ServerScript {
  std::function<void(ServerCall&)> on_start = [](ServerCall&) {};
  std::function<void(ServerCall&, const std::string&)> on_message =
      [](ServerCall&, const std::string&) {};
  std::function<void(ServerCall&)> on_half_close = [](ServerCall& call) {
    call.Finish(0);
  };
};

/// Listens on a free port of 127.0.0.1 from construction on.
class TestServer {
 public:
  explicit TestServer(ServerScript script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(listener_, 64);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (pipe(wake_) != 0) std::abort();
    thread_ = std::thread([this] { Run(); });
  }
  ~TestServer() {
    Post([this] { stopping_ = true; });
    thread_.join();
    for (auto& connection : connections_) CloseNow(*connection);
    close(listener_);
    close(wake_[0]);
    close(wake_[1]);
  }

  uint16_t port() const { return port_; }
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const { return accepted_; }
  int calls() const { return started_; }
  int open_connections() const { return open_; }

  /// Runs on the server's thread.
  void Post(std::function<void()> task) {
    After(std::chrono::milliseconds(0), std::move(task));
  }
  void After(std::chrono::milliseconds delay, std::function<void()> task) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(task));
    }
    if (write(wake_[1], "x", 1) != 1) std::abort();
  }

 private:
  static TestServer* Self(void* self) { return static_cast<TestServer*>(self); }

  void Accept() {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    ++accepted_;
    ++open_;
    auto connection = std::make_unique<ServerConnection>();
    connection->socket = socket;
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    SetCallbacks(callbacks);
    nghttp2_session_server_new(&connection->session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, nullptr, 0);
    connections_.push_back(std::move(connection));
  }

  void SetCallbacks(nghttp2_session_callbacks* callbacks) {
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session* session, const nghttp2_frame* frame,
                      const uint8_t* name, size_t name_size, const uint8_t* value,
                      size_t value_size, uint8_t, void* self) {
          Self(self)
              ->Find(session, frame->hd.stream_id)
              .headers.emplace(
                  std::string(reinterpret_cast<const char*>(name), name_size),
                  std::string(reinterpret_cast<const char*>(value), value_size));
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                      size_t size, void* self) {
          ServerCall& call = Self(self)->Find(session, id);
          call.in.append(reinterpret_cast<const char*>(data), size);
          Self(self)->CutMessages(call);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session* session, const nghttp2_frame* frame, void* self) {
          if (frame->hd.type == NGHTTP2_HEADERS) {
            ServerCall& call = Self(self)->Find(session, frame->hd.stream_id);
            call.number = Self(self)->started_++;
            Self(self)->script_.on_start(call);
          }
          if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
              (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
            ServerCall& call = Self(self)->Find(session, frame->hd.stream_id);
            call.half_closed = true;
            Self(self)->script_.on_half_close(call);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session* session, int32_t id, uint32_t code, void* self) {
          ServerCall& call = Self(self)->Find(session, id);
          call.closed = true;
          call.reset = code != 0;
          return 0;
        });
  }

  ServerCall& Find(nghttp2_session* session, int32_t id) {
    auto& call = calls_[{session, id}];
    if (!call) {
      call = std::make_unique<ServerCall>();
      call->id = id;
      for (auto& connection : connections_) {
        if (connection->session == session) call->connection = connection.get();
      }
    }
    return *call;
  }

  void CutMessages(ServerCall& call) {
    size_t begin = 0;
    while (call.in.size() - begin >= 5) {
      const auto* head = reinterpret_cast<const uint8_t*>(call.in.data() + begin);
      const size_t size = size_t{head[1]} << 24 | size_t{head[2]} << 16 |
                          size_t{head[3]} << 8 | size_t{head[4]};
      if (call.in.size() - begin - 5 < size) break;
      const std::string message = call.in.substr(begin + 5, size);
      begin += 5 + size;
      ++call.messages;
      if (!call.connection->dead) script_.on_message(call, message);
    }
    call.in.erase(0, begin);
  }

  void RunTimers() {
    while (true) {
      std::function<void()> task;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (timers_.empty() ||
            timers_.begin()->first > std::chrono::steady_clock::now()) {
          return;
        }
        task = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
      }
      task();
    }
  }

  int WaitMs() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (timers_.empty()) return 1000;
    const auto left = timers_.begin()->first - std::chrono::steady_clock::now();
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::max<int64_t>(0, wait));
  }

  void Read(ServerConnection& connection) {
    uint8_t buffer[64 * 1024];
    const ssize_t size = recv(connection.socket, buffer, sizeof(buffer), 0);
    if (size == 0 || (size < 0 && errno != EAGAIN)) connection.dead = true;
    if (size > 0 && nghttp2_session_mem_recv(connection.session, buffer,
                                             static_cast<size_t>(size)) < 0) {
      connection.dead = true;
    }
  }

  void Write(ServerConnection& connection) {
    const uint8_t* bytes = nullptr;
    ssize_t size = 0;
    while (connection.out.size() < (1 << 20) &&
           (size = nghttp2_session_mem_send(connection.session, &bytes)) > 0) {
      connection.out.append(reinterpret_cast<const char*>(bytes),
                            static_cast<size_t>(size));
    }
    if (connection.out.empty()) return;
    size = send(connection.socket, connection.out.data(), connection.out.size(),
                MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN) connection.dead = true;
    if (size > 0) connection.out.erase(0, static_cast<size_t>(size));
  }

  void CloseNow(ServerConnection& connection) {
    close(connection.socket);
    nghttp2_session_del(connection.session);
    connection.session = nullptr;
    --open_;
  }

  void Run() {
    while (!stopping_) {
      std::vector<pollfd> polled = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      std::vector<ServerConnection*> order;
      for (auto& connection : connections_) {
        short events = connection->reading ? POLLIN : 0;
        if (!connection->out.empty()) events |= POLLOUT;
        polled.push_back({connection->socket, events, 0});
        order.push_back(connection.get());
      }
      poll(polled.data(), polled.size(), WaitMs());
      if (polled[1].revents) {
        char drained[256];
        if (read(wake_[0], drained, sizeof(drained)) < 0) std::abort();
      }
      for (size_t i = 0; i < order.size(); ++i) {
        if (polled[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) {
          if (order[i]->reading) Read(*order[i]);
        }
      }
      if (polled[0].revents) Accept();
      RunTimers();
      for (auto& connection : connections_) {
        if (!connection->dead) Write(*connection);
        if (connection->closing && connection->out.empty()) connection->dead = true;
      }
      connections_.remove_if([this](auto& connection) {
        if (!connection->dead) return false;
        std::erase_if(calls_, [&](auto& entry) {
          return entry.second->connection == connection.get();
        });
        CloseNow(*connection);
        return true;
      });
    }
  }

  friend class ServerCall;
  const ServerScript script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  int wake_[2];
  std::atomic<int> accepted_{0};
  std::atomic<int> started_{0};
  std::atomic<int> open_{0};
  std::mutex mutex_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timers_;
  bool stopping_ = false;
  std::list<std::unique_ptr<ServerConnection>> connections_;
  std::map<std::pair<nghttp2_session*, int32_t>, std::unique_ptr<ServerCall>> calls_;
  std::thread thread_;
};

inline nghttp2_nv TestField(const std::string& name, const std::string& value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

inline void ServerCall::SendHeaders() {
  if (headers_sent) return;
  headers_sent = true;
  const std::string names[] = {":status", "content-type"};
  const std::string values[] = {"200", "application/grpc"};
  const nghttp2_nv fields[] = {TestField(names[0], values[0]),
                               TestField(names[1], values[1])};
  nghttp2_data_provider provider;
  provider.source.ptr = this;
  provider.read_callback = [](nghttp2_session* session, int32_t stream, uint8_t* into,
                              size_t length, uint32_t* flags, nghttp2_data_source* source,
                              void*) -> ssize_t {
    auto* call = static_cast<ServerCall*>(source->ptr);
    const size_t size = std::min(length, call->out.size() - call->out_sent);
    std::memcpy(into, call->out.data() + call->out_sent, size);
    call->out_sent += size;
    if (call->out_sent < call->out.size()) return static_cast<ssize_t>(size);
    if (!call->finishing) {
      return size > 0 ? static_cast<ssize_t>(size) : ssize_t{NGHTTP2_ERR_DEFERRED};
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    std::vector<nghttp2_nv> fields;
    for (auto& [name, value] : call->trailers) fields.push_back(TestField(name, value));
    nghttp2_submit_trailer(session, stream, fields.data(), fields.size());
    return static_cast<ssize_t>(size);
  };
  nghttp2_submit_response(connection->session, id, fields, 2, &provider);
}

inline void ServerCall::Finish(int code, const std::string& message,
                               const std::string& details) {
  if (finishing || closed) return;
  finishing = true;
  trailers = {{"grpc-status", std::to_string(code)}, {"grpc-message", message}};
  if (!details.empty()) trailers.emplace_back("grpc-status-details-bin", details);
  if (headers_sent) return Resume();
  headers_sent = true;
  trailers.insert(trailers.begin(),
                  {{":status", "200"}, {"content-type", "application/grpc"}});
  std::vector<nghttp2_nv> fields;
  for (auto& [name, value] : trailers) fields.push_back(TestField(name, value));
  nghttp2_submit_response(connection->session, id, fields.data(), fields.size(), nullptr);
}

}  // namespace arrowport::zerobus::rpc::testing
