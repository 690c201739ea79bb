-- What waits for the end of a task or thread.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local park, parked, finish = grid.park, grid.parked, grid.finish

local function fail_quietly(...) return neap.spawn({ quiet = true }, error, ...) end

describe("join", function()
  it("returns what the function returned, of every number, with holes", function()
    for _, results in ipairs({ table.pack(), table.pack(nil), table.pack(1), table.pack(1, nil, 3, nil),
      table.pack(nil, nil), table.pack(false), table.pack(table.unpack({}, 1, 254)),
      table.pack(table.unpack({}, 1, 255)), table.pack(table.unpack({ [70000] = 1 }, 1, 70000)) }) do
      local task = neap.spawn(function() return table.unpack(results, 1, results.n) end)
      assert.are.same(results, table.pack(task:join()))
      assert.are.same(results, table.pack(task:join())) -- and again
    end
  end)

  it("returns the results themselves", function()
    local result = {}
    assert.are.equal(result, (neap.spawn(function() return result end):join()))
  end)

  it("raises what the function raised, the value itself, each time", function()
    for _, err in ipairs({ "text", 1, true, {}, print,
      setmetatable({}, { __tostring = function() return "x" end }) }) do
      local task = fail_quietly(err, 0)
      for _ = 1, 2 do
        local joined, raised = pcall(task.join, task)
        assert.is_false(joined)
        assert.are.equal(err, raised)
      end
    end
  end)

  it("raises a nil that was raised", function()
    local task = fail_quietly(nil)
    assert.are.same(table.pack(false, nil), table.pack(pcall(task.join, task)))
    assert.are.equal("failed", task:status())
  end)

  it("raises a cancellation when it was cancelled", function()
    local task = parked()
    task:cancel()
    grid.assert_cancelled(task)
    grid.assert_cancelled(task)
  end)

  it("can be asked of an ended one without waiting", function()
    local task = neap.spawn(function() return "it" end)
    neap.yield()
    assert.are.equal("it", (task:join(0)))
    assert.is_true((task:wait(0)))
  end)

  it("of oneself raises", function()
    local joining
    joining = neap.spawn(function() return pcall(joining.join, joining) end)
    local joined, message = joining:join()
    assert.is_false(joined)
    assert.is_truthy(message:find("a task cannot join itself: it would never end", 1, true))
    local ok, of_wait = pcall(neap.current().wait, neap.current())
    assert.is_false(ok)
    assert.is_truthy(of_wait:find("a task cannot wait for itself: it would never end", 1, true))
  end)

  it("is refused by what is no task", function()
    local task = neap.spawn(print == nil and error or function() end)
    for _, bad in ipairs({ {}, 1, "x", neap.channel(), io.stdout, print }) do
      for _, verb in ipairs({ "join", "wait", "cancel", "status", "is_alive", "error", "traceback" }) do
        local ok, message = pcall(task[verb], bad)
        assert.is_false(ok)
        assert.is_truthy(message:find("task, thread, process or future expected", 1, true), message)
      end
    end
    task:join()
  end)

  it("ends for all who wait, also when one of them was cancelled", function()
    local gate = neap.event()
    local task = neap.spawn(function()
      gate:wait()
      return "a result"
    end)
    local joiners = {}
    for i = 1, 10 do joiners[i] = grid.parked_task(task.join, task) end
    joiners[1]:cancel()
    joiners[5]:cancel()
    gate:set()
    for i, joiner in ipairs(joiners) do
      if i == 1 or i == 5 then
        grid.assert_cancelled(joiner)
      else
        assert.are.equal("a result", (joiner:join()))
      end
    end
    assert.are.equal("done", task:status())
  end)

  it("ends once for each, however they race, are cancelled, time out and lose their handles", function()
    local seed = trial.seed()
    for _ = 1, 200 * support.stress do
      local gate, results = neap.event(), { n = 0, cancelled = 0, late = 0 }
      local target = neap.spawn(function()
        gate:wait()
        return 42
      end)
      local joiners, cancelled = {}, 0
      for i = 1, math.random(1, 8) do
        local timeout = math.random(4) == 1 and 0 or nil
        joiners[i] = neap.spawn(function()
          local joined, value, code = pcall(target.join, target, timeout)
          if not joined then
            results.cancelled = results.cancelled + 1
          elseif value == 42 then
            results.n = results.n + 1
          elseif code == "timeout" then
            results.late = results.late + 1
          end
        end)
      end
      if math.random(2) == 1 then neap.yield() end
      if math.random(2) == 1 then gate:set() end
      if math.random(2) == 1 then neap.yield() end
      local victim = joiners[math.random(#joiners)]
      local started = victim:status() ~= "new"
      if victim:cancel() then cancelled = started and 0 or 1 end
      gate:set()
      local total = #joiners
      if math.random(2) == 1 then collectgarbage("step", 100) end
      for i, joiner in ipairs(joiners) do
        finish(joiner)
        joiners[i] = nil
      end
      assert.are.equal(total, results.n + results.cancelled + results.late + cancelled, "seed " .. seed)
    end
  end)
end)

for kind, spawn in pairs({ task = neap.spawn, thread = neap.thread }) do
  local gates = setmetatable({}, { __mode = "k" })

  local function blocked()
    local gate = neap.channel()
    local handle = park(spawn({ daemon = true }, function(channel) return channel:recv() end, gate))
    gates[handle] = gate
    return handle
  end

  local function serve(handle) gates[handle]:send("its result") end

  grid.ask(kind .. ":join", { blocked = blocked, wait = function(handle, timeout) return handle:join(timeout) end,
    serve = serve, served = table.pack("its result"), all = true, here_only = true })
  grid.ask(kind .. ":wait", { blocked = blocked, wait = function(handle, timeout) return handle:wait(timeout) end,
    serve = serve, served = table.pack(true), all = true, here_only = true })
end
