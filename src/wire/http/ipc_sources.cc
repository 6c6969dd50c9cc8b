#include <arrow/ipc/message.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "wire/http/batch_source.h"
#include "wire/ipc/message_pool.h"

namespace arrowport::wire::http {

arrow::Result<BatchSource::Step> IpcSource::Next() {
  if (messages_.empty() || !may_decode()) {
    ARROW_ASSIGN_OR_RAISE(Progress progress, Refill());
    if (progress == Progress::kEnd && !schema() && messages_.empty()) {
      return Error(ErrorCode::kIncompleteStream,
                   "the body holds no Arrow schema: it is empty or was cut");
    }
    return Step{progress, nullptr};
  }
  net::Message message = std::move(messages_.front());
  messages_.pop_front();
  ARROW_ASSIGN_OR_RAISE(
      auto batch, decoder_.Next(std::move(message.metadata), std::move(message.body)));
  if (!batch) return Step{Progress::kWorked, nullptr};
  return Step{Progress::kBatch, std::move(batch)};
}

namespace {

class MessageSource : public IpcSource {
 public:
  explicit MessageSource(const DecodeOptions& options) : IpcSource(options) {}
  void Feed(net::Message message) override { messages_.push_back(std::move(message)); }
  void FeedEnd() override { ended_ = true; }

 protected:
  arrow::Result<Progress> Refill() override {
    return ended_ ? Progress::kEnd : Progress::kNeedInput;
  }

 private:
  bool ended_ = false;
};

class EncodedStreamSource : public IpcSource {
 public:
  EncodedStreamSource(const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
                      std::unique_ptr<BodyReader> body)
      : IpcSource(options),
        body_(std::move(body)),
        parser_(std::move(pool), options.parser, ipc::EndMarker::kRequired) {}
  void Feed(net::Message message) override { body_->Feed(std::move(message.body)); }
  void FeedEnd() override { body_->FeedEnd(); }

 protected:
  arrow::Result<Progress> Refill() override {
    if (ended_) return Progress::kEnd;
    ARROW_ASSIGN_OR_RAISE(BodyReader::Piece piece, body_->Next());
    if (piece.state == BodyReader::State::kNeedInput) return Progress::kNeedInput;
    std::vector<net::Message> cut;
    if (piece.state == BodyReader::State::kBytes) {
      ARROW_RETURN_NOT_OK(parser_.Consume(piece.bytes, &cut));
    } else {
      ARROW_RETURN_NOT_OK(parser_.End(&cut));
      ended_ = true;
    }
    std::move(cut.begin(), cut.end(), std::back_inserter(messages_));
    return Progress::kWorked;
  }

 private:
  const std::unique_ptr<BodyReader> body_;
  ipc::StreamParser parser_;
  bool ended_ = false;
};

/// The IPC file format: magic padded to 8 bytes, an IPC stream with its end marker, a
/// footer, its length as int32, the magic. Source: Arrow columnar format, "IPC file
/// format". Dictionaries must stand before the batches that use them, as every known
/// writer puts them.
class ArrowFileSource : public IpcSource, private arrow::ipc::MessageDecoderListener {
 public:
  ArrowFileSource(const DecodeOptions& options, std::unique_ptr<BodyReader> body)
      : IpcSource(options),
        limits_(options.parser),
        body_(std::move(body)),
        pool_(ipc::MessagePool::MakeCapped(options.budget,
                                           std::numeric_limits<int64_t>::max())),
        decoder_(std::shared_ptr<arrow::ipc::MessageDecoderListener>(
                     std::shared_ptr<void>(), static_cast<MessageDecoderListener*>(this)),
                 pool_.get()) {}
  void Feed(net::Message message) override { body_->Feed(std::move(message.body)); }
  void FeedEnd() override { body_->FeedEnd(); }

 protected:
  arrow::Result<Progress> Refill() override {
    if (ended_) return Progress::kEnd;
    ARROW_ASSIGN_OR_RAISE(BodyReader::Piece piece, body_->Next());
    if (piece.state == BodyReader::State::kNeedInput) return Progress::kNeedInput;
    if (piece.state == BodyReader::State::kBytes) {
      ARROW_RETURN_NOT_OK(TakeMagic(&piece.bytes));
      ARROW_RETURN_NOT_OK(TakeMessages(&piece.bytes));
      TakeTail(piece.bytes);
    } else {
      ARROW_RETURN_NOT_OK(CheckTail());
      ended_ = true;
    }
    return Progress::kWorked;
  }

 private:
  static constexpr std::string_view kMagic = "ARROW1";
  static constexpr size_t kHeadBytes = 8;
  static constexpr size_t kTailBytes = 4 + kMagic.size();

  arrow::Status OnMessageDecoded(std::unique_ptr<arrow::ipc::Message> message) override {
    net::Message out;
    out.metadata = message->metadata();
    out.body = message->body();
    messages_.push_back(std::move(out));
    return {};
  }

  arrow::Status TakeMagic(std::span<const uint8_t>* bytes) {
    const size_t wanted = std::min(kHeadBytes - head_.size(), bytes->size());
    head_.append(reinterpret_cast<const char*>(bytes->data()), wanted);
    *bytes = bytes->subspan(wanted);
    const std::string_view magic = std::string_view(head_).substr(0, kMagic.size());
    if (magic != kMagic.substr(0, magic.size())) {
      return Error(ErrorCode::kBadData,
                   "the body does not begin with ARROW1: it is not an Arrow file");
    }
    return {};
  }

  /// The decoder is given no more than it asks for, so that a lying length is refused
  /// before memory is taken for it.
  arrow::Status TakeMessages(std::span<const uint8_t>* bytes) {
    using State = arrow::ipc::MessageDecoder::State;
    while (!bytes->empty() && decoder_.state() != State::EOS) {
      const int64_t wanted = decoder_.next_required_size();
      const bool metadata = decoder_.state() == State::METADATA;
      const int64_t limit =
          metadata ? limits_.metadata_bytes_max : limits_.message_bytes_max;
      if (wanted < 0 || wanted > limit) {
        return Error(ErrorCode::kTooLarge,
                     "IPC message is over the limit of bytes: ", limit);
      }
      const size_t given = std::min(static_cast<size_t>(wanted), bytes->size());
      // A copy: the decoder keeps what it is given for as long as the batch lives.
      ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> chunk,
                            arrow::AllocateBuffer(static_cast<int64_t>(given), pool_.get()));
      std::memcpy(chunk->mutable_data(), bytes->data(), given);
      arrow::Status status = decoder_.Consume(std::move(chunk));
      if (!status.ok()) return WithCode(ErrorCode::kBadData, status);
      *bytes = bytes->subspan(given);
    }
    return {};
  }

  void TakeTail(std::span<const uint8_t> bytes) {
    tail_bytes_ += bytes.size();
    tail_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  }

  arrow::Status CheckTail() const {
    int32_t footer_bytes = 0;
    if (tail_.size() == kTailBytes) {
      std::memcpy(&footer_bytes, tail_.data(), sizeof(footer_bytes));
    }
    if (decoder_.state() != arrow::ipc::MessageDecoder::State::EOS ||
        !tail_.ends_with(kMagic) || footer_bytes <= 0 ||
        static_cast<size_t>(footer_bytes) + kTailBytes != tail_bytes_) {
      return Error(ErrorCode::kIncompleteStream,
                   "the Arrow file has no footer: the body was cut after bytes: ",
                   body_->decoded_bytes());
    }
    return {};
  }

  const ipc::StreamParserLimits limits_;
  const std::unique_ptr<BodyReader> body_;
  const ipc::MessagePool::Ptr pool_;  ///< each message is bounded by limits_, all by the budget
  arrow::ipc::MessageDecoder decoder_;
  std::string head_;
  std::string tail_;       ///< the last kTailBytes seen behind the end marker
  size_t tail_bytes_ = 0;  ///< all bytes behind the end marker
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<BatchSource> MakeMessageSource(const DecodeOptions& options) {
  return std::make_unique<MessageSource>(options);
}

arrow::Result<std::unique_ptr<BatchSource>> MakeEncodedStreamSource(
    const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
    ContentEncoding encoding) {
  ARROW_ASSIGN_OR_RAISE(auto body,
                        BodyReader::Make(encoding, options.decompress_ratio_max));
  return std::make_unique<EncodedStreamSource>(options, std::move(pool), std::move(body));
}

arrow::Result<std::unique_ptr<BatchSource>> MakeArrowFileSource(
    const DecodeOptions& options, ContentEncoding encoding) {
  ARROW_ASSIGN_OR_RAISE(auto body,
                        BodyReader::Make(encoding, options.decompress_ratio_max));
  return std::make_unique<ArrowFileSource>(options, std::move(body));
}

}  // namespace arrowport::wire::http
