-- Programs that end while tasks and threads are parked in every primitive.

local support = require "spec.support"

local parked = [[
  local done = neap.queue()
  local lock, rwlock, written, condition = neap.lock(), neap.rwlock(), neap.rwlock(), neap.condition()
  local semaphore, event, full = neap.semaphore(0), neap.event(), neap.queue(1)
  local receiving, sending = neap.channel(), neap.channel()
  local here, there = neap.pipe()
  lock:acquire()
  rwlock:acquire_read()
  written:acquire_write()
  full:put(1)
  local ways = {
    function() lock:acquire() end, function() lock:with(function() end) end, function() rwlock:acquire_write() end,
    function() written:acquire_read() end,
    function() condition:with(function() condition:wait() end) end,
    function() condition:with(function() condition:wait_for(function() end, 3600) end) end,
    function() semaphore:acquire() end, function() semaphore:guard() end, function() event:wait() end,
    function() neap.barrier(2):wait() end, function() receiving:recv() end, function() sending:send(1, 3600) end,
    function() full:put(2) end, function() full:join() end, function() here:recv() end, function() there:poll(3600) end,
  }
  local waiters = {}
  for _, start in ipairs { neap.spawn, neap.thread } do
    for _, way in ipairs(ways) do
      waiters[#waiters + 1] = start({ daemon = ... == "daemon" }, function(fn)
        local _ <close> = setmetatable({}, { __close = function() done:put(true) end })
        fn()
      end, way)
    end
  end
  for _, waiter in ipairs(waiters) do
    while waiter:status() ~= "waiting" do
      assert(waiter:is_alive(), "it ended instead of waiting")
      neap.yield()
    end
  end
]]

local function assert_silent(result, status)
  assert.are.same({ status = status, stdout = "", stderr = "" }, result)
end

describe("a program whose tasks and threads are parked in every primitive", function()
  it("ends when they are daemon", function()
    assert_silent(support.run_script(parked, { "daemon" }), 0)
  end)

  it("ends with os.exit", function()
    assert_silent(support.run_script(parked .. "os.exit(7)"), 7)
  end)

  it("ends when its main chunk fails, and says why", function()
    local result = support.run_script(parked .. "error('on purpose', 0)")
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("on purpose", 1, true))
  end)

  it("lets their <close> variables run when they are cancelled", function()
    local result = support.run_script(parked .. [[
      for _, waiter in ipairs(waiters) do waiter:cancel("enough") end
      for _, waiter in ipairs(waiters) do
        local joined, err = pcall(waiter.join, waiter)
        assert(not joined and neap.is_cancelled(err), err)
      end
      assert(done:qsize() == #waiters)
    ]])
    assert_silent(result, 0)
  end)

  it("ends in a plain lua5.4, too", function()
    assert_silent(support.run_plain(parked, { "daemon" }), 0)
  end)
end)
