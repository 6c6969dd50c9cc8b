// Arrow to Zerobus records: the encoder against the way it is done by hand with
// libprotobuf, a DynamicMessage filled row by row through reflection, on one thread.
//
// Beside it: JSON rows (the same, and rows of a kilobyte of text), the Flight cast, and
// records of a harder shape (nulls, a dictionary, decimals, lists, structs). Ways are
// interleaved; the figures are medians over rounds and the median of the ratios within a
// round. Usage: zerobus_encode [rounds] [rows]
#include <arrow/api.h>
#include <google/protobuf/dynamic_message.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "statistics.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/flight_cast.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::bench {
namespace {

namespace pb = google::protobuf;
using zerobus::encode::CastToTable;
using zerobus::encode::CompiledDescriptor;
using zerobus::encode::EncodedRows;
using zerobus::encode::MakeDescriptor;
using zerobus::encode::RowEncoder;
using zerobus::encode::TableSchema;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}
void Check(const arrow::Status& status) {
  if (!status.ok()) Die(status.ToString());
}
template <typename T>
T Take(arrow::Result<T> result) {
  Check(result.status());
  return std::move(result).ValueUnsafe();
}

/// The rows of the documented workload.
std::shared_ptr<arrow::RecordBatch> MakeRows(int64_t rows) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(0, 100);
  arrow::Int64Builder id, timestamp;
  arrow::DoubleBuilder value, metric;
  arrow::StringBuilder category;
  for (int64_t i = 0; i < rows; ++i) {
    Check(id.Append(i));
    Check(timestamp.Append(1'700'000'000'000 + i * 1000));
    Check(value.Append(normal(random)));
    Check(category.Append(std::string(1, static_cast<char>('A' + i * 7 % 4))));
    Check(metric.Append(uniform(random)));
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("timestamp", arrow::int64()),
       arrow::field("value", arrow::float64()), arrow::field("category", arrow::utf8()),
       arrow::field("metric", arrow::float64())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *value.Finish(),
                                   *category.Finish(), *metric.Finish()});
}

/// Rows of 1,000 bytes of text, made of `pieces`.
std::shared_ptr<arrow::RecordBatch> MakeTextRows(
    int64_t rows, const std::vector<std::string_view>& pieces) {
  constexpr size_t kTextBytes = 1000;
  std::mt19937_64 random(2);
  arrow::StringBuilder text;
  for (int64_t i = 0; i < rows; ++i) {
    std::string value;
    while (value.size() < kTextBytes) value += pieces[random() % pieces.size()];
    Check(text.Append(value));
  }
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("text", arrow::utf8())}),
                                  rows, {*text.Finish()});
}

/// Half of the values null, text behind a dictionary, decimals, lists of structs.
std::shared_ptr<arrow::RecordBatch> MakeHardRows(int64_t rows) {
  arrow::Int64Builder sparse;
  arrow::StringDictionary32Builder city;
  arrow::Decimal128Builder price(arrow::decimal128(18, 4));
  auto x = std::make_shared<arrow::Int32Builder>();
  auto name = std::make_shared<arrow::StringBuilder>();
  auto point = std::make_shared<arrow::StructBuilder>(
      arrow::struct_({arrow::field("x", arrow::int32()), arrow::field("n", arrow::utf8())}),
      arrow::default_memory_pool(), std::vector<std::shared_ptr<arrow::ArrayBuilder>>{x, name});
  arrow::ListBuilder points(arrow::default_memory_pool(), point);
  for (int64_t i = 0; i < rows; ++i) {
    Check(i % 2 ? sparse.Append(i * 1000003) : sparse.AppendNull());
    Check(city.Append("city number " + std::to_string(i % 50)));
    Check(price.Append(arrow::Decimal128(i * 31)));
    Check(points.Append());
    for (int64_t k = i % 4; k > 0; --k) {
      Check(point->Append());
      Check(x->Append(static_cast<int32_t>(i)));
      Check(name->Append("a point of some name"));
    }
  }
  arrow::ArrayVector columns = {*sparse.Finish(), *city.Finish(), *price.Finish(),
                                *points.Finish()};
  arrow::FieldVector fields;
  for (size_t i = 0; i < columns.size(); ++i) {
    fields.push_back(arrow::field("c" + std::to_string(i), columns[i]->type()));
  }
  return arrow::RecordBatch::Make(arrow::schema(fields), rows, columns);
}

int64_t ArrowBytes(const arrow::ArrayData& array) {
  int64_t bytes = 0;
  for (const auto& buffer : array.buffers) bytes += buffer ? buffer->size() : 0;
  for (const auto& child : array.child_data) bytes += ArrowBytes(*child);
  return bytes + (array.dictionary ? ArrowBytes(*array.dictionary) : 0);
}
int64_t ArrowBytes(const arrow::RecordBatch& batch) {
  int64_t bytes = 0;
  for (const auto& column : batch.columns()) bytes += ArrowBytes(*column->data());
  return bytes;
}

/// The rows through reflection, one message that is cleared and filled again.
std::vector<std::string> EncodeByReflection(const arrow::RecordBatch& batch,
                                            const pb::Descriptor& descriptor) {
  pb::DynamicMessageFactory factory;
  std::unique_ptr<pb::Message> message(factory.GetPrototype(&descriptor)->New());
  const pb::Reflection& reflection = *message->GetReflection();
  const auto& id = static_cast<const arrow::Int64Array&>(*batch.column(0));
  const auto& timestamp = static_cast<const arrow::Int64Array&>(*batch.column(1));
  const auto& value = static_cast<const arrow::DoubleArray&>(*batch.column(2));
  const auto& category = static_cast<const arrow::StringArray&>(*batch.column(3));
  const auto& metric = static_cast<const arrow::DoubleArray&>(*batch.column(4));
  std::vector<std::string> rows;
  rows.reserve(static_cast<size_t>(batch.num_rows()));
  for (int64_t i = 0; i < batch.num_rows(); ++i) {
    message->Clear();
    reflection.SetInt64(message.get(), descriptor.field(0), id.Value(i));
    reflection.SetInt64(message.get(), descriptor.field(1), timestamp.Value(i));
    reflection.SetDouble(message.get(), descriptor.field(2), value.Value(i));
    reflection.SetString(message.get(), descriptor.field(3), category.GetString(i));
    reflection.SetDouble(message.get(), descriptor.field(4), metric.Value(i));
    rows.push_back(message->SerializeAsString());
  }
  return rows;
}

double Seconds(const std::function<void()>& work) {
  double start = Now();
  work();
  return Now() - start;
}

void Print(const char* name, const arrow::RecordBatch& batch, double seconds) {
  const auto rows = static_cast<double>(batch.num_rows());
  std::printf("%-12s %8.1f MB/s of Arrow, %8.1f ns/row\n", name,
              static_cast<double>(ArrowBytes(batch)) / 1e6 / seconds, seconds / rows * 1e9);
}

std::shared_ptr<const RowEncoder> MakeEncoder(const arrow::RecordBatch& batch) {
  TableSchema table = Take(TableSchema::FromArrow(*batch.schema()));
  return Take(RowEncoder::MakeProtobuf(*batch.schema(), Take(MakeDescriptor(table)), &table));
}

/// A way to encode that stands alone: rows in, time out.
struct Way {
  const char* name;
  std::shared_ptr<arrow::RecordBatch> batch;
  std::function<void(const arrow::RecordBatch&)> encode;
  std::vector<double> seconds;
};

void Run(int rounds, int64_t row_count) {
  auto batch = MakeRows(row_count);
  TableSchema table = Take(TableSchema::FromArrow(*batch->schema()));
  auto compiled = Take(CompiledDescriptor::Make(Take(MakeDescriptor(table))));
  auto protobuf = MakeEncoder(*batch);
  EncodedRows rows;
  auto encode_with = [](std::shared_ptr<const RowEncoder> encoder) {
    return [encoder](const arrow::RecordBatch& given) {
      // As large as the parts in which a writer converts.
      const int64_t part_rows = given.num_rows() / (ArrowBytes(given) / (1 << 20) + 1);
      for (int64_t first = 0; first < given.num_rows(); first += part_rows) {
        auto part = Take(encoder->Encode(*given.Slice(first, part_rows)));
        if (!part.failed_rows.empty()) Die("a row failed");
      }
    };
  };
  auto json = [&](const arrow::RecordBatch& given) {
    return encode_with(Take(RowEncoder::MakeJson(
        *given.schema(), Take(TableSchema::FromArrow(*given.schema())))));
  };
  const int64_t text_rows = row_count / 16 + 1;
  auto hard = MakeHardRows(row_count);
  auto ascii = MakeTextRows(text_rows, {"plain words ", "of text, ", "1234567890 "});
  auto mixed = MakeTextRows(text_rows, {"Stra\u00dfe und Caf\u00e9 ", "\u6f22\u5b57",
                                        "a \"quoted\" word\n", "plain words of text "});
  Way ways[] = {{"json", batch, json(*batch), {}},
                {"json text", ascii, json(*ascii), {}},
                {"json utf-8", mixed, json(*mixed), {}},
                {"json hard", hard, json(*hard), {}},
                {"hard shape", hard, encode_with(MakeEncoder(*hard)), {}},
                {"flight cast",
                 batch,
                 [&](const auto& given) { Take(CastToTable(given, table)); },
                 {}}};
  std::vector<double> ours, reflection, ratio;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::string> by_hand;
    auto encode = [&] { rows = Take(protobuf->Encode(*batch)); };
    auto reflect = [&] { by_hand = EncodeByReflection(*batch, compiled->message()); };
    if (round % 2 == 0) {
      ours.push_back(Seconds(encode));
      reflection.push_back(Seconds(reflect));
    } else {
      reflection.push_back(Seconds(reflect));
      ours.push_back(Seconds(encode));
    }
    for (size_t i = 0; i < by_hand.size(); ++i) {
      if (rows.rows[i] != by_hand[i]) Die("rows differ at " + std::to_string(i));
    }
    ratio.push_back(reflection.back() / ours.back());
    rows = {};
    for (Way& way : ways) {
      way.seconds.push_back(Seconds([&] { way.encode(*way.batch); }));
    }
  }
  std::printf("%lld rows, %d rounds\n", static_cast<long long>(row_count), rounds);
  Print("protobuf", *batch, Median(ours));
  Print("reflection", *batch, Median(reflection));
  for (Way& way : ways) Print(way.name, *way.batch, Median(way.seconds));
  std::printf("protobuf is %.1f times as fast as reflection\n", Median(ratio));
}

}  // namespace
}  // namespace arrowport::bench

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  long long rows = argc > 2 ? std::atoll(argv[2]) : 300000;
  if (rounds < 1 || rows < 1) {
    std::fprintf(stderr, "usage: zerobus_encode [rounds] [rows]\n");
    return 2;
  }
  arrowport::bench::Run(rounds, rows);
  return 0;
}
