# The interpreter of tests and of the Python package, and whether the package is built:
# ARROWPORT_PYTHON_PACKAGE is AUTO (when that interpreter has nanobind), ON or OFF.
set(ARROWPORT_PYTHON "${CMAKE_SOURCE_DIR}/.deps/venv/bin/python" CACHE FILEPATH
  "Python interpreter of the tests and of the package, with tools/requirements.txt installed")
set(ARROWPORT_PYTHON_PACKAGE AUTO CACHE STRING "Build the Python package: AUTO, ON or OFF")

set(ARROWPORT_BUILD_PYTHON OFF)
# The prebuilt interpreter and nanobind's core know nothing of sanitizers.
if(ARROWPORT_PYTHON_PACKAGE AND NOT ARROWPORT_SANITIZE)
  execute_process(COMMAND "${ARROWPORT_PYTHON}" -m nanobind --cmake_dir
    OUTPUT_VARIABLE nanobind_dir OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed)
    set(ARROWPORT_BUILD_PYTHON ON)
  elseif(ARROWPORT_PYTHON_PACKAGE STREQUAL "AUTO")
    message(STATUS "${ARROWPORT_PYTHON} has no nanobind: the Python package is not built")
  else()
    message(FATAL_ERROR "${ARROWPORT_PYTHON} has no nanobind: run tools/setup first")
  endif()
endif()

if(ARROWPORT_BUILD_PYTHON)
  set(Python_EXECUTABLE "${ARROWPORT_PYTHON}")
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
  find_package(nanobind CONFIG REQUIRED PATHS "${nanobind_dir}" NO_DEFAULT_PATH)
endif()
