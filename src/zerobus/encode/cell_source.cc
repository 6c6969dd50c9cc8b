#include "zerobus/encode/cell_source.h"

#include <arrow/extension_type.h>
#include <arrow/type.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace arrowport::zerobus::encode::internal {
namespace {

const arrow::DataType& StorageOf(const arrow::DataType& type) {
  const arrow::DataType* storage = &type;
  while (storage->id() == arrow::Type::EXTENSION) {
    storage = static_cast<const arrow::ExtensionType*>(storage)->storage_type().get();
  }
  return *storage;
}

template <typename T>
int64_t Load(const uint8_t* raw, int64_t position) {
  T value;
  std::memcpy(&value, raw + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return static_cast<int64_t>(value);
}

constexpr std::string_view kNullPhrase = "null where none may be: ";
constexpr std::string_view kOutOfBoundsPhrase = "encoded value points outside its array: ";

}  // namespace

void FailCell(const Frame& frame, int64_t slot, ErrorCode code, std::string_view phrase,
              const FieldPlan& plan) {
  int64_t row = frame.RowOf(slot);
  if (!frame.failures->Has(row)) frame.failures->Add(row, Error(code, phrase, plan.path));
}

arrow::Result<CellSource> CellSource::Make(const FieldPlan& plan,
                                           std::shared_ptr<arrow::ArrayData> array) {
  CellSource source(plan);
  ARROW_RETURN_NOT_OK(source.AddLayers(std::move(array)));
  return source;
}

arrow::Status CellSource::AddLayers(std::shared_ptr<arrow::ArrayData> array) {
  while (true) {
    const arrow::DataType& type = StorageOf(*array->type);
    Layer layer;
    layer.data = array;
    if (type.id() == arrow::Type::NA) {
      layer.kind = LayerKind::kAllNull;
      layers_.push_back(std::move(layer));
      values_ = std::move(array);
      return arrow::Status::OK();
    }
    if (type.id() == arrow::Type::RUN_END_ENCODED) {
      if (array->child_data.size() != 2) return OutOfBounds();
      layer.kind = LayerKind::kRunEnds;
      layer.index_bytes = arrow::internal::checked_cast<const arrow::FixedWidthType&>(
                              *array->child_data[0]->type)
                              .bit_width() /
                          8;
      layer.values_length =
          std::min(array->child_data[0]->length, array->child_data[1]->length);
      layers_.push_back(std::move(layer));
      array = array->child_data[1];
      continue;
    }
    if (array->buffers.empty()) return OutOfBounds();
    if (array->buffers[0] && array->GetNullCount() != 0) {
      layer.kind = LayerKind::kValidity;
      layers_.push_back(layer);
    }
    if (type.id() != arrow::Type::DICTIONARY) {
      values_ = std::move(array);
      return arrow::Status::OK();
    }
    if (!array->dictionary) return OutOfBounds();
    const auto& index_type = arrow::internal::checked_cast<const arrow::FixedWidthType&>(
        *static_cast<const arrow::DictionaryType&>(type).index_type());
    layer.kind = LayerKind::kDictionary;
    layer.index_bytes = index_type.bit_width() / 8;
    layer.index_signed = arrow::is_signed_integer(index_type.id());
    layer.values_length = array->dictionary->length;
    layers_.push_back(std::move(layer));
    array = array->dictionary;
  }
}

int64_t CellSource::ReadIndex(const Layer& layer, const uint8_t* raw, int64_t position) {
  switch (layer.index_bytes) {
    case 1:
      return layer.index_signed ? Load<int8_t>(raw, position) : Load<uint8_t>(raw, position);
    case 2:
      return layer.index_signed ? Load<int16_t>(raw, position)
                                : Load<uint16_t>(raw, position);
    case 4:
      return layer.index_signed ? Load<int32_t>(raw, position)
                                : Load<uint32_t>(raw, position);
    default:
      return Load<int64_t>(raw, position);  // a uint64 beyond int64 reads as negative
  }
}

int64_t CellSource::Follow(const Layer& layer, int64_t element) {
  int64_t position = layer.data->offset + element;
  if (layer.kind == LayerKind::kDictionary) {
    int64_t target = ReadIndex(layer, layer.data->buffers[1]->data(), position);
    return target >= 0 && target < layer.values_length ? target : -1;
  }
  // The first run that ends after the position.
  const arrow::ArrayData& ends = *layer.data->child_data[0];
  if (ends.length == 0) return -1;
  const uint8_t* raw = ends.buffers[1]->data();
  int64_t low = 0;
  int64_t high = ends.length;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (ReadIndex(layer, raw, ends.offset + middle) > position) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low < layer.values_length ? low : -1;
}

Selection CellSource::DropNulls(const Layer& layer, const Selection& cells,
                                const Frame& frame, SelectionList* out) const {
  const uint8_t* bits = layer.data->buffers[0]->data();
  const int64_t offset = layer.data->offset;
  if (cells.dense() && arrow::internal::CountSetBits(bits, offset + cells.first,
                                                     cells.count) == cells.count) {
    return cells;
  }
  out->Resize(cells.count);
  int64_t* index = out->index();
  int32_t* slots = out->slot();
  int64_t kept = 0;
  ForEachCell(cells, [&](int64_t element, int64_t slot) {
    index[kept] = element;
    slots[kept] = static_cast<int32_t>(slot);
    kept += arrow::bit_util::GetBit(bits, offset + element);
  });
  if (plan_->nulls == NullRule::kFail && kept != cells.count) {
    ForEachCell(cells, [&](int64_t element, int64_t slot) {
      if (arrow::bit_util::GetBit(bits, offset + element)) return;
      FailCell(frame, slot, ErrorCode::kConstraintViolation, kNullPhrase, *plan_);
    });
  }
  out->Resize(kept);
  return out->View();
}

Selection CellSource::FollowAll(const Layer& layer, const Selection& cells,
                                const Frame& frame, SelectionList* out) const {
  out->Clear();
  out->Reserve(cells.count);
  int64_t run_end = -1;  // elements in [run_first, run_end) lie in the run `target`
  int64_t run_first = 0;
  int64_t target = -1;
  ForEachCell(cells, [&](int64_t element, int64_t slot) {
    if (layer.kind == LayerKind::kDictionary) {
      target = Follow(layer, element);
    } else if (element < run_first || element >= run_end) {
      target = Follow(layer, element);
      if (target >= 0) {
        const arrow::ArrayData& ends = *layer.data->child_data[0];
        run_first = element;
        run_end = ReadIndex(layer, ends.buffers[1]->data(), ends.offset + target) -
                  layer.data->offset;
      }
    }
    if (target >= 0) {
      out->Add(target, slot);
    } else {
      FailCell(frame, slot, ErrorCode::kBadData, kOutOfBoundsPhrase, *plan_);
    }
  });
  return out->View();
}

Selection CellSource::Resolve(const Selection& cells, const Frame& frame) {
  Selection current = cells;
  int next = 0;
  for (const Layer& layer : layers_) {
    SelectionList* out = scratch_[next].get();
    switch (layer.kind) {
      case LayerKind::kAllNull:
        if (plan_->nulls == NullRule::kFail) {
          ForEachCell(current, [&](int64_t, int64_t slot) {
            FailCell(frame, slot, ErrorCode::kConstraintViolation, kNullPhrase, *plan_);
          });
        }
        out->Clear();
        current = out->View();
        break;
      case LayerKind::kValidity:
        current = DropNulls(layer, current, frame, out);
        break;
      case LayerKind::kDictionary:
      case LayerKind::kRunEnds:
        current = FollowAll(layer, current, frame, out);
        break;
    }
    if (current.index == out->View().index) next = 1 - next;
  }
  return current;
}

int64_t CellSource::FollowLayers(int64_t element) const {
  for (const Layer& layer : layers_) {
    switch (layer.kind) {
      case LayerKind::kAllNull:
        return kNull;
      case LayerKind::kValidity:
        if (!arrow::bit_util::GetBit(layer.data->buffers[0]->data(),
                                     layer.data->offset + element)) {
          return kNull;
        }
        break;
      case LayerKind::kDictionary:
      case LayerKind::kRunEnds:
        element = Follow(layer, element);
        if (element < 0) return kOutOfBounds;
        break;
    }
  }
  return element;
}

arrow::Result<int64_t> CellSource::ResolveOne(int64_t element) const {
  const int64_t found = Find(element);
  if (found == kOutOfBounds) return OutOfBounds();
  return found;
}

arrow::Status CellSource::OutOfBounds() const {
  return Error(ErrorCode::kBadData, kOutOfBoundsPhrase, plan_->path);
}

}  // namespace arrowport::zerobus::encode::internal
