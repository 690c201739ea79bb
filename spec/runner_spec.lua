-- The command line of neap.

local support = require "spec.support"
local quote, run_command, run_script = support.quote, support.run_command, support.run_script
local runner = quote(support.runner)

local function run(arguments, options) return run_command(runner .. " " .. arguments, options) end

local function printed(stdout) return { status = 0, stdout = stdout, stderr = "" } end

local show_arguments = [[
  local first, last = 0, 0
  for i in pairs(arg) do first, last = math.min(first, i), math.max(last, i) end
  for i = first, last do io.write(i, "=", arg[i]:match("[^/]*$"), " ") end
  print(select("#", ...), ...)]]

describe("the command line", function()
  it("runs a script with its arguments, in ... and in arg", function()
    local result = run_script(show_arguments, { "a", "b c", "", "-e" })
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
    assert.is_truthy(result.stdout:find("^%-1=neap 0=%S+ 1=a 2=b c 3= 4=%-e 4\ta\tb c\t\t%-e\n$"), result.stdout)
  end)

  it("runs code", function()
    assert.are.same(printed("-2=neap -1=-e 0=print(#arg, ...) 1=x 2=-e "), {
      status = 0,
      stdout = run("-e " .. quote((show_arguments:gsub("%s+print%b()$", ""))) .. " x -e").stdout
        :gsub("0=.* 1=x", "0=print(#arg, ...) 1=x"),
      stderr = "",
    })
    assert.are.same(printed("3\tx\n"), run("-e 'print(1 + 2, ...)' x"))
    assert.are.equal("neap: (command line):1: boom", run([[-e 'error("boom")']]).stderr:match("^[^\n]*"))
  end)

  it("runs several pieces of code, each a chunk of its own, one after the other", function()
    assert.are.same(printed("1\tx\t-e\n2\tnil\tx\t-e\n"),
      run("-e 'local a, b = 1, 2 c = b print(a, ...)' -e 'print(c, a, ...)' x -e"))
    assert.are.equal("neap: (command line):1: boom", run([[-e 'x = 1' -e 'error("boom")']]).stderr:match("^[^\n]*"))
    assert.are.same({ status = 1, stdout = "", stderr = "neap: (command line):1: unexpected symbol near <eof>\n" },
      run("-e 'print(1)' -e 'x ='"))
  end)

  it("runs what comes on standard input", function()
    assert.are.same(printed("a\n"), run("- a", { input = "print(...)" }))
    assert.are.same(printed("-1=neap 0=- 1=a 1\ta\n"), run("- a", { input = show_arguments }))
    assert.are.same(printed("-1=neap 0=- 0\n"), run("", { input = show_arguments }))
    assert.are.same(printed("-2=neap -1=-- 0=- 0\n"), run("--", { input = show_arguments }))
    assert.are.same({ status = 1, stdout = "", stderr = "neap: stdin:1: unexpected symbol near '='\n" },
      run("-", { input = "x = = 1" }))
  end)

  it("leaves standard input to a script", function()
    assert.are.same(printed("one\ttwo\n"), run("-e 'print(io.read(), io.read())'", { input = "one\ntwo\n" }))
  end)

  it("takes a script of any name after --", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    support.write_file(folder .. "/-e", "print(arg[0], arg[-1], ...)")
    local result = run_command(("sh -c %s"):format(quote(("cd %s && %s -- -e a"):format(folder,
      support.runner:find("^/") and runner or '"$OLDPWD"/' .. runner))))
    os.execute("rm -r " .. folder)
    assert.are.same(printed("-e\t--\ta\n"), result)
  end)

  it("skips a first line that begins with #", function()
    local script <close> = support.temporary_file("#!/usr/bin/env neap\nprint(...) error('boom')")
    local result = run(quote(script.path) .. " a")
    assert.are.equal("a\n", result.stdout)
    assert.is_truthy(result.stderr:find(":2: boom\n", 1, true))
    assert.are.same(printed("b\n"), run("-", { input = "#!neap\nprint 'b'" }))
  end)

  it("tells its version and its use", function()
    local result = run("--version")
    assert.is_truthy(result.stdout:find("^neap %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$"), result.stdout)
    assert.are.same(result, run("-v"))
    result = run("--help")
    assert.are.equal(0, result.status)
    assert.is_truthy(result.stdout:find("^usage: neap %[options%] %[script %[arguments%]%]\n"))
    assert.are.same(result, run("-h"))
  end)

  it("complains of what it does not know, with status 2", function()
    for arguments, message in pairs { ["-x"] = "unknown option -x", ["--unknown"] = "unknown option --unknown",
      ["-e"] = "-e needs code" } do
      local result = run(arguments)
      assert.are.equal(2, result.status)
      assert.are.equal("", result.stdout)
      assert.are.equal(("neap: %s\nusage: neap "):format(message), result.stderr:match("^[^\n]*\nusage: neap "))
    end
  end)

  it("opens the prompt when it is called without a script on a terminal", function()
    local result = run_command(("script -qec %s /dev/null"):format(quote(runner)))
    assert.are.equal(0, result.status)
    assert.is_truthy(result.stdout:find("^neap %S+, Lua 5.4. :help for help, Ctrl%-D to leave%.\r?\n"), result.stdout)
  end)

  it("says what is wrong with a script, with status 1", function()
    assert.are.same({ status = 1, stdout = "", stderr = "neap: cannot open no/such/file.lua\n" },
      { status = 1, stdout = "", stderr = run("no/such/file.lua").stderr:gsub(": No such.-\n", "\n") })
    assert.are.equal(1, run("no/such/file.lua").status)
    local result = run("/")
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("^neap: cannot read /"))
    assert.are.same({ status = 1, stdout = "", stderr = "neap: script:2: unexpected symbol near <eof>\n" },
      run_script("\nreturn {"))
  end)

  it("takes no bytecode", function()
    local script <close> = support.temporary_file(string.dump(load "print 'not here'"))
    local result = run(quote(script.path))
    assert.are.equal(1, result.status)
    assert.are.equal("", result.stdout)
    assert.is_truthy(result.stderr:find("attempt to load a binary chunk", 1, true))
  end)
end)

describe("a script", function()
  it("finds the library by require, and loads others as a plain Lua does", function()
    assert.are.same(printed("true\ttrue\n"), run_script([[
      print(neap == require "neap", package.loaded.neap == neap)]]))
    local paths = "print(package.path) print(package.cpath)"
    local function paths_of(command, environment)
      return run_command(("%s -e %s"):format(command, quote(paths)), { environment = environment })
    end
    assert.are.same(paths_of("lua5.4"), paths_of(runner))
    local environment = { LUA_PATH = "/one/?.lua;;", LUA_CPATH = "/two/?.so;;" }
    assert.are.same(paths_of("lua5.4", environment), paths_of(runner, environment))
    environment = { LUA_PATH_5_4 = "/one/?.lua;;" }
    assert.are.same(paths_of("lua5.4", environment), paths_of(runner, environment))
  end)

  it("is not preceded by LUA_INIT", function()
    assert.are.same(printed("1\n"), run("-e 'print(1)'", { environment = { LUA_INIT = "print 'not here'" } }))
  end)

  it("has the globals that a plain Lua has", function()
    local names = [[
      local seen = {}
      local function walk(prefix, t, depth)
        for name, value in pairs(t) do
          local path = prefix .. tostring(name)
          seen[#seen + 1] = path .. ":" .. type(value)
          if type(value) == "table" and depth > 0 and name ~= "_G" and name ~= "arg" then
            walk(path .. ".", value, depth - 1)
          end
        end
      end
      package.loaded.neap, package.preload.neap = nil, nil
      walk("", _G, 2)
      table.sort(seen)
      print(table.concat(seen, "\n"))]]
    assert.are.same(run_command("lua5.4 -", { input = names }), run("-", { input = names }))
  end)

  it("can warn", function()
    assert.are.same({ status = 0, stdout = "", stderr = "Lua warning: one two\nLua warning: @on\n" }, run_script([[
      warn("not ", "here")
      warn("@on")
      warn("one ", "two")
      warn("@", "on")
      warn("@off")
      warn("not here")]]))
  end)
end)
