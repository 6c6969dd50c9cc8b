# What is installed, by component:
#   library  libarrowport, its headers and find_package(arrowport)
#   python   the compiled parts of the wheel: extension, program, libduckdb (pyproject.toml)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# One library with the Arrowport and the Zerobus client. Its users need Arrow and nothing else:
# what it is made of stays inside.
file(WRITE "${CMAKE_BINARY_DIR}/library_anchor.cc" "")
add_library(arrowport_library SHARED EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/library_anchor.cc")
add_library(arrowport::arrowport ALIAS arrowport_library)
target_link_libraries(arrowport_library PRIVATE arrowport_flags
  "$<LINK_LIBRARY:WHOLE_ARCHIVE,arrowport_client,arrowport_zerobus>")
target_link_libraries(arrowport_library PUBLIC arrowport::arrow)
target_include_directories(arrowport_library PUBLIC
  "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(arrowport_library PUBLIC cxx_std_20)
set_target_properties(arrowport_library PROPERTIES
  OUTPUT_NAME arrowport EXPORT_NAME arrowport
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  INSTALL_RPATH "${ARROWPORT_ARROW_DIR}")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/arrowport")
install(TARGETS arrowport_library EXPORT arrowport OPTIONAL COMPONENT library
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library)
install(DIRECTORY "${CMAKE_SOURCE_DIR}/include/arrowport" COMPONENT library
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(EXPORT arrowport NAMESPACE arrowport:: FILE arrowport-targets.cmake
  DESTINATION "${package_dir}" COMPONENT library)
configure_package_config_file("${CMAKE_SOURCE_DIR}/cmake/arrowport-config.cmake.in"
  "${CMAKE_BINARY_DIR}/arrowport-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/arrowport-config-version.cmake"
  COMPATIBILITY SameMajorVersion)
install(FILES "${CMAKE_BINARY_DIR}/arrowport-config.cmake"
  "${CMAKE_BINARY_DIR}/arrowport-config-version.cmake"
  DESTINATION "${package_dir}" COMPONENT library)

# In a wheel pyarrow is the neighbour: its folder holds the Arrow libraries.
if(ARROWPORT_BUILD_PYTHON)
  install(TARGETS arrowport_python LIBRARY DESTINATION arrowport COMPONENT python)
  set_target_properties(arrowport PROPERTIES
    INSTALL_RPATH "$ORIGIN/../../pyarrow;$ORIGIN/../_lib")
  install(TARGETS arrowport RUNTIME DESTINATION arrowport/_bin COMPONENT python)
  install(FILES "${ARROWPORT_DEPS}/duckdb/lib/libduckdb.so" DESTINATION arrowport/_lib
    COMPONENT python)
endif()
