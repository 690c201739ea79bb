-- neap.stdin

local support = require "spec.support"

local script = [[
  local stdin = assert(neap.stdin())
  assert(neap.stdin() == stdin)
  print(stdin:read("line"))
  print(stdin:read(4))
  for line in stdin:lines() do print(line) end
  print(stdin:read("line"))
]]

local expected <const> = { status = 0, stderr = "",
  stdout = "first line\nseco\nnd line\nlast\nnil\tclosed\tclosed\n" }

local input <const> = "first line\nsecond line\nlast"

describe("neap.stdin", function()
  it("reads a file", function()
    assert.are.same(expected, support.run_script(script, nil, { input = input }))
    assert.are.same(expected, support.run_plain(script, nil, { input = input }))
  end)

  it("reads what somebody has left of a file", function()
    local result = support.run_script([[
      io.stdin:setvbuf("no")
      print(io.read("l"))
      print(neap.stdin():read("all"))
    ]], nil, { input = input })
    assert.are.same({ status = 0, stderr = "", stdout = "first line\nsecond line\nlast\n" }, result)
  end)

  --- Runs the script with what a command prints for its standard input.
  local function run_behind(command, code, environment)
    local file <close> = support.temporary_file("local neap = require 'neap' " .. code)
    local line = ("%s | %s %s"):format(command, support.quote(support.runner), file.path)
    return support.run_command("sh -c " .. support.quote(line), { environment = environment })
  end

  it("reads a pipe", function()
    assert.are.same(expected, run_behind("(echo first line; sleep 0.02; echo second line; printf last)", script))
  end)

  it("lets other tasks go on, and a read that times out takes nothing", function()
    local gate = os.tmpname()
    os.remove(gate)
    assert(os.execute("mkfifo " .. gate))
    local result = run_behind("(printf half; read line < $GATE; echo ' a line')", [[
      local stdin = neap.stdin()
      print(stdin:read("line", 0.02))
      local reader = neap.spawn(stdin.read, stdin, "line")
      neap.yield()
      print(reader:status())
      neap.run { "sh", "-c", "echo > $GATE" }
      print(reader:join())
    ]], { GATE = gate })
    os.remove(gate)
    assert.are.same({ status = 0, stderr = "", stdout = "nil\ttimeout\ttimeout\nwaiting\nhalf a line\n" }, result)
  end)

  it("is empty in a child process", function()
    assert.are.same({ status = 0, stderr = "", stdout = "\n" }, support.run_script [[
      print(neap.process(function() return require("neap").stdin():read("all") end):join())
    ]])
  end)
end)
