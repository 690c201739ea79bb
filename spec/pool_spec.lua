-- Pools, from their options to their end. What they are given: pool_submit_spec.lua, pool_map_spec.lua. Pools whose
-- workers die: pool_ending_spec.lua.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local _ENV = _G -- luacheck: ignore

local raises, it_of_each_kind, numbers = trial.raises, trial.it_of_each_kind, trial.numbers

describe("neap.pool", function()
  it("has as many threads as there are processors", function()
    local pool <close> = neap.pool()
    assert.are.equal(neap.cpu_count(), pool:stats().workers)
    assert.matches("^pool: pool%-%d+ %(" .. neap.cpu_count() .. " threads?, open%)$", tostring(pool))
  end)

  it("has as many workers as it is told", function()
    local pool <close> = neap.pool(3)
    assert.are.equal(3, pool:stats().workers)
    local other <close> = neap.pool { workers = 1, kind = "task", name = "small" }
    assert.are.equal("pool: small (1 task, open)", tostring(other))
  end)

  it("runs its work in threads that bear its name", function()
    local pool <close> = neap.pool { workers = 1, name = "ovens" }
    local name, is_thread = pool:apply(function() return neap.current().name, neap.current() ~= neap.main() end)
    assert.are.equal("ovens worker 1", name)
    assert.is_true(is_thread)
  end)

  it("refuses what it does not know or cannot be", function()
    raises("bad argument #2 to 'pool' %(options go into the one table", neap.pool, 2, { kind = "process" })
    raises("bad argument #1 to 'pool' %(unknown option 'wokers' %(known: initargs, initializer, kind,", neap.pool,
      { wokers = 1 })
    for _, bad in ipairs({ 0, -1, 1.5, 10001, 0 / 0 }) do raises("a number of workers", neap.pool, bad) end
    raises("option 'kind': one of 'thread', 'process', 'task' expected", neap.pool, { kind = "fiber" })
    raises("option 'max_tasks': a number of tasks", neap.pool, { max_tasks = 0 })
    raises("option 'queue_limit': a number of tasks", neap.pool, { queue_limit = "many" })
    raises("option 'initializer': function expected, got 'x'", neap.pool, { initializer = "x" })
    raises("table of options expected, got string", neap.pool, "2")
  end)

  it("waits for its work when its scope is left well", function()
    local done = neap.event()
    do
      local pool <close> = neap.pool(1)
      pool:submit(function(event)
        neap.sleep(0.02)
        event:set()
      end, done)
    end
    assert.is_true(done:is_set())
  end)

  it("cancels its work when its scope is left by an error, and waits", function()
    local started, cleaned = neap.event(), neap.event()
    local future, queued
    raises("out", function()
      local pool <close> = neap.pool(1)
      future = pool:submit(function(began, ended)
        local _ <close> = setmetatable({}, { __close = function() ended:set() end })
        began:set()
        neap.sleep(3600)
      end, started, cleaned)
      queued = pool:submit(print)
      started:wait()
      error("out")
    end)
    assert.is_true(cleaned:is_set())
    assert.are.equal("cancelled", future:status())
    assert.are.equal("cancelled", queued:status())
  end)

  it("works in a plain lua5.4", function()
    local result = support.run_plain([[
      local pool <close> = neap.pool(2)
      print(table.concat(pool:map(function(x) return x * x end, {1, 2, 3}), " "))
    ]])
    assert.are.same({ status = 0, stdout = "1 4 9\n", stderr = "" }, result)
  end)
end)

describe("an initializer", function()
  it("that cannot be sent is named in the words of who makes the pool", function()
    local file = io.stdout
    local here = "^spec/pool_spec.lua:%d+: cannot send "
    for _, kind in ipairs({ "thread", "process" }) do
      raises(here .. "initargs%[2%]%.conn: userdata", function()
        neap.pool { workers = 1, kind = kind, initializer = print, initargs = { 1, { conn = file } } }
      end)
      raises(here .. "initializer:upvalue%(file%): userdata", function()
        neap.pool { workers = 1, kind = kind, initializer = function() return file end }
      end)
    end
  end)

  it("is given a list of arguments", function()
    for _, args in ipairs({ { a = 1 }, { n = -1 }, { 1, 2, n = 1 } }) do
      raises("bad argument #1 to 'pool' %(option 'initargs': list of arguments expected, got table%)", neap.pool,
        { workers = 1, initializer = print, initargs = args })
    end
  end)

  it("runs in each worker before its work", function()
    local pool <close> = neap.pool {
      workers = 2,
      initializer = function(a, b) PREPARED = { a, b } end, -- luacheck: ignore
      initargs = { 1, "two" },
    }
    for _, value in ipairs(pool:map(function() return PREPARED end, numbers(16), { chunksize = 1 })) do -- luacheck: ignore
      assert.are.same({ 1, "two" }, value)
    end
  end)

  it_of_each_kind("that fails breaks the pool: its work fails with that error", function(new)
    local pool = new { workers = 2, initializer = function() error({ broken = true }) end }
    local early = pool:submit(print)
    local ok, err = pcall(early.result, early)
    assert.is_false(ok)
    assert.are.same({ broken = true }, err)
    assert.are.same({ broken = true }, select(2, pcall(pool.map, pool, print, { 1, 2, 3 })))
    assert.matches("broken%)$", tostring(pool))
    assert.is_true(pool:join())
    raises("is closed", pool.submit, pool, print)
  end)
end)

describe("max_tasks", function()
  it("gives each worker so much work and no more", function()
    local pool <close> = neap.pool { workers = 1, max_tasks = 3 }
    local counts = {}
    for i = 1, 10 do
      counts[i] = pool:apply(function()
        COUNT = (COUNT or 0) + 1 -- luacheck: ignore
        return COUNT -- luacheck: ignore
      end)
    end
    assert.are.same({ 1, 2, 3, 1, 2, 3, 1, 2, 3, 1 }, counts)
    assert.are.equal(0, pool:stats().lost)
  end)

  it_of_each_kind("does not stop a pool of one with a backlog", function(new)
    local pool = new { workers = 1, max_tasks = 1 }
    local future = pool:map_async(function(x) return x end, numbers(30), { chunksize = 1 })
    pool:close()
    assert.are.same(numbers(30), future:result())
    assert.is_true(pool:join())
  end)

  it_of_each_kind("leaves a pool of two able to do two pieces of work at once", function(new)
    local pool <close> = new { workers = 2, max_tasks = 1 }
    for _ = 1, 4 do
      pool:apply(math.abs, 1)
      pool:apply(math.abs, 1)
      local met = neap.barrier(2)
      local futures = { pool:submit(met.wait, met), pool:submit(met.wait, met) }
      assert.is_truthy(neap.timeout(10, neap.gather, futures))
    end
  end)

  it_of_each_kind("does not stop work that waits for its own pool", function(new)
    local pool <close> = new { workers = 1, max_tasks = 1 }
    for i = 1, 5 do
      local nested = pool:submit(function(p, x)
        return p:apply(function(y) return y end, x) + p:apply(function(y) return y end, x)
      end, pool, i)
      assert.are.equal(2 * i, nested:result())
    end
  end)
end)

describe("pool:join", function()
  it("closes the pool, and waits for its work and its workers", function()
    local before = #neap.threads()
    local pool = neap.pool(2)
    local done = neap.semaphore(0)
    for _ = 1, 10 do
      pool:submit(function()
        neap.yield()
        done:release()
      end)
    end
    assert.is_true(pool:join())
    assert.are.equal(10, done:value())
    assert.are.equal(before, #neap.threads())
    assert.is_true(pool:join())
    assert.matches("ended%)$", tostring(pool))
  end)

  it("times out, and goes on with the work", function()
    local pool = neap.pool(1)
    local gate = neap.event()
    local future = pool:submit(gate.wait, gate)
    assert.are.same({ nil, "timeout", "timeout" }, { pool:join(0.001) })
    assert.are.same({ nil, "timeout", "timeout" }, { pool:join(0) })
    gate:set()
    assert.is_true(pool:join())
    assert.is_true(future:result())
  end)
end)

local waiting = {} -- pools whose work waits

describe("in the grid", function()
  after_each(function()
    for _, pool in ipairs(waiting) do pool:terminate() end
    waiting = {}
  end)

  grid.ask("pool:join", {
    blocked = function()
      local pool = neap.pool(1)
      pool:submit(neap.sleep, 3600)
      table.insert(waiting, pool)
      return pool
    end,
    wait = function(pool, timeout) return pool:join(timeout) end,
    serve = function(pool) pool:terminate() end,
    served = table.pack(true),
    all = true, here_only = true,
  })
end)

describe("pool:terminate", function()
  it_of_each_kind("cancels what is queued and what runs", function(new)
    local pool = new(1)
    local started = neap.event()
    local running = pool:submit(function(event)
      event:set()
      neap.sleep(3600)
    end, started)
    local queued = pool:submit(function() end)
    started:wait()
    pool:terminate()
    assert.is_true(queued:cancelled())
    assert.is_true(pool:join())
    assert.is_true(running:cancelled())
    assert.is_true(neap.is_cancelled(running:error()))
    raises("is closed", pool.submit, pool, print)
  end)

  it("cancels a map that is under way", function()
    local pool = neap.pool(1)
    local future = pool:map_async(function() neap.sleep(3600) end, numbers(4))
    pool:terminate()
    assert.is_true(pool:join())
    assert.is_true(future:wait())
    assert.are.equal("cancelled", future:status())
  end)
end)

describe("pool:stats", function()
  it("counts, and tells how long work waited and took", function()
    local pool = neap.pool(1)
    local gate = neap.event()
    local running = pool:submit(gate.wait, gate)
    while not running:running() do neap.yield() end
    local queued = pool:submit(print)
    local stats = pool:stats()
    assert.are.same({ 1, 1, 2, 0 }, { stats.running, stats.queued, stats.submitted, stats.done })
    queued:cancel()
    gate:set()
    pcall(pool.apply, pool, error, "x")
    pool:join()
    stats = pool:stats()
    assert.are.same({ 0, 0, 3, 1, 1, 1 },
      { stats.running, stats.queued, stats.submitted, stats.done, stats.failed, stats.cancelled })
    for _, times in ipairs({ stats.wait, stats.run }) do
      assert.are.equal(2, times.count)
      assert.is_true(0 <= times.p50 and times.p50 <= times.p90 and times.p90 <= times.p99 and times.p99 <= times.max)
    end
  end)
end)

describe("a bar", function()
  it("is not drawn where stderr is no terminal", function()
    local result = support.run_script([[
      local pool <close> = neap.pool(2)
      print(#pool:map(function(x) return x end, { 1, 2, 3 }, { progress = true }))
    ]])
    assert.are.same({ status = 0, stdout = "3\n", stderr = "" }, result)
  end)

  it("shows on a terminal how far the work has come", function()
    local code = [[
      local neap = require "neap"
      local pool <close> = neap.pool(2)
      pool:map(function(x) return x end, { 1, 2, 3 }, { progress = true })
      for _ in pool:imap(function(x) return x end, { 1, 2 }, { progress = true }) do end
    ]]
    local file <close> = support.temporary_file(code)
    local command = ("script -qec %s /dev/null"):format(support.quote(support.runner .. " " .. file.path))
    local result = support.run_command(command)
    assert.are.equal(0, result.status)
    assert.matches("%[" .. ("#"):rep(30) .. "%] 100%% 3/3", result.stdout)
    assert.matches("100%% 2/2", result.stdout)
  end)
end)
