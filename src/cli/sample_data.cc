#include "cli/sample_data.h"

#include <arrow/array/array_dict.h>
#include <arrow/array/array_primitive.h>
#include <arrow/array/builder_binary.h>
#include <arrow/buffer.h>
#include <arrow/util/bit_util.h>

#include <array>
#include <cmath>

namespace arrowport::cli {
namespace {

constexpr int32_t kFirstDay = 18262;  // 2020-01-01, days since 1970-01-01
constexpr uint32_t kDays = 1461;      // through 2023-12-31
constexpr int kCategories = 5;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014):
/// small, quick and the same everywhere, which std:: distributions are not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  /// In (0, 1].
  double Unit() { return static_cast<double>((Next() >> 11) + 1) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

/// `bits` (32 of them) scaled to [0, bound).
uint32_t Below(uint64_t bits, uint32_t bound) {
  return static_cast<uint32_t>((bits & 0xFFFFFFFFu) * bound >> 32);
}

constexpr std::array kSubjects = {"Order",   "Shipment", "Sensor",  "Invoice",
                                  "Session", "Payment",  "Reading", "Ticket"};
constexpr std::array kVerbs = {"received", "checked", "forwarded", "delayed",
                               "completed", "updated", "archived",  "reviewed"};
constexpr std::array kPlaces = {"in the north region", "in the south region",
                                "at the main site",    "by the night shift",
                                "through the portal",  "after inspection",
                                "without remarks",     "with follow-up"};
constexpr int kDescriptions =
    static_cast<int>(kSubjects.size() * kVerbs.size() * kPlaces.size());

arrow::Result<std::shared_ptr<arrow::Array>> MakeCategories() {
  arrow::StringBuilder builder;
  for (int i = 0; i < kCategories; ++i)
    ARROW_RETURN_NOT_OK(builder.Append(std::string(1, static_cast<char>('A' + i))));
  return builder.Finish();
}

arrow::Result<std::shared_ptr<arrow::Array>> MakeDescriptions() {
  arrow::StringBuilder builder;
  for (const char* subject : kSubjects) {
    for (const char* verb : kVerbs) {
      for (const char* place : kPlaces) {
        ARROW_RETURN_NOT_OK(
            builder.Append(std::string(subject) + " " + verb + " " + place));
      }
    }
  }
  return builder.Finish();
}

/// Columns of one batch while they are filled.
struct Columns {
  std::shared_ptr<arrow::Buffer> id, date, category, value1, value2, active, description;

  arrow::Status Allocate(int64_t rows) {
    ARROW_ASSIGN_OR_RAISE(id, arrow::AllocateBuffer(rows * 8));
    ARROW_ASSIGN_OR_RAISE(date, arrow::AllocateBuffer(rows * 4));
    ARROW_ASSIGN_OR_RAISE(category, arrow::AllocateBuffer(rows * 4));
    ARROW_ASSIGN_OR_RAISE(value1, arrow::AllocateBuffer(rows * 8));
    ARROW_ASSIGN_OR_RAISE(value2, arrow::AllocateBuffer(rows * 8));
    ARROW_ASSIGN_OR_RAISE(active, arrow::AllocateEmptyBitmap(rows));
    ARROW_ASSIGN_OR_RAISE(description, arrow::AllocateBuffer(rows * 4));
    return {};
  }
};

void FillDiscrete(Random& random, int64_t first_id, int64_t rows, Columns& columns) {
  auto* id = columns.id->mutable_data_as<int64_t>();
  auto* date = columns.date->mutable_data_as<int32_t>();
  auto* category = columns.category->mutable_data_as<int32_t>();
  auto* description = columns.description->mutable_data_as<int32_t>();
  uint8_t* active = columns.active->mutable_data();
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t one = random.Next();
    const uint64_t two = random.Next();
    id[row] = first_id + row;
    date[row] = kFirstDay + static_cast<int32_t>(Below(one, kDays));
    category[row] = static_cast<int32_t>(Below(one >> 32, kCategories));
    description[row] = static_cast<int32_t>(Below(two, kDescriptions));
    arrow::bit_util::SetBitTo(active, row, Below(two >> 32, 10) < 7);
  }
}

void FillContinuous(Random& random, int64_t rows, Columns& columns) {
  auto* value1 = columns.value1->mutable_data_as<double>();
  auto* value2 = columns.value2->mutable_data_as<double>();
  for (int64_t row = 0; row < rows; row += 2) {
    // Marsaglia's polar method: two normal values at a time.
    double u = 0, v = 0, s = 0;
    do {
      u = 2 * random.Unit() - 1;
      v = 2 * random.Unit() - 1;
      s = u * u + v * v;
    } while (s >= 1 || s == 0);
    const double scale = std::sqrt(-2 * std::log(s) / s);
    value1[row] = 100 + 15 * u * scale;
    value2[row] = -50 * std::log(random.Unit());
    if (row + 1 == rows) break;
    value1[row + 1] = 100 + 15 * v * scale;
    value2[row + 1] = -50 * std::log(random.Unit());
  }
}

}  // namespace

std::shared_ptr<arrow::Schema> SampleSchema() {
  const auto text = arrow::dictionary(arrow::int32(), arrow::utf8());
  return arrow::schema({
      arrow::field("id", arrow::int64()),
      arrow::field("date", arrow::date32()),
      arrow::field("category", text),
      arrow::field("value1", arrow::float64()),
      arrow::field("value2", arrow::float64()),
      arrow::field("active", arrow::boolean()),
      arrow::field("description", text),
  });
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeSampleBatch(uint64_t seed,
                                                                   int64_t first_id,
                                                                   int64_t rows) {
  const auto schema = SampleSchema();
  Columns columns;
  ARROW_RETURN_NOT_OK(columns.Allocate(rows));
  // One generator per batch: its start is drawn from seed and place.
  Random start(seed ^ (static_cast<uint64_t>(first_id) * 0xD1342543DE82EF95u));
  Random discrete(start.Next());
  Random continuous(start.Next());
  FillDiscrete(discrete, first_id, rows, columns);
  FillContinuous(continuous, rows, columns);
  ARROW_ASSIGN_OR_RAISE(auto categories, MakeCategories());
  ARROW_ASSIGN_OR_RAISE(auto descriptions, MakeDescriptions());
  const auto dictionary = [&](std::shared_ptr<arrow::Buffer> indices,
                              std::shared_ptr<arrow::Array> values) {
    return std::make_shared<arrow::DictionaryArray>(
        schema->field(2)->type(), std::make_shared<arrow::Int32Array>(rows, indices),
        std::move(values));
  };
  return arrow::RecordBatch::Make(
      schema, rows,
      arrow::ArrayVector{std::make_shared<arrow::Int64Array>(rows, columns.id),
                         std::make_shared<arrow::Date32Array>(rows, columns.date),
                         dictionary(columns.category, categories),
                         std::make_shared<arrow::DoubleArray>(rows, columns.value1),
                         std::make_shared<arrow::DoubleArray>(rows, columns.value2),
                         std::make_shared<arrow::BooleanArray>(rows, columns.active),
                         dictionary(columns.description, descriptions)});
}

}  // namespace arrowport::cli
