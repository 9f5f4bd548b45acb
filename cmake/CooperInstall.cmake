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

# completions/cooper.bash, _cooper (zsh), cooper.fish
if(EXISTS "${PROJECT_SOURCE_DIR}/completions/cooper.bash")
  install(FILES completions/cooper.bash RENAME cooper
    DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endif()
if(EXISTS "${PROJECT_SOURCE_DIR}/completions/_cooper")
  install(FILES completions/_cooper
    DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
endif()
if(EXISTS "${PROJECT_SOURCE_DIR}/completions/cooper.fish")
  install(FILES completions/cooper.fish
    DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
endif()
