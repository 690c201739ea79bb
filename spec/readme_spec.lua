-- Runs every program in README.md and in the reference (bindings/types), each in a process of its own.

local support = require "spec.support"

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

--- The ```lua blocks of a text whose lines begin with `prefix`; each is padded so that its line numbers are the text's.
local function find_programs(path, prefix)
  local programs, program = {}, nil
  for number, line in ipairs(read_lines(path)) do
    local text = line:sub(1, #prefix) == prefix and line:sub(#prefix + 1) or "```"
    if program and text == "```" then
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

--- The functions declared in a file of annotations, each with the comment above it.
local function find_functions(path)
  local functions, comment = {}, {}
  for number, line in ipairs(read_lines(path)) do
    local name = line:match("^function ([%w_.:]+)")
    if name then
      local place = ("%s:%d: %s"):format(path, number, name)
      functions[#functions + 1] = { name = place, comment = table.concat(comment, "\n") }
    end
    if line:find("^%-%-%-") then comment[#comment + 1] = line else comment = {} end
  end
  return functions
end

describe("the reference", function()
  -- Where this spec runs, there run the examples: in the runner, or in a plain lua5.4.
  local run = arg[-1]:match("[^/]*$"):find("lua", 1, true) and support.run_plain or support.run_script
  local programs, functions = {}, {}
  for path in io.popen("ls bindings/types/*.lua"):lines() do
    for _, program in ipairs(find_programs(path, "---")) do programs[#programs + 1] = program end
    for _, declared in ipairs(find_functions(path)) do functions[#functions + 1] = declared end
  end

  it("says of every function what it does and since which version", function()
    assert.is_true(#functions > 100)
    for _, declared in ipairs(functions) do
      assert.is_truthy(declared.comment:find("^%-%-%-%u") or declared.comment:find("\n%-%-%-%u"), declared.name)
      assert.is_truthy(declared.comment:find("\n%-%-%-@since %d"), declared.name)
    end
  end)

  it("has examples", function() assert.is_true(#programs > 30) end)

  for _, program in ipairs(programs) do
    local tag = program.text:find("neap.slice", 1, true) and " #preempt" or ""
    it("has an example that runs in silence: " .. program.name .. tag, function()
      local result = run(program.text)
      result.stderr = result.stderr:gsub("[^\n]*%d/s [^\n]*\n", "") -- of a bar, on a machine that has no time for it
      assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
    end)
  end
end)

describe("README.md", function()
  local programs = find_programs("README.md", "")

  it("has a program of fifteen lines that does what the README says", function()
    assert.are.equal(15, select(2, programs[1].text:gsub("%S[^\n]*\n", "")))
    local script <close> = support.temporary_file(programs[1].text)
    local result = support.run_command(support.runner .. " " .. script.path)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
    assert.are.equal(10, select(2, result.stdout:gsub("[^\n]+: 1 %+ %.%.%. %+ %d+ = %d+\n", "")))
    assert.is_truthy(result.stdout:find(": 1 + ... + 1000000 = 500000500000\n", 1, true))
  end)

  for number = 2, #programs do
    it("has a program that prints what it says it does: " .. programs[number].name, function()
      local expected = {}
      for line in programs[number].text:gmatch("%-%-> ([^\n]*)") do expected[#expected + 1] = line .. "\n" end
      local script <close> = support.temporary_file(programs[number].text)
      local result = support.run_command(support.runner .. " " .. script.path)
      result.stdout = result.stdout:gsub("\t", " ")
      assert.are.same({ status = 0, stdout = table.concat(expected), stderr = "" }, result)
    end)
  end

  it("names only files and make targets that exist", function()
    local makefile = "\n" .. support.read_file("Makefile")
    local text = support.read_file("README.md")
    local targets, files = 0, 0
    for target in text:gmatch("make (%l+)%s") do
      targets = targets + 1
      assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), "make " .. target)
    end
    for path in text:gmatch("%]%(([%w_./-]+)%)") do
      files = files + 1
      assert.is_truthy(io.open(path), path)
    end
    assert.is_true(targets > 0 and files > 0)
  end)

  it("says the truth about the command line", function()
    local function out_of(words, input)
      return support.run_command(support.runner .. " " .. words, { input = input }).stdout
    end
    assert.are.equal("5\n", out_of("-e 'print(2 + 3)'"))
    assert.are.equal("a\tb\n", out_of("- a b", "print(...)"))
    assert.is_truthy(out_of("--version"):find("^neap %d+%.%d+%.%d+"))
  end)
end)
