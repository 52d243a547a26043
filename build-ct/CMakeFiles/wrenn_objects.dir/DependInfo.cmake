
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/work/main/src/http.c" "CMakeFiles/wrenn_objects.dir/src/http.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/http.c.o.d"
  "/work/main/src/loop.c" "CMakeFiles/wrenn_objects.dir/src/loop.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/loop.c.o.d"
  "/work/main/src/op.c" "CMakeFiles/wrenn_objects.dir/src/op.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/op.c.o.d"
  "/work/main/src/queue.c" "CMakeFiles/wrenn_objects.dir/src/queue.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/queue.c.o.d"
  "/work/main/src/resolve.c" "CMakeFiles/wrenn_objects.dir/src/resolve.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/resolve.c.o.d"
  "/work/main/src/tls.c" "CMakeFiles/wrenn_objects.dir/src/tls.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/tls.c.o.d"
  "/work/main/src/url.c" "CMakeFiles/wrenn_objects.dir/src/url.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/url.c.o.d"
  "/work/main/src/ws.c" "CMakeFiles/wrenn_objects.dir/src/ws.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/ws.c.o.d"
  "/work/main/src/ws_connect.c" "CMakeFiles/wrenn_objects.dir/src/ws_connect.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/ws_connect.c.o.d"
  "/work/main/src/ws_engine.c" "CMakeFiles/wrenn_objects.dir/src/ws_engine.c.o" "gcc" "CMakeFiles/wrenn_objects.dir/src/ws_engine.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
