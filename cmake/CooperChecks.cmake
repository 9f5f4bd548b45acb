# Tests of the source itself: every header compiles alone, includes point downwards only,
# the layout is clang-format's, clang-tidy has nothing to say, the program stays small.

# cooper_test(<name> <kind> COMMAND ... PROPERTIES ...): a test with the labels <kind> and
# <kind>-<build>. tests/run.sh runs the tests of several builds at once and chooses by the
# second label; the build ends the test's name, so that a failure says where.
if(COOPER_FUZZ)
  set(build fuzz)
elseif(COOPER_SANITIZE MATCHES "thread")
  set(build tsan)
elseif(COOPER_SANITIZE)
  set(build debug)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(build release)
else()
  set(build plain)
endif()

set(test_environment
  "COOPER_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "COOPER_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  "COOPER=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/cooper"
  "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=1")

function(cooper_test name kind)
  cmake_parse_arguments(arg "" "" "COMMAND;PROPERTIES" ${ARGN})
  add_test(NAME ${name}.${build} COMMAND ${arg_COMMAND})
  set_tests_properties(${name}.${build} PROPERTIES
    LABELS "${kind};${kind}-${build}" ENVIRONMENT "${test_environment}" ${arg_PROPERTIES})
endfunction()

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}"
  base/*.h parser/*.h cas/*.h registry/*.h release/*.h builder/*.h cli/*.h)
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
  cooper_test(check_headers check
    COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target check_headers
    PROPERTIES PROCESSORS 2)
endif()

cooper_test(check_includes check COMMAND "${PROJECT_SOURCE_DIR}/tests/check_includes.sh")
cooper_test(check_format check COMMAND "${PROJECT_SOURCE_DIR}/tests/check_format.sh")
add_custom_target(format
  COMMAND "${PROJECT_SOURCE_DIR}/tests/check_format.sh" -i
  COMMENT "Laying out every C file as .clang-format says")
cooper_test(check_tidy check
  COMMAND "${PROJECT_SOURCE_DIR}/tests/check_tidy.sh" "${PROJECT_BINARY_DIR}"
  PROPERTIES TIMEOUT 2400 PROCESSORS 2)
if(TARGET cooper AND build STREQUAL "release")
  cooper_test(check_size size
    COMMAND "${PROJECT_SOURCE_DIR}/tests/check_size.sh" $<TARGET_FILE:cooper> 2000000)
endif()
