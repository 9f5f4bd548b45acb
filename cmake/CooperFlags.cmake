# Language, warnings, sanitizers and hardening: the only settings that are global.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Programs, tests and modules stand side by side, so that a module is found beside whatever
# loads it.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

include(CheckPIESupported)
check_pie_supported(OUTPUT_VARIABLE pie_output LANGUAGES C)
if(NOT CMAKE_C_LINK_PIE_SUPPORTED)
  message(FATAL_ERROR "the linker cannot make position-independent programs: ${pie_output}")
endif()

add_compile_definitions(_GNU_SOURCE)

# CMake's own defaults carry -DNDEBUG; ours never do, as broken invariants are caught in
# released programs too.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-g")

set(warnings
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings
  -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND warnings
    -Wformat-signedness -Wlogical-op -Wduplicated-cond -Wduplicated-branches
    -Wjump-misses-init -Wcast-align=strict)
elseif(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  list(APPEND warnings -Wcast-align -Wcomma -Wunreachable-code)
else()
  message(FATAL_ERROR "cooper is built with gcc or clang, not ${CMAKE_C_COMPILER_ID}")
endif()

set(hardening -fstack-protector-strong -fstack-clash-protection)
set(hardening_link -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
set(sections -ffunction-sections -fdata-sections -fno-common)

# A flag that is dropped silently guards nothing. All are tried at once, as that is one run of
# the compiler; only if it fails each is tried alone, to name the culprit.
include(CheckCCompilerFlag)
list(JOIN warnings " " all_flags)
list(JOIN hardening " " hardening_flags)
check_c_compiler_flag("-Werror ${all_flags} ${hardening_flags}" COOPER_FLAGS_KNOWN)
if(NOT COOPER_FLAGS_KNOWN)
  unset(COOPER_FLAGS_KNOWN CACHE)
  foreach(flag IN LISTS warnings hardening)
    string(MAKE_C_IDENTIFIER "COOPER_HAS${flag}" known)
    check_c_compiler_flag("-Werror ${flag}" ${known})
    if(NOT ${known})
      unset(${known} CACHE)
      message(FATAL_ERROR "${CMAKE_C_COMPILER} does not know ${flag}")
    endif()
  endforeach()
  message(FATAL_ERROR "${CMAKE_C_COMPILER} refuses these flags together: ${all_flags}")
endif()

add_compile_options(${warnings} ${hardening} ${sections})
if(COOPER_WERROR)
  add_compile_options(-Werror)
endif()
add_link_options(${hardening_link} -Wl,--as-needed -Wl,--gc-sections)

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT COOPER_SANITIZE)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(COOPER_SANITIZE)
  # Recovery is off: the first finding fails the test that met it.
  add_compile_options(-fsanitize=${COOPER_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${COOPER_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Instrumentation adds paths that cannot be taken; gcc then warns of null pointers and
    # uninitialised values on them. The builds without sanitizers keep both warnings.
    add_compile_options(-Wno-null-dereference -Wno-maybe-uninitialized)
  endif()
endif()

if(COOPER_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "COOPER_FUZZ needs clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(NOT CMAKE_C_COMPILER_LAUNCHER)
  find_program(CCACHE ccache)
  mark_as_advanced(CCACHE)
  if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
  endif()
endif()
