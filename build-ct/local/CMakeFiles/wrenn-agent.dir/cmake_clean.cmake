file(REMOVE_RECURSE
  "CMakeFiles/wrenn-agent.dir/agent.c.o"
  "CMakeFiles/wrenn-agent.dir/agent.c.o.d"
  "CMakeFiles/wrenn-agent.dir/agent_files.c.o"
  "CMakeFiles/wrenn-agent.dir/agent_files.c.o.d"
  "CMakeFiles/wrenn-agent.dir/agent_list.c.o"
  "CMakeFiles/wrenn-agent.dir/agent_list.c.o.d"
  "CMakeFiles/wrenn-agent.dir/agent_processes.c.o"
  "CMakeFiles/wrenn-agent.dir/agent_processes.c.o.d"
  "CMakeFiles/wrenn-agent.dir/agent_spawn.c.o"
  "CMakeFiles/wrenn-agent.dir/agent_spawn.c.o.d"
  "CMakeFiles/wrenn-agent.dir/channel.c.o"
  "CMakeFiles/wrenn-agent.dir/channel.c.o.d"
  "wrenn-agent"
  "wrenn-agent.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn-agent.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
