#include "engine/read_all.h"

#include <duckdb.hpp>
#include <limits>

#include "engine/batch_builder.h"
#include "engine/error.h"

namespace arrowport::engine {

arrow::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> ReadAll(
    Connection& connection, const std::string& sql) {
  using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;
  return Catching([&]() -> arrow::Result<Batches> {
    constexpr int64_t kRowsMax = 65536;
    auto result = connection.duckdb().Query(sql);
    if (result->HasError()) return TranslateError(result->GetErrorObject());
    duckdb::ClientContext& context = *connection.duckdb().context;
    ARROW_ASSIGN_OR_RAISE(auto schema, OutputSchema(context, result->types, result->names));
    BatchBuilder builder(context, result->types, schema,
                         std::numeric_limits<int32_t>::max());
    Batches batches;
    while (auto chunk = result->FetchRaw()) {
      if (chunk->size() == 0) break;
      builder.SetChunk(std::unique_ptr<duckdb::DataChunk>(chunk.release()));
      while (!builder.chunk_used_up()) {
        ARROW_RETURN_NOT_OK(builder.Append(kRowsMax).status());
        ARROW_ASSIGN_OR_RAISE(auto batch, builder.Finish());
        batches.push_back(std::move(batch));
      }
    }
    return batches;
  });
}

}  // namespace arrowport::engine
