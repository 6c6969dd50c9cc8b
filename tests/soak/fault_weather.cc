#include "fault_weather.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;

// What is transient passes within a writer's four attempts, which take it 75 ms of waiting
// at most: a script fails one open, and a connection that opened makes progress first.
constexpr int64_t kScriptMsMin = 25;
constexpr int64_t kProgress = 50;

struct Kind {
  const char* point;
  const char* action;
  int64_t at_max;  ///< 0: the point has none
};

constexpr size_t kOfOpens = 4;  // the first of these
constexpr std::array kTransient = {
    Kind{"before_headers", R"({"type": "status"})", 0},
    Kind{"after_headers", R"({"type": "reset_stream", "http2_code": 2})", 0},
    Kind{"before_create_reply", R"({"type": "tcp_reset"})", 0},
    Kind{"after_open", R"({"type": "ok"})", 0},
    Kind{"before_log", R"({"type": "tcp_close"})", 600},
    Kind{"before_log", R"({"type": "status", "code": "RESOURCE_EXHAUSTED"})", 600},
    Kind{"after_log", R"({"type": "tcp_reset"})", 600},
    Kind{"after_log", R"({"type": "status", "code": "INTERNAL"})", 600},
    Kind{"after_log", R"({"type": "reset_stream", "http2_code": 8})", 600},
    Kind{"after_log", R"({"type": "delay", "duration_ms": 5})", 600},
    Kind{"after_acks", R"({"type": "goaway"})", 200},
    Kind{"after_acks", R"({"type": "close_signal", "duration_ms": 20})", 200},
    Kind{"mid_frame", R"({"type": "tcp_close"})", 200},
    Kind{"before_log", R"({"type": "stall", "duration_ms": 10})", 600},
};

constexpr std::array kStormOnly = {
    Kind{"after_log", R"({"type": "silence"})", 600},
    Kind{"after_log", R"({"type": "freeze"})", 600},
    Kind{"mid_frame", R"({"type": "freeze"})", 200},
    Kind{"before_create_reply", R"({"type": "silence"})", 0},
    Kind{"after_log", R"({"type": "ack_missing"})", 600},
    Kind{"after_acks", R"({"type": "ack_duplicate"})", 200},
    Kind{"after_acks", R"({"type": "ack_lower", "by": 3})", 200},
    // More than all producers have in flight: a lie within it nobody could tell from truth.
    Kind{"after_acks", R"({"type": "ack_too_high", "by": 100000})", 200},
    Kind{"after_acks", R"({"type": "ack_without_offset"})", 200},
    Kind{"after_acks", R"({"type": "ack_unparseable"})", 200},
    Kind{"after_acks", R"({"type": "unexpected_message"})", 200},
};

}  // namespace

FaultWeather::FaultWeather(emulator::Emulator* emulator, Weather weather,
                           std::string table, uint64_t seed)
    : emulator_(emulator),
      weather_(weather),
      table_(std::move(table)),
      random_(seed),
      thread_([this] { Run(); }) {}

FaultWeather::~FaultWeather() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

int64_t FaultWeather::Draw(int64_t below) {
  return std::uniform_int_distribution<int64_t>(0, below - 1)(random_);
}

bool FaultWeather::WaitFor(milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  MutexLock lock(mutex_);
  while (!stopped_ && std::chrono::steady_clock::now() < until) {
    lock.WaitUntil(changed_, until);
  }
  return !stopped_;
}

std::string FaultWeather::RandomFault(Opens opens) {
  const bool storm = weather_ == Weather::kStorm;
  const size_t first = opens == Opens::kMayFail ? 0 : kOfOpens;
  const size_t kinds = kTransient.size() + (storm ? kStormOnly.size() : 0);
  const size_t pick =
      first + static_cast<size_t>(Draw(static_cast<int64_t>(kinds - first)));
  const Kind& kind =
      pick < kTransient.size() ? kTransient[pick] : kStormOnly[pick - kTransient.size()];
  std::string text = std::string(R"({"point": ")") + kind.point + R"(", "action": )" +
                     kind.action + R"(, "times": )" + std::to_string(1 + (storm ? Draw(2) : 0)) +
                     R"(, "probability": 0.7)";
  const int64_t at_min = storm ? 1 : kProgress;
  if (kind.at_max > 0) text += R"(, "at": )" + std::to_string(at_min + Draw(kind.at_max));
  return text + "}";
}

std::string FaultWeather::RandomScript() {
  std::string faults;
  for (int64_t i = 2 + Draw(4); i > 0; --i) {
    const bool may = weather_ == Weather::kStorm || i == 1;
    faults += (faults.empty() ? "" : ", ") +
              RandomFault(may ? Opens::kMayFail : Opens::kWork);
  }
  std::string script =
      "{\"seed\": " + std::to_string(Draw(1 << 30)) + ", \"faults\": [" + faults + "]";
  switch (Draw(4)) {
    case 0:
      script += R"(, "acks": {"every": )" + std::to_string(1 + Draw(20)) + "}";
      break;
    case 1:
      script += R"(, "acks": {"delay_ms": )" + std::to_string(Draw(5)) +
                R"(, "jitter_ms": )" + std::to_string(Draw(5)) + "}";
      break;
    case 2:  // Flight: acknowledgements end inside batches
      script += R"(, "acks": {"rows": )" + std::to_string(1 + Draw(7)) + "}";
      break;
    default:
      break;
  }
  if (weather_ == Weather::kStorm && Draw(4) == 0) {
    script += R"(, "oauth": {"faults": [{"request": [1, 2], "status": )" +
              std::string(Draw(2) == 0 ? "500" : "429") + "}]}";
  }
  return script + "}";
}

void FaultWeather::Run() {
  while (WaitFor(milliseconds(kScriptMsMin + Draw(60)))) {
    const std::string script = RandomScript();
    if (const auto loaded = emulator_->LoadScript(script); !loaded.ok()) {
      std::fprintf(stderr, "%s: %s\n", loaded.ToString().c_str(), script.c_str());
      std::abort();  // a script of ours that is wrong would be fair weather
    }
    if (weather_ == Weather::kStorm && Draw(20) == 0) emulator_->RevokeTokens(table_);
    if (Draw(2) == 0) emulator_->Rotate(table_, milliseconds(Draw(50)));
  }
}

}  // namespace arrowport::zerobus
