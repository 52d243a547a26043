# CMake generated Testfile for 
# Source directory: /work/main/local
# Build directory: /work/main/build-ct/local
# 
# This file includes the relevant testing commands required for 
# testing this directory and lists subdirectories to be tested as well.
