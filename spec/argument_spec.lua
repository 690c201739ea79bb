local neap = require "neap"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local function refusal(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return message
end

local function handles(pool)
  local a, b = neap.pipe()
  return {
    neap.channel(), neap.queue(), a, b, neap.lock(), neap.rlock(), neap.rwlock(), neap.condition(), neap.semaphore(),
    neap.bounded_semaphore(), neap.event(), neap.barrier(1), neap.value("i32"), neap.array("i32", 1), neap.buffer(1),
    neap.dict(), neap.list(), pool, pool:submit(neap.now), neap.spawn(function() end), neap.thread(function() end),
    neap.process(function() end),
  }
end

describe("wrong arguments of a method", function()
  it("are refused by its name, with position and expectation, however it is called", function()
    local channel, lock, value = neap.channel(), neap.lock(), neap.value("u8")
    local cases = {
      { channel.send, channel, nil, "bad argument #1 to 'send' (nil cannot be sent (send neap.null, or a table))" },
      { lock.acquire, lock, "x", "bad argument #1 to 'acquire' (number of seconds expected, got string)" },
      { value.set, value, 300, "bad argument #1 to 'set' (300 is out of the range of u8, 0 to 255)" },
    }
    for _, case in ipairs(cases) do
      local method, handle, argument, message = case[1], case[2], case[3], case[4]
      assert.are.equal(message, refusal(method, handle, argument))
      local task = neap.spawn(method, handle, argument)
      assert.are.equal(message, refusal(task.join, task))
      assert.is_truthy(refusal(function() method(handle, argument) end):find(message, 1, true))
    end
    assert.matches("argument_spec.lua:%d+: bad argument #1 to 'send' %(", refusal(function() channel:send(nil) end))
    assert.are.equal("bad argument #2 to 'send' (timeout must not be negative or NaN)",
      refusal(channel.send, channel, 1, -1))
  end)
end)

describe("a timeout that is none", function()
  it("is refused by its own position in what makes guards", function()
    local cases = {
      guard = { neap.lock(), neap.rlock(), neap.condition(), neap.semaphore() },
      guard_read = { neap.rwlock() },
      guard_write = { neap.rwlock() },
    }
    for name, makers in pairs(cases) do
      for _, handle in ipairs(makers) do
        assert.are.equal(("bad argument #1 to '%s' (timeout must not be negative or NaN)"):format(name),
          refusal(handle[name], handle, -1))
      end
    end
  end)
end)

describe("a time that is none", function()
  it("is refused as what it is: of what is no wait for something else, no timeout", function()
    for name, case in pairs({ sleep = { -1 }, timer = { -1, print }, every = { 0 / 0, print } }) do
      local begin = ("bad argument #1 to 'neap.%s' "):format(name)
      assert.are.equal(begin .. "(seconds must not be negative or NaN)", refusal(neap[name], table.unpack(case)))
      assert.are.equal(begin .. "(number of seconds expected, got nil)", refusal(neap[name], nil, print))
    end
  end)
end)

describe("something else than a function", function()
  it("is refused before anything is acquired or awaited", function()
    local condition <const> = neap.condition()
    local cases = {
      { "with", neap.lock() }, { "with", neap.rlock() }, { "with", condition }, { "with", neap.semaphore() },
      { "wait_for", condition }, { "update", neap.value("i32") },
    }
    for _, case in ipairs(cases) do
      local name, handle = case[1], case[2]
      assert.are.equal(("bad argument #1 to '%s' (function expected, got number)"):format(name),
        refusal(handle[name], handle, 5))
      assert.are.equal(("bad argument #1 to '%s' (function expected, got no value)"):format(name),
        refusal(handle[name], handle))
    end
  end)

  it("is taken if it can be called like one", function()
    local callable = setmetatable({}, { __call = function(_, x) return "called", x end })
    assert.are.same({ "called", 1 }, { neap.lock():with(callable, 1) })
    assert.are.same({ "called", 1 }, { neap.semaphore():with(callable, 1) })
  end)
end)

describe("a name of a handle", function()
  it("is a string", function()
    local task = neap.spawn(function() end)
    assert.matches("argument_spec.lua:%d+: name: string expected, got number$",
      refusal(function() task.name = 5 end))
  end)
end)

describe("wrong arguments of what is outside", function()
  it("are refused by the name of what was called, with position and expectation", function()
    local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
    local stream <close> = assert(neap.net.connect(listener:address()))
    local server <close> = neap.http.serve({ handler = print })
    local bar <close> = neap.progress(1, { keep = false })
    local cases = {
      { "#1 to 'udp' (string expected, got number)", neap.net.udp, 5 },
      { "#1 to 'udp' (string expected, got table)", neap.net.udp, {} },
      { "#2 to 'connect' (a port is between 1 and 65535)", neap.net.connect, "127.0.0.1", 0 },
      { "#1 to 'starttls' (stream expected, got nil)", neap.net.starttls, nil, {} },
      { "#1 to 'starttls' (stream expected, got number)", neap.net.starttls, 5, { verify = false } },
      { "#2 to 'starttls' (option 'timeout': number of seconds that is not negative or NaN expected, got -1)",
        neap.net.starttls, stream, { verify = false, timeout = -1 } },
      { "#2 to 'starttls' (option 'server': boolean expected, got 1)", neap.net.starttls, stream, { server = 1 } },
      { "#1 to 'close' (number of seconds expected, got 'soon')", server.close, server, "soon" },
      { "#1 to 'wait' (number of seconds expected, got string)", server.wait, server, "soon" },
      { "#1 to 'flush' (number of seconds expected, got 'soon')", neap.log.flush, "soon" },
      { "#1 to 'flush' (number of seconds that is not negative or NaN expected, got -1)", neap.log.flush, -1 },
      { "#1 to 'add' (whole number expected, got string)", bar.add, bar, "one" },
      { "#1 to 'set' (whole number expected, got nil)", bar.set, bar },
      { "#1 to 'set_total' (whole number expected, got number)", bar.set_total, bar, 1.5 },
    }
    for _, case in ipairs(cases) do
      local message = refusal(table.unpack(case, 2))
      assert.is_truthy(message:find("bad argument " .. case[1], 1, true), message)
    end
    assert(neap.net.connect(server:address())):close() -- it still serves
  end)
end)

describe("a method of another kind of handle, or of none", function()
  it("is refused by its name", function()
    local seen = 0
    local pool <close> = neap.pool { workers = 1, kind = "task" }
    for _, handle in ipairs(handles(pool)) do
      for name, method in pairs(getmetatable(handle).__methods) do
        for _, wrong in ipairs({ 1, "x", {}, io.stdout, neap.null }) do
          local ok, message = pcall(method, wrong)
          assert.is_false(ok, name)
          assert.is_nil(tostring(message):find("'?'", 1, true), name .. ": " .. tostring(message))
        end
        seen = seen + 1
      end
    end
    assert.is_true(seen > 100)
  end)
end)