// The session behind MakeHttp2Session. I/O thread only. Sources: http2_session.cc (what
// is received), http2_answer.cc (what is sent, time limits, ends).
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wire/net/connection.h"
#include "wire/net/http2_stream.h"
#include "wire/net/io_thread.h"
#include "wire/net/refusal.h"

namespace arrowport::wire::net {

class Http2Session final : public Session {
 public:
  explicit Http2Session(Connection* connection);
  ~Http2Session() override;

  Protocol protocol() const override { return Protocol::kGrpc; }
  void OnBytes(std::span<const uint8_t> bytes) override;
  void OnPeerEnd() override { closing_ = true; }
  bool wants_read() override { return !closing_; }
  size_t read_bytes() const override { return IoThread::kScratchBytes; }
  void Pack(OutQueue* out) override;
  void OnSent() override {}
  Ending ending() const override;
  void OnNote(CallState& call) override;
  void OnTick(TimePoint now) override;
  void Drain() override;
  int Cut(const arrow::Status& status) override;
  bool idle() const override { return streams_.empty(); }

 private:
  using Stream = Http2Stream;

  // Callbacks of nghttp2.
  static nghttp2_session_callbacks* Callbacks();
  int OnBeginHeaders(const nghttp2_frame* frame);
  int OnHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value);
  int OnFrameReceived(const nghttp2_frame* frame);
  int OnData(int32_t id, std::span<const uint8_t> bytes);
  int OnFrameSent(const nghttp2_frame* frame);
  int OnStreamClosed(int32_t id, uint32_t error_code);
  ssize_t OnReadSlices(Stream* stream, size_t length, uint32_t* flags);
  int OnSendSlices(Stream* stream, const uint8_t* frame_head, size_t length);

  // Request.
  Stream* Find(int32_t id);
  void BeginRequest(Stream& stream);
  std::optional<Refusal> CheckRequest(Stream& stream);
  void StartCall(Stream& stream);
  void Feed(Stream& stream, std::span<const uint8_t> bytes);
  void FeedStash(Stream& stream);
  static void Stash(Stream& stream, std::span<const uint8_t> bytes) {
    stream.stash.insert(stream.stash.end(), bytes.begin(), bytes.end());
  }
  bool MayAdmit(Stream& stream);
  void RaiseWindow(Stream& stream);
  void OnRemoteEnd(Stream& stream);
  void FailBody(Stream& stream, arrow::Status status);
  void DropBody(Stream& stream);
  void GiveCredit(Stream& stream);
  bool MayCredit(Stream& stream);
  void FinishTurn();

  // Answer.
  void TakeOutput(Stream& stream);
  void SubmitHead(Stream& stream, const ResponseHead& head);
  void SubmitOutcomeOnly(Stream& stream);
  void SubmitTrailers(Stream& stream);
  void Resume(Stream& stream);
  void Refuse(Stream& stream, Refusal refusal);
  void RefusePlain(Stream& stream, Refusal refusal);
  void ResetStream(Stream& stream, uint32_t error_code, arrow::Status status);
  void Break(Stream& stream, const Breakage& breakage);

  void TickStream(Stream& stream, TimePoint now);
  void TickConnection(TimePoint now);
  void Terminate(uint32_t error_code, std::string_view reason);
  void UpdateSoon() { thread_->UpdateSoon(connection_->shared_from_this()); }

  Connection* const connection_;
  IoThread* const thread_;
  const std::shared_ptr<ListenerContext> context_;
  const int64_t queue_high_bytes_;
  const int32_t stream_window_bytes_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<int32_t> touched_;
  OutQueue* packing_ = nullptr;
  bool closing_ = false;
  bool settings_received_ = false;
  bool ping_outstanding_ = false;
  bool draining_ = false;
  bool goaway_sent_ = false;
  RateLimit control_rate_{500, 50};  ///< PING, SETTINGS, PRIORITY, empty DATA
  RateLimit reset_rate_{1000, 100};  ///< streams that end unanswered
  TimePoint opened_;
  TimePoint idle_since_;
  TimePoint headers_since_{};
  TimePoint ping_sent_{};
  TimePoint drain_since_{};
};

}  // namespace arrowport::wire::net
