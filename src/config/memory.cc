#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>

#include "config/value.h"

namespace arrowport::config {
namespace {

/// The number a cgroup file holds; "max" or no file: no limit.
int64_t ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  uint64_t limit = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), limit);
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  if (error != std::errc() || limit > static_cast<uint64_t>(kNone)) return kNone;
  return static_cast<int64_t>(limit);
}

/// Least limit of a group and its parents.
int64_t LeastLimit(const std::string& root, std::string group, const char* file) {
  int64_t least = ReadLimit(root + "/" + file);
  while (group.size() > 1) {
    least = std::min(least, ReadLimit(root + group + "/" + file));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return least;
}

int64_t MemoryTotalBytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    int64_t kib = 0;
    if (word == "MemTotal:" && file >> kib) return kib * 1024;
  }
  return int64_t{1} << 30;
}

}  // namespace

int64_t MemoryGrantedBytes() {
  int64_t granted = MemoryTotalBytes();
  // Lines of /proc/self/cgroup: "0::/group" (v2), "4:memory:/group" (v1).
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      granted = std::min(granted, LeastLimit("/sys/fs/cgroup", group, "memory.max"));
    } else if (controllers == "memory") {
      granted = std::min(granted, LeastLimit("/sys/fs/cgroup/memory", group,
                                             "memory.limit_in_bytes"));
    }
  }
  return granted;
}

}  // namespace arrowport::config
