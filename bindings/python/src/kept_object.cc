#include "kept_object.h"

namespace arrowport::python {
namespace {

thread_local bool in_callback = false;

}  // namespace

bool InCallback() { return in_callback; }

namespace internal {

CallbackMark::CallbackMark() : outer_(in_callback) { in_callback = true; }
CallbackMark::~CallbackMark() { in_callback = outer_; }

}  // namespace internal
}  // namespace arrowport::python
