#include <memory>
#include <random>

#include "wire/ipc/file_parser.h"
#include "wire/ipc/ipc_test_data.h"
#include "wire/ipc/stream_parser.h"

namespace arrowport::wire::ipc {
namespace {

std::vector<std::shared_ptr<arrow::RecordBatch>> TwoBatches() {
  auto batch = AllTypes();
  return {batch, batch->Slice(1)};
}

std::unique_ptr<net::BodyParser> MakeParser(Container container,
                                            StreamParserLimits limits = {}) {
  if (container == Container::kStream) {
    return std::make_unique<StreamParser>(TestPool(), limits, EndMarker::kRequired);
  }
  return std::make_unique<FileParser>(TestPool(), limits);
}

class ParserTest : public ::testing::TestWithParam<Container> {};

TEST_P(ParserTest, AnyPieceSizeGivesTheSameBatches) {
  const auto expected = TwoBatches();
  const std::string bytes = Write(expected, GetParam());
  for (const size_t piece :
       {size_t{1}, size_t{3}, size_t{8}, size_t{1000}, bytes.size()}) {
    auto parser = MakeParser(GetParam());
    auto messages = Parse(*parser, bytes, piece);
    ASSERT_OK(messages.status());
    auto batches = Decode(*messages);
    ASSERT_OK(batches.status());
    ASSERT_EQ(batches->size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_OK((*batches)[i]->ValidateFull());
      EXPECT_TRUE((*batches)[i]->Equals(*expected[i])) << "piece " << piece;
    }
  }
}

TEST_P(ParserTest, TruncatedAtEveryByteIsIncomplete) {
  const std::string bytes = Write({Batch({FromJson(arrow::int32(), "[1, 2, 3]"),
                                          Dictionary("[0, 1, 0]", R"(["a", "b"])")})},
                                  GetParam());
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto parser = MakeParser(GetParam());
    const auto result = Parse(*parser, std::string_view(bytes).substr(0, size), 64);
    ASSERT_FALSE(result.ok()) << "cut at " << size;
    EXPECT_EQ(CodeOf(result.status()), ErrorCode::kIncompleteStream)
        << "cut at " << size << ": " << result.status().ToString();
  }
}

TEST_P(ParserTest, ZeroBatchesKeepTheSchema) {
  auto parser = MakeParser(GetParam());
  auto empty = AllTypes()->Slice(0, 0);
  auto sink = arrow::io::BufferOutputStream::Create().ValueOrDie();
  auto writer = (GetParam() == Container::kStream
                     ? arrow::ipc::MakeStreamWriter(sink, empty->schema())
                     : arrow::ipc::MakeFileWriter(sink, empty->schema()))
                    .ValueOrDie();
  ASSERT_OK(writer->Close());
  auto messages = Parse(*parser, sink->Finish().ValueOrDie()->ToString(), 100);
  ASSERT_OK(messages.status());
  ASSERT_EQ(messages->size(), 1u);
  BatchDecoder decoder({}, nullptr);
  ASSERT_OK(decoder.Next((*messages)[0].metadata, (*messages)[0].body).status());
  EXPECT_TRUE(decoder.schema()->Equals(*empty->schema()));
}

TEST_P(ParserTest, MessageOverTheLimitIsRefusedBeforeItsBody) {
  arrow::Int64Builder builder;
  ASSERT_OK(builder.AppendEmptyValues(100000));
  const std::string bytes = Write({Batch({builder.Finish().ValueOrDie()})}, GetParam());
  StreamParserLimits limits;
  limits.message_bytes_max = 100000;
  auto parser = MakeParser(GetParam(), limits);
  std::vector<net::Message> messages;
  const auto status = parser->Consume(Bytes(bytes).subspan(0, 2000), &messages);
  EXPECT_EQ(CodeOf(status), ErrorCode::kTooLarge) << status.ToString();
}

TEST_P(ParserTest, RandomCorruptionNeverCrashes) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> corpus = {
      Write(TwoBatches(), GetParam()),
      Write(TwoBatches(), GetParam(), WithCodec(arrow::Compression::ZSTD)),
      Write(TwoBatches(), GetParam(), WithCodec(arrow::Compression::LZ4_FRAME)),
  };
  StreamParserLimits limits;
  limits.message_bytes_max = 1 << 20;
  DecoderLimits decoder_limits;
  decoder_limits.decoded_bytes_max = 4 << 20;
  int refused = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes = corpus[round % corpus.size()];
    const int flips = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < flips; ++i) {
      auto& byte = bytes[random() % bytes.size()];
      byte = (random() % 4 == 0) ? static_cast<char>(random())
                                 : static_cast<char>(byte ^ (1 << (random() % 8)));
    }
    auto parser = MakeParser(GetParam(), limits);
    auto messages = Parse(*parser, bytes, 1 + random() % 4096);
    if (!messages.ok()) {
      ASSERT_TRUE(IsRefusal(messages.status())) << messages.status().ToString();
      ++refused;
      continue;
    }
    auto batches = Decode(*messages, decoder_limits);
    if (!batches.ok()) {
      ASSERT_TRUE(IsRefusal(batches.status())) << batches.status().ToString();
      ++refused;
      continue;
    }
    for (const auto& batch : *batches) {
      if (!batch->ValidateFull().ok()) ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

INSTANTIATE_TEST_SUITE_P(Containers, ParserTest,
                         ::testing::Values(Container::kStream, Container::kFile),
                         [](const auto& info) {
                           return info.param == Container::kStream ? "Stream" : "File";
                         });

TEST(StreamParserTest, ReadsTheFramingWithoutContinuationMarker) {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.write_legacy_ipc_format = true;
  options.metadata_version = arrow::ipc::MetadataVersion::V4;
  auto batch = Batch({FromJson(arrow::utf8(), R"(["a", null, "c"])")});
  StreamParser parser(TestPool(), {}, EndMarker::kRequired);
  auto messages = Parse(parser, Write({batch}, Container::kStream, options), 5);
  ASSERT_OK(messages.status());
  auto batches = Decode(*messages);
  ASSERT_OK(batches.status());
  ASSERT_EQ(batches->size(), 1u);
  EXPECT_TRUE((*batches)[0]->Equals(*batch));
}

TEST(StreamParserTest, BytesBehindTheEndMarkerAreRefused) {
  const std::string bytes = Write(TwoBatches()) + "x";
  for (const size_t piece : {size_t{1}, bytes.size()}) {
    StreamParser parser(TestPool(), {}, EndMarker::kRequired);
    EXPECT_EQ(CodeOf(Parse(parser, bytes, piece).status()), ErrorCode::kBadData);
  }
}

TEST(StreamParserTest, OptionalEndMarkerStillWantsWholeMessages) {
  std::string bytes = Write(TwoBatches());
  bytes.resize(bytes.size() - 8);
  {
    StreamParser parser(TestPool(), {}, EndMarker::kOptional);
    auto messages = Parse(parser, bytes, 100);
    ASSERT_OK(messages.status());
    EXPECT_EQ(Decode(*messages).ValueOrDie().size(), 2u);
  }
  {
    StreamParser parser(TestPool(), {}, EndMarker::kRequired);
    EXPECT_EQ(CodeOf(Parse(parser, bytes, 100).status()), ErrorCode::kIncompleteStream);
  }
  {
    StreamParser parser(TestPool(), {}, EndMarker::kOptional);
    bytes.pop_back();
    EXPECT_EQ(CodeOf(Parse(parser, bytes, 100).status()), ErrorCode::kIncompleteStream);
  }
  StreamParser parser(TestPool(), {}, EndMarker::kOptional);
  EXPECT_EQ(CodeOf(Parse(parser, "", 1).status()), ErrorCode::kIncompleteStream);
}

TEST(StreamParserTest, NamesWhatWasSentByMistake) {
  const auto refusal = [](std::string_view bytes) {
    StreamParser parser(TestPool(), {}, EndMarker::kRequired);
    const auto status = Parse(parser, bytes, 4096).status();
    EXPECT_EQ(CodeOf(status), ErrorCode::kBadData);
    return status.message();
  };
  EXPECT_NE(refusal(Write(TwoBatches(), Container::kFile)).find("arrow.file"),
            std::string::npos);
  EXPECT_NE(refusal("PAR1 and more").find("parquet"), std::string::npos);
  EXPECT_NE(refusal("{\"rows\": []}").find("not an Arrow IPC stream"), std::string::npos);
}

TEST(StreamParserTest, LyingLengthsAreRefusedBeforeMemoryIsTaken) {
  const uint32_t big = 0x7FFFFFFF;
  std::string bytes(8, '\xFF');
  std::memcpy(bytes.data() + 4, &big, 4);
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  StreamParser parser(TestPool(budget), {}, EndMarker::kRequired);
  EXPECT_EQ(CodeOf(Parse(parser, bytes, 8).status()), ErrorCode::kTooLarge);
  EXPECT_EQ(budget->used_bytes(), 0);

  const int32_t negative = -5;
  std::memcpy(bytes.data() + 4, &negative, 4);
  StreamParser second(TestPool(), {}, EndMarker::kRequired);
  EXPECT_EQ(CodeOf(Parse(second, bytes, 8).status()), ErrorCode::kBadData);
}

TEST(StreamParserTest, BodiesAreExactAndAligned) {
  StreamParser parser(TestPool(), {}, EndMarker::kRequired);
  auto messages = Parse(parser, Write(TwoBatches()), 777);
  ASSERT_OK(messages.status());
  for (const auto& message : *messages) {
    auto read = arrow::ipc::Message::Open(message.metadata, message.body);
    ASSERT_OK(read.status());
    const int64_t body_bytes = message.body ? message.body->size() : 0;
    EXPECT_EQ((*read)->body_length(), body_bytes);
    if (message.body) {
      EXPECT_EQ(message.body->address() % 64, 0u);
    }
  }
}

TEST(FileParserTest, ReadsAHeadPaddedToACacheLine) {
  // As the Rust writer lays files out: every offset in the footer moves by 56.
  auto batch = Batch({FromJson(arrow::int32(), "[1, 2, 3]")});
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.alignment = 64;
  const std::string bytes = Write({batch}, Container::kFile, options);
  FileParser parser(TestPool(), {});
  auto messages = Parse(parser, bytes, 9);
  ASSERT_OK(messages.status());
  EXPECT_TRUE(Decode(*messages).ValueOrDie().at(0)->Equals(*batch));
}

TEST(FileParserTest, AFooterThatListsOtherBlocksIsRefused) {
  auto batch = Batch({FromJson(arrow::int32(), "[1, 2, 3]")});
  const std::string one = Write({batch}, Container::kFile);
  const std::string two = Write({batch, batch}, Container::kFile);
  // The messages of one file before the footer of another.
  const auto end_marker = [](const std::string& file) {
    return file.rfind(std::string("\xFF\xFF\xFF\xFF\0\0\0\0", 8));
  };
  const std::string mixed = two.substr(0, end_marker(two)) + one.substr(end_marker(one));
  FileParser parser(TestPool(), {});
  const auto status = Parse(parser, mixed, 64).status();
  EXPECT_EQ(CodeOf(status), ErrorCode::kBadData) << status.ToString();
}

TEST(FileParserTest, FooterIsBoundedAndCharged) {
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  StreamParserLimits limits;
  limits.metadata_bytes_max = 4096;
  {
    FileParser parser(TestPool(budget), limits);
    std::vector<net::Message> messages;
    std::string file =
        Write({Batch({FromJson(arrow::int32(), "[1]")})}, Container::kFile);
    ASSERT_OK(parser.Consume(Bytes(file), &messages));
    messages.clear();
    EXPECT_GT(budget->used_bytes(), 0);
    arrow::Status status;
    for (int i = 0; i < 100 && status.ok(); ++i) {
      status = parser.Consume(Bytes(std::string(100, 'x')), &messages);
    }
    EXPECT_EQ(CodeOf(status), ErrorCode::kTooLarge);
  }
  EXPECT_EQ(budget->used_bytes(), 0);
}

}  // namespace
}  // namespace arrowport::wire::ipc
