-- When nothing can ever run again: who is named, and when nobody is.

local support = require "spec.support"
local run_script, run_plain = support.run_script, support.run_plain

local head = "deadlock: all that is left waits, and nothing can wake it:\n"

--- Does the report have this line? `%` stands for anything, as in "task a (thread main) has waited for % s in sleep".
local function assert_line(report, line)
  local pattern = line:gsub("%p", function(sign) return sign == "%" and "%S+" or "%" .. sign end)
  assert.is_truthy(("\n" .. report):find("\n  " .. pattern .. "\n"), line .. "\n--- is not in ---\n" .. report)
end

local function assert_deadlock(result, ...)
  assert.are.equal(1, result.status, result.stderr)
  assert.is_truthy(result.stderr:find("neap: " .. head, 1, true), result.stderr)
  for _, line in ipairs { ... } do assert_line(result.stderr, line) end
end

describe("a program in which everything waits", function()
  it("ends with status 1, and says who waits for what, since when and where", function()
    local result = run_script([[
      local channel, queue = neap.channel(), neap.queue(1)
      queue:put(1)
      local reader = neap.spawn({ name = "reader" }, function()
        channel:recv()
      end)
      neap.spawn({ name = "writer" }, function() queue:put(2) end)
      neap.sleep(0.05)
      reader:join()]])
    assert_deadlock(result,
      "task main (thread main) has waited for % s in join of task reader (thread main) at script:8",
      "task reader (thread main) has waited for % s in recv of channel: 0x% at script:4",
      "task writer (thread main) has waited for % s in put of queue: 0x% at script:6")
    local function age_of(task)
      return tonumber(result.stderr:match("task " .. task .. " .- has waited for (%d+%.%d+) s"))
    end
    assert.is_true(age_of("main") < age_of("reader"), result.stderr)
    assert.are.equal(4, select(2, result.stderr:gsub("\n", "")))
  end)

  it("names the threads of the program, and not those that write its log", function()
    local result = run_script([[neap.log.configure({ file = "/dev/null" }) neap.log.info("x") neap.channel():recv()]])
    assert_deadlock(result, "task main (thread main) has waited for % s in recv of channel: % at script:1")
    assert.is_nil(result.stderr:find("neap.log", 1, true), result.stderr)
  end)

  it("closes its variables, which may wait", function()
    local result = run_script([[
      local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.01) print "closed" end })
      neap.channel():recv()]])
    assert_deadlock(result)
    assert.are.equal("closed\n", result.stdout)
  end)

  it("tells of the tasks of all threads", function()
    local result = run_script([[
      local event = neap.event()
      local function work(event)
        local neap = require "neap"
        neap.spawn({ name = "inner" }, function() neap.semaphore(0):acquire() end)
        event:wait()
      end
      neap.thread({ name = "w1" }, work, event)
      neap.thread({ name = "w2" }, work, event):join()]])
    assert_deadlock(result,
      "task main (thread main) has waited for % s in join of thread w2 at script:8",
      "thread w1 has waited for % s in wait of event: 0x% at script:5",
      "thread w2 has waited for % s in wait of event: 0x% at script:5",
      "task inner (thread w1) has waited for % s in acquire of semaphore: 0x% at script:4",
      "task inner (thread w2) has waited for % s in acquire of semaphore: 0x% at script:4")
  end)

  it("is found when the last that could do something ends: a task, a timer, a thread", function()
    assert_deadlock(run_script([[neap.spawn(function() neap.sleep(0.02) end) neap.channel():recv()]]))
    assert_deadlock(run_script([[neap.timer(0.02, function() end) neap.channel():recv()]]))
    assert_deadlock(run_script([[neap.thread(function() require "neap".sleep(0.02) end) neap.channel():recv()]]))
    assert_deadlock(run_script([[
      neap.thread(function() local sum = 0 for i = 1, 1e6 do sum = sum + i end end) neap.channel():recv()]]))
  end)

  it("is found when the main chunk has returned", function()
    assert_deadlock(run_script([[neap.spawn({ name = "left" }, function() neap.channel():recv() end)]]),
      "task left (thread main) has waited for % s in recv of channel: 0x% at script:1")
    assert_deadlock(run_script([[neap.thread({ name = "left" }, function() require "neap".channel():recv() end)]]),
      "thread left has waited for % s in recv of channel: 0x% at script:1")
  end)

  it("names the line of Lua inside generators, and what a select waits for", function()
    local result = run_script([[
      local function wait()
        neap.select { neap.channel(), neap.event(), neap.queue(), neap.channel() }
      end
      local outer = coroutine.wrap(function()
        local inner = coroutine.create(function()
          wait()
        end)
        coroutine.resume(inner)
      end)
      outer()]])
    assert_deadlock(result, "task main (thread main) has waited for % s in select of 4: recv of channel: 0x%, " ..
      "wait of event: 0x%, get of queue: 0x% and 1 more at script:2")
  end)

  it("lists no more than some", function()
    local result = run_script([[
      local channel = neap.channel()
      for _ = 1, 1000 do neap.spawn(function() channel:recv() end) end]])
    assert_deadlock(result, "... and 950 more")
    assert.are.equal(52, select(2, result.stderr:gsub("\n", "")))
  end)

  it("says who holds what is waited for", function()
    local result = run_script([[
      local lock, rwlock, semaphore = neap.lock(), neap.rwlock(), neap.semaphore(1)
      neap.spawn({ name = "holder" }, function()
        lock:acquire()
        rwlock:acquire_read()
        local _ <close> = semaphore:guard()
        neap.channel():recv()
      end)
      for i = 1, 4 do
        neap.spawn({ name = "reader" .. i }, function() rwlock:acquire_read() neap.channel():recv() end)
      end
      neap.yield()
      neap.spawn({ name = "a" }, function() lock:acquire() end)
      neap.spawn({ name = "b" }, function() rwlock:acquire_write() end)
      neap.spawn({ name = "c" }, function() semaphore:acquire() end)]])
    assert_deadlock(result,
      "task a (thread main) has waited for % s in acquire of lock: 0x% at script:12, held by task holder (thread main)",
      "task b (thread main) has waited for % s in acquire_write of rwlock: 0x% at script:13, held by " ..
      "task holder (thread main), task reader1 (thread main), task reader2 (thread main) and 2 more",
      "task c (thread main) has waited for % s in acquire of semaphore: 0x% at script:14, held by " ..
      "task holder (thread main)")
  end)

  it("is the only one to be reported", function()
    local function assert_quiet(code)
      assert.are.same({ status = 0, stdout = "", stderr = "" }, run_script(code))
    end
    assert_quiet [[local channel = neap.channel() neap.timer(0.05, channel.close, channel) channel:recv()]]
    assert_quiet [[neap.channel():recv(0.05)]]
    assert_quiet [[neap.timeout(0.05, function() neap.channel():recv() end)]]
    assert_quiet [[neap.spawn({ daemon = true }, function() neap.channel():recv() end) neap.sleep(0.05)]]
    assert_quiet [[
      local channel = neap.channel()
      neap.thread(function(channel)
        for i = 1, 3e6 do local _ = i end
        channel:send(1)
      end, channel)
      channel:recv()]]
    assert_quiet [[
      local channel = neap.channel()
      neap.thread(function(channel) io.popen("exec sleep 0.1"):close() channel:send(1) end, channel)
      channel:recv()]]
  end)

  it("is not found in a crowd of threads that hand a token round #stress", function()
    for _ = 1, 5 * support.stress do
      local result = run_script([[
        local threads, channels = 8, {}
        for i = 1, threads do channels[i] = neap.channel() end
        for i = 1, threads do
          neap.thread(function(from, to)
            for token in from:iter() do
              if token == 0 then
                from:close()
                to:send(0, 0)
                return
              end
              to:send(token - 1)
            end
          end, channels[i], channels[i % threads + 1])
        end
        channels[1]:send(2000)
        neap.timer(20, function() print "stuck" os.exit(2) end)
        while #neap.threads() == threads do neap.sleep(0.001) end
        for i = 1, threads do channels[i]:close() end
        os.exit(0)]])
      assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
    end
  end)

  it("is found every time, whoever is the last to park #stress", function()
    for i = 1, 20 * support.stress do
      local result = run_script([[
        local threads = tonumber(arg[1])
        local barrier, channel = neap.barrier(threads + 1), neap.channel()
        for i = 1, threads do
          neap.thread(function(barrier, channel, rounds)
            barrier:wait()
            for _ = 1, rounds do local _ = {} end
            channel:recv()
          end, barrier, channel, math.random(2000))
        end
        barrier:wait()
        for _ = 1, math.random(2000) do local _ = {} end
        channel:recv()]], { i % 4 + 1 })
      assert_deadlock(result)
      assert.are.equal(i % 4 + 3, select(2, result.stderr:gsub("\n", "")))
    end
  end)
end)

describe("a ring of lock holders", function()
  local ring_head = "neap: deadlock: these wait for each other's locks, and will for ever:\n"

  --- One ring was reported and the program went on until it asked for status 9. A member: "name wants class at line".
  local function assert_ring(result, ...)
    local text = result.stderr
    assert.are.equal(9, result.status, text)
    assert.are.equal(ring_head, text:sub(1, #ring_head))
    assert.is_falsy(text:find("deadlock", #ring_head, true), text)
    local members = {}
    for name, class, line in text:gmatch("\n  (%S+ %S+)[^\n]- waits for (%S+): 0x%x+ at script:(%d+), held by") do
      members[#members + 1] = ("%s wants %s at %s"):format(name, class, line)
    end
    table.sort(members)
    assert.are.same({ ... }, members)
    assert.is_truthy(text:find(", held by %S+ [^\n]+\n$"), text)
  end

  it("is reported by name while the rest of the program goes on", function()
    assert_ring(run_script([[
      local a, b = neap.lock(), neap.lock()
      local function take(first, second)
        first:acquire()
        neap.yield()
        second:acquire()
      end
      neap.spawn({ name = "one" }, take, a, b)
      neap.spawn({ name = "two" }, take, b, a)
      neap.timer(0.05, os.exit, 9)]]), "task one wants lock at 5", "task two wants lock at 5")
  end)

  it("is reported across threads, with rlocks and rwlocks", function()
    assert_ring(run_script([[
      local barrier, a, b, c = neap.barrier(3), neap.lock(), neap.rlock(), neap.rwlock()
      neap.thread({ name = "one" }, function(barrier, a, b)
        a:acquire() barrier:wait() b:acquire()
      end, barrier, a, b)
      neap.thread({ name = "two" }, function(barrier, b, c)
        b:acquire() barrier:wait() c:acquire_write()
      end, barrier, b, c)
      neap.spawn({ name = "three" }, function()
        c:acquire_read() barrier:wait() a:with(print)
      end)
      neap.timer(0.1, os.exit, 9)]]), "task three wants lock at 9", "thread one wants rlock at 3",
      "thread two wants rwlock at 6")
  end)

  it("is none where somebody has a deadline, or merely waits", function()
    for _, code in ipairs { "second:acquire(0.01)", "neap.timeout(0.01, second.acquire, second)" } do
      assert.are.same({ status = 0, stdout = "", stderr = "" }, run_script(([[
        local a, b = neap.lock(), neap.lock()
        local function take(first, second)
          first:acquire()
          neap.yield()
          %s
          first:release()
        end
        neap.spawn(take, a, b)
        neap.spawn(take, b, a)]]):format(code)))
    end
    assert.are.same({ status = 0, stdout = "", stderr = "" }, run_script([[
      local a, b, c = neap.lock(), neap.lock(), neap.lock()
      local function take(first, second)
        first:acquire()
        neap.yield()
        second:acquire()
        second:release()
        first:release()
      end
      neap.spawn(take, a, b)
      neap.spawn(take, b, c)
      neap.spawn(take, a, c)]]))
  end)

  it("is reported again when it was broken up and closed again", function()
    local result = run_script([[
      local a, b = neap.lock(), neap.lock()
      b:acquire()
      local function take()
        a:acquire()
        pcall(function() b:acquire() end)
      end
      local first = neap.spawn({ name = "first" }, take)
      neap.yield()
      local main = neap.current()
      neap.timer(0.02, function() first:cancel() end)
      a:acquire()
      print "here"
      os.exit(9)]])
    assert_ring(result, "task first wants lock at 5", "task main wants lock at 11")
    assert.are.equal("here\n", result.stdout)
  end)

  it("that is all that is left is told once", function()
    local result = run_script([[
      local a, b = neap.lock(), neap.lock()
      local function take(first, second)
        first:acquire()
        neap.yield()
        second:acquire()
      end
      local one = neap.spawn({ name = "one" }, take, a, b)
      neap.spawn({ name = "two" }, take, b, a)
      one:join()]])
    assert_deadlock(result, "task main (thread main) has waited for % s in join of task one (thread main) at script:9",
      "and the 2 above that wait for each other's locks")
    assert.matches(ring_head .. "  task two [^\n]+\n  task one [^\n]+ held by task two", result.stderr)
    assert.are.equal(2, select(2, result.stderr:gsub("acquire of lock", "")) +
      select(2, result.stderr:gsub("waits for lock", "")), result.stderr)
  end)

  it("is found among crowds that contend for locks in the right order #stress", function()
    for _ = 1, 3 * support.stress do
      local result = run_script([[
        local locks = {}
        for i = 1, 5 do locks[i] = neap.lock() end
        local function work(locks)
          local neap = require "neap"
          for i = 1, 300 do
            local a = math.random(4)
            local b = math.random(a + 1, 5)
            local _ <close> = locks[a]:guard()
            if i % 10 == 0 then neap.yield() end
            local _ <close> = locks[b]:guard()
          end
        end
        for _ = 1, 4 do neap.thread(work, locks) end
        for _ = 1, 4 do neap.spawn(work, locks) end]])
      assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
      result = run_script([[
        local locks = {}
        for i = 1, 5 do locks[i] = neap.lock() end
        local function work(locks, at)
          local neap = require "neap"
          while true do
            local _ <close> = locks[at]:guard()
            if math.random(3) == 1 then neap.yield() end
            local _ <close> = locks[at % 5 + 1]:guard()
          end
        end
        for i = 1, 5 do neap.thread(work, locks, i) end]])
      assert.are.equal(1, result.status)
      assert.is_truthy(result.stderr:find("neap: deadlock: these wait for each other's locks", 1, true), result.stderr)
      assert.is_truthy(result.stderr:find("neap: " .. head, 1, true), result.stderr)
    end
  end)
end)

describe("in a plain lua5.4", function()
  it("a wait of the main chunk that can never end raises", function()
    local result = run_plain([[
      local lock = neap.lock()
      lock:acquire()
      local task = neap.spawn({ name = "bob" }, function() lock:acquire() end)
      local ok, message = pcall(function()
        task:join()
      end)
      print(ok)
      io.write(message, "\n")
      lock:release()
      task:join()
      print "joined"]])
    assert.are.equal(0, result.status)
    assert.are.equal("", result.stderr)
    assert.is_truthy(result.stdout:find("^false\nscript:5: " .. head))
    assert_line(result.stdout, "the main chunk has waited for % s in join of task bob (thread main) at script:5")
    assert_line(result.stdout, "task bob (thread main) has waited for % s in acquire of lock: 0x% at script:3, " ..
      "held by the main chunk")
    assert.is_truthy(result.stdout:find("joined\n$"))
  end)

  it("it waits as long as threads and timers may wake it", function()
    assert.are.same({ status = 0, stdout = "1\n2\n", stderr = "" }, run_plain([[
      local channel = neap.channel()
      neap.thread(function(channel) require "neap".sleep(0.05) channel:send(1) end, channel)
      print(channel:recv())
      neap.timer(0.05, function() channel:send(2) end)
      print(channel:recv())]]))
  end)

  it("it raises when the last thread has ended", function()
    local result = run_plain([[
      neap.thread(function() require "neap".sleep(0.05) end)
      neap.channel():recv()]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("lua5.4: script:2: " .. head, 1, true))
  end)

  it("threads that wait for ever are named when the state is closed", function()
    local result = run_plain([[neap.thread({ name = "w" }, function() require "neap".channel():recv() end)]])
    assert.is_truthy(result.stderr:find("neap: " .. head, 1, true))
    assert_line(result.stderr, "thread w has waited for % s in recv of channel: 0x% at script:1")
  end)
end)
