#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "observe/metrics.h"

namespace arrowport::observe {
namespace {

double ResidentBytes() {
  // Format: proc(5), /proc/pid/statm: total and resident pages.
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double OpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int entries = 0;
  while (readdir(folder) != nullptr) ++entries;
  closedir(folder);
  return entries - 3;  // ".", ".." and the folder itself
}

Registry::Callback Unlabelled(double (*read)()) {
  return [read] { return std::vector<Sample>{{{}, read()}}; };
}

}  // namespace

std::vector<std::shared_ptr<void>> AddProcessMetrics(Registry* registry,
                                                     const std::string& version) {
  using Seconds = std::chrono::duration<double>;
  const double now = Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
  registry->GetGauge(Metric::kProcessStartTime).Set(now);
  registry->GetGauge(Metric::kBuildInfo, {version}).Set(1);
  return {
      registry->AddCallback(Metric::kProcessResidentBytes, Unlabelled(ResidentBytes)),
      registry->AddCallback(Metric::kProcessCpuSeconds, Unlabelled(CpuSeconds)),
      registry->AddCallback(Metric::kProcessOpenFiles, Unlabelled(OpenFiles)),
  };
}

}  // namespace arrowport::observe
