// The session behind MakeHttp1Session. I/O thread only. Sources: http1_session.cc (what
// is received), http1_answer.cc (what is sent, ends).
#pragma once

#include <boost/beast/http/parser.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/net/connection.h"
#include "wire/net/http1_head.h"
#include "wire/net/io_thread.h"
#include "wire/net/refusal.h"
#include "wire/net/waits.h"

namespace arrowport::wire::net {

/// Takes body bytes out of the parser as they lie in the receive buffer.
class BodySink {
 public:
  virtual ~BodySink() = default;
  /// False stops the parser.
  virtual bool OnBody(std::span<const uint8_t> bytes) = 0;
};

struct SpanBody {
  using value_type = BodySink*;
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& sink)
        : sink_(sink) {}
    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) {
      error = {};
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      size_t total = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        boost::asio::const_buffer piece(*it);
        total += piece.size();
        if (!sink_->OnBody({static_cast<const uint8_t*>(piece.data()), piece.size()})) {
          error = boost::beast::http::error::unexpected_body;
          return total;
        }
      }
      return total;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& sink_;  // set after the parser is made
  };
};

using Http1Parser = boost::beast::http::request_parser<SpanBody>;

class Http1Session final : public Session, private BodySink {
 public:
  explicit Http1Session(Connection* connection)
      : connection_(connection),
        thread_(connection->thread()),
        context_(thread_->context()),
        slot_(context_),
        budget_(context_),
        idle_since_(std::chrono::steady_clock::now()) {}

  Protocol protocol() const override { return Protocol::kHttp1; }
  void OnBytes(std::span<const uint8_t> bytes) override;
  size_t TakeLeftover(std::span<uint8_t> into) override;
  void OnPeerEnd() override;
  bool wants_read() override;
  size_t read_bytes() const override {
    bool body = input_ == Input::kBody || input_ == Input::kDiscard;
    return body ? IoThread::kScratchBytes : kHeadReadBytes;
  }
  void Pack(OutQueue* out) override;
  void OnSent() override;
  Ending ending() const override { return ending_; }
  void OnNote(CallState& call) override;
  void OnTick(TimePoint now) override;
  void Drain() override;
  int Cut(const arrow::Status& status) override;
  bool idle() const override { return input_ == Input::kHead && kept_.empty(); }

 private:
  static constexpr size_t kHeadReadBytes = 16 * 1024;
  enum class Input {
    kHead,
    kSlot,  ///< waiting for a slot; nothing of the body is looked at
    kBody,
    kDone,     ///< whole request taken; what follows waits for the answer
    kDiscard,  ///< the rest is of no use
  };
  enum class Answer { kNone, kStreaming, kPacked };
  struct Slice {
    std::shared_ptr<arrow::Buffer> buffer;
    int64_t offset = 0;
  };

  // Request.
  size_t FeedHead(std::span<const uint8_t> bytes);
  void OnHead();
  std::optional<Refusal> CheckHead() const;
  void StartCall();
  size_t FeedBody(std::span<const uint8_t> bytes);
  bool OnBody(std::span<const uint8_t> bytes) override;
  void DeliverMessages();
  void EndBody();
  void FailBody(arrow::Status status);
  void TickBody(TimePoint now);
  bool MayReadBody();
  /// Feeds again what was kept while the session could not use it.
  void FeedKept();

  // Answer.
  void TakeOutput();
  void BeginAnswer(ResponseHead head);
  size_t PackSlices(OutQueue* out, size_t bytes_max);
  void PackEnd(OutQueue* out);
  void Refuse(Refusal refusal);
  void FinishExchange();
  void EndCall(arrow::Status status) {
    if (call_) call_->End(std::move(status));
  }

  Connection* const connection_;
  IoThread* const thread_;
  const std::shared_ptr<ListenerContext> context_;

  std::optional<Http1Parser> parser_;
  size_t head_bytes_ = 0;  ///< taken of the head being received
  std::string kept_;
  Input input_ = Input::kHead;
  std::shared_ptr<CallState> call_;
  SlotWait slot_;
  BudgetWait budget_;
  std::unique_ptr<BodyParser> body_parser_;
  std::optional<int64_t> body_bytes_max_;
  int64_t body_bytes_ = 0;
  arrow::Status body_status_;
  std::vector<Message> messages_;
  std::vector<Inbound> inbound_;
  bool keep_alive_ = true;
  bool reading_ = true;  ///< what wants_read said last, for the rate
  bool peer_ended_ = false;
  TimePoint idle_since_;
  TimePoint head_since_{};
  TimePoint rate_since_{};
  int64_t rate_bytes_ = 0;
  TimePoint peer_ended_since_{};

  std::string text_;  ///< to be sent before the slices
  std::deque<Slice> slices_;
  int64_t slices_bytes_ = 0;
  Answer answer_ = Answer::kNone;
  AnswerFraming framing_ = AnswerFraming::kNone;
  uint64_t length_left_ = 0;
  std::optional<Outcome> outcome_;
  Ending ending_ = Ending::kOpen;
};

}  // namespace arrowport::wire::net
