// A query's result taken batch by batch by a thread that may wait, and an upload made by
// one: what copies rows from one service to the other.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

#include "ingest/session.h"
#include "query/service.h"

namespace arrowport::maintain {

/// Rows of one statement. Caller-locked; its calls block. Destroying it cancels.
class RowStream {
 public:
  /// Errors: the statement's.
  static arrow::Result<std::unique_ptr<RowStream>> Start(query::Service& service,
                                                         std::string sql);
  ~RowStream();

  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  /// Null at the end.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Next();

 private:
  class Queue;
  RowStream(std::shared_ptr<Queue> queue, std::unique_ptr<query::Cursor> cursor,
            std::shared_ptr<arrow::Schema> schema);

  const std::shared_ptr<Queue> queue_;
  const std::unique_ptr<query::Cursor> cursor_;
  const std::shared_ptr<arrow::Schema> schema_;
};

/// All rows of a small result. Errors: the statement's, kTooLarge above 100,000 rows.
arrow::Result<std::shared_ptr<arrow::Table>> ReadRows(query::Service& service,
                                                      std::string sql);

/// Whether an upload like this would be taken; lands nothing. Errors: as Service::Open.
arrow::Status CheckUpload(ingest::Service& service, ingest::Request request);

/// Lands `batches` (of `schema`) as one transaction; blocks until they are durable.
/// Errors: the service's.
arrow::Result<ingest::Receipt> Upload(
    ingest::Service& service, ingest::Request request,
    const std::shared_ptr<arrow::Schema>& schema,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);

}  // namespace arrowport::maintain
