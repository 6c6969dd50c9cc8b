#include "zerobus/debug_records.h"

#include <arrow/util/base64.h>
#include <google/protobuf/dynamic_message.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "zerobus/debug_names.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

constexpr uint64_t kDescriptorBytesMax = 16 << 20;
constexpr uint64_t kRowBytesMax = uint64_t{1} << 30;  // of the largest request

Json ObjectOf(const Message& message);

std::string TextOf(const Json& key) {
  return key.is_string() ? key.get<std::string>() : key.dump();
}

// The value at `index`, or of a field that is not repeated when below 0.
Json ValueOf(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  const auto read = [&](auto one, auto nth) -> Json {
    return index < 0 ? (reflection.*one)(message, &field)
                     : (reflection.*nth)(message, &field, index);
  };
  using R = google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return read(&R::GetInt32, &R::GetRepeatedInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return read(&R::GetInt64, &R::GetRepeatedInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return read(&R::GetUInt32, &R::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return read(&R::GetUInt64, &R::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return read(&R::GetDouble, &R::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return read(&R::GetFloat, &R::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return read(&R::GetBool, &R::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return read(&R::GetEnumValue, &R::GetRepeatedEnumValue);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = index < 0
                             ? reflection.GetString(message, &field)
                             : reflection.GetRepeatedString(message, &field, index);
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        return arrow::util::base64_encode(text);
      }
      return text;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ObjectOf(index < 0
                          ? reflection.GetMessage(message, &field)
                          : reflection.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

Json FieldOf(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (!field.is_repeated()) {
    if (!reflection.HasField(message, &field)) return nullptr;
    return ValueOf(message, field, -1);
  }
  const int size = reflection.FieldSize(message, &field);
  Json many = field.is_map() ? Json::object() : Json::array();
  for (int i = 0; i < size; ++i) {
    if (!field.is_map()) {
      many.push_back(ValueOf(message, field, i));
      continue;
    }
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const auto& type = *field.message_type();
    many[TextOf(ValueOf(entry, *type.map_key(), -1))] =
        ValueOf(entry, *type.map_value(), -1);
  }
  return many;
}

Json ObjectOf(const Message& message) {
  Json object = Json::object();
  const auto& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    object[type.field(i)->name()] = FieldOf(message, *type.field(i));
  }
  return object;
}

// Fields the descriptor does not name, at any depth.
bool HasUnknownFields(const Message& message) {
  const auto& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) return true;
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (HasUnknownFields(field->is_repeated()
                               ? reflection.GetRepeatedMessage(message, field, i)
                               : reflection.GetMessage(message, field))) {
        return true;
      }
    }
  }
  return false;
}

arrow::Result<uint64_t> OpenFile(const fs::path& path, std::ifstream* file) {
  std::error_code failed;
  const auto bytes = fs::file_size(path, failed);
  if (!failed) file->open(path, std::ios::binary);
  if (failed || !file->is_open()) {
    return Error(ErrorCode::kNotFound, "cannot read ", path.string());
  }
  return bytes;
}

}  // namespace

arrow::Result<std::unique_ptr<DebugRecordReader>> DebugRecordReader::Open(
    const fs::path& rows, const fs::path& descriptor) {
  std::unique_ptr<DebugRecordReader> reader(new DebugRecordReader());
  ARROW_ASSIGN_OR_RAISE(reader->bytes_left_, OpenFile(rows, &reader->file_));
  fs::path path = descriptor;
  if (path.empty()) {
    ARROW_ASSIGN_OR_RAISE(path, FindDescriptor(rows));
  }
  std::ifstream file;
  ARROW_ASSIGN_OR_RAISE(const uint64_t bytes, OpenFile(path, &file));
  if (bytes == 0 || bytes > kDescriptorBytesMax) {
    return Error(ErrorCode::kBadData, "no descriptor is of this size: ", path.string());
  }
  const std::string text(std::istreambuf_iterator<char>(file), {});
  google::protobuf::DescriptorProto proto;
  if (!proto.ParseFromString(text)) {
    return Error(ErrorCode::kBadData, "no serialized DescriptorProto: ", path.string());
  }
  auto compiled = encode::CompiledDescriptor::Make(proto);
  if (!compiled.ok()) {
    return WithCode(ErrorCode::kBadData, WithContext(path.string(), compiled.status()));
  }
  reader->descriptor_ = *std::move(compiled);
  reader->factory_ = std::make_unique<google::protobuf::DynamicMessageFactory>();
  reader->message_.reset(
      reader->factory_->GetPrototype(&reader->descriptor_->message())->New());
  return reader;
}

arrow::Result<bool> DebugRecordReader::ReadSize(uint64_t* size) {
  *size = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const int byte = bytes_left_ == 0 ? EOF : file_.get();
    if (byte == EOF && shift == 0) return false;
    if (byte == EOF) {
      return Error(ErrorCode::kIncompleteStream,
                   "the file ends inside the size of row ", row_);
    }
    --bytes_left_;
    *size |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return Error(ErrorCode::kBadData, "no length-delimited messages: the size of row ",
               row_, " is no varint");
}

arrow::Result<bool> DebugRecordReader::Next(std::string* json) {
  uint64_t size = 0;
  ARROW_ASSIGN_OR_RAISE(const bool found, ReadSize(&size));
  if (!found) return false;
  if (size > kRowBytesMax) {
    return Error(ErrorCode::kBadData, "no length-delimited messages: row ", row_,
                 " would have bytes: ", size);
  }
  if (size > bytes_left_) {
    return Error(ErrorCode::kIncompleteStream, "the file ends inside row ", row_);
  }
  buffer_.resize(size);
  if (!file_.read(buffer_.data(), static_cast<std::streamsize>(size))) {
    return Error(ErrorCode::kIncompleteStream, "the file ends inside row ", row_);
  }
  bytes_left_ -= size;
  // Parsed in parts: libprotobuf would print what is missing.
  if (!message_->ParsePartialFromString(buffer_) || !message_->IsInitialized() ||
      HasUnknownFields(*message_)) {
    return Error(ErrorCode::kBadData, "the descriptor is not that of row ", row_);
  }
  ++row_;
  *json = ObjectOf(*message_).dump(-1, ' ', false, Json::error_handler_t::replace);
  return true;
}

}  // namespace arrowport::zerobus
