# Rooms, modules and the program.
#
# A room is one static library, cooper_<room>, of all .c files below <room>/. It may link rooms
# that stand lower only; tests/check_includes.sh holds the #include lines to the same order.
#
# A module is a shared object that a room's doorkeeper loads with dlopen when it is first
# needed, because the library behind it costs more to load than a cached build takes. Its
# sources are those that match its pattern. It carries its own copy of what it
# uses of base/, with hidden symbols, so it fits any program; only what it marks with default
# visibility is seen from outside.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

configure_file(cmake/version.h.in generated/base/version.h @ONLY)

set(COOPER_ROOMS base parser cas registry release builder cli)
# Sources of modules, which are no part of their room's library.
set(COOPER_MODULE_SOURCES "/(registry/http_curl[^/]*|registry/serve/module_[^/]*|builder/archive_libarchive|parser/yaml_libyaml)\\.c$")

# cooper_package(<name>): the imported target PkgConfig::<name>, looked up once.
macro(cooper_package name)
  if(NOT TARGET PkgConfig::${name})
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${name})
  endif()
endmacro()

# What every translation unit of ours is compiled with, besides the global flags.
function(cooper_target target)
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
  target_compile_options(${target} PRIVATE -include base/banned.h)
endfunction()

function(cooper_room room)
  cmake_parse_arguments(arg "" "" "ROOMS;PACKAGES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${room}/*.c")
  list(FILTER sources EXCLUDE REGEX "${COOPER_MODULE_SOURCES}")
  list(FILTER sources EXCLUDE REGEX "/cli/main\\.c$")
  if(NOT sources)
    return()
  endif()

  add_library(cooper_${room} STATIC ${sources})
  cooper_target(cooper_${room})
  target_link_libraries(cooper_${room} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  target_compile_definitions(cooper_${room} PRIVATE
    COOPER_MODULE_DIR="${CMAKE_INSTALL_FULL_LIBDIR}/cooper")
  foreach(below IN LISTS arg_ROOMS)
    if(TARGET cooper_${below})
      target_link_libraries(cooper_${room} PRIVATE cooper_${below})
    endif()
  endforeach()
  foreach(package IN LISTS arg_PACKAGES)
    cooper_package(${package})
    target_link_libraries(cooper_${room} PRIVATE PkgConfig::${package})
  endforeach()
endfunction()

function(cooper_module name)
  cmake_parse_arguments(arg "" "PATTERN" "PACKAGES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${arg_PATTERN}")
  if(NOT sources OR NOT TARGET cooper_base)
    return()
  endif()

  add_library(cooper-${name} MODULE ${sources})
  cooper_target(cooper-${name})
  target_link_libraries(cooper-${name} PRIVATE cooper_base Threads::Threads)
  target_link_options(cooper-${name} PRIVATE -Wl,--exclude-libs,ALL)
  if(NOT COOPER_SANITIZE)
    # A reference that the module cannot resolve itself is found now, not at dlopen. (With a
    # sanitizer, its run-time stays in the program.)
    target_link_options(cooper-${name} PRIVATE -Wl,-z,defs)
  endif()
  foreach(package IN LISTS arg_PACKAGES)
    cooper_package(${package})
    target_link_libraries(cooper-${name} PRIVATE PkgConfig::${package})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY COOPER_MODULES cooper-${name})
endfunction()

# The program: cli/main.c, and the room cli beneath it.
function(cooper_program)
  if(NOT EXISTS "${PROJECT_SOURCE_DIR}/cli/main.c")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cli")
    return()
  endif()
  add_executable(cooper "${PROJECT_SOURCE_DIR}/cli/main.c")
  cooper_target(cooper)
  foreach(room IN LISTS COOPER_ROOMS)
    if(TARGET cooper_${room})
      target_link_libraries(cooper PRIVATE cooper_${room})
    endif()
  endforeach()
  get_property(modules GLOBAL PROPERTY COOPER_MODULES)
  if(modules)
    add_dependencies(cooper ${modules})
  endif()
endfunction()
