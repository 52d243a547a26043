
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/work/main/src/lua/core.c" "CMakeFiles/wrenn_core.dir/src/lua/core.c.o" "gcc" "CMakeFiles/wrenn_core.dir/src/lua/core.c.o.d"
  "/work/main/src/lua/event.c" "CMakeFiles/wrenn_core.dir/src/lua/event.c.o" "gcc" "CMakeFiles/wrenn_core.dir/src/lua/event.c.o.d"
  "/work/main/src/lua/loop.c" "CMakeFiles/wrenn_core.dir/src/lua/loop.c.o" "gcc" "CMakeFiles/wrenn_core.dir/src/lua/loop.c.o.d"
  "/work/main/src/lua/op.c" "CMakeFiles/wrenn_core.dir/src/lua/op.c.o" "gcc" "CMakeFiles/wrenn_core.dir/src/lua/op.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/work/main/build-ct/CMakeFiles/wrenn.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
