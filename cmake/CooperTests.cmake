# Tests by pattern:
#
#   tests/unit/<room>/**/test_<thing>.c   program test_<room>_<thing>, linked with the room and
#                                         those below, cmocka, and other .c files of the folder
#   tests/fuzz/fuzz_<room>_<thing>.c      libFuzzer program, or a replay of its corpus
#   tests/{e2e,fault}/<name>.bats         one test each, run against this build's program
#   tests/{e2e,fault,bench}/<name>.c      helper programs for those, in bin/;
#   tests/{e2e,fault}/preload_<name>.c    helper libraries for LD_PRELOAD, in bin/
#   tests/conformance/run.sh              the conformance corpus
#
# A comment line in such a source adds to its link command:
#   /* link: -Wl,--wrap=write -lz */

cooper_package(cmocka)
cooper_package(libmicrohttpd)

set(test_environment
  "COOPER_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "COOPER_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=1")

# Rooms from the lowest up; each sees itself and what stands before it here.
set(rooms_base base)
set(rooms_parser parser base)
set(rooms_cas cas base)
set(rooms_registry registry cas base)
set(rooms_builder builder parser registry cas base)
set(rooms_cli cli builder parser registry cas base)

function(cooper_link_comments target source)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(STRINGS "${source}" lines REGEX "^/\\* link: .* \\*/$")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^/\\* link: (.*) \\*/$" "\\1" flags "${line}")
    separate_arguments(flags UNIX_COMMAND "${flags}")
    target_link_libraries(${target} PRIVATE ${flags})
  endforeach()
endfunction()

# A program of the tests that uses a room.
function(cooper_test_program target source room)
  add_executable(${target} "${source}")
  cooper_target(${target})
  cooper_link_comments(${target} "${source}")
  if(TARGET test_support_${room})
    target_link_libraries(${target} PRIVATE test_support_${room})
  endif()
  foreach(below IN LISTS rooms_${room})
    if(TARGET cooper_${below})
      target_link_libraries(${target} PRIVATE cooper_${below})
    endif()
  endforeach()
  target_link_libraries(${target} PRIVATE PkgConfig::cmocka PkgConfig::libmicrohttpd
    Threads::Threads)
  # Tests may name the types behind the doors.
  get_property(modules GLOBAL PROPERTY COOPER_MODULES)
  if(modules AND NOT room MATCHES "^(base|parser)$")
    add_dependencies(${target} ${modules})
  endif()
endfunction()

# --- unit ---
foreach(room IN LISTS COOPER_ROOMS)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/${room}/*.c")
  if(NOT sources OR NOT TARGET cooper_${room})
    continue()
  endif()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "/test_[^/]*\\.c$")
  set(support ${sources})
  list(FILTER support EXCLUDE REGEX "/test_[^/]*\\.c$")
  if(support)
    add_library(test_support_${room} STATIC ${support})
    cooper_target(test_support_${room})
  endif()
  foreach(source IN LISTS tests)
    get_filename_component(name "${source}" NAME_WE)
    string(REGEX REPLACE "^test_" "test_${room}_" name "${name}")
    cooper_test_program(${name} "${source}" ${room})
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300
      ENVIRONMENT "${test_environment}")
  endforeach()
endforeach()

# --- fuzz ---
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c")
foreach(source IN LISTS sources)
  get_filename_component(name "${source}" NAME_WE)
  string(REGEX REPLACE "^fuzz_([a-z]+)_.*$" "\\1" room "${name}")
  string(REGEX REPLACE "^fuzz_" "" corpus "${name}")
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${corpus}")
  if(NOT TARGET cooper_${room})
    continue()
  endif()
  cooper_test_program(${name} "${source}" ${room})
  if(COOPER_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name} COMMAND ${name} -runs=0 "${corpus}")
  else()
    target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c")
    add_test(NAME ${name} COMMAND ${name} "${corpus}")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 600
    ENVIRONMENT "${test_environment}")
endforeach()

# --- helpers of e2e, fault and bench ---
foreach(kind e2e fault bench)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${kind}/*.c")
  foreach(source IN LISTS sources)
    get_filename_component(name "${source}" NAME_WE)
    if(name MATCHES "^preload_")
      add_library(${name} MODULE "${source}")
      cooper_target(${name})
      cooper_link_comments(${name} "${source}")
      target_compile_options(${name} PRIVATE -fvisibility=default)
      set_target_properties(${name} PROPERTIES PREFIX "")
    elseif(TARGET cooper_base)
      cooper_test_program(${name} "${source}" cli)
    endif()
  endforeach()
endforeach()

# --- e2e, fault, conformance ---
if(TARGET cooper)
  list(APPEND test_environment "COOPER=$<TARGET_FILE:cooper>")
  foreach(kind e2e fault)
    file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${kind}/*.bats")
    foreach(file IN LISTS files)
      get_filename_component(name "${file}" NAME_WE)
      add_test(NAME ${kind}_${name} COMMAND bats "${file}")
      set_tests_properties(${kind}_${name} PROPERTIES LABELS ${kind} TIMEOUT 1800
        ENVIRONMENT "${test_environment}")
    endforeach()
  endforeach()
  if(EXISTS "${PROJECT_SOURCE_DIR}/tests/conformance/run.sh")
    add_test(NAME conformance COMMAND "${PROJECT_SOURCE_DIR}/tests/conformance/run.sh")
    set_tests_properties(conformance PROPERTIES LABELS conformance TIMEOUT 3600
      ENVIRONMENT "${test_environment}")
  endif()
endif()
