#include <arrow/io/file.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/mutex.h"
#include "store/local_folder.h"
#include "store/local_writer.h"
#include "store/store.h"

namespace arrowport::store {
namespace {

/// Folders whose names are known to be durable; beyond this many they are synced again.
constexpr size_t kAnchoredFoldersMax = 4096;
constexpr int kFolderDepthMax = 64;
constexpr mode_t kLockMode = 0666;  // less the umask

int64_t ModifiedMs(const struct stat& facts) {
  return static_cast<int64_t>(facts.st_mtim.tv_sec) * 1000 + facts.st_mtim.tv_nsec / 1000000;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

struct Entry {
  std::string name;
  bool is_folder = false;
};

/// Files and folders in the opened folder, unsorted. Links are neither.
arrow::Result<std::vector<Entry>> ReadFolder(Descriptor descriptor, std::string_view path,
                                             std::string_view after) {
  const std::unique_ptr<DIR, CloseFolder> folder(fdopendir(descriptor.get()));
  if (folder == nullptr) return SystemError("listing failed", path, errno);
  (void)descriptor.release();
  std::vector<Entry> entries;
  for (;;) {
    errno = 0;
    const dirent* found = readdir(folder.get());
    if (found == nullptr) break;
    const std::string_view name = found->d_name;
    if (name == "." || name == ".." || (!after.empty() && name <= after)) continue;
    unsigned char type = found->d_type;
    if (type == DT_UNKNOWN) {
      struct stat facts;
      if (fstatat(dirfd(folder.get()), found->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;  // gone since
      }
      type = S_ISREG(facts.st_mode) ? DT_REG : S_ISDIR(facts.st_mode) ? DT_DIR : DT_UNKNOWN;
    }
    if (type == DT_REG || type == DT_DIR) {
      entries.push_back({std::string(name), type == DT_DIR});
    }
  }
  if (errno != 0) return SystemError("listing failed", path, errno);
  return entries;
}

/// flock belongs to the open file: its end, by whatever cause, is the lock's.
class LocalLock final : public Lock {
 public:
  explicit LocalLock(Descriptor file) : file_(std::move(file)) {}

 private:
  const Descriptor file_;
};

class LocalStore final : public Store {
 public:
  LocalStore(LocalFolder folder, Durability durability)
      : folder_(std::move(folder)),
        root_("file://" + folder_.path()),
        durability_(durability) {}

  const std::string& root() const override { return root_; }

  std::string PathFor(std::string_view path) const override {
    return folder_.path() + "/" + std::string(path);
  }

  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::string_view path,
                                                     int64_t bytes_max) const override {
    ARROW_ASSIGN_OR_RAISE(Descriptor file, OpenFile(path));
    struct stat facts;
    if (fstat(file.get(), &facts) != 0) return SystemError("reading failed", path, errno);
    if (facts.st_size > bytes_max) {
      return Error(ErrorCode::kTooLarge, "the file is larger than the ", bytes_max,
                   " bytes it may have: ", path, " has ", facts.st_size);
    }
    ARROW_ASSIGN_OR_RAISE(std::unique_ptr<arrow::Buffer> buffer,
                          arrow::AllocateBuffer(facts.st_size));
    int64_t done = 0;
    while (done < facts.st_size) {
      const ssize_t count = pread(file.get(), buffer->mutable_data() + done,
                                  static_cast<size_t>(facts.st_size - done), done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemError("reading failed", path, errno);
      if (count == 0) break;  // cut by somebody since
      done += count;
    }
    return arrow::SliceBuffer(std::shared_ptr<arrow::Buffer>(std::move(buffer)), 0, done);
  }

  arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Open(
      std::string_view path) const override {
    ARROW_ASSIGN_OR_RAISE(Descriptor file, OpenFile(path));
    ARROW_ASSIGN_OR_RAISE(auto opened, arrow::io::ReadableFile::Open(file.get()));
    (void)file.release();
    return opened;
  }

  arrow::Result<FileInfo> Stat(std::string_view path) const override {
    ARROW_RETURN_NOT_OK(CheckRelativePath(path));
    ARROW_ASSIGN_OR_RAISE(Descriptor file, folder_.OpenBelow(path, O_PATH));
    struct stat facts;
    if (fstat(file.get(), &facts) != 0) return SystemError("reading failed", path, errno);
    if (!S_ISREG(facts.st_mode)) {
      return Error(ErrorCode::kNotFound, "not a file: ", path);
    }
    return FileInfo{std::string(path), facts.st_size, ModifiedMs(facts)};
  }

  arrow::Status List(
      std::string_view folder, std::string_view after,
      const std::function<arrow::Status(const FileInfo&)>& visit) const override {
    return ListIn(folder, after, visit, nullptr);
  }

  arrow::Status ListBelow(
      std::string_view folder,
      const std::function<arrow::Status(const FileInfo&)>& visit) const override {
    std::vector<std::pair<std::string, int>> waiting{{std::string(folder), 0}};
    while (!waiting.empty()) {
      auto [path, depth] = std::move(waiting.back());
      waiting.pop_back();
      if (depth > kFolderDepthMax) {
        return Error(ErrorCode::kTooLarge, "folders are nested deeper than ",
                     kFolderDepthMax, ": ", path);
      }
      std::vector<std::string> folders;
      ARROW_RETURN_NOT_OK(ListIn(path, "", visit, &folders));
      for (std::string& found : folders) waiting.emplace_back(std::move(found), depth + 1);
    }
    return {};
  }

  arrow::Status PutIfAbsent(std::string_view path, std::string_view content) override {
    return Put(path, content, Appear::kIfAbsent);
  }

  arrow::Status Put(std::string_view path, std::string_view content) override {
    return Put(path, content, Appear::kReplace);
  }

  arrow::Result<std::unique_ptr<FileWriter>> Create(std::string_view path) override {
    return MakeWriter(path, Appear::kIfAbsent);
  }

  arrow::Status SyncFolder(std::string_view folder) override {
    if (durability_ == Durability::kMemory) return {};
    ARROW_RETURN_NOT_OK(SyncOne(folder));
    return Anchor(folder);
  }

  arrow::Status Remove(std::string_view path) override {
    ARROW_RETURN_NOT_OK(CheckRelativePath(path));
    auto folder = folder_.OpenBelow(FolderOf(path), O_PATH | O_DIRECTORY);
    if (!folder.ok()) {
      return CodeOf(folder.status()) == ErrorCode::kNotFound ? arrow::Status::OK()
                                                             : folder.status();
    }
    if (unlinkat(folder->get(), std::string(NameOf(path)).c_str(), 0) != 0 &&
        errno != ENOENT) {
      return SystemError("removing failed", path, errno);
    }
    return {};
  }

  arrow::Result<std::unique_ptr<Lock>> TryLock(std::string_view path) override {
    ARROW_RETURN_NOT_OK(CheckRelativePath(path));
    bool made = false;
    ARROW_RETURN_NOT_OK(folder_.MakeFolder(FolderOf(path), &made).status());
    if (made) Forget(FolderOf(path));
    ARROW_ASSIGN_OR_RAISE(Descriptor file,
                          folder_.OpenBelow(path, O_RDWR | O_CREAT | O_NOFOLLOW, kLockMode));
    while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return nullptr;
      if (errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS) {
        return SystemError("locking failed", path, errno);
      }
      LogWarn("the file system has no locks: other processes are not kept out",
              {{"path", PathFor(path)}});
      break;
    }
    return std::make_unique<LocalLock>(std::move(file));
  }

 private:
  /// A regular file: a FIFO or device would block or worse.
  arrow::Result<Descriptor> OpenFile(std::string_view path) const {
    ARROW_RETURN_NOT_OK(CheckRelativePath(path));
    ARROW_ASSIGN_OR_RAISE(Descriptor file, folder_.OpenBelow(path, O_RDONLY | O_NONBLOCK));
    struct stat facts;
    if (fstat(file.get(), &facts) != 0) return SystemError("reading failed", path, errno);
    if (!S_ISREG(facts.st_mode)) {
      return Error(ErrorCode::kNotFound, "not a file: ", path);
    }
    return file;
  }

  /// Files in name order; with `folders` also hidden files, and the folders found.
  arrow::Status ListIn(std::string_view folder, std::string_view after,
                       const std::function<arrow::Status(const FileInfo&)>& visit,
                       std::vector<std::string>* folders) const {
    auto opened = folder_.OpenBelow(folder, O_RDONLY | O_DIRECTORY);
    if (!opened.ok()) {
      return CodeOf(opened.status()) == ErrorCode::kNotFound ? arrow::Status::OK()
                                                             : opened.status();
    }
    ARROW_ASSIGN_OR_RAISE(Descriptor reading,
                          folder_.OpenBelow(folder, O_RDONLY | O_DIRECTORY));
    ARROW_ASSIGN_OR_RAISE(auto entries, ReadFolder(std::move(reading), folder, after));
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    const std::string prefix = folder.empty() ? "" : std::string(folder) + "/";
    for (const Entry& entry : entries) {
      if (entry.is_folder) {
        if (folders != nullptr) folders->push_back(prefix + entry.name);
        continue;
      }
      if (folders == nullptr && entry.name.starts_with(kTemporaryPrefix)) continue;
      struct stat facts;
      if (fstatat(opened->get(), entry.name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return SystemError("listing failed", folder, errno);
      }
      ARROW_RETURN_NOT_OK(visit({prefix + entry.name, facts.st_size, ModifiedMs(facts)}));
    }
    return {};
  }

  arrow::Result<std::unique_ptr<LocalWriter>> MakeWriter(std::string_view path,
                                                         Appear appear) {
    ARROW_RETURN_NOT_OK(CheckRelativePath(path));
    bool made = false;
    ARROW_ASSIGN_OR_RAISE(Descriptor folder, folder_.MakeFolder(FolderOf(path), &made));
    if (made) Forget(FolderOf(path));
    return LocalWriter::Make(std::move(folder), path, durability_, appear);
  }

  arrow::Status Put(std::string_view path, std::string_view content, Appear appear) {
    ARROW_ASSIGN_OR_RAISE(auto writer, MakeWriter(path, appear));
    ARROW_RETURN_NOT_OK(
        writer->stream()->Write(content.data(), static_cast<int64_t>(content.size())));
    ARROW_RETURN_NOT_OK(writer->Finish());
    ARROW_RETURN_NOT_OK(writer->SyncFolder());
    return durability_ == Durability::kSync ? Anchor(FolderOf(path)) : arrow::Status::OK();
  }

  arrow::Status SyncOne(std::string_view folder) {
    ARROW_ASSIGN_OR_RAISE(Descriptor opened,
                          folder_.OpenBelow(folder, O_RDONLY | O_DIRECTORY));
    if (fsync(opened.get()) == 0) return {};
    return SystemError("syncing the folder failed", folder, errno);
  }

  /// Makes the folder's own name durable: its ancestors are synced once in the life of
  /// the store, since any process may have made them.
  arrow::Status Anchor(std::string_view folder) {
    while (!folder.empty()) {
      {
        MutexLock lock(mutex_);
        if (anchored_.contains(std::string(folder))) return {};
      }
      ARROW_RETURN_NOT_OK(SyncOne(FolderOf(folder)));
      MutexLock lock(mutex_);
      if (anchored_.size() >= kAnchoredFoldersMax) anchored_.clear();
      anchored_.insert(std::string(folder));
      folder = FolderOf(folder);
    }
    return {};
  }

  /// A folder made anew, with whichever of its parents.
  void Forget(std::string_view folder) {
    MutexLock lock(mutex_);
    for (; !folder.empty(); folder = FolderOf(folder)) anchored_.erase(std::string(folder));
  }

  const LocalFolder folder_;
  const std::string root_;
  const Durability durability_;
  Mutex mutex_;
  std::unordered_set<std::string> anchored_ GUARDED_BY(mutex_);
};

/// Makes the name of `folder`, and of every folder above it, durable: any of them may just
/// have been made. One that may not be read is somebody else's.
arrow::Status SyncParents(const std::filesystem::path& folder) {
  for (auto at = folder; at.has_relative_path();) {
    at = at.parent_path();
    const Descriptor opened(open(at.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0 && errno == EACCES) return {};
    const bool synced = opened.get() >= 0 && (fsync(opened.get()) == 0 ||
                                              errno == EROFS || errno == EINVAL);
    if (!synced) return SystemError("syncing the folder failed", at.string(), errno);
  }
  return {};
}

}  // namespace

arrow::Result<std::shared_ptr<Store>> OpenLocalStore(std::string_view folder,
                                                     Durability durability, bool create) {
  ARROW_ASSIGN_OR_RAISE(LocalFolder opened, LocalFolder::Open(std::string(folder), create));
  if (create && durability == Durability::kSync) {
    ARROW_RETURN_NOT_OK(SyncParents(opened.path()));
  }
  return std::make_shared<LocalStore>(std::move(opened), durability);
}

}  // namespace arrowport::store
