# Language level, warnings and sanitizers, for every target of the project.
option(ARROWPORT_WERROR "Treat warnings as errors" ON)
option(ARROWPORT_BENCHMARKS "Build the benchmarks" ON)
set(ARROWPORT_SANITIZE "" CACHE STRING "address,undefined or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
# Readable stacks at the least cost: optimizing instrumented code takes three times as long as
# compiling it, more than the tests' slower run.
set(CMAKE_CXX_FLAGS_SANITIZER "-O0 -g1")

add_library(arrowport_flags INTERFACE)
target_compile_options(arrowport_flags INTERFACE
  -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
  -fPIC -fno-omit-frame-pointer -fstack-protector-strong -march=x86-64-v2)
if(ARROWPORT_WERROR)
  target_compile_options(arrowport_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Version 19 reports what GCC 12's own std::stable_sort uses; GCC looks after our own uses.
  target_compile_options(arrowport_flags INTERFACE -Wno-deprecated-declarations)
  # Without time stamps in it a precompiled header is the same for ccache every time.
  target_compile_options(arrowport_flags INTERFACE -Wthread-safety "SHELL:-Xclang -fno-pch-timestamp")
else()
  # GCC 12 reports these inside Arrow's and the standard library's inlined code.
  target_compile_options(arrowport_flags INTERFACE
    -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
    -Wno-stringop-overread -Wno-restrict -Wno-dangling-pointer)
endif()
if(ARROWPORT_SANITIZE)
  target_compile_options(arrowport_flags INTERFACE
    -fsanitize=${ARROWPORT_SANITIZE} -fno-sanitize-recover=undefined -D_GLIBCXX_ASSERTIONS)
  target_link_options(arrowport_flags INTERFACE -fsanitize=${ARROWPORT_SANITIZE})
endif()

find_program(ARROWPORT_MOLD mold)
if(ARROWPORT_MOLD)
  target_link_options(arrowport_flags INTERFACE -fuse-ld=mold)
endif()
find_program(ARROWPORT_CCACHE ccache)
if(ARROWPORT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header needs the sloppiness; base_dir lets checkouts share results.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;CCACHE_BASEDIR=${CMAKE_SOURCE_DIR};CCACHE_NOHASHDIR=1;${ARROWPORT_CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(arrowport_flags INTERFACE -fpch-preprocess)
  endif()
endif()
