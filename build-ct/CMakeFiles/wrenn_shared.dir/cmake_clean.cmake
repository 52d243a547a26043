file(REMOVE_RECURSE
  "libwrenn.pdb"
  "libwrenn.so"
  "libwrenn.so.0"
  "libwrenn.so.0.1.0"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/wrenn_shared.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
