#include "wire/ipc/batch_decoder.h"

#include <arrow/extension_type.h>

#include <limits>

#include "wire/ipc/batch_encoder.h"
#include "wire/ipc/ipc_test_data.h"
#include "wire/ipc/stream_parser.h"

namespace arrowport::wire::ipc {
namespace {

arrow::Result<std::vector<net::Message>> Cut(const std::string& stream) {
  StreamParser parser(TestPool(), {}, EndMarker::kRequired);
  return Parse(parser, stream, 1 << 20);
}

arrow::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> RoundTrip(
    const std::string& stream, DecoderLimits limits = {},
    std::shared_ptr<ByteBudget> budget = nullptr) {
  ARROW_ASSIGN_OR_RAISE(auto messages, Cut(stream));
  return Decode(messages, limits, std::move(budget));
}

TEST(BatchDecoderTest, EveryCodecKeepsEveryType) {
  auto batch = AllTypes();
  for (const auto codec : {arrow::Compression::UNCOMPRESSED, arrow::Compression::ZSTD,
                           arrow::Compression::LZ4_FRAME}) {
    auto batches = RoundTrip(Write({batch, batch}, Container::kStream, WithCodec(codec)));
    ASSERT_OK(batches.status());
    ASSERT_EQ(batches->size(), 2u);
    ASSERT_OK((*batches)[1]->ValidateFull());
    EXPECT_TRUE((*batches)[1]->Equals(*batch));
  }
}

TEST(BatchDecoderTest, DictionariesReplacedAndGrown) {
  const std::vector<std::shared_ptr<arrow::RecordBatch>> batches = {
      Batch({Dictionary("[0, 1]", R"(["a", "b"])")}),
      Batch({Dictionary("[2, 0]", R"(["a", "b", "c"])")}),
      Batch({Dictionary("[0, 0]", R"(["z"])")}),
  };
  for (const bool deltas : {false, true}) {
    auto options = arrow::ipc::IpcWriteOptions::Defaults();
    options.emit_dictionary_deltas = deltas;
    auto read = RoundTrip(Write(batches, Container::kStream, options));
    ASSERT_OK(read.status());
    ASSERT_EQ(read->size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE((*read)[i]->Equals(*batches[i])) << "deltas " << deltas << " " << i;
    }
  }
}

TEST(BatchDecoderTest, NestedDictionaries) {
  auto inner = Dictionary("[0, 1, 0]", R"(["x", "y"])");
  auto values =
      arrow::ListArray::FromArrays(*FromJson(arrow::int32(), "[0, 2, 3]"), *inner)
          .ValueOrDie();
  auto outer =
      arrow::DictionaryArray::FromArrays(FromJson(arrow::int8(), "[1, 0, 1]"), values)
          .ValueOrDie();
  auto batch = Batch({outer});
  auto read = RoundTrip(Write({batch, batch}));
  ASSERT_OK(read.status());
  EXPECT_TRUE(read->at(1)->Equals(*batch));
}

TEST(BatchDecoderTest, TooManyDictionaryBytesAreRefused) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  std::string values = "[\"" + std::string(40000, 'a') + "\"";
  for (int i = 0; i < 5; ++i) {
    batches.push_back(Batch({Dictionary("[0]", values + "]")}));
    values += ",\"" + std::string(40000, static_cast<char>('b' + i)) + "\"";
  }
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.emit_dictionary_deltas = true;
  const std::string stream = Write(batches, Container::kStream, options);
  DecoderLimits limits;
  limits.dictionary_bytes_max = 150000;
  EXPECT_EQ(CodeOf(RoundTrip(stream, limits).status()), ErrorCode::kTooLarge);
  limits.dictionary_bytes_max = 250000;
  EXPECT_OK(RoundTrip(stream, limits).status());
}

TEST(BatchDecoderTest, ReplacedDictionariesDoNotAddUp) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  for (int i = 0; i < 10; ++i) {
    const std::string value(40000, static_cast<char>('a' + i));
    batches.push_back(Batch({Dictionary("[0]", "[\"" + value + "\"]")}));
  }
  DecoderLimits limits;
  limits.dictionary_bytes_max = 60000;
  EXPECT_OK(RoundTrip(Write(batches), limits).status());
}

std::shared_ptr<arrow::RecordBatch> Zeros(int64_t rows) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendEmptyValues(rows).ok());
  return Batch({builder.Finish().ValueOrDie()});
}

TEST(BatchDecoderTest, DecompressionBombsAreRefused) {
  const std::string bomb =
      Write({Zeros(8 << 20)}, Container::kStream, WithCodec(arrow::Compression::ZSTD));
  ASSERT_LT(bomb.size(), 100000u);
  auto budget = std::make_shared<ByteBudget>(int64_t{1} << 30);
  DecoderLimits limits;
  limits.decoded_bytes_max = 16 << 20;
  auto status = RoundTrip(bomb, limits, budget).status();
  EXPECT_EQ(CodeOf(status), ErrorCode::kTooLarge) << status.ToString();
  EXPECT_EQ(budget->used_bytes(), 0);

  limits = {};
  limits.decompress_ratio_max = 20;
  status = RoundTrip(bomb, limits, budget).status();
  EXPECT_EQ(CodeOf(status), ErrorCode::kTooLarge) << status.ToString();
}

TEST(BatchDecoderTest, DecompressedBytesAreChargedWhileBatchesLive) {
  auto budget = std::make_shared<ByteBudget>(int64_t{1} << 30);
  const std::string stream =
      Write({Zeros(100000)}, Container::kStream, WithCodec(arrow::Compression::ZSTD));
  {
    auto batches = RoundTrip(stream, {}, budget);
    ASSERT_OK(batches.status());
    // The decoder is gone by now: the batch alone holds the memory.
    EXPECT_GE(budget->used_bytes(), 800000);
    EXPECT_TRUE(batches->at(0)->Equals(*Zeros(100000)));
  }
  EXPECT_EQ(budget->used_bytes(), 0);
}

TEST(BatchDecoderTest, RowsWithoutBytesAreBounded) {
  const int64_t rows = int64_t{1} << 40;
  auto nulls = std::make_shared<arrow::NullArray>(rows);
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.allow_64bit = true;
  EXPECT_EQ(
      CodeOf(RoundTrip(Write({Batch({nulls})}, Container::kStream, options)).status()),
      ErrorCode::kTooLarge);
  auto list = std::make_shared<arrow::LargeListArray>(
      arrow::large_list(arrow::null()), 1,
      arrow::Buffer::FromVector(std::vector<int64_t>{0, rows}), nulls);
  EXPECT_EQ(
      CodeOf(RoundTrip(Write({Batch({list})}, Container::kStream, options)).status()),
      ErrorCode::kTooLarge);

  auto few = std::make_shared<arrow::NullArray>(1000000);
  EXPECT_OK(RoundTrip(Write({Batch({few})})).status());
}

TEST(BatchDecoderTest, WideAndDeepSchemasAreRefused) {
  arrow::FieldVector fields;
  for (int i = 0; i < 20; ++i) {
    fields.push_back(arrow::field("c" + std::to_string(i), arrow::int8()));
  }
  std::shared_ptr<arrow::DataType> deep = arrow::int8();
  for (int i = 0; i < 30; ++i) deep = arrow::list(deep);
  const auto refusal = [](const std::shared_ptr<arrow::Schema>& schema,
                          DecoderLimits limits) {
    auto batch = arrow::RecordBatch::MakeEmpty(schema).ValueOrDie();
    return CodeOf(RoundTrip(Write({batch}), limits).status());
  };
  DecoderLimits limits;
  limits.columns_max = 19;
  EXPECT_EQ(refusal(arrow::schema(fields), limits), ErrorCode::kTooLarge);
  limits.columns_max = 20;
  limits.nesting_max = 30;
  EXPECT_EQ(refusal(arrow::schema({arrow::field("d", deep)}), limits),
            ErrorCode::kTooLarge);
  limits.nesting_max = 31;
  auto batch = arrow::RecordBatch::MakeEmpty(arrow::schema({arrow::field("d", deep)}))
                   .ValueOrDie();
  EXPECT_OK(RoundTrip(Write({batch}), limits).status());
}

TEST(BatchDecoderTest, ExtensionParametersNestedWithoutEndAreRefused) {
  const auto metadata = arrow::KeyValueMetadata::Make(
      {"ARROW:extension:name", "ARROW:extension:metadata"},
      {"arrow.fixed_shape_tensor", std::string(4 << 20, '[')});
  auto field =
      arrow::field("t", arrow::fixed_size_list(arrow::int8(), 2))->WithMetadata(metadata);
  auto batch = arrow::RecordBatch::MakeEmpty(arrow::schema({field})).ValueOrDie();
  EXPECT_EQ(CodeOf(RoundTrip(Write({batch})).status()), ErrorCode::kTooLarge);
}

TEST(BatchDecoderTest, MessagesOutOfPlaceAreRefused) {
  const auto messages =
      Cut(Write({Batch({FromJson(arrow::int8(), "[1]")})})).ValueOrDie();
  ASSERT_EQ(messages.size(), 2u);
  const auto next = [](BatchDecoder& decoder, const net::Message& message) {
    const auto status = decoder.Next(message.metadata, message.body).status();
    return status.ok() ? std::string() : std::string(InfoOf(CodeOf(status)).name);
  };
  {
    BatchDecoder decoder({}, nullptr);
    EXPECT_EQ(next(decoder, messages[1]), "BAD_DATA");
    EXPECT_EQ(next(decoder, messages[0]), "BAD_DATA") << "a failure is final";
  }
  {
    BatchDecoder decoder({}, nullptr);
    EXPECT_EQ(next(decoder, messages[0]), "");
    EXPECT_EQ(next(decoder, messages[0]), "BAD_DATA");
  }
  {
    BatchDecoder decoder({}, nullptr);
    EXPECT_EQ(next(decoder, messages[0]), "");
    net::Message cut = messages[1];
    cut.body = arrow::SliceBuffer(cut.body, 0, cut.body->size() - 1);
    EXPECT_EQ(next(decoder, cut), "BAD_DATA");
  }
  {
    BatchDecoder decoder({}, nullptr);
    EXPECT_EQ(next(decoder, messages[0]), "");
    EXPECT_EQ(next(decoder, {nullptr, messages[1].metadata, nullptr, nullptr}),
              "BAD_DATA");
  }
  BatchDecoder decoder({}, nullptr);
  EXPECT_EQ(next(decoder, {}), "BAD_DATA");
}

TEST(BatchDecoderTest, UnalignedColumnsAreMadeUsable) {
  auto batch = Batch({FromJson(arrow::int64(), "[1, 2, 3]")});
  auto messages = Cut(Write({batch})).ValueOrDie();
  auto shifted = arrow::AllocateBuffer(messages[1].body->size() + 1).ValueOrDie();
  std::memcpy(shifted->mutable_data() + 1, messages[1].body->data(),
              static_cast<size_t>(messages[1].body->size()));
  messages[1].body =
      arrow::SliceBuffer(std::shared_ptr<arrow::Buffer>(std::move(shifted)), 1);
  auto read = Decode(messages);
  ASSERT_OK(read.status());
  EXPECT_TRUE(read->at(0)->Equals(*batch));
  EXPECT_EQ(read->at(0)->column_data(0)->buffers[1]->address() % 8, 0u);
}

TEST(BatchEncoderTest, IsReadByArrowItself) {
  auto batch = AllTypes();
  for (const auto codec : {arrow::Compression::UNCOMPRESSED, arrow::Compression::ZSTD}) {
    auto encoder = BatchEncoder::Make(batch->schema(), WithCodec(codec)).ValueOrDie();
    std::string stream;
    const auto append = [&stream](const EncodedMessage& message) {
      int64_t body_bytes = 0;
      for (const auto& slice : message.body) body_bytes += slice->size();
      EXPECT_EQ(body_bytes, message.body_bytes);
      for (const auto& slice : ToStreamBytes(message)) stream += slice->ToString();
    };
    append(encoder->EncodeSchema().ValueOrDie());
    for (int i = 0; i < 3; ++i) {
      for (const auto& message : encoder->Encode(*batch).ValueOrDie()) append(message);
    }
    stream += EndOfStream()->ToString();
    auto reader =
        arrow::ipc::RecordBatchStreamReader::Open(
            std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(stream)))
            .ValueOrDie();
    auto batches = reader->ToRecordBatches();
    ASSERT_OK(batches.status());
    ASSERT_EQ(batches->size(), 3u);
    EXPECT_TRUE((*batches)[2]->Equals(*batch));
  }
}

TEST(BatchEncoderTest, LargeColumnsAreSentInPlace) {
  auto batch = Zeros(100000);
  auto encoder =
      BatchEncoder::Make(batch->schema(), arrow::ipc::IpcWriteOptions::Defaults())
          .ValueOrDie();
  auto messages = encoder->Encode(*batch).ValueOrDie();
  ASSERT_EQ(messages.size(), 1u);
  bool found = false;
  for (const auto& slice : messages[0].body) {
    found |= slice->address() == batch->column_data(0)->buffers[1]->address();
  }
  EXPECT_TRUE(found);
}

TEST(BatchEncoderTest, UnchangedDictionariesAreSentOnce) {
  auto batch = Batch({Dictionary("[0, 1]", R"(["a", "b"])")});
  auto encoder =
      BatchEncoder::Make(batch->schema(), arrow::ipc::IpcWriteOptions::Defaults())
          .ValueOrDie();
  EXPECT_EQ(encoder->Encode(*batch).ValueOrDie().size(), 2u);
  EXPECT_EQ(encoder->Encode(*batch).ValueOrDie().size(), 1u);
  EXPECT_EQ(encoder->Encode(*Batch({Dictionary("[0]", R"(["z"])")})).ValueOrDie().size(),
            2u);
}

}  // namespace
}  // namespace arrowport::wire::ipc
