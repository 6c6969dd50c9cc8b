#include "wire/ipc/stream_parser.h"

#include <utility>

#include "base/error.h"
#include "wire/ipc/message_cutter.h"

namespace arrowport::wire::ipc {

struct StreamParser::Impl {
  MessageCutter cutter;
  const EndMarker end_marker;
};

StreamParser::StreamParser(std::shared_ptr<BufferPool> pool, StreamParserLimits limits,
                           EndMarker end_marker)
    : impl_(new Impl{MessageCutter(std::move(pool), limits), end_marker}) {}

StreamParser::~StreamParser() = default;

arrow::Status StreamParser::Consume(std::span<const uint8_t> bytes,
                                    std::vector<net::Message>* out) {
  ARROW_ASSIGN_OR_RAISE(const size_t taken, impl_->cutter.Consume(bytes, out));
  if (taken < bytes.size()) {
    return Error(ErrorCode::kBadData, "bytes after the end marker of the Arrow stream: ",
                 bytes.size() - taken);
  }
  return {};
}

arrow::Status StreamParser::End(std::vector<net::Message>* out) {
  const MessageCutter& cutter = impl_->cutter;
  if (cutter.ended() && cutter.messages() > 0) return {};
  if (cutter.messages() == 0) {
    return Error(ErrorCode::kIncompleteStream, "the Arrow stream holds no schema");
  }
  if (impl_->end_marker == EndMarker::kOptional && cutter.between_messages()) return {};
  return Error(ErrorCode::kIncompleteStream,
               "the Arrow stream was cut: no end-of-stream marker after message ",
               cutter.messages() - 1);
}

int64_t StreamParser::expected_bytes() const { return impl_->cutter.expected_bytes(); }

}  // namespace arrowport::wire::ipc
