// Waiting for a statement without keeping a core busy.
#pragma once

#include <algorithm>
#include <chrono>
#include <duckdb/main/pending_query_result.hpp>
#include <thread>

namespace arrowport::engine {

/// Helps with the statement until its result is ready or `give_up()` says true; then
/// false. DuckDB's own loop spins while all work is with its workers, on a core that
/// others need. May throw what ExecuteTask throws.
template <typename GiveUp>
bool AwaitResult(duckdb::PendingQueryResult& pending, GiveUp&& give_up) {
  constexpr auto kPauseMax = std::chrono::microseconds(500);
  auto pause = std::chrono::microseconds(10);
  for (;;) {
    const auto state = pending.ExecuteTask();
    if (duckdb::PendingQueryResult::IsResultReady(state)) return true;
    if (state == duckdb::PendingExecutionResult::RESULT_NOT_READY) {
      pause = std::chrono::microseconds(10);
      continue;
    }
    if (give_up()) return false;
    std::this_thread::sleep_for(pause);  // poll
    pause = std::min(pause * 2, kPauseMax);
  }
}

}  // namespace arrowport::engine
