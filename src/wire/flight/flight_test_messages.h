// Requests and replies as bytes, for the tests of this folder.
#pragma once

#include <google/protobuf/message_lite.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "wire/flight/flight_fakes.h"
#include "wire/flight/proto/flight.pb.h"
#include "wire/flight/proto/flight_sql.pb.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/ipc/batch_encoder.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

inline std::shared_ptr<arrow::Buffer> ToBuffer(std::string bytes) {
  return arrow::Buffer::FromString(std::move(bytes));
}

inline net::Message Raw(const google::protobuf::MessageLite& message) {
  net::Message out;
  out.body = ToBuffer(message.SerializeAsString());
  return out;
}

inline proto::FlightDescriptor CommandDescriptor(std::string command) {
  proto::FlightDescriptor descriptor;
  descriptor.set_type(proto::FlightDescriptor::CMD);
  descriptor.set_cmd(std::move(command));
  return descriptor;
}

inline proto::FlightDescriptor PathDescriptor(const std::vector<std::string>& parts) {
  proto::FlightDescriptor descriptor;
  descriptor.set_type(proto::FlightDescriptor::PATH);
  for (const auto& part : parts) descriptor.add_path(part);
  return descriptor;
}

template <typename Message>
std::string FlightSqlAny(const std::string& name, const Message& message) {
  proto::Any any;
  any.set_type_url("type.googleapis.com/arrow.flight.protocol.sql." + name);
  any.set_value(message.SerializeAsString());
  return any.SerializeAsString();
}

/// One upload as Flight messages: the schema, then the batches.
inline std::vector<net::Message> PutMessages(
    const proto::FlightDescriptor& descriptor,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  auto encoder = ipc::BatchEncoder::Make(batches.at(0)->schema(),
                                         arrow::ipc::IpcWriteOptions::Defaults())
                     .ValueOrDie();
  const auto to_message = [](const ipc::EncodedMessage& encoded) {
    net::Message message;
    message.metadata = encoded.metadata;
    std::string body;
    for (const auto& slice : encoded.body) body += slice->ToString();
    message.body = ToBuffer(std::move(body));
    return message;
  };
  std::vector<net::Message> messages;
  messages.push_back(to_message(encoder->EncodeSchema().ValueOrDie()));
  messages[0].descriptor = ToBuffer(descriptor.SerializeAsString());
  for (const auto& batch : batches) {
    for (const auto& encoded : encoder->Encode(*batch).ValueOrDie()) {
      messages.push_back(to_message(encoded));
    }
  }
  return messages;
}

inline nlohmann::json PutReply(const std::string& bytes) {
  proto::PutResult result;
  EXPECT_TRUE(result.ParseFromString(bytes));
  return nlohmann::json::parse(result.app_metadata());
}

/// Field 2 and field 1000 of a FlightData message.
inline net::Message ParseFlightData(const std::string& bytes) {
  net::Message message;
  size_t at = 0;
  const auto varint = [&bytes, &at] {
    uint64_t value = 0;
    for (int shift = 0; at < bytes.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes[at++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.size()) {
    const uint64_t tag = varint();
    const uint64_t size = varint();
    auto value = ToBuffer(bytes.substr(at, size));
    at += size;
    if (tag == (2 << 3 | 2)) message.metadata = value;
    if (tag == (1000 << 3 | 2)) message.body = value;
  }
  return message;
}

struct ReadResult {
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
};

inline ReadResult ReadFlightData(const std::vector<std::string>& written) {
  ipc::BatchDecoder decoder({}, nullptr);
  ReadResult result;
  for (const auto& bytes : written) {
    const auto message = ParseFlightData(bytes);
    auto batch = decoder.Next(message.metadata, message.body).ValueOrDie();
    if (batch) result.batches.push_back(batch);
  }
  result.schema = decoder.schema();
  return result;
}

}  // namespace arrowport::wire::flight
