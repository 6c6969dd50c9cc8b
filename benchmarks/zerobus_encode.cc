// Arrow to Zerobus records: the encoder against the way it is done by hand with
// libprotobuf, a DynamicMessage filled row by row through reflection, on one thread.
//
// Ways are interleaved; the figures are medians over rounds and the median of the ratios
// within a round. Usage: zerobus_encode [rounds] [rows]
#include <arrow/api.h>
#include <google/protobuf/dynamic_message.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "statistics.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::bench {
namespace {

namespace pb = google::protobuf;
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

std::shared_ptr<arrow::RecordBatch> MakeRows(int64_t rows) {
  arrow::Int64Builder id, timestamp;
  arrow::DoubleBuilder value, metric;
  arrow::StringBuilder category;
  for (int64_t i = 0; i < rows; ++i) {
    Check(id.Append(i));
    Check(timestamp.Append(1700000000000000 + i));
    Check(value.Append(static_cast<double>(i) * 0.37));
    Check(category.Append(std::string(1, static_cast<char>('A' + i * 7 % 4))));
    Check(metric.Append(static_cast<double>(i % 1000) * 1.25));
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("timestamp", arrow::int64()),
       arrow::field("value", arrow::float64()), arrow::field("category", arrow::utf8()),
       arrow::field("metric", arrow::float64())});
  return arrow::RecordBatch::Make(schema, rows,
                                  {*id.Finish(), *timestamp.Finish(), *value.Finish(),
                                   *category.Finish(), *metric.Finish()});
}

int64_t ArrowBytes(const arrow::RecordBatch& batch) {
  int64_t bytes = 0;
  for (const auto& column : batch.columns()) {
    for (const auto& buffer : column->data()->buffers) bytes += buffer ? buffer->size() : 0;
  }
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

void Run(int rounds, int64_t row_count) {
  auto batch = MakeRows(row_count);
  TableSchema table = Take(TableSchema::FromArrow(*batch->schema()));
  pb::DescriptorProto proto = Take(MakeDescriptor(table));
  auto compiled = Take(CompiledDescriptor::Make(proto));
  auto protobuf = Take(RowEncoder::MakeProtobuf(*batch->schema(), proto, &table));
  auto json = Take(RowEncoder::MakeJson(*batch->schema(), table));
  const double arrow_mb = static_cast<double>(ArrowBytes(*batch)) / 1e6;
  std::vector<double> ours, reflection, json_seconds, ratio;
  for (int round = 0; round < rounds; ++round) {
    EncodedRows rows;
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
    json_seconds.push_back(Seconds([&] { rows = Take(json->Encode(*batch)); }));
  }
  auto line = [&](const char* name, const std::vector<double>& seconds) {
    double median = Median(seconds);
    std::printf("%-12s %8.1f MB/s of Arrow, %7.2f million rows/s\n", name, arrow_mb / median,
                static_cast<double>(row_count) / 1e6 / median);
  };
  std::printf("%lld rows, %.1f MB of Arrow, %d rounds\n", static_cast<long long>(row_count),
              arrow_mb, rounds);
  line("protobuf", ours);
  line("reflection", reflection);
  line("json", json_seconds);
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
