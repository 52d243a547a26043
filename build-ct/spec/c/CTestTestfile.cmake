# CMake generated Testfile for 
# Source directory: /work/main/spec/c
# Build directory: /work/main/build-ct/spec/c
# 
# This file includes the relevant testing commands required for 
# testing this directory and lists subdirectories to be tested as well.
add_test([=[base64]=] "/work/main/build-ct/spec/c/base64_test")
set_tests_properties([=[base64]=] PROPERTIES  _BACKTRACE_TRIPLES "/work/main/spec/c/CMakeLists.txt;11;add_test;/work/main/spec/c/CMakeLists.txt;0;")
add_test([=[buf]=] "/work/main/build-ct/spec/c/buf_test")
set_tests_properties([=[buf]=] PROPERTIES  ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1" _BACKTRACE_TRIPLES "/work/main/spec/c/CMakeLists.txt;11;add_test;/work/main/spec/c/CMakeLists.txt;0;")
add_test([=[frame]=] "/work/main/build-ct/spec/c/frame_test")
set_tests_properties([=[frame]=] PROPERTIES  _BACKTRACE_TRIPLES "/work/main/spec/c/CMakeLists.txt;11;add_test;/work/main/spec/c/CMakeLists.txt;0;")
add_test([=[json]=] "/work/main/build-ct/spec/c/json_test")
set_tests_properties([=[json]=] PROPERTIES  _BACKTRACE_TRIPLES "/work/main/spec/c/CMakeLists.txt;11;add_test;/work/main/spec/c/CMakeLists.txt;0;")
