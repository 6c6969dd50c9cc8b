// A record's descriptor as libprotobuf's own object.
#pragma once

#include <arrow/result.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>

namespace arrowport::zerobus::encode {

/// A DescriptorProto compiled by libprotobuf in a pool of its own. Field names, numbers,
/// labels and types are those of the proto; below 30 levels the messages have other names,
/// because libprotobuf declares only 32 inside each other. Immutable, thread-safe.
class CompiledDescriptor {
 public:
  /// Absolute type names (".package.Message.Nested", as protoc writes them) are understood
  /// when they lead back into the message. Errors: kInvalidArgument when the descriptor is
  /// not well-formed or refers to a type outside itself; kTooLarge: depth
  /// over 100 or more than 2,000 fields in a message.
  static arrow::Result<std::shared_ptr<const CompiledDescriptor>> Make(
      const google::protobuf::DescriptorProto& proto);

  /// Lives as long as this object.
  const google::protobuf::Descriptor& message() const { return *message_; }

 private:
  CompiledDescriptor() = default;

  google::protobuf::DescriptorPool pool_;
  const google::protobuf::Descriptor* message_ = nullptr;
};

}  // namespace arrowport::zerobus::encode
