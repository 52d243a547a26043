# find_package(wrenn): the targets wrenn::wrenn and wrenn::static.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/wrenn-targets.cmake)
