// An HTTP/2 connection as a gRPC client, and the calls on it.
// Source: RFC 9113; gRPC, "gRPC over HTTP2" (PROTOCOL-HTTP2.md).
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>
#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "zerobus/rpc/link.h"
#include "zerobus/rpc/status.h"

namespace arrowport::zerobus::rpc {

using Metadata = std::vector<std::pair<std::string, std::string>>;
/// One gRPC message, in pieces that are sent where they lie.
using Message = std::vector<std::shared_ptr<arrow::Buffer>>;

/// Told about a call on the I/O thread, never from inside a method of Call.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  /// Initial metadata of the service (not when it answers with trailers only).
  virtual void OnHeaders(const Metadata& metadata) {}
  virtual void OnMessage(std::string_view message) = 0;
  /// Write said stop, and there is room again.
  virtual void OnWritable() = 0;
  /// Exactly once, after everything else; not after Cancel. If the service sent a status
  /// it is this one, whatever happened to the connection.
  virtual void OnEnd(const RpcStatus& status) = 0;
};

class Connection;

/// One bidirectional call. I/O thread only; held by its maker, who cancels it before its
/// handler dies (the destructor does so too).
class Call {
 public:
  ~Call() { Cancel(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  enum class Room { kYes, kNo };
  /// Queues a message; after kNo, wait for OnWritable: the queue holds one mark's worth
  /// of bytes and no more than the last message beyond it. REQUIRES: no HalfClose before;
  /// the message is under 4 GiB.
  Room Write(Message message);
  /// Messages not one byte of which has left the queue.
  size_t unsent_messages() const;
  /// Takes those back: they are never sent.
  void DropUnsent();
  /// No more messages; takes effect behind those queued.
  void HalfClose();
  /// Ends the call with RST_STREAM; the handler hears no more of it. Idempotent.
  void Cancel();

 private:
  friend class Connection;
  struct Outgoing {
    Message slices;
    size_t size = 0;  ///< with prefix
    size_t sent = 0;
    char prefix[5];
  };

  Call() = default;
  ssize_t Read(uint8_t* into, size_t length, uint32_t* flags);
  size_t CopyOut(uint8_t* into, size_t length);
  bool TakeData(std::string_view bytes);
  void OnHeader(std::string_view name, std::string_view value);
  void BeginHeaders() { block_.clear(); }
  void FinishHeaders(bool end);
  RpcStatus TrailerStatus() const;
  void End(RpcStatus status);

  std::shared_ptr<Connection> connection_;  ///< null once the call is over
  CallHandler* handler_ = nullptr;
  std::string path_;
  Metadata metadata_;
  int32_t id_ = -1;  ///< of the stream; -1 before it is submitted
  std::deque<Outgoing> queue_;
  size_t queue_bytes_ = 0;
  size_t message_bytes_max_ = 0;
  bool half_closed_ = false;
  bool deferred_ = false;  ///< nghttp2 waits to be told of new data
  bool full_ = false;      ///< Write said stop
  Metadata block_;         ///< the header block being received
  size_t header_bytes_ = 0;
  int http_status_ = 0;
  bool headers_done_ = false;
  bool grpc_answer_ = false;
  bool trailers_seen_ = false;
  Metadata trailers_;
  std::string incoming_;
};

struct ConnectionOptions {
  LinkOptions link;
  /// PING after this long without a received byte while a call is open. Servers of the
  /// common kind count pings more often than every five minutes as abuse.
  std::chrono::milliseconds keepalive_interval{310'000};
  std::chrono::milliseconds keepalive_timeout{20'000};
  size_t queue_bytes_high = 256 * 1024;    ///< of a call's outgoing messages
  size_t message_bytes_max = 1024 * 1024;  ///< received
};

/// I/O thread only. Lives while a call or its owner holds it. Calls may be started before
/// it is connected; if it cannot be, each ends with UNAVAILABLE, or with `configuration`
/// set when trying again cannot help.
class Connection final : public LinkHandler,
                         public std::enable_shared_from_this<Connection> {
 public:
  /// Starts to connect at once.
  static std::shared_ptr<Connection> Open(Reactor* reactor, TaskPool* tasks,
                                          ConnectionOptions options);
  ~Connection() override;

  /// `path`: "/package.Service/Method". Errors: kInvalidArgument for metadata that may
  /// not be sent; kUnreachable when usable() is false.
  arrow::Result<std::unique_ptr<Call>> StartCall(std::string path, Metadata metadata,
                                                 CallHandler* handler);
  /// Takes new calls: neither lost nor told to go away.
  bool usable() const { return !lost_ && !going_away_; }
  size_t calls() const { return pending_.size() + calls_.size(); }

 private:
  friend class Call;
  Connection(Reactor* reactor, TaskPool* tasks, ConnectionOptions options);

  void OnLinkReady() override;
  void OnLinkBytes(std::span<const uint8_t> bytes) override;
  void OnLinkDrained() override;
  void OnLinkLost(const arrow::Status& status) override;

  arrow::Status MakeSession();
  static void SetCallbacks(nghttp2_session_callbacks* callbacks);
  int OnFrame(const nghttp2_frame* frame);
  void OnStreamClosed(int32_t id, uint32_t error_code);
  Call* Find(int32_t id);
  void Submit(Call* call);
  void Forget(Call* call);
  void PumpSoon();
  void Pump();
  void TellWritable();
  void Fail(const RpcStatus& status);
  void ArmKeepalive();
  void OnKeepalive();

  Reactor* const reactor_;
  const ConnectionOptions options_;
  std::shared_ptr<Link> link_;
  nghttp2_session* session_ = nullptr;
  std::vector<Call*> pending_;
  std::map<int32_t, Call*> calls_;
  std::string out_;
  bool ready_ = false;
  bool lost_ = false;
  bool going_away_ = false;
  bool pump_posted_ = false;
  TimePoint last_received_{};
  bool ping_outstanding_ = false;
  std::optional<Reactor::TimerId> keepalive_timer_;
};

}  // namespace arrowport::zerobus::rpc
