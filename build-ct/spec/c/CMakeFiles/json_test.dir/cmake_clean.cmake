file(REMOVE_RECURSE
  "CMakeFiles/json_test.dir/json_test.c.o"
  "CMakeFiles/json_test.dir/json_test.c.o.d"
  "json_test"
  "json_test.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/json_test.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
