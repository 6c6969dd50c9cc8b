#include "base/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <nlohmann/json.hpp>

namespace arrowport {
namespace {

std::atomic<LogFormat> log_format{LogFormat::kPretty};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static auto logger = [] {
    auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
    auto made = std::make_shared<spdlog::logger>("arrowport", std::move(sink));
    made->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-5l%$ %v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *logger;
}

std::string JsonText(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false,
                                   nlohmann::json::error_handler_t::replace);
}

}  // namespace

void InitLog(LogLevel level, LogFormat format) {
  log_format = format;
  Logger().set_level(ToSpdlog(level));
  if (format == LogFormat::kJson) {
    // %v is the inside of the object, built by Log.
    Logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})");
  }
}

void Log(LogLevel level, std::string_view message, LogFields fields) {
  spdlog::logger& logger = Logger();
  if (!logger.should_log(ToSpdlog(level))) return;
  std::string line;
  if (log_format == LogFormat::kJson) {
    line = "\"message\":" + JsonText(message);
    for (const auto& [key, value] : fields) {
      line.append(",").append(JsonText(key)).append(":").append(JsonText(value));
    }
  } else {
    line = message;
    for (const auto& [key, value] : fields) {
      line.append(" ").append(key).append("=").append(value);
    }
  }
  logger.log(ToSpdlog(level), "{}", line);
}

}  // namespace arrowport
