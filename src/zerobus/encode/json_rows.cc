#include "zerobus/encode/json_rows.h"

#include <arrow/util/base64.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "zerobus/encode/cell_values.h"
#include "zerobus/encode/number_text.h"

namespace arrowport::zerobus::encode::internal {
namespace {

arrow::Status ValueError(ErrorCode code, const char* phrase, const FieldPlan& plan) {
  return Error(code, phrase, plan.path);
}

arrow::Status RowTooLarge() {
  return Error(ErrorCode::kTooLarge, "row is larger than the limit");
}

/// Around members or elements since `begin`, each after a comma: the first comma makes
/// place for the bracket.
void CloseWith(char open, char close, size_t begin, JsonText* out) {
  if (out->size() == begin) out->Append(open);
  *out->MutableAt(begin) = open;
  out->Append(close);
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
      out->Append(value ? std::string_view("true") : "false");
    } else {
      out->SetEnd(WriteInteger(value, out->Reserve(kNumberRoom)));
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
    if (std::isfinite(value)) [[likely]] {
      out->SetEnd(WriteFloat(value, out->Reserve(kNumberRoom)));
    } else if (std::isnan(value)) {
      out->Append("\"NaN\"");
    } else {
      out->Append(value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
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
    if (value.size() > out->row_bytes_max()) return RowTooLarge();
    if (plan_.target == TypeId::kBinary) {
      out->Append('"');
      out->Append(arrow::util::base64_encode(value));
      out->Append('"');
      return arrow::Status::OK();
    }
    if (!out->AppendQuoted(value)) {
      return ValueError(ErrorCode::kBadData, "value is not UTF-8: ", plan_);
    }
    if (plan_.target == TypeId::kVariant && !nlohmann::json::accept(value)) {
      return ValueError(ErrorCode::kBadData, "value is not JSON text in UTF-8: ", plan_);
    }
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
    char* at = out->Reserve(kDecimalBytesMax + 2);
    *at = '"';
    at = reader_.Write(element, at + 1);
    if (at == nullptr) {
      return ValueError(ErrorCode::kSchemaMismatch,
                        "value does not fit the precision and scale of the column: ",
                        plan_);
    }
    *at = '"';
    out->SetEnd(at + 1);
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
    const size_t begin = out->size();
    for (int64_t i = 0; i < range.count; ++i) {
      ARROW_RETURN_NOT_OK(element_.Append(range.first + i, comma_, out));
      if (out->is_too_large()) return RowTooLarge();
    }
    CloseWith('[', ']', begin, out);
    return arrow::Status::OK();
  }

 private:
  const FieldPlan& plan_;
  ListReader reader_;
  JsonCells element_;
  JsonKey comma_{","};
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
    const size_t begin = out->size();
    std::vector<Entry> entries;
    std::unordered_map<std::string, size_t> places;
    bool any_replaced = false;
    int64_t growth = 0;  // by what is replaced
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      const size_t entry_begin = out->size();
      // Only what stays counts against the row, but no entry may be larger than one.
      const size_t row_begin = out->BeginCount();
      ARROW_ASSIGN_OR_RAISE(size_t value_begin, AppendEntry(i, out));
      out->CountFrom(row_begin);
      if (out->size() == value_begin) {
        out->Truncate(entry_begin);  // a null value
        continue;
      }
      std::string_view key = out->From(entry_begin);
      key.remove_suffix(out->size() - value_begin);
      auto [place, fresh] = places.try_emplace(std::string(key), entries.size());
      if (fresh) {
        entries.push_back({entry_begin, out->size(), {}});
      } else {
        Entry& entry = entries[place->second];
        growth -= entry.size();
        entry.replacement = out->From(entry_begin);
        growth += entry.size();
        any_replaced = true;
        out->Truncate(entry_begin);
      }
      if (out->is_too_large() || growth > static_cast<int64_t>(out->row_bytes_max())) {
        return RowTooLarge();
      }
    }
    if (any_replaced) Replace(entries, begin, out);
    CloseWith('{', '}', begin, out);
    return arrow::Status::OK();
  }

 private:
  /// `,"key":value`
  struct Entry {
    size_t begin;
    size_t end;
    std::string replacement;  ///< by a later one of the same key

    int64_t size() const {
      return static_cast<int64_t>(replacement.empty() ? end - begin : replacement.size());
    }
  };

  static void Replace(const std::vector<Entry>& entries, size_t begin, JsonText* out) {
    std::string text;
    const std::string_view written = out->From(begin);
    for (const Entry& entry : entries) {
      text += entry.replacement.empty()
                  ? written.substr(entry.begin - begin, entry.end - entry.begin)
                  : entry.replacement;
    }
    out->Truncate(begin);
    out->Append(text);
  }

  /// Returns where its value begins; nothing is there when it is null.
  arrow::Result<size_t> AppendEntry(int64_t i, JsonText* out) const {
    ARROW_ASSIGN_OR_RAISE(int64_t entry, entries_.ResolveOne(i));
    if (entry < 0) {
      return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ", plan_);
    }
    out->Append(',');
    const size_t key_begin = out->size();
    ARROW_RETURN_NOT_OK(key_.Append(offset_ + entry, nothing_, out));
    if (out->size() == key_begin || *out->MutableAt(key_begin) != '"') {
      const std::string key(out->From(key_begin));
      out->Truncate(key_begin);
      out->Append('"');
      out->Append(key);
      out->Append('"');
    }
    out->Append(':');
    const size_t value_begin = out->size();
    ARROW_RETURN_NOT_OK(value_.Append(offset_ + entry, nothing_, out));
    return value_begin;
  }

  const FieldPlan& plan_;
  ListReader reader_;
  int64_t offset_;
  CellSource entries_;
  JsonCells key_;
  JsonCells value_;
  JsonKey nothing_{""};
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
  ARROW_ASSIGN_OR_RAISE(CellSource source, CellSource::Make(plan, std::move(array)));
  ARROW_ASSIGN_OR_RAISE(std::unique_ptr<JsonValues> values,
                        MakeValues(plan, *source.values()));
  return JsonCells(plan, std::move(source), std::move(values));
}

arrow::Status JsonCells::AppendNothing(int64_t found) const {
  if (found == CellSource::kOutOfBounds) return source_.OutOfBounds();
  if (plan_->nulls == NullRule::kOmit) return arrow::Status::OK();
  return ValueError(ErrorCode::kConstraintViolation, "null where none may be: ", *plan_);
}

arrow::Result<JsonMembers> JsonMembers::Make(
    const std::vector<FieldPlan>& plans,
    const std::vector<std::shared_ptr<arrow::ArrayData>>& arrays) {
  JsonMembers members;
  for (const FieldPlan& plan : plans) {
    ARROW_ASSIGN_OR_RAISE(
        JsonCells cells,
        JsonCells::Make(plan, arrays[static_cast<size_t>(plan.child_index)]));
    JsonText key(plan.name.size());
    key.Append(',');
    if (!key.AppendQuoted(plan.name)) {
      return Error(ErrorCode::kInvalidName, "column name is not UTF-8");
    }
    key.Append(':');
    members.members_.push_back({JsonKey(std::string(key.From(0))), std::move(cells)});
  }
  return members;
}

arrow::Status JsonMembers::Append(int64_t element, JsonText* out) const {
  const size_t begin = out->size();
  for (const Member& member : members_) {
    arrow::Status status = member.cells.Append(element, member.key, out);
    if (!status.ok()) [[unlikely]] return status;
  }
  CloseWith('{', '}', begin, out);
  return out->is_too_large() ? RowTooLarge() : arrow::Status::OK();
}

}  // namespace arrowport::zerobus::encode::internal
