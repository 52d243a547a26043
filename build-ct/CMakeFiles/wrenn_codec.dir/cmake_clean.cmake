file(REMOVE_RECURSE
  "CMakeFiles/wrenn_codec.dir/src/base64.c.o"
  "CMakeFiles/wrenn_codec.dir/src/base64.c.o.d"
  "CMakeFiles/wrenn_codec.dir/src/buf.c.o"
  "CMakeFiles/wrenn_codec.dir/src/buf.c.o.d"
  "CMakeFiles/wrenn_codec.dir/src/frame.c.o"
  "CMakeFiles/wrenn_codec.dir/src/frame.c.o.d"
  "CMakeFiles/wrenn_codec.dir/src/json.c.o"
  "CMakeFiles/wrenn_codec.dir/src/json.c.o.d"
  "libwrenn_codec.a"
  "libwrenn_codec.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn_codec.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
