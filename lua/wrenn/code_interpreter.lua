-- The old name of wrenn.code_runner.

io.stderr:write("wrenn: wrenn.code_interpreter is deprecated, use"
  .. " wrenn.code_runner\n")

return require("wrenn.code_runner")
