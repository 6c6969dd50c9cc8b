# Third-party libraries. Arrow and DuckDB come from .deps (tools/setup) or, with
# -DARROWPORT_SYSTEM_ARROW=ON / -DARROWPORT_SYSTEM_DUCKDB=ON, from the system.
option(ARROWPORT_SYSTEM_ARROW "Use find_package(Arrow)" OFF)
option(ARROWPORT_SYSTEM_DUCKDB "Use find_package(DuckDB)" OFF)
set(ARROWPORT_DEPS "${CMAKE_SOURCE_DIR}/.deps" CACHE PATH "Where tools/setup put things")
set(ARROWPORT_DUCKDB_VERSION 1.5.5)

find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Protobuf REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(CURL REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
if(ARROWPORT_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# An imported library whose headers are system headers and whose folder becomes an rpath.
function(arrowport_imported target library include)
  if(NOT EXISTS "${library}")
    message(FATAL_ERROR "${library} is missing: run tools/setup first")
  endif()
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${library}"
    INTERFACE_INCLUDE_DIRECTORIES "${include}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
endfunction()

if(ARROWPORT_SYSTEM_ARROW)
  find_package(Arrow REQUIRED)
  find_package(Parquet REQUIRED)
  find_package(ArrowFlight REQUIRED)
  find_package(ArrowDataset REQUIRED)
  add_library(arrowport::arrow ALIAS Arrow::arrow_shared)
  add_library(arrowport::parquet ALIAS Parquet::parquet_shared)
  add_library(arrowport::arrow_flight ALIAS ArrowFlight::arrow_flight_shared)
  add_library(arrowport::arrow_compute ALIAS Arrow::arrow_compute_shared)
else()
  file(REAL_PATH "${ARROWPORT_DEPS}/arrow" ARROWPORT_ARROW_DIR)
  arrowport_imported(arrowport::arrow "${ARROWPORT_ARROW_DIR}/libarrow.so" "${ARROWPORT_ARROW_DIR}/include")
  foreach(part parquet arrow_flight arrow_compute)
    if(EXISTS "${ARROWPORT_ARROW_DIR}/lib${part}.so")
      arrowport_imported(arrowport::${part} "${ARROWPORT_ARROW_DIR}/lib${part}.so" "${ARROWPORT_ARROW_DIR}/include")
      target_link_libraries(arrowport::${part} INTERFACE arrowport::arrow)
    else()
      message(FATAL_ERROR "lib${part}.so is missing in ${ARROWPORT_ARROW_DIR}")
    endif()
  endforeach()
endif()

if(ARROWPORT_SYSTEM_DUCKDB)
  find_package(DuckDB REQUIRED)
  add_library(arrowport::duckdb ALIAS duckdb)
else()
  arrowport_imported(arrowport::duckdb "${ARROWPORT_DEPS}/duckdb/lib/libduckdb.so"
    "${ARROWPORT_DEPS}/duckdb/include")
  # The C++ interface has no stable ABI: headers and library must be one version.
  file(STRINGS "${ARROWPORT_DEPS}/duckdb/lib/libduckdb.so" found
    REGEX "^v${ARROWPORT_DUCKDB_VERSION}$" LIMIT_COUNT 1)
  if(NOT found)
    message(FATAL_ERROR "libduckdb.so is not ${ARROWPORT_DUCKDB_VERSION}: remove .deps/duckdb* and run tools/setup")
  endif()
endif()

add_library(arrowport_beast INTERFACE)
target_include_directories(arrowport_beast SYSTEM INTERFACE /usr/include)
target_compile_definitions(arrowport_beast INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(arrowport_beast INTERFACE Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
