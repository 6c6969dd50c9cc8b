#include "retired.h"

#include <mutex>
#include <utility>
#include <vector>

namespace arrowport::python {
namespace {

struct Objects {
  static Objects& Get() {
    static Objects objects;
    return objects;
  }
  std::mutex mutex;
  std::vector<std::shared_ptr<void>> kept;
};

}  // namespace

void Retire(std::shared_ptr<void> object) {
  Objects& objects = Objects::Get();
  const std::lock_guard lock(objects.mutex);
  objects.kept.push_back(std::move(object));
}

void EndRetired() {
  std::vector<std::shared_ptr<void>> gone;
  Objects& objects = Objects::Get();
  const std::lock_guard lock(objects.mutex);
  gone.swap(objects.kept);
}

}  // namespace arrowport::python
