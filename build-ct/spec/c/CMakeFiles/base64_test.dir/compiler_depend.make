# Empty compiler generated dependencies file for base64_test.
# This may be replaced when dependencies are built.
