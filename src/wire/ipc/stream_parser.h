// Cuts the bytes of an IPC stream, in whatever pieces they come, into messages.
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer_pool.h"
#include "wire/net/call.h"

namespace arrowport::wire::ipc {

struct StreamParserLimits {
  int64_t metadata_bytes_max = 16 << 20;
  int64_t message_bytes_max = 256 << 20;  ///< metadata and body
};

/// Whether a stream without its end marker is complete.
enum class EndMarker { kRequired, kOptional };

/// Emits one net::Message {metadata, body} per IPC message, body in one pooled buffer of
/// exact size (allocated when its length is known, so a lying length is refused before
/// any memory is touched). Reads both framings (with and without the continuation
/// marker). Bytes behind the end marker are an error. Not thread-safe.
class StreamParser : public net::BodyParser {
 public:
  StreamParser(std::shared_ptr<BufferPool> pool, StreamParserLimits limits,
               EndMarker end_marker);
  ~StreamParser() override;

  /// Errors: kBadData, kTooLarge, kOutOfMemory.
  arrow::Status Consume(std::span<const uint8_t> bytes,
                        std::vector<net::Message>* out) override;
  /// Errors: kIncompleteStream.
  arrow::Status End(std::vector<net::Message>* out) override;
  int64_t expected_bytes() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::wire::ipc
