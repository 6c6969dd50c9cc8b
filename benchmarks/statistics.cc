#include "statistics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

namespace arrowport::bench {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

double Percentile(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  auto rank = static_cast<size_t>(std::ceil(percent / 100 * values.size()));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

Interval MedianInterval(const std::vector<double>& values) {
  if (values.size() < 2) return {Median(values), Median(values)};
  std::mt19937 random(42);
  std::uniform_int_distribution<size_t> pick(0, values.size() - 1);
  std::vector<double> medians;
  std::vector<double> sample(values.size());
  for (int round = 0; round < 2000; ++round) {
    for (double& value : sample) value = values[pick(random)];
    medians.push_back(Median(sample));
  }
  return {Percentile(medians, 2.5), Percentile(medians, 97.5)};
}

double Now() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

namespace {

double MemcpyRate() {
  constexpr size_t kBytes = 256 << 20;
  std::vector<char> from(kBytes, 1), to(kBytes, 2);
  std::vector<double> rates;
  for (int pass = 0; pass < 7; ++pass) {
    double start = Now();
    std::memcpy(to.data(), from.data(), kBytes);
    rates.push_back(kBytes / (Now() - start) / 1e9);
    from[pass] = to[kBytes - 1 - pass];
  }
  return Median(rates);
}

double FsyncMilliseconds(const std::string& folder) {
  std::string path = folder + "/fsync.probe";
  int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return 0;
  std::vector<char> page(4096, 'x');
  std::vector<double> times;
  for (int pass = 0; pass < 200; ++pass) {
    double start = Now();
    if (write(file, page.data(), page.size()) < 0 || fdatasync(file) != 0) break;
    times.push_back((Now() - start) * 1000);
  }
  close(file);
  unlink(path.c_str());
  return Median(times);
}

}  // namespace

Probe ProbeMachine(const std::string& folder) {
  Probe probe;
  probe.memcpy_gb_per_s = MemcpyRate();
  probe.fsync_ms = FsyncMilliseconds(folder);
  double load[1] = {0};
  if (getloadavg(load, 1) == 1) probe.load = load[0];
  return probe;
}

double CpuSeconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return 0;
  // Behind the command name in parentheses: state is field 3, utime 14 ... cstime 17.
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double total = 0, ticks = 0;
  for (int field = 14; field <= 17 && fields >> ticks; ++field) total += ticks;
  return total / sysconf(_SC_CLK_TCK);
}

int64_t StatusBytes(int pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(field + ":", 0) == 0) {
      return std::atoll(line.c_str() + field.size() + 1) * 1024;
    }
  }
  return 0;
}

void ResetPeak(int pid) {
  std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5";
}

}  // namespace arrowport::bench
