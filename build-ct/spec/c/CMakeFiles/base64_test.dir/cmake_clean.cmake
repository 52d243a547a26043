file(REMOVE_RECURSE
  "CMakeFiles/base64_test.dir/base64_test.c.o"
  "CMakeFiles/base64_test.dir/base64_test.c.o.d"
  "base64_test"
  "base64_test.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/base64_test.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
