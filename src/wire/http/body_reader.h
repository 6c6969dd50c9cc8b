// A request body as plain bytes: undoes Content-Encoding piece by piece, within limits.
// Sources: RFC 8878 and RFC 9659 (zstd and its window in HTTP), RFC 1952 (gzip).
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>

namespace arrowport::wire::http {

enum class ContentEncoding { kIdentity, kZstd, kGzip };

/// Of a Content-Encoding header (null: none). Errors: kUnsupportedMediaType.
arrow::Result<ContentEncoding> ParseContentEncoding(const std::string* header);

/// Undoes one encoding. Not thread-safe.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  /// Takes what it can from the front of `input` (and removes it) and writes to `output`;
  /// returns the bytes written. Neither consumed nor written: it needs more input.
  /// Errors: kBadData, kTooLarge (window), kOutOfMemory.
  virtual arrow::Result<size_t> Step(std::span<const uint8_t>* input,
                                     std::span<uint8_t> output) = 0;
  /// True when the input so far is a whole number of frames.
  virtual bool at_frame_end() const = 0;
};

arrow::Result<std::unique_ptr<Decompressor>> MakeDecompressor(ContentEncoding encoding);

/// Fed with the pieces of a body, gives back its decoded bytes. Not thread-safe.
class BodyReader {
 public:
  enum class State { kBytes, kNeedInput, kEnd };
  struct Piece {
    State state;
    std::span<const uint8_t> bytes;  ///< valid until the next call
  };

  /// `ratio_max`: decoded bytes per received byte, beyond the first 4 MiB.
  static arrow::Result<std::unique_ptr<BodyReader>> Make(ContentEncoding encoding,
                                                         int64_t ratio_max);

  void Feed(std::shared_ptr<arrow::Buffer> piece);
  void FeedEnd() { ended_ = true; }
  /// At most 256 KiB at a time when decompressing, else a piece as it came.
  /// Errors: kBadData, kTooLarge (ratio), kIncompleteStream (frame cut short).
  arrow::Result<Piece> Next();

  int64_t wire_bytes() const { return wire_bytes_; }
  int64_t decoded_bytes() const { return decoded_bytes_; }

 private:
  BodyReader(std::unique_ptr<Decompressor> decompressor, int64_t ratio_max);
  bool NextBuffer();
  arrow::Result<Piece> Decompress();

  const std::unique_ptr<Decompressor> decompressor_;  ///< null: identity
  const int64_t ratio_max_;
  std::deque<std::shared_ptr<arrow::Buffer>> pieces_;
  std::shared_ptr<arrow::Buffer> current_;
  std::span<const uint8_t> rest_;  ///< of current_
  std::unique_ptr<uint8_t[]> output_;
  bool ended_ = false;
  bool output_pending_ = false;  ///< the last step filled its output
  int64_t wire_bytes_ = 0;
  int64_t decoded_bytes_ = 0;
};

}  // namespace arrowport::wire::http
