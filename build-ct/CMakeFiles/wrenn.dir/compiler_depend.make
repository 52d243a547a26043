# Empty compiler generated dependencies file for wrenn.
# This may be replaced when dependencies are built.
