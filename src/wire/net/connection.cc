#include "wire/net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "wire/net/http1_session.h"
#include "wire/net/http2_session.h"
#include "wire/net/io_thread.h"

namespace arrowport::wire::net {
namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFirstReadBytes = 16 * 1024;
constexpr int kReadsPerTurn = 4;
constexpr size_t kSentPerTurnBytes = 8 << 20;
constexpr size_t kSlicesPerSend = 128;
// How long a connection whose answer is out waits for the peer to stop sending, so that
// the answer is not lost to a reset.
constexpr std::chrono::seconds kLinger{2};

// A DATA frame that announces 64 bytes and brings 16 (RFC 9113, 4.1 and 6.1); they are the
// beginning of a gRPC message of 59.
std::array<uint8_t, 9 + 16> TornFrame(int32_t stream_id) {
  const auto id = static_cast<uint32_t>(stream_id);
  return {0, 0, 64, 0, 0, static_cast<uint8_t>(id >> 24), static_cast<uint8_t>(id >> 16),
          static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id), 0, 0, 0, 0, 59};
}

}  // namespace

ListenerContext::ListenerContext(ListenerOptions given)
    : options(std::move(given)),
      pool(BufferPool::Make(options.pool_idle_bytes_max, options.budget)),
      workers(std::make_shared<WorkerPool>(options.worker_threads)),
      slots(options.requests_in_flight_max, 16 * options.requests_in_flight_max),
      connections(options.connections_max, options.connections_per_address_max) {}

Connection::Connection(IoThread* thread, boost::asio::ip::tcp::socket socket, Peer peer)
    : thread_(thread),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      transport_(MakePlainTransport(socket_.native_handle())),
      opened_(std::chrono::steady_clock::now()),
      last_received_(opened_) {}

Connection::~Connection() = default;

void Connection::Start() { WaitReadable(); }

void Connection::WaitReadable() {
  if (waiting_readable_ || closed_ || peer_ended_ || frozen_) return;
  if (session_ && !lingering_ && !session_->wants_read()) return;
  waiting_readable_ = true;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waiting_readable_ = false;
                       if (!error) self->OnReadable();
                     });
}

void Connection::WaitWritable() {
  if (waiting_writable_ || closed_) return;
  waiting_writable_ = true;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waiting_writable_ = false;
                       if (!error) self->Update();
                     });
}

void Connection::OnReadable() {
  if (frozen_) return;
  for (int turn = 0; turn < kReadsPerTurn && !closed_ && !peer_ended_; ++turn) {
    if (lingering_) {
      Discard();
      return;
    }
    if (session_ && !session_->wants_read()) break;
    auto scratch = thread_->scratch();
    size_t kept = session_ ? session_->TakeLeftover(scratch) : 0;
    size_t wanted = std::min(session_ ? session_->read_bytes() : kFirstReadBytes,
                             scratch.size() - kept);
    IoResult result = transport_->Receive(scratch.subspan(kept, wanted));
    if (result.state == IoState::kFailed) {
      Close(Error(ErrorCode::kCancelled, "the peer reset the connection"));
      return;
    }
    if (result.state == IoState::kEnd) peer_ended_ = true;
    if (result.bytes > 0) last_received_ = std::chrono::steady_clock::now();
    if (kept + result.bytes > 0) OnReceived(scratch.first(kept + result.bytes));
    if (peer_ended_ && !closed_) {
      if (!session_) {
        Close(Error(ErrorCode::kCancelled, "the peer closed the connection"));
        return;
      }
      session_->OnPeerEnd();
    }
    if (result.state != IoState::kOk || result.bytes < wanted) break;
  }
  Update();
}

void Connection::OnReceived(std::span<uint8_t> bytes) {
  if (session_) {
    session_->OnBytes(bytes);
    return;
  }
  if (first_byte_ == TimePoint{}) first_byte_ = last_received_;
  if (sniffed_.empty()) {
    ChooseSession(bytes);
    return;
  }
  std::string all = std::move(sniffed_);
  sniffed_.clear();
  all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ChooseSession({reinterpret_cast<const uint8_t*>(all.data()), all.size()});
}

void Connection::ChooseSession(std::span<const uint8_t> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string_view start = text.substr(0, kHttp2Preface.size());
  if (start != kHttp2Preface.substr(0, start.size())) {
    session_ = MakeHttp1Session(this);
  } else if (start.size() == kHttp2Preface.size()) {
    session_ = MakeHttp2Session(this);
  } else {
    sniffed_ = text;
    return;
  }
  if (auto& observer = thread_->context()->options.observer) {
    observer->OnConnection(session_->protocol(), 1);
  }
  session_->OnBytes(bytes);
}

void Connection::Discard() {
  auto scratch = thread_->scratch();
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    IoResult result = transport_->Receive(scratch);
    if (result.state == IoState::kWouldBlock) break;
    if (result.state != IoState::kOk) {
      Close(arrow::Status::OK());
      return;
    }
  }
  WaitReadable();
}

void Connection::Update() {
  if (closed_ || updating_ || frozen_) return;
  updating_ = true;
  bool open = Send();
  updating_ = false;
  if (open) WaitReadable();
}

bool Connection::Send() {
  auto self = shared_from_this();
  size_t sent = 0;
  while (session_ && !lingering_) {
    session_->Pack(&out_);
    if (out_.empty()) {
      session_->OnSent();
      session_->Pack(&out_);
    }
    if (out_.empty() && breakage_) {
      if (torn_stream_id_ == 0) return CarryOutBreakage();
      out_.Copy(TornFrame(std::exchange(torn_stream_id_, 0)));
    }
    if (out_.empty()) {
      last_sent_ = {};
      break;
    }
    if (last_sent_ == TimePoint{}) last_sent_ = std::chrono::steady_clock::now();
    if (sent >= kSentPerTurnBytes) {
      thread_->UpdateSoon(self);
      return true;
    }
    std::array<iovec, kSlicesPerSend> slots;
    size_t count = out_.Fill(slots);
    IoResult result = transport_->Send({slots.data(), count});
    if (result.state == IoState::kWouldBlock) {
      WaitWritable();
      return true;
    }
    if (result.state != IoState::kOk) {
      Close(Error(ErrorCode::kCancelled, "the peer closed the connection"));
      return false;
    }
    last_sent_ = std::chrono::steady_clock::now();
    out_.Drop(result.bytes);
    sent += result.bytes;
  }
  if (!session_ || lingering_) return true;
  Session::Ending ending = session_->ending();
  if (ending == Session::Ending::kOpen) return true;
  if (ending == Session::Ending::kClose || peer_ended_) {
    Close(Error(ErrorCode::kCancelled, "the connection is closed"));
    return false;
  }
  transport_->EndSending();
  lingering_ = true;
  linger_since_ = std::chrono::steady_clock::now();
  return true;
}

void Connection::Break(const Breakage& breakage, int32_t stream_id) {
  if (closed_ || breakage_) return;
  breakage_ = breakage;
  if (breakage.torn_frame) torn_stream_id_ = stream_id;
  thread_->UpdateSoon(shared_from_this());
}

bool Connection::CarryOutBreakage() {
  arrow::Status status =
      Error(ErrorCode::kCancelled, "the connection was broken on purpose");
  switch (breakage_->kind) {
    case Breakage::Kind::kFreeze:
      frozen_ = true;
      return false;
    case Breakage::Kind::kReset: {
      const linger at_once{1, 0};
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &at_once,
                   sizeof at_once);
      Close(status);
      return false;
    }
    default:
      session_->Cut(status);
      transport_->EndSending();
      lingering_ = true;
      linger_since_ = std::chrono::steady_clock::now();
      return true;
  }
}

void Connection::OnNote(CallState& call) {
  if (closed_ || !session_) return;
  session_->OnNote(call);
  thread_->UpdateSoon(shared_from_this());
}

void Connection::OnTick(TimePoint now) {
  if (closed_ || frozen_) return;
  const ListenerOptions& options = thread_->context()->options;
  if (lingering_) {
    if (now - linger_since_ > kLinger) Close(arrow::Status::OK());
    return;
  }
  if (!session_) {
    bool slow = first_byte_ != TimePoint{} && now - first_byte_ > options.header_timeout;
    if (slow) thread_->context()->Rejected("header_timeout");
    if (slow || now - opened_ > options.idle_timeout) Close(arrow::Status::OK());
    return;
  }
  if (!out_.empty() && last_sent_ != TimePoint{} &&
      now - last_sent_ > options.write_stall_timeout) {
    thread_->context()->Rejected("write_stall");
    Close(Error(ErrorCode::kTimeout, "the peer does not read its answer"));
    return;
  }
  session_->OnTick(now);
}

void Connection::Drain() {
  if (closed_ || lingering_) return;
  if (!session_) {
    Close(arrow::Status::OK());
    return;
  }
  session_->Drain();
  thread_->UpdateSoon(shared_from_this());
}

int Connection::Close(const arrow::Status& status) {
  if (closed_) return 0;
  closed_ = true;
  auto self = shared_from_this();
  int cut = 0;
  if (session_) {
    cut = session_->Cut(status);
    if (auto& observer = thread_->context()->options.observer) {
      observer->OnConnection(session_->protocol(), -1);
    }
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
  thread_->context()->connections.Close(peer_);
  thread_->Remove(self);
  return cut;
}

}  // namespace arrowport::wire::net
