// The framing that IPC streams and IPC files share: continuation marker, metadata length,
// metadata, body, and the end marker.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer_pool.h"
#include "wire/ipc/message_head.h"
#include "wire/ipc/stream_parser.h"
#include "wire/net/call.h"

namespace arrowport::wire::ipc {

/// Cuts bytes into messages up to the end marker. Not thread-safe.
class MessageCutter {
 public:
  /// Told of each whole message: its kind and where its frame began, in bytes consumed.
  using OnMessage = std::function<void(MessageKind kind, int64_t frame_offset)>;

  MessageCutter(std::shared_ptr<BufferPool> pool, StreamParserLimits limits,
                OnMessage on_message = nullptr);

  /// Takes bytes until they or the stream end and returns how many it took.
  /// Errors: kBadData, kTooLarge, kOutOfMemory.
  arrow::Result<size_t> Consume(std::span<const uint8_t> bytes,
                                std::vector<net::Message>* out);

  /// The end marker was taken.
  bool ended() const { return state_ == State::kEnded; }
  /// No message is half taken.
  bool between_messages() const { return state_ == State::kMarker && filled_ == 0; }
  int64_t messages() const { return messages_; }
  /// Bytes to come for which memory is allocated already.
  int64_t expected_bytes() const {
    return state_ == State::kMetadata || state_ == State::kBody ? wanted_ - filled_ : 0;
  }

 private:
  enum class State { kMarker, kLength, kMetadata, kBody, kEnded };

  arrow::Status Advance(std::vector<net::Message>* out);
  arrow::Status TakeMarker();
  arrow::Status TakeLength(int32_t length);
  arrow::Status TakeMetadata(std::vector<net::Message>* out);
  void Emit(std::vector<net::Message>* out);
  void Enter(State state, uint8_t* target, int64_t bytes);

  const std::shared_ptr<BufferPool> pool_;
  const StreamParserLimits limits_;
  const OnMessage on_message_;

  State state_ = State::kMarker;
  uint8_t word_[4] = {};
  uint8_t* target_ = word_;  ///< where the next bytes of the state go
  int64_t wanted_ = 4;       ///< how many the state needs in all
  int64_t filled_ = 0;
  int64_t consumed_ = 0;
  int64_t frame_offset_ = 0;
  int64_t messages_ = 0;
  MessageKind kind_ = MessageKind::kNone;
  net::Message message_;
};

}  // namespace arrowport::wire::ipc
