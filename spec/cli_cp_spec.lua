-- wrenn cp: docker's rules, and nothing that is incomplete under its name.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local generations = require("spec.support.generations")
local wrenn = require("wrenn")

local function shell(line)
  return compat.output_of(line .. " 2>&1")
end

-- A directory and what is below it: modes, links, times and content.
local LIST = "find . ! -type l -printf '%P %y %m %Ts\\n' | sort;"
  .. " find . -type l -printf '%P %l\\n';"
  .. " find . -type f -print0 | sort -z | xargs -0 cat | cksum"

generations.each(function(generation)
  if generation.name ~= "0.1" and generation.name ~= "0.4" then
    return
  end
  describe("wrenn cp with " .. generation.name, function()
    local server, capsule, here

    setup(function()
      server = generations.start(generation)
      capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
    end)

    teardown(function()
      server:stop()
    end)

    before_each(function()
      here = shell("mktemp -d"):match("%S+")
    end)

    after_each(function()
      shell("rm -rf " .. here)
      assert(capsule.commands:run("rm -rf ~/* /tmp/*"))
    end)

    local function cp(from, to, opts)
      return cli.run(server, ("cp %s %s"):format(
        from:gsub("HERE", here):gsub("CAP:", capsule.id .. ":"),
        (to:gsub("HERE", here):gsub("CAP:", capsule.id .. ":"))), opts)
    end

    local function copied(from, to, opts)
      local result = cp(from, to, opts)
      assert.are.same({ 0, "" }, { result.status, result.err })
      return result.out
    end

    local function failed(what, from, to)
      local result = cp(from, to)
      assert.are.equal(125, result.status)
      assert.is_truthy(result.err:find(what, 1, true), result.err)
    end

    local function there(line)
      return assert(capsule.commands:run(line)).stdout
    end

    local function make()
      shell("cd " .. here .. " && mkdir -p 'd/a b/c' && printf '\\377\\0x'"
        .. " >'d/a b/odd\nname' && echo run >d/run && chmod 751 d/run"
        .. " && chmod 700 'd/a b' && ln -s ../run 'd/a b/link'"
        .. " && touch -d @1234567890 d/run && echo one >f && chmod 640 f"
        .. " && ln -s f link && touch -d @1234567890 f")
    end

    it("copies a directory there and back, with all there is to it", function()
      make()
      local before = shell("cd " .. here .. "/d && " .. LIST)
      copied("HERE/d", "CAP:new")
      copied("CAP:new", "HERE/back")
      assert.are.equal(before, shell("cd " .. here .. "/back && " .. LIST))
      -- Into what exists; or its content alone.
      copied("HERE/d", "CAP:new")
      assert.are.equal("run\n", there("cat ~/new/d/run"))
      copied("HERE/d/.", "CAP:/tmp")
      assert.are.equal("run\n", there("cat /tmp/run"))
      shell("mkdir " .. here .. "/old; echo kept >" .. here .. "/old/kept;"
        .. " echo other >" .. here .. "/old/run")
      copied("CAP:new/.", "HERE/old")
      assert.are.equal("kept\nrun\n",
        shell("cat " .. here .. "/old/kept " .. here .. "/old/run"))
      copied("CAP:new", "HERE/old")
      assert.are.equal("run\n", shell("cat " .. here .. "/old/new/run"))
      assert.are.equal("", shell("find " .. here .. " -name '.wrenn*'"))
      assert.are.equal("", there("find ~ /tmp -name '.wrenn-*'"))
    end)

    it("copies a file there and back", function()
      make()
      copied("HERE/f", "CAP:") -- into the home directory
      copied("HERE/f", "CAP:/tmp/g")
      assert.are.equal("one\n640 1234567890\n",
        there("cat ~/f; stat -c '%a %Y' /tmp/g"))
      shell("echo two >" .. here .. "/f")
      copied("HERE/f", "CAP:/tmp/g")
      assert.are.equal("two\n", there("cat /tmp/g"))
      copied("CAP:f", "HERE/")
      assert.are.equal("one\n640 1234567890\n",
        shell("cd " .. here .. "; cat f; stat -c '%a %Y' f"))
    end)

    it("copies a link as such, or what it leads to", function()
      make()
      copied("HERE/link", "CAP:l")
      copied("-L HERE/link", "CAP:file")
      assert.are.equal("f\none\n", there("readlink ~/l; cat ~/file"))
      there("echo there >~/f")
      copied("CAP:l", "HERE/l2")
      copied("-L CAP:l", "HERE/file")
      assert.are.equal("f\nthere\n",
        shell("cd " .. here .. "; readlink l2; cat file"))
    end)

    it("copies an archive from stdin, and to stdout", function()
      make()
      shell(("cd %s && tar cf in.tar d"):format(here))
      copied("-", "CAP:/tmp", { stdin = here .. "/in.tar" })
      assert.are.equal("run\n", there("cat /tmp/d/run"))
      local file = assert(io.open(here .. "/out.tar", "wb"))
      file:write(copied("CAP:/tmp/d", "-"))
      file:close()
      assert.are.equal("run\n",
        shell(("cd %s && tar xf out.tar d/run && cat d/run"):format(here)))
      assert.are.equal(125,
        cp("-", "CAP:/tmp", { stdin = here .. "/f" }).status)
    end)

    it("leaves what is there alone where a transfer breaks off", function()
      make()
      there("mkdir ~/big; head -c 1000000 /dev/zero >~/big/f")
      local before = shell("cd " .. here .. " && find . | sort | cksum")
      for from, to in pairs({ ["CAP:big/f"] = "HERE/f", ["CAP:big"] = "HERE",
        ["CAP:big/."] = "HERE" })
      do
        local result = cp(from, to, { env = "sh -c " .. cli.quoted(
          "trap '' XFSZ; ulimit -f 100; exec \"$@\"") .. " sh" })
        assert.are.equal(125, result.status)
        assert.is_truthy(result.err:find("File too large", 1, true), result.err)
        assert.are.equal("one\n", shell("cat " .. here .. "/f"))
        assert.are.equal(before,
          shell("cd " .. here .. " && find . | sort | cksum"))
      end
    end)

    it("says what does not go together", function()
      make()
      there("mkdir ~/dir ~/dir/f; echo >~/file")
      failed("SRC: there is no ", "HERE/none", "CAP:")
      failed("SRC: there is no 'none'", "CAP:none", "HERE")
      failed("DST: 'file' is not a directory", "HERE/d", "CAP:file")
      failed("DST: 'dir/f' is a directory", "HERE/f", "CAP:dir")
      failed("DST: there is no directory for 'no/x'", "HERE/f", "CAP:no/x")
      failed("DST: there is no directory 'no/'", "HERE/f", "CAP:no/")
      failed("DST: there is no directory for ", "CAP:file", "HERE/no/x")
      failed("SRC: '/dev/null' is a device", "CAP:/dev/null", "HERE")
    end)
  end)
end)

describe("wrenn cp", function()
  it("takes one path of a capsule and one of this machine", function()
    for _, line in ipairs({ "a b", "x:a y:b", "- ./a:b", "- -" }) do
      local result = cli.run(nil, "cp " .. line)
      assert.are.equal(2, result.status)
      assert.is_truthy(result.err:find("one of SRC and DST", 1, true))
    end
  end)
end)
