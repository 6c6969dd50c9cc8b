// Whether this program was built with TSan, for tests that it cannot follow.
#pragma once

namespace arrowport {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// Why a test that forks a process with threads skips itself then.
inline constexpr char kNoForkUnderTsan[] =
    "TSan does not follow a process forked from one with threads";

}  // namespace arrowport
