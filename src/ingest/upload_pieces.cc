#include "ingest/upload_pieces.h"

#include <algorithm>
#include <utility>

namespace arrowport::ingest {
namespace {

constexpr size_t kPiecesAheadMax = 3;

}  // namespace

void UploadPieces::Add(std::shared_ptr<arrow::RecordBatch> batch, int64_t bytes) {
  pending_rows_ += batch->num_rows();
  pending_bytes_ += bytes;
  pending_.push_back(std::move(batch));
}

void UploadPieces::Cut(int64_t rows) {
  Piece piece;
  const int64_t all = pending_rows_;
  piece.rows = std::min(rows, all);
  piece.batches = TakeRows(&pending_, piece.rows);
  piece.bytes = all == 0 ? 0
                         : static_cast<int64_t>(static_cast<double>(pending_bytes_) *
                                                static_cast<double>(piece.rows) /
                                                static_cast<double>(all));
  pending_rows_ -= piece.rows;
  pending_bytes_ -= piece.bytes;
  piece_bytes_ += piece.bytes;
  pieces_.push_back(std::move(piece));
}

void UploadPieces::CutFull(int64_t rows_min) {
  if (pending_rows_ >= rows_min) {
    while (pending_rows_ >= piece_rows_) Cut(piece_rows_);
  }
  if (pending_bytes_ >= bytes_max_ / 2) Cut(pending_rows_);
}

void UploadPieces::CutRest() {
  if (!pending_.empty()) Cut(pending_rows_);
}

void UploadPieces::Drop() {
  pending_.clear();
  pieces_.clear();
  pending_rows_ = pending_bytes_ = piece_bytes_ = 0;
}

Batches UploadPieces::TakePending(int64_t* bytes) {
  *bytes = std::exchange(pending_bytes_, 0);
  pending_rows_ = 0;
  return std::exchange(pending_, {});
}

void UploadPieces::SetPending(Batches batches) {
  pending_ = std::move(batches);
  pending_rows_ = RowCount(pending_);
}

UploadPieces::Piece UploadPieces::Begin() {
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  begun_ = 1;
  return piece;
}

void UploadPieces::End(const Piece& piece) {
  begun_ = 0;
  // Unless Drop has counted it off meanwhile.
  piece_bytes_ = std::max<int64_t>(piece_bytes_ - piece.bytes, 0);
}

void UploadPieces::GiveBack(Piece piece) {
  begun_ = 0;
  pieces_.push_front(std::move(piece));
}

bool UploadPieces::full() const {
  return !pieces_.empty() && (pieces_.size() + begun_ >= kPiecesAheadMax ||
                              pending_bytes_ + piece_bytes_ > bytes_max_);
}

bool UploadPieces::has_room() const {
  if (pieces_.empty()) return true;
  return pieces_.size() + begun_ < kPiecesAheadMax - 1 &&
         pending_bytes_ + piece_bytes_ <= bytes_max_ / 2;
}

}  // namespace arrowport::ingest
