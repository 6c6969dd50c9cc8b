// The rows of one upload on their way to the storage: what has arrived and the pieces cut
// from it, which are appended one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "ingest/row_groups.h"

namespace arrowport::ingest {

/// Caller-locked.
class UploadPieces {
 public:
  struct Piece {
    Batches batches;
    int64_t rows = 0;
    int64_t bytes = 0;
  };

  /// Pieces are of `piece_rows`; `bytes_max`: memory of one upload, which also ends a
  /// piece of wide rows.
  UploadPieces(int64_t piece_rows, int64_t bytes_max)
      : piece_rows_(piece_rows), bytes_max_(bytes_max) {}

  void Add(std::shared_ptr<arrow::RecordBatch> batch, int64_t bytes);
  /// Cuts what makes whole pieces, once `rows_min` rows wait, and what is too much memory to
  /// wait for one.
  void CutFull(int64_t rows_min);
  /// Cuts all that is left.
  void CutRest();
  /// Forgets everything but the piece that is being appended.
  void Drop();

  /// What was added and is not cut.
  Batches TakePending(int64_t* bytes);
  void SetPending(Batches batches);
  const Batches& pending() const { return pending_; }
  int64_t pending_bytes() const { return pending_bytes_; }
  bool is_large() const {
    return pending_rows_ >= kRowGroupRows || pending_bytes_ >= bytes_max_ / 2;
  }

  bool has_pieces() const { return !pieces_.empty(); }
  /// The next piece, to be appended. REQUIRES: has_pieces().
  Piece Begin();
  /// The piece begun is appended.
  void End(const Piece& piece);
  /// The piece begun comes again.
  void GiveBack(Piece piece);

  /// So much waits that the sender must.
  bool full() const;
  /// Little enough waits for it to go on.
  bool has_room() const;

 private:
  void Cut(int64_t rows);

  const int64_t piece_rows_;
  const int64_t bytes_max_;
  Batches pending_;
  int64_t pending_rows_ = 0;
  int64_t pending_bytes_ = 0;
  std::deque<Piece> pieces_;
  int64_t piece_bytes_ = 0;  ///< of pieces_ and of the one begun
  size_t begun_ = 0;
};

}  // namespace arrowport::ingest
