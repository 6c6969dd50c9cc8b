// An HTTP/2 client on nghttp2, for tests that need to misbehave. Not part of the library.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "wire/net/testing_handlers.h"

namespace arrowport::wire::net::testing {

inline std::string GrpcMessage(std::string_view bytes, bool compressed = false) {
  std::string message;
  message += compressed ? '\1' : '\0';
  for (int shift = 24; shift >= 0; shift -= 8) {
    message += static_cast<char>(bytes.size() >> shift);
  }
  message += bytes;
  return message;
}

/// Not thread-safe. Everything happens in Pump.
class Http2Client {
 public:
  enum class Window { kOpened, kNeverOpened };

  struct Stream {
    std::multimap<std::string, std::string> headers;
    std::string data;
    std::string to_send;
    size_t sent = 0;
    bool end = false;
    bool closed = false;
    std::string header(const std::string& name) const {
      auto it = headers.find(name);
      return it == headers.end() ? "" : it->second;
    }
  };

  explicit Http2Client(uint16_t port, Window window = Window::kOpened) : socket_(port) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* self) {
          static_cast<Http2Client*>(self)->streams_[frame->hd.stream_id].headers.emplace(
              std::string(reinterpret_cast<const char*>(name), name_size),
              std::string(reinterpret_cast<const char*>(value), value_size));
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data,
                      size_t size, void* self) {
          static_cast<Http2Client*>(self)->streams_[id].data.append(
              reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t, void* self) {
          static_cast<Http2Client*>(self)->streams_[id].closed = true;
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          if (frame->hd.type == NGHTTP2_SETTINGS) {
            static_cast<Http2Client*>(self)->settings_received_ = true;
          }
          return 0;
        });
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    if (window == Window::kNeverOpened) {
      nghttp2_option_set_no_auto_window_update(option, 1);
    }
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~Http2Client() { nghttp2_session_del(session_); }
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  int32_t Begin(const std::string& path,
                std::vector<std::pair<std::string, std::string>> metadata = {},
                const std::string& content_type = "application/grpc",
                const std::string& query = "") {
    std::vector<std::pair<std::string, std::string>> fields = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", path + query},
        {":authority", "test"},
        {"content-type", content_type},
        {"te", "trailers"}};
    for (auto& field : metadata) fields.push_back(std::move(field));
    std::vector<nghttp2_nv> entries;
    for (auto& [name, value] : fields) {
      entries.push_back({reinterpret_cast<uint8_t*>(name.data()),
                         reinterpret_cast<uint8_t*>(value.data()), name.size(),
                         value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session*, int32_t id, uint8_t* into,
                                size_t length, uint32_t* flags, nghttp2_data_source*,
                                void* self) -> ssize_t {
      Stream& stream = static_cast<Http2Client*>(self)->streams_[id];
      size_t left = stream.to_send.size() - stream.sent;
      if (left == 0 && !stream.end) return NGHTTP2_ERR_DEFERRED;
      size_t size = std::min(length, left);
      std::copy_n(stream.to_send.data() + stream.sent, size, into);
      stream.sent += size;
      if (size == left && stream.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(size);
    };
    return nghttp2_submit_request(session_, nullptr, entries.data(), entries.size(),
                                  &provider, nullptr);
  }

  void SendData(int32_t id, const std::string& bytes, bool end) {
    streams_[id].to_send += bytes;
    streams_[id].end |= end;
    nghttp2_session_resume_data(session_, id);
    Pump(0);
  }
  void Reset(int32_t id) {
    Pump(0);
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    Pump(0);
  }
  void SendRaw(std::string_view bytes) {
    Pump(0);
    alive_ = socket_.Send(bytes) && alive_;
  }

  /// Sends what there is and takes what comes within `wait_ms`.
  void Pump(int wait_ms) {
    if (!alive_) return;
    const uint8_t* bytes = nullptr;
    ssize_t size = 0;
    while (alive_ && (size = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      alive_ =
          SendOrRead({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
    }
    std::string received;
    if (socket_.ReceiveSome(&received, wait_ms)) Take(received);
    if (socket_.ended()) alive_ = false;
  }
  bool WaitClosed(int32_t id) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!streams_[id].closed) {
      Pump(20);
      if (!alive_ || std::chrono::steady_clock::now() > deadline) break;
    }
    return streams_[id].closed;
  }
  bool Handshake() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!settings_received_ && alive_ && std::chrono::steady_clock::now() < deadline) {
      Pump(10);
    }
    Pump(0);
    return settings_received_;
  }

  Stream& stream(int32_t id) { return streams_[id]; }
  bool alive() const { return alive_; }

 private:
  // A server may block on its answers while we block on our bytes: read in between.
  bool SendOrRead(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t size = ::send(socket_.descriptor(), bytes.data(), bytes.size(),
                            MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size > 0) {
        bytes.remove_prefix(static_cast<size_t>(size));
        continue;
      }
      if (errno != EAGAIN) return false;
      std::string received;
      if (socket_.ReceiveSome(&received, 1)) pending_ += received;
      if (socket_.ended()) return false;
    }
    return true;
  }
  void Take(const std::string& received) {
    std::string all = std::exchange(pending_, {}) + received;
    if (nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(all.data()),
                                 all.size()) < 0) {
      alive_ = false;
    }
  }

  RawSocket socket_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Stream> streams_;
  std::string pending_;
  bool alive_ = true;
  bool settings_received_ = false;
};

}  // namespace arrowport::wire::net::testing
