// Cuts the bytes of an Arrow IPC file, in whatever pieces they come, into the messages of
// the stream inside it. Format: Arrow columnar format, "IPC File Format".
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer_pool.h"
#include "wire/ipc/stream_parser.h"
#include "wire/net/call.h"

namespace arrowport::wire::ipc {

/// Reads a file front to back, in bounded memory: only the footer is kept. That takes a
/// file whose footer lists the blocks in the order they lie in it, as every known writer
/// makes them; another is refused (it can be sent as a stream). Emits what StreamParser
/// emits. Not thread-safe.
class FileParser : public net::BodyParser {
 public:
  FileParser(std::shared_ptr<BufferPool> pool, StreamParserLimits limits);
  ~FileParser() override;

  /// Errors: kBadData, kTooLarge, kOutOfMemory.
  arrow::Status Consume(std::span<const uint8_t> bytes,
                        std::vector<net::Message>* out) override;
  /// Errors: kIncompleteStream (no whole footer at the end), kBadData (a footer that does
  /// not describe what came).
  arrow::Status End(std::vector<net::Message>* out) override;
  int64_t expected_bytes() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::wire::ipc
