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

# Rooms from the lowest up; each sees itself and what stands before it here.
set(rooms_base base)
set(rooms_parser parser base)
set(rooms_cas cas base)
set(rooms_registry registry cas base)
set(rooms_builder builder parser registry cas base)
set(rooms_release release registry cas base)
set(rooms_cli cli builder release parser registry cas base)

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
    cooper_test(${name} unit COMMAND ${name} PROPERTIES TIMEOUT 300)
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
    # A short run from a fixed seed: what it finds goes to the build tree, not to the corpus.
    set(found "${PROJECT_BINARY_DIR}/fuzz/${name}")
    file(MAKE_DIRECTORY "${found}")
    cooper_test(${name} fuzz COMMAND ${name} -seed=1 -runs=20000 -max_total_time=20
      -rss_limit_mb=2500 "-artifact_prefix=${found}-" "${found}" "${corpus}"
      PROPERTIES TIMEOUT 600)
    list(APPEND fuzzers ${name})
  else()
    target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c")
    cooper_test(${name} fuzz COMMAND ${name} "${corpus}" PROPERTIES TIMEOUT 600)
  endif()
endforeach()

if(fuzzers)
  add_custom_target(fuzzers DEPENDS ${fuzzers} COMMENT "All libFuzzer programs")
endif()

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
# Each of these uses both processors, and the machine's ports and mounts: one at a time.
if(TARGET cooper)
  foreach(kind e2e fault)
    file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${kind}/*.bats")
    foreach(file IN LISTS files)
      get_filename_component(name "${file}" NAME_WE)
      cooper_test(${kind}_${name} ${kind} COMMAND bats --print-output-on-failure "${file}"
        PROPERTIES TIMEOUT 1800 RUN_SERIAL ON)
    endforeach()
  endforeach()
  if(EXISTS "${PROJECT_SOURCE_DIR}/tests/conformance/run.sh")
    # As root; as a user with subordinate ids, with the one id, and without isolation.
    foreach(who root subids single none)
      cooper_test(conformance_${who} conformance
        COMMAND "${PROJECT_SOURCE_DIR}/tests/conformance/run.sh" ${who}
        PROPERTIES TIMEOUT 3600 RUN_SERIAL ON)
    endforeach()
  endif()
endif()
