-- The program that processes run: how it is found, and what it has when it begins.

local neap = require "neap"
local support = require "spec.support"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

describe("the program that processes run", function()
  it("is said to be missing where it is", function()
    local result = support.run_plain([[
      print(neap.process(print))
      print(#neap.processes())
    ]], nil, { environment = { NEAP_RUNNER = "./no-such-program" } })
    assert.are.equal(0, result.status)
    assert.are.equal("nil\tcannot start a process: ./no-such-program: no such file or directory\tENOENT\n0\n",
      result.stdout)
  end)

  it("is found beside the module, from a plain lua5.4", function()
    if support.sanitizer then return end
    local result = support.run_plain([[print(neap.process(function(n) return n + 1 end, 41):join())]])
    assert.are.same({ status = 0, stdout = "42\n", stderr = "" }, result)
  end)

  it("finds the modules, the folder and the environment of who started it", function()
    local path, cpath = neap.process(function() return package.path, package.cpath end):join()
    assert.are.same({ package.path, package.cpath }, { path, cpath })
    assert.are.equal(os.getenv("PATH"), (neap.process(os.getenv, "PATH"):join()))
  end)

  it("has no descriptor but its own, and reads nothing from our stdin", function()
    local result = support.run_script([[
      local file <close> = io.open("/dev/null")
      for _ = 1, 3 do
        print(neap.process(function()
          local list = {}
          for fd in io.popen("ls /proc/" .. neap.getpid() .. "/fd"):lines() do
            local link = io.popen("readlink /proc/" .. neap.getpid() .. "/fd/" .. fd):read("l") or ""
            if link:find("^/dev/null") then list[#list + 1] = fd end
          end
          return table.concat(list, ","), io.read("a")
        end):join())
      end
    ]], nil, { input = "for the parent" })
    assert.are.equal(("0\t\n"):rep(3), result.stdout)
  end)

  it("is started all the same when the process that helps to start it was killed", function()
    local result = support.run_script([[
      local function nothing() return 1 end
      for round = 1, 3 do
        for _ = 1, 3 do assert(neap.process(nothing):join() == 1) end
        io.popen("pkill -9 -P " .. neap.getpid() .. " -f neap-nursery"):close()
      end
      print(neap.process(nothing):join())
    ]])
    assert.are.same({ status = 0, stdout = "1\n", stderr = "" }, result)
  end)

  it("gives each its own random numbers", function()
    local seen = {}
    for _ = 1, 8 do
      local number = neap.process(function() return math.random(0) end):join()
      assert.is_nil(seen[number])
      seen[number] = true
      number = neap.process(function() math.randomseed() return math.random(0) end):join()
      assert.is_nil(seen[number])
      seen[number] = true
    end
  end)
end)
