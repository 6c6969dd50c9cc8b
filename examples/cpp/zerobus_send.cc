// Sends a batch by Zerobus: zerobus_send ENDPOINT TABLE CLIENT_ID CLIENT_SECRET UNITY_CATALOG_URL
#include <arrow/api.h>
#include <arrowport/zerobus/writer.h>

#include <iostream>

namespace {

using arrowport::zerobus::Options;
using arrowport::zerobus::ZerobusWriter;

arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeBatch() {
  arrow::Int64Builder ids;
  ARROW_RETURN_NOT_OK(ids.AppendValues({1, 2, 3}));
  ARROW_ASSIGN_OR_RAISE(auto column, ids.Finish());
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("id", arrow::int64())}), 3,
                                  {column});
}

arrow::Status Run(const Options& options) {
  ARROW_ASSIGN_OR_RAISE(const auto writer, ZerobusWriter::Make(options));
  ARROW_ASSIGN_OR_RAISE(const auto batch, MakeBatch());
  const auto result = writer->SendBatch(batch);
  ARROW_RETURN_NOT_OK(result.error());
  std::cout << result.successful_count() << " of " << result.total_rows()
            << " rows durable\n";
  return writer->Shutdown();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    std::cerr << "usage: zerobus_send ENDPOINT TABLE ID SECRET UNITY_CATALOG_URL\n";
    return 2;
  }
  const auto status = Run(Options(arguments[1], arguments[2])
                              .WithCredentials(arguments[3], arguments[4])
                              .WithUnityCatalog(arguments[5]));
  if (status.ok()) return 0;
  std::cerr << status.message() << "\n";
  return 1;
}
