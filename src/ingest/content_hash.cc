#include "ingest/content_hash.h"

#include <arrow/array.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/extension_type.h>
#include <arrow/util/bit_run_reader.h>
#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace arrowport::ingest {
namespace {

using arrow::Array;
using arrow::Type;

constexpr std::string_view kVersion = "arrowport-content-1";
constexpr int64_t kScratchRows = 4096;
constexpr size_t kDigestBytes = 32;

const EVP_MD* Sha256() {
  // Fetched once: looking the algorithm up costs more than hashing a small column.
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

/// A SHA-256 that costs nothing until its first byte.
class Digest {
 public:
  Digest() = default;
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  ~Digest() { EVP_MD_CTX_free(context_); }

  void Add(const void* data, int64_t bytes) {
    if (bytes <= 0) return;
    if (context_ == nullptr) {
      context_ = EVP_MD_CTX_new();
      ok_ = context_ != nullptr && EVP_DigestInit_ex2(context_, Sha256(), nullptr) == 1;
    }
    ok_ = ok_ && EVP_DigestUpdate(context_, data, static_cast<size_t>(bytes)) == 1;
  }
  void AddNumber(uint64_t value) { Add(&value, sizeof(value)); }

  bool empty() const { return context_ == nullptr; }

  arrow::Result<std::string> Finish() {
    std::string digest(kDigestBytes, '\0');
    ok_ = ok_ && !empty() &&
          EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()),
                             nullptr) == 1;
    if (!ok_) return Error(ErrorCode::kInternal, "SHA-256 is not available");
    return digest;
  }

 private:
  EVP_MD_CTX* context_ = nullptr;
  bool ok_ = true;
};

/// The type with everything taken away that does not change what the values say.
std::string Canonical(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::STRING:
    case Type::LARGE_STRING:
    case Type::STRING_VIEW:
      return "text";
    case Type::BINARY:
    case Type::LARGE_BINARY:
    case Type::BINARY_VIEW:
      return "bytes";
    case Type::DICTIONARY:
      return Canonical(*static_cast<const arrow::DictionaryType&>(type).value_type());
    case Type::RUN_END_ENCODED:
      return Canonical(*static_cast<const arrow::RunEndEncodedType&>(type).value_type());
    case Type::EXTENSION:
      return Canonical(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
      return "list<" + Canonical(*type.field(0)->type()) + ">";
    case Type::FIXED_SIZE_LIST:
      return "list[" +
             std::to_string(
                 static_cast<const arrow::FixedSizeListType&>(type).list_size()) +
             "]<" + Canonical(*type.field(0)->type()) + ">";
    case Type::MAP:
      return "map<" + Canonical(*type.field(0)->type()) + ">";
    case Type::STRUCT:
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION: {
      std::string text = type.id() == Type::STRUCT ? "struct<" : "union<";
      for (const auto& field : type.fields()) {
        text += std::to_string(field->name().size()) + ":" + field->name() + " " +
                Canonical(*field->type()) + ",";
      }
      return text + ">";
    }
    default:
      return type.ToString();
  }
}

std::string Canonical(const arrow::Schema& schema) {
  std::string text;
  for (const auto& field : schema.fields()) {
    text += std::to_string(field->name().size()) + ":" + field->name() + " " +
            Canonical(*field->type()) + "\n";
  }
  return text;
}

/// Types whose arrays are decoded before they are hashed.
bool IsEncoded(Type::type id) {
  return id == Type::DICTIONARY || id == Type::RUN_END_ENCODED;
}

arrow::Result<std::shared_ptr<Array>> Decoded(std::shared_ptr<Array> array) {
  static const arrow::Status ready = arrow::compute::Initialize();
  ARROW_RETURN_NOT_OK(ready);
  while (IsEncoded(array->type_id())) {
    if (array->type_id() == Type::DICTIONARY) {
      const auto& type = static_cast<const arrow::DictionaryType&>(*array->type());
      ARROW_ASSIGN_OR_RAISE(array, arrow::compute::Cast(*array, type.value_type()));
    } else {
      ARROW_ASSIGN_OR_RAISE(auto datum, arrow::compute::RunEndDecode(array));
      array = datum.make_array();
    }
  }
  return array;
}

}  // namespace

/// The streams of one column or nested field.
class ContentHash::Node {
 public:
  explicit Node(const arrow::DataType& type) {
    const arrow::DataType* plain = &type;
    for (;;) {
      if (plain->id() == Type::DICTIONARY) {
        plain = static_cast<const arrow::DictionaryType*>(plain)->value_type().get();
      } else if (plain->id() == Type::RUN_END_ENCODED) {
        plain = static_cast<const arrow::RunEndEncodedType*>(plain)->value_type().get();
      } else if (plain->id() == Type::EXTENSION) {
        plain = static_cast<const arrow::ExtensionType*>(plain)->storage_type().get();
      } else {
        break;
      }
    }
    for (const auto& field : plain->fields()) {
      children_.push_back(std::make_unique<Node>(*field->type()));
    }
  }

  /// The `length` rows of `array` from `start` on.
  arrow::Status Update(const std::shared_ptr<Array>& array, int64_t start,
                       int64_t length) {
    if (length == 0) return {};
    if (array->type_id() == Type::EXTENSION) {
      return Update(static_cast<const arrow::ExtensionArray&>(*array).storage(), start,
                    length);
    }
    if (IsEncoded(array->type_id())) {
      ARROW_ASSIGN_OR_RAISE(auto decoded, Decoded(array->Slice(start, length)));
      return Update(decoded, 0, length);
    }
    if (array->type_id() == Type::NA) {
      AddNulls(length);
      return {};
    }
    if (array->null_bitmap_data() == nullptr || array->null_count() == 0) {
      return AddValid(*array, start, length);
    }
    int64_t at = 0;
    arrow::internal::SetBitRunReader runs(array->null_bitmap_data(),
                                          array->offset() + start, length);
    for (auto run = runs.NextRun(); run.length > 0; run = runs.NextRun()) {
      if (run.position > at) AddNulls(run.position - at);
      ARROW_RETURN_NOT_OK(AddValid(*array, start + run.position, run.length));
      at = run.position + run.length;
    }
    if (length > at) AddNulls(length - at);
    return {};
  }

  arrow::Status Finish(Digest* total) {
    FlushNulls();
    for (Digest* stream : {&nulls_, &lengths_, &values_}) {
      total->AddNumber(stream->empty() ? 0 : 1);
      if (stream->empty()) continue;
      ARROW_ASSIGN_OR_RAISE(std::string digest, stream->Finish());
      total->Add(digest.data(), static_cast<int64_t>(digest.size()));
    }
    for (auto& child : children_) ARROW_RETURN_NOT_OK(child->Finish(total));
    return {};
  }

 private:
  /// A run may go on in the next batch, so it is written when it ends.
  void AddNulls(int64_t length) {
    if (null_run_ == 0) null_run_start_ = rows_;
    null_run_ += length;
    rows_ += length;
  }
  void FlushNulls() {
    if (null_run_ == 0) return;
    nulls_.AddNumber(static_cast<uint64_t>(null_run_start_));
    nulls_.AddNumber(static_cast<uint64_t>(std::exchange(null_run_, 0)));
  }

  void AddLength(std::array<uint8_t, kScratchRows * 4 + 16>* scratch, size_t* used,
                 int64_t length) {
    constexpr uint32_t kLong = 0xffffffff;
    const auto narrow = length < kLong ? static_cast<uint32_t>(length) : kLong;
    std::memcpy(scratch->data() + *used, &narrow, 4);
    *used += 4;
    if (narrow == kLong) {
      std::memcpy(scratch->data() + *used, &length, 8);
      *used += 8;
    }
    if (*used >= kScratchRows * 4) {
      lengths_.Add(scratch->data(), static_cast<int64_t>(std::exchange(*used, 0)));
    }
  }

  template <typename Lengths>
  void AddLengths(int64_t length, Lengths&& length_of) {
    std::array<uint8_t, kScratchRows * 4 + 16> scratch;
    size_t used = 0;
    for (int64_t i = 0; i < length; ++i) AddLength(&scratch, &used, length_of(i));
    lengths_.Add(scratch.data(), static_cast<int64_t>(used));
  }

  arrow::Status AddValid(const Array& array, int64_t start, int64_t length);
  template <typename TextArray>
  void AddTexts(const Array& array, int64_t start, int64_t length);
  void AddViews(const Array& array, int64_t start, int64_t length);
  void AddBooleans(const Array& array, int64_t start, int64_t length);
  template <typename ListArray>
  arrow::Status AddLists(const Array& array, int64_t start, int64_t length);
  template <typename ListArray>
  arrow::Status AddListViews(const Array& array, int64_t start, int64_t length);
  arrow::Status AddUnion(const Array& array, int64_t start, int64_t length);

  Digest nulls_, lengths_, values_;
  std::vector<std::unique_ptr<Node>> children_;
  int64_t rows_ = 0;
  int64_t null_run_start_ = 0;
  int64_t null_run_ = 0;
};

template <typename TextArray>
void ContentHash::Node::AddTexts(const Array& array, int64_t start, int64_t length) {
  const auto& texts = static_cast<const TextArray&>(array);
  const auto* offsets = texts.raw_value_offsets() + start;
  AddLengths(length, [&](int64_t i) -> int64_t { return offsets[i + 1] - offsets[i]; });
  if (texts.raw_data() == nullptr) return;
  values_.Add(texts.raw_data() + offsets[0], offsets[length] - offsets[0]);
}

void ContentHash::Node::AddViews(const Array& array, int64_t start, int64_t length) {
  const auto& texts = static_cast<const arrow::BinaryViewArray&>(array);
  AddLengths(length, [&](int64_t i) -> int64_t {
    return static_cast<int64_t>(texts.GetView(start + i).size());
  });
  for (int64_t i = start; i < start + length; ++i) {
    std::string_view text = texts.GetView(i);
    values_.Add(text.data(), static_cast<int64_t>(text.size()));
  }
}

void ContentHash::Node::AddBooleans(const Array& array, int64_t start, int64_t length) {
  const auto& booleans = static_cast<const arrow::BooleanArray&>(array);
  std::array<uint8_t, kScratchRows> scratch;
  for (int64_t at = 0; at < length;) {
    const int64_t count = std::min(kScratchRows, length - at);
    for (int64_t i = 0; i < count; ++i) scratch[i] = booleans.Value(start + at + i);
    values_.Add(scratch.data(), count);
    at += count;
  }
}

template <typename ListArray>
arrow::Status ContentHash::Node::AddLists(const Array& array, int64_t start,
                                          int64_t length) {
  const auto& lists = static_cast<const ListArray&>(array);
  const auto* offsets = lists.raw_value_offsets() + start;
  AddLengths(length, [&](int64_t i) -> int64_t { return offsets[i + 1] - offsets[i]; });
  return children_[0]->Update(lists.values(), offsets[0], offsets[length] - offsets[0]);
}

template <typename ListArray>
arrow::Status ContentHash::Node::AddListViews(const Array& array, int64_t start,
                                              int64_t length) {
  const auto& lists = static_cast<const ListArray&>(array);
  AddLengths(length, [&](int64_t i) -> int64_t { return lists.value_length(start + i); });
  for (int64_t i = start; i < start + length; ++i) {
    ARROW_RETURN_NOT_OK(children_[0]->Update(lists.values(), lists.value_offset(i),
                                             lists.value_length(i)));
  }
  return {};
}

arrow::Status ContentHash::Node::AddUnion(const Array& array, int64_t start,
                                          int64_t length) {
  const auto& unions = static_cast<const arrow::UnionArray&>(array);
  const bool dense = array.type_id() == Type::DENSE_UNION;
  values_.Add(unions.raw_type_codes() + start, length);
  for (int64_t i = start; i < start + length; ++i) {
    const int child = unions.child_id(i);
    const int64_t at =
        dense ? static_cast<const arrow::DenseUnionArray&>(array).value_offset(i) : i;
    ARROW_RETURN_NOT_OK(children_[child]->Update(unions.field(child), at, 1));
  }
  return {};
}

arrow::Status ContentHash::Node::AddValid(const Array& array, int64_t start,
                                          int64_t length) {
  FlushNulls();
  rows_ += length;
  switch (array.type_id()) {
    case Type::BOOL:
      AddBooleans(array, start, length);
      return {};
    case Type::STRING:
    case Type::BINARY:
      AddTexts<arrow::BinaryArray>(array, start, length);
      return {};
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      AddTexts<arrow::LargeBinaryArray>(array, start, length);
      return {};
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
      AddViews(array, start, length);
      return {};
    case Type::LIST:
    case Type::MAP:
      return AddLists<arrow::ListArray>(array, start, length);
    case Type::LARGE_LIST:
      return AddLists<arrow::LargeListArray>(array, start, length);
    case Type::LIST_VIEW:
      return AddListViews<arrow::ListViewArray>(array, start, length);
    case Type::LARGE_LIST_VIEW:
      return AddListViews<arrow::LargeListViewArray>(array, start, length);
    case Type::FIXED_SIZE_LIST: {
      const auto& lists = static_cast<const arrow::FixedSizeListArray&>(array);
      const int64_t size = lists.list_type()->list_size();
      return children_[0]->Update(lists.values(), (lists.offset() + start) * size,
                                  length * size);
    }
    case Type::STRUCT: {
      const auto& rows = static_cast<const arrow::StructArray&>(array);
      for (size_t i = 0; i < children_.size(); ++i) {
        ARROW_RETURN_NOT_OK(
            children_[i]->Update(rows.field(static_cast<int>(i)), start, length));
      }
      return {};
    }
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
      return AddUnion(array, start, length);
    default:
      break;
  }
  if (!arrow::is_fixed_width(array.type_id())) {
    return Error(ErrorCode::kUnsupportedType,
                 "type cannot be hashed: ", array.type()->ToString());
  }
  const int64_t width = array.type()->byte_width();
  values_.Add(array.data()->buffers[1]->data() + (array.offset() + start) * width,
              length * width);
  return {};
}

struct ContentHash::Impl {
  std::string schema;
  std::vector<std::unique_ptr<Node>> columns;
  int64_t rows = 0;
};

ContentHash::ContentHash(const arrow::Schema& schema) : impl_(std::make_unique<Impl>()) {
  impl_->schema = Canonical(schema);
  for (const auto& field : schema.fields()) {
    impl_->columns.push_back(std::make_unique<Node>(*field->type()));
  }
}

ContentHash::~ContentHash() = default;

arrow::Status ContentHash::Update(const arrow::RecordBatch& batch) {
  for (int i = 0; i < batch.num_columns(); ++i) {
    ARROW_RETURN_NOT_OK(impl_->columns[i]->Update(batch.column(i), 0, batch.num_rows()));
  }
  impl_->rows += batch.num_rows();
  return {};
}

arrow::Result<std::string> ContentHash::Finish() {
  Digest total;
  total.Add(kVersion.data(), static_cast<int64_t>(kVersion.size()));
  total.AddNumber(impl_->schema.size());
  total.Add(impl_->schema.data(), static_cast<int64_t>(impl_->schema.size()));
  total.AddNumber(static_cast<uint64_t>(impl_->rows));
  for (auto& column : impl_->columns) ARROW_RETURN_NOT_OK(column->Finish(&total));
  return total.Finish();
}

}  // namespace arrowport::ingest
