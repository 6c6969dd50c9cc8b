#include "wire/net/grpc_framing.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace arrowport::wire::net {
namespace {

// Below this a reservation costs more than it protects: the pool charges soon enough.
constexpr int64_t kReserveFromBytes = 64 * 1024;
constexpr size_t kInflateStepBytes = 64 * 1024;
// Deflate cannot expand more than 1032 to 1.
constexpr int64_t kDeflateRatioMax = 1032;

/// Owns a zlib stream.
class Inflater {
 public:
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  arrow::Status Begin(const arrow::Buffer& input, MessageCodec codec) {
    // 15 + 16: gzip framing; 15: zlib framing, which is what gRPC calls deflate.
    if (inflateInit2(&stream_, codec == MessageCodec::kGzip ? 31 : 15) != Z_OK) {
      return Error(ErrorCode::kOutOfMemory, "no memory to decompress a message");
    }
    ready_ = true;
    stream_.next_in = const_cast<Bytef*>(input.data());
    stream_.avail_in = static_cast<uInt>(input.size());
    return {};
  }
  /// Writes up to `size` bytes; fewer only at the end.
  arrow::Result<size_t> Read(uint8_t* out, size_t size) {
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out > 0 && !ended_) {
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        ended_ = true;
      } else if (code != Z_OK) {
        return Error(ErrorCode::kBadData, "compressed message is damaged or cut");
      }
    }
    if (ended_ && stream_.avail_in > 0) {
      return Error(ErrorCode::kBadData, "bytes behind the end of a compressed message");
    }
    return size - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
  bool ended_ = false;
};

arrow::Status TooLarge(int64_t bytes_max) {
  return Error(
      ErrorCode::kTooLarge,
      "message is over limits.message_bytes_max, send smaller batches: ", bytes_max);
}

}  // namespace

std::optional<MessageCodec> ParseMessageCodec(std::string_view name) {
  if (name == "identity") return MessageCodec::kIdentity;
  if (name == "gzip") return MessageCodec::kGzip;
  if (name == "deflate") return MessageCodec::kDeflate;
  return std::nullopt;
}

MessageCutter::MessageCutter(MessageFormat format, int64_t message_bytes_max,
                             std::shared_ptr<BufferPool> pool)
    : format_(format),
      message_bytes_max_(message_bytes_max),
      allocator_(std::move(pool)),
      flight_data_(&allocator_) {}

arrow::Status MessageCutter::OnPrefix() {
  prefix_bytes_ = 0;
  if (prefix_[0] > 1) {
    return Error(ErrorCode::kBadData, "not a gRPC message: bad compression flag ",
                 static_cast<int>(prefix_[0]));
  }
  compressed_ = prefix_[0] == 1;
  message_bytes_ = static_cast<int64_t>(prefix_[1]) << 24 |
                   static_cast<int64_t>(prefix_[2]) << 16 |
                   static_cast<int64_t>(prefix_[3]) << 8 | prefix_[4];
  if (message_bytes_ > message_bytes_max_) return TooLarge(message_bytes_max_);
  state_ = State::kAwaiting;
  return {};
}

void MessageCutter::Admit() {
  if (message_bytes_ >= kReserveFromBytes) allocator_.Reserve(message_bytes_);
  message_left_ = message_bytes_;
  raw_.reset();
  flight_data_.Begin(message_bytes_);
  state_ = State::kBody;
}

arrow::Status MessageCutter::TakeBody(std::span<const uint8_t> bytes) {
  if (format_ == MessageFormat::kFlightData && !compressed_) {
    ARROW_RETURN_NOT_OK(flight_data_.Consume(bytes));
  } else {
    if (!raw_) {
      ARROW_ASSIGN_OR_RAISE(raw_, allocator_.Allocate(message_bytes_));
    }
    if (!bytes.empty()) {
      std::memcpy(raw_->mutable_data() + (message_bytes_ - message_left_), bytes.data(),
                  bytes.size());
    }
  }
  message_left_ -= static_cast<int64_t>(bytes.size());
  return {};
}

arrow::Status MessageCutter::Emit(std::vector<Inbound>* out) {
  Inbound inbound;
  inbound.compressed = compressed_;
  if (raw_) {
    inbound.message.body = std::move(raw_);
  } else {
    ARROW_ASSIGN_OR_RAISE(inbound.message, flight_data_.End());
  }
  allocator_.DropReservation();
  out->push_back(std::move(inbound));
  state_ = State::kPrefix;
  return {};
}

arrow::Result<size_t> MessageCutter::Feed(std::span<const uint8_t> bytes,
                                          std::vector<Inbound>* out) {
  const size_t offered = bytes.size();
  while (state_ != State::kAwaiting) {
    if (state_ == State::kPrefix) {
      size_t size = std::min(bytes.size(), kGrpcPrefixBytes - prefix_bytes_);
      std::copy_n(bytes.data(), size, prefix_ + prefix_bytes_);
      prefix_bytes_ += size;
      bytes = bytes.subspan(size);
      if (prefix_bytes_ < kGrpcPrefixBytes) break;
      ARROW_RETURN_NOT_OK(OnPrefix());
      continue;
    }
    size_t size = std::min(bytes.size(), static_cast<size_t>(message_left_));
    ARROW_RETURN_NOT_OK(TakeBody(bytes.first(size)));
    bytes = bytes.subspan(size);
    if (message_left_ > 0) break;
    ARROW_RETURN_NOT_OK(Emit(out));
  }
  return offered - bytes.size();
}

namespace {

arrow::Result<Message> InflateFlightData(Inflater* inflater, int64_t bytes_max,
                                         const std::shared_ptr<BufferPool>& pool) {
  MessageAllocator allocator(pool);
  FlightDataParser parser(&allocator);
  parser.Begin(bytes_max);
  auto step = std::make_unique<uint8_t[]>(kInflateStepBytes);
  int64_t total = 0;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(size_t size, inflater->Read(step.get(), kInflateStepBytes));
    total += static_cast<int64_t>(size);
    if (total > bytes_max) return TooLarge(bytes_max);
    ARROW_RETURN_NOT_OK(parser.Consume({step.get(), size}));
    if (size < kInflateStepBytes) return parser.End();
  }
}

arrow::Result<Message> InflateRaw(Inflater* inflater, int64_t bytes_max,
                                  const std::shared_ptr<BufferPool>& pool) {
  Message message;
  int64_t total = 0;
  int64_t capacity = std::min<int64_t>(kInflateStepBytes, bytes_max + 1);
  ARROW_ASSIGN_OR_RAISE(auto buffer, pool->Allocate(capacity));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(size_t size,
                          inflater->Read(buffer->mutable_data() + total,
                                         static_cast<size_t>(capacity - total)));
    total += static_cast<int64_t>(size);
    if (total > bytes_max) return TooLarge(bytes_max);
    if (total < capacity) break;
    capacity = std::min(capacity * 2, bytes_max + 1);
    ARROW_ASSIGN_OR_RAISE(auto grown, pool->Allocate(capacity));
    std::memcpy(grown->mutable_data(), buffer->data(), static_cast<size_t>(total));
    buffer = std::move(grown);
  }
  message.body = arrow::SliceBuffer(std::move(buffer), 0, total);
  return message;
}

}  // namespace

arrow::Result<Message> DecompressMessage(const arrow::Buffer& compressed,
                                         MessageCodec codec, MessageFormat format,
                                         int64_t message_bytes_max,
                                         const std::shared_ptr<BufferPool>& pool) {
  if (codec == MessageCodec::kIdentity) {
    return Error(ErrorCode::kBadData,
                 "message has the compressed flag but grpc-encoding names no codec");
  }
  Inflater inflater;
  ARROW_RETURN_NOT_OK(inflater.Begin(compressed, codec));
  int64_t reachable = compressed.size() * kDeflateRatioMax + 1024;
  if (format == MessageFormat::kFlightData) {
    return InflateFlightData(&inflater, std::min(message_bytes_max, reachable), pool);
  }
  return InflateRaw(&inflater, message_bytes_max, pool);
}

}  // namespace arrowport::wire::net
