// A file of a local store being written without a name (O_TMPFILE), so that a crash leaves
// nothing behind; where the file system has no such files, under a hidden name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/local_folder.h"
#include "store/store.h"

namespace arrowport::store {

/// What the names of unfinished files begin with, where they have one. A crash may leave
/// such a file behind; nothing refers to it.
inline constexpr std::string_view kTemporaryPrefix = ".arrowport-tmp-";

enum class Appear {
  kIfAbsent,  ///< kAlreadyExists when the name is taken
  kReplace,
};

/// The file `path` in the opened folder `folder`.
class LocalWriter final : public FileWriter {
 public:
  static arrow::Result<std::unique_ptr<LocalWriter>> Make(Descriptor folder,
                                                          std::string_view path,
                                                          Durability durability,
                                                          Appear appear);
  ~LocalWriter() override;

  arrow::io::OutputStream* stream() override;
  arrow::Status Finish() override;
  /// Makes the name durable too; after Finish.
  arrow::Status SyncFolder();

 private:
  class Stream;
  LocalWriter() = default;
  Descriptor OpenUnnamed() const;
  arrow::Status OpenNamed(Descriptor* file);
  int LinkUnnamed(const char* to) const;
  arrow::Status GiveName();

  Descriptor folder_;
  std::string path_, name_;
  std::string temporary_name_;  ///< empty while the file has no name
  Durability durability_ = Durability::kSync;
  Appear appear_ = Appear::kIfAbsent;
  bool temporary_exists_ = false;
  bool finished_ = false;
  std::shared_ptr<Stream> stream_;
};

}  // namespace arrowport::store
