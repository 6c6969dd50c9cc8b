// Structured log lines. One process-wide sink, set up once by the program before threads
// start (the single deliberate global of the project: a log reached through every
// constructor buys nothing). Thread-safe after InitLog. Never log secrets or row values.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace arrowport {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kPretty, kJson };

/// Lines go to standard error. Default before the call: kInfo, kPretty.
void InitLog(LogLevel level, LogFormat format);

using LogFields = std::initializer_list<std::pair<std::string_view, std::string>>;

/// One line: fixed `message`, then the fields.
void Log(LogLevel level, std::string_view message, LogFields fields = {});

inline void LogDebug(std::string_view m, LogFields f = {}) {
  Log(LogLevel::kDebug, m, f);
}
inline void LogInfo(std::string_view m, LogFields f = {}) { Log(LogLevel::kInfo, m, f); }
inline void LogWarn(std::string_view m, LogFields f = {}) { Log(LogLevel::kWarn, m, f); }
inline void LogError(std::string_view m, LogFields f = {}) {
  Log(LogLevel::kError, m, f);
}

}  // namespace arrowport
