local neap = require "neap"
local support = require "spec.support"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local luv = neap.luv()

describe("luv", function()
  it("is the module that luv is, the same each time", function()
    assert.are.equal(require "luv", luv)
    assert.are.equal(luv, neap.luv())
  end)

  it("has timers that fire while tasks sleep", function()
    local ticks, done = 0, neap.event()
    local timer = luv.new_timer()
    timer:start(1, 1, function()
      ticks = ticks + 1
      if ticks == 5 then
        timer:close()
        done:set()
      end
    end)
    local sleeper = neap.spawn(neap.sleep, 0.01)
    assert.is_true((done:wait()))
    sleeper:join()
    assert.are.equal(5, ticks)
  end)

  it("reads files beside tasks", function()
    local file <close> = support.temporary_file("some bytes")
    local read = neap.channel(1)
    luv.fs_open(file.path, "r", 420, function(problem, fd)
      assert(not problem, problem)
      luv.fs_read(fd, 100, 0, function(_, bytes)
        luv.fs_close(fd)
        read:send(bytes, 0)
      end)
    end)
    assert.are.equal("some bytes", read:recv())
  end)

  it("carries bytes through pipes beside tasks", function()
    local ends = luv.pipe({ nonblock = true }, { nonblock = true })
    local reader, writer = luv.new_pipe(false), luv.new_pipe(false)
    reader:open(ends.read)
    writer:open(ends.write)
    local came = neap.queue()
    reader:read_start(function(_, bytes) came:put(bytes or neap.null) end)
    local task = neap.spawn(function()
      for number = 1, 3 do
        writer:write("piece " .. number)
        assert.are.equal("piece " .. number, (came:get()))
      end
      writer:close()
      return (came:get())
    end)
    assert.are.equal(neap.null, task:join())
    reader:close()
  end)

  it("may spawn, and must not wait, in its callbacks", function()
    local told = neap.channel()
    local timer = luv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      local ok, problem = pcall(neap.sleep, 1)
      neap.spawn(function()
        told:send(ok)
        told:send(problem)
      end)
    end)
    assert.is_false(told:recv())
    assert.is_truthy(told:recv():find("cannot wait in a callback of luv", 1, true))
  end)

  it("runs until it has nothing to do, and only the task that asks waits", function()
    local order = {}
    local timer = luv.new_timer()
    timer:start(20, 0, function()
      order[#order + 1] = "timer"
      timer:close()
    end)
    local other = neap.spawn(function() order[#order + 1] = "task" end)
    luv.run()
    order[#order + 1] = "run"
    other:join()
    assert.are.same({ "task", "timer", "run" }, order)
  end)

  it("runs in each thread by itself", function()
    local function count()
      local module, done = require("neap").luv(), require("neap").event()
      module.new_timer():start(1, 0, function() done:set() end)
      return (done:wait())
    end
    assert.are.same({ true, true, true }, neap.gather { neap.thread(count), neap.thread(count), neap.thread(count) })
  end)

  it("has its callbacks' errors reported as those of tasks", function()
    local code = [[
      local luv = neap.luv()
      neap.on_error(function(handle, problem, traceback)
        print(handle.name, problem.text, traceback:find(":6: in function", 1, true) ~= nil)
      end)
      luv.new_timer():start(0, 0, function()
        error({ text = "wrong" })
      end)
      neap.sleep(0.01)
      luv.run()
      neap.yield()
    ]]
    local result = support.run_script(code)
    assert.are.same({ status = 1, stdout = "callback of luv\twrong\ttrue\n", stderr = "" }, result)
  end)

  it("may be used by others already, and may be left in the middle", function()
    local code = [[
      local luv = coroutine.wrap(function() return require "luv" end)()
      assert(neap.luv() == luv)
      collectgarbage()
      local done = neap.event()
      luv.new_timer():start(1, 0, function() done:set() end)
      done:wait()
      luv.new_timer():start(1000000, 0, print)
      luv.fs_stat("/etc/passwd", function() end)
      local pipe = luv.new_pipe(false)
      pipe:open(luv.pipe({ nonblock = true }, { nonblock = true }).read)
      pipe:read_start(print)
      io.write("left")
    ]]
    local closing = code .. "luv.new_timer():close()" -- at the very end, a plain Lua with luv alone dies of it
    assert.are.same({ status = 0, stdout = "left", stderr = "" }, support.run_script(closing))
    assert.are.same({ status = 0, stdout = "left", stderr = "" }, support.run_plain(code))
  end)
end)
