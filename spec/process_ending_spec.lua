-- Programs that have processes: how they end, and what is told of processes that fail.

local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

describe("a process that fails while nobody waits for it", function()
  it("is reported on stderr, and makes the status 1", function()
    local result = support.run_script([[
      neap.process({ name = "p1" }, function() error("oops") end)
      neap.process({ name = "p2" }, function() os.exit(4) end)
    ]])
    assert.are.equal(1, result.status)
    assert.matches("neap: process p1 failed: script:1: oops\nstack traceback:.*spawned at script:1", result.stderr)
    assert.matches("neap: process p2 failed: process p2 exited with status 4", result.stderr)
  end)

  it("is told to on_error, in the main state", function()
    local result = support.run_script([[
      neap.on_error(function(handle, err, traceback)
        print(handle.name, tostring(err), traceback:match("spawned at"))
      end)
      neap.process({ name = "p1" }, function() error("oops", 0) end)
    ]])
    assert.are.same({ status = 1, stdout = "p1\toops\tspawned at\n", stderr = "" }, result)
  end)

  it("is not reported where it is quiet, and joining it later takes it out of the status", function()
    local result = support.run_script([[
      local p = neap.process({ quiet = true }, function() error("oops") end)
      print(p:wait())
      print(pcall(p.join, p))
    ]])
    assert.are.same({ status = 0, stdout = "true\nfalse\tscript:1: oops\n", stderr = "" }, result)
  end)

  it("is not reported when it was killed or terminated through its handle", function()
    local result = support.run_script([[
      for _, method in ipairs { "kill", "terminate", "cancel" } do
        local p = neap.process(function() neap.event():wait() end)
        while p:status() ~= "waiting" do neap.yield() end
        p[method](p)
        p:wait()
      end
    ]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)
end)

describe("a program with processes", function()
  it("waits for those that are not daemon, and cancels those that are", function()
    local result = support.run_script([[
      neap.process(function() neap.sleep(0.05) print("done") end)
      local d = neap.process({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function() print("daemon closed") end })
        neap.event():wait()
      end)
      assert(d.daemon)
      while d:status() ~= "waiting" do neap.yield() end
    ]])
    assert.are.equal(0, result.status)
    assert.are.equal("", result.stderr)
    assert.are.equal("done\ndaemon closed\n", result.stdout)
  end)

  it("cancels them when its main chunk fails", function()
    local result = support.run_script([[
      local p = neap.process(function()
        local _ <close> = setmetatable({}, { __close = function() print("closed") end })
        neap.event():wait()
      end)
      while p:status() ~= "waiting" do neap.yield() end
      error("main failed")
    ]])
    assert.are.equal(1, result.status)
    assert.are.equal("closed\n", result.stdout)
    assert.matches("main failed", result.stderr)
  end)

  it("ends those that do not end by themselves, and names them", function()
    local result = support.run_script([[
      local p = neap.process({ daemon = true, name = "stubborn" }, function()
        local _ <close> = setmetatable({}, { __close = function() os.execute("kill -STOP " .. neap.getpid()) end })
        neap.event():wait()
      end)
      while p:status() ~= "waiting" do neap.yield() end
    ]])
    assert.matches("neap: process stubborn was asked to end and did not: it was killed", result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("is no deadlock as long as one lives, and is one for a task that nothing can wake after that", function()
    local result = support.run_script([[
      neap.spawn(function() neap.event():wait() end)
      neap.process(function() neap.sleep(0.05) print("still here") end):join()
    ]])
    assert.are.equal(1, result.status)
    assert.are.equal("still here\n", result.stdout)
    assert.matches("deadlock", result.stderr)
  end)

  it("ends them with itself when it is killed", function()
    for _, signal in ipairs({ "KILL", "TERM", "INT" }) do
      local file <close> = support.temporary_file()
      local result = support.run_script([[
        local signal, path = ...
        local function read()
          local file <close> = io.open(path)
          return file:read("n")
        end
        local p = neap.process(function()
          local child = neap.process(function() neap.event():wait() end)
          local file <close> = io.open(path, "w")
          file:write(child.pid, "\n")
          file:flush()
          neap.event():wait()
        end)
        local busy = neap.process(function() while true do end end)
        while not read() do neap.sleep(0.001) end
        print(p.pid, busy.pid, read())
        io.popen("kill -" .. signal .. " " .. neap.getpid()):close() -- os.execute would ignore it
        neap.event():wait()
      ]], { signal, file.path })
      assert.are_not.equal(0, result.status)
      local count = 0
      for pid in result.stdout:gmatch("%d+") do
        local deadline = neap.now() + 60
        while support.is_running(math.tointeger(tonumber(pid))) and neap.now() < deadline do neap.sleep(0.01) end
        assert.is_false(support.is_running(math.tointeger(tonumber(pid))), signal .. ": process " .. pid .. " is left")
        count = count + 1
      end
      assert.are.equal(3, count)
    end
  end)

  it("gets Ctrl-C alone: its processes are ended by it, once or twice", function()
    for _, times in ipairs({ 1, 2 }) do
      local result = support.run_script([[
        local times = ...
        local p = neap.process(function()
          local function close() neap.sleep(times == "2" and 60 or 0) end
          local _ <close> = setmetatable({}, { __close = close })
          neap.event():wait()
        end)
        while p:status() ~= "waiting" do neap.sleep(0.001) end
        for i = 1, tonumber(times) do
          io.popen("kill -INT " .. neap.getpid()):close()
          if times == "2" then neap.shield(neap.sleep, 0.3) end
        end
        neap.event():wait()
      ]], { times })
      assert.are.equal(130, result.status)
    end
  end)
end)

describe("the end of a program with processes", function()
  it("comes at any moment, and leaves none of them #stress", function()
    trial.seed()
    local ways = { "os.exit(3)", "error('main')", "return", "os.execute('kill -TERM ' .. neap.getpid())" }
    for _ = 1, 8 * support.stress do
      local way, delay = ways[math.random(#ways)], math.random() * 0.02
      local result = support.run_script(([[
        local function say() io.write(neap.getpid(), "\n") io.flush() end
        local lives = {
          function() neap.event():wait() end,
          function() while true do end end,
          function() while true do neap.sleep(0.001) print("tick") end end,
          function() local p = neap.process(function() say() neap.event():wait() end) p:join() end,
          function() neap.sleep(0.005) os.exit(5) end,
          function() neap.sleep(0.005) error("x") end,
        }
        for _, life in ipairs(lives) do
          neap.process({ daemon = true, quiet = true }, function() say() life() end)
        end
        local clock = neap.now() + %f
        while neap.now() < clock do neap.yield() end
        %s
      ]]):format(delay, way))
      assert.are_not.equal(124, result.status, way)
      for pid in result.stdout:gmatch("%f[%C]%d+\n") do
        assert.is_false(support.is_running(math.tointeger(tonumber(pid))), way .. " left process " .. pid)
      end
    end
  end)
end)
