# Installs the C library with what pkg-config and find_package need to find it.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wrenn)

install(TARGETS wrenn wrenn_shared EXPORT wrenn
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES src/wrenn.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wrenn)

# The prefix in wrenn.pc follows the file, so `--prefix` may come late.
file(RELATIVE_PATH pc_prefix
     ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
list(TRANSFORM static_needs PREPEND -l OUTPUT_VARIABLE pc_needs)
list(JOIN pc_needs " " pc_needs)
configure_file(cmake/wrenn.pc.in wrenn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wrenn.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# As the library's name: while the version begins with 0, the second number is
# the one that breaks programs.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatible SameMinorVersion)
else()
  set(compatible SameMajorVersion)
endif()
write_basic_package_version_file(wrenn-config-version.cmake
  COMPATIBILITY ${compatible})
install(EXPORT wrenn NAMESPACE wrenn:: FILE wrenn-targets.cmake
        DESTINATION ${package_dir})
install(FILES cmake/wrenn-config.cmake
              ${PROJECT_BINARY_DIR}/wrenn-config-version.cmake
        DESTINATION ${package_dir})
