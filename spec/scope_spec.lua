local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local cancelled = table.pack(nil, "cancelled", "cancelled")

local function pack_scope(...) return table.pack(neap.scope(...)) end

--- Calls neap.scope, which has to fail; returns the error.
local function fail(fn)
  local ok, err = pcall(neap.scope, fn)
  assert.is_false(ok)
  return err
end

--- Calls fn in a task, which has to fail; returns its error and its traceback.
local function fail_in_task(fn)
  local task = neap.spawn({ quiet = true }, fn)
  assert.is_false((pcall(task.join, task)))
  return task:error(), task:traceback()
end

--- Waits until it is cancelled; then notes so, after one more wait.
local function sleep_and_note(log, name)
  local _ <close> = setmetatable({}, { __close = function()
    neap.sleep(0.001)
    log[#log + 1] = name
  end })
  neap.sleep(3600)
end

describe("scope", function()
  it("returns what its function returns", function()
    assert.are.same(table.pack(), pack_scope(function() end))
    assert.are.same(table.pack(1, nil, "x", nil), pack_scope(function() return 1, nil, "x", nil end))
  end)

  it("waits for the tasks and threads that it started", function()
    local gate, trace = neap.event(), {}
    local waiter = grid.parked_task(function()
      return neap.scope(function(s)
        s:spawn(function()
          gate:wait()
          trace[#trace + 1] = "task"
        end)
        s:thread(function(event) event:wait() end, gate)
        trace[#trace + 1] = "body"
        return "result"
      end)
    end)
    assert.are.same({ "body" }, trace)
    gate:set()
    assert.are.equal("result", waiter:join())
    assert.are.same({ "body", "task" }, trace)
  end)

  it("waits for what its children start in it", function()
    local count = 0
    neap.scope(function(s)
      local function grow(depth)
        count = count + 1
        neap.yield()
        for _ = 1, depth > 0 and 2 or 0 do s:spawn(grow, depth - 1) end
      end
      s:spawn(grow, 6)
    end)
    assert.are.equal(127, count)
  end)

  it("waits for a child that is started when all others have ended", function()
    local gate, s, late = neap.event(), nil, false
    local owner = grid.parked_task(neap.scope, function(scope)
      s = scope
      s:spawn(gate.wait, gate)
    end)
    neap.spawn(function()
      gate:set()
      neap.yield() -- now the child has ended, and the owner has not yet gone on
      s:spawn(function()
        neap.yield()
        late = true
      end)
    end):join()
    owner:join()
    assert.is_true(late)
  end)

  it("hands out handles", function()
    neap.scope(function(s)
      local task = s:spawn({ name = "t" }, function(...) return ... end, 1, 2)
      local thread = s:thread({ name = "w" }, function(...) return ... end, 3)
      assert.are.equal("t", task.name)
      assert.are.equal("w", thread.name)
      assert.are.same({ 1, 2 }, { task:join() })
      assert.are.equal(3, thread:join())
    end)
  end)

  it("says how it stands", function()
    local s
    neap.scope(function(scope)
      s = scope
      s:spawn(neap.yield)
      assert.is_truthy(tostring(s):find("^scope: .* %(1 running%)$"))
    end)
    assert.is_truthy(tostring(s):find("^scope: .* %(ended%)$"))
  end)

  it("works in a thread, in pcall, in a coroutine, in another scope", function()
    local function nested(depth)
      return neap.scope(function(s)
        local task = s:spawn(function() return depth > 0 and nested(depth - 1) or "innermost" end)
        return select(2, pcall(task.join, task))
      end)
    end
    assert.are.equal("innermost", nested(20))
    assert.are.equal("innermost", neap.thread(nested, 3):join())
    assert.are.equal("innermost", coroutine.wrap(function() return nested(3) end)())
  end)

  describe("when a child fails", function()
    it("raises its error, the very value, when all have ended", function()
      local log, problem = {}, { code = 5 }
      assert.are.equal(problem, fail(function(s)
        s:spawn(sleep_and_note, log, "first")
        s:spawn(error, problem)
        s:spawn(sleep_and_note, log, "second")
        sleep_and_note(log, "body")
      end))
      table.sort(log)
      assert.are.same({ "body", "first", "second" }, log)
    end)

    it("raises any error", function()
      assert.is_nil(fail(function(s) s:spawn(error) end))
      assert.is_false(fail(function(s) s:spawn(error, false) end))
      assert.are.equal("x", fail(function(s) s:spawn(error, "x", 0) end))
    end)

    it("cancels the rest, in tasks and threads", function()
      local gate, statuses = neap.event(), {}
      assert.are.equal("broken", fail(function(s)
        local others = {
          s:thread(function() neap.sleep(3600) end),
          s:spawn(neap.sleep, 3600),
          s:thread(function() neap.event():wait() end),
        }
        for _, other in ipairs(others) do grid.park(other) end
        local _ <close> = setmetatable({}, { __close = function()
          neap.wait(others)
          for i, other in ipairs(others) do statuses[i] = other:status() end
        end })
        s:thread(function(event)
          event:wait()
          error("broken", 0)
        end, gate)
        gate:set()
        neap.sleep(3600)
      end))
      assert.are.same({ "cancelled", "cancelled", "cancelled" }, statuses)
    end)

    it("does so while the body runs, also if it swallows the cancellation", function()
      assert.are.equal("broken", fail(function(s)
        s:spawn(error, "broken", 0)
        local ok, err = pcall(neap.sleep, 3600)
        assert.is_false(ok)
        assert.is_true(neap.is_cancelled(err))
        assert.is_false((pcall(neap.sleep, 3600)))
        return "swallowed"
      end))
    end)

    it("does so when the body has returned", function()
      local log = {}
      assert.are.equal("broken", fail(function(s)
        s:spawn(sleep_and_note, log, "other")
        s:spawn(function()
          neap.sleep(0.001)
          error("broken", 0)
        end)
      end))
      assert.are.same({ "other" }, log)
    end)

    it("raises once what the body has joined", function()
      local _, traceback = fail_in_task(function()
        neap.scope(function(s) s:spawn({ name = "culprit" }, error, { "broken" }):join() end)
      end)
      assert.is_nil(traceback:find("also failed", 1, true))
    end)

    it("tells where it failed, and lists the others", function()
      local err, traceback = fail_in_task(function()
        neap.scope(function(s)
          local function culprit() error("the first", 0) end
          s:spawn(function()
            neap.yield()
            culprit()
          end)
          for i = 1, 3 do
            s:spawn({ name = "other" .. i }, function()
              local _ <close> = setmetatable({}, { __close = function() error("problem " .. i, 0) end })
              neap.sleep(3600)
            end)
          end
          local _ <close> = setmetatable({}, { __close = function() error("no way out", 0) end })
          neap.sleep(3600)
        end)
      end)
      assert.are.equal("the first", err)
      assert.is_truthy(traceback:find("in function 'neap.scope'", 1, true))
      assert.is_truthy(traceback:find("in upvalue 'culprit'", 1, true))
      local others = traceback:match("\nalso failed in the scope:(.*)$")
      local expected = { "other1: problem 1", "other2: problem 2", "other3: problem 3", "the body: no way out" }
      for _, line in ipairs(expected) do assert.is_truthy(others:find("\n\t" .. line, 1, true), line) end
    end)

    it("lists what cannot be put into words, and not too many", function()
      local unspeakable = setmetatable({}, { __tostring = function() error("no words") end })
      local err, traceback = fail_in_task(function()
        neap.scope(function(s)
          local gate = neap.event()
          for i = 1, 100 do
            grid.park(s:spawn({ name = "t" .. i }, neap.shield, function()
              gate:wait()
              error(i == 2 and unspeakable or i)
            end))
          end
          gate:set()
        end)
      end)
      assert.are.equal(1, err)
      assert.is_truthy(traceback:find("\n\tt2: (a table)\n\tt3: 3\n", 1, true))
      assert.is_truthy(traceback:find("\n\t... and 79 more", 1, true))
    end)

    it_races("takes the first of threads that fail together", function()
      local seed = trial.seed()
      for round = 1, 50 * support.stress do
        local gate = neap.event()
        local err = fail(function(s)
          for i = 1, 3 do
            s:thread(function(event, number)
              event:wait()
              error({ number = number })
            end, gate, i)
          end
          for _ = 1, math.random(0, 3) do neap.yield() end
          gate:set()
          if round % 2 == 0 then neap.sleep(3600) end
        end)
        assert.is_true(err.number >= 1 and err.number <= 3, "seed " .. seed)
      end
    end)

    it("reports nothing", function()
      local result = support.run_script([[
        local ok, err = pcall(neap.scope, function(s)
          s:spawn(error, "a")
          s:thread(function() error("b") end)
          neap.sleep(60)
        end)
        print(ok)
      ]])
      assert.are.same({ status = 0, stdout = "false\n", stderr = "" }, result)
    end)

    it("makes the program fail if nobody catches it", function()
      local result = support.run_script([[
        neap.scope(function(s) s:spawn({name = "culprit"}, error, "on purpose", 0) end)
      ]])
      assert.are.equal(1, result.status)
      assert.is_truthy(result.stderr:find("neap: on purpose\n", 1, true), result.stderr)
    end)
  end)

  describe("when the body fails", function()
    it("cancels the children, waits for them and raises the error", function()
      local log, problem = {}, { code = 6 }
      assert.are.equal(problem, fail(function(s)
        s:spawn(sleep_and_note, log, "task")
        s:thread(function() neap.sleep(3600) end)
        neap.yield()
        error(problem)
      end))
      assert.are.same({ "task" }, log)
    end)

    it("lists failures of children on their way out", function()
      local err, traceback = fail_in_task(function()
        neap.scope(function(s)
          s:spawn({ name = "child" }, function()
            local _ <close> = setmetatable({}, { __close = function() error("no way out", 0) end })
            neap.sleep(3600)
          end)
          neap.yield()
          error("broken", 0)
        end)
      end)
      assert.are.equal("broken", err)
      assert.is_truthy(traceback:find("\nalso failed in the scope:\n\tchild: no way out", 1, true))
    end)
  end)

  describe("and the cancelling of one child", function()
    it("is no failure", function()
      assert.are.same(table.pack("result"), pack_scope(function(s)
        local task, thread = s:spawn(neap.sleep, 3600), s:thread(function() neap.sleep(3600) end)
        task:cancel()
        thread:cancel()
        return "result"
      end))
    end)

    it("is raised where it is joined, like any error", function()
      local other
      local err = fail(function(s)
        other = s:spawn(neap.sleep, 3600)
        local task = s:spawn(neap.sleep, 3600)
        task:cancel()
        task:join()
      end)
      assert.is_true(neap.is_cancelled(err))
      assert.are.equal("cancelled", other:status())
    end)
  end)

  describe("cancel", function()
    it("stops the children and the body", function()
      local log = {}
      assert.are.same(cancelled, pack_scope(function(s)
        grid.park(s:spawn(sleep_and_note, log, "task"))
        grid.park(s:thread(function() neap.sleep(3600) end))
        assert.is_true(s:cancel())
        assert.is_false(s:cancel())
        neap.sleep(3600)
      end))
      assert.are.same({ "task" }, log)
    end)

    it("leaves the results to a body that returns all the same", function()
      assert.are.same(table.pack(42), pack_scope(function(s)
        s:spawn(neap.sleep, 3600)
        s:cancel()
        return 42
      end))
    end)

    it("may be asked for by a child, or by anybody else", function()
      assert.are.same(cancelled, pack_scope(function(s)
        s:spawn(function() s:cancel() end)
        neap.sleep(3600)
      end))
      local s
      local task = grid.parked_task(neap.scope, function(scope)
        s = scope
        s:spawn(neap.sleep, 3600)
        return "returned"
      end)
      s:cancel()
      assert.are.equal("returned", task:join())
    end)

    it("gives its reason", function()
      local told = {}
      local function note(name)
        local ok, err = pcall(neap.sleep, 3600)
        assert(not ok)
        told[name] = tostring(err)
        error(err)
      end
      assert.are.same(cancelled, pack_scope(function(s)
        s:spawn(note, "child")
        s:spawn(function() s:cancel("enough") end)
        note("body")
      end))
      assert.are.same({ child = "cancelled: enough", body = "cancelled: enough" }, told)
    end)

    it("refuses a reason that cannot be sent, and has done nothing", function()
      assert.are.equal("result", neap.scope(function(s)
        local gate = neap.event()
        local task = s:spawn(gate.wait, gate)
        local thread = s:thread(function(event) return event:wait() end, gate)
        local ok, message = pcall(s.cancel, s, io.stdout)
        assert.is_false(ok)
        assert.is_truthy(message:find("cannot send reason", 1, true))
        gate:set()
        assert.is_true((task:join()))
        assert.is_true((thread:join()))
        return "result"
      end))
    end)

    it("does not hide a failure", function()
      assert.are.equal("broken", fail(function(s)
        s:spawn(function()
          local _ <close> = setmetatable({}, { __close = function() error("broken", 0) end })
          neap.sleep(3600)
        end)
        neap.yield()
        s:cancel()
      end))
    end)

    it("lets nothing begin any more", function()
      local ran, task = false, nil
      local again = neap.channel(1)
      pack_scope(function(s)
        s:cancel()
        task = s:spawn(function() ran = true end)
        local thread = s:thread(function(ch) ch:send("ran") end, again)
        assert.is_false(task:cancel())
        assert.is_false(thread:cancel())
      end)
      assert.is_false(ran)
      assert.are.equal(0, #again)
      assert.are.equal("cancelled", task:status())
    end)
  end)

  describe("when its owner is cancelled", function()
    local function owner_of(log, body)
      return grid.parked_task(neap.scope, function(s)
        s:spawn(sleep_and_note, log, "task")
        grid.park(s:thread(function() neap.sleep(3600) end))
        neap.yield()
        body()
      end)
    end

    it("in the body, cancels the children, waits and goes on with the cancellation", function()
      local log = {}
      local owner = owner_of(log, function() neap.sleep(3600) end)
      owner:cancel()
      grid.assert_cancelled(owner)
      assert.are.same({ "task" }, log)
      assert.are.equal("cancelled", owner:status())
    end)

    it("while it waits for its children, does the same", function()
      local log = {}
      local owner = owner_of(log, function() end)
      for _ = 1, 5 do neap.yield() end
      grid.park(owner):cancel("stop")
      grid.assert_cancelled(owner)
      assert.are.same({ "task" }, log)
      assert.are.equal("cancelled: stop", tostring(owner:error()))
    end)

    it("does not give up that wait", function()
      local gate, stubborn = neap.event(), nil
      local owner = grid.parked_task(neap.timeout, 3600, neap.scope, function(s)
        stubborn = s:spawn(neap.shield, gate.wait, gate)
      end)
      owner:cancel()
      for _ = 1, 10 do
        neap.yield()
        assert.are.equal("waiting", owner:status())
      end
      gate:set()
      grid.assert_cancelled(owner)
      assert.are.equal("done", stubborn:status())
    end)

    it("by neap.timeout around it, returns when all have ended", function()
      local log = {}
      local outcome = table.pack(neap.timeout(0.001, neap.scope, function(s)
        s:spawn(sleep_and_note, log, "task")
      end))
      assert.are.same(table.pack(nil, "timeout", "timeout"), outcome)
      assert.are.same({ "task" }, log)
    end)

    it("raises a failure rather than the cancellation", function()
      local owner = grid.parked_task(neap.scope, function(s)
        s:spawn(function()
          local _ <close> = setmetatable({}, { __close = function() error("broken", 0) end })
          neap.sleep(3600)
        end)
        neap.sleep(3600)
      end)
      owner:cancel()
      local ok, err = pcall(owner.join, owner)
      assert.is_false(ok)
      assert.are.equal("broken", err)
      assert.are.equal("failed", owner:status())
    end)

    it("lets <close> variables around it wait", function()
      local closed = false
      local owner = grid.parked_task(function()
        local _ <close> = setmetatable({}, { __close = function()
          neap.sleep(0.001)
          closed = true
        end })
        neap.scope(function(s) s:spawn(neap.sleep, 3600) end)
      end)
      owner:cancel()
      grid.assert_cancelled(owner)
      assert.is_true(closed)
    end)

    it("works as ever in what runs then", function()
      local outcome
      local owner = grid.parked_task(function()
        local _ <close> = setmetatable({}, { __close = function()
          outcome = fail(function(s)
            s:spawn(function()
              neap.sleep(0.001)
              error("broken", 0)
            end)
            neap.sleep(3600)
          end)
        end })
        neap.sleep(3600)
      end)
      owner:cancel()
      grid.assert_cancelled(owner)
      assert.are.equal("broken", outcome)
    end)
  end)

  it("cannot be used when it has ended", function()
    local s
    neap.scope(function(scope) s = scope end)
    for _, name in ipairs({ "spawn", "thread", "cancel" }) do
      local ok, message = pcall(s[name], s, print)
      assert.is_false(ok)
      assert.is_truthy(message:find("the scope has ended", 1, true))
    end
  end)

  it("cannot be sent", function()
    neap.scope(function(s)
      local ok, message = pcall(s.thread, s, function() return s end)
      assert.is_false(ok)
      assert.is_truthy(message:find("cannot send function:upvalue(s): userdata (scope)", 1, true), message)
      assert.has_error(function() neap.channel(1):send(s) end)
      assert.is_truthy(tostring(s):find("0 running", 1, true))
    end)
  end)

  it("refuses wrong arguments", function()
    for _, bad in ipairs({ 1, "x", {}, false }) do
      local ok, message = pcall(neap.scope, bad)
      assert.is_false(ok)
      assert.is_truthy(message:find("bad argument #1 to 'neap.scope' (function expected", 1, true), message)
    end
    neap.scope(function(s)
      assert.has_error(function() s:spawn() end)
      assert.has_error(function() s:spawn(1) end)
      assert.has_error(function() s:spawn({ nmae = "x" }, print) end)
      assert.has_error(function() s:thread({}, 1) end)
      assert.has_error(function() s.spawn(neap.channel(), print) end)
    end)
  end)

  it("names what it cannot wait in, before it calls the function", function()
    local called = false
    local task = neap.spawn({ quiet = true }, function()
      table.sort({ 1, 2, 3 }, function()
        local ok, err = pcall(neap.scope, function() called = true end)
        assert(not ok)
        error(err, 0)
      end)
    end)
    local ok, message = pcall(task.join, task)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot wait inside table.sort", 1, true))
    assert.is_false(called)
  end)

  it("keeps nothing of children that ended well", function()
    local function short(x) return { x } end
    neap.scope(function(s)
      local function run(count)
        for i = 1, count do
          s:spawn(short, i)
          if i % 50 == 0 then neap.yield() end
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage("count")
      end
      local before = run(10000)
      local after = run(100000)
      assert.is_true(after - before < 100, ("%d KB more"):format(after - before))
    end)
  end)

  it("in a generator follows it from task to task", function()
    local gate = neap.event()
    local generate = coroutine.wrap(function()
      neap.scope(function(s)
        s:spawn(function()
          gate:wait()
          error("broken", 0)
        end)
        coroutine.yield()
        neap.sleep(3600)
      end)
    end)
    neap.spawn(generate):join()
    collectgarbage()
    local second = grid.parked_task(pcall, generate)
    gate:set()
    assert.are.same({ false, "broken" }, { second:join() })
  end)

  it("cancels its children when it is left for good", function()
    local child
    do
      local generate = coroutine.wrap(function()
        neap.scope(function(s)
          child = s:spawn(neap.sleep, 3600)
          coroutine.yield()
        end)
      end)
      generate()
    end
    neap.yield()
    assert.are.equal("waiting", child:status())
    collectgarbage()
    collectgarbage()
    child:wait()
    assert.are.equal("cancelled", child:status())
  end)
end)
