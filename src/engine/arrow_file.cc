#include "engine/arrow_file.h"

#include <arrow/io/file.h>
#include <arrow/ipc/options.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/mutex.h"

namespace arrowport::engine {
namespace {

constexpr std::string_view kFileMagic = "ARROW1";
constexpr long kConnectSecondsMax = 30;

using BatchResult = arrow::Result<std::shared_ptr<arrow::RecordBatch>>;

arrow::ipc::IpcReadOptions ReadOptions(std::vector<int> columns) {
  arrow::ipc::IpcReadOptions options = arrow::ipc::IpcReadOptions::Defaults();
  options.included_fields = std::move(columns);
  return options;
}

arrow::Status Damaged(const std::string& name, const arrow::Status& status) {
  return Error(ErrorCode::kBadData, "cannot read Arrow data from ", name, ": ",
               status.message());
}

BatchResult Checked(const std::string& name, BatchResult batch) {
  if (!batch.ok()) return Damaged(name, batch.status());
  if (*batch == nullptr) return nullptr;
  arrow::Status valid = (*batch)->ValidateFull();
  if (!valid.ok()) return Damaged(name, valid);
  return batch;
}

/// The format with a footer.
class FooterFile final : public ArrowFile {
 public:
  FooterFile(std::string name, std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader)
      : name_(std::move(name)), schema_(reader->schema()), reader_(std::move(reader)) {}
  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  BatchResult Next() override {
    BatchResult batch = nullptr;
    {
      MutexLock lock(mutex_);
      if (next_ >= reader_->num_record_batches()) return nullptr;
      batch = reader_->ReadRecordBatch(next_++);
    }
    return Checked(name_, std::move(batch));
  }

 private:
  const std::string name_;
  const std::shared_ptr<arrow::Schema> schema_;
  Mutex mutex_;
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader_ GUARDED_BY(mutex_);
  int next_ GUARDED_BY(mutex_) = 0;
};

/// The stream format.
class StreamFile final : public ArrowFile {
 public:
  StreamFile(std::string name, std::shared_ptr<arrow::RecordBatchReader> reader)
      : name_(std::move(name)), schema_(reader->schema()), reader_(std::move(reader)) {}
  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  BatchResult Next() override {
    BatchResult batch = nullptr;
    {
      MutexLock lock(mutex_);
      batch = reader_->Next();
    }
    return Checked(name_, std::move(batch));
  }

 private:
  const std::string name_;
  const std::shared_ptr<arrow::Schema> schema_;
  Mutex mutex_;
  std::shared_ptr<arrow::RecordBatchReader> reader_ GUARDED_BY(mutex_);
};

size_t WriteToFile(char* data, size_t size, size_t count, void* file) {
  return std::fwrite(data, size, count, static_cast<std::FILE*>(file)) * size;
}

// The fetched bytes lie in a file without a name, gone with its last descriptor.
arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Fetch(
    const std::string& url) {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) {
    return Error(ErrorCode::kNoSpace, "no temporary file: ", std::strerror(errno));
  }
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSecondsMax);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, WriteToFile);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
  const CURLcode done = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  std::fflush(file);
  const int descriptor = dup(fileno(file));
  std::fclose(file);
  if (done != CURLE_OK) {
    if (descriptor >= 0) close(descriptor);
    return Error(ErrorCode::kUnreachable, "cannot fetch ", url, ": ",
                 curl_easy_strerror(done));
  }
  return arrow::io::ReadableFile::Open(descriptor);
}

arrow::Result<std::unique_ptr<ArrowFile>> OpenStream(
    const std::string& name, std::shared_ptr<arrow::io::InputStream> input,
    std::vector<int> columns) {
  auto reader = arrow::ipc::RecordBatchStreamReader::Open(
      std::move(input), ReadOptions(std::move(columns)));
  if (!reader.ok()) return Damaged(name, reader.status());
  return std::make_unique<StreamFile>(name, *std::move(reader));
}

arrow::Result<std::unique_ptr<ArrowFile>> OpenSeekable(
    const std::string& name, std::shared_ptr<arrow::io::RandomAccessFile> file,
    std::vector<int> columns) {
  ARROW_ASSIGN_OR_RAISE(auto head, file->ReadAt(0, kFileMagic.size()));
  if (std::string_view(*head) != kFileMagic) {
    return OpenStream(name, std::move(file), std::move(columns));
  }
  auto reader = arrow::ipc::RecordBatchFileReader::Open(std::move(file),
                                                        ReadOptions(std::move(columns)));
  if (!reader.ok()) return Damaged(name, reader.status());
  return std::make_unique<FooterFile>(name, *std::move(reader));
}

}  // namespace

arrow::Result<std::unique_ptr<ArrowFile>> OpenArrowFile(const std::string& name,
                                                        std::vector<int> columns) {
  if (name.starts_with("http://") || name.starts_with("https://")) {
    ARROW_ASSIGN_OR_RAISE(auto file, Fetch(name));
    return OpenSeekable(name, std::move(file), std::move(columns));
  }
  const std::string path = name == "-" ? "/dev/stdin" : name;
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return Error(ErrorCode::kBadQuery, "no such file: ", name);
  }
  if (S_ISREG(info.st_mode)) {
    auto mapped = arrow::io::MemoryMappedFile::Open(path, arrow::io::FileMode::READ);
    if (!mapped.ok()) {
      return Error(ErrorCode::kBadQuery, "cannot open ", name, ": ",
                   mapped.status().message());
    }
    return OpenSeekable(name, *std::move(mapped), std::move(columns));
  }
  auto piped = arrow::io::ReadableFile::Open(path);
  if (!piped.ok()) {
    return Error(ErrorCode::kBadQuery, "cannot open ", name, ": ",
                 piped.status().message());
  }
  return OpenStream(name, *std::move(piped), std::move(columns));
}

}  // namespace arrowport::engine
