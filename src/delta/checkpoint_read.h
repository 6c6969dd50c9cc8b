// What a checkpoint of any form says. Source: Delta protocol, "Checkpoints".
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "delta/actions.h"
#include "delta/log_file_set.h"
#include "delta/log_listing.h"
#include "store/store.h"

namespace arrowport::delta {

struct CheckpointContent {
  std::optional<Protocol> protocol;
  std::optional<Metadata> metadata;
  std::vector<SetTransaction> transactions;
  std::vector<DomainMetadata> domains;
  std::vector<Sidecar> sidecars;
  /// Live files, kept as columns until somebody asks for one.
  std::vector<std::shared_ptr<const FilePiece<AddFile>>> adds;
  std::vector<RemoveFile> removes;
};

/// Reads all parts and sidecars. Errors: kStorageCorrupt, kNotFound.
arrow::Result<CheckpointContent> ReadCheckpoint(const store::Store& store,
                                                const CheckpointFiles& files);

}  // namespace arrowport::delta
