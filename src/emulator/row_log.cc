#include "emulator/row_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace arrowport::emulator {
namespace {

constexpr size_t kQueuedBytesHigh = 32 << 20;
constexpr size_t kReserveBytes = 1 << 20;

arrow::Result<LoggedRequest> ParseLine(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) {
    return Error(ErrorCode::kStorageCorrupt, "the log has a line that is not JSON");
  }
  LoggedRequest request;
  try {
    request.table = object.at("table");
    request.stream = object.at("stream");
    request.connection = object.at("connection");
    request.mode = object.at("mode");
    request.offset = object.at("offset");
    request.rows = object.at("rows");
    if (const auto ids = object.find("ids"); ids != object.end()) {
      for (const auto& id : *ids) request.ids.push_back(id.dump());
    }
  } catch (const nlohmann::json::exception& error) {
    return Error(ErrorCode::kStorageCorrupt, "the log has a line that is not ours: ",
                 error.what());
  }
  return request;
}

}  // namespace

arrow::Result<std::unique_ptr<RowLog>> RowLog::Open(const std::string& path) {
  int descriptor = -1;
  if (path.empty()) {
    descriptor = ::memfd_create("zerobus-emulator-log", MFD_CLOEXEC);
  } else {
    std::error_code ignored;
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  }
  if (descriptor < 0) {
    return Error(ErrorCode::kBadConfig, "cannot open the log ", path, ": ",
                 std::strerror(errno));
  }
  auto log = std::unique_ptr<RowLog>(new RowLog(descriptor));
  struct stat facts {};
  if (::fstat(descriptor, &facts) == 0) {
    MutexLock lock(log->file_mutex_);
    log->size_bytes_ = facts.st_size;
  }
  return log;
}

RowLog::~RowLog() {
  Stop();
  ::close(descriptor_);
}

bool RowLog::Append(std::string_view line, const std::shared_ptr<LogListener>& listener,
                    int64_t mark) {
  MutexLock lock(mutex_);
  const bool idle = queued_.empty();
  queued_ += line;
  if (!marks_.empty() && marks_.back().listener == listener) {
    marks_.back().mark = mark;
  } else {
    marks_.push_back({listener, mark});
  }
  if (idle) changed_.notify_one();
  return queued_.size() < kQueuedBytesHigh;
}

arrow::Status RowLog::WriteAll(std::string_view text) {
  MutexLock lock(file_mutex_);
  while (!text.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, text.data(), text.size(), size_bytes_);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return Error(errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kInternal,
                   "cannot write the log: ", std::strerror(errno));
    }
    size_bytes_ += written;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

void RowLog::Run() {
  std::string text;
  std::vector<Mark> marks;
  while (true) {
    {
      MutexLock lock(mutex_);
      while (queued_.empty() && !stopped_) lock.Wait(changed_);
      if (queued_.empty()) return;
      text.swap(queued_);
      marks.swap(marks_);
      queued_.reserve(kReserveBytes);
    }
    const arrow::Status status = WriteAll(text);
    for (const Mark& mark : marks) mark.listener->OnLogged(mark.mark, status);
    text.clear();
    marks.clear();
  }
}

void RowLog::Stop() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

int64_t RowLog::size_bytes() const {
  MutexLock lock(file_mutex_);
  return size_bytes_;
}

arrow::Result<std::string> RowLog::Read(int64_t offset, int64_t bytes_max) const {
  MutexLock lock(file_mutex_);
  if (offset < 0 || offset > size_bytes_) {
    return Error(ErrorCode::kInvalidArgument, "the log has ", size_bytes_,
                 " bytes; it cannot be read from ", offset);
  }
  std::string text(static_cast<size_t>(std::min(bytes_max, size_bytes_ - offset)), '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::pread(descriptor_, text.data() + filled, text.size() - filled,
                                offset + static_cast<int64_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return Error(ErrorCode::kInternal, "cannot read the log: ", std::strerror(errno));
    }
    filled += static_cast<size_t>(got);
  }
  const size_t last_break = text.rfind('\n');
  text.resize(last_break == std::string::npos ? 0 : last_break + 1);
  return text;
}

arrow::Result<std::vector<LoggedRequest>> RowLog::ReadRequests() const {
  ARROW_ASSIGN_OR_RAISE(const std::string text, Read(0, size_bytes()));
  std::vector<LoggedRequest> requests;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    ARROW_ASSIGN_OR_RAISE(LoggedRequest request, ParseLine(rest.substr(0, end)));
    requests.push_back(std::move(request));
    rest.remove_prefix(end + 1);
  }
  return requests;
}

arrow::Status RowLog::Clear() {
  MutexLock lock(file_mutex_);
  if (::ftruncate(descriptor_, 0) != 0) {
    return Error(ErrorCode::kInternal, "cannot clear the log: ", std::strerror(errno));
  }
  size_bytes_ = 0;
  return {};
}

}  // namespace arrowport::emulator
