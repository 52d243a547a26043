
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/work/main/local/agent.c" "local/CMakeFiles/wrenn-agent.dir/agent.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/agent.c.o.d"
  "/work/main/local/agent_files.c" "local/CMakeFiles/wrenn-agent.dir/agent_files.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/agent_files.c.o.d"
  "/work/main/local/agent_list.c" "local/CMakeFiles/wrenn-agent.dir/agent_list.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/agent_list.c.o.d"
  "/work/main/local/agent_processes.c" "local/CMakeFiles/wrenn-agent.dir/agent_processes.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/agent_processes.c.o.d"
  "/work/main/local/agent_spawn.c" "local/CMakeFiles/wrenn-agent.dir/agent_spawn.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/agent_spawn.c.o.d"
  "/work/main/local/channel.c" "local/CMakeFiles/wrenn-agent.dir/channel.c.o" "gcc" "local/CMakeFiles/wrenn-agent.dir/channel.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/work/main/build-ct/CMakeFiles/wrenn_codec.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
