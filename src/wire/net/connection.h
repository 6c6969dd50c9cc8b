// One accepted connection: reads, sends, watches the time, and leaves the protocol to its
// session, which it chooses by the first bytes.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/net/call_state.h"
#include "wire/net/limits.h"
#include "wire/net/listener.h"
#include "wire/net/out_queue.h"
#include "wire/net/transport.h"

namespace arrowport::wire::net {

class IoThread;

/// What the connections of one listener share. Thread-safe.
struct ListenerContext {
  explicit ListenerContext(ListenerOptions given);

  const ListenerOptions options;
  const std::shared_ptr<BufferPool> pool;
  const std::shared_ptr<WorkerPool> workers;
  CallSlots slots;
  ConnectionCounts connections;
  std::atomic<bool> draining{false};

  void Rejected(std::string_view reason) const {
    if (options.observer) options.observer->OnRejected(reason);
  }
};

/// No more than this waits in a connection's queue for the socket; the rest stays with
/// its call, where it counts against the call's high-water mark.
constexpr size_t kOutQueueBytes = 4 << 20;
/// A request head over this is refused with 431.
constexpr size_t kHeaderBytesMax = 64 * 1024;

/// Speaks one protocol over one connection. I/O thread only.
class Session {
 public:
  virtual ~Session() = default;
  virtual Protocol protocol() const = 0;
  /// Takes all of `bytes`, or keeps what it cannot use now.
  virtual void OnBytes(std::span<const uint8_t> bytes) = 0;
  /// What was kept and must stand in front of the next bytes: moved to `into`, which is
  /// large enough. Returns its size.
  virtual size_t TakeLeftover(std::span<uint8_t> into) { return 0; }
  /// The peer sends no more.
  virtual void OnPeerEnd() = 0;
  virtual bool wants_read() = 0;
  /// How much to ask the socket for.
  virtual size_t read_bytes() const = 0;
  /// Moves what there is to send into `out`, up to kOutQueueBytes.
  virtual void Pack(OutQueue* out) = 0;
  /// All that Pack gave out has been sent.
  virtual void OnSent() = 0;
  enum class Ending { kOpen, kClose, kLinger };
  /// Whether to close once everything is sent; kLinger: the peer may still be sending.
  virtual Ending ending() const = 0;
  virtual void OnNote(CallState& call) = 0;
  virtual void OnTick(TimePoint now) = 0;
  virtual void Drain() = 0;
  /// Ends all calls; returns how many were open.
  virtual int Cut(const arrow::Status& status) = 0;
  virtual bool idle() const = 0;
};

/// I/O thread only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(IoThread* thread, boost::asio::ip::tcp::socket socket, Peer peer);
  ~Connection();

  void Start();
  void OnNote(CallState& call);
  void OnTick(TimePoint now);
  void Drain();
  /// Ends all calls with `status` and closes at once; returns how many were open.
  int Close(const arrow::Status& status);

  /// Sends what there is, closes when done, asks for reads again. After anything that
  /// may have changed the session.
  void Update();

  /// Takes effect once what is queued is sent (kReset without a torn frame: at once).
  /// kStreamReset and kGoaway are the session's.
  void Break(const Breakage& breakage, int32_t stream_id);

  // For sessions.
  IoThread* thread() const { return thread_; }
  const Peer& peer() const { return peer_; }
  TimePoint last_received() const { return last_received_; }
  bool update_pending = false;  ///< listed with the I/O thread for an Update

 private:
  void OnReadable();
  void OnReceived(std::span<uint8_t> bytes);
  void ChooseSession(std::span<const uint8_t> bytes);
  void WaitReadable();
  void WaitWritable();
  bool Send();
  /// `breakage_` is due. Returns whether to read on.
  bool CarryOutBreakage();
  void Discard();

  IoThread* const thread_;
  boost::asio::ip::tcp::socket socket_;
  const Peer peer_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Session> session_;
  std::string sniffed_;  ///< received before the protocol was known
  OutQueue out_;
  bool waiting_readable_ = false;
  bool waiting_writable_ = false;
  bool peer_ended_ = false;
  bool closed_ = false;
  bool lingering_ = false;
  bool updating_ = false;
  bool frozen_ = false;
  std::optional<Breakage> breakage_;
  int32_t torn_stream_id_ = 0;  ///< whose frame is to be torn; 0: none
  TimePoint opened_;
  TimePoint last_received_;
  TimePoint first_byte_{};
  TimePoint last_sent_{};  ///< when the socket last took bytes, or the queue was empty
  TimePoint linger_since_{};
};

}  // namespace arrowport::wire::net
