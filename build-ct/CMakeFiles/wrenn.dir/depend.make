# Empty dependencies file for wrenn.
# This may be replaced when dependencies are built.
