#include "ingest/receipt_json.h"

#include <nlohmann/json.hpp>

namespace arrowport::ingest {

std::string ReceiptJson(const Receipt& receipt, const std::string& request_id) {
  using nlohmann::ordered_json;
  ordered_json body = {
      {"status", receipt.quarantined ? "quarantined" : "success"},
      {"stream", receipt.stream},
      {"rows_processed", receipt.quarantined ? 0 : receipt.rows},
      {"storage_backend", receipt.backend},
      {"message", receipt.quarantined ? "Data set aside in quarantine"
                                      : "Data processed successfully"},
      {"table", receipt.table},
      {"bytes", receipt.bytes},
      {"batches", receipt.batches},
      {"durability", receipt.durability},
      {"version", receipt.version},
      {"idempotent_replay", receipt.idempotent_replay},
      {"request_id", request_id}};
  if (!receipt.warning.empty()) body["warning"] = receipt.warning;
  return body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace arrowport::ingest
