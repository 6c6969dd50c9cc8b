#include "cli/data_file.h"

#include <arrow/csv/api.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <parquet/arrow/reader.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace arrowport::cli {
namespace {

enum class Form { kStream, kFile, kParquet, kCsv };

Form FormOf(std::string_view head) {
  if (head.starts_with("ARROW1")) return Form::kFile;
  if (head.starts_with("PAR1")) return Form::kParquet;
  // An encapsulated message starts with a continuation marker.
  if (head.starts_with("\xFF\xFF\xFF\xFF")) return Form::kStream;
  return Form::kCsv;
}

/// An Arrow file as a stream of its batches.
class FileBatchReader : public arrow::RecordBatchReader {
 public:
  explicit FileBatchReader(std::shared_ptr<arrow::ipc::RecordBatchFileReader> file)
      : file_(std::move(file)) {}
  std::shared_ptr<arrow::Schema> schema() const override { return file_->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    out->reset();
    if (next_ >= file_->num_record_batches()) return {};
    return file_->ReadRecordBatch(next_++).Value(out);
  }

 private:
  const std::shared_ptr<arrow::ipc::RecordBatchFileReader> file_;
  int next_ = 0;
};

arrow::Result<DataFile> OpenParquet(std::shared_ptr<arrow::io::RandomAccessFile> input) {
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Open(std::move(input)));
  parquet::ArrowReaderProperties properties;
  properties.set_batch_size(122880);
  properties.set_use_threads(true);
  std::unique_ptr<parquet::arrow::FileReader> reader;
  ARROW_RETURN_NOT_OK(builder.properties(properties)->Build(&reader));
  const int64_t rows = reader->parquet_reader()->metadata()->num_rows();
  std::shared_ptr<parquet::arrow::FileReader> shared(std::move(reader));
  ARROW_ASSIGN_OR_RAISE(auto batches, shared->GetRecordBatchReader());
  std::shared_ptr<arrow::RecordBatchReader> owned = std::move(batches);
  // The batches read on behalf of the file: it lives as long as they do.
  struct Both {
    std::shared_ptr<parquet::arrow::FileReader> file;
    std::shared_ptr<arrow::RecordBatchReader> batches;
  };
  auto both = std::make_shared<Both>(Both{shared, owned});
  return DataFile{std::shared_ptr<arrow::RecordBatchReader>(both, owned.get()), rows};
}

arrow::Result<DataFile> OpenSeekable(Form form,
                                     std::shared_ptr<arrow::io::RandomAccessFile> input) {
  if (form == Form::kParquet) return OpenParquet(std::move(input));
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::ipc::RecordBatchFileReader::Open(input));
  const int64_t rows = file->CountRows().ValueOr(0);
  return DataFile{std::make_shared<FileBatchReader>(std::move(file)), rows};
}

arrow::Result<DataFile> OpenStream(Form form,
                                   std::shared_ptr<arrow::io::InputStream> input) {
  if (form == Form::kStream) {
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(input));
    return DataFile{std::move(reader), 0};
  }
  arrow::csv::ReadOptions read_options = arrow::csv::ReadOptions::Defaults();
  read_options.block_size = 8 << 20;
  ARROW_ASSIGN_OR_RAISE(
      auto reader,
      arrow::csv::StreamingReader::Make(
          arrow::io::default_io_context(), input, read_options,
          arrow::csv::ParseOptions::Defaults(), arrow::csv::ConvertOptions::Defaults()));
  return DataFile{std::move(reader), 0};
}

/// The rest of `input` in an unnamed temporary file, mapped.
arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Spool(
    arrow::io::InputStream& input) {
  std::string name =
      (std::filesystem::temp_directory_path() / "arrowport_stdin_XXXXXX").string();
  const int descriptor = mkstemp(name.data());
  if (descriptor < 0)
    return Error(ErrorCode::kNoSpace, "cannot make a temporary file for standard input");
  ARROW_ASSIGN_OR_RAISE(auto out, arrow::io::FileOutputStream::Open(descriptor));
  arrow::Status copied;
  while (copied.ok()) {
    ARROW_ASSIGN_OR_RAISE(auto chunk, input.Read(8 << 20));
    if (chunk->size() == 0) break;
    copied = out->Write(chunk);
  }
  if (copied.ok()) copied = out->Close();
  auto mapped = arrow::io::MemoryMappedFile::Open(name, arrow::io::FileMode::READ);
  unlink(name.c_str());
  ARROW_RETURN_NOT_OK(copied);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::io::RandomAccessFile> file, mapped);
  return file;
}

/// Standard input, read no further than asked: a batch that has arrived waits for
/// nothing.
class StandardInput final : public arrow::io::InputStream {
 public:
  ~StandardInput() override = default;
  /// The first bytes, which are read again: `size` of them, fewer at the end of the
  /// input.
  arrow::Result<std::string_view> ReadHead(size_t size) {
    head_.resize(size);
    ARROW_ASSIGN_OR_RAISE(const int64_t got,
                          ReadAll(static_cast<int64_t>(size), head_.data()));
    head_.resize(static_cast<size_t>(got));
    return head_;
  }
  arrow::Result<int64_t> Read(int64_t size, void* into) override {
    const auto kept = std::min(static_cast<size_t>(size), head_.size());
    std::memcpy(into, head_.data(), kept);
    head_.erase(0, kept);
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAll(size - static_cast<int64_t>(kept),
                                                     static_cast<char*>(into) + kept));
    position_ += static_cast<int64_t>(kept) + got;
    return static_cast<int64_t>(kept) + got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(size));
    ARROW_ASSIGN_OR_RAISE(const int64_t got, Read(size, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Status Close() override {
    closed_ = true;
    return {};
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }

 private:
  /// All of `size` bytes, fewer only at the end.
  static arrow::Result<int64_t> ReadAll(int64_t size, void* into) {
    int64_t got = 0;
    while (got < size) {
      const ssize_t count = read(STDIN_FILENO, static_cast<char*>(into) + got,
                                 static_cast<size_t>(size - got));
      if (count == 0) break;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        return Error(ErrorCode::kBadData, "cannot be read: ", std::strerror(errno));
      }
      got += count;
    }
    return got;
  }

  std::string head_;
  int64_t position_ = 0;
  bool closed_ = false;
};

arrow::Result<DataFile> OpenStandardInput() {
  auto input = std::make_shared<StandardInput>();
  ARROW_ASSIGN_OR_RAISE(const std::string_view head, input->ReadHead(8));
  if (head.empty()) return Error(ErrorCode::kBadData, "standard input is empty");
  const Form form = FormOf(head);
  if (form == Form::kStream || form == Form::kCsv) return OpenStream(form, input);
  ARROW_ASSIGN_OR_RAISE(auto file, Spool(*input));
  return OpenSeekable(form, std::move(file));
}

arrow::Result<DataFile> OpenNamed(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed)
    return Error(ErrorCode::kNotFound, "cannot open ", path, ": ", failed.message());
  if (size == 0) return Error(ErrorCode::kBadData, path, " is empty");
  ARROW_ASSIGN_OR_RAISE(
      auto file, arrow::io::MemoryMappedFile::Open(path, arrow::io::FileMode::READ));
  ARROW_ASSIGN_OR_RAISE(const auto head, file->ReadAt(0, 8));
  const Form form = FormOf(std::string_view(*head));
  if (form == Form::kStream || form == Form::kCsv) return OpenStream(form, file);
  return OpenSeekable(form, file);
}

}  // namespace

arrow::Result<DataFile> OpenDataFile(const std::string& path) {
  auto opened = path == "-" ? OpenStandardInput() : OpenNamed(path);
  if (!opened.ok()) {
    return WithCode(CodeOf(opened.status()),
                    WithContext(path == "-" ? "standard input" : path, opened.status()));
  }
  return opened;
}

}  // namespace arrowport::cli
