#include "sink/delta/table_folder.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace arrowport::sink {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLogFolder = "_delta_log";
constexpr std::string_view kChangeFolder = "_change_data";

arrow::Status CheckPart(std::string_view part) {
  for (const char c : part) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!allowed) {
      return Error(ErrorCode::kInvalidName,
                   "the name of a Delta table takes only letters, digits, _ and -: ", part);
    }
  }
  if (part.empty() || part == kLogFolder || part == kChangeFolder) {
    return Error(ErrorCode::kInvalidName, "not a name for a Delta table: '", part, "'");
  }
  return {};
}

/// Links inside the root may point anywhere inside it, none out of it.
arrow::Status CheckBelow(const fs::path& root, const fs::path& folder) {
  std::error_code failure;
  const fs::path real_root = fs::canonical(root, failure);
  if (failure) return {};  // is made below
  const fs::path real_folder = fs::weakly_canonical(folder, failure);
  const auto parts = std::mismatch(real_root.begin(), real_root.end(), real_folder.begin(),
                                   real_folder.end());
  if (failure || parts.first != real_root.end()) {
    return Error(ErrorCode::kInvalidName, "the folder of the table leads out of the root: ",
                 folder.filename().string());
  }
  return {};
}

}  // namespace

arrow::Status CheckDeltaName(const schema::TableName& name) {
  ARROW_RETURN_NOT_OK(CheckPart(name.schema));
  return CheckPart(name.table);
}

arrow::Status CheckNewTableFolder(const std::string& root, const schema::TableName& name) {
  const fs::path folder(root);
  std::error_code failure;
  if (name.schema != "main" && fs::exists(folder / name.schema / kLogFolder, failure)) {
    return Error(ErrorCode::kInvalidName, "the folder of the schema is a Delta table: ",
                 name.schema);
  }
  for (fs::directory_iterator entry(folder / TableFolder(name), failure), end;
       !failure && entry != end; entry.increment(failure)) {
    if (fs::exists(entry->path() / kLogFolder, failure)) {
      return Error(ErrorCode::kInvalidName, "the folder of the table holds other tables: ",
                   name.ToString());
    }
    failure.clear();
  }
  return {};
}

std::string TableFolder(const schema::TableName& name) {
  return name.schema == "main" ? name.table : name.schema + "/" + name.table;
}

arrow::Result<std::shared_ptr<store::Store>> OpenTableFolder(
    const std::string& root, const schema::TableName& name, store::Durability durability,
    IfMissing if_missing) {
  const fs::path folder = fs::path(root) / TableFolder(name);
  ARROW_RETURN_NOT_OK(CheckBelow(root, folder));
  if (if_missing == IfMissing::kMake) ARROW_RETURN_NOT_OK(CheckNewTableFolder(root, name));
  auto opened = store::OpenLocalStore(folder.string(), durability,
                                      if_missing == IfMissing::kMake);
  if (opened.ok() || CodeOf(opened.status()) != ErrorCode::kNotFound) return opened;
  return Error(ErrorCode::kTableNotFound, "no such Delta table: ", name.ToString());
}

}  // namespace arrowport::sink
