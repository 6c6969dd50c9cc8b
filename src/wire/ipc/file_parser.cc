#include "wire/ipc/file_parser.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/byte_budget.h"
#include "base/error.h"
#include "wire/ipc/flat_table.h"
#include "wire/ipc/message_cutter.h"

namespace arrowport::wire::ipc {
namespace {

constexpr std::string_view kMagic = "ARROW1";
constexpr size_t kHeadBytes = 8;  // the magic, padded
// Some writers align the first message, and the footer, to a cache line.
constexpr int64_t kAlignmentMax = 64;
constexpr size_t kTrailerBytes = sizeof(int32_t) + kMagic.size();

// Slots of Footer in File.fbs; a Block is {int64 offset, int32 metadata bytes, padding,
// int64 body bytes}.
constexpr int kFooterDictionaries = 2;
constexpr int kFooterRecordBatches = 3;
constexpr size_t kBlockBytes = 24;

// Remembers a list of offsets in constant space, to compare with the footer's. A forged
// collision gains nothing: the messages, not the footer, say what lands.
struct OffsetDigest {
  int64_t count = 0;
  uint64_t digest = 0xcbf29ce484222325u;

  void Add(int64_t offset) {
    ++count;
    digest = (digest ^ static_cast<uint64_t>(offset)) * 0x100000001b3u;
    digest ^= digest >> 29;
  }
  bool operator==(const OffsetDigest&) const = default;
};

OffsetDigest ReadBlocks(const FlatTable& footer, int field) {
  OffsetDigest blocks;
  const size_t count = footer.VectorSize(field, kBlockBytes);
  for (size_t i = 0; i < count; ++i) {
    int64_t offset;
    std::memcpy(&offset, footer.Struct(field, kBlockBytes, i), sizeof(offset));
    blocks.Add(offset);
  }
  return blocks;
}

}  // namespace

struct FileParser::Impl {
  enum class State { kHead, kPadding, kMessages, kFooter };

  Impl(std::shared_ptr<BufferPool> buffer_pool, StreamParserLimits parser_limits)
      : budget(buffer_pool->budget()),
        limits(parser_limits),
        cutter(std::move(buffer_pool), parser_limits,
               [this](MessageKind kind, int64_t frame_offset) {
                 if (kind == MessageKind::kRecordBatch) {
                   record_batches.Add(messages_offset + frame_offset);
                 } else if (kind == MessageKind::kDictionaryBatch) {
                   dictionaries.Add(messages_offset + frame_offset);
                 }
               }) {}

  arrow::Status TakeHead(std::span<const uint8_t>* bytes);
  arrow::Status TakePadding(std::span<const uint8_t>* bytes,
                            std::vector<net::Message>* out);
  arrow::Status TakeFooter(std::span<const uint8_t> bytes);
  arrow::Status CheckFooter() const;

  const std::shared_ptr<ByteBudget> budget;
  const StreamParserLimits limits;
  State state = State::kHead;
  std::string head;
  uint8_t word[8] = {};  ///< what may be padding or the first bytes of a message
  size_t word_bytes = 0;
  int64_t messages_offset = 0;  ///< where the first message lies in the file
  MessageCutter cutter;
  OffsetDigest record_batches;
  OffsetDigest dictionaries;
  std::string tail;  ///< everything behind the end marker
  BudgetHold tail_hold;
};

arrow::Status FileParser::Impl::TakeHead(std::span<const uint8_t>* bytes) {
  const size_t piece = std::min(kHeadBytes - head.size(), bytes->size());
  head.append(reinterpret_cast<const char*>(bytes->data()), piece);
  *bytes = bytes->subspan(piece);
  const size_t compared = std::min(head.size(), kMagic.size());
  if (std::string_view(head).substr(0, compared) != kMagic.substr(0, compared)) {
    return Error(ErrorCode::kBadData,
                 "the body is not an Arrow file: it does not start with ARROW1");
  }
  if (head.size() == kHeadBytes) {
    messages_offset = kHeadBytes;
    state = State::kPadding;
  }
  return {};
}

arrow::Status FileParser::Impl::TakePadding(std::span<const uint8_t>* bytes,
                                            std::vector<net::Message>* out) {
  const size_t piece = std::min(sizeof(word) - word_bytes, bytes->size());
  std::memcpy(word + word_bytes, bytes->data(), piece);
  word_bytes += piece;
  *bytes = bytes->subspan(piece);
  if (word_bytes < sizeof(word)) return {};
  constexpr uint8_t kZeros[sizeof(word)] = {};
  if (std::memcmp(word, kZeros, sizeof(word)) == 0 && messages_offset < kAlignmentMax) {
    messages_offset += sizeof(word);
    word_bytes = 0;
    return {};
  }
  ARROW_ASSIGN_OR_RAISE(const size_t taken, cutter.Consume(word, out));
  state = cutter.ended() ? State::kFooter : State::kMessages;
  return TakeFooter(std::span<const uint8_t>(word).subspan(taken));
}

arrow::Status FileParser::Impl::TakeFooter(std::span<const uint8_t> bytes) {
  const auto size_max =
      static_cast<size_t>(limits.metadata_bytes_max + kAlignmentMax) + kTrailerBytes;
  if (bytes.size() > size_max - tail.size()) {
    return Error(ErrorCode::kTooLarge, "the footer of the Arrow file exceeds the limit: ",
                 limits.metadata_bytes_max);
  }
  tail.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (budget) {
    // The hold it replaces gives its bytes back.
    budget->Charge(static_cast<int64_t>(tail.size()));
    tail_hold = BudgetHold(budget, static_cast<int64_t>(tail.size()));
  }
  return {};
}

arrow::Status FileParser::Impl::CheckFooter() const {
  const std::string_view bytes = tail;
  if (bytes.size() < kTrailerBytes ||
      bytes.substr(bytes.size() - kMagic.size()) != kMagic) {
    return Error(ErrorCode::kIncompleteStream,
                 "the Arrow file was cut: it does not end with its footer");
  }
  int32_t footer_bytes;
  const size_t room = bytes.size() - kTrailerBytes;
  std::memcpy(&footer_bytes, bytes.data() + room, sizeof(footer_bytes));
  if (footer_bytes <= 0 || static_cast<size_t>(footer_bytes) > room ||
      room - static_cast<size_t>(footer_bytes) > kAlignmentMax) {
    return Error(
        ErrorCode::kIncompleteStream,
        "the Arrow file was cut: its footer has the wrong length: ", footer_bytes);
  }
  const auto footer = FlatTable::Root(
      {reinterpret_cast<const uint8_t*>(bytes.data()) + room - footer_bytes,
       static_cast<size_t>(footer_bytes)});
  if (!footer) return Error(ErrorCode::kBadData, "malformed footer of the Arrow file");
  if (ReadBlocks(*footer, kFooterRecordBatches) != record_batches ||
      ReadBlocks(*footer, kFooterDictionaries) != dictionaries) {
    return Error(ErrorCode::kBadData,
                 "the footer of the Arrow file does not list its blocks in order: send "
                 "the data as an Arrow stream; record batches found: ",
                 record_batches.count);
  }
  return {};
}

FileParser::FileParser(std::shared_ptr<BufferPool> pool, StreamParserLimits limits)
    : impl_(std::make_unique<Impl>(std::move(pool), limits)) {}

FileParser::~FileParser() = default;

arrow::Status FileParser::Consume(std::span<const uint8_t> bytes,
                                  std::vector<net::Message>* out) {
  Impl& self = *impl_;
  while (!bytes.empty()) {
    switch (self.state) {
      case Impl::State::kHead:
        ARROW_RETURN_NOT_OK(self.TakeHead(&bytes));
        break;
      case Impl::State::kPadding:
        ARROW_RETURN_NOT_OK(self.TakePadding(&bytes, out));
        break;
      case Impl::State::kMessages: {
        ARROW_ASSIGN_OR_RAISE(const size_t taken, self.cutter.Consume(bytes, out));
        bytes = bytes.subspan(taken);
        if (self.cutter.ended()) self.state = Impl::State::kFooter;
        break;
      }
      case Impl::State::kFooter:
        return self.TakeFooter(bytes);
    }
  }
  return {};
}

arrow::Status FileParser::End(std::vector<net::Message>* out) {
  if (impl_->state != Impl::State::kFooter) {
    return Error(ErrorCode::kIncompleteStream,
                 "the Arrow file was cut: it does not end with its footer");
  }
  if (impl_->cutter.messages() == 0) {
    return Error(ErrorCode::kIncompleteStream, "the Arrow file holds no schema");
  }
  return impl_->CheckFooter();
}

int64_t FileParser::expected_bytes() const { return impl_->cutter.expected_bytes(); }

}  // namespace arrowport::wire::ipc
