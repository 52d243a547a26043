# Empty compiler generated dependencies file for buf_test.
# This may be replaced when dependencies are built.
