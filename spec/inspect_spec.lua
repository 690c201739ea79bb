-- neap.inspect: what the program is doing, as tables.

local neap = require "neap"
local trial = require "spec.trial"

local function find(list, name)
  for _, entry in ipairs(list) do
    if entry.name == name then return entry end
  end
end

describe("neap.inspect", function()
  local sleepers = {}

  local function start(name, fn)
    local task = neap.spawn({ name = name }, fn)
    sleepers[#sleepers + 1] = task
    return task
  end

  after_each(function()
    for _, handle in ipairs(sleepers) do
      handle:cancel()
      handle:wait()
    end
    sleepers = {}
  end)

  it("lists tasks, with what they wait for, since when and where", function()
    local channel = neap.channel()
    local task = start("receiver", function() return (channel:recv()) end)
    start("sleeper", function() neap.sleep(1000) end)
    neap.sleep(0)
    local receiver = find(neap.inspect().tasks, "receiver")
    assert.are.equal(task.id, receiver.id)
    assert.are.equal("main", receiver.thread)
    assert.are.equal("waiting", receiver.status)
    assert.is_truthy(receiver.waits_for:find("^recv of channel: 0x%x+$"))
    assert.is_truthy(receiver.at:find("inspect_spec.lua:%d+$"))
    assert.is_true(receiver.since >= 0)
    assert.is_false(receiver.daemon)
    assert.are.same({}, receiver.holds)
    assert.are.equal("sleep", find(neap.inspect().tasks, "sleeper").waits_for)
  end)

  it("tells a task that has not begun", function()
    start("fresh", function() end)
    local fresh = find(neap.inspect().tasks, "fresh")
    assert.are.equal("new", fresh.status)
    assert.is_nil(fresh.waits_for)
  end)

  it("lists the tasks of other threads", function()
    local ready, gate = neap.channel(), neap.event()
    local thread = neap.thread({ name = "other", daemon = true }, function(out, stop)
      local library = require "neap"
      library.spawn({ name = "inner" }, function() stop:wait() end)
      library.spawn({ name = "told" }, function() out:send(true) end):join()
      stop:wait()
    end, ready, gate)
    ready:recv()
    local inspection = neap.inspect()
    local inner = find(inspection.tasks, "inner")
    assert.are.equal("other", inner.thread)
    assert.are.equal("waiting", inner.status)
    assert.is_truthy(inner.waits_for:find("^wait of event: "))
    local report = find(inspection.threads, "other")
    assert.are.equal(thread.id, report.id)
    assert.is_true(report.daemon)
    assert.is_true(report.tasks >= 2)
    assert.are.equal("main", inspection.threads[1].name)
    gate:set()
    thread:join()
  end)

  it("reaches a thread that computes #preempt", function()
    local ready = neap.channel()
    local thread = neap.thread({ name = "computing" }, function(out)
      out:send(require "neap".slice(0.01))
      while true do end
    end, ready)
    ready:recv()
    neap.slice(0.01)
    local report
    repeat -- a loaded machine may need more than once
      report = find(neap.inspect().threads, "computing")
    until report.tasks
    assert.are.equal(1, report.tasks)
    thread:cancel()
    thread:wait()
  end)

  it("lists who holds and who waits for a lock, in all threads", function()
    local lock, held, asking = neap.lock(), neap.channel(), neap.channel()
    local keeper = neap.thread({ name = "keeper" }, function(l, out)
      l:acquire()
      out:send(true)
      require "neap".sleep(1000)
    end, lock, held)
    held:recv()
    start("asker", function()
      asking:send(true)
      lock:acquire()
    end)
    asking:recv()
    local wanted
    repeat -- the asker says so before it waits
      neap.sleep(0)
      wanted = nil
      for _, entry in ipairs(neap.inspect().locks) do
        if entry.holders[1] == "keeper (thread keeper)" and #entry.waiters > 0 then wanted = entry end
      end
    until wanted
    assert.is_truthy(wanted.name:find("^lock: 0x"))
    assert.are.same({ "keeper (thread keeper)" }, wanted.holders)
    assert.are.same({ "asker (thread main)" }, wanted.waiters)
    keeper:cancel()
    keeper:wait()
  end)

  it("stands threads that come and go #stress", function()
    trial.seed()
    local support = require "spec.support"
    for _ = 1, 20 * support.stress do
      local threads = {}
      for i = 1, 4 do
        threads[i] = neap.thread(function(n)
          for _ = 1, n do require "neap".yield() end
        end, math.random(0, 50))
      end
      for _ = 1, 3 do neap.inspect() end
      for _, thread in ipairs(threads) do thread:join() end
    end
  end)
end)
