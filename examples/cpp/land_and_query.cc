// Lands a batch in an Arrowport server and reads it back: land_and_query [URL]
#include <arrow/api.h>
#include <arrowport/client.h>

#include <iostream>

namespace {

arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeBatch() {
  arrow::Int64Builder ids;
  ARROW_RETURN_NOT_OK(ids.AppendValues({1, 2, 3}));
  ARROW_ASSIGN_OR_RAISE(auto column, ids.Finish());
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("id", arrow::int64())}), 3,
                                  {column});
}

arrow::Status Run(const std::string& url) {
  ARROW_ASSIGN_OR_RAISE(const auto client, arrowport::Client::Connect(url));
  ARROW_ASSIGN_OR_RAISE(const auto batch, MakeBatch());
  arrowport::SendOptions options;
  options.idempotency_key = "load-1";  // a repeat of this program changes nothing
  ARROW_ASSIGN_OR_RAISE(const auto receipt, client->Send("cpp_events", {batch}, options));
  std::cout << receipt.rows << " rows in " << receipt.table << ", version "
            << receipt.version << "\n";
  ARROW_ASSIGN_OR_RAISE(const auto rows, client->Query("SELECT sum(id) AS total FROM cpp_events"));
  ARROW_ASSIGN_OR_RAISE(const auto table, rows->ToTable());
  std::cout << table->column(0)->ToString() << "\n";
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  const auto status = Run(count > 1 ? arguments[1] : "http://127.0.0.1:8888");
  if (status.ok()) return 0;
  std::cerr << arrowport::ErrorName(status) << ": " << status.message() << "\n";
  return 1;
}
