// Structs, lists and maps: message instances below the rows.
#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_set>

#include "zerobus/encode/cell_values.h"
#include "zerobus/encode/protobuf_cells.h"
#include "zerobus/encode/wire_format.h"

namespace arrowport::zerobus::encode::internal {
namespace {

/// List elements a block may hold before it is cut into fewer rows.
constexpr int64_t kBlockElementsMax = 1 << 18;

/// The message instances of one field in the present block: one per cell.
class Instances {
 public:
  explicit Instances(int field_number) : tag_(field_number, WireType::kLength) {}

  /// New instances for `cells`, all empty.
  void Start(const Selection& cells, const Frame& parent) {
    const size_t count = static_cast<size_t>(cells.count);
    sizes_.assign(count, 0);
    rows_.resize(count);
    for (int64_t k = 0; k < cells.count; ++k) {
      rows_[static_cast<size_t>(k)] = static_cast<int32_t>(parent.RowOf(cells.SlotAt(k)));
    }
    frame_ = parent;
    frame_.count = cells.count;
    frame_.size = sizes_.data();
    frame_.row = rows_.data();
    frame_.cursor = nullptr;
  }

  /// The instances' members as cells: one per instance, `shift` further in the array.
  Selection Members(const Selection& cells, int64_t shift) {
    if (cells.dense()) return {.count = cells.count, .first = cells.first + shift};
    members_.Resize(cells.count);
    for (int64_t k = 0; k < cells.count; ++k) {
      members_.index()[k] = cells.index[k] + shift;
      members_.slot()[k] = static_cast<int32_t>(k);
    }
    return members_.View();
  }

  void AddSizes(const Selection& cells, Frame* parent) const {
    for (int64_t k = 0; k < cells.count; ++k) {
      int64_t size = sizes_[static_cast<size_t>(k)];
      parent->size[cells.SlotAt(k)] +=
          tag_.size() + VarintSize(static_cast<uint64_t>(size)) + size;
    }
  }

  /// Writes tags and lengths and gives every instance its place.
  void Place(const Selection& cells, Frame* parent) {
    cursors_.resize(sizes_.size());
    frame_.cursor = cursors_.data();
    for (int64_t k = 0; k < cells.count; ++k) {
      int64_t size = sizes_[static_cast<size_t>(k)];
      uint8_t*& cursor = parent->cursor[cells.SlotAt(k)];
      uint8_t* at = PutVarint(tag_.Put(cursor), static_cast<uint64_t>(size));
      cursors_[static_cast<size_t>(k)] = at;
      cursor = at + size;
    }
  }

  /// Gives every instance its place in `bytes`, back to back, without tags.
  void PlaceIn(std::vector<uint8_t>* bytes) {
    bytes->resize(static_cast<size_t>(
                      std::accumulate(sizes_.begin(), sizes_.end(), int64_t{0})) +
                  1);
    cursors_.resize(sizes_.size());
    frame_.cursor = cursors_.data();
    uint8_t* at = bytes->data();
    for (size_t k = 0; k < sizes_.size(); ++k) {
      cursors_[k] = at;
      at += sizes_[k];
    }
  }

  Frame* frame() { return &frame_; }
  int64_t SizeOf(int64_t instance) const { return sizes_[static_cast<size_t>(instance)]; }
  /// After the fields were written: past the end of the instance.
  const uint8_t* EndOf(int64_t instance) const {
    return cursors_[static_cast<size_t>(instance)];
  }

 private:
  Tag tag_;
  Frame frame_;
  std::vector<int64_t> sizes_;
  std::vector<int32_t> rows_;
  std::vector<uint8_t*> cursors_;
  SelectionList members_;
};

class StructCells final : public ValueCells {
 public:
  StructCells(const FieldPlan& plan, const arrow::ArrayData& values)
      : plan_(plan), offset_(values.offset), instances_(plan.field_number) {}

  arrow::Status AddMembers(const arrow::ArrayData& values) {
    for (const FieldPlan& member : plan_.children) {
      ARROW_ASSIGN_OR_RAISE(
          FieldCells cells,
          FieldCells::Make(member,
                           values.child_data[static_cast<size_t>(member.child_index)]));
      members_.push_back(std::move(cells));
    }
    return arrow::Status::OK();
  }

  void Size(const Selection& cells, Frame* frame) override {
    cells_ = cells;
    instances_.Start(cells, *frame);
    Selection inside = instances_.Members(cells, offset_);
    for (FieldCells& member : members_) member.Size(inside, instances_.frame());
    instances_.AddSizes(cells, frame);
  }

  void Write(Frame* frame) override {
    instances_.Place(cells_, frame);
    for (FieldCells& member : members_) member.Write(instances_.frame());
  }

 private:
  const FieldPlan& plan_;
  int64_t offset_;
  Selection cells_;
  Instances instances_;
  std::vector<FieldCells> members_;
};

/// Puts the elements of all lists into `elements`, each in its list's slot. False when
/// there are too many for one block.
bool CollectElements(const FieldPlan& plan, const ListReader& reader,
                     const Selection& cells, const Frame& frame, SelectionList* elements) {
  elements->Clear();
  bool fits = true;
  ForEachCell(cells, [&](int64_t element, int64_t slot) {
    ListRange range;
    if (!reader.Read(element, &range)) [[unlikely]] {
      FailCell(frame, slot, ErrorCode::kBadData, "list lies outside its elements: ", plan);
      return;
    }
    if (range.count > frame.elements_max) [[unlikely]] {
      FailCell(frame, slot, ErrorCode::kTooLarge,
           "list has more elements than a row may have bytes: ", plan);
      return;
    }
    if (!fits || (frame.row_count > 1 &&
                  elements->size() + range.count > kBlockElementsMax)) [[unlikely]] {
      fits = false;
      return;
    }
    for (int64_t i = 0; i < range.count; ++i) elements->Add(range.first + i, slot);
  });
  if (!fits) frame.failures->AskForFewerRows();
  return fits;
}

class ListCells final : public ValueCells {
 public:
  ListCells(const FieldPlan& plan, ListReader reader, FieldCells element)
      : plan_(plan), reader_(reader), element_(std::move(element)) {}

  void Size(const Selection& cells, Frame* frame) override {
    if (!CollectElements(plan_, reader_, cells, *frame, &elements_)) return;
    element_.Size(elements_.View(), frame);
  }
  void Write(Frame* frame) override { element_.Write(frame); }

 private:
  const FieldPlan& plan_;
  ListReader reader_;
  FieldCells element_;
  SelectionList elements_;
};

class MapCells final : public ValueCells {
 public:
  MapCells(const FieldPlan& plan, const arrow::ArrayData& values, CellSource entries,
           FieldCells key, FieldCells value)
      : plan_(plan),
        reader_(plan, values),
        offset_(values.child_data[0]->offset),
        source_(std::move(entries)),
        key_(std::move(key)),
        value_(std::move(value)),
        instances_(plan.field_number) {}

  void Size(const Selection& cells, Frame* frame) override {
    if (!CollectElements(plan_, reader_, cells, *frame, &elements_)) return;
    entries_ = source_.Resolve(elements_.View(), *frame);
    if (plan_.null_elements == NullElements::kDrop) DropNullValues(*frame);
    DropRepeatedKeys(*frame);
    instances_.Start(entries_, *frame);
    Selection inside = instances_.Members(entries_, offset_);
    key_.Size(inside, instances_.frame());
    value_.Size(inside, instances_.frame());
    instances_.AddSizes(entries_, frame);
  }

  void Write(Frame* frame) override {
    instances_.Place(entries_, frame);
    key_.Write(instances_.frame());
    value_.Write(instances_.frame());
  }

 private:
  void DropNullValues(const Frame& frame) {
    instances_.Start(entries_, frame);
    Selection kept = value_.source().Resolve(instances_.Members(entries_, offset_),
                                             *instances_.frame());
    if (kept.count == entries_.count) return;
    remaining_.Clear();
    for (int64_t k = 0; k < kept.count; ++k) {
      int64_t entry = kept.SlotAt(k);
      remaining_.Add(entries_.index[entry], entries_.slot[entry]);
    }
    elements_.Clear();
    std::swap(elements_, remaining_);
    entries_ = elements_.View();
  }

  /// Of entries with one key in one map the last stays. Keys are compared as encoded, which
  /// is what a reader of the record sees.
  void DropRepeatedKeys(const Frame& frame) {
    bool single = true;
    for (int64_t k = 1; k < entries_.count && single; ++k) {
      single = entries_.slot[k] != entries_.slot[k - 1];
    }
    if (single) return;
    instances_.Start(entries_, frame);
    key_.Size(instances_.Members(entries_, offset_), instances_.frame());
    if (frame.failures->any() || frame.failures->wants_fewer_rows()) return;
    instances_.PlaceIn(&key_bytes_);
    key_.Write(instances_.frame());
    keep_.assign(static_cast<size_t>(entries_.count), true);
    bool repeated = false;
    for (int64_t end = entries_.count; end > 0;) {
      int64_t begin = end - 1;
      while (begin > 0 && entries_.slot[begin - 1] == entries_.slot[begin]) --begin;
      repeated |= MarkRepeated(begin, end);
      end = begin;
    }
    if (!repeated) return;
    remaining_.Clear();
    for (int64_t k = 0; k < entries_.count; ++k) {
      if (keep_[static_cast<size_t>(k)]) remaining_.Add(entries_.index[k], entries_.slot[k]);
    }
    elements_.Clear();
    std::swap(elements_, remaining_);
    entries_ = elements_.View();
  }

  /// Clears keep_ for entries of one map whose key comes again.
  bool MarkRepeated(int64_t begin, int64_t end) {
    if (end - begin < 2) return false;
    bool repeated = false;
    seen_.clear();
    for (int64_t k = end - 1; k >= begin; --k) {
      size_t size = static_cast<size_t>(instances_.SizeOf(k));
      std::string_view key(reinterpret_cast<const char*>(instances_.EndOf(k)) - size, size);
      if (!seen_.insert(key).second) {
        keep_[static_cast<size_t>(k)] = false;
        repeated = true;
      }
    }
    return repeated;
  }

  const FieldPlan& plan_;
  ListReader reader_;
  int64_t offset_;  ///< of the entries' struct array
  CellSource source_;
  FieldCells key_;
  FieldCells value_;
  Instances instances_;
  SelectionList elements_;
  SelectionList remaining_;
  Selection entries_;
  std::vector<uint8_t> key_bytes_;
  std::vector<bool> keep_;
  std::unordered_set<std::string_view> seen_;
};

arrow::Result<std::unique_ptr<ValueCells>> MakeMap(const FieldPlan& plan,
                                                   const arrow::ArrayData& values) {
  const std::shared_ptr<arrow::ArrayData>& entries = values.child_data[0];
  ARROW_ASSIGN_OR_RAISE(CellSource source, CellSource::Make(plan.children[0], entries));
  ARROW_ASSIGN_OR_RAISE(FieldCells key,
                        FieldCells::Make(plan.children[0], entries->child_data[0]));
  ARROW_ASSIGN_OR_RAISE(FieldCells value,
                        FieldCells::Make(plan.children[1], entries->child_data[1]));
  return std::make_unique<MapCells>(plan, values, std::move(source), std::move(key),
                                    std::move(value));
}

}  // namespace

arrow::Result<FieldCells> FieldCells::Make(const FieldPlan& plan,
                                           std::shared_ptr<arrow::ArrayData> array) {
  ARROW_ASSIGN_OR_RAISE(CellSource source, CellSource::Make(plan, std::move(array)));
  std::unique_ptr<ValueCells> values = MakeScalarCells(plan, *source.values());
  if (!values) {
    ARROW_ASSIGN_OR_RAISE(values, MakeNestedCells(plan, *source.values()));
  }
  return FieldCells(std::move(source), std::move(values));
}

arrow::Result<std::unique_ptr<ValueCells>> MakeNestedCells(
    const FieldPlan& plan, const arrow::ArrayData& values) {
  switch (plan.target) {
    case TypeId::kStruct: {
      auto cells = std::make_unique<StructCells>(plan, values);
      ARROW_RETURN_NOT_OK(cells->AddMembers(values));
      return cells;
    }
    case TypeId::kArray: {
      ARROW_ASSIGN_OR_RAISE(FieldCells element,
                            FieldCells::Make(plan.children[0], values.child_data[0]));
      return std::make_unique<ListCells>(plan, ListReader(plan, values),
                                         std::move(element));
    }
    default:
      return MakeMap(plan, values);
  }
}

}  // namespace arrowport::zerobus::encode::internal
