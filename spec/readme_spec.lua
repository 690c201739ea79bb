-- Runs every program in README.md and in the reference (bindings/types), each in a process of its own.

local runner = os.getenv("NEAP") or "build/neap"
-- The interpreter that runs this spec runs the examples of the reference: the runner, or a stock lua5.4.
local interpreter = arg[-1]:match("[^/]*$"):find("lua", 1, true) and arg[-1] or runner

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

--- The ```lua blocks of a text whose lines begin with `prefix`; each is padded so that its line numbers are the text's.
local function find_programs(path, prefix)
  local programs, program = {}, nil
  for number, line in ipairs(read_lines(path)) do
    local text = line:sub(1, #prefix) == prefix and line:sub(#prefix + 1) or nil
    if program and (not text or text == "```") then
      programs[#programs + 1] = program
      program = nil
    elseif program then
      program.text = program.text .. text .. "\n"
    elseif text == "```lua" then
      program = { name = ("%s:%d"):format(path, number + 1), text = ("\n"):rep(number) }
    end
  end
  return programs
end

--- Runs a program in a new process; returns what it printed, on both streams, and its exit status.
local function run(command, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen(("timeout -k 5 60 %s %s 2>&1 </dev/null"):format(command, path)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "program")), status
end

local reference = {}
for path in io.popen("ls bindings/types/*.lua"):lines() do
  for _, program in ipairs(find_programs(path, "---")) do reference[#reference + 1] = program end
end

describe("the reference", function()
  it("has examples", function() assert.is_true(#reference > 30) end)

  for _, program in ipairs(reference) do
    it("has an example that runs in silence: " .. program.name, function()
      local output, status = run(interpreter, 'local neap = require "neap"' .. program.text)
      assert.are.equal("", output)
      assert.are.equal(0, status)
    end)
  end
end)

describe("README.md", function()
  local programs = find_programs("README.md", "")

  it("has a program that does what the README says", function()
    assert.are.equal(1, #programs)
    local output, status = run(runner, programs[1].text)
    assert.are.equal(0, status)
    assert.are.equal(10, select(2, output:gsub("1 %+ %.%.%. %+ %d+ = %d+\n", "")))
    assert.is_truthy(output:find("1 + ... + 1000000 = 500000500000\n", 1, true))
  end)

  it("names only files and make targets that exist", function()
    local makefile = assert(io.open("Makefile")):read("a")
    local targets, files = 0, 0
    for _, line in ipairs(read_lines("README.md")) do
      for target in line:gmatch("make (%l+)") do
        targets = targets + 1
        assert.is_truthy(("\n" .. makefile):find("\n" .. target .. ":", 1, true), "make " .. target)
      end
      for path in line:gmatch("%]%(([%w_./-]+)%)") do
        files = files + 1
        assert.is_truthy(io.open(path), path)
      end
    end
    assert.is_true(targets > 0 and files > 0)
  end)

  it("says the truth about the command line", function()
    local function out_of(command)
      local pipe = assert(io.popen(command .. " 2>&1 </dev/null"))
      return pipe:read("a"), select(3, pipe:close())
    end
    assert.are.equal("5\n", (out_of(runner .. " -e 'print(2 + 3)'")))
    assert.are.equal("a b\n", (out_of(("echo 'print(...)' | %s - a b"):format(runner)):gsub("\t", " ")))
    assert.is_truthy(out_of(runner .. " --version"):find("^neap %d+%.%d+%.%d+"))
  end)
end)
