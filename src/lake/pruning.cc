#include "lake/pruning.h"

#include <algorithm>
#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/common/table_column.hpp>
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/optimizer/filter_combiner.hpp>
#include <duckdb/planner/expression/bound_columnref_expression.hpp>
#include <duckdb/planner/expression/bound_constant_expression.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>
#include <duckdb/planner/expression_iterator.hpp>
#include <duckdb/planner/filter/expression_filter.hpp>
#include <duckdb/planner/filter/list.hpp>
#include <map>
#include <optional>
#include <string>

namespace arrowport::lake {
namespace {

using duckdb::BoundColumnRefExpression;
using duckdb::BoundConstantExpression;
using duckdb::Expression;
using duckdb::ExpressionType;
using duckdb::FilterPropagateResult;
using duckdb::TableFilter;
using duckdb::TableFilterType;
using duckdb::Value;

// --- predicates over constant columns ---

/// The columns a predicate reads, when all of them are columns of the table with a slot.
std::optional<std::vector<uint32_t>> SlotsRead(
    const ScanSource& source, const duckdb::MultiFilePushdownInfo& info,
    const Expression& predicate) {
  std::vector<uint32_t> slots;
  bool only_slots = true;
  duckdb::ExpressionIterator::VisitExpression<BoundColumnRefExpression>(
      predicate, [&](const BoundColumnRefExpression& reference) {
        const auto position = reference.binding.column_index;
        if (reference.depth != 0 || reference.binding.table_index != info.table_index ||
            position >= info.column_ids.size() ||
            info.column_ids[position] >= source.columns.size() ||
            !source.columns[info.column_ids[position]].slot) {
          only_slots = false;
          return;
        }
        slots.push_back(*source.columns[info.column_ids[position]].slot);
      });
  if (!only_slots || slots.empty()) return std::nullopt;
  return slots;
}

enum class Verdict { kTrue, kFalse, kUnknown };

/// Decides one predicate for files, once per combination of constants.
class ConstantPredicate {
 public:
  ConstantPredicate(duckdb::ClientContext& context, const ScanSource& source,
                    const duckdb::MultiFilePushdownInfo& info,
                    const Expression& predicate, std::vector<uint32_t> slots)
      : context_(context),
        source_(source),
        info_(info),
        predicate_(predicate),
        slots_(std::move(slots)) {
    std::sort(slots_.begin(), slots_.end());
    slots_.erase(std::unique(slots_.begin(), slots_.end()), slots_.end());
  }

  Verdict Decide(const ScanFile& file) {
    std::string key;
    for (uint32_t slot : slots_) {
      const auto& constant = file.parts().constants[slot];
      if (!constant) return Verdict::kUnknown;
      const std::string text = constant->IsNull() ? "" : constant->ToString();
      key += constant->IsNull() ? 'n' : 'v';
      key += std::to_string(text.size());
      key += ':';
      key += text;
    }
    auto [entry, is_new] = decided_.try_emplace(std::move(key), Verdict::kUnknown);
    if (is_new) entry->second = Evaluate(file);
    return entry->second;
  }

 private:
  void Substitute(const ScanFile& file,
                  duckdb::unique_ptr<Expression>* expression) const {
    if ((*expression)->GetExpressionType() == ExpressionType::BOUND_COLUMN_REF) {
      const auto& reference = (*expression)->Cast<BoundColumnRefExpression>();
      const auto column = info_.column_ids[reference.binding.column_index];
      *expression = duckdb::make_uniq<BoundConstantExpression>(
          *file.parts().constants[*source_.columns[column].slot]);
      return;
    }
    duckdb::ExpressionIterator::EnumerateChildren(
        **expression,
        [&](duckdb::unique_ptr<Expression>& child) { Substitute(file, &child); });
  }

  Verdict Evaluate(const ScanFile& file) const {
    auto expression = predicate_.Copy();
    Substitute(file, &expression);
    Value result;
    if (!expression->IsFoldable() ||
        !duckdb::ExpressionExecutor::TryEvaluateScalar(context_, *expression, result) ||
        !result.DefaultTryCastAs(duckdb::LogicalType::BOOLEAN)) {
      return Verdict::kUnknown;
    }
    return !result.IsNull() && result.GetValue<bool>() ? Verdict::kTrue : Verdict::kFalse;
  }

  duckdb::ClientContext& context_;
  const ScanSource& source_;
  const duckdb::MultiFilePushdownInfo& info_;
  const Expression& predicate_;
  std::vector<uint32_t> slots_;
  // Values that print alike are alike: the columns of a slot have one type.
  std::map<std::string, Verdict> decided_;
};

// --- filters and statistics ---

bool IsOrdering(ExpressionType comparison) {
  switch (comparison) {
    case ExpressionType::COMPARE_EQUAL:
    case ExpressionType::COMPARE_NOTEQUAL:
    case ExpressionType::COMPARE_LESSTHAN:
    case ExpressionType::COMPARE_LESSTHANOREQUALTO:
    case ExpressionType::COMPARE_GREATERTHAN:
    case ExpressionType::COMPARE_GREATERTHANOREQUALTO:
      return true;
    default:
      return false;
  }
}

// Logs cut long strings; some writers leave a maximum that is a mere prefix.
constexpr size_t kWholeStringBytesMax = 31;

/// -1, 0, 1: `value` against a maximum of the log; 0 also when that is not certain.
bool IsAbove(std::string_view value, std::string_view max) {
  if (max.size() <= kWholeStringBytesMax) return value > max;
  return value.substr(0, max.size()) > max;
}

bool StringsCanMatch(const ColumnStatistics& column, ExpressionType comparison,
                     const std::string& constant) {
  const bool below_all = column.min && constant < duckdb::StringValue::Get(*column.min);
  const bool above_all =
      column.max && IsAbove(constant, duckdb::StringValue::Get(*column.max));
  switch (comparison) {
    case ExpressionType::COMPARE_EQUAL:
      return !below_all && !above_all;
    case ExpressionType::COMPARE_LESSTHAN:
    case ExpressionType::COMPARE_LESSTHANOREQUALTO:
      return !below_all;
    case ExpressionType::COMPARE_GREATERTHAN:
    case ExpressionType::COMPARE_GREATERTHANOREQUALTO:
      return !above_all;
    default:
      return true;
  }
}

struct Known {
  const ColumnStatistics* log = nullptr;
  duckdb::BaseStatistics* duckdb = nullptr;
};

bool CanMatch(const TableFilter& filter, const Known& known);

bool CanMatchConstant(const duckdb::ConstantFilter& filter, const Known& known) {
  if (!IsOrdering(filter.comparison_type)) return true;
  if (!known.duckdb->CanHaveNoNull()) return false;
  if (known.log != nullptr &&
      filter.constant.type().id() == duckdb::LogicalTypeId::VARCHAR) {
    return StringsCanMatch(*known.log, filter.comparison_type,
                           duckdb::StringValue::Get(filter.constant));
  }
  if (filter.constant.type().InternalType() != known.duckdb->GetType().InternalType()) {
    return true;
  }
  return filter.CheckStatistics(*known.duckdb) !=
         FilterPropagateResult::FILTER_ALWAYS_FALSE;
}

bool CanMatchIn(const duckdb::InFilter& filter, const Known& known) {
  return std::any_of(filter.values.begin(), filter.values.end(), [&](const Value& value) {
    return value.IsNull() ||
           CanMatchConstant(duckdb::ConstantFilter(ExpressionType::COMPARE_EQUAL, value),
                            known);
  });
}

bool CanMatchDynamic(const duckdb::DynamicFilter& filter, const Known& known) {
  if (!filter.filter_data) return true;
  duckdb::lock_guard<duckdb::mutex> lock(filter.filter_data->lock);
  if (!filter.filter_data->initialized || !filter.filter_data->filter) return true;
  return CanMatch(*filter.filter_data->filter, known);
}

bool CanMatch(const TableFilter& filter, const Known& known) {
  switch (filter.filter_type) {
    case TableFilterType::CONSTANT_COMPARISON:
      return CanMatchConstant(filter.Cast<duckdb::ConstantFilter>(), known);
    case TableFilterType::IS_NULL:
      return known.duckdb->CanHaveNull();
    case TableFilterType::IS_NOT_NULL:
      return known.duckdb->CanHaveNoNull();
    case TableFilterType::IN_FILTER:
      return CanMatchIn(filter.Cast<duckdb::InFilter>(), known);
    case TableFilterType::CONJUNCTION_AND:
      for (const auto& child : filter.Cast<duckdb::ConjunctionAndFilter>().child_filters) {
        if (!CanMatch(*child, known)) return false;
      }
      return true;
    case TableFilterType::CONJUNCTION_OR:
      for (const auto& child : filter.Cast<duckdb::ConjunctionOrFilter>().child_filters) {
        if (CanMatch(*child, known)) return true;
      }
      return false;
    case TableFilterType::OPTIONAL_FILTER: {
      const auto& child = filter.Cast<duckdb::OptionalFilter>().child_filter;
      return !child || CanMatch(*child, known);
    }
    case TableFilterType::DYNAMIC_FILTER:
      return CanMatchDynamic(filter.Cast<duckdb::DynamicFilter>(), known);
    default:  // members of structs, expressions, Bloom filters
      return true;
  }
}

bool FileCanMatch(const ScanSource& source, uint32_t index, duckdb::column_t column_id,
                  const TableFilter& filter) {
  const ScanFile& file = *source.files[index];
  if (column_id == duckdb::MultiFileReader::COLUMN_IDENTIFIER_FILE_INDEX) {
    auto statistics = ConstantStatistics(Value::UBIGINT(index));
    return CanMatch(filter, {nullptr, &statistics});
  }
  if (column_id >= source.columns.size()) return true;
  const ScanColumn& column = source.columns[column_id];
  if (column.slot && file.parts().constants[*column.slot]) {
    auto statistics = ConstantStatistics(*file.parts().constants[*column.slot]);
    return CanMatch(filter, {nullptr, &statistics});
  }
  if (column.type.IsNested()) return true;
  const auto& known =
      file.StatisticsOf(static_cast<uint32_t>(column_id), column.field, column.type);
  // Checking does not change statistics; DuckDB's interface is merely not const.
  return CanMatch(filter,
                  {&known.log, const_cast<duckdb::BaseStatistics*>(&known.duckdb)});
}

FileIndexes KeepMatching(const ScanSource& source, const FileIndexes& files,
                         duckdb::column_t column_id, const TableFilter& filter) {
  FileIndexes kept;
  for (uint32_t index : files) {
    if (FileCanMatch(source, index, column_id, filter)) kept.push_back(index);
  }
  return kept;
}

bool HasDistinctFrom(const TableFilter& filter) {
  const auto any = [](const auto& children) {
    return std::any_of(children.begin(), children.end(),
                       [](const auto& child) { return HasDistinctFrom(*child); });
  };
  switch (filter.filter_type) {
    case TableFilterType::CONSTANT_COMPARISON:
      return !IsOrdering(filter.Cast<duckdb::ConstantFilter>().comparison_type);
    case TableFilterType::CONJUNCTION_AND:
      return any(filter.Cast<duckdb::ConjunctionAndFilter>().child_filters);
    case TableFilterType::CONJUNCTION_OR:
      return any(filter.Cast<duckdb::ConjunctionOrFilter>().child_filters);
    case TableFilterType::STRUCT_EXTRACT:
      return HasDistinctFrom(*filter.Cast<duckdb::StructFilter>().child_filter);
    case TableFilterType::OPTIONAL_FILTER: {
      const auto& child = filter.Cast<duckdb::OptionalFilter>().child_filter;
      return child && HasDistinctFrom(*child);
    }
    default:
      return false;
  }
}

template <typename Conjunction>
duckdb::unique_ptr<TableFilter> RequiredOf(const Conjunction& filter, bool all_needed) {
  auto result = duckdb::make_uniq<Conjunction>();
  for (const auto& child : filter.child_filters) {
    auto part = RequiredPart(*child);
    if (part) {
      result->child_filters.push_back(std::move(part));
    } else if (all_needed) {
      return nullptr;  // one branch of an OR may be anything: so may the whole
    }
  }
  if (result->child_filters.empty()) return nullptr;
  return result;
}

}  // namespace

duckdb::unique_ptr<TableFilter> RequiredPart(const TableFilter& filter) {
  switch (filter.filter_type) {
    case TableFilterType::OPTIONAL_FILTER:
    case TableFilterType::DYNAMIC_FILTER:
    case TableFilterType::BLOOM_FILTER:
      return nullptr;
    case TableFilterType::CONJUNCTION_AND:
      return RequiredOf(filter.Cast<duckdb::ConjunctionAndFilter>(), false);
    case TableFilterType::CONJUNCTION_OR:
      return RequiredOf(filter.Cast<duckdb::ConjunctionOrFilter>(), true);
    default:
      return filter.Copy();
  }
}

duckdb::unique_ptr<TableFilter> CheckablePart(const TableFilter& filter,
                                              const duckdb::LogicalType& type) {
  if (!HasDistinctFrom(filter)) return filter.Copy();
  if (filter.filter_type == TableFilterType::OPTIONAL_FILTER) return nullptr;
  if (filter.filter_type == TableFilterType::CONJUNCTION_AND) {
    auto result = duckdb::make_uniq<duckdb::ConjunctionAndFilter>();
    for (const auto& child : filter.Cast<duckdb::ConjunctionAndFilter>().child_filters) {
      auto part = CheckablePart(*child, type);
      if (part) result->child_filters.push_back(std::move(part));
    }
    if (result->child_filters.empty()) return nullptr;
    return result;
  }
  return AsExpression(filter, type);
}

duckdb::unique_ptr<TableFilter> AsExpression(const TableFilter& filter,
                                             const duckdb::LogicalType& type) {
  duckdb::BoundReferenceExpression column(type, 0ULL);
  return duckdb::make_uniq<duckdb::ExpressionFilter>(filter.ToExpression(column));
}

FileIndexes PruneByPredicates(
    duckdb::ClientContext& context, const ScanSource& source, const FileIndexes& files,
    duckdb::MultiFilePushdownInfo& info,
    duckdb::vector<duckdb::unique_ptr<Expression>>& filters) {
  FileIndexes kept = files;
  duckdb::vector<duckdb::unique_ptr<Expression>> left;
  for (auto& filter : filters) {
    auto slots = SlotsRead(source, info, *filter);
    if (!slots || filter->IsVolatile() || filter->HasSubquery() ||
        filter->HasParameter()) {
      left.push_back(std::move(filter));
      continue;
    }
    ConstantPredicate predicate(context, source, info, *filter, *std::move(slots));
    bool decided = true;
    FileIndexes matching;
    for (uint32_t index : kept) {
      const Verdict verdict = predicate.Decide(*source.files[index]);
      if (verdict == Verdict::kUnknown) decided = false;
      if (verdict != Verdict::kFalse) matching.push_back(index);
    }
    kept = std::move(matching);
    if (!decided) left.push_back(std::move(filter));
  }
  filters = std::move(left);

  duckdb::FilterCombiner combiner(context);
  for (const auto& filter : filters) combiner.AddFilter(filter->Copy());
  duckdb::vector<duckdb::FilterPushdownResult> unused;
  auto table_filters = combiner.GenerateTableScanFilters(info.column_indexes, unused);
  for (const auto& [column_id, filter] : table_filters.filters) {
    kept = KeepMatching(source, kept, column_id, *filter);
  }
  return kept;
}

FileIndexes PruneByTableFilters(const ScanSource& source, const FileIndexes& files,
                                const duckdb::vector<duckdb::column_t>& column_ids,
                                const duckdb::TableFilterSet& filters) {
  FileIndexes kept = files;
  for (const auto& [position, filter] : filters.filters) {
    if (position >= column_ids.size()) continue;
    kept = KeepMatching(source, kept, column_ids[position], *filter);
  }
  return kept;
}

}  // namespace arrowport::lake
