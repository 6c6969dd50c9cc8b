// What a protocol handler sees of the transport, and what the transport wants of a
// handler. Handlers never touch sockets and never derive from transport classes, so they
// are tested with a fake Call. One listener implements this for HTTP/1.1 and for gRPC
// over HTTP/2.
//
// Life of a call:
//   1. The request head is complete: Router::Route, on an I/O thread, answers who takes
//   it.
//   2. The body arrives: gRPC messages are cut by the transport, HTTP bodies by the
//   handler's
//      BodyParser, both on the I/O thread, into pooled buffers; OnMessage for each, then
//      OnEnd.
//   3. The handler answers at any time, from any thread: SendHead, Write ..., Finish.
//   4. OnDone, always and exactly once, as the last event; the handler is then destroyed.
#pragma once

#include <arrow/buffer.h>
#include <arrow/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer_pool.h"

namespace arrowport::wire::net {

enum class Protocol { kHttp1, kGrpc };

/// Names in lower case, in the order sent; repeated names are separate entries. Values of
/// "-bin" gRPC metadata are already base64-decoded.
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Peer {
  std::string address;  ///< numeric, without port
  uint16_t port = 0;
  bool loopback = false;
  bool tls = false;
};

struct RequestHead {
  Protocol protocol = Protocol::kHttp1;
  std::string method;  ///< "GET", "POST" ...; always "POST" for gRPC
  std::string
      path;  ///< without the query part, not percent-decoded; "/pkg.Service/Method"
  std::string query;  ///< behind '?', not decoded; empty for gRPC
  Headers headers;
  Peer peer;
  std::string request_id;  ///< the caller's x-request-id if sane, else a new one
  std::optional<uint64_t> content_length;

  /// First value of `lower_case_name`, or null.
  const std::string* Header(std::string_view lower_case_name) const;
};

/// One unit of a request body. gRPC raw method or HTTP piece: only `body`. FlightData:
/// all. A part that was not on the wire is null; the buffers are pooled and 64-byte
/// aligned.
struct Message {
  std::shared_ptr<arrow::Buffer>
      descriptor;  ///< FlightData field 1, serialized FlightDescriptor
  std::shared_ptr<arrow::Buffer>
      metadata;  ///< FlightData field 2, IPC message flatbuffer
  std::shared_ptr<arrow::Buffer> app_metadata;  ///< FlightData field 3
  std::shared_ptr<arrow::Buffer> body;  ///< FlightData field 1000, or the whole message
  std::shared_ptr<void> extra;          ///< what a BodyParser wants to hand its handler

  int64_t bytes() const;
};

enum class MessageFormat {
  kRaw,         ///< whole gRPC message in `body`
  kFlightData,  ///< parsed while it arrives; body and metadata land in buffers of exact
                ///< size
};

/// Cuts an HTTP body into messages. Runs on the I/O thread: it copies and counts, and
/// leaves decompression and decoding to the handler. Not thread-safe.
class BodyParser {
 public:
  virtual ~BodyParser() = default;
  /// Takes all of `bytes` (after transfer decoding). A failure ends the call: the handler
  /// gets OnBodyError with it, and no more of the body is read.
  virtual arrow::Status Consume(std::span<const uint8_t> bytes,
                                std::vector<Message>* out) = 0;
  /// The body is complete as HTTP sees it.
  virtual arrow::Status End(std::vector<Message>* out) = 0;
  /// How many of the bytes to come go into memory that is allocated already. While this
  /// is above 0 reading goes on even when the byte budget is over its limit, or messages
  /// that are half here would wait for each other.
  virtual int64_t expected_bytes() const { return 0; }
};

/// Pieces of at most `piece_bytes`, as they come. The default parser.
std::unique_ptr<BodyParser> MakePieceParser(std::shared_ptr<BufferPool> pool,
                                            int64_t piece_bytes = 256 * 1024);

struct ResponseHead {
  int status = 200;  ///< HTTP only
  Headers headers;   ///< gRPC: initial metadata
  /// HTTP: sent as Content-Length; without it the body is chunked (or ends with the
  /// connection for HTTP/1.0).
  std::optional<uint64_t> content_length;
};

using Slices = std::vector<std::shared_ptr<arrow::Buffer>>;

/// How a gRPC call ends. HTTP calls use {0, ""} for a complete body.
struct Outcome {
  int grpc_status = 0;
  std::string message;
  Headers trailers;
};

/// How the peer ended a call before its answer was sent.
enum class PeerEnd {
  kNone,    ///< it did not
  kCancel,  ///< RST_STREAM with CANCEL (8)
  kReset,   ///< RST_STREAM with another code
  kGone,    ///< the connection ended
};

/// Harm done to a connection on purpose, by a test double.
struct Breakage {
  enum class Kind {
    kStreamReset,  ///< RST_STREAM with `http2_code`
    kGoaway,       ///< GOAWAY with `http2_code`; open streams may go on
    kClose,        ///< orderly end of TCP after what is queued
    kReset,        ///< RST of TCP
    kFreeze,       ///< nothing is read or sent any more; the socket stays open
  };
  Kind kind = Kind::kClose;
  uint32_t http2_code = 0;
  /// Half a DATA frame of this call goes out first (kClose, kReset, kFreeze).
  bool torn_frame = false;
};

/// The transport's side of one call. Thread-safe; outlives the handler; once the call has
/// ended every method does nothing.
class Call {
 public:
  virtual ~Call() = default;

  virtual const RequestHead& head() const = 0;
  virtual const std::shared_ptr<BufferPool>& pool() const = 0;

  /// At most once, before the first Write. gRPC: optional (Write and Finish imply it).
  virtual void SendHead(ResponseHead head) = 0;
  /// Queues one gRPC message (the 5-byte prefix is added here) or a piece of an HTTP
  /// body. The slices are sent in place, without a copy. Returns false when more than the
  /// high-water mark is queued: the caller then stops until OnWritable. Over four times
  /// the mark the call is ended as a slow reader.
  virtual bool Write(Slices slices) = 0;
  /// Bytes accepted by Write and not yet taken by the socket.
  virtual int64_t queued_bytes() const = 0;
  /// Ends the answer after what is queued. gRPC: trailers with the status. HTTP: the last
  /// chunk.
  virtual void Finish(Outcome outcome = {}) = 0;
  /// Ends the answer so that the peer sees it is cut: HTTP closes without the last chunk,
  /// gRPC resets the stream.
  virtual void Abort() = 0;

  /// Stops and restarts OnMessage; what is in flight waits within the stream's window.
  /// Counts are not kept: one Resume undoes any number of Pauses.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  /// Runs `task` serially with the handler's events, on a worker. Dropped after OnDone.
  virtual void Post(std::function<void()> task) = 0;

  /// True once the peer reset the stream, went away, or was cut off by a limit.
  virtual bool cancelled() const = 0;
  /// Known when OnDone runs; gRPC only.
  virtual PeerEnd peer_end() const { return PeerEnd::kNone; }

  /// Ends the answer, and what else `breakage` says, after what is queued; gRPC only.
  /// OnDone follows, but for kGoaway (the call goes on) and kFreeze (when the peer's
  /// patience or the listener ends).
  virtual void Break(const Breakage& breakage) {}
};

/// One call's logic. Events come one at a time, on worker threads, in order.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void OnMessage(Message message) = 0;
  /// The request body is complete. Never called for a body that was cut.
  virtual void OnEnd() = 0;
  /// The body is malformed or over a limit (parser failure, bad chunk, too slow, too
  /// large, budget): answer with an error. No OnMessage or OnEnd follows.
  virtual void OnBodyError(arrow::Status status) = 0;
  /// Queued bytes fell below the low-water mark after a Write returned false.
  virtual void OnWritable() {}
  /// The call is over. OK: our Finish was sent whole. Else: the peer is gone
  /// (kCancelled), a limit struck (kTimeout), or the server ends (kDraining); nothing
  /// more can be sent.
  virtual void OnDone(const arrow::Status& status) = 0;
};

/// Who takes a request. A null handler is answered 404 / UNIMPLEMENTED.
struct Route {
  std::unique_ptr<CallHandler> handler;
  MessageFormat format = MessageFormat::kRaw;  ///< gRPC
  std::unique_ptr<BodyParser> parser;          ///< HTTP; null: MakePieceParser
  std::optional<int64_t> body_bytes_max;       ///< HTTP; over it: OnBodyError(kTooLarge)
};

enum class Admission {
  kCounted,  ///< takes one of the slots for calls in flight, or waits for one
  kExempt,   ///< is answered under any load: health and metrics
};

/// Called on I/O threads, concurrently; must be quick and must not block.
class Router {
 public:
  virtual ~Router() = default;
  /// Asked before OnRequest.
  virtual Admission AdmissionOf(const RequestHead& head) { return Admission::kCounted; }
  virtual Route OnRequest(const RequestHead& head, const std::shared_ptr<Call>& call) = 0;
};

}  // namespace arrowport::wire::net
