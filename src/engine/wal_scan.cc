#include "engine/wal_scan.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <duckdb/common/checksum.hpp>
#include <duckdb/common/enums/wal_type.hpp>
#include <optional>
#include <span>

#include "base/error.h"

namespace arrowport::engine {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr size_t kEntryHeaderBytes = 16;
constexpr size_t kPayloadBytesMin = 5;  // field id, entry type, end marker
constexpr uint64_t kKnownVersion = 2;

class MappedFile {
 public:
  static arrow::Result<MappedFile> Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Failed(path);
    struct stat info;
    if (fstat(fd, &info) != 0) {
      close(fd);
      return Failed(path);
    }
    MappedFile file;
    file.size_ = static_cast<size_t>(info.st_size);
    if (file.size_ > 0) {
      void* start = mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (start == MAP_FAILED) {
        close(fd);
        return Failed(path);
      }
      file.start_ = static_cast<const uint8_t*>(start);
    }
    close(fd);
    return file;
  }
  MappedFile(MappedFile&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), size_(other.size_) {}
  ~MappedFile() {
    if (start_ != nullptr) munmap(const_cast<uint8_t*>(start_), size_);
  }
  Bytes bytes() const { return {start_, size_}; }

 private:
  MappedFile() = default;
  static arrow::Status Failed(const std::string& path) {
    return Error(ErrorCode::kStorageUnavailable, "cannot read the database log ", path,
                 ": ", std::strerror(errno));
  }
  const uint8_t* start_ = nullptr;
  size_t size_ = 0;
};

uint64_t ReadUint64(Bytes bytes, size_t offset) {
  uint64_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Reads the fields of the version entry: little-endian field ids, LEB128 values.
class FieldReader {
 public:
  explicit FieldReader(Bytes bytes) : bytes_(bytes) {}
  bool exhausted() const { return exhausted_; }
  size_t offset() const { return offset_; }

  uint16_t Id() {
    if (bytes_.size() - offset_ < 2) {
      exhausted_ = true;
      return 0;
    }
    const uint16_t id = bytes_[offset_] | (bytes_[offset_ + 1] << 8);
    offset_ += 2;
    return id;
  }
  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (offset_ >= bytes_.size()) {
        exhausted_ = true;
        return 0;
      }
      const uint8_t byte = bytes_[offset_++];
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return ~uint64_t{0};
  }

 private:
  Bytes bytes_;
  size_t offset_ = 0;
  bool exhausted_ = false;
};

constexpr uint16_t kFieldType = 100;
constexpr uint16_t kFieldVersion = 101;
constexpr uint16_t kFieldIdentifier = 102;
constexpr uint16_t kFieldIteration = 103;
constexpr uint16_t kFieldEnd = 0xffff;
constexpr uint64_t kIdentifierBytesMax = 64;

WalScan Corrupt(size_t offset, std::string reason) {
  return {WalState::kCorrupt, static_cast<int64_t>(offset), std::move(reason)};
}

WalScan Torn(size_t offset) {
  return {WalState::kTornTail, static_cast<int64_t>(offset), "the file ends in an entry"};
}

// Where the entries start, or the verdict on the version entry.
arrow::Result<size_t> SkipVersionEntry(Bytes bytes, WalScan* verdict) {
  const auto stop = [&](WalScan scan) -> arrow::Result<size_t> {
    *verdict = std::move(scan);
    return size_t{0};
  };
  FieldReader reader(bytes);
  uint16_t id = reader.Id();
  const uint64_t type = reader.Number();
  const uint16_t version_id = reader.Id();
  const uint64_t version = reader.Number();
  if (reader.exhausted()) return stop(Torn(0));
  if (id != kFieldType || type != static_cast<uint64_t>(duckdb::WALType::WAL_VERSION) ||
      version_id != kFieldVersion) {
    return stop(Corrupt(0, "the version entry is unreadable"));
  }
  if (version != kKnownVersion) {
    return stop({WalState::kUnknownFormat, 0, "version " + std::to_string(version)});
  }
  for (id = reader.Id(); id != kFieldEnd && !reader.exhausted(); id = reader.Id()) {
    uint64_t values = 1;
    if (id == kFieldIdentifier) values = reader.Number();
    if ((id != kFieldIdentifier && id != kFieldIteration) ||
        values > kIdentifierBytesMax) {
      return stop(Corrupt(0, "the version entry is unreadable"));
    }
    for (uint64_t i = 0; i < values; ++i) reader.Number();
  }
  if (reader.exhausted()) return stop(Torn(0));
  return reader.offset();
}

bool LooksLikePayload(Bytes payload) {
  return payload.size() >= kPayloadBytesMin && payload[0] == kFieldType &&
         payload[1] == 0;
}

// A whole entry with a right checksum anywhere behind `from` proves that the log goes on
// and that the entry before it is damaged, not torn.
std::optional<size_t> FindWholeEntry(Bytes bytes, size_t from) {
  for (size_t at = from; at + kEntryHeaderBytes + kPayloadBytesMin <= bytes.size();
       ++at) {
    const uint64_t size = ReadUint64(bytes, at);
    const size_t payload_at = at + kEntryHeaderBytes;
    if (size < kPayloadBytesMin || size > bytes.size() - payload_at) continue;
    Bytes payload = bytes.subspan(payload_at, size);
    if (!LooksLikePayload(payload)) continue;
    if (duckdb::Checksum(const_cast<uint8_t*>(payload.data()), payload.size()) ==
        ReadUint64(bytes, at + 8)) {
      return at;
    }
  }
  return std::nullopt;
}

WalScan ScanEntries(Bytes bytes, size_t at) {
  size_t whole_until = at;
  bool inside_transaction = false;
  while (at < bytes.size()) {
    if (bytes.size() - at < kEntryHeaderBytes) return Torn(whole_until);
    const uint64_t size = ReadUint64(bytes, at);
    const size_t payload_at = at + kEntryHeaderBytes;
    if (size < kPayloadBytesMin) return Corrupt(at, "the entry has no content");
    if (size > bytes.size() - payload_at) {
      const auto next = FindWholeEntry(bytes, at + 1);
      if (!next) return Torn(whole_until);
      return Corrupt(at,
                     "its length runs past the end of the file, but a whole entry "
                     "follows at byte " +
                         std::to_string(*next));
    }
    const uint8_t type = bytes[payload_at + 2];
    at = payload_at + size;
    inside_transaction = type != static_cast<uint8_t>(duckdb::WALType::WAL_FLUSH);
    if (!inside_transaction) whole_until = at;
  }
  return inside_transaction ? Torn(whole_until) : WalScan{};
}

}  // namespace

arrow::Result<WalScan> ScanWal(const std::string& wal_path) {
  ARROW_ASSIGN_OR_RAISE(MappedFile file, MappedFile::Open(wal_path));
  if (file.bytes().empty()) return WalScan{};
  WalScan verdict;
  ARROW_ASSIGN_OR_RAISE(const size_t start, SkipVersionEntry(file.bytes(), &verdict));
  if (verdict.state != WalState::kWhole) return verdict;
  return ScanEntries(file.bytes(), start);
}

}  // namespace arrowport::engine
