#include "zerobus/encode/json_rows.h"

#include <arrow/util/base64.h>
#include <arrow/util/utf8.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "zerobus/encode/cell_values.h"

namespace arrowport::zerobus::encode::internal {
namespace {

arrow::Status ValueError(ErrorCode code, const char* phrase, const FieldPlan& plan) {
  return Error(code, phrase, plan.path);
}

arrow::Status CheckSize(const JsonText& out) {
  if (out.text->size() <= out.bytes_max) return arrow::Status::OK();
  return Error(ErrorCode::kTooLarge, "row is larger than the limit");
}

void AppendEscaped(char c, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      *out += "\\u00";
      *out += kHex[(c >> 4) & 0xf];
      *out += kHex[c & 0xf];
  }
}

void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text, done, i - done);
    AppendEscaped(text[i], out);
    done = i + 1;
  }
  out->append(text, done);
  out->push_back('"');
}

template <typename Number>
void AppendNumber(Number number, std::string* out) {
  char text[32];
  out->append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

class JsonNothing final : public JsonValues {
 public:
  arrow::Status Append(int64_t, JsonText*) const override { return arrow::Status::OK(); }
};

template <typename Reader>
class JsonInteger final : public JsonValues {
 public:
  JsonInteger(const FieldPlan& plan, Reader reader) : plan_(plan), reader_(reader) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    int64_t value;
    if (!reader_.Read(element, &value)) {
      return ValueError(ErrorCode::kSchemaMismatch, "value does not fit the column: ",
                        plan_);
    }
    if (plan_.target == TypeId::kBoolean) {
      *out->text += value ? "true" : "false";
    } else {
      AppendNumber(value, out->text);
    }
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  Reader reader_;
};

template <typename Reader>
class JsonFloat final : public JsonValues {
 public:
  explicit JsonFloat(Reader reader) : reader_(reader) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    auto value = reader_.Read(element);
    if (std::isfinite(value)) {
      AppendNumber(value, out->text);
    } else if (std::isnan(value)) {
      *out->text += "\"NaN\"";
    } else {
      *out->text += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    }
    return arrow::Status::OK();
  }

 private:
  Reader reader_;
};

template <typename Reader>
class JsonBytes final : public JsonValues {
 public:
  JsonBytes(const FieldPlan& plan, Reader reader) : plan_(plan), reader_(reader) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    std::string_view value;
    if (!reader_.Read(element, &value)) {
      return ValueError(ErrorCode::kBadData, "value lies outside its buffer: ", plan_);
    }
    if (value.size() > out->bytes_max) {
      return Error(ErrorCode::kTooLarge, "row is larger than the limit");
    }
    if (plan_.target == TypeId::kBinary) {
      out->text->push_back('"');
      *out->text += arrow::util::base64_encode(value);
      out->text->push_back('"');
      return arrow::Status::OK();
    }
    if (!arrow::util::ValidateUTF8(value)) {
      return ValueError(ErrorCode::kBadData, "value is not UTF-8: ", plan_);
    }
    if (plan_.target == TypeId::kVariant && !nlohmann::json::accept(value)) {
      return ValueError(ErrorCode::kBadData, "value is not JSON text in UTF-8: ", plan_);
    }
    AppendQuoted(value, out->text);
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  Reader reader_;
};

class JsonDecimal final : public JsonValues {
 public:
  JsonDecimal(const FieldPlan& plan, DecimalReader reader) : plan_(plan), reader_(reader) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    out->text->push_back('"');
    if (!reader_.Append(element, out->text)) {
      return ValueError(ErrorCode::kSchemaMismatch,
                        "value does not fit the precision and scale of the column: ",
                        plan_);
    }
    out->text->push_back('"');
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  DecimalReader reader_;
};

class JsonStruct final : public JsonValues {
 public:
  JsonStruct(int64_t offset, JsonMembers members)
      : offset_(offset), members_(std::move(members)) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    return members_.Append(offset_ + element, out);
  }

 private:
  int64_t offset_;
  JsonMembers members_;
};

class JsonList final : public JsonValues {
 public:
  JsonList(const FieldPlan& plan, ListReader reader, JsonCells element)
      : plan_(plan), reader_(reader), element_(std::move(element)) {}
  arrow::Status Append(int64_t element, JsonText* out) const override {
    ListRange range;
    if (!reader_.Read(element, &range)) {
      return ValueError(ErrorCode::kBadData, "list lies outside its elements: ", plan_);
    }
    out->text->push_back('[');
    bool any = false;
    for (int64_t i = 0; i < range.count; ++i) {
      ARROW_ASSIGN_OR_RAISE(bool written,
                            element_.Append(range.first + i, any ? "," : "", out));
      any |= written;
      ARROW_RETURN_NOT_OK(CheckSize(*out));
    }
    out->text->push_back(']');
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  ListReader reader_;
  JsonCells element_;
};

/// An object; keys that are not text are written as text. The last of equal keys stays, in
/// the place of the first.
class JsonMap final : public JsonValues {
 public:
  JsonMap(const FieldPlan& plan, const arrow::ArrayData& values, CellSource entries,
          JsonCells key, JsonCells value)
      : plan_(plan),
        reader_(plan, values),
        offset_(values.child_data[0]->offset),
        entries_(std::move(entries)),
        key_(std::move(key)),
        value_(std::move(value)) {}

  arrow::Status Append(int64_t element, JsonText* out) const override {
    ListRange range;
    if (!reader_.Read(element, &range)) {
      return ValueError(ErrorCode::kBadData, "list lies outside its elements: ", plan_);
    }
    std::vector<std::pair<std::string, std::string>> members;
    std::unordered_map<std::string, size_t> places;
    size_t bytes = out->text->size();
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      std::string key, value;
      ARROW_ASSIGN_OR_RAISE(bool written, AppendEntry(i, out->bytes_max, &key, &value));
      if (!written) continue;
      auto [place, fresh] = places.emplace(key, members.size());
      if (fresh) {
        bytes += key.size() + value.size();
        if (bytes > out->bytes_max) {
          return Error(ErrorCode::kTooLarge, "row is larger than the limit");
        }
        members.emplace_back(std::move(key), std::move(value));
      } else {
        members[place->second].second = std::move(value);
      }
    }
    out->text->push_back('{');
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out->text->push_back(',');
      *out->text += members[i].first;
      out->text->push_back(':');
      *out->text += members[i].second;
    }
    out->text->push_back('}');
    return arrow::Status::OK();
  }

 private:
  arrow::Result<bool> AppendEntry(int64_t i, size_t bytes_max, std::string* key,
                                  std::string* value) const {
    ARROW_ASSIGN_OR_RAISE(int64_t entry, entries_.ResolveOne(i));
    if (entry < 0) {
      return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ", plan_);
    }
    JsonText key_text{key, bytes_max};
    ARROW_RETURN_NOT_OK(key_.Append(offset_ + entry, "", &key_text).status());
    if (key->empty() || key->front() != '"') *key = '"' + *key + '"';
    JsonText value_text{value, bytes_max};
    return value_.Append(offset_ + entry, "", &value_text);
  }

  const FieldPlan& plan_;
  ListReader reader_;
  int64_t offset_;
  CellSource entries_;
  JsonCells key_;
  JsonCells value_;
};

arrow::Result<std::unique_ptr<JsonValues>> MakeNested(const FieldPlan& plan,
                                                      const arrow::ArrayData& values) {
  if (plan.target == TypeId::kStruct) {
    ARROW_ASSIGN_OR_RAISE(JsonMembers members,
                          JsonMembers::Make(plan.children, values.child_data));
    return std::make_unique<JsonStruct>(values.offset, std::move(members));
  }
  const std::shared_ptr<arrow::ArrayData>& child = values.child_data[0];
  if (plan.target == TypeId::kArray) {
    ARROW_ASSIGN_OR_RAISE(JsonCells element, JsonCells::Make(plan.children[0], child));
    return std::make_unique<JsonList>(plan, ListReader(plan, values), std::move(element));
  }
  ARROW_ASSIGN_OR_RAISE(CellSource entries, CellSource::Make(plan.children[0], child));
  ARROW_ASSIGN_OR_RAISE(JsonCells key,
                        JsonCells::Make(plan.children[0], child->child_data[0]));
  ARROW_ASSIGN_OR_RAISE(JsonCells value,
                        JsonCells::Make(plan.children[1], child->child_data[1]));
  return std::make_unique<JsonMap>(plan, values, std::move(entries), std::move(key),
                                   std::move(value));
}

arrow::Result<std::unique_ptr<JsonValues>> MakeValues(const FieldPlan& plan,
                                                      const arrow::ArrayData& values) {
  using Made = std::unique_ptr<JsonValues>;
  if (plan.is_null_type) return std::make_unique<JsonNothing>();
  auto floats = [](auto reader) -> Made {
    return std::make_unique<JsonFloat<decltype(reader)>>(reader);
  };
  switch (plan.target) {
    case TypeId::kFloat:
      return WithFloatReader<float>(plan, values, floats);
    case TypeId::kDouble:
      return WithFloatReader<double>(plan, values, floats);
    case TypeId::kString:
    case TypeId::kVariant:
    case TypeId::kBinary:
      return WithBytesReader(plan, values, [&](auto reader) -> Made {
        return std::make_unique<JsonBytes<decltype(reader)>>(plan, reader);
      });
    case TypeId::kDecimal:
      return std::make_unique<JsonDecimal>(plan, MakeDecimalReader(plan, values));
    case TypeId::kStruct:
    case TypeId::kArray:
    case TypeId::kMap:
      return MakeNested(plan, values);
    default:
      return WithVarintReader(plan, values, [&](auto reader) -> Made {
        return std::make_unique<JsonInteger<decltype(reader)>>(plan, reader);
      });
  }
}

}  // namespace

arrow::Result<JsonCells> JsonCells::Make(const FieldPlan& plan,
                                         std::shared_ptr<arrow::ArrayData> array) {
  arrow::util::InitializeUTF8();
  ARROW_ASSIGN_OR_RAISE(CellSource source, CellSource::Make(plan, std::move(array)));
  ARROW_ASSIGN_OR_RAISE(std::unique_ptr<JsonValues> values,
                        MakeValues(plan, *source.values()));
  return JsonCells(plan, std::move(source), std::move(values));
}

arrow::Result<bool> JsonCells::Append(int64_t element, std::string_view before,
                                      JsonText* out) const {
  ARROW_ASSIGN_OR_RAISE(int64_t value, source_.ResolveOne(element));
  if (value < 0) {
    if (plan_->nulls == NullRule::kOmit) return false;
    return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ", *plan_);
  }
  *out->text += before;
  ARROW_RETURN_NOT_OK(values_->Append(value, out));
  return true;
}

arrow::Result<JsonMembers> JsonMembers::Make(
    const std::vector<FieldPlan>& plans,
    const std::vector<std::shared_ptr<arrow::ArrayData>>& arrays) {
  JsonMembers members;
  for (const FieldPlan& plan : plans) {
    if (!arrow::util::ValidateUTF8(plan.name)) {
      return Error(ErrorCode::kInvalidName, "column name is not UTF-8");
    }
    ARROW_ASSIGN_OR_RAISE(
        JsonCells cells,
        JsonCells::Make(plan, arrays[static_cast<size_t>(plan.child_index)]));
    members.cells_.push_back(std::move(cells));
    std::string& key = members.keys_.emplace_back(",");
    AppendQuoted(plan.name, &key);
    key.push_back(':');
  }
  return members;
}

arrow::Status JsonMembers::Append(int64_t element, JsonText* out) const {
  out->text->push_back('{');
  bool any = false;
  for (size_t i = 0; i < cells_.size(); ++i) {
    std::string_view key = keys_[i];
    if (!any) key.remove_prefix(1);  // the comma
    ARROW_ASSIGN_OR_RAISE(bool written, cells_[i].Append(element, key, out));
    any |= written;
  }
  out->text->push_back('}');
  return CheckSize(*out);
}

}  // namespace arrowport::zerobus::encode::internal
