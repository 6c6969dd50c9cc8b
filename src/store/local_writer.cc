#include "store/local_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/ids.h"

namespace arrowport::store {
namespace {

constexpr mode_t kFileMode = 0666;  // less the umask
constexpr int64_t kBufferBytes = 256 << 10;
/// After so many bytes the kernel is told to begin writing them out, so that the final
/// fsync finds little left to do.
constexpr int64_t kWriteBehindBytes = 8 << 20;

std::string TemporaryName() { return std::string(kTemporaryPrefix) + NewRandomId(); }

/// The way to a file that has no name.
std::string ProcPath(int file) { return "/proc/self/fd/" + std::to_string(file); }

}  // namespace

/// Gathers small writes; large ones go through. Caller-locked, as FileWriter says.
class LocalWriter::Stream final : public arrow::io::OutputStream {
 public:
  Stream(Descriptor file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  arrow::Status Write(const void* data, int64_t size) override {
    if (closed_) {
      return Error(ErrorCode::kInternal, "write to a closed file: ", path_);
    }
    position_ += size;
    if (static_cast<int64_t>(pending_.size()) + size > kBufferBytes) {
      ARROW_RETURN_NOT_OK(Flush());
    }
    if (size >= kBufferBytes) return WriteOut(static_cast<const char*>(data), size);
    pending_.append(static_cast<const char*>(data), static_cast<size_t>(size));
    return {};
  }
  using arrow::io::OutputStream::Write;

  arrow::Status Flush() override {
    ARROW_RETURN_NOT_OK(WriteOut(pending_.data(), static_cast<int64_t>(pending_.size())));
    pending_.clear();
    return {};
  }

  arrow::Result<int64_t> Tell() const override { return position_; }

  /// An encoder may close its stream; the descriptor stays for Finish.
  arrow::Status Close() override {
    if (closed_) return {};
    closed_ = true;
    return Flush();
  }
  bool closed() const override { return closed_; }
  int descriptor() const { return file_.get(); }

  arrow::Status Sync() {
    if (fsync(file_.get()) == 0) return {};
    return SystemError("syncing the file failed", path_, errno);
  }

 private:
  arrow::Status WriteOut(const char* data, int64_t size) {
    while (size > 0) {
      const ssize_t count = write(file_.get(), data, static_cast<size_t>(size));
      if (count < 0) {
        if (errno == EINTR) continue;
        return SystemError("writing failed", path_, errno);
      }
      data += count;
      size -= count;
      written_ += count;
    }
    if (written_ - behind_ >= kWriteBehindBytes) {
      // Advice only: what fails here fails again, and is reported, in fsync.
      (void)sync_file_range(file_.get(), behind_, written_ - behind_,
                            SYNC_FILE_RANGE_WRITE);
      behind_ = written_;
    }
    return {};
  }

  Descriptor file_;
  std::string path_, pending_;
  int64_t position_ = 0, written_ = 0, behind_ = 0;
  bool closed_ = false;
};

arrow::Result<std::unique_ptr<LocalWriter>> LocalWriter::Make(Descriptor folder,
                                                              std::string_view path,
                                                              Durability durability,
                                                              Appear appear) {
  std::unique_ptr<LocalWriter> writer(new LocalWriter());
  writer->folder_ = std::move(folder);
  writer->path_ = path;
  writer->name_ = NameOf(path);
  writer->durability_ = durability;
  writer->appear_ = appear;
  Descriptor file = writer->OpenUnnamed();
  if (file.get() < 0) ARROW_RETURN_NOT_OK(writer->OpenNamed(&file));
  writer->stream_ = std::make_shared<Stream>(std::move(file), writer->path_);
  return writer;
}

/// Not every file system has files without a name, and naming one takes /proc.
Descriptor LocalWriter::OpenUnnamed() const {
  Descriptor file(
      openat(folder_.get(), ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, kFileMode));
  if (file.get() >= 0 && access(ProcPath(file.get()).c_str(), F_OK) != 0) return {};
  return file;
}

arrow::Status LocalWriter::OpenNamed(Descriptor* file) {
  temporary_name_ = TemporaryName();
  *file = Descriptor(openat(folder_.get(), temporary_name_.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                            kFileMode));
  if (file->get() < 0) return SystemError("creating the file failed", path_, errno);
  temporary_exists_ = true;
  return {};
}

LocalWriter::~LocalWriter() {
  if (temporary_exists_) (void)unlinkat(folder_.get(), temporary_name_.c_str(), 0);
}

arrow::io::OutputStream* LocalWriter::stream() { return stream_.get(); }

arrow::Status LocalWriter::Finish() {
  if (finished_) {
    return Error(ErrorCode::kInternal, "file finished twice: ", path_);
  }
  finished_ = true;
  ARROW_RETURN_NOT_OK(stream_->Close());
  if (durability_ == Durability::kSync) ARROW_RETURN_NOT_OK(stream_->Sync());
  ARROW_RETURN_NOT_OK(FaultPoint("store.before_link"));
  ARROW_RETURN_NOT_OK(GiveName());
  return FaultPoint("store.after_link");
}

int LocalWriter::LinkUnnamed(const char* to) const {
  return linkat(AT_FDCWD, ProcPath(stream_->descriptor()).c_str(), folder_.get(), to,
                AT_SYMLINK_FOLLOW);
}

arrow::Status LocalWriter::GiveName() {
  const int folder = folder_.get();
  const char* to = name_.c_str();
  if (temporary_name_.empty()) {
    if (appear_ == Appear::kIfAbsent) {
      if (LinkUnnamed(to) == 0) return {};
      return SystemError("naming the file failed", path_, errno);
    }
    // Only a name can replace a name.
    temporary_name_ = TemporaryName();
    if (LinkUnnamed(temporary_name_.c_str()) != 0) {
      return SystemError("naming the file failed", path_, errno);
    }
    temporary_exists_ = true;
  }
  const char* from = temporary_name_.c_str();
  if (appear_ == Appear::kReplace) {
    if (renameat(folder, from, folder, to) != 0) {
      return SystemError("replacing the file failed", path_, errno);
    }
    temporary_exists_ = false;
    return {};
  }
  if (linkat(folder, from, folder, to, 0) == 0) {
    if (unlinkat(folder, from, 0) == 0) temporary_exists_ = false;
    return {};
  }
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) {
    return SystemError("naming the file failed", path_, errno);
  }
  // A file system without hard links.
  if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) != 0) {
    return SystemError("naming the file failed", path_, errno);
  }
  temporary_exists_ = false;
  return {};
}

arrow::Status LocalWriter::SyncFolder() {
  if (durability_ == Durability::kSync && fsync(folder_.get()) != 0) {
    return SystemError("syncing the folder failed", FolderOf(path_), errno);
  }
  return {};
}

}  // namespace arrowport::store
