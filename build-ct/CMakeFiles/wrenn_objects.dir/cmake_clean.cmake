file(REMOVE_RECURSE
  "CMakeFiles/wrenn_objects.dir/src/http.c.o"
  "CMakeFiles/wrenn_objects.dir/src/http.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/loop.c.o"
  "CMakeFiles/wrenn_objects.dir/src/loop.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/op.c.o"
  "CMakeFiles/wrenn_objects.dir/src/op.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/queue.c.o"
  "CMakeFiles/wrenn_objects.dir/src/queue.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/resolve.c.o"
  "CMakeFiles/wrenn_objects.dir/src/resolve.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/tls.c.o"
  "CMakeFiles/wrenn_objects.dir/src/tls.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/url.c.o"
  "CMakeFiles/wrenn_objects.dir/src/url.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/ws.c.o"
  "CMakeFiles/wrenn_objects.dir/src/ws.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/ws_connect.c.o"
  "CMakeFiles/wrenn_objects.dir/src/ws_connect.c.o.d"
  "CMakeFiles/wrenn_objects.dir/src/ws_engine.c.o"
  "CMakeFiles/wrenn_objects.dir/src/ws_engine.c.o.d"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn_objects.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
