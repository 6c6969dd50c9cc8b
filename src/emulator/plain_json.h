// JSON records in the form writers produce them, judged without building a document.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "emulator/tables.h"

namespace arrowport::emulator {

/// Knows objects of plain members: no nested value, no escape, no space around tokens where
/// writers put none. Immutable.
class PlainJsonRows {
 public:
  PlainJsonRows(std::shared_ptr<const Table> table, const std::string& id_column);

  /// True: the row is good, and its id is appended to `ids`. False: nothing is known, and
  /// `ids` is as before.
  bool Accepts(std::string_view row, std::string* ids) const;

 private:
  const std::shared_ptr<const Table> table_;
  const std::string id_column_;
};

}  // namespace arrowport::emulator
