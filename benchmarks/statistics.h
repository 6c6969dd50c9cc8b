// Medians, intervals and machine probes of the benchmarks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace arrowport::bench {

double Median(std::vector<double> values);
/// `percent` in 0..100 of `values`, nearest rank; 0 when empty.
double Percentile(std::vector<double> values, double percent);

struct Interval {
  double low = 0;
  double high = 0;
};

/// Bootstrap 95 % interval of the median: 2,000 resamples with a fixed seed.
Interval MedianInterval(const std::vector<double>& values);

/// What this machine can do right now; taken before and after a run to see whether it moved.
struct Probe {
  double memcpy_gb_per_s = 0;  ///< 256 MiB warm copies, median of 7
  double fsync_ms = 0;         ///< 4 KiB append + fdatasync in `folder`, median of 200
  double load = 0;             ///< one-minute load average
};
Probe ProbeMachine(const std::string& folder);

/// Seconds since some fixed moment, monotonic.
double Now();

/// User plus system CPU seconds of a process and of its children; 0 when it is gone.
double CpuSeconds(int pid);
/// A field of /proc/PID/status in bytes ("VmRSS", "VmHWM"); 0 when it is gone.
int64_t StatusBytes(int pid, const std::string& field);
/// Makes VmHWM start again from the present size.
void ResetPeak(int pid);

}  // namespace arrowport::bench
