// Where an upload's batches come from: one implementation per body format. Fed with the
// body's messages as they arrive, asked for one bounded step of work at a time, so that
// back-pressure can stop it anywhere.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/buffer_pool.h"
#include "wire/http/body_reader.h"
#include "wire/http/json_scanner.h"
#include "wire/ipc/batch_decoder.h"
#include "wire/ipc/stream_parser.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// Limits that decoding a body obeys.
struct DecodeOptions {
  ipc::DecoderLimits decoder;
  ipc::StreamParserLimits parser;
  int64_t decompress_ratio_max = 200;
  int64_t request_memory_max = 64 << 20;   ///< what may be held while `config` is awaited
  std::shared_ptr<ByteBudget> budget;      ///< decoded memory; may be null
  std::string spool_folder;                ///< of temporary files; empty: /tmp
  int64_t spool_memory_bytes = 4 << 20;    ///< a spooled body up to this stays in memory
  int64_t spool_bytes_max = 64LL << 30;    ///< a larger Parquet body is refused
  int64_t parquet_memory_max = 1LL << 30;  ///< while one body is decoded
};

/// Not thread-safe.
class BatchSource {
 public:
  enum class Progress {
    kBatch,      ///< `batch` is set
    kWorked,     ///< something was done; ask again
    kNeedInput,  ///< nothing more without Feed or FeedEnd
    kEnd,        ///< the body was complete and valid; schema() is set
  };
  struct Step {
    Progress progress;
    std::shared_ptr<arrow::RecordBatch> batch;
  };
  using Overrides = std::map<std::string, std::string>;

  virtual ~BatchSource() = default;
  virtual void Feed(net::Message message) = 0;
  virtual void FeedEnd() = 0;
  /// Errors end the upload: kBadData, kIncompleteStream, kTooLarge, kUnsupportedType ...
  virtual arrow::Result<Step> Next() = 0;
  /// Null until known.
  virtual const std::shared_ptr<arrow::Schema>& schema() const = 0;
  /// Stream settings found in the body; null while they may still come. No batch is given
  /// out before.
  virtual const Overrides* overrides() const { return &no_overrides_; }

 private:
  const Overrides no_overrides_;
};

/// A source whose body is a sequence of IPC messages, however they are cut out of it.
class IpcSource : public BatchSource {
 public:
  arrow::Result<Step> Next() override;
  const std::shared_ptr<arrow::Schema>& schema() const override {
    return decoder_.schema();
  }

 protected:
  explicit IpcSource(const DecodeOptions& options)
      : decoder_(options.decoder, options.budget) {}
  /// Puts messages into messages_ and answers kWorked, or kNeedInput or kEnd.
  virtual arrow::Result<Progress> Refill() = 0;
  /// False: messages are kept back for now.
  virtual bool may_decode() const { return true; }

  std::deque<net::Message> messages_;

 private:
  ipc::BatchDecoder decoder_;
};

/// IPC messages already cut by an ipc::StreamParser as the call's BodyParser.
std::unique_ptr<BatchSource> MakeMessageSource(const DecodeOptions& options);

/// An IPC stream in body pieces, possibly compressed.
arrow::Result<std::unique_ptr<BatchSource>> MakeEncodedStreamSource(
    const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
    ContentEncoding encoding);

/// An IPC file in body pieces, read front to back: messages in file order, then the
/// footer, which must be there.
arrow::Result<std::unique_ptr<BatchSource>> MakeArrowFileSource(
    const DecodeOptions& options, ContentEncoding encoding);

/// A Parquet file in body pieces: kept until complete, then read row group by row group.
arrow::Result<std::unique_ptr<BatchSource>> MakeParquetSource(
    const DecodeOptions& options, ContentEncoding encoding);

struct JsonUploadForm {
  JsonShape shape = JsonShape::kStream;
  /// Settings of the route: the body may repeat them, and not say otherwise (kBadConfig).
  BatchSource::Overrides fixed;
};

/// The JSON form {"config": {...}, "batch": {"arrow_schema": .., "data": ..}}.
arrow::Result<std::unique_ptr<BatchSource>> MakeJsonSource(
    const DecodeOptions& options, std::shared_ptr<BufferPool> pool,
    ContentEncoding encoding, JsonUploadForm form);

}  // namespace arrowport::wire::http
