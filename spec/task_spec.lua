local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local park = grid.park

--- A task that waits until it is cancelled.
local function parked(...)
  return grid.parked_task(function(...)
    neap.event():wait()
    return ...
  end, ...)
end

--- Lets it end, and takes note of how: a failure that nobody joined would make the status of this run 1.
local function finish(task) pcall(task.join, task) end

local function fail_quietly(...) return neap.spawn({ quiet = true }, error, ...) end

describe("spawn", function()
  it("never runs the function inside, but when the spawner waits", function()
    local ran = false
    local task = neap.spawn(function() ran = true end)
    assert.is_false(ran)
    assert.are.equal("new", task:status())
    neap.yield()
    assert.is_true(ran)
  end)

  it("starts tasks in the order of their spawning", function()
    local order, tasks = {}, {}
    for i = 1, 300 do tasks[i] = neap.spawn(function() table.insert(order, i) end) end
    for _, task in ipairs(tasks) do task:join() end
    for i = 1, 300 do assert.are.equal(i, order[i]) end
  end)

  it("starts what a task spawns behind what has been spawned already", function()
    local order = {}
    local first = neap.spawn(function()
      table.insert(order, "first")
      neap.spawn(function() table.insert(order, "third") end):join()
    end)
    neap.spawn(function() table.insert(order, "second") end)
    first:join()
    assert.are.same({ "first", "second", "third" }, order)
  end)

  it("gives the function its arguments, of every number, with holes", function()
    for _, arguments in ipairs({ table.pack(), table.pack(nil), table.pack(1, nil, 3, nil),
      table.pack(nil, nil, false) }) do
      local given
      neap.spawn(function(...) given = table.pack(...) end, table.unpack(arguments, 1, arguments.n)):join()
      assert.are.same(arguments, given)
    end
    for _, count in ipairs({ 19, 20, 21, 249, 250 }) do
      assert.are.equal(count, neap.spawn(select, "#", table.unpack({}, 1, count - 1)):join() + 1)
    end
  end)

  it("refuses more arguments than a task can be given", function()
    assert.has_error(function() neap.spawn(print, table.unpack({}, 1, 251)) end)
  end)

  it("does not copy what it is given", function()
    local value = {}
    assert.are.equal(value, (neap.spawn(function(v) return v end, value):join()))
  end)

  it("takes a function of C as well", function()
    assert.are.equal(3, (neap.spawn(math.max, 1, 3, 2):join()))
  end)

  it("refuses what is no function, and options that it does not know", function()
    for _, arguments in ipairs({ { n = 0 }, { 1 }, { {} }, { "x" }, { {}, 1 }, { { nome = "a" }, print },
      { { name = 1 }, print }, { { daemon = "yes" }, print }, { { quiet = 1 }, print }, { { [1] = true }, print } }) do
      local ok, message = pcall(neap.spawn, table.unpack(arguments))
      assert.is_false(ok)
      assert.is_truthy(message:find("neap.spawn", 1, true) or message:find("option", 1, true), message)
    end
    assert.has_error(function() neap.spawn({ nome = "a" }, print) end,
      "bad argument #1 to 'spawn' (unknown option 'nome' (known: name, quiet, daemon))")
  end)
end)

describe("join", function()
  it("returns what the function returned, of every number, with holes", function()
    for _, results in ipairs({ table.pack(), table.pack(nil), table.pack(1), table.pack(1, nil, 3, nil),
      table.pack(nil, nil), table.pack(false), table.pack(table.unpack({}, 1, 1000)) }) do
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
    local joining = fail_quietly()
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

describe("a task", function()
  it("tells its status", function()
    local task = neap.spawn(function()
      local status = neap.current():status()
      neap.event():wait(neap.yield() or 0)
      return status
    end)
    assert.are.equal("new", task:status())
    assert.are.equal("running", (task:join()))
    assert.are.equal("done", task:status())
    local failed = fail_quietly("x")
    finish(failed)
    assert.are.equal("failed", failed:status())
    local waiting = parked()
    assert.are.equal("waiting", waiting:status())
    waiting:cancel()
    finish(waiting)
    assert.are.equal("cancelled", waiting:status())
  end)

  it("is alive until it has ended, however it ends", function()
    local cancelled = parked()
    local done, failed = neap.spawn(math.abs, 1), fail_quietly("x")
    for _, task in ipairs({ done, failed, cancelled }) do assert.is_true(task:is_alive()) end
    cancelled:cancel()
    for _, task in ipairs({ done, failed, cancelled }) do
      assert.is_true((task:wait()))
      assert.is_false(task:is_alive())
      finish(task)
    end
  end)

  it("has an id that no other has", function()
    local seen = {}
    for _ = 1, 100 do
      local task = neap.spawn(math.abs, 1)
      assert.are.equal("integer", math.type(task.id))
      assert.is_nil(seen[task.id])
      seen[task.id] = true
      task:join()
    end
  end)

  it("has a name, which can be given, and changed", function()
    local task = neap.spawn({ name = "worker" }, function() return neap.current().name end)
    assert.are.equal("worker", task.name)
    assert.are.equal("worker", (task:join()))
    task.name = "other"
    assert.are.equal("other", task.name)
    assert.are.equal("task: other (done)", tostring(task))
    local nameless = parked()
    assert.are.equal("task-" .. nameless.id, nameless.name)
    assert.are.equal("task: task-" .. nameless.id .. " (waiting)", tostring(nameless))
    nameless:cancel()
    assert.has_error(function() task.name = 1 end)
  end)

  it("can be told to be daemon at its start only", function()
    local task = neap.spawn({ daemon = true }, math.abs, 1)
    assert.is_true(task.daemon)
    assert.has_error(function() task.daemon = false end)
    assert.is_true(task.daemon)
    local other = neap.spawn(math.abs, 1)
    assert.is_false(other.daemon)
    task:join()
    other:join()
  end)

  it("has no other fields", function()
    local task = neap.spawn(math.abs, 1)
    assert.is_nil(task.nothing)
    assert.is_nil(task[1])
    assert.has_error(function() task.nothing = 1 end)
    assert.has_error(function() task[{}] = 1 end)
    task:join()
  end)

  it("has a table of its own", function()
    local function count()
      local data = neap.current().data
      data.count = (data.count or 0) + 1
      neap.yield()
      data.count = data.count + 1
      return neap.current().data.count
    end
    local first, second = neap.spawn(count), neap.spawn(count)
    assert.are.equal(2, (first:join()))
    assert.are.equal(2, (second:join()))
    assert.are.equal(2, first.data.count)
    assert.are_not.equal(first.data, second.data)
    assert.are.equal(neap.current().data, neap.current().data)
  end)

  it("that has not failed has no error and no traceback", function()
    local task = neap.spawn(math.abs, 1)
    for _ = 1, 2 do
      assert.is_nil(task:error())
      assert.is_nil(task:traceback())
      task:join()
    end
  end)

  it("that failed has its error and a traceback of where it was raised and spawned", function()
    local err = {}
    local task = neap.spawn({ quiet = true }, function()
      local function inner() error(err) end
      inner()
    end)
    finish(task)
    assert.are.equal(err, task:error())
    local traceback = task:traceback()
    assert.is_truthy(traceback:find("in upvalue 'inner'") or traceback:find("in local 'inner'"), traceback)
    assert.is_truthy(traceback:find("spawned at .*task_spec.lua:%d+"))
  end)

  it("has in its traceback all places that led to it", function()
    local line
    local outer = neap.spawn({ quiet = true }, function()
      local inner = neap.spawn({ quiet = true }, error, "deep")
      line = debug.getinfo(1, "l").currentline - 1
      inner:join()
    end)
    finish(outer)
    local traceback = outer:traceback()
    assert.is_truthy(traceback:find("caused by", 1, true))
    assert.is_truthy(traceback:find("spawned at [^\n]*task_spec.lua:" .. line ..
      "\n\tspawned at [^\n]*task_spec.lua"), traceback)
  end)

  it("that was cancelled has its cancellation and no traceback", function()
    local task = parked()
    task:cancel("enough")
    finish(task)
    assert.is_true(neap.is_cancelled(task:error()))
    assert.are.equal("enough", task:error().reason)
    assert.is_nil(task:traceback())
  end)

  it("can be a key of a table, and is equal to itself alone, wherever it went", function()
    local task, other, channel = neap.spawn(math.abs, 1), neap.spawn(math.abs, 1), neap.channel(1)
    local seen = { [task] = "here" }
    channel:send({ task })
    assert.are.equal("here", seen[channel:recv()[1]])
    assert.are.equal(task, (neap.thread(function(h) return h end, task):join()))
    assert.are_not.equal(task, other)
    task:join()
    assert.are.equal(task, (neap.thread(function(h) return h end, task):join()))
    other:join()
  end)

  it("is itself also when its handle was lost and came back", function()
    local channel, gate = neap.channel(1), neap.event()
    channel:send(neap.spawn(function()
      gate:wait()
      return neap.current()
    end))
    collectgarbage()
    collectgarbage()
    local task = channel:recv()
    gate:set()
    assert.are.equal(task, (task:join()))
  end)

  it("knows itself however deep in calls, protected ones too, it is", function()
    local function descend(depth)
      if depth == 0 then return neap.current() end
      if depth % 50 == 0 then return select(2, pcall(descend, depth - 1)) end
      local found = descend(depth - 1)
      return found
    end
    for _, depth in ipairs { 0, 1, 2, 3, 4, 7, 8, 9, 1000 } do
      local task = neap.spawn(descend, depth)
      assert.are.equal(task, task:join())
    end
  end)

  it("is told by others from its start to its end, and so are very many", function()
    local gate, tasks = neap.event(), {}
    for i = 1, 600 do
      tasks[i] = neap.spawn(function(...)
        gate:wait()
        return neap.current(), ...
      end, i, nil, i * 2, nil)
    end
    for round = 1, 2 do
      local known = {}
      for _, task in ipairs(neap.tasks()) do known[task] = true end
      for _, task in ipairs(tasks) do assert.is_true(known[task]) end
      if round == 1 then neap.yield() end
    end
    gate:set()
    for i, task in ipairs(tasks) do
      assert.are.same({ n = 5, task, i, nil, i * 2, nil }, table.pack(task:join()))
    end
  end)

  it("goes on when nobody has its handle", function()
    local ran = neap.channel(1)
    neap.spawn(function()
      neap.yield()
      ran:send(true)
    end)
    collectgarbage()
    collectgarbage()
    assert.is_true(ran:recv())
  end)

  it("is collected when it has ended", function()
    local kept = setmetatable({}, { __mode = "k" })
    for _ = 1, 10 do
      local task = neap.spawn(function() return {} end)
      kept[task] = true
      task:join()
    end
    collectgarbage()
    collectgarbage()
    local count = 0
    for _ in pairs(kept) do count = count + 1 end
    assert.is_true(count <= 1)
  end)

  it("does not keep its arguments and locals when it has ended", function()
    local kept = setmetatable({}, { __mode = "v" })
    local task = neap.spawn(function(argument)
      kept[1], kept[2] = argument, {}
      local _ = kept[2]
    end, {})
    task:join()
    neap.spawn(math.abs, 1):join() -- what ran there is over
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
    assert.are.equal("done", task:status())
  end)
end)

describe("a task seen from another thread", function()
  it("is joined there when a finaliser sent it while it was ending", function()
    assert.are.same({ status = 0, stdout = "1\t2\t3\n", stderr = "" }, support.run_script([[
      local function finalise_soon(f) -- at the next allocation
        collectgarbage("incremental", 100, 1000, 40)
        collectgarbage()
        setmetatable({}, { __gc = f })
        collectgarbage("restart")
      end
      local sent = neap.channel(1)
      local thread = neap.thread(function(channel) return channel:recv():join() end, sent)
      neap.spawn(function()
        finalise_soon(function() sent:send(neap.current(), 0) end)
        return 1, 2, 3
      end)
      print(thread:join())]]))
  end)

  it("is one, also when a finaliser sends it while it is being sent", function()
    assert.are.same({ status = 0, stdout = "true\t1\n", stderr = "" }, support.run_script([[
      local function finalise_soon(f) -- at the next allocation
        collectgarbage("incremental", 100, 1000, 40)
        collectgarbage()
        setmetatable({}, { __gc = f })
        collectgarbage("restart")
      end
      local sent = neap.channel(2)
      local thread = neap.thread(function(channel)
        local first, second = channel:recv(), channel:recv()
        return first == second, first:wait(5) and first:join()
      end, sent)
      neap.spawn(function()
        finalise_soon(function() sent:send(neap.current(), 0) end)
        sent:send(neap.current())
        return 1
      end)
      print(thread:join())]]))
  end)

  it("has ended when its thread has, although it did not do so in time", function()
    local result = support.run_script([[
      local sent = neap.channel(1)
      local thread = neap.thread(function(channel)
        local hang = neap.event()
        channel:send(neap.spawn({ daemon = true }, neap.shield, function() hang:wait() end))
        neap.yield()
      end, sent)
      local task = sent:recv()
      thread:join()
      print(task:status(), task:cancel(), task:wait(1), pcall(task.join, task))]])
    assert.are.same({ 0, "cancelled\tfalse\ttrue\tfalse\tits thread ended before it did\n" },
      { result.status, result.stdout })
  end)

  it("is joined there", function()
    local task = grid.parked_task(function(gate) return gate:recv(), nil, { 2 } end, neap.channel())
    task:cancel()
    local gate = neap.channel()
    task = grid.parked_task(function() return gate:recv(), nil, { 2 }, nil end)
    local thread = grid.parked_thread(function(h) return h:join() end, task)
    gate:send(1)
    assert.are.same(table.pack(1, nil, { 2 }, nil), table.pack(thread:join()))
  end)

  it("is joined there when it had ended before", function()
    local done, failed, cancelled = neap.spawn(function() return 1, nil end), fail_quietly({ code = 7 }), parked()
    cancelled:cancel("over")
    for _, task in ipairs({ done, failed, cancelled }) do finish(task) end
    local results = neap.thread(function(d, f, c)
      local _, err = pcall(f.join, f)
      local _, cancellation = pcall(c.join, c)
      return { table.pack(d:join()), err, neap.is_cancelled(cancellation), cancellation.reason, f:traceback() ~= nil,
        d:status(), f:status(), c:status(), d:is_alive(), f:error().code, d:error() }
    end, done, failed, cancelled):join()
    assert.are.same({ table.pack(1, nil), { code = 7 },
      true, "over", true, "done", "failed", "cancelled", false, 7 }, results)
  end)

  it("raises there what it raised, by value, with its traceback", function()
    local gate = neap.event()
    local task = grid.parked_task(function()
      gate:wait()
      error({ code = 9 })
    end)
    local thread = grid.parked_thread(function(h)
      local joined, err = pcall(h.join, h)
      return joined, err.code, h:traceback()
    end, task)
    gate:set()
    local joined, code, traceback = thread:join()
    assert.is_false(joined)
    assert.are.equal(9, code)
    assert.is_truthy(traceback:find("task_spec.lua", 1, true))
  end)

  it("fails there when its result cannot be sent, and is done at home", function()
    local gate = neap.event()
    local task = grid.parked_task(function()
      gate:wait()
      return coroutine.create(print)
    end)
    local thread = grid.parked_thread(function(h) return pcall(h.join, h) end, task)
    gate:set()
    local joined, message = thread:join()
    assert.is_false(joined)
    assert.is_truthy(message:find("cannot send result", 1, true), message)
    assert.are.equal("thread", type(task:join()))
  end)

  it("is cancelled from there, with the reason", function()
    local task = parked()
    assert.is_true((neap.thread(function(h) return h:cancel({ why = "afar" }) end, task):join()))
    finish(task)
    assert.are.same({ why = "afar" }, task:error().reason)
    assert.is_false(task:cancel())
    assert.is_false((neap.thread(function(h) return h:cancel() end, task):join()))
  end)

  it("is cancelled once, from there or from here", function()
    local going_on = neap.event()
    local task = grid.parked_task(function()
      pcall(neap.sleep, math.huge)
      neap.shield(going_on.wait, going_on)
      neap.yield()
    end)
    assert.is_true(task:cancel("here"))
    assert.is_false((neap.thread(function(h) return h:cancel("there") end, task):join()))
    going_on:set()
    finish(task)
    assert.are.equal("here", task:error().reason)
  end)

  it("is cancelled from there before its start", function()
    local ran = false
    local task = neap.timer(math.huge, function() ran = true end)
    assert.is_true((neap.thread(function(h) return h:cancel("early") end, task):join()))
    finish(task)
    assert.is_false(ran)
    assert.are.equal("cancelled", task:status())
    assert.are.equal("early", task:error().reason)
  end)

  it("has its status, name and id, and is named from there", function()
    local task = grid.parked_task(function() neap.event():wait() end)
    local results = neap.thread(function(h)
      local before = { h.name, h.id, h.daemon, h:status(), h:is_alive(), h:error(), tostring(h) }
      h.name = "renamed"
      return before
    end, task):join()
    assert.are.same({ "task-" .. task.id, task.id, false, "waiting", true, nil,
      "task: task-" .. task.id .. " (waiting)" }, results)
    assert.are.equal("renamed", task.name)
    task:cancel()
  end)

  it("has no data there", function()
    local task = parked()
    local ok, message = neap.thread(function(h) return pcall(function() return h.data end) end, task):join()
    assert.is_false(ok)
    assert.is_truthy(message:find("data of a task can be used in its own thread only", 1, true))
    task:cancel()
  end)
end)

describe("cancel", function()
  it("before the start lets the function never run", function()
    local ran = false
    local task = neap.spawn(function() ran = true end)
    assert.is_true(task:cancel("early"))
    finish(task)
    assert.is_false(ran)
    assert.are.equal("cancelled", task:status())
    assert.are.equal("early", task:error().reason)
  end)

  it("before the first wait raises there", function()
    local reached, passed = false, false
    local task
    task = neap.spawn(function()
      task:cancel()
      reached = true
      neap.yield()
      passed = true
    end)
    finish(task)
    assert.is_true(reached)
    assert.is_false(passed)
    assert.are.equal("cancelled", task:status())
  end)

  it("after the end is too late, and is so again", function()
    for _, task in ipairs({ neap.spawn(math.abs, 1), fail_quietly("x") }) do
      finish(task)
      local status = task:status()
      assert.is_false(task:cancel())
      assert.is_false(task:cancel("reason"))
      assert.are.equal(status, task:status())
    end
  end)

  it("is asked for once; the first reason stays", function()
    local task = parked()
    assert.is_true(task:cancel("first"))
    assert.is_false(task:cancel("second"))
    finish(task)
    assert.are.equal("first", task:error().reason)
  end)

  it("has a reason of every kind, or none", function()
    for _, reason in ipairs({ "text", 1, false, { "table" }, print }) do
      local task = parked()
      task:cancel(reason)
      finish(task)
      assert.are.equal(reason, task:error().reason)
      assert.are.equal("cancelled: " .. tostring(reason), tostring(task:error()))
    end
    local task = parked()
    task:cancel()
    finish(task)
    assert.is_nil(task:error().reason)
    assert.are.equal("cancelled", tostring(task:error()))
  end)

  it("of what waits for its results does not reach what it waits for", function()
    local task = parked()
    local joiner = grid.parked_task(task.join, task)
    joiner:cancel()
    finish(joiner)
    assert.are.equal("waiting", task:status())
    task:cancel()
  end)

  it("that was swallowed leaves a task that is done", function()
    local task = grid.parked_task(function()
      pcall(neap.sleep, math.huge)
      return "after all"
    end)
    assert.is_true(task:cancel())
    assert.are.equal("after all", (task:join()))
    assert.are.equal("done", task:status())
  end)

  it("does not hide a failure that followed", function()
    local task = neap.spawn({ quiet = true }, function()
      local ok = pcall(neap.sleep, math.huge)
      error("failed " .. tostring(ok), 0)
    end)
    park(task)
    task:cancel()
    finish(task)
    assert.are.equal("failed", task:status())
    assert.are.equal("failed false", task:error())
  end)

  it("of another that was joined is a failure of who joined", function()
    local other = parked()
    local task = neap.spawn({ quiet = true }, other.join, other)
    park(task)
    other:cancel()
    finish(task)
    assert.are.equal("failed", task:status())
    assert.is_true(neap.is_cancelled(task:error()))
  end)

  it("raises again in a task that goes on waiting", function()
    local times = 0
    local task = grid.parked_task(function()
      for _ = 1, 3 do
        if not pcall(neap.sleep, math.huge) then times = times + 1 end
      end
      neap.yield()
      times = 100
    end)
    task:cancel()
    finish(task)
    assert.are.equal(3, times)
    assert.are.equal("cancelled", task:status())
  end)

  it("knows no cancellation but its own", function()
    for _, value in ipairs({ "cancelled", {},
      setmetatable({ reason = 1 }, { __name = "neap.cancelled" }), 1, false }) do
      assert.is_false(neap.is_cancelled(value))
    end
    assert.is_false(neap.is_cancelled(nil))
    assert.has_error(function() neap.is_cancelled() end)
  end)
end)

describe("current, main and tasks", function()
  it("tell who runs", function()
    local task
    task = neap.spawn(function() return neap.current() == task,
      coroutine.wrap(function() return neap.current() end)() end)
    local same, inside = task:join()
    assert.is_true(same)
    assert.are.equal(task, inside)
  end)

  it("tell the task where the program began, from every thread", function()
    assert.are.equal(neap.main(), (neap.spawn(neap.main):join()))
    local main = neap.main()
    assert.are.equal(main, (neap.thread(function() return neap.main() end):join()))
  end)

  it("list the tasks that are alive", function()
    local function contains(task)
      for _, other in ipairs(neap.tasks()) do
        if other == task then return true end
      end
      return false
    end
    local task = parked()
    assert.is_true(contains(task))
    local fresh = neap.spawn(math.abs, 1)
    assert.is_true(contains(fresh))
    fresh:join()
    assert.is_false(contains(fresh))
    task:cancel()
    finish(task)
    assert.is_false(contains(task))
  end)
end)

describe("a failure", function()
  it("that nobody waits for is told once, with its traceback, and makes the status 1", function()
    local result = support.run_script([[
      neap.spawn(function() error("lost") end)
      neap.sleep(0)
      neap.sleep(0)
      print("after")]])
    assert.are.equal(1, result.status)
    assert.are.equal("after\n", result.stdout)
    assert.are.equal(1, select(2, result.stderr:gsub("script:1: lost", "")))
    assert.is_truthy(result.stderr:find("stack traceback:.*spawned at script:1"))
  end)

  it("that is joined is not told, and leaves status 0", function()
    local result = support.run_script([[
      local task = neap.spawn(function() error("seen") end)
      print(pcall(task.join, task))]])
    assert.are.same({ status = 0, stdout = "false\tscript:1: seen\n", stderr = "" }, result)
  end)

  it("can be told to a function that spawns, also when finalisers spawn while the task ends", function()
    local result = support.run_script([[
      local ran = 0
      local function count(...) ran = ran + select("#", ...) end
      local function fail(litter) error("failed", #litter) end
      neap.on_error(function() for i = 1, 20 do neap.spawn(count, i, i) end end)
      for _ = 1, 100 do
        neap.spawn(fail, setmetatable({}, { __gc = function() neap.spawn(count, 1) end }))
        neap.sleep(0)
        collectgarbage()
      end
      while #neap.tasks() > 1 do neap.sleep(0) end
      print(ran >= 100 * 40)
      os.exit(0)]])
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)

  it("that is quiet is not told, and makes the status 1 unless it was joined", function()
    local result = support.run_script([[ neap.spawn({ quiet = true }, error, "x") ]])
    assert.are.same({ status = 1, stdout = "", stderr = "" }, result)
    result = support.run_script([[ local t = neap.spawn({ quiet = true }, error, "x") pcall(t.join, t) ]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("goes to the function of on_error", function()
    local result = support.run_script([[
      neap.on_error(function(task, err, traceback)
        print(task.name, err, (traceback:gsub("\n.*", "")), task:status())
      end)
      neap.spawn({ name = "w" }, function() error("told", 0) end)]])
    assert.are.same({ status = 1, stdout = "w\ttold\tstack traceback:\tfailed\n", stderr = "" }, result)
  end)

  it("is no failure when it was cancelled", function()
    local result = support.run_script([[
      local task = neap.spawn(function() neap.sleep(math.huge) end)
      neap.yield()
      task:cancel()]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)
end)

describe("a daemon", function()
  it("is not waited for, but cancelled, with its variables closed", function()
    local result = support.run_script([[
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function(_, e) print("closed", neap.is_cancelled(e)) end })
        neap.sleep(math.huge)
      end)
      neap.yield()
      print("main")]])
    assert.are.same({ status = 0, stdout = "main\nclosed\ttrue\n", stderr = "" }, result)
  end)

  it("that is none is waited for", function()
    local result = support.run_script([[
      neap.spawn(function()
        neap.sleep(0.001)
        print("later")
      end)
      print("main")]])
    assert.are.same({ status = 0, stdout = "main\nlater\n", stderr = "" }, result)
  end)
end)

describe("the end of a plain Lua", function()
  it("takes tasks out of what they wait on, whatever is collected first", function()
    local result = support.run_plain([[
      for _, wait in ipairs({ neap.event().wait, neap.sleep, neap.channel().recv, neap.spawn(neap.yield).join }) do
        local objects = { [neap.sleep] = math.huge, [neap.event().wait] = neap.event(),
          [neap.channel().recv] = neap.channel() }
        for _ = 1, 3 do
          neap.spawn({ daemon = true }, wait, objects[wait] or neap.spawn({ daemon = true }, neap.sleep, math.huge))
        end
      end
      local lock = neap.lock()
      neap.spawn({ daemon = true }, function() lock:with(neap.sleep, math.huge) end)
      neap.spawn({ daemon = true }, function() lock:acquire() end)
      neap.yield()
      neap.yield()
      print(#neap.tasks())]])
    assert.are.same({ status = 0, stdout = "17\n", stderr = "" }, result)
  end)
end)

describe("many tasks", function()
  it("are woken at once", function()
    local count = support.sanitizer and 10000 or 100000
    local event, woken, last = neap.event(), 0, nil
    for _ = 1, count do
      last = neap.spawn(function()
        event:wait()
        woken = woken + 1
      end)
    end
    park(last)
    assert.are.equal(0, woken)
    event:set()
    last:join()
    assert.are.equal(count, woken)
  end)

  it("are cancelled at once", function()
    local tasks = {}
    for i = 1, 10000 do tasks[i] = neap.spawn(neap.sleep, math.huge) end
    park(tasks[#tasks])
    for _, task in ipairs(tasks) do assert(task:cancel()) end
    for _, task in ipairs(tasks) do finish(task) end
    for _, task in ipairs(tasks) do assert(task:status() == "cancelled") end
  end)

  it("join each other in a long chain", function()
    local gate = neap.event()
    local task = neap.spawn(function()
      gate:wait()
      return 0
    end)
    for _ = 1, 10000 do
      local previous = task
      task = neap.spawn(function() return previous:join() + 1 end)
    end
    park(task)
    gate:set()
    assert.are.equal(10000, (task:join()))
  end)

  it("take no more of the stack of C, however many wake each other", function()
    local script <close> = support.temporary_file([[
      local neap, count = require "neap", tonumber(arg[1])
      local event, woken = neap.event(), 0
      for _ = 1, count do neap.spawn(function() event:wait() woken = woken + 1 end) end
      local task = neap.spawn(function() event:wait() return 0 end)
      for _ = 1, count // 10 do
        local previous = task
        task = neap.spawn(function() return previous:join() + 1 end)
      end
      neap.yield()
      event:set()
      print(task:join(), woken)]])
    local count = support.sanitizer and 20000 or 100000
    local command = ("sh -c 'ulimit -s 512; exec %s %s %d'"):format(support.runner, script.path, count)
    local result = support.run_command(command)
    assert.are.same({ status = 0, stdout = ("%d\t%d\n"):format(count // 10, count), stderr = "" }, result)
  end)

  it("fail through a long chain", function()
    local err = { "at its start" }
    local task = fail_quietly(err)
    for _ = 1, 1000 do
      local previous = task
      task = neap.spawn({ quiet = true }, previous.join, previous)
    end
    local joined, raised = pcall(task.join, task)
    assert.is_false(joined)
    assert.are.equal(err, raised)
  end)

  it("spawn each other without an end of memory", function()
    local left = 20000
    local function go_on()
      left = left - 1
      if left > 0 then return neap.spawn(go_on) end
    end
    neap.spawn(go_on)
    while left > 0 do neap.yield() end
  end)

  it("that fail keep nothing #stress", function()
    local result = support.run_script([[
      local function fail()
        local big = ("x"):rep(10000) .. math.random()
        error("failed with " .. #big)
      end
      local function run(count)
        for _ = 1, count / 100 do
          local tasks = {}
          for i = 1, 100 do tasks[i] = neap.spawn({ quiet = true }, fail) end
          for i = 1, 100 do tasks[i]:wait() pcall(tasks[i].join, tasks[i]) end
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage("count")
      end
      local before = run(20000)
      local after = run(tonumber(...))
      print(after < before * 1.5 + 100)]], { support.sanitizer and 50000 or 1000000 }, { limit = 280 })
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)
end)
