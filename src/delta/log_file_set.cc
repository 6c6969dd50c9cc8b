#include "delta/log_file_set.h"

namespace arrowport::delta {

arrow::Result<std::string> FileKey(std::string_view path_in_log,
                                   const std::optional<DeletionVectorDescriptor>& vector) {
  ARROW_ASSIGN_OR_RAISE(const DataPath decoded, DecodePath(path_in_log));
  return FileKeyOfDecoded(decoded.path, vector ? vector->UniqueId() : std::string());
}

std::string FileKeyOfDecoded(std::string_view path, std::string_view dv_id) {
  // A decoded path holds no NUL, so the parts cannot be confused.
  std::string key;
  key.reserve(path.size() + 1 + dv_id.size());
  key.append(path).push_back('\0');
  key.append(dv_id);
  return key;
}

}  // namespace arrowport::delta
