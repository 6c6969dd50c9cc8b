// The transaction map of a table as an immutable, persistent map.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "delta/actions.h"

namespace arrowport::delta {

/// A large base shared by many versions and a small overlay copied with each. Immutable,
/// thread-safe; copying copies pointers.
class TransactionMap {
 public:
  using Map = std::map<std::string, SetTransaction, std::less<>>;

  TransactionMap();
  const SetTransaction* Find(std::string_view app_id) const;
  /// Everything in one map, made once for this version.
  const Map& All() const;
  /// With `changes` put in or over.
  TransactionMap With(Map changes) const;

 private:
  struct Merged {
    std::once_flag made;
    Map map;
  };

  std::shared_ptr<const Map> base_, overlay_;
  std::shared_ptr<Merged> merged_;
};

}  // namespace arrowport::delta
