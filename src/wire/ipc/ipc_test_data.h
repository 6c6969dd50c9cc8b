// Streams and batches for the tests of this folder.
#pragma once

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <arrow/json/from_string.h>
#include <arrow/util/compression.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/error.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::ipc {

#define EXPECT_OK(expression)                        \
  do {                                               \
    const ::arrow::Status status_ = (expression);    \
    EXPECT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)

#define ASSERT_OK(expression)                        \
  do {                                               \
    const ::arrow::Status status_ = (expression);    \
    ASSERT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)

inline std::shared_ptr<arrow::Array> FromJson(
    const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

inline std::shared_ptr<arrow::Array> Dictionary(const std::string& indices,
                                                const std::string& values) {
  return arrow::DictionaryArray::FromArrays(FromJson(arrow::int32(), indices),
                                            FromJson(arrow::utf8(), values))
      .ValueOrDie();
}

inline std::shared_ptr<arrow::RecordBatch> Batch(
    std::vector<std::shared_ptr<arrow::Array>> columns) {
  arrow::FieldVector fields;
  for (size_t i = 0; i < columns.size(); ++i) {
    fields.push_back(arrow::field("c" + std::to_string(i), columns[i]->type()));
  }
  const int64_t rows = columns.empty() ? 0 : columns[0]->length();
  return arrow::RecordBatch::Make(arrow::schema(fields), rows, std::move(columns));
}

/// One column of every kind of type, with nulls.
inline std::shared_ptr<arrow::RecordBatch> AllTypes() {
  using namespace arrow;  // NOLINT(build/namespaces): the type factories
  const auto list_type = list(int32());
  auto ree = RunEndEncodedArray::Make(3, FromJson(int32(), "[2, 3]"),
                                      FromJson(utf8(), R"(["x", null])"))
                 .ValueOrDie();
  return Batch({
      FromJson(null(), "[null, null, null]"),
      FromJson(boolean(), "[true, null, false]"),
      FromJson(int8(), "[1, null, -3]"),
      FromJson(uint64(), "[1, null, 18446744073709551615]"),
      FromJson(float16(), "[1.5, null, 2]"),
      FromJson(float64(), "[1.5, null, -2]"),
      FromJson(utf8(), R"(["a", null, "ccc"])"),
      FromJson(large_utf8(), R"(["a", null, "ccc"])"),
      FromJson(utf8_view(), R"(["a", null, "a text longer than an inlined view"])"),
      FromJson(binary(), R"(["a", null, "ccc"])"),
      FromJson(binary_view(), R"(["a", null, "bytes longer than an inlined view"])"),
      FromJson(fixed_size_binary(3), R"(["abc", null, "def"])"),
      FromJson(decimal128(20, 3), R"(["1.234", null, "-5.678"])"),
      FromJson(decimal256(60, 3), R"(["1.234", null, "-5.678"])"),
      FromJson(date32(), "[1, null, 3]"),
      FromJson(date64(), "[86400000, null, 0]"),
      FromJson(time32(TimeUnit::MILLI), "[1, null, 3]"),
      FromJson(time64(TimeUnit::NANO), "[1, null, 3]"),
      FromJson(timestamp(TimeUnit::MICRO, "UTC"), "[1, null, 3]"),
      FromJson(duration(TimeUnit::NANO), "[1, null, 3]"),
      FromJson(month_day_nano_interval(), "[[1, 2, 3], null, [0, 0, 1]]"),
      FromJson(list_type, "[[1, null], null, []]"),
      FromJson(large_list(utf8()), R"([["a"], null, []])"),
      FromJson(list_view(int32()), "[[1, null], null, []]"),
      FromJson(fixed_size_list(int16(), 2), "[[1, 2], null, [3, null]]"),
      FromJson(struct_({field("a", int32()), field("b", list_type)}),
               R"([{"a": 1, "b": [2]}, null, {"a": null, "b": null}])"),
      FromJson(map(utf8(), int32()), R"([[["k", 1]], null, []])"),
      FromJson(sparse_union({field("i", int32()), field("s", utf8())}, {0, 1}),
               R"([[0, 1], [1, "x"], [0, null]])"),
      FromJson(dense_union({field("i", int32()), field("s", utf8())}, {0, 1}),
               R"([[0, 1], [1, "x"], [0, null]])"),
      Dictionary("[0, null, 1]", R"(["red", "green"])"),
      ree,
  });
}

inline arrow::ipc::IpcWriteOptions WithCodec(arrow::Compression::type codec) {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.codec = arrow::util::Codec::Create(codec).ValueOrDie();
  return options;
}

enum class Container { kStream, kFile };

inline std::string Write(
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
    Container container = Container::kStream,
    arrow::ipc::IpcWriteOptions options = arrow::ipc::IpcWriteOptions::Defaults()) {
  auto sink = arrow::io::BufferOutputStream::Create().ValueOrDie();
  const auto& schema = batches.at(0)->schema();
  auto writer = (container == Container::kStream
                     ? arrow::ipc::MakeStreamWriter(sink, schema, options)
                     : arrow::ipc::MakeFileWriter(sink, schema, options))
                    .ValueOrDie();
  for (const auto& batch : batches) {
    EXPECT_TRUE(writer->WriteRecordBatch(*batch).ok());
  }
  EXPECT_TRUE(writer->Close().ok());
  return sink->Finish().ValueOrDie()->ToString();
}

inline std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::shared_ptr<BufferPool> TestPool(
    std::shared_ptr<ByteBudget> budget = nullptr) {
  return BufferPool::Make(1 << 20, std::move(budget));
}

/// Feeds `bytes` to `parser` in pieces of `piece` bytes and ends it.
inline arrow::Result<std::vector<net::Message>> Parse(net::BodyParser& parser,
                                                      std::string_view bytes,
                                                      size_t piece) {
  std::vector<net::Message> messages;
  while (!bytes.empty()) {
    const auto part = bytes.substr(0, piece);
    ARROW_RETURN_NOT_OK(parser.Consume(Bytes(part), &messages));
    bytes.remove_prefix(part.size());
  }
  ARROW_RETURN_NOT_OK(parser.End(&messages));
  return messages;
}

inline arrow::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> Decode(
    const std::vector<net::Message>& messages, DecoderLimits limits = {},
    std::shared_ptr<ByteBudget> budget = nullptr) {
  BatchDecoder decoder(limits, std::move(budget));
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  for (const auto& message : messages) {
    ARROW_ASSIGN_OR_RAISE(auto batch, decoder.Next(message.metadata, message.body));
    if (batch) batches.push_back(std::move(batch));
  }
  return batches;
}

/// The codes that bytes from outside may end in.
inline bool IsRefusal(const arrow::Status& status) {
  switch (CodeOf(status)) {
    case ErrorCode::kBadData:
    case ErrorCode::kTooLarge:
    case ErrorCode::kUnsupportedType:
    case ErrorCode::kIncompleteStream:
      return true;
    default:
      return false;
  }
}

}  // namespace arrowport::wire::ipc
