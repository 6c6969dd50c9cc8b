// Flight mode: DoPut messages, hand-written because the rows must not be copied.
// Source: Arrow's Flight.proto (FlightData, PutResult, FlightDescriptor).
#pragma once

#include <arrow/ipc/options.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "arrowport/zerobus/options.h"
#include "zerobus/stream_protocol.h"

namespace arrowport::zerobus {

class FlightProtocol final : public StreamProtocol {
 public:
  /// Errors: Configuration when the codec is not in this Arrow; kUnsupportedType when
  /// `schema` has dictionary columns (their messages could not carry an offset).
  static arrow::Result<std::shared_ptr<const FlightProtocol>> Make(
      std::shared_ptr<arrow::Schema> schema, IpcCompression compression);

  std::string path() const override {
    return "/arrow.flight.protocol.FlightService/DoPut";
  }
  AckUnit ack_unit() const override { return AckUnit::kRows; }
  rpc::Message OpenMessage() const override;
  arrow::Result<ServiceMessage> Parse(std::string_view message) const override;
  arrow::Result<rpc::Message> Encode(const Request& request, int64_t skip_rows,
                                     int64_t index) const override;
  arrow::Result<Request> Slice(const Request& request, int64_t first_row,
                               int64_t rows) const override;

  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  const std::string& schema_message() const { return schema_message_; }
  /// Rows of `batch`, cut so that each body stays under `body_bytes_max` where one row
  /// does. REQUIRES: the batch has schema().
  arrow::Result<std::vector<Request>> MakeRequests(
      const std::shared_ptr<arrow::RecordBatch>& batch, int64_t body_bytes_max,
      const std::shared_ptr<Delivery>& delivery) const;

 private:
  FlightProtocol() = default;
  arrow::Result<Request> MakeRequest(
      const std::shared_ptr<arrow::RecordBatch>& rows) const;
  arrow::Status AppendRequests(const std::shared_ptr<arrow::RecordBatch>& rows,
                               int64_t first_row, int64_t body_bytes_max,
                               std::vector<Request>* requests) const;

  std::shared_ptr<arrow::Schema> schema_;
  std::string schema_message_;
  arrow::ipc::IpcWriteOptions write_options_;
};

}  // namespace arrowport::zerobus
