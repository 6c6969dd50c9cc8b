#include "store/local_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/error.h"

namespace arrowport::store {
namespace {

constexpr size_t kPathBytesMax = 4000;
constexpr mode_t kFolderMode = 0777;  // less the umask

int OpenBeneath(int root, const char* path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const int fd = static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof(how)));
    // EAGAIN: a rename ran at the same time and the kernel could not be sure.
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return fd;
  }
}

/// For kernels (or sandboxes) without openat2: one part at a time, no links at all.
int OpenStepwise(int root, std::string_view path, int flags, mode_t mode) {
  Descriptor folder;
  int at = root;
  while (true) {
    const size_t slash = path.find('/');
    const std::string part(path.substr(0, slash));
    if (slash == std::string_view::npos) {
      return openat(at, part.c_str(), flags | O_NOFOLLOW, mode);
    }
    const int next = openat(at, part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) return -1;
    folder = Descriptor(next);
    at = next;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

arrow::Status SystemError(std::string_view what, std::string_view path, int error) {
  ErrorCode code = ErrorCode::kStorageUnavailable;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      code = ErrorCode::kNotFound;
      break;
    case EEXIST:
      code = ErrorCode::kAlreadyExists;
      break;
    case ENOSPC:
    case EDQUOT:
      code = ErrorCode::kNoSpace;
      break;
    case EXDEV:
    case ELOOP:
      return Error(ErrorCode::kInvalidName, "the path leaves the root: ", path);
    case ENAMETOOLONG:
      code = ErrorCode::kInvalidName;
      break;
    default:
      break;
  }
  return Error(code, what, ": ", path, ": ",
               std::error_code(error, std::generic_category()).message());
}

arrow::Status CheckRelativePath(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) {
    return Error(ErrorCode::kInvalidName, "a path must have 1 to ", kPathBytesMax,
                 " bytes, not ", path.size());
  }
  if (path.find('\0') != std::string_view::npos) {
    return Error(ErrorCode::kInvalidName, "a path may not hold a NUL byte");
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") {
      return Error(ErrorCode::kInvalidName, "the path leaves the root or is not plain: ",
                   path);
    }
    begin = end + 1;
  }
  return {};
}

std::string_view FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

arrow::Result<LocalFolder> LocalFolder::Open(const std::string& path, bool create) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return Error(ErrorCode::kInvalidName, "not the path of a folder: '", path, "'");
  }
  if (create) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return SystemError("making the folder failed", path, error.value());
  }
  Descriptor root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return SystemError("opening the folder failed", path, errno);
  const std::unique_ptr<char, decltype(&std::free)> absolute(
      realpath(path.c_str(), nullptr), &std::free);
  if (absolute == nullptr) return SystemError("opening the folder failed", path, errno);
  return LocalFolder(absolute.get(), std::move(root));
}

int LocalFolder::OpenNoErrorText(std::string_view path, int flags, mode_t mode) const {
  const std::string text(path.empty() ? "." : path);
  int fd = OpenBeneath(root_.get(), text.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
    fd = OpenStepwise(root_.get(), text, flags | O_CLOEXEC, mode);
  }
  return fd;
}

arrow::Result<Descriptor> LocalFolder::OpenBelow(std::string_view path, int flags,
                                                 mode_t mode) const {
  if (!path.empty()) ARROW_RETURN_NOT_OK(CheckRelativePath(path));
  const int fd = OpenNoErrorText(path, flags, mode);
  if (fd < 0) return SystemError("opening failed", path, errno);
  return Descriptor(fd);
}

arrow::Result<Descriptor> LocalFolder::MakeFolder(std::string_view path,
                                                  bool* made) const {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY;
  *made = false;
  if (!path.empty()) ARROW_RETURN_NOT_OK(CheckRelativePath(path));
  const int fd = OpenNoErrorText(path, kFlags, 0);
  if (fd >= 0) return Descriptor(fd);
  if (errno != ENOENT || path.empty()) {
    return SystemError("opening the folder failed", path, errno);
  }
  bool parent_made = false;
  ARROW_ASSIGN_OR_RAISE(Descriptor parent, MakeFolder(FolderOf(path), &parent_made));
  if (mkdirat(parent.get(), std::string(NameOf(path)).c_str(), kFolderMode) != 0 &&
      errno != EEXIST) {
    return SystemError("making the folder failed", path, errno);
  }
  *made = true;
  return OpenBelow(path, kFlags);
}

}  // namespace arrowport::store
