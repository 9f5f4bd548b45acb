# cmake --install: program, modules, man pages, completions.

if(TARGET cooper)
  install(TARGETS cooper RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

get_property(modules GLOBAL PROPERTY COOPER_MODULES)
if(modules)
  install(TARGETS ${modules} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/cooper")
endif()

file(GLOB manuals CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.1")
if(manuals)
  install(FILES ${manuals} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()

# What shells complete is asked of the program itself: only one that runs here can print it.
if(TARGET cooper AND NOT CMAKE_CROSSCOMPILING)
  set(completions "${CMAKE_CURRENT_BINARY_DIR}/completions")
  file(MAKE_DIRECTORY "${completions}")
  set(files)
  foreach(shell bash zsh fish)
    add_custom_command(OUTPUT "${completions}/cooper.${shell}"
      COMMAND cooper completion ${shell} > "${completions}/cooper.${shell}"
      DEPENDS cooper VERBATIM)
    list(APPEND files "${completions}/cooper.${shell}")
  endforeach()
  add_custom_target(completions ALL DEPENDS ${files})
  install(FILES "${completions}/cooper.bash" RENAME cooper
    DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
  install(FILES "${completions}/cooper.zsh" RENAME _cooper
    DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
  install(FILES "${completions}/cooper.fish"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
endif()
