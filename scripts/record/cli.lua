-- Types commands of wrenn as a person would, in a shell in the terminal of nvim,
-- and writes what the screen showed to the file that WRENN_SCREEN names.

package.path = "scripts/record/?.lua;" .. package.path

local session = require("session")

-- Text that fills a line of the screen, with the prompt below it.
local function before_prompt(text)
  return text .. (" "):rep(72 - #text) .. "\n$ "
end

-- What is typed, what is seen then, and for how many seconds. What prints
-- nothing is before the next prompt itself.
local STEPS = {
  { "id=$(wrenn create)", nil, 0.5 },
  { "seq 3 | wrenn exec -i $id sort -r", "1", 1 },
  { "wrenn cp README.md $id:/tmp/", nil, 0.5 },
  { "wrenn shell $id", nil, 1, "capsule:~" },
  { "head -n 1 /tmp/README.md", nil, 1, "\n# wrenn" },
  { "exit 7", nil, 0.5, "\n$ " .. (" "):rep(70) },
  { "echo $?", "7", 1 },
  { "wrenn run --rm python3 -c 'print(6 * 7)'", "42", 1.5 },
  { "wrenn rm $id", nil, 4, "\ncl-" },
}

local shell = "env PS1='$ ' PATH=" .. vim.fn.getcwd() .. "/bin:$PATH sh -i"

session.record("wrenn in a shell", { "--embed", "--clean", "-n",
  "-c", "set laststatus=0 noruler noshowmode noshowcmd",
  "-c", "terminal " .. shell, "-c", "startinsert" }, vim.fn.getcwd(), 19,
  function(take, screen)
    take(1, "$ ")
    for _, step in ipairs(STEPS) do
      screen:type((step[1]:gsub("<", "<lt>")))
      take(1, step[1])
      screen:type("<CR>")
      take(step[3], step[4] or before_prompt(step[2] or "$ " .. step[1]))
    end
    screen:type("exit<CR>")
    screen:wait("[Process exited")
    screen:type("<CR>:qa!<CR>")
  end)
