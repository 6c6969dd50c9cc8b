#include "sql_case.h"

#include <arrow/array.h>
#include <arrow/type.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace arrowport::sql_test {
namespace {

std::string Escaped(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (c < 0x20 || c == '\\' || c == '|' || c == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof(code), "\\x%02x", c);
      out += code;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

std::string Value(const arrow::Scalar& scalar);

std::string Items(const arrow::Array& array) {
  std::string out;
  for (int64_t i = 0; i < array.length(); ++i) {
    if (i > 0) out += ", ";
    out += Value(*array.GetScalar(i).ValueOrDie());
  }
  return out;
}

std::string Value(const arrow::Scalar& scalar) {
  if (!scalar.is_valid) return "NULL";
  switch (scalar.type->id()) {
    case arrow::Type::LIST:
    case arrow::Type::FIXED_SIZE_LIST:
      return "[" + Items(*static_cast<const arrow::BaseListScalar&>(scalar).value) + "]";
    case arrow::Type::MAP: {
      const auto& entries = static_cast<const arrow::StructArray&>(
          *static_cast<const arrow::MapScalar&>(scalar).value);
      std::string out = "{";
      for (int64_t i = 0; i < entries.length(); ++i) {
        if (i > 0) out += ", ";
        out += Value(*entries.field(0)->GetScalar(i).ValueOrDie()) + "=" +
               Value(*entries.field(1)->GetScalar(i).ValueOrDie());
      }
      return out + "}";
    }
    case arrow::Type::STRUCT: {
      const auto& values = static_cast<const arrow::StructScalar&>(scalar).value;
      std::string out = "{";
      for (size_t i = 0; i < values.size(); ++i) {
        if (i > 0) out += ", ";
        out += scalar.type->field(static_cast<int>(i))->name() + ": " + Value(*values[i]);
      }
      return out + "}";
    }
    case arrow::Type::SPARSE_UNION: {
      const auto& chosen = static_cast<const arrow::SparseUnionScalar&>(scalar);
      return "<" + Value(*chosen.value[chosen.child_id]) + ">";
    }
    case arrow::Type::STRING:
      return Escaped(static_cast<const arrow::StringScalar&>(scalar).view());
    case arrow::Type::BINARY: {
      std::string out = "0x";
      for (unsigned char c : static_cast<const arrow::BinaryScalar&>(scalar).view()) {
        char code[4];
        std::snprintf(code, sizeof(code), "%02x", c);
        out += code;
      }
      return out;
    }
    default:
      return scalar.ToString();
  }
}

bool StartsWith(const std::string& text, const char* start) {
  return text.rfind(start, 0) == 0;
}

arrow::Result<std::vector<std::string>> ReadLines(const std::string& path) {
  std::ifstream file(path);
  if (!file) return arrow::Status::IOError("cannot read ", path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

arrow::Result<std::vector<Case>> ReadCases(const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto lines, ReadLines(path));
  std::vector<Case> cases;
  size_t i = 0;
  while (i < lines.size()) {
    if (lines[i].empty() || lines[i][0] == '#') {
      ++i;
      continue;
    }
    Case one;
    one.line = static_cast<int>(i) + 1;
    std::istringstream words(lines[i]);
    std::string kind, word;
    words >> kind >> word;
    if (kind == "query") {
      one.kind = Case::Kind::kQuery;
      one.rowsort = word == "rowsort";
    } else if (kind == "statement" && word == "error") {
      one.kind = Case::Kind::kError;
      words >> one.error;
    } else if (kind != "statement" || word != "ok") {
      return arrow::Status::Invalid(path, ":", i + 1, ": not a case: ", lines[i]);
    }
    for (++i; i < lines.size() && !lines[i].empty() && lines[i] != "----"; ++i) {
      one.sql += (one.sql.empty() ? "" : "\n") + lines[i];
    }
    if (i < lines.size() && lines[i] == "----") {
      for (++i; i < lines.size() && !lines[i].empty(); ++i) {
        one.expected.push_back(lines[i]);
      }
    }
    cases.push_back(std::move(one));
  }
  return cases;
}

arrow::Result<std::vector<std::string>> Format(
    const arrow::Schema& schema,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches, bool rowsort) {
  std::string header;
  for (const auto& field : schema.fields()) {
    if (!header.empty()) header += " | ";
    header += Escaped(field->name()) + ": " + field->type()->ToString();
  }
  std::vector<std::string> out;
  for (const auto& batch : batches) {
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    for (int64_t row = 0; row < batch->num_rows(); ++row) {
      std::string line;
      for (int column = 0; column < batch->num_columns(); ++column) {
        if (column > 0) line += " | ";
        ARROW_ASSIGN_OR_RAISE(auto scalar, batch->column(column)->GetScalar(row));
        line += Value(*scalar);
      }
      out.push_back(line.empty() ? "(empty)" : line);
    }
  }
  if (rowsort) std::sort(out.begin(), out.end());
  out.insert(out.begin(), header);
  return out;
}

arrow::Status Rewrite(const std::string& path, const std::vector<Case>& cases,
                      const std::vector<std::vector<std::string>>& results) {
  ARROW_ASSIGN_OR_RAISE(auto lines, ReadLines(path));
  std::ofstream file(path, std::ios::trunc);
  size_t next = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    file << lines[i] << "\n";
    if (next >= cases.size() || static_cast<int>(i) + 1 != cases[next].line) continue;
    const auto& result = results[next++];
    if (!StartsWith(lines[i], "query") || result.empty()) continue;
    for (++i; i < lines.size() && !lines[i].empty() && lines[i] != "----"; ++i) {
      file << lines[i] << "\n";
    }
    while (i < lines.size() && !lines[i].empty()) ++i;
    file << "----\n";
    for (const auto& line : result) file << line << "\n";
    file << "\n";
  }
  return {};
}

}  // namespace arrowport::sql_test
