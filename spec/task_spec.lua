local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local park, parked, finish = grid.park, grid.parked, grid.finish

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
      local block = ("x"):rep(1000)
      local function fail()
        local big = block:rep(10) .. math.random()
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
