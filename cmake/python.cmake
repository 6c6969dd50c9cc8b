# The interpreter of tests and of the Python package, and whether the package is built.
# ARROWPORT_PYTHON is an interpreter with tools/requirements.txt installed.
set(ARROWPORT_PYTHON "${CMAKE_SOURCE_DIR}/.deps/venv/bin/python" CACHE FILEPATH
  "Python interpreter of the tests and of the package")
execute_process(COMMAND "${ARROWPORT_PYTHON}" -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_dir OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
if(failed)
  set(found OFF)
  message(STATUS "No nanobind for ${ARROWPORT_PYTHON}: the Python package is not built")
else()
  set(found ON)
endif()
option(ARROWPORT_PYTHON_PACKAGE "Build the Python package" ${found})
# The prebuilt interpreter and nanobind's core know nothing of sanitizers.
if(ARROWPORT_SANITIZE)
  set(ARROWPORT_PYTHON_PACKAGE OFF)
endif()

if(ARROWPORT_PYTHON_PACKAGE)
  set(Python_EXECUTABLE "${ARROWPORT_PYTHON}")
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
  find_package(nanobind CONFIG REQUIRED PATHS "${nanobind_dir}" NO_DEFAULT_PATH)
endif()
