# Empty dependencies file for wrenn_objects.
# This may be replaced when dependencies are built.
