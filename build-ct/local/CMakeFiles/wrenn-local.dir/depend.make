# Empty dependencies file for wrenn-local.
# This may be replaced when dependencies are built.
