// The files of a snapshot as an immutable, persistent set: the set of the next version
// shares everything that did not change.
#pragma once

#include <arrow/result.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "delta/actions.h"

namespace arrowport::delta {

/// What makes two mentions of a file in a log the same: the decoded path and the deletion
/// vector. Errors: kStorageCorrupt (DecodePath).
arrow::Result<std::string> FileKey(std::string_view path_in_log,
                                   const std::optional<DeletionVectorDescriptor>& vector);
/// Of an already decoded path; `dv_id` may be empty.
std::string FileKeyOfDecoded(std::string_view path, std::string_view dv_id);

inline uint64_t HashOfKey(std::string_view key) {
  return std::hash<std::string_view>()(key);
}

/// Some files in a fixed order, found by key. Immutable, thread-safe.
template <typename T>
class FilePiece {
 public:
  virtual ~FilePiece() = default;
  int64_t size() const { return static_cast<int64_t>(hashes_.size()); }
  /// Lives as long as the piece.
  virtual const T& At(int64_t row) const = 0;
  virtual std::string KeyAt(int64_t row) const = 0;
  /// At(row) to be kept longer than the piece; nothing when the piece cannot give it away.
  virtual std::shared_ptr<const T> Share(int64_t row) const { return nullptr; }
  virtual int64_t BytesAt(int64_t row) const = 0;

  std::optional<int64_t> Find(std::string_view key) const {
    std::call_once(indexed_, [this] { BuildIndex(); });
    const uint64_t hash = HashOfKey(key);
    auto at = std::lower_bound(
        index_.begin(), index_.end(), hash,
        [this](uint32_t row, uint64_t wanted) { return hashes_[row] < wanted; });
    for (; at != index_.end() && hashes_[*at] == hash; ++at) {
      if (KeyAt(*at) == key) return *at;
    }
    return std::nullopt;
  }

 protected:
  /// One hash per file, set before the piece is shared.
  std::vector<uint64_t> hashes_;

 private:
  void BuildIndex() const {
    index_.resize(hashes_.size());
    for (size_t i = 0; i < index_.size(); ++i) index_[i] = static_cast<uint32_t>(i);
    std::sort(index_.begin(), index_.end(),
              [this](uint32_t a, uint32_t b) { return hashes_[a] < hashes_[b]; });
  }

  mutable std::once_flag indexed_;
  mutable std::vector<uint32_t> index_;
};

inline int64_t BytesOf(const AddFile& file) { return file.size; }
inline int64_t BytesOf(const RemoveFile& file) { return file.size.value_or(0); }

/// Files that came one by one.
template <typename T>
class ListPiece final : public FilePiece<T> {
 public:
  explicit ListPiece(std::vector<std::shared_ptr<const T>> files)
      : files_(std::move(files)) {
    this->hashes_.reserve(files_.size());
    for (size_t i = 0; i < files_.size(); ++i) {
      this->hashes_.push_back(HashOfKey(KeyAt(static_cast<int64_t>(i))));
    }
  }
  const T& At(int64_t row) const override { return *files_[static_cast<size_t>(row)]; }
  std::string KeyAt(int64_t row) const override {
    // The path was decoded without error before the file came here.
    return FileKey(At(row).path, At(row).deletion_vector).ValueOr(std::string());
  }
  std::shared_ptr<const T> Share(int64_t row) const override {
    return files_[static_cast<size_t>(row)];
  }
  int64_t BytesAt(int64_t row) const override { return BytesOf(At(row)); }

 private:
  std::vector<std::shared_ptr<const T>> files_;
};

/// Immutable; copying copies a few pointers.
template <typename T>
class FileSet {
 public:
  int64_t count() const { return count_; }
  int64_t bytes() const { return bytes_; }

  const T* Find(std::string_view key) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      const auto row = layer->piece->Find(key);
      if (row && !layer->IsDead(*row)) return &layer->piece->At(*row);
    }
    return nullptr;
  }
  bool Contains(std::string_view key) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      const auto row = layer->piece->Find(key);
      if (row && !layer->IsDead(*row)) return true;
    }
    return false;
  }

  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (const Layer& layer : layers_) {
      for (int64_t row = 0; row < layer.piece->size(); ++row) {
        if (!layer.IsDead(row)) visit(layer.piece->At(row));
      }
    }
  }

  /// Puts a whole piece on top; its keys must be new to the set.
  void AddPiece(std::shared_ptr<const FilePiece<T>> piece) {
    if (piece->size() == 0) return;
    for (int64_t row = 0; row < piece->size(); ++row) bytes_ += piece->BytesAt(row);
    count_ += piece->size();
    const int64_t live = piece->size();
    layers_.push_back({std::move(piece), nullptr, live});
  }

 private:
  template <typename>
  friend class FileSetChange;

  struct Layer {
    std::shared_ptr<const FilePiece<T>> piece;
    std::shared_ptr<const std::vector<bool>> dead;  ///< nullptr: none
    int64_t live = 0;
    bool IsDead(int64_t row) const {
      return dead != nullptr && (*dead)[static_cast<size_t>(row)];
    }
  };

  std::vector<Layer> layers_;
  int64_t count_ = 0, bytes_ = 0;
};

/// Changes on their way into a new set. Caller-locked.
template <typename T>
class FileSetChange {
 public:
  explicit FileSetChange(const FileSet<T>& base) : set_(base) {}

  /// A file of the same key is replaced.
  void Put(std::string key, std::shared_ptr<const T> file) {
    Remove(key);
    set_.bytes_ += BytesOf(*file);
    ++set_.count_;
    added_at_[std::move(key)] = added_.size();
    added_.push_back(std::move(file));
  }

  /// Whether there was such a file.
  bool Remove(const std::string& key) {
    if (const auto found = added_at_.find(key); found != added_at_.end()) {
      set_.bytes_ -= BytesOf(*added_[found->second]);
      --set_.count_;
      added_[found->second] = nullptr;
      added_at_.erase(found);
      return true;
    }
    for (size_t i = set_.layers_.size(); i-- > 0;) {
      auto& layer = set_.layers_[i];
      const auto row = layer.piece->Find(key);
      if (!row || layer.IsDead(*row) || IsDying(i, *row)) continue;
      Dying(i)[static_cast<size_t>(*row)] = true;
      --layer.live;
      set_.bytes_ -= layer.piece->BytesAt(*row);
      --set_.count_;
      return true;
    }
    return false;
  }

  FileSet<T> Finish() {
    for (auto& [index, dead] : dying_) {
      set_.layers_[index].dead = std::make_shared<const std::vector<bool>>(std::move(dead));
    }
    std::erase(added_, nullptr);
    std::erase_if(set_.layers_, [](const auto& layer) { return layer.live == 0; });
    MergeSmallLayers();
    if (!added_.empty()) {
      const auto live = static_cast<int64_t>(added_.size());
      set_.layers_.push_back(
          {std::make_shared<ListPiece<T>>(std::move(added_)), nullptr, live});
    }
    return std::move(set_);
  }

 private:
  bool IsDying(size_t layer, int64_t row) const {
    const auto found = dying_.find(layer);
    return found != dying_.end() && found->second[static_cast<size_t>(row)];
  }
  std::vector<bool>& Dying(size_t index) {
    const auto [found, fresh] = dying_.try_emplace(index);
    if (fresh) {
      const auto& layer = set_.layers_[index];
      if (layer.dead != nullptr) {
        found->second = *layer.dead;
      } else {
        found->second.resize(static_cast<size_t>(layer.piece->size()));
      }
    }
    return found->second;
  }

  /// Keeps each layer at least twice as large as the next, so that there are few of them
  /// and each file is moved a logarithmic number of times.
  void MergeSmallLayers() {
    while (!set_.layers_.empty()) {
      const auto& layer = set_.layers_.back();
      if (layer.live > 2 * static_cast<int64_t>(added_.size()) ||
          layer.piece->Share(0) == nullptr) {
        return;
      }
      std::vector<std::shared_ptr<const T>> merged;
      merged.reserve(static_cast<size_t>(layer.live) + added_.size());
      for (int64_t row = 0; row < layer.piece->size(); ++row) {
        if (!layer.IsDead(row)) merged.push_back(layer.piece->Share(row));
      }
      merged.insert(merged.end(), added_.begin(), added_.end());
      added_ = std::move(merged);
      set_.layers_.pop_back();
    }
  }

  FileSet<T> set_;
  std::vector<std::shared_ptr<const T>> added_;
  std::unordered_map<std::string, size_t> added_at_;
  std::unordered_map<size_t, std::vector<bool>> dying_;
};

}  // namespace arrowport::delta
