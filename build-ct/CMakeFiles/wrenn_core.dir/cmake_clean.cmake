file(REMOVE_RECURSE
  "CMakeFiles/wrenn_core.dir/src/lua/core.c.o"
  "CMakeFiles/wrenn_core.dir/src/lua/core.c.o.d"
  "CMakeFiles/wrenn_core.dir/src/lua/event.c.o"
  "CMakeFiles/wrenn_core.dir/src/lua/event.c.o.d"
  "CMakeFiles/wrenn_core.dir/src/lua/loop.c.o"
  "CMakeFiles/wrenn_core.dir/src/lua/loop.c.o.d"
  "CMakeFiles/wrenn_core.dir/src/lua/op.c.o"
  "CMakeFiles/wrenn_core.dir/src/lua/op.c.o.d"
  "wrenn/core.pdb"
  "wrenn/core.so"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn_core.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
