
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/work/main/local/api.c" "local/CMakeFiles/wrenn-local.dir/api.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/api.c.o.d"
  "/work/main/local/capsule.c" "local/CMakeFiles/wrenn-local.dir/capsule.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/capsule.c.o.d"
  "/work/main/local/channel.c" "local/CMakeFiles/wrenn-local.dir/channel.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/channel.c.o.d"
  "/work/main/local/conn.c" "local/CMakeFiles/wrenn-local.dir/conn.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/conn.c.o.d"
  "/work/main/local/exec.c" "local/CMakeFiles/wrenn-local.dir/exec.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/exec.c.o.d"
  "/work/main/local/files.c" "local/CMakeFiles/wrenn-local.dir/files.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/files.c.o.d"
  "/work/main/local/lifecycle.c" "local/CMakeFiles/wrenn-local.dir/lifecycle.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/lifecycle.c.o.d"
  "/work/main/local/main.c" "local/CMakeFiles/wrenn-local.dir/main.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/main.c.o.d"
  "/work/main/local/multipart.c" "local/CMakeFiles/wrenn-local.dir/multipart.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/multipart.c.o.d"
  "/work/main/local/process.c" "local/CMakeFiles/wrenn-local.dir/process.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/process.c.o.d"
  "/work/main/local/pty.c" "local/CMakeFiles/wrenn-local.dir/pty.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/pty.c.o.d"
  "/work/main/local/route.c" "local/CMakeFiles/wrenn-local.dir/route.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/route.c.o.d"
  "/work/main/local/sandbox.c" "local/CMakeFiles/wrenn-local.dir/sandbox.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/sandbox.c.o.d"
  "/work/main/local/stream.c" "local/CMakeFiles/wrenn-local.dir/stream.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/stream.c.o.d"
  "/work/main/local/upload.c" "local/CMakeFiles/wrenn-local.dir/upload.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/upload.c.o.d"
  "/work/main/local/ws.c" "local/CMakeFiles/wrenn-local.dir/ws.c.o" "gcc" "local/CMakeFiles/wrenn-local.dir/ws.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/work/main/build-ct/CMakeFiles/wrenn_codec.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
