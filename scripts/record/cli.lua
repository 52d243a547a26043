-- Types commands of wrenn as a person would, in a shell in the terminal of nvim,
-- and writes what the screen showed to the file that WRENN_SCREEN names.

package.path = "scripts/record/?.lua;" .. package.path

local session = require("session")

local HERE, INSIDE = "%$", "root@capsule:~#"

-- What is typed, for how many seconds what follows is shown, the prompt behind
-- it, and the last line in front of that prompt, as patterns. What prints
-- nothing has its own line there.
local STEPS = {
  { "id=$(wrenn create)", 0.5, HERE },
  { "seq 3 | wrenn exec -i $id sort -r", 1, HERE, "1" },
  { "wrenn cp README.md $id:/tmp/", 0.5, HERE },
  { "wrenn shell $id", 1, INSIDE },
  { "head -n 1 /tmp/README.md", 1, INSIDE, "# wrenn" },
  { "exit 7", 0.5, HERE, "exit" },
  { "echo $?", 1, HERE, "7" },
  { "wrenn run --rm python3 -c 'print(6 * 7)'", 1.5, HERE, "42" },
  { "wrenn rm $id", 4, HERE, "cl%-%w+" },
}

local shell = "env PS1='$ ' PATH=" .. vim.fn.getcwd() .. "/bin:$PATH sh -i"

session.record("wrenn in a shell", { "--embed", "--clean", "-n",
  "-c", "set laststatus=0 noruler noshowmode noshowcmd",
  "-c", "terminal " .. shell, "-c", "startinsert" }, vim.fn.getcwd(), 19,
  function(take, screen)
    local before = HERE
    take(1, before)
    for _, step in ipairs(STEPS) do
      local typed, seconds, prompt, last = unpack(step)
      local line = before .. " " .. vim.pesc(typed)
      screen:type((typed:gsub("<", "<lt>")))
      take(1, line)
      screen:type("<CR>")
      take(seconds, (last and "\n" .. last or line) .. " +\n" .. prompt)
      before = prompt
    end
    screen:type("exit<CR>")
    screen:wait("%[Process exited")
    screen:type("<CR>:qa!<CR>")
  end)
