#include "arrowport/zerobus/debug_files.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "zerobus/debug_lane.h"
#include "zerobus/debug_lock.h"
#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

namespace fs = std::filesystem;

arrow::Status Refuse(std::string message) {
  return MakeFailure(ErrorKind::kConfiguration, std::move(message));
}

arrow::Status Check(const DebugFileOptions& options) {
  if (!options.arrow && !options.protobuf) {
    return Refuse("debug files need a format: arrow or protobuf");
  }
  if (options.output_folder.empty()) {
    return Refuse("debug files need an output folder");
  }
  if (options.flush_interval.count() <= 0) {
    return Refuse("the flush interval of debug files must be above 0");
  }
  if (options.file_bytes_max.value_or(1) < 1) {
    return Refuse("the largest size of a debug file must be above 0");
  }
  if (options.rotated_files_max.value_or(1) < 1) {
    return Refuse("at least one rotated debug file must be kept");
  }
  return {};
}

DebugStamp NewestStamp(const fs::path& folder, const std::string& stem) {
  DebugStamp newest;
  const std::pair<const char*, std::string_view> kinds[] = {
      {"arrow", kArrowExtension},
      {"proto", kProtoExtension},
      {"descriptors", kDescriptorExtension}};
  for (const auto& [name, extension] : kinds) {
    const auto files = ListRotated(folder / name, stem, extension);
    if (!files.empty()) newest = std::max(newest, files.back().stamp);
  }
  return newest;
}

class DebugFilesImpl final : public DebugFiles {
 public:
  DebugFilesImpl(const DebugFileOptions& options, Mode mode,
                 const DebugLaneOptions& lane_options, std::unique_ptr<DebugLock> lock)
      : flush_interval_(options.flush_interval), lock_(std::move(lock)) {
    if (options.arrow) arrow_ = std::make_unique<ArrowLane>(lane_options);
    if (options.protobuf && mode == Mode::kProto) {
      proto_ = std::make_unique<ProtoLane>(lane_options);
    }
    flusher_ = std::thread([this] { FlushNowAndThen(); });
  }
  // What fails now is counted; Close tells it.
  ~DebugFilesImpl() override { static_cast<void>(Close()); }

  void OnBatch(const arrow::RecordBatch& batch) override {
    MutexLock lock(arrow_mutex_);
    if (arrow_) Count(arrow_->Write(batch));
  }
  void OnDescriptor(std::string_view descriptor) override {
    MutexLock lock(proto_mutex_);
    if (proto_) Count(proto_->SetDescriptor(descriptor));
  }
  void OnEncoded(std::string_view records, int64_t rows) override {
    MutexLock lock(proto_mutex_);
    if (proto_) Count(proto_->Write(records));
  }
  void OnFlush() override { Flush(); }

  arrow::Status Close() override {
    {
      MutexLock lock(state_mutex_);
      stopping_ = true;
      state_changed_.notify_all();
    }
    MutexLock closing(close_mutex_);
    if (flusher_.joinable()) flusher_.join();
    arrow::Status arrow_closed;
    arrow::Status proto_closed;
    {
      MutexLock lock(arrow_mutex_);
      if (auto lane = std::exchange(arrow_, nullptr)) arrow_closed = lane->Close();
    }
    {
      MutexLock lock(proto_mutex_);
      if (auto lane = std::exchange(proto_, nullptr)) proto_closed = lane->Close();
    }
    Count(arrow_closed);
    Count(proto_closed);
    lock_.reset();
    return arrow_closed.ok() ? proto_closed : arrow_closed;
  }

  int64_t write_errors() const override { return write_errors_; }
  arrow::Status last_error() const override {
    MutexLock lock(state_mutex_);
    return last_error_;
  }

 private:
  void Count(const arrow::Status& status) {
    if (status.ok()) return;
    ++write_errors_;
    MutexLock lock(state_mutex_);
    last_error_ = status;
  }

  void Flush() {
    {
      MutexLock lock(arrow_mutex_);
      if (arrow_) Count(arrow_->Flush());
    }
    MutexLock lock(proto_mutex_);
    if (proto_) Count(proto_->Flush());
  }

  void FlushNowAndThen() {
    auto due = SystemClock().SteadyNow() + flush_interval_;
    MutexLock lock(state_mutex_);
    while (!stopping_) {
      if (lock.WaitUntil(state_changed_, due) == std::cv_status::no_timeout) continue;
      lock.Unlock();
      Flush();
      lock.Lock();
      due = SystemClock().SteadyNow() + flush_interval_;
    }
  }

  const std::chrono::milliseconds flush_interval_;

  Mutex arrow_mutex_;
  std::unique_ptr<ArrowLane> arrow_ GUARDED_BY(arrow_mutex_);
  Mutex proto_mutex_;
  std::unique_ptr<ProtoLane> proto_ GUARDED_BY(proto_mutex_);

  std::atomic<int64_t> write_errors_{0};
  mutable Mutex state_mutex_;
  std::condition_variable state_changed_;
  bool stopping_ GUARDED_BY(state_mutex_) = false;
  arrow::Status last_error_ GUARDED_BY(state_mutex_);

  Mutex close_mutex_;
  std::unique_ptr<DebugLock> lock_ GUARDED_BY(close_mutex_);
  std::thread flusher_ GUARDED_BY(close_mutex_);
};

}  // namespace

arrow::Result<std::shared_ptr<DebugFiles>> DebugFiles::Make(
    const std::string& table, Mode mode, const DebugFileOptions& options) {
  ARROW_RETURN_NOT_OK(Check(options));
  DebugLaneOptions lane;
  ARROW_ASSIGN_OR_RAISE(lane.stem, DebugFileStem(table));
  lane.zerobus_folder = fs::path(options.output_folder) / "zerobus";
  lane.file_bytes_max = options.file_bytes_max;
  lane.rotated_files_max = options.rotated_files_max;
  std::vector<const char*> folders;
  if (options.arrow) folders = {"arrow"};
  if (options.protobuf) folders.insert(folders.end(), {"proto", "descriptors"});
  for (const char* name : folders) {
    std::error_code failed;
    fs::create_directories(lane.zerobus_folder / name, failed);
    if (failed) {
      return Refuse("cannot make the folder for debug files " +
                    (lane.zerobus_folder / name).string() + ": " + failed.message());
    }
  }
  ARROW_ASSIGN_OR_RAISE(auto lock,
                        DebugLock::Take(LockPath(lane.zerobus_folder, lane.stem)));
  if (!lock) {
    return Refuse(
        "another writer has the debug files of this table open, give this one "
        "a folder of its own: " +
        lane.zerobus_folder.string());
  }
  lane.stamps =
      std::make_shared<DebugStamps>(NewestStamp(lane.zerobus_folder, lane.stem));
  return std::make_shared<DebugFilesImpl>(options, mode, lane, std::move(lock));
}

}  // namespace arrowport::zerobus
