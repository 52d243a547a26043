file(REMOVE_RECURSE
  "libwrenn.a"
  "libwrenn.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
