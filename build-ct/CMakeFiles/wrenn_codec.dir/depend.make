# Empty dependencies file for wrenn_codec.
# This may be replaced when dependencies are built.
