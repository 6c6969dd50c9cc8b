# arrowport_proto(TARGET DIR proto...): classes for the .proto files (paths relative to the
# calling folder), as a library of their own: they meet no warning flags of ours. Headers are
# included as "DIR/<stem>.pb.h".
function(arrowport_proto target dir)
  set(out "${CMAKE_BINARY_DIR}/generated/${dir}")
  file(MAKE_DIRECTORY "${out}")
  set(sources)
  foreach(proto ${ARGN})
    get_filename_component(stem "${proto}" NAME_WE)
    get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}/${proto}" DIRECTORY)
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    add_custom_command(OUTPUT ${outputs}
      COMMAND protobuf::protoc "--proto_path=${folder}" "--proto_path=/usr/include"
        "--cpp_out=${out}" "${CMAKE_CURRENT_SOURCE_DIR}/${proto}"
      DEPENDS "${proto}" VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC "${CMAKE_BINARY_DIR}/generated")
  target_compile_options(${target} PRIVATE -fPIC)
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
endfunction()
