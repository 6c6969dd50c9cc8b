// A Python object held by C++ threads.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

namespace arrowport::python {

namespace nb = nanobind;

/// May be copied and dropped without the interpreter lock; using object() needs it. What is
/// still held when the interpreter ends is leaked: there is nobody left to give it back to.
class KeptObject {
 public:
  KeptObject() = default;
  /// Needs the interpreter lock.
  explicit KeptObject(nb::object object)
      : object_(object.release().ptr(), [](PyObject* pointer) {
          if (!pointer || !nb::is_alive()) return;
          const nb::gil_scoped_acquire lock;
          Py_DECREF(pointer);
        }) {}

  nb::handle object() const { return nb::handle(object_.get()); }
  explicit operator bool() const { return object_ && !object().is_none(); }

 private:
  std::shared_ptr<PyObject> object_;
};

/// Whether this thread runs a callback of the library. An object that ends threads of the
/// library must not be destroyed then.
bool InCallback();

/// Runs `body` with the interpreter lock as a callback of the library; nothing when the
/// interpreter has ended. What `body` raises goes to sys.unraisablehook: there is no caller.
template <typename Body>
void RunCallback(const KeptObject& callable, Body body);

namespace internal {

class CallbackMark {
 public:
  CallbackMark();
  ~CallbackMark();

 private:
  const bool outer_;
};

}  // namespace internal

template <typename Body>
void RunCallback(const KeptObject& callable, Body body) {
  if (!nb::is_alive()) return;
  const nb::gil_scoped_acquire lock;
  const internal::CallbackMark mark;
  try {
    body(callable.object());
  } catch (nb::python_error& error) {
    error.restore();
    PyErr_WriteUnraisable(callable.object().ptr());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    PyErr_WriteUnraisable(callable.object().ptr());
  }
}

}  // namespace arrowport::python
