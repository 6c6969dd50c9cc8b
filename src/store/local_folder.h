// A folder opened once; every path below it is resolved by the kernel so that it cannot
// leave the folder, whatever links it meets.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

namespace arrowport::store {

/// A file descriptor closed with its owner. Movable.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// The status of a failed system call: kNotFound, kAlreadyExists, kNoSpace, kInvalidName
/// (the path leaves the root, or is too long), else kStorageUnavailable.
arrow::Status SystemError(std::string_view what, std::string_view path, int error);

/// kInvalidName unless `path` is relative with plain parts: not empty, no ".", "..", NUL.
arrow::Status CheckRelativePath(std::string_view path);

/// "" for a name without a folder.
std::string_view FolderOf(std::string_view path);
std::string_view NameOf(std::string_view path);

/// Immutable, thread-safe.
class LocalFolder {
 public:
  /// `path` as given; with `create` it and its parents are made.
  static arrow::Result<LocalFolder> Open(const std::string& path, bool create);

  /// Absolute, links resolved.
  const std::string& path() const { return path_; }

  /// Opens below the folder with the flags of open(2); "" is the folder itself.
  arrow::Result<Descriptor> OpenBelow(std::string_view path, int flags,
                                      mode_t mode = 0) const;
  /// The folder `path`, made with its parents when missing. `made` tells that it was.
  arrow::Result<Descriptor> MakeFolder(std::string_view path, bool* made) const;

 private:
  LocalFolder(std::string path, Descriptor root)
      : path_(std::move(path)), root_(std::move(root)) {}

  int OpenNoErrorText(std::string_view path, int flags, mode_t mode) const;

  std::string path_;
  Descriptor root_;
};

}  // namespace arrowport::store
