file(REMOVE_RECURSE
  "CMakeFiles/frame_test.dir/frame_test.c.o"
  "CMakeFiles/frame_test.dir/frame_test.c.o.d"
  "frame_test"
  "frame_test.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/frame_test.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
