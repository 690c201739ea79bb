-- Pools whose workers die, and pools at the end of a program.

local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads and processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_of_each_kind, it_races, raises = trial.it_of_each_kind, trial.it_races, trial.raises
local numbers, squares = trial.numbers, trial.squares

describe("a worker that dies", function()
  it("costs the work that it had, and is replaced", function()
    local pool <close> = neap.pool(1)
    local gate = neap.event()
    local victim = pool:submit(function(event)
      event:set()
      neap.sleep(3600)
    end, gate)
    local next_one = pool:submit(function() return "alive" end)
    gate:wait()
    for _, thread in ipairs(neap.threads()) do
      if thread.name:match("worker") then thread:cancel("killed") end
    end
    raises("cancelled", victim.result, victim)
    assert.are.equal("alive", next_one:result())
  end)

  it_of_each_kind("by its own hand before it has done anything, like those that take its place, breaks the pool",
    function(new)
      local pool = new { workers = 1, initializer = function()
        neap.current():cancel("no use")
        neap.yield()
      end }
      local future = pool:submit(print)
      raises("cancelled: no use", future.result, future)
      assert.is_true(pool:join())
    end)
end)

describe("work that cancels its own task", function()
  it_of_each_kind("is cancelled, and costs the pool nobody", function(new)
    for workers = 1, 2 do
      local pool <close> = new(workers)
      for _ = 1, 5 do
        local future = pool:submit(function()
          neap.current():cancel()
          neap.yield()
        end)
        assert.is_true(future:wait(60))
        assert.are.equal("cancelled", future:status())
      end
      local met = neap.barrier(workers)
      local futures = {}
      for i = 1, workers do futures[i] = pool:submit(met.wait, met) end
      for _, future in ipairs(futures) do assert.is_true(future:wait(60)) end
    end
  end)
end)

describe("a worker process that dies", function()
  local function kill(pid) assert(os.execute("kill -9 " .. pid)) end

  --- Submits work that takes very long: it, and the pid of its worker.
  local function submit_long(pool)
    local began = neap.channel(1)
    local future = pool:submit(function(channel)
      channel:send(neap.getpid())
      neap.sleep(3600)
    end, began)
    return future, (began:recv())
  end

  it("while it works costs that work, with the cause, and is replaced", function()
    local pool <close> = neap.pool { workers = 2, kind = "process" }
    local victim, pid = submit_long(pool)
    local other = pool:submit(function() return "untouched" end)
    kill(pid)
    raises("^process pool%-%d+ worker %d+ was killed by signal 9$", victim.result, victim)
    assert.are.equal("untouched", other:result())
    for _ = 1, 8 do assert.are.equal(1, pool:apply(function() return 1 end)) end
    assert.are.equal(1, pool:stats().lost)
  end)

  it("because it was killed or terminated through its handle costs that work no less", function()
    for number, kill_it in pairs { [9] = "kill", [15] = "terminate" } do
      local pool <close> = neap.pool { workers = 1, kind = "process" }
      local victim, pid = submit_long(pool)
      for _, process in ipairs(neap.processes()) do
        if process.pid == pid then process[kill_it](process) end
      end
      raises("^process pool%-%d+ worker %d+ was killed by signal " .. number .. "$", victim.result, victim)
      assert.are.equal("failed", victim:status())
      assert.are.equal("alive", pool:apply(function() return "alive" end))
      assert.are.equal(1, pool:stats().lost)
    end
  end)

  it("by os.exit in work costs that work, and counts as lost, whatever the status", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    for lost, status in ipairs({ 0, 3 }) do
      local future = pool:submit(os.exit, status)
      raises("^process pool%-%d+ worker %d+ exited with status " .. status .. "$", future.result, future)
      assert.are.equal("alive", pool:apply(function() return "alive" end))
      assert.are.equal(lost, pool:stats().lost)
    end
  end)

  it("by os.exit in work that other work waits for costs both", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local inner, gate = neap.channel(1), neap.event()
    local outer = pool:submit(function(p, channel, event)
      local future = p:submit(function()
        event:wait()
        os.exit(3)
      end)
      channel:send(future)
      future:wait()
    end, pool, inner, gate)
    local futures = { outer, (inner:recv()) }
    gate:set()
    for _, future in ipairs(futures) do
      raises("^process pool%-%d+ worker 1 exited with status 3$", future.result, future)
    end
  end)

  it("while it is idle costs nothing", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local first = pool:apply(neap.getpid)
    kill(first)
    while pool:stats().lost == 0 do neap.sleep(0.001) end -- before that it may be given something yet
    local second = pool:apply(neap.getpid)
    assert.are_not.equal(first, second)
  end)

  it("in the middle of a map fails the map, and the pool goes on", function()
    local pool <close> = neap.pool { workers = 2, kind = "process" }
    raises("was killed by signal 9", pool.map, pool, function(x)
      if x == 5 then os.execute("kill -9 " .. neap.getpid()) end
      return x
    end, numbers(8), { chunksize = 1 })
    assert.are.same(squares(1, 20), pool:map(function(x) return x * x end, numbers(20)))
  end)

  it("in the middle of a map that collects is the error of what it had", function()
    local pool <close> = neap.pool { workers = 2, kind = "process" }
    local function fall(x)
      if x == 5 then os.execute("kill -9 " .. neap.getpid()) end
      return x
    end
    local results, errors = pool:map(fall, numbers(8), { chunksize = 1, collect = true })
    assert.are.same({ 1, 2, 3, 4, nil, 6, 7, 8 }, results)
    assert.are.equal(5, next(errors))
    assert.matches("^process pool%-%d+ worker %d+ was killed by signal 9$", errors[5])
    for _, index, err in pool:imap(fall, numbers(8), { collect = true }) do
      assert.are.equal(index == 5, err ~= nil)
    end
  end)

  it("by os.exit fails its work with the status", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    for _, status in ipairs({ 0, 3 }) do
      local future = pool:submit(os.exit, status)
      raises("^process pool%-%d+ worker %d+ exited with status " .. status .. "$", future.result, future)
    end
    assert.are.equal("alive", pool:apply(function() return "alive" end))
  end)

  -- Work may also be handed to one that is dead already, before anybody can know: then that is what it costs.
  it_races("while it takes and finishes costs one piece of work at most", function()
    local pool <close> = neap.pool { workers = 2, kind = "process" }
    local kills = 5 * support.stress
    local failed = 0
    local function check(future, expected)
      future:wait()
      local err = future:error()
      if err ~= nil then
        assert.matches("^process pool%-%d+ worker %d+ was killed by signal 9$", err)
        failed = failed + 1
      elseif expected then
        assert.are.equal(expected, future:result())
      end
    end
    for _ = 1, kills do
      local futures, first = {}, pool:submit(neap.getpid)
      check(first)
      local victim = first:error() == nil and first:result() or pool:apply(neap.getpid)
      for i = 1, 60 do futures[i] = pool:submit(function(x) return x end, i) end
      kill(victim)
      for i, future in ipairs(futures) do check(future, i) end
    end
    assert.is_true(failed <= kills, ("%d failed of %d kills"):format(failed, kills))
  end)
end)

describe("at the end of a program", function()
  -- Before its first wait: no task that the pool has begun yet.
  for name, code in pairs({
    ["a pool"] = "",
    ["a map"] = "local future = pool:map_async(math.abs, { 1 }) local _ <close> = closing(future.wait, future)",
    ["an iterator"] = "local next_one = pool:imap(math.abs, { 1 }) local _ <close> = closing(pcall, next_one)",
  }) do
    it_of_each_kind(name .. " ends, also where that is at once", function(_, kind)
      local result = support.run_script(([[
        local function closing(fn, ...)
          local arguments = table.pack(...)
          return setmetatable({}, { __close = function() fn(table.unpack(arguments)) end })
        end
        local pool <close> = neap.pool { workers = 2, kind = ... }
        %s
        os.exit(7)]]):format(code), { kind })
      assert.are.same({ status = 7, stdout = "", stderr = "" }, result)
    end)
  end

  it("what was submitted is done first", function()
    local result = support.run_script([[
      local pool = neap.pool(2)
      for i = 1, 5 do pool:submit(function() neap.sleep(0.01) print("done") end) end
    ]])
    assert.are.same({ status = 0, stdout = ("done\n"):rep(5), stderr = "" }, result)
  end)

  it("an idle pool does not keep it", function()
    local result = support.run_script([[local pool = neap.pool(3)  pool:apply(print, "idle")]])
    assert.are.same({ status = 0, stdout = "idle\n", stderr = "" }, result)
  end)

  it("what runs is cancelled when the main chunk has failed", function()
    local result = support.run_script([[
      local pool = neap.pool(1)
      local started = neap.event()
      pool:submit(function(event)
        local _ <close> = setmetatable({}, { __close = function() print("closed") end })
        event:set()
        neap.sleep(3600)
      end, started)
      started:wait()
      error("over")
    ]])
    assert.are.equal(1, result.status)
    assert.are.equal("closed\n", result.stdout)
    assert.matches("over", result.stderr)
  end)

  it("os.exit in its work ends it, with that status", function()
    local result = support.run_script([[
      local pool = neap.pool(2)
      pool:apply(function() os.exit(7) end)
    ]])
    assert.are.same({ status = 7, stdout = "", stderr = "" }, result)
  end)

  it("failed futures that nobody has read are reported, and make the status 1", function()
    local result = support.run_script([[
      local pool <close> = neap.pool { workers = 1, name = "mill" }
      pool:submit(function() error("lost", 0) end)
      local read = pool:submit(function() error("read", 0) end)
      pcall(read.result, read)
    ]])
    assert.are.equal(1, result.status)
    assert.matches("^neap: job 1 of pool mill failed, and nobody has asked: lost\nstack traceback:\n", result.stderr)
    assert.is_nil(result.stderr:find("read", 1, true) and result.stderr:find("job 2", 1, true))
  end)

  it("of very many only the first are told, and the memory stays flat", function()
    local result = support.run_script([[
      local pool <close> = neap.pool { workers = 1 }
      for i = 1, 200 do pool:submit(function() error("lost", 0) end) end
    ]])
    local _, told = result.stderr:gsub("and nobody has asked", "")
    assert.are.equal(1, result.status)
    assert.are.equal(20, told)
  end)
end)
