#include "delta/checkpoint_read.h"

#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "delta/checkpoint_read_columns.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kJsonBytesMax = 2LL << 30;
constexpr int64_t kBatchRows = 64 << 10;
/// Files made into actions at once when one of them is asked for.
constexpr int64_t kBlockRows = 1024;

constexpr std::array<std::string_view, 8> kActionColumns = {
    "add", "remove", "metaData", "protocol", "txn", "domainMetadata", "checkpointMetadata",
    "sidecar"};
/// Of `add` and `remove`; what is not here (partitionValues_parsed, ...) is not read.
constexpr std::array<std::string_view, 13> kFileColumns = {
    "path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "tags",
    "deletionVector", "baseRowId", "defaultRowCommitVersion", "clusteringProvider",
    "deletionTimestamp", "extendedFileMetadata"};

template <size_t kCount>
bool IsOneOf(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The `add` rows of a batch.
class ColumnPiece final : public FilePiece<AddFile> {
 public:
  static arrow::Result<std::shared_ptr<const ColumnPiece>> Make(
      std::shared_ptr<arrow::StructArray> adds) {
    auto piece = std::make_shared<ColumnPiece>();
    ARROW_RETURN_NOT_OK(piece->columns_.Take(adds));
    for (int64_t row = 0; row < adds->length(); ++row) {
      if (adds->IsNull(row)) continue;
      piece->rows_.push_back(row);
      ARROW_ASSIGN_OR_RAISE(const std::string key, piece->MakeKey(row));
      piece->hashes_.push_back(HashOfKey(key));
    }
    piece->blocks_ = std::vector<Block>(
        static_cast<size_t>((piece->size() + kBlockRows - 1) / kBlockRows));
    return piece;
  }

  const AddFile& At(int64_t row) const override {
    const Block& block = blocks_[static_cast<size_t>(row / kBlockRows)];
    std::call_once(block.made, [&] {
      const int64_t begin = row / kBlockRows * kBlockRows;
      const int64_t end = std::min(begin + kBlockRows, size());
      block.files.reserve(static_cast<size_t>(end - begin));
      for (int64_t i = begin; i < end; ++i) {
        block.files.push_back(columns_.Get(rows_[static_cast<size_t>(i)]));
      }
    });
    return block.files[static_cast<size_t>(row % kBlockRows)];
  }
  std::string KeyAt(int64_t row) const override {
    // Made once without error, in Make.
    return MakeKey(rows_[static_cast<size_t>(row)]).ValueOr(std::string());
  }
  int64_t BytesAt(int64_t row) const override {
    return columns_.size(rows_[static_cast<size_t>(row)]);
  }

 private:
  struct Block {
    mutable std::once_flag made;
    mutable std::vector<AddFile> files;
  };

  arrow::Result<std::string> MakeKey(int64_t row) const {
    return FileKey(columns_.path(row), columns_.deletion_vector(row));
  }

  AddColumns columns_;
  std::vector<int64_t> rows_;
  std::vector<Block> blocks_;
};

/// Whether the file has statistics in columns and none, or none in this row group, as text.
bool NeedsParsedStats(const parquet::FileMetaData& metadata) {
  int text = -1;
  bool parsed = false;
  for (int i = 0; i < metadata.num_columns(); ++i) {
    const auto path = metadata.schema()->Column(i)->path()->ToDotVector();
    if (path.size() < 2 || path[0] != "add") continue;
    if (path.size() == 2 && path[1] == "stats") text = i;
    parsed = parsed || path[1] == "stats_parsed";
  }
  if (!parsed || text < 0) return parsed;
  for (int group = 0; group < metadata.num_row_groups(); ++group) {
    const auto chunk = metadata.RowGroup(group)->ColumnChunk(text);
    const auto statistics = chunk->statistics();
    if (statistics == nullptr || !statistics->HasNullCount() ||
        statistics->null_count() == chunk->num_values()) {
      return true;
    }
  }
  return false;
}

std::vector<int> ChooseColumns(const parquet::FileMetaData& metadata) {
  const bool parsed_stats = NeedsParsedStats(metadata);
  std::vector<int> chosen;
  for (int i = 0; i < metadata.num_columns(); ++i) {
    const auto path = metadata.schema()->Column(i)->path()->ToDotVector();
    if (!IsOneOf(kActionColumns, path[0])) continue;
    if ((path[0] == "add" || path[0] == "remove") && path.size() > 1 &&
        !IsOneOf(kFileColumns, path[1]) && !(parsed_stats && path[1] == "stats_parsed")) {
      continue;
    }
    chosen.push_back(i);
  }
  return chosen;
}

/// Takes the rows of one batch apart.
class BatchReader {
 public:
  explicit BatchReader(CheckpointContent* content) : content_(content) {}

  arrow::Status Read(const arrow::RecordBatch& batch) {
    ARROW_ASSIGN_OR_RAISE(const auto rows, batch.ToStructArray());
    ARROW_ASSIGN_OR_RAISE(const auto adds, Actions(*rows, "add"));
    if (adds != nullptr) {
      ARROW_ASSIGN_OR_RAISE(auto piece, ColumnPiece::Make(adds));
      if (piece->size() > 0) content_->adds.push_back(std::move(piece));
    }
    ARROW_RETURN_NOT_OK(ReadRemoves(*rows));
    ARROW_RETURN_NOT_OK(ReadProtocol(*rows));
    ARROW_RETURN_NOT_OK(ReadMetadata(*rows));
    ARROW_RETURN_NOT_OK(ReadTransactions(*rows));
    ARROW_RETURN_NOT_OK(ReadDomains(*rows));
    return ReadSidecars(*rows);
  }

 private:
  /// The column, unless it has no action at all.
  static arrow::Result<std::shared_ptr<arrow::StructArray>> Actions(
      const arrow::StructArray& rows, std::string_view name) {
    ARROW_ASSIGN_OR_RAISE(auto actions, TakeStruct(rows, name));
    if (actions != nullptr && actions->null_count() == actions->length()) return nullptr;
    return actions;
  }

  arrow::Status ReadRemoves(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto removes, Actions(rows, "remove"));
    if (removes == nullptr) return {};
    RemoveColumns columns;
    ARROW_RETURN_NOT_OK(columns.Take(removes));
    for (int64_t row = 0; row < removes->length(); ++row) {
      if (!columns.Has(row)) continue;
      ARROW_ASSIGN_OR_RAISE(RemoveFile remove, columns.Get(row));
      content_->removes.push_back(std::move(remove));
    }
    return {};
  }

  arrow::Status ReadProtocol(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto found, Actions(rows, "protocol"));
    if (found == nullptr) return {};
    IntegerValues reader, writer;
    TextListValues reader_features, writer_features;
    ARROW_RETURN_NOT_OK(reader.Take(*found, "minReaderVersion"));
    ARROW_RETURN_NOT_OK(writer.Take(*found, "minWriterVersion"));
    ARROW_RETURN_NOT_OK(reader_features.Take(*found, "readerFeatures"));
    ARROW_RETURN_NOT_OK(writer_features.Take(*found, "writerFeatures"));
    for (int64_t row = 0; row < found->length(); ++row) {
      if (found->IsNull(row)) continue;
      Protocol protocol;
      protocol.min_reader_version = reader.Or<int32_t>(row, 0);
      protocol.min_writer_version = writer.Or<int32_t>(row, 0);
      // Some writers put an empty list where there should be none.
      if (reader_features.Has(row) && protocol.min_reader_version >= 3) {
        protocol.reader_features = reader_features.Get(row);
      }
      if (writer_features.Has(row) && protocol.min_writer_version >= 7) {
        protocol.writer_features = writer_features.Get(row);
      }
      content_->protocol = std::move(protocol);
    }
    return {};
  }

  arrow::Status ReadMetadata(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto found, Actions(rows, "metaData"));
    if (found == nullptr) return {};
    TextValues id, name, description, schema, provider;
    TextMapValues configuration, options;
    TextListValues partition_columns;
    LongValues created;
    ARROW_RETURN_NOT_OK(id.Take(*found, "id"));
    ARROW_RETURN_NOT_OK(name.Take(*found, "name"));
    ARROW_RETURN_NOT_OK(description.Take(*found, "description"));
    ARROW_RETURN_NOT_OK(schema.Take(*found, "schemaString"));
    ARROW_RETURN_NOT_OK(configuration.Take(*found, "configuration"));
    ARROW_RETURN_NOT_OK(partition_columns.Take(*found, "partitionColumns"));
    ARROW_RETURN_NOT_OK(created.Take(*found, "createdTime"));
    ARROW_ASSIGN_OR_RAISE(const auto format, TakeStruct(*found, "format"));
    if (format != nullptr) {
      ARROW_RETURN_NOT_OK(provider.Take(*format, "provider"));
      ARROW_RETURN_NOT_OK(options.Take(*format, "options"));
    }
    for (int64_t row = 0; row < found->length(); ++row) {
      if (found->IsNull(row)) continue;
      Metadata metadata;
      metadata.id = id.Or<std::string>(row, "");
      metadata.name = name.Optional<std::string>(row);
      metadata.description = description.Optional<std::string>(row);
      metadata.schema_string = schema.Or<std::string>(row, "");
      metadata.configuration = configuration.Map(row);
      if (partition_columns.Has(row)) {
        metadata.partition_columns = partition_columns.Get(row);
      }
      metadata.created_time_ms = created.Optional<int64_t>(row);
      metadata.format_provider = provider.Or<std::string>(row, "parquet");
      metadata.format_options = options.Map(row);
      content_->metadata = std::move(metadata);
    }
    return {};
  }

  arrow::Status ReadTransactions(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto found, Actions(rows, "txn"));
    if (found == nullptr) return {};
    TextValues app;
    LongValues version, updated;
    ARROW_RETURN_NOT_OK(app.Take(*found, "appId"));
    ARROW_RETURN_NOT_OK(version.Take(*found, "version"));
    ARROW_RETURN_NOT_OK(updated.Take(*found, "lastUpdated"));
    for (int64_t row = 0; row < found->length(); ++row) {
      if (found->IsNull(row)) continue;
      content_->transactions.push_back({app.Or<std::string>(row, ""),
                                        version.Or<int64_t>(row, 0),
                                        updated.Optional<int64_t>(row)});
    }
    return {};
  }

  arrow::Status ReadDomains(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto found, Actions(rows, "domainMetadata"));
    if (found == nullptr) return {};
    TextValues domain, configuration;
    BooleanValues removed;
    ARROW_RETURN_NOT_OK(domain.Take(*found, "domain"));
    ARROW_RETURN_NOT_OK(configuration.Take(*found, "configuration"));
    ARROW_RETURN_NOT_OK(removed.Take(*found, "removed"));
    for (int64_t row = 0; row < found->length(); ++row) {
      if (found->IsNull(row)) continue;
      content_->domains.push_back({domain.Or<std::string>(row, ""),
                                   configuration.Or<std::string>(row, ""),
                                   removed.Or<bool>(row, false)});
    }
    return {};
  }

  arrow::Status ReadSidecars(const arrow::StructArray& rows) {
    ARROW_ASSIGN_OR_RAISE(const auto found, Actions(rows, "sidecar"));
    if (found == nullptr) return {};
    TextValues path;
    LongValues size, modified;
    ARROW_RETURN_NOT_OK(path.Take(*found, "path"));
    ARROW_RETURN_NOT_OK(size.Take(*found, "sizeInBytes"));
    ARROW_RETURN_NOT_OK(modified.Take(*found, "modificationTime"));
    for (int64_t row = 0; row < found->length(); ++row) {
      if (found->IsNull(row)) continue;
      content_->sidecars.push_back({path.Or<std::string>(row, ""), size.Or<int64_t>(row, 0),
                                    modified.Or<int64_t>(row, 0)});
    }
    return {};
  }

  CheckpointContent* content_;
};

arrow::Status ReadParquetRows(std::shared_ptr<arrow::io::RandomAccessFile> file,
                              CheckpointContent* content) {
  parquet::ArrowReaderProperties properties(/*use_threads=*/true);
  properties.set_batch_size(kBatchRows);
  properties.set_pre_buffer(false);
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Open(std::move(file)));
  builder.properties(properties);
  const std::vector<int> columns = ChooseColumns(*builder.raw_reader()->metadata());
  std::unique_ptr<parquet::arrow::FileReader> reader;
  ARROW_ASSIGN_OR_RAISE(reader, builder.Build());
  std::vector<int> groups(static_cast<size_t>(reader->num_row_groups()));
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader(groups, columns));
  BatchReader batch_reader(content);
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(batches->ReadNext(&batch));
    if (batch == nullptr) return {};
    ARROW_RETURN_NOT_OK(batch_reader.Read(*batch));
  }
}

arrow::Status ReadParquet(const store::Store& store, const std::string& path,
                          CheckpointContent* content) {
  ARROW_ASSIGN_OR_RAISE(auto file, store.Open(path));
  arrow::Status status;
  try {
    status = ReadParquetRows(std::move(file), content);
  } catch (const std::exception& error) {
    status = arrow::Status::IOError(error.what());
  }
  if (status.ok() || CodeOf(status) == ErrorCode::kStorageCorrupt) return status;
  return Error(ErrorCode::kStorageCorrupt, "malformed checkpoint: ", path, ": ",
               status.message());
}

arrow::Status ReadJson(const store::Store& store, const std::string& path,
                       CheckpointContent* content) {
  ARROW_ASSIGN_OR_RAISE(const auto text, store.Read(path, kJsonBytesMax));
  ARROW_ASSIGN_OR_RAISE(auto actions, ParseCommit(std::string_view(*text), path));
  std::vector<std::shared_ptr<const AddFile>> adds;
  for (Action& action : actions) {
    if (auto* add = std::get_if<AddFile>(&action)) {
      ARROW_RETURN_NOT_OK(FileKey(add->path, add->deletion_vector).status());
      adds.push_back(std::make_shared<const AddFile>(std::move(*add)));
    } else if (auto* remove = std::get_if<RemoveFile>(&action)) {
      content->removes.push_back(std::move(*remove));
    } else if (auto* protocol = std::get_if<Protocol>(&action)) {
      content->protocol = std::move(*protocol);
    } else if (auto* metadata = std::get_if<Metadata>(&action)) {
      content->metadata = std::move(*metadata);
    } else if (auto* transaction = std::get_if<SetTransaction>(&action)) {
      content->transactions.push_back(std::move(*transaction));
    } else if (auto* domain = std::get_if<DomainMetadata>(&action)) {
      content->domains.push_back(std::move(*domain));
    } else if (auto* sidecar = std::get_if<Sidecar>(&action)) {
      content->sidecars.push_back(std::move(*sidecar));
    }
  }
  if (!adds.empty()) {
    content->adds.push_back(std::make_shared<ListPiece<AddFile>>(std::move(adds)));
  }
  return {};
}

}  // namespace

arrow::Result<CheckpointContent> ReadCheckpoint(const store::Store& store,
                                                const CheckpointFiles& files) {
  CheckpointContent content;
  for (const std::string& path : files.paths) {
    if (files.form == CheckpointForm::kUuidJson) {
      ARROW_RETURN_NOT_OK(ReadJson(store, path, &content));
    } else {
      ARROW_RETURN_NOT_OK(ReadParquet(store, path, &content));
    }
  }
  const std::vector<Sidecar> sidecars = content.sidecars;
  for (const Sidecar& sidecar : sidecars) {
    ARROW_ASSIGN_OR_RAISE(DataPath path, DecodePath(sidecar.path));
    if (path.absolute) {
      return Error(ErrorCode::kNotBuilt, "a sidecar outside the table's folder: ",
                   sidecar.path);
    }
    if (path.path.find('/') == std::string::npos) {
      path.path = std::string(kLogFolder) + "/_sidecars/" + path.path;
    }
    const auto status = ReadParquet(store, path.path, &content);
    if (!status.ok() && CodeOf(status) == ErrorCode::kNotFound) {
      return Error(ErrorCode::kStorageCorrupt, "a sidecar of the checkpoint is missing: ",
                   path.path);
    }
    ARROW_RETURN_NOT_OK(status);
  }
  return content;
}

}  // namespace arrowport::delta
