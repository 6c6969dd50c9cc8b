# arrowport_module(NAME [DEPS ...]): the sources of this folder (not below it) as one static
# library `arrowport_NAME`, and its x_test.cc files as one test program with the label `unit`.
# What a module may include is checked by tests/lint against tools/direction.txt.
include(GoogleTest)

# Headers that nearly every file reads, compiled once: arrowport_pch, and arrowport_duckdb_pch with
# DuckDB's for the modules that stand on it (DUCKDB).
function(arrowport_pch_target name)
  file(WRITE "${CMAKE_BINARY_DIR}/${name}.cc" "")
  add_library(${name} OBJECT "${CMAKE_BINARY_DIR}/${name}.cc")
  target_link_libraries(${name} PRIVATE arrowport_flags arrowport::arrow)
  target_precompile_headers(${name} PRIVATE
    <algorithm> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <deque>
    <functional> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view>
    <thread> <unordered_map> <utility> <variant> <vector>
    <arrow/api.h> <arrow/ipc/api.h> <arrow/util/key_value_metadata.h> ${ARGN})
endfunction()
arrowport_pch_target(arrowport_pch)
arrowport_pch_target(arrowport_duckdb_pch <duckdb.hpp>)
target_link_libraries(arrowport_duckdb_pch PRIVATE arrowport::duckdb)

function(arrowport_use_pch target duckdb)
  if(duckdb)
    target_precompile_headers(${target} REUSE_FROM arrowport_duckdb_pch)
  else()
    target_precompile_headers(${target} REUSE_FROM arrowport_pch)
  endif()
endfunction()

function(arrowport_module name)
  cmake_parse_arguments(M "NO_PCH;DUCKDB" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "*.cc")
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(target arrowport_${name})
  if(sources)
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include"
      "${CMAKE_BINARY_DIR}/generated")
    target_link_libraries(${target} PUBLIC arrowport::arrow fmt::fmt Threads::Threads ${M_DEPS}
      PRIVATE arrowport_flags)
    if(NOT M_NO_PCH)
      arrowport_use_pch(${target} ${M_DUCKDB})
    endif()
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include"
      "${CMAKE_BINARY_DIR}/generated")
    target_link_libraries(${target} INTERFACE arrowport::arrow fmt::fmt Threads::Threads ${M_DEPS})
  endif()
  if(tests)
    set(test_options "")
    if(M_DUCKDB)
      set(test_options DUCKDB)
    endif()
    arrowport_test(${name}_unit ${test_options} LABEL unit SOURCES ${tests} DEPS ${target})
  endif()
endfunction()

# arrowport_test(NAME LABEL l SOURCES ... DEPS ...): a GoogleTest program, one ctest entry. The
# target gtest_programs is all of them and nothing else.
add_custom_target(gtest_programs)
function(arrowport_test name)
  cmake_parse_arguments(T "DUCKDB" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  if(ARROWPORT_SANITIZE)
    # Instrumented code runs up to ten times slower.
    math(EXPR T_TIMEOUT "${T_TIMEOUT} * 4")
  endif()
  add_executable(${name} ${T_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(${name} PRIVATE arrowport_flags ${T_DEPS} arrowport::arrow
    GTest::gmock GTest::gtest GTest::gtest_main)
  arrowport_use_pch(${name} ${T_DUCKDB})
  add_dependencies(gtest_programs ${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABEL}" TIMEOUT ${T_TIMEOUT}
    ENVIRONMENT "ARROWPORT_SOURCE_DIR=${CMAKE_SOURCE_DIR};ARROWPORT_SHARED_DIR=${CMAKE_SOURCE_DIR}/../shared")
endfunction()
