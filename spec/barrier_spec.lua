local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function wait(barrier, timeout) return barrier:wait(timeout) end

local broken = table.pack(nil, "broken", "broken")

grid.ask("barrier:wait", { blocked = function() return neap.barrier(2) end, wait = wait,
  serve = function(barrier) assert(barrier:wait() == 2) end, served = table.pack(1), fragile = true })

describe("barrier", function()
  it("lets all go when the last has come, again and again", function()
    local barrier = neap.barrier(3)
    assert.are.equal(3, barrier.parties)
    for _ = 1, 3 do
      local first, second = grid.parked_task(wait, barrier), grid.parked_thread(wait, barrier)
      assert.are.equal(2, barrier.waiting)
      assert.are.equal(3, barrier:wait(0))
      assert.are.equal(1, (first:join()))
      assert.are.equal(2, (second:join()))
      assert.are.equal(0, barrier.waiting)
    end
    assert.is_false(barrier:is_broken())
  end)

  it("of one party never waits", function()
    assert.are.equal(1, neap.barrier(1):wait())
    assert.are.equal(1, neap.barrier(1):wait(0))
  end)

  it("breaks when somebody's time is over", function()
    for _, timeout in ipairs({ 0, 0.001 }) do
      local barrier = neap.barrier(4)
      local task, thread = grid.parked_task(wait, barrier), grid.parked_thread(wait, barrier)
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(barrier:wait(timeout)))
      assert.are.same(broken, table.pack(task:join()))
      assert.are.same(broken, table.pack(thread:join()))
      assert.is_true(barrier:is_broken())
      assert.are.same(broken, table.pack(barrier:wait()))
      assert.are.same(broken, table.pack(barrier:wait(0)))
    end
  end)

  it("breaks when one that waits is cancelled", function()
    local barrier = neap.barrier(3)
    local first, second = grid.parked_task(wait, barrier), grid.parked_task(wait, barrier)
    first:cancel()
    grid.assert_cancelled(first)
    assert.are.same(broken, table.pack(second:join()))
    assert.is_true(barrier:is_broken())
  end)

  it("is broken by abort, and whole again after reset", function()
    local barrier = neap.barrier(2)
    local task = grid.parked_task(wait, barrier)
    barrier:abort()
    barrier:abort()
    assert.are.same(broken, table.pack(task:join()))
    barrier:reset()
    assert.is_false(barrier:is_broken())
    local thread = grid.parked_thread(wait, barrier)
    barrier:reset()
    assert.are.same(broken, table.pack(thread:join()))
    task = grid.parked_task(wait, barrier)
    assert.are.equal(2, barrier:wait())
    assert.are.equal(1, (task:join()))
  end)

  it("runs its action once a round, by the last, before anybody goes on", function()
    local events = {}
    local barrier
    barrier = neap.barrier(2, function()
      neap.yield()
      table.insert(events, "action")
      assert.are.equal(1, barrier.waiting)
    end)
    for _ = 1, 2 do
      local task = grid.parked_task(function()
        local number = barrier:wait()
        table.insert(events, "first goes")
        return number
      end)
      assert.are.equal(2, barrier:wait())
      assert.are.equal(1, (task:join()))
    end
    assert.are.same({ "action", "first goes", "action", "first goes" }, events)
  end)

  it("breaks when its action fails, which is raised in the one that ran it", function()
    local barrier = neap.barrier(2, function() error("on purpose", 0) end)
    local task = grid.parked_task(wait, barrier)
    assert.has_error(function() barrier:wait() end, "on purpose")
    assert.are.same(broken, table.pack(task:join()))
    assert.is_true(barrier:is_broken())
  end)

  it("breaks when the one that runs its action is cancelled", function()
    local barrier = neap.barrier(2, function() neap.event():wait() end)
    local first, last = grid.parked_task(wait, barrier), grid.parked_task(wait, barrier)
    assert.are.equal(1, barrier.waiting)
    last:cancel()
    grid.assert_cancelled(last)
    assert.are.same(broken, table.pack(first:join()))
    assert.is_true(barrier:is_broken())
  end)

  it("is broken for the one that ran the action too, when another gave up meanwhile", function()
    local go = neap.event()
    local barrier = neap.barrier(2, function() go:wait() end)
    local first, last = grid.parked_task(wait, barrier), grid.parked_task(wait, barrier)
    first:cancel()
    grid.assert_cancelled(first)
    go:set()
    assert.are.same(broken, table.pack(last:join()))
  end)

  it("keeps those that come during the action for the next round", function()
    local go, rounds = neap.event(), 0
    local barrier = neap.barrier(2, function()
      rounds = rounds + 1
      go:wait()
    end)
    local tasks = {}
    for i = 1, 6 do tasks[i] = grid.parked_task(wait, barrier) end
    assert.are.equal(1, rounds)
    go:set()
    local numbers = {}
    for i, task in ipairs(tasks) do numbers[i] = task:join() end
    assert.are.same({ 1, 2, 1, 2, 1, 2 }, numbers)
    assert.are.equal(3, rounds)
  end)

  it("has its action run by a thread that comes last", function()
    local seen = neap.queue()
    local barrier = neap.barrier(2, function() seen:put(neap.current().name) end)
    local task = grid.parked_task(wait, barrier)
    assert.are.equal(2, (neap.thread({ name = "last" }, wait, barrier):join()))
    assert.are.equal(1, (task:join()))
    local thread = grid.parked_thread(wait, barrier)
    barrier:wait()
    thread:join()
    assert.are.equal("last", seen:get(0))
    assert.is_truthy(seen:get(0))
    assert.is_nil((seen:get(0)))
  end)

  -- Objects are counted, so these are not freed before the process ends.
  it("may be mentioned by its own action, and by that of another that it mentions", function()
    local result = support.run_script([[
      local seen, barrier, other = neap.queue(), nil, nil
      barrier = neap.barrier(2, function() seen:put({ barrier, other, barrier.waiting }) end)
      other = neap.barrier(1, function() barrier:abort() end)
      local function wait(b) return b:wait() end
      for _, start in ipairs({ neap.thread, neap.process }) do
        local task = neap.spawn(wait, barrier)
        while barrier.waiting == 0 do neap.yield() end
        print(start(wait, barrier):join(), task:join())
        local mentioned = seen:get(0)
        assert(mentioned[1] == barrier and mentioned[2] == other and mentioned[3] == 1)
      end
      print(neap.thread(wait, other):join(), barrier:is_broken())]], nil,
      { environment = { ASAN_OPTIONS = "detect_leaks=0" } })
    assert.are.same({ status = 0, stdout = "2\t1\n2\t1\n1\ttrue\n", stderr = "" }, result)
  end)

  it("names an action that cannot be sent when it is sent itself, be it mentioned there", function()
    local file = io.tmpfile()
    local barrier
    barrier = neap.barrier(1, function() return file, barrier end)
    assert.are.equal(1, barrier:wait()) -- here it will do
    for _ = 1, 2 do
      local ok, message = pcall(neap.thread, wait, barrier)
      assert.is_false(ok)
      assert.is_truthy(message:find("cannot send action:upvalue(file)", 1, true))
    end
    file:close()
  end)

  it("whose action cannot be sent breaks where it comes with another that mentions it", function()
    local file = io.tmpfile()
    local barrier, other
    barrier = neap.barrier(1, function() return other, file end)
    other = neap.barrier(1, function() return barrier end)
    assert.is_false(pcall(neap.thread, wait, barrier))
    local thread = neap.thread({ quiet = true }, function() return other:wait(), pcall(barrier.wait, barrier) end)
    local number, ok, message = thread:join()
    assert.are.equal(1, number)
    assert.is_false(ok)
    assert.is_truthy(message:find("the action of this barrier could not be sent", 1, true))
    assert.is_true(barrier:is_broken())
    file:close()
  end)

  it_races("keeps threads in step", function()
    local barrier, steps, threads = neap.barrier(3), neap.queue(), {}
    for i = 1, 3 do
      threads[i] = neap.thread(function(b, q, times)
        for step = 1, times do
          q:put(step)
          assert(b:wait())
          if q:qsize() ~= 3 * step then error("somebody is late, or early") end
          assert(b:wait())
        end
      end, barrier, steps, 100 * support.stress)
    end
    for _, thread in ipairs(threads) do thread:join() end
    assert.are.equal(3 * 100 * support.stress, steps:qsize())
  end)

  it("says how it stands", function()
    local barrier = neap.barrier(3)
    assert.is_truthy(tostring(barrier):find("^barrier: .* %(0/3%)$"))
    local task = grid.parked_task(wait, barrier)
    assert.is_truthy(tostring(barrier):find("%(1/3%)$"))
    barrier:abort()
    assert.is_truthy(tostring(barrier):find("%(broken%)$"))
    task:join()
  end)

  it("refuses what is no number of parties and what is no action", function()
    for _, bad in ipairs({ 0, -1, 1.5, "x", {} }) do assert.has_error(function() neap.barrier(bad) end) end
    for _, bad in ipairs({ 0, 1 << 31 }) do
      local _, message = pcall(neap.barrier, bad)
      assert.is_truthy(message:find("1 to 2147483647 parties expected", 1, true))
    end
    assert.has_error(function() neap.barrier() end)
    assert.has_error(function() neap.barrier(2, "print") end)
  end)
end)
