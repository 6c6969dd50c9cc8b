#include "delta/deletion_vector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <roaring/roaring.hh>
#include <set>

#include "base/error.h"

namespace roaring {}  // older releases of the library have no namespace

namespace arrowport::delta {
namespace {

using namespace roaring;  // NOLINT
namespace fs = std::filesystem;
using ::testing::HasSubstr;

template <typename T>
void Append(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void AppendBig(uint32_t value, std::string* out) {
  Append(__builtin_bswap32(value), out);
}

/// The blob of `rows` as the reference library writes it.
std::string Blob(const std::set<int64_t>& rows, bool runs) {
  std::map<uint32_t, Roaring> bitmaps;
  for (const int64_t row : rows) {
    bitmaps[static_cast<uint32_t>(row >> 32)].add(static_cast<uint32_t>(row));
  }
  std::string out;
  Append<uint32_t>(1681511377, &out);
  Append<uint64_t>(bitmaps.size(), &out);
  for (auto& [key, bitmap] : bitmaps) {
    if (runs) bitmap.runOptimize();
    Append<uint32_t>(key, &out);
    std::string bytes(bitmap.getSizeInBytes(), '\0');
    bitmap.write(bytes.data());
    out += bytes;
  }
  return out;
}

arrow::Result<std::shared_ptr<const DeletedRows>> Parse(std::string blob) {
  return DeletedRows::Parse(arrow::Buffer::FromString(std::move(blob)));
}

std::set<int64_t> RowsOf(const DeletedRows& rows, int64_t begin, int64_t end) {
  std::set<int64_t> found;
  rows.VisitRuns(begin, end, [&](int64_t from, int64_t to) {
    EXPECT_LT(from, to);
    for (; from < to; ++from) EXPECT_TRUE(found.insert(from).second);
  });
  return found;
}

TEST(DeletionVector, HoldsWhatTheReferenceLibraryWrote) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 40; ++round) {
    std::set<int64_t> rows;
    const int64_t range = int64_t{1} << (4 + random() % 32);
    for (int i = 0; i < 20; ++i) {
      const auto start = static_cast<int64_t>(random() % range);
      const int64_t length = random() % 4 == 0 ? random() % 9000 : 1;
      for (int64_t row = start; row <= start + length; ++row) rows.insert(row);
    }
    const auto parsed = Parse(Blob(rows, round % 2 == 0));
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    EXPECT_EQ((*parsed)->cardinality(), static_cast<int64_t>(rows.size()));
    EXPECT_EQ((*parsed)->last(), *rows.rbegin());
    ASSERT_EQ(RowsOf(**parsed, 0, INT64_MAX), rows);
    const auto begin = static_cast<int64_t>(random() % range);
    const int64_t end = begin + static_cast<int64_t>(random() % 70000);
    const std::set<int64_t> window(rows.lower_bound(begin), rows.lower_bound(end));
    EXPECT_EQ(RowsOf(**parsed, begin, end), window);
    EXPECT_EQ((*parsed)->AnyIn(begin, end), !window.empty());
    EXPECT_TRUE((*parsed)->Contains(*rows.begin()));
  }
}

TEST(DeletionVector, EmptyAndDense) {
  EXPECT_EQ((*Parse(Blob({}, false)))->last(), -1);
  std::set<int64_t> dense;
  for (int64_t i = 0; i < 70000; i += 2) dense.insert(i);
  EXPECT_EQ(RowsOf(**Parse(Blob(dense, false)), 0, 100000), dense);
}

TEST(DeletionVector, EveryDamageIsRefusedOrHarmless) {
  const std::string good = Blob({1, 2, 3, 70000, 70001, 5000000000}, true);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(Parse(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(Parse(good + "x").ok());
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    const auto parsed = Parse(bad);
    if (!parsed.ok()) {
      EXPECT_EQ(CodeOf(parsed.status()), ErrorCode::kStorageCorrupt);
      continue;
    }
    int64_t count = 0;
    (*parsed)->VisitRuns(0, INT64_MAX, [&](int64_t from, int64_t to) { count += to - from; });
    EXPECT_EQ(count, (*parsed)->cardinality());
  }
}

TEST(DeletionVector, FilesAreFramedAndChecked) {
  std::string pattern = (fs::temp_directory_path() / "arrowport-dv-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  auto store = *store::OpenLocalStore(pattern, store::Durability::kMemory, false);
  const std::string blob = Blob({4, 9}, false);
  std::string file = "\x01";
  AppendBig(static_cast<uint32_t>(blob.size()), &file);
  file += blob;
  AppendBig(static_cast<uint32_t>(
                crc32(0, reinterpret_cast<const Bytef*>(blob.data()), blob.size())),
            &file);
  // Z85 of sixteen zero bytes is twenty zeros.
  const std::string name =
      "ab/deletion_vector_00000000-0000-0000-0000-000000000000.bin";
  DeletionVectorDescriptor vector{"u", "ab00000000000000000000", 1,
                                  static_cast<int32_t>(blob.size()), 2};
  const auto fault = [&] { return ReadDeletionVector(*store, vector).status().message(); };
  EXPECT_THAT(fault(), HasSubstr("missing deletion vector file"));
  ASSERT_TRUE(store->Put(name, file).ok());
  EXPECT_EQ(fault(), "");
  vector.cardinality = 3;
  EXPECT_THAT(fault(), HasSubstr("cardinality"));
  vector.cardinality = 2;
  vector.size_bytes -= 1;
  EXPECT_THAT(fault(), HasSubstr("length"));
  vector.size_bytes += 1;
  std::string damaged = file;
  damaged[10] = static_cast<char>(damaged[10] ^ 1);
  ASSERT_TRUE(store->Put(name, damaged).ok());
  EXPECT_THAT(fault(), HasSubstr("deletion vector checksum"));
  ASSERT_TRUE(store->Put(name, file.substr(0, file.size() - 1)).ok());
  EXPECT_THAT(fault(), HasSubstr("cut"));
  vector = {"u", "../00000000000000000000", 1, 10, 2};
  EXPECT_THAT(fault(), HasSubstr("leaves the table"));
  vector = {"p", "/etc/passwd", 1, 10, 2};
  EXPECT_THAT(fault(), HasSubstr("outside its folder"));
  fs::remove_all(pattern);
}

}  // namespace
}  // namespace arrowport::delta
