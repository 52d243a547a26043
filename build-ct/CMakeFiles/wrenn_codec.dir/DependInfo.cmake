
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/work/main/src/base64.c" "CMakeFiles/wrenn_codec.dir/src/base64.c.o" "gcc" "CMakeFiles/wrenn_codec.dir/src/base64.c.o.d"
  "/work/main/src/buf.c" "CMakeFiles/wrenn_codec.dir/src/buf.c.o" "gcc" "CMakeFiles/wrenn_codec.dir/src/buf.c.o.d"
  "/work/main/src/frame.c" "CMakeFiles/wrenn_codec.dir/src/frame.c.o" "gcc" "CMakeFiles/wrenn_codec.dir/src/frame.c.o.d"
  "/work/main/src/json.c" "CMakeFiles/wrenn_codec.dir/src/json.c.o" "gcc" "CMakeFiles/wrenn_codec.dir/src/json.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
