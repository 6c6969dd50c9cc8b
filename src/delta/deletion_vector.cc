#include "delta/deletion_vector.h"

#include <arrow/util/endian.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr uint32_t kMagic = 1681511377;
constexpr uint32_t kCookieNoRuns = 12346;
constexpr uint32_t kCookieRuns = 12347;
constexpr uint32_t kOffsetsFromContainers = 4;  // with runs, fewer have no offsets
constexpr uint32_t kArrayMax = 4096;
constexpr int64_t kContainerRows = 65536;
constexpr size_t kBitsetBytes = kContainerRows / 8;
constexpr int64_t kBlobBytesMax = 256LL << 20;
constexpr uint8_t kFileVersion = 1;
constexpr size_t kUuidCharacters = 20;

template <typename T>
T LoadLittle(const uint8_t* data) {
  T value;
  std::memcpy(&value, data, sizeof(value));
  return arrow::bit_util::FromLittleEndian(value);
}

uint32_t LoadBig(const uint8_t* data) {
  uint32_t value;
  std::memcpy(&value, data, sizeof(value));
  return arrow::bit_util::FromBigEndian(value);
}

arrow::Status Malformed(std::string_view what) {
  return Error(ErrorCode::kStorageCorrupt, "malformed deletion vector: ", what);
}

/// Z85 of ZeroMQ RFC 32: five characters are four bytes, big-endian.
arrow::Result<std::string> DecodeZ85(std::string_view text) {
  static constexpr std::string_view kAlphabet =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
  if (text.size() % 5 != 0) return Malformed("Z85 text of a length not a multiple of 5");
  std::string out;
  out.reserve(text.size() / 5 * 4);
  for (size_t i = 0; i < text.size(); i += 5) {
    uint64_t value = 0;
    for (size_t k = 0; k < 5; ++k) {
      const size_t digit = kAlphabet.find(text[i + k]);
      if (digit == std::string_view::npos) return Malformed("a character that is not Z85");
      value = value * 85 + digit;
    }
    if (value > UINT32_MAX) return Malformed("a Z85 group out of range");
    for (int shift = 24; shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>(value >> shift));
    }
  }
  return out;
}

std::string UuidText(std::string_view bytes) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    const auto byte = static_cast<uint8_t>(bytes[i]);
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

/// The blob out of a file: its length and checksum frame it, big-endian.
arrow::Result<std::shared_ptr<arrow::Buffer>> ReadFramed(
    const store::Store& store, const std::string& path,
    const DeletionVectorDescriptor& descriptor) {
  auto opened = store.Open(path);
  if (!opened.ok() && CodeOf(opened.status()) == ErrorCode::kNotFound) {
    return Error(ErrorCode::kStorageCorrupt, "missing deletion vector file: ", path);
  }
  ARROW_ASSIGN_OR_RAISE(auto file, std::move(opened));
  ARROW_ASSIGN_OR_RAISE(const auto version, file->ReadAt(0, 1));
  if (version->size() != 1 || version->data()[0] != kFileVersion) {
    return Malformed("an unknown version of the file " + path);
  }
  const int64_t offset = descriptor.offset.value_or(1);
  const int64_t size = descriptor.size_bytes;
  ARROW_ASSIGN_OR_RAISE(const auto framed, file->ReadAt(offset, size + 8));
  if (framed->size() != size + 8) return Malformed("the file is cut: " + path);
  if (static_cast<int64_t>(LoadBig(framed->data())) != size) {
    return Malformed("the length in the file " + path + " is not the one in the log");
  }
  const uint32_t stored = LoadBig(framed->data() + 4 + size);
  const auto computed = static_cast<uint32_t>(
      crc32_z(0, framed->data() + 4, static_cast<z_size_t>(size)));
  if (stored != computed) {
    return Error(ErrorCode::kStorageCorrupt, "deletion vector checksum does not match: ",
                 path);
  }
  return arrow::SliceBuffer(framed, 4, size);
}

}  // namespace

class DeletedRows::Parser {
 public:
  Parser(DeletedRows* rows, std::span<const uint8_t> rest) : rows_(rows), rest_(rest) {}

  arrow::Status ParseAll() {
    ARROW_ASSIGN_OR_RAISE(const auto head, Take(12));
    if (LoadLittle<uint32_t>(head) != kMagic) return Malformed("an unknown magic number");
    const uint64_t bitmaps = LoadLittle<uint64_t>(head + 4);
    int64_t previous = -1;
    for (uint64_t i = 0; i < bitmaps; ++i) {
      ARROW_ASSIGN_OR_RAISE(const auto key_bytes, Take(4));
      const int64_t key = LoadLittle<uint32_t>(key_bytes);
      if (key <= previous || key > INT32_MAX) return Malformed("bitmaps out of order");
      previous = key;
      ARROW_RETURN_NOT_OK(ParseBitmap(key << 32));
    }
    if (!rest_.empty()) return Malformed("bytes after its end");
    return {};
  }

 private:
  arrow::Result<const uint8_t*> Take(size_t size) {
    if (rest_.size() < size) return Malformed("it is cut");
    const uint8_t* taken = rest_.data();
    rest_ = rest_.subspan(size);
    return taken;
  }

  arrow::Status ParseBitmap(int64_t base) {
    ARROW_ASSIGN_OR_RAISE(const auto cookie_bytes, Take(4));
    const uint32_t cookie = LoadLittle<uint32_t>(cookie_bytes);
    uint32_t count = 0;
    const uint8_t* run_flags = nullptr;
    if ((cookie & 0xFFFF) == kCookieRuns) {
      count = (cookie >> 16) + 1;
      ARROW_ASSIGN_OR_RAISE(run_flags, Take((count + 7) / 8));
    } else if (cookie == kCookieNoRuns) {
      ARROW_ASSIGN_OR_RAISE(const auto count_bytes, Take(4));
      count = LoadLittle<uint32_t>(count_bytes);
      if (count > kContainerRows) return Malformed("too many containers");
    } else {
      return Malformed("an unknown bitmap format");
    }
    ARROW_ASSIGN_OR_RAISE(const auto heads, Take(size_t{count} * 4));
    if (run_flags == nullptr || count >= kOffsetsFromContainers) {
      // Containers lie one behind the other; where they begin is not needed.
      ARROW_RETURN_NOT_OK(Take(size_t{count} * 4).status());
    }
    int64_t previous = -1;
    for (uint32_t i = 0; i < count; ++i) {
      const int64_t key = LoadLittle<uint16_t>(heads + i * 4);
      const uint32_t cardinality = LoadLittle<uint16_t>(heads + i * 4 + 2) + 1U;
      if (key <= previous) return Malformed("containers out of order");
      previous = key;
      const bool runs = run_flags != nullptr && ((run_flags[i / 8] >> (i % 8)) & 1) != 0;
      ARROW_RETURN_NOT_OK(ParseContainer(base + key * kContainerRows, cardinality, runs));
    }
    return {};
  }

  arrow::Status ParseContainer(int64_t base, uint32_t cardinality, bool runs) {
    Container container{base};
    int64_t last = 0;
    if (runs) {
      ARROW_ASSIGN_OR_RAISE(const auto count_bytes, Take(2));
      container.form = Form::kRuns;
      container.items = LoadLittle<uint16_t>(count_bytes);
      ARROW_ASSIGN_OR_RAISE(container.data, Take(size_t{container.items} * 4));
      ARROW_ASSIGN_OR_RAISE(last, CheckRuns(container, cardinality));
    } else if (cardinality > kArrayMax) {
      container.form = Form::kBitset;
      ARROW_ASSIGN_OR_RAISE(container.data, Take(kBitsetBytes));
      ARROW_ASSIGN_OR_RAISE(last, CheckBitset(container, cardinality));
    } else {
      container.items = cardinality;
      ARROW_ASSIGN_OR_RAISE(container.data, Take(size_t{cardinality} * 2));
      for (uint32_t i = 1; i < cardinality; ++i) {
        if (LoadLittle<uint16_t>(container.data + i * 2) <=
            LoadLittle<uint16_t>(container.data + i * 2 - 2)) {
          return Malformed("values out of order");
        }
      }
      last = LoadLittle<uint16_t>(container.data + (cardinality - 1) * 2);
    }
    rows_->cardinality_ += cardinality;
    rows_->last_ = base + last;
    rows_->containers_.push_back(container);
    return {};
  }

  static arrow::Result<int64_t> CheckRuns(const Container& container,
                                          uint32_t cardinality) {
    int64_t end = -1, total = 0;
    for (uint32_t i = 0; i < container.items; ++i) {
      const int64_t start = LoadLittle<uint16_t>(container.data + i * 4);
      const int64_t length = LoadLittle<uint16_t>(container.data + i * 4 + 2) + 1;
      if (start < end || start + length > kContainerRows) return Malformed("runs overlap");
      end = start + length;
      total += length;
    }
    if (total != cardinality) return Malformed("runs of another cardinality");
    return end - 1;
  }

  static arrow::Result<int64_t> CheckBitset(const Container& container,
                                            uint32_t cardinality) {
    int64_t total = 0, last = 0;
    for (size_t i = 0; i < kBitsetBytes; i += 8) {
      const auto word = LoadLittle<uint64_t>(container.data + i);
      total += std::popcount(word);
      if (word != 0) last = static_cast<int64_t>(i * 8) + 63 - std::countl_zero(word);
    }
    if (total != cardinality) return Malformed("a bitset of another cardinality");
    return last;
  }

  DeletedRows* rows_;
  std::span<const uint8_t> rest_;
};

arrow::Result<std::shared_ptr<const DeletedRows>> DeletedRows::Parse(
    std::shared_ptr<arrow::Buffer> blob) {
  auto rows = std::make_shared<DeletedRows>();
  rows->blob_ = std::move(blob);
  ARROW_RETURN_NOT_OK(Parser(rows.get(), rows->blob_->span_as<uint8_t>()).ParseAll());
  return rows;
}

std::vector<DeletedRows::Container>::const_iterator DeletedRows::FirstFrom(
    int64_t row) const {
  return std::partition_point(containers_.begin(), containers_.end(),
                              [row](const Container& container) {
                                return container.base + kContainerRows <= row;
                              });
}

template <typename Visit>
void DeletedRows::VisitContainer(const Container& container, int64_t begin, int64_t end,
                                 Visit&& visit) {
  const auto first = static_cast<uint32_t>(std::max<int64_t>(begin - container.base, 0));
  const auto limit =
      static_cast<uint32_t>(std::min<int64_t>(end - container.base, kContainerRows));
  switch (container.form) {
    case Form::kArray: {
      uint32_t low = 0, high = container.items;
      while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (LoadLittle<uint16_t>(container.data + middle * 2) < first) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      for (; low < container.items; ++low) {
        const uint32_t value = LoadLittle<uint16_t>(container.data + low * 2);
        if (value >= limit || !visit(container.base + value, container.base + value + 1)) {
          return;
        }
      }
      return;
    }
    case Form::kBitset:
      for (uint32_t at = first; at < limit; ++at) {
        const uint8_t byte = container.data[at / 8];
        if (at % 8 == 0 && byte == 0) {
          at += 7;
        } else if ((byte >> (at % 8) & 1) != 0 &&
                   !visit(container.base + at, container.base + at + 1)) {
          return;
        }
      }
      return;
    case Form::kRuns:
      for (uint32_t i = 0; i < container.items; ++i) {
        const uint32_t start = LoadLittle<uint16_t>(container.data + i * 4);
        const uint32_t stop = start + LoadLittle<uint16_t>(container.data + i * 4 + 2) + 1U;
        if (start >= limit) return;
        if (stop <= first) continue;
        if (!visit(container.base + std::max(start, first),
                   container.base + std::min(stop, limit))) {
          return;
        }
      }
      return;
  }
}

void DeletedRows::VisitRuns(int64_t begin, int64_t end,
                            const std::function<void(int64_t, int64_t)>& visit) const {
  for (auto at = FirstFrom(begin); at != containers_.end() && at->base < end; ++at) {
    VisitContainer(*at, begin, end, [&](int64_t from, int64_t to) {
      visit(from, to);
      return true;
    });
  }
}

bool DeletedRows::AnyIn(int64_t begin, int64_t end) const {
  bool any = false;
  for (auto at = FirstFrom(begin); !any && at != containers_.end() && at->base < end; ++at) {
    VisitContainer(*at, begin, end, [&](int64_t, int64_t) {
      any = true;
      return false;
    });
  }
  return any;
}

bool DeletedRows::Contains(int64_t row) const { return AnyIn(row, row + 1); }

arrow::Result<std::string> PathBelowRoot(const store::Store& store,
                                         std::string_view path_in_log) {
  ARROW_ASSIGN_OR_RAISE(DataPath path, DecodePath(path_in_log));
  if (!path.absolute) return std::move(path.path);
  for (std::string root : {store.root(), store.PathFor("")}) {
    if (root.starts_with("file://")) root.erase(0, std::string_view("file://").size());
    if (!root.ends_with('/')) root.push_back('/');
    if (path.path.starts_with(root)) return path.path.substr(root.size());
  }
  return Error(ErrorCode::kNotBuilt, "a file of the table lies outside its folder: ",
               path_in_log.substr(0, 200));
}

arrow::Result<std::string> DeletionVectorPath(const store::Store& store,
                                              const DeletionVectorDescriptor& descriptor) {
  const std::string_view text = descriptor.path_or_inline;
  if (descriptor.storage_type == "i") return std::string();
  if (descriptor.storage_type == "p") return PathBelowRoot(store, text);
  if (text.size() < kUuidCharacters) return Malformed("a file name that is too short");
  const std::string_view prefix = text.substr(0, text.size() - kUuidCharacters);
  ARROW_ASSIGN_OR_RAISE(const std::string uuid,
                        DecodeZ85(text.substr(text.size() - kUuidCharacters)));
  if (prefix.find_first_of("/.\\") != std::string_view::npos) {
    return Malformed("a folder name that leaves the table");
  }
  std::string path = prefix.empty() ? "" : std::string(prefix) + "/";
  return path + "deletion_vector_" + UuidText(uuid) + ".bin";
}

arrow::Result<std::shared_ptr<const DeletedRows>> ReadDeletionVector(
    const store::Store& store, const DeletionVectorDescriptor& descriptor) {
  if (descriptor.size_bytes > kBlobBytesMax) {
    return Error(ErrorCode::kTooLarge, "a deletion vector has more than ", kBlobBytesMax,
                 " bytes: ", descriptor.size_bytes);
  }
  std::shared_ptr<arrow::Buffer> blob;
  if (descriptor.storage_type == "i") {
    ARROW_ASSIGN_OR_RAISE(std::string bytes, DecodeZ85(descriptor.path_or_inline));
    if (static_cast<int64_t>(bytes.size()) < descriptor.size_bytes ||
        static_cast<int64_t>(bytes.size()) >= descriptor.size_bytes + 4) {
      return Malformed("inline bytes of another size");
    }
    bytes.resize(static_cast<size_t>(descriptor.size_bytes));
    blob = arrow::Buffer::FromString(std::move(bytes));
  } else {
    ARROW_ASSIGN_OR_RAISE(const std::string path, DeletionVectorPath(store, descriptor));
    ARROW_ASSIGN_OR_RAISE(blob, ReadFramed(store, path, descriptor));
  }
  ARROW_ASSIGN_OR_RAISE(auto rows, DeletedRows::Parse(std::move(blob)));
  if (rows->cardinality() != descriptor.cardinality) {
    return Malformed("a cardinality other than the log's");
  }
  return rows;
}

}  // namespace arrowport::delta
