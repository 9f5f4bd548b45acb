# Tests of the source itself: every header compiles alone, includes point downwards only,
# the layout is clang-format's, clang-tidy has nothing to say, the program stays small.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}"
  base/*.h parser/*.h cas/*.h registry/*.h builder/*.h cli/*.h)
set(header_sources)
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER "${header}" name)
  set(source "${PROJECT_BINARY_DIR}/headers/${name}.c")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${header}\"\n" @ONLY)
  list(APPEND header_sources "${source}")
endforeach()
if(header_sources)
  # Without base/banned.h, whose own includes would help a header out.
  add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${header_sources})
  target_include_directories(check_headers PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
  add_test(NAME check_headers
    COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target check_headers)
  set_tests_properties(check_headers PROPERTIES LABELS check RESOURCE_LOCK build)
endif()

add_test(NAME check_includes COMMAND "${PROJECT_SOURCE_DIR}/tests/check_includes.sh")
set_tests_properties(check_includes PROPERTIES LABELS check)

add_test(NAME check_format COMMAND "${PROJECT_SOURCE_DIR}/tests/check_format.sh")
set_tests_properties(check_format PROPERTIES LABELS check)

add_test(NAME check_tidy
  COMMAND "${PROJECT_SOURCE_DIR}/tests/check_tidy.sh" "${PROJECT_BINARY_DIR}")
set_tests_properties(check_tidy PROPERTIES LABELS check TIMEOUT 1200 PROCESSORS 2)

if(TARGET cooper AND CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT COOPER_SANITIZE)
  add_test(NAME check_size
    COMMAND "${PROJECT_SOURCE_DIR}/tests/check_size.sh" $<TARGET_FILE:cooper> 2000000)
  set_tests_properties(check_size PROPERTIES LABELS check)
endif()
