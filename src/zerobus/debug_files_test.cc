#include "arrowport/zerobus/debug_files.h"

#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <thread>

#include "arrowport/zerobus/writer.h"
#include "base/error.h"
#include "zerobus/debug_names.h"
#include "zerobus/debug_records.h"
#include "zerobus/failure.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::FakeService;
using testing::Ids;
using testing::MakeWriter;
using testing::OptionsFor;
using testing::Sequence;

constexpr const char* kStem = "main_test_ids";

class DebugFilesTest : public ::testing::Test {
 protected:
  DebugFilesTest() {
    std::string name = (fs::temp_directory_path() / "zerobus_debug_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~DebugFilesTest() override { fs::remove_all(folder_); }

  DebugFileOptions Both() const {
    DebugFileOptions options;
    options.output_folder = folder_.string();
    options.arrow = options.protobuf = true;
    return options;
  }
  static std::shared_ptr<DebugFiles> MakeFiles(const DebugFileOptions& options) {
    return DebugFiles::Make("main.test.ids", Mode::kProto, options).ValueOrDie();
  }
  Options Disabled(std::shared_ptr<DebugFiles> files) const {
    Options options("", "main.test.ids");
    options.writer_disabled = true;
    options.observers = {std::move(files)};
    return options;
  }
  fs::path Arrow(const std::string& stem = kStem) const {
    return folder_ / "zerobus/arrow" / (stem + ".arrow");
  }
  fs::path Proto(const std::string& stem = kStem) const {
    return folder_ / "zerobus/proto" / (stem + ".proto");
  }
  std::vector<fs::path> Rotated(std::string_view kind, std::string_view extension) const {
    std::vector<fs::path> paths;
    for (auto& file : ListRotated(folder_ / "zerobus" / kind, kStem, extension)) {
      paths.push_back(file.path);
    }
    return paths;
  }

  fs::path folder_;
};

// Arrow's own reader is the judge: rows of the first column, and a proper end.
std::vector<int64_t> ReadArrow(const fs::path& path) {
  auto file = arrow::io::ReadableFile::Open(path.string()).ValueOrDie();
  auto reader = arrow::ipc::RecordBatchStreamReader::Open(file).ValueOrDie();
  std::vector<int64_t> ids;
  std::shared_ptr<arrow::RecordBatch> batch;
  while (reader->ReadNext(&batch).ok() && batch) {
    EXPECT_TRUE(batch->ValidateFull().ok());
    const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(0));
    for (int64_t i = 0; i < column.length(); ++i) ids.push_back(column.Value(i));
  }
  EXPECT_EQ(file->Tell().ValueOrDie(), file->GetSize().ValueOrDie());
  std::ifstream raw(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(raw), {});
  EXPECT_TRUE(bytes.ends_with(std::string("\xFF\xFF\xFF\xFF\0\0\0\0", 8))) << path;
  return ids;
}

// libprotobuf's parser is the judge, from framing to fields.
std::vector<int64_t> ReadProto(const fs::path& path) {
  std::ifstream descriptor_file(FindDescriptor(path).ValueOrDie(), std::ios::binary);
  google::protobuf::DescriptorProto proto;
  EXPECT_TRUE(proto.ParseFromIstream(&descriptor_file));
  auto compiled = encode::CompiledDescriptor::Make(proto).ValueOrDie();
  google::protobuf::DynamicMessageFactory factory;
  std::unique_ptr<google::protobuf::Message> row(
      factory.GetPrototype(&compiled->message())->New());
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  google::protobuf::io::CodedInputStream input(
      reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  std::vector<int64_t> ids;
  uint32_t size = 0;
  while (input.ReadVarint32(&size)) {
    const auto limit = input.PushLimit(static_cast<int>(size));
    row->Clear();
    EXPECT_TRUE(row->MergeFromCodedStream(&input));
    EXPECT_EQ(input.BytesUntilLimit(), 0);
    input.PopLimit(limit);
    ids.push_back(row->GetReflection()->GetInt64(*row, compiled->message().field(0)));
  }
  EXPECT_EQ(input.CurrentPosition(), static_cast<int>(bytes.size()));
  return ids;
}

std::shared_ptr<arrow::RecordBatch> Named(int64_t first, const std::string& column) {
  auto batch = Ids(first, 2);
  return arrow::RecordBatch::Make(
      arrow::schema({arrow::field(column, arrow::int64(), false)}), 2, batch->columns());
}

void WaitUntil(const std::function<bool()>& condition) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    never.wait_for(lock, std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(condition());
}

TEST_F(DebugFilesTest, RowsOnceThoughTheyAreSentTwice) {
  FakeService service;
  std::atomic<int> requests = 0;
  service.set_on_request([&](testing::ServerCall& call, FakeService::Connection&,
                             const testing::Received&) {
    if (++requests > 1) return FakeService::Action::kLogAndAck;
    call.Reset(NGHTTP2_INTERNAL_ERROR);
    return FakeService::Action::kDrop;
  });
  auto files = MakeFiles(Both());
  Options options = OptionsFor(service);
  options.observers = {files};
  auto writer = MakeWriter(options);
  EXPECT_TRUE(writer->SendBatch(Ids(0, 100)).success());
  EXPECT_GE(requests, 2);
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(ReadArrow(Arrow()), Sequence(0, 100));
  EXPECT_EQ(ReadProto(Proto()), Sequence(0, 100));
  EXPECT_EQ(files->write_errors(), 0) << files->last_error();
}

TEST_F(DebugFilesTest, WholeAfterFlushAndGoesOn) {
  auto writer = MakeWriter(Disabled(MakeFiles(Both())));
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(writer->SendBatch(Ids(i * 10, 10)).success());
    EXPECT_TRUE(writer->Flush().ok());
    EXPECT_EQ(ReadArrow(Arrow()), Sequence(0, (i + 1) * 10));
    EXPECT_EQ(ReadProto(Proto()), Sequence(0, (i + 1) * 10));
  }
  EXPECT_THAT(Rotated("arrow", kArrowExtension), ElementsAre());
}

TEST_F(DebugFilesTest, FlushedByTime) {
  auto options = Both();
  options.flush_interval = std::chrono::milliseconds(5);
  auto writer = MakeWriter(Disabled(MakeFiles(options)));
  EXPECT_TRUE(writer->SendBatch(Ids(0, 5)).success());
  WaitUntil([&] {
    std::error_code failed;
    return fs::file_size(Proto(), failed) > 0 && fs::file_size(Arrow(), failed) > 0;
  });
  WaitUntil([&] { return ReadProto(Proto()).size() == 5; });
}

TEST_F(DebugFilesTest, RotatesBeforeTheLimitAndKeepsTheNewest) {
  auto options = Both();
  options.file_bytes_max = 4096;
  options.rotated_files_max = 3;
  auto files = MakeFiles(options);
  // Another table's files, one with a name made to be taken for one of ours.
  const fs::path foreign[] = {Arrow("main_test_ids_other_20200101_000000_0"),
                              Arrow("main_test_ids_20200101_000000_x"),
                              Arrow("main_test_id_20200101_000000_0")};
  for (const auto& path : foreign) std::ofstream(path) << "x";
  auto other = DebugFiles::Make("main.test.ids_20200101_000000_1", Mode::kProto, options)
                   .ValueOrDie();
  other->OnBatch(*Ids(0, 1));
  auto writer = MakeWriter(Disabled(files));
  int64_t sent = 0;
  for (; sent < 6000; sent += 1000) {
    EXPECT_TRUE(writer->SendBatch(Ids(sent, 1000)).success());
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(files->write_errors(), 0) << files->last_error();
  for (const bool is_arrow : {true, false}) {
    auto paths = is_arrow ? Rotated("arrow", kArrowExtension)
                          : Rotated("proto", kProtoExtension);
    ASSERT_EQ(paths.size(), 3u);
    paths.push_back(is_arrow ? Arrow() : Proto());
    std::vector<int64_t> last;
    for (const auto& path : paths) {
      EXPECT_LE(fs::file_size(path), 4096u) << path;
      const auto ids = is_arrow ? ReadArrow(path) : ReadProto(path);
      last.insert(last.end(), ids.begin(), ids.end());
    }
    const auto count = static_cast<int64_t>(last.size());
    EXPECT_EQ(last, Sequence(sent - count, count));
  }
  for (const auto& path : foreign) EXPECT_TRUE(fs::exists(path)) << path;
  EXPECT_TRUE(other->Close().ok());
  EXPECT_TRUE(fs::exists(Arrow("main_test_ids_20200101_000000_1")));
}

TEST_F(DebugFilesTest, AnotherSchemaBeginsFilesThatKeepTheirDescriptor) {
  auto files = MakeFiles(Both());
  auto writer = MakeWriter(Disabled(files));
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(writer->SendBatch(Named(i * 2, i % 2 == 0 ? "a" : "b")).success());
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(files->write_errors(), 0) << files->last_error();
  auto arrow_paths = Rotated("arrow", kArrowExtension);
  auto proto_paths = Rotated("proto", kProtoExtension);
  ASSERT_EQ(arrow_paths.size(), 3u);
  ASSERT_EQ(proto_paths.size(), 3u);
  arrow_paths.push_back(Arrow());
  proto_paths.push_back(Proto());
  for (int64_t i = 0; i < 4; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(ReadArrow(arrow_paths[at]), Sequence(i * 2, 2));
    auto reader = DebugRecordReader::Open(proto_paths[at], "").ValueOrDie();
    std::string row;
    ASSERT_TRUE(reader->Next(&row).ValueOrDie());
    EXPECT_EQ(row, std::string(i % 2 == 0 ? "{\"a\":" : "{\"b\":") +
                       std::to_string(i * 2) + "}");
  }
}

// Threads with different schemas and dictionaries, and files so small that batches are cut:
// every file reads by itself, with the descriptor that is found for it.
TEST_F(DebugFilesTest, ManyThreadsAndSchemas) {
  constexpr int64_t kThreads = 4, kBatches = 20, kRows = 200;
  auto options = Both();
  options.file_bytes_max = 2048;
  options.rotated_files_max = std::nullopt;
  auto files = MakeFiles(options);
  auto writer = MakeWriter(Disabled(files));
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      const std::string name = thread % 2 == 0 ? "a" : "b";
      for (int64_t i = 0; i < kBatches; ++i) {
        const int64_t first = (thread * kBatches + i) * kRows;
        arrow::StringDictionaryBuilder words;
        for (int64_t row = 0; row < kRows; ++row) {
          ASSERT_TRUE(words.Append(name + std::to_string((first + row) % 7)).ok());
        }
        auto column = words.Finish().ValueOrDie();
        auto batch = arrow::RecordBatch::Make(
            arrow::schema({arrow::field("id", arrow::int64(), false),
                           arrow::field(name, column->type())}),
            kRows, {Ids(first, kRows)->column(0), column});
        ASSERT_TRUE(writer->SendBatch(batch).success());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(files->write_errors(), 0) << files->last_error();
  std::vector<int64_t> ids;
  auto paths = Rotated("arrow", kArrowExtension);
  EXPECT_GT(paths.size(), 80u);
  paths.push_back(Arrow());
  for (const auto& path : paths) {
    EXPECT_LE(fs::file_size(path), 2048u);
    const auto more = ReadArrow(path);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, Sequence(0, kThreads * kBatches * kRows));
  std::set<std::string> expected;
  for (const int64_t id : ids) {
    const std::string name = id / (kBatches * kRows) % 2 == 0 ? "a" : "b";
    expected.insert("{\"id\":" + std::to_string(id) + ",\"" + name + "\":\"" + name +
                    std::to_string(id % 7) + "\"}");
  }
  std::set<std::string> rows;
  paths = Rotated("proto", kProtoExtension);
  paths.push_back(Proto());
  for (const auto& path : paths) {
    auto reader = DebugRecordReader::Open(path, "").ValueOrDie();
    std::string row;
    for (auto more = reader->Next(&row); more.ok() && *more; more = reader->Next(&row)) {
      EXPECT_TRUE(rows.insert(row).second) << row;
    }
  }
  EXPECT_EQ(rows, expected);
}

TEST_F(DebugFilesTest, DescriptorsGoWithTheLastRowsThatNeedThem) {
  auto options = Both();
  options.rotated_files_max = 2;
  auto files = MakeFiles(options);
  auto writer = MakeWriter(Disabled(files));
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(writer->SendBatch(Named(i * 2, "c" + std::to_string(i))).success());
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(Rotated("descriptors", kDescriptorExtension).size(), 2u);
  EXPECT_EQ(ReadProto(Rotated("proto", kProtoExtension).front()), Sequence(10, 2));
}

TEST_F(DebugFilesTest, WhatAnEarlierWriterLeftIsRotated) {
  for (int64_t run = 0; run < 3; ++run) {
    auto writer = MakeWriter(Disabled(MakeFiles(Both())));
    EXPECT_TRUE(writer->SendBatch(Ids(run * 10, 10)).success());
    EXPECT_TRUE(writer->Shutdown().ok());
  }
  const auto arrow_paths = Rotated("arrow", kArrowExtension);
  const auto proto_paths = Rotated("proto", kProtoExtension);
  ASSERT_EQ(arrow_paths.size(), 2u);
  ASSERT_EQ(proto_paths.size(), 2u);
  EXPECT_EQ(ReadArrow(arrow_paths[1]), Sequence(10, 10));
  EXPECT_EQ(ReadProto(proto_paths[0]), Sequence(0, 10));
  EXPECT_EQ(ReadProto(Proto()), Sequence(20, 10));
  EXPECT_THAT(Rotated("descriptors", kDescriptorExtension), ElementsAre());
}

TEST_F(DebugFilesTest, OneWriterForATablesFiles) {
  auto first = MakeFiles(Both());
  auto second = DebugFiles::Make("main/test/ids", Mode::kProto, Both());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(KindOf(second.status()), ErrorKind::kConfiguration);
  EXPECT_TRUE(first->Close().ok());
  EXPECT_TRUE(DebugFiles::Make("main/test/ids", Mode::kProto, Both()).ok());
}

TEST_F(DebugFilesTest, AWriteErrorIsCountedAndTheSendGoesOn) {
  FakeService service;
  auto files = MakeFiles(Both());
  // A file in place of the folder, and no folder at all: nothing can be made in them.
  fs::remove_all(folder_ / "zerobus/arrow");
  std::ofstream(folder_ / "zerobus/arrow") << "x";
  fs::remove_all(folder_ / "zerobus/descriptors");
  Options options = OptionsFor(service);
  options.observers = {files};
  auto writer = MakeWriter(options);
  EXPECT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  const int64_t errors = files->write_errors();
  EXPECT_GE(errors, 2);
  EXPECT_FALSE(files->last_error().ok());
  fs::create_directory(folder_ / "zerobus/descriptors");
  fs::remove(folder_ / "zerobus/arrow");
  fs::create_directory(folder_ / "zerobus/arrow");
  EXPECT_TRUE(writer->SendBatch(Ids(10, 10)).success());
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(files->write_errors(), errors);
  EXPECT_EQ(ReadArrow(Arrow()), Sequence(10, 10));
  EXPECT_EQ(ReadProto(Proto()), Sequence(10, 10));
}

// While nothing can be written, nothing that was written may go.
TEST_F(DebugFilesTest, AFullDiskCostsNoEarlierFile) {
  auto options = Both();
  options.rotated_files_max = 1;
  for (int64_t run = 0; run < 2; ++run) {
    auto writer = MakeWriter(Disabled(MakeFiles(options)));
    EXPECT_TRUE(writer->SendBatch(Ids(run * 10, 10)).success());
    EXPECT_TRUE(writer->Shutdown().ok());
  }
  auto files = MakeFiles(options);
  auto writer = MakeWriter(Disabled(files));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  bool all_sent = true;
  for (int i = 0; i < 5; ++i) {
    all_sent = writer->SendBatch(Ids(0, 10'000)).success() && all_sent;
    all_sent = writer->Flush().ok() && all_sent;
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(all_sent);
  EXPECT_EQ(files->write_errors(), 10);
  EXPECT_TRUE(writer->SendBatch(Ids(20, 10)).success());
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(ReadArrow(Arrow()), Sequence(20, 10));
  EXPECT_EQ(ReadProto(Proto()), Sequence(20, 10));
  ASSERT_EQ(Rotated("arrow", kArrowExtension).size(), 1u);
  EXPECT_EQ(ReadArrow(Rotated("arrow", kArrowExtension)[0]), Sequence(10, 10));
  ASSERT_EQ(Rotated("proto", kProtoExtension).size(), 1u);
  EXPECT_EQ(ReadProto(Rotated("proto", kProtoExtension)[0]), Sequence(10, 10));
}

TEST_F(DebugFilesTest, OptionsAreChecked) {
  const auto refused = [&](const DebugFileOptions& options, const char* table = "t") {
    auto made = DebugFiles::Make(table, Mode::kProto, options);
    return !made.ok() && KindOf(made.status()) == ErrorKind::kConfiguration;
  };
  EXPECT_FALSE(refused(Both()));
  auto options = Both();
  options.arrow = options.protobuf = false;
  EXPECT_TRUE(refused(options));
  options = Both();
  options.output_folder.clear();
  EXPECT_TRUE(refused(options));
  options = Both();
  options.flush_interval = std::chrono::milliseconds(0);
  EXPECT_TRUE(refused(options));
  options = Both();
  options.rotated_files_max = 0;
  EXPECT_TRUE(refused(options));
  options = Both();
  options.file_bytes_max = 0;
  EXPECT_TRUE(refused(options));
  EXPECT_TRUE(refused(Both(), "a b"));
  EXPECT_TRUE(refused(Both(), ""));
  options = Both();
  options.output_folder = "/dev/null/x";
  EXPECT_TRUE(refused(options));
}

TEST(DebugNames, StampsGrowAndNamesComeBack) {
  const auto now = std::chrono::system_clock::from_time_t(1'700'000'000);
  const DebugStamp first = NextStamp(now, {});
  EXPECT_EQ(RotatedName("t", first, ".arrow"), "t_20231114_221320_0.arrow");
  const DebugStamp second = NextStamp(now, first);
  const DebugStamp back = NextStamp(now - std::chrono::hours(1), second);
  EXPECT_LT(first, second);
  EXPECT_LT(second, back);
  EXPECT_LT(back, NextStamp(now + std::chrono::seconds(1), back));
  EXPECT_EQ(ParseRotatedName("t_20231114_221320_12.arrow", "t", ".arrow")->sequence, 12);
  for (const char* name :
       {"t_20231114_221320_.arrow", "t_20231114_221320_01.arrow", "t.arrow",
        "t_20231114_221320.arrow", "t_20231114_221320_1.proto", "tt_20231114_221320_1.arrow",
        "t_2023111a_221320_1.arrow", "t_20231114_221320_1_1.arrow",
        "t_20231114_221320_99999999999999999999.arrow"}) {
    EXPECT_FALSE(ParseRotatedName(name, "t", ".arrow")) << name;
  }
}

TEST_F(DebugFilesTest, ReaderRefusesWhatIsNoRow) {
  {
    auto writer = MakeWriter(Disabled(MakeFiles(Both())));
    EXPECT_TRUE(writer->SendBatch(Ids(1, 1)).success());
    EXPECT_TRUE(writer->Shutdown().ok());
  }
  std::ifstream whole_file(Proto(), std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(whole_file), {});
  const auto end_of = [&](const std::string& bytes) {
    std::ofstream(Proto(), std::ios::binary) << bytes;
    auto reader = DebugRecordReader::Open(Proto(), "").ValueOrDie();
    std::string row;
    while (true) {
      auto more = reader->Next(&row);
      if (!more.ok()) return std::string(InfoOf(CodeOf(more.status())).name);
      if (!*more) return std::string("end");
      EXPECT_EQ(row, "{\"id\":1}");
    }
  };
  EXPECT_EQ(end_of(whole + whole), "end");
  EXPECT_EQ(end_of(whole + whole.substr(0, whole.size() - 1)), "INCOMPLETE_STREAM");
  EXPECT_EQ(end_of(whole + "\x80"), "INCOMPLETE_STREAM");
  EXPECT_EQ(end_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "BAD_DATA");
  EXPECT_EQ(end_of("\x80\x80\x80\x80\x10"), "BAD_DATA");
  EXPECT_EQ(end_of(std::string("\x02\x78\x01")), "BAD_DATA");  // a field of no column
  EXPECT_EQ(end_of(std::string("\x00", 1)), "BAD_DATA");       // the required one missing
  fs::remove(folder_ / "zerobus/descriptors/main_test_ids.pb");
  auto reader = DebugRecordReader::Open(Proto(), "");
  ASSERT_FALSE(reader.ok());
  EXPECT_THAT(reader.status().message(), HasSubstr("main_test_ids.pb"));
}

}  // namespace
}  // namespace arrowport::zerobus
