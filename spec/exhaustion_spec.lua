-- When descriptors run out: an error with its reason, nothing half-made, and all goes on once there are some again.

local support = require "spec.support"

local prelude = [[
  local held = {}
  local function exhaust()
    for file in function() return (io.open("/dev/null")) end do held[#held + 1] = file end
  end
  local function release(count)
    for _ = 1, count or #held do table.remove(held):close() end
  end
  local function told(result, message, code)
    assert(result == nil and code == "EMFILE" and message:find("too many open files"), message)
  end
]]

local uses = {
  ["a process"] = { "told(neap.process(function() end))", "assert(neap.process(function() return 1 end):join() == 1)" },
  ["a socket"] = { "told(neap.net.listen('127.0.0.1', 0)) told(neap.net.connect('127.0.0.1', 9))",
    "assert(neap.net.listen('127.0.0.1', 0)):close()" },
  ["a file"] = { "told(neap.fs.read('/etc/passwd'))", "assert(neap.fs.read('/etc/passwd'))" },
  ["a watch of files"] = { "told(neap.fs.watch('/etc'))", "assert(neap.fs.watch('/etc')):close()" },
  ["a program"] = { "told(neap.run({ 'true' }))", "assert(neap.run({ 'true' }))" },
  ["a pool of processes"] = {
    [[local ok, message = pcall(neap.pool, { workers = 2, kind = "process" })
      assert(not ok and message:find("too many open files"), message)]],
    [[local p <close> = neap.pool { workers = 1, kind = "process" }
      assert(p:submit(function() return 1 end):result() == 1)]],
  },
  ["shared memory"] = {
    "local ok, message = pcall(neap.buffer, 1 << 20) assert(not ok and message:find('too many open files'), message)",
    "neap.buffer(1 << 20)",
  },
}

describe("without a descriptor", function()
  for name, use in pairs(uses) do
    for how, before in pairs({ ["at first"] = "", ["when there were some before"] = use[2] }) do
      it(name .. " is refused with the reason, and made when there is one again, " .. how, function()
        local result = support.run_with_few_descriptors(prelude .. ([[
          do %s end
          exhaust()
          %s
          for count = 1, 12 do -- with too few as well: nothing half-made stays
            release(1)
            pcall(function() %s end)
          end
          release()
          collectgarbage()
          while #neap.processes() > 0 do neap.sleep(0.001) end
          %s
          print "well"
        ]]):format(before, "do " .. use[1] .. " end", use[1], use[2]))
        assert.are.equal(0, result.status, result.stderr)
        assert.are.equal("well\n", result.stdout)
      end)
    end
  end

  it("a signal is refused with the reason, and waited for when there is one again, and ever after", function()
    local result = support.run_with_few_descriptors(prelude .. [[
      exhaust()
      told(neap.signal("HUP"))
      for _ = 1, 12 do
        release(1)
        neap.signal("HUP")
      end
      release()
      assert(neap.signal("HUP")):close()
      exhaust()
      assert(neap.signal("HUP")):close()
      print "well"]])
    assert.are.same({ status = 0, stdout = "well\n", stderr = "" }, result)
  end)

  it("a line is logged to stderr all the same, by the level that holds by default, and later as ever", function()
    local result = support.run_with_few_descriptors(prelude .. [[
      exhaust()
      neap.log.debug("not shown")
      neap.log.error("no descriptor", { at = "accept" })
      release()
      neap.log.set_level("debug")
      neap.log.debug("shown")
      neap.log.flush()
      print "well"]])
    assert.are.same({ 0, "well\n" }, { result.status, result.stdout })
    assert.matches("^%S+ ERROR no descriptor at=accept\n%S+ DEBUG shown\n$", result.stderr)
  end)

  it("luv is refused with the reason at the place of who called, and there when there are some again", function()
    local result = support.run_with_few_descriptors(prelude .. [[
      exhaust()
      local ok, problem
      repeat
        ok, problem = pcall(function() assert(neap.luv()) end)
        assert(ok or problem:find("^[^%[]%S*:14: no luv: too many open files %(EMFILE%)$"), problem)
        release(1)
      until ok
      release()
      local done = neap.event()
      neap.luv().new_timer():start(1, 0, function() done:set() end)
      done:wait()
      print "well"]])
    assert.are.same({ status = 0, stdout = "well\n", stderr = "" }, result)
  end)

  it("what the library needs shared memory for is refused at the place of who called", function()
    local result = support.run_with_few_descriptors(prelude .. [[
      exhaust()
      print(select(2, pcall(function() neap.progress(5) end)))]])
    assert.matches("^[^%[]%S*:12: no shared memory: too many open files %(EMFILE%)\n$", result.stdout)
  end)

  it("threads and channels go on", function()
    local result = support.run_with_few_descriptors(prelude .. [[
      exhaust()
      local channel = neap.channel()
      local thread = neap.thread(function(c) c:send("well") end, channel)
      print(channel:recv())
      thread:join()]])
    assert.are.same({ status = 0, stdout = "well\n", stderr = "" }, result)
  end)
end)
