#include "emulator/status_details.h"

#include "emulator/proto/answers.pb.h"

namespace arrowport::emulator {

wire::net::Headers StatusDetails(int grpc_status, const std::string& message,
                                 const std::string& reason,
                                 const std::map<std::string, std::string>& metadata) {
  proto::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("zerobus.databricks.com");
  for (const auto& [name, value] : metadata) (*info.mutable_metadata())[name] = value;
  proto::RpcStatus status;
  status.set_code(grpc_status);
  status.set_message(message);
  auto* detail = status.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  detail->set_value(info.SerializeAsString());
  return {{"grpc-status-details-bin", status.SerializeAsString()}};
}

wire::net::Headers SchemaDetails(int grpc_status, const std::string& message,
                                 const std::vector<std::string>& causes) {
  std::string list;
  for (const auto& cause : causes) list += (list.empty() ? "" : ",") + cause;
  return StatusDetails(grpc_status, message, "SCHEMA_VALIDATION_FAILED",
                       {{"causes", list}, {"error_code", "8001"}});
}

}  // namespace arrowport::emulator
