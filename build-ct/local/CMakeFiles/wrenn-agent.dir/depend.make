# Empty dependencies file for wrenn-agent.
# This may be replaced when dependencies are built.
