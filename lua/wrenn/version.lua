-- The version, in a file of its own: `wrenn version` loads nothing else.

return "0.1.0"
