# Empty compiler generated dependencies file for wrenn_core.
# This may be replaced when dependencies are built.
