file(REMOVE_RECURSE
  "CMakeFiles/buf_test.dir/buf_test.c.o"
  "CMakeFiles/buf_test.dir/buf_test.c.o.d"
  "buf_test"
  "buf_test.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/buf_test.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
