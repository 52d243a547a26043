# Empty dependencies file for wrenn_shared.
# This may be replaced when dependencies are built.
