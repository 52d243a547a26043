-- Completion of the wrenn command in the shells themselves.
-- Not sanitized: it is the shells that are tested.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

describe("completion in", function()
  local server, id

  setup(function()
    server = servers.start()
    id = assert(wrenn.Capsule.create(server:options({ wait = true }))).id
  end)

  teardown(function()
    server:stop()
  end)

  local function environment()
    return cli.environment(server) .. ' PATH="$PWD/bin:$PATH"'
  end

  -- Types into an interactive shell, of which `begin` is the first line.
  local function type_into(shell, begin)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("type ", begin, [[; echo do""ne\n
see done
type wrenn insp\t--js\t]], id:sub(1, 9), [[\t\x01echo \n
see wrenn inspect --json ]], id, "\n", [[
type wrenn snapshot crea\t--overw\t\x01echo \n
see wrenn snapshot create --overwrite
type wrenn wait --for pau\t\x01echo \n
see wrenn wait --for paused
type wrenn cp ]], id:sub(1, 9), [[\t/etc/hostn\t. \x01echo \n
see wrenn cp ]], id, [[:/etc/hostname .
]]) -- \x01 leads to the front of the line
    file:close()
    local output = compat.output_of(("%s python3 spec/support/typist.py %s"
      .. " <%s 2>&1; echo status $?"):format(environment(), shell, path))
    os.remove(path)
    assert.is_truthy(output:find("status 0\n$"), output)
  end

  it("bash", function()
    type_into("bash --norc --noprofile -i",
      'eval "$(wrenn completion bash)"')
  end)

  it("zsh", function()
    type_into("zsh -f -i", "autoload -Uz compinit; compinit -D -u;"
      .. ' eval "$(wrenn completion zsh)"')
  end)

  it("fish", function()
    local function complete(line)
      return compat.output_of(("%s fish --no-config -c %s"):format(
        environment(), cli.quoted("wrenn completion fish | source;"
          .. " complete -C '" .. line .. "'")))
    end
    assert.are.equal("inspect\tShows what the server knows of a capsule\n",
      complete("wrenn insp"))
    assert.are.equal(id .. "\trunning, minimal\n",
      complete("wrenn inspect cl-"))
    assert.is_truthy(complete("wrenn inspect --js"):find("^%-%-json\t"))
    assert.are.equal("--for=paused\n", complete("wrenn wait --for=pau"))
    assert.are.equal("paused\n", complete("wrenn wait --for pau"))
    local path = id:sub(1, 9) .. ":/etc/hostname"
    assert.are.equal(path .. "\n", complete("wrenn cp " .. path:sub(1, -4)))
  end)

  it("a shell whose server is gone, quietly", function()
    local nowhere = { url = "http://127.0.0.1:1", key = server.key }
    local result =
      cli.run(nowhere, "completion --words -- inspect cl-")
    assert.are.same({ out = "", err = "", status = 0 }, result)
  end)
end)
