#include "wire/http/body_reader.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "wire/http/request_target.h"

namespace arrowport::wire::http {
namespace {

constexpr size_t kOutputBytes = 256 << 10;
/// Small bodies may shrink by more than the ratio without being a danger.
constexpr int64_t kRatioFreeBytes = 4 << 20;
/// RFC 9659: a zstd content coding has a window of at most 8 MB.
constexpr int kZstdWindowLogMax = 23;

class ZstdDecompressor : public Decompressor {
 public:
  static arrow::Result<std::unique_ptr<Decompressor>> Make() {
    auto self = std::unique_ptr<ZstdDecompressor>(new ZstdDecompressor());
    if (!self->context_) return Error(ErrorCode::kOutOfMemory, "zstd context");
    ZSTD_DCtx_setParameter(self->context_.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
    return self;
  }

  arrow::Result<size_t> Step(std::span<const uint8_t>* input,
                             std::span<uint8_t> output) override {
    ZSTD_inBuffer in = {input->data(), input->size(), 0};
    ZSTD_outBuffer out = {output.data(), output.size(), 0};
    const size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
    if (ZSTD_isError(hint)) {
      const bool window =
          ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge;
      return Error(window ? ErrorCode::kTooLarge : ErrorCode::kBadData,
                   "body is not valid zstd with a window of at most 8 MiB: ",
                   ZSTD_getErrorName(hint));
    }
    *input = input->subspan(in.pos);
    if (in.pos > 0 || out.pos > 0) at_frame_end_ = hint == 0;
    return out.pos;
  }

  bool at_frame_end() const override { return at_frame_end_; }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  ZstdDecompressor() : context_(ZSTD_createDCtx()) {}
  const std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool at_frame_end_ = true;
};

class GzipDecompressor : public Decompressor {
 public:
  static arrow::Result<std::unique_ptr<Decompressor>> Make() {
    auto self = std::unique_ptr<GzipDecompressor>(new GzipDecompressor());
    // 15 window bits, + 16: gzip framing only.
    if (inflateInit2(&self->stream_, 15 + 16) != Z_OK) {
      return Error(ErrorCode::kOutOfMemory, "gzip context");
    }
    self->ready_ = true;
    return self;
  }
  ~GzipDecompressor() override {
    if (ready_) inflateEnd(&stream_);
  }

  arrow::Result<size_t> Step(std::span<const uint8_t>* input,
                             std::span<uint8_t> output) override {
    if (at_frame_end_) {
      if (input->empty()) return 0;
      inflateReset(&stream_);  // another member follows
      at_frame_end_ = false;
    }
    constexpr size_t kStepMax = std::numeric_limits<uInt>::max();
    const size_t offered = std::min(input->size(), kStepMax);
    stream_.next_in = const_cast<Bytef*>(input->data());
    stream_.avail_in = static_cast<uInt>(offered);
    stream_.next_out = output.data();
    stream_.avail_out = static_cast<uInt>(output.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return Error(code == Z_MEM_ERROR ? ErrorCode::kOutOfMemory : ErrorCode::kBadData,
                   "body is not valid gzip: ", stream_.msg ? stream_.msg : "inflate");
    }
    at_frame_end_ = code == Z_STREAM_END;
    *input = input->subspan(offered - stream_.avail_in);
    return output.size() - stream_.avail_out;
  }

  bool at_frame_end() const override { return at_frame_end_; }

 private:
  GzipDecompressor() = default;
  z_stream stream_{};
  bool ready_ = false;
  bool at_frame_end_ = true;
};

}  // namespace

arrow::Result<ContentEncoding> ParseContentEncoding(const std::string* header) {
  if (header == nullptr) return ContentEncoding::kIdentity;
  const std::string name = MediaTypeOf(*header);
  if (name.empty() || name == "identity") return ContentEncoding::kIdentity;
  if (name == "zstd") return ContentEncoding::kZstd;
  if (name == "gzip" || name == "x-gzip") return ContentEncoding::kGzip;
  return Error(
      ErrorCode::kUnsupportedMediaType,
      "Content-Encoding must be zstd, gzip or identity, not: ", name.substr(0, 100));
}

arrow::Result<std::unique_ptr<Decompressor>> MakeDecompressor(ContentEncoding encoding) {
  switch (encoding) {
    case ContentEncoding::kZstd:
      return ZstdDecompressor::Make();
    case ContentEncoding::kGzip:
      return GzipDecompressor::Make();
    case ContentEncoding::kIdentity:
      break;
  }
  return nullptr;
}

arrow::Result<std::unique_ptr<BodyReader>> BodyReader::Make(ContentEncoding encoding,
                                                            int64_t ratio_max) {
  ARROW_ASSIGN_OR_RAISE(auto decompressor, MakeDecompressor(encoding));
  return std::unique_ptr<BodyReader>(new BodyReader(std::move(decompressor), ratio_max));
}

BodyReader::BodyReader(std::unique_ptr<Decompressor> decompressor, int64_t ratio_max)
    : decompressor_(std::move(decompressor)), ratio_max_(ratio_max) {
  if (decompressor_) output_ = std::make_unique<uint8_t[]>(kOutputBytes);
}

void BodyReader::Feed(std::shared_ptr<arrow::Buffer> piece) {
  wire_bytes_ += piece->size();
  if (piece->size() > 0) pieces_.push_back(std::move(piece));
}

bool BodyReader::NextBuffer() {
  current_.reset();
  rest_ = {};
  if (pieces_.empty()) return false;
  current_ = std::move(pieces_.front());
  pieces_.pop_front();
  rest_ = {current_->data(), static_cast<size_t>(current_->size())};
  return true;
}

arrow::Result<BodyReader::Piece> BodyReader::Next() {
  if (decompressor_) return Decompress();
  if (!NextBuffer()) return Piece{ended_ ? State::kEnd : State::kNeedInput, {}};
  decoded_bytes_ += static_cast<int64_t>(rest_.size());
  return Piece{State::kBytes, rest_};
}

arrow::Result<BodyReader::Piece> BodyReader::Decompress() {
  while (true) {
    if (rest_.empty() && !output_pending_ && !NextBuffer()) {
      if (!ended_) return Piece{State::kNeedInput, {}};
      if (!decompressor_->at_frame_end()) {
        return Error(
            ErrorCode::kIncompleteStream,
            "the compressed body ends inside a frame after bytes: ", wire_bytes_);
      }
      return Piece{State::kEnd, {}};
    }
    ARROW_ASSIGN_OR_RAISE(size_t written,
                          decompressor_->Step(&rest_, {output_.get(), kOutputBytes}));
    output_pending_ = written == kOutputBytes;
    if (written == 0) continue;
    decoded_bytes_ += static_cast<int64_t>(written);
    if (decoded_bytes_ > kRatioFreeBytes && decoded_bytes_ / ratio_max_ > wire_bytes_) {
      return Error(
          ErrorCode::kTooLarge,
          "the body decompresses beyond limits.decompress_ratio_max: ", ratio_max_);
    }
    return Piece{State::kBytes, {output_.get(), written}};
  }
}

}  // namespace arrowport::wire::http
