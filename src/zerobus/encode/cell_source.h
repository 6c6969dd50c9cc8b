// From the cells of an Arrow array to cells of its plain values: nulls are taken out,
// dictionary and run-end encoding are followed.
#pragma once

#include <arrow/array/data.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "zerobus/encode/plan.h"
#include "zerobus/encode/selection.h"

namespace arrowport::zerobus::encode::internal {

/// Fails the row of `slot` unless it has failed: `phrase`, then the column's path.
void FailCell(const Frame& frame, int64_t slot, ErrorCode code, std::string_view phrase,
              const FieldPlan& plan);

/// Belongs to one call; keeps scratch between blocks.
class CellSource {
 public:
  /// `array` must outlive the source. REQUIRES: structurally valid (Array::Validate).
  static arrow::Result<CellSource> Make(const FieldPlan& plan,
                                        std::shared_ptr<arrow::ArrayData> array);

  /// The non-null cells of `cells`, as elements of values(). A null fails its row when the
  /// plan says so; an index outside its dictionary fails it too. The result lives until
  /// the next call.
  Selection Resolve(const Selection& cells, const Frame& frame);

  static constexpr int64_t kNull = -1;
  static constexpr int64_t kOutOfBounds = -2;
  /// The same for one cell: an element of values(), kNull or kOutOfBounds.
  int64_t Find(int64_t element) const {
    return layers_.empty() ? element : FollowLayers(element);
  }
  /// Find, with the error of kOutOfBounds instead: kBadData.
  arrow::Result<int64_t> ResolveOne(int64_t element) const;
  arrow::Status OutOfBounds() const;

  /// What the elements of Resolve refer to.
  const std::shared_ptr<arrow::ArrayData>& values() const { return values_; }

 private:
  enum class LayerKind : uint8_t { kValidity, kDictionary, kRunEnds, kAllNull };
  struct Layer {
    LayerKind kind;
    std::shared_ptr<arrow::ArrayData> data;
    int index_bytes = 0;  ///< of dictionary indices or run ends
    bool index_signed = true;
    int64_t values_length = 0;
  };

  explicit CellSource(const FieldPlan& plan) : plan_(&plan) {}
  arrow::Status AddLayers(std::shared_ptr<arrow::ArrayData> array);
  int64_t FollowLayers(int64_t element) const;
  static int64_t ReadIndex(const Layer& layer, const uint8_t* raw, int64_t position);
  /// The element behind `element`, -1 when out of bounds.
  static int64_t Follow(const Layer& layer, int64_t element);

  Selection DropNulls(const Layer& layer, const Selection& cells, const Frame& frame,
                      SelectionList* out) const;
  Selection FollowAll(const Layer& layer, const Selection& cells, const Frame& frame,
                      SelectionList* out) const;

  const FieldPlan* plan_;
  std::vector<Layer> layers_;
  std::shared_ptr<arrow::ArrayData> values_;
  std::unique_ptr<SelectionList> scratch_[2] = {std::make_unique<SelectionList>(),
                                                std::make_unique<SelectionList>()};
};

}  // namespace arrowport::zerobus::encode::internal
