// What must not end where its last Python reference went away.
#pragma once

#include <memory>

namespace arrowport::python {

/// Keeps an object whose destructor ends threads: its last reference went away inside a
/// callback, so perhaps on one of them. Thread-safe.
void Retire(std::shared_ptr<void> object);
/// Ends what was retired. Not inside a callback, without the interpreter lock.
void EndRetired();

}  // namespace arrowport::python
