// Record mode: the messages of zerobus.proto.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "zerobus/encode/row_encoder.h"
#include "zerobus/protocol/zerobus.pb.h"
#include "zerobus/stream_protocol.h"

namespace arrowport::zerobus {

class RecordProtocol final : public StreamProtocol {
 public:
  /// `descriptor`: a serialized DescriptorProto, for type PROTO.
  RecordProtocol(std::string table, databricks::zerobus::RecordType type,
                 std::string descriptor);

  std::string path() const override {
    return "/databricks.zerobus.Zerobus/EphemeralStream";
  }
  AckUnit ack_unit() const override { return AckUnit::kRequests; }
  rpc::Message OpenMessage() const override;
  arrow::Result<ServiceMessage> Parse(std::string_view message) const override;
  arrow::Result<rpc::Message> Encode(const Request& request, int64_t skip_rows,
                                     int64_t index) const override;
  arrow::Result<Request> Slice(const Request& request, int64_t first_row,
                               int64_t rows) const override;

 private:
  const databricks::zerobus::RecordType type_;
  std::shared_ptr<arrow::Buffer> open_message_;
};

/// Of ProtoEncodedRecordBatch and JsonRecordBatch: the records.
constexpr int kRecordsField = 1;

/// Rows gathered into requests under a limit; the requests share their bytes. `rows` were
/// encoded as entries of kRecordsField; requests count those that did not fail from 0. Each
/// request holds at least one row; one above the limit by itself is the caller's to refuse
/// before.
std::vector<Request> MakeRecordRequests(const encode::EncodedRows& rows,
                                        int64_t request_bytes_max,
                                        const std::shared_ptr<Delivery>& delivery);

/// What a request of one row of `row_bytes` takes, envelope included, at most.
int64_t RecordRequestBytes(int64_t row_bytes);

}  // namespace arrowport::zerobus
