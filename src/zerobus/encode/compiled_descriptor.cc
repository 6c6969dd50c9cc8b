#include "zerobus/encode/compiled_descriptor.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;

/// libprotobuf refuses more than 32.
constexpr int kDeclarationDepthMax = 30;

/// Bounds what libprotobuf walks by recursion and what the service takes.
arrow::Status CheckLimits(const DescriptorProto& proto, int depth) {
  if (depth > kTypeDepthMax) {
    return Error(ErrorCode::kTooLarge, "descriptor is nested deeper than ",
                 kTypeDepthMax);
  }
  if (proto.field_size() > kFieldsMax) {
    return Error(ErrorCode::kTooLarge, "message has more than ", kFieldsMax,
                 " fields: ", proto.name());
  }
  for (const DescriptorProto& nested : proto.nested_type()) {
    ARROW_RETURN_NOT_OK(CheckLimits(nested, depth + 1));
  }
  return arrow::Status::OK();
}

int Depth(const DescriptorProto& proto) {
  int below = 0;
  for (const DescriptorProto& nested : proto.nested_type()) {
    below = std::max(below, Depth(nested));
  }
  return below + 1;
}

/// Moves all messages to the top of a file: "Record.A.B" becomes "Message2". Map entries
/// must stay in the message that uses them.
class Flattener {
 public:
  /// The record is the file's first message.
  FileDescriptorProto Flatten(const DescriptorProto& record) {
    Name(record, record.name());
    FileDescriptorProto file;
    for (size_t i = 0; i < messages_.size(); ++i) file.add_message_type();
    for (size_t i = 0; i < messages_.size(); ++i) {
      DescriptorProto* flat = file.mutable_message_type(static_cast<int>(i));
      const DescriptorProto& proto = *messages_[i].first;
      const std::string& path = messages_[i].second;
      flat->set_name("Message" + std::to_string(i));
      CopyFields(proto, path, flat);
      for (const DescriptorProto& nested : proto.nested_type()) {
        if (!nested.options().map_entry()) continue;
        DescriptorProto* entry = flat->add_nested_type();
        entry->set_name(nested.name());
        *entry->mutable_options() = nested.options();
        CopyFields(nested, path + "." + nested.name(), entry);
      }
    }
    return file;
  }

 private:
  void Name(const DescriptorProto& proto, const std::string& path) {
    const std::string flat = "Message" + std::to_string(messages_.size());
    names_.emplace(path, flat);
    messages_.emplace_back(&proto, path);
    for (const DescriptorProto& nested : proto.nested_type()) {
      const std::string inner = path + "." + nested.name();
      if (nested.options().map_entry()) {
        names_.emplace(inner, flat + "." + nested.name());
      } else {
        Name(nested, inner);
      }
    }
  }

  void CopyFields(const DescriptorProto& proto, const std::string& path,
                  DescriptorProto* flat) const {
    *flat->mutable_field() = proto.field();
    for (FieldDescriptorProto& field : *flat->mutable_field()) {
      if (field.type_name().empty()) continue;
      if (const std::string* name = Resolve(field.type_name(), path)) {
        field.set_type_name(*name);
      }
    }
  }

  /// The flat name of what `name` means inside the message at `path`; null when it means
  /// nothing, which libprotobuf then says.
  const std::string* Resolve(const std::string& name, std::string path) const {
    if (name[0] == '.') {
      for (size_t dot = 0; dot != std::string::npos; dot = name.find('.', dot + 1)) {
        auto found = names_.find(name.substr(dot + 1));
        if (found != names_.end()) return &found->second;
      }
      return nullptr;
    }
    while (true) {
      auto found = names_.find(path + "." + name);
      if (found != names_.end()) return &found->second;
      size_t dot = path.rfind('.');
      if (dot == std::string::npos) return nullptr;
      path.resize(dot);
    }
  }

  std::map<std::string, std::string> names_;  ///< path to flat name
  std::vector<std::pair<const DescriptorProto*, std::string>> messages_;
};

/// The first absolute type name of a field below `proto`, or an empty one.
std::string_view FirstAbsoluteName(const DescriptorProto& proto) {
  for (const FieldDescriptorProto& field : proto.field()) {
    if (!field.type_name().empty() && field.type_name()[0] == '.') return field.type_name();
  }
  for (const DescriptorProto& nested : proto.nested_type()) {
    if (std::string_view name = FirstAbsoluteName(nested); !name.empty()) return name;
  }
  return {};
}

/// The packages in which ".a.b.Message.Nested" can lie inside `message_name`: "a.b". A
/// descriptor does not carry its package, and absolute names include it.
std::vector<std::string> PossiblePackages(std::string_view absolute,
                                          const std::string& message_name) {
  std::vector<std::string> packages;
  if (absolute.empty()) return {""};
  for (size_t dot = 0; dot != std::string_view::npos; dot = absolute.find('.', dot + 1)) {
    std::string_view rest = absolute.substr(dot + 1);
    if (rest.substr(0, rest.find('.')) == message_name) {
      packages.emplace_back(dot == 0 ? "" : absolute.substr(1, dot - 1));
    }
  }
  return packages;
}

/// Keeps the first complaint of libprotobuf, which else goes to standard error.
class FirstComplaint final : public google::protobuf::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string&, const std::string& element_name,
                const google::protobuf::Message*, ErrorLocation,
                const std::string& message) override {
    if (text_.empty()) text_ = message + " (" + element_name + ")";
  }
  void AddWarning(const std::string&, const std::string&, const google::protobuf::Message*,
                  ErrorLocation, const std::string&) override {}
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

arrow::Result<std::shared_ptr<const CompiledDescriptor>> CompiledDescriptor::Make(
    const DescriptorProto& proto) {
  ARROW_RETURN_NOT_OK(CheckLimits(proto, 1));
  FileDescriptorProto file;
  if (Depth(proto) > kDeclarationDepthMax) {
    file = Flattener().Flatten(proto);
  } else {
    *file.add_message_type() = proto;
  }
  file.set_name("record.proto");
  file.set_syntax("proto2");
  std::string complaint = "a type lies outside the message";
  for (const std::string& package :
       PossiblePackages(FirstAbsoluteName(file.message_type(0)), proto.name())) {
    file.set_package(package);
    std::shared_ptr<CompiledDescriptor> compiled(new CompiledDescriptor());
    FirstComplaint collector;
    if (const auto* built = compiled->pool_.BuildFileCollectingErrors(file, &collector)) {
      compiled->message_ = built->message_type(0);
      return compiled;
    }
    complaint = collector.text();
  }
  return Error(ErrorCode::kInvalidArgument,
               "descriptor is not a self-contained message: ", complaint.substr(0, 300));
}

}  // namespace arrowport::zerobus::encode
