-- SIGINT and SIGTERM, once and twice, wherever the program is.

local support = require "spec.support"
local trial = require "spec.trial"
local run_script, run_command = support.run_script, support.run_command

-- Not os.execute: that one ignores SIGINT for its time.
local prelude = [[
  local function signal(name) io.popen("kill -" .. name .. " " .. neap.getpid()):close() end
  local function closing(name)
    return setmetatable({}, { __close = function() neap.sleep(0.001) io.write("closed ", name, "\n") end })
  end
  local _ <close> = closing "main"
  ]]

local function run(code) return run_script(prelude .. code) end

local function assert_result(status, stdout, result)
  assert.are.same({ status = status, stdout = stdout, stderr = "" }, result)
end

describe("a signal", function()
  it("cancels the main task in a wait, whose variables are closed; the status tells which", function()
    assert_result(130, "closed main\n", run [[neap.timer(0.01, signal, "INT") neap.sleep(60) print "not here"]])
    assert_result(143, "closed main\n", run [[neap.timer(0.01, signal, "TERM") neap.sleep(60) print "not here"]])
    assert_result(130, "false\tcancelled: SIGINT\ntrue\nclosed main\n", run [[
      neap.timer(0.01, signal, "INT")
      local ok, err = pcall(neap.sleep, 60)
      print(ok, err)
      print(neap.is_cancelled(err))
      neap.sleep(60)]])
  end)

  it("does so in every kind of wait", function()
    for _, wait in ipairs {
      "neap.channel():recv()", "neap.channel():send(1)", "neap.queue():get()", "neap.event():wait()",
      "neap.semaphore(0):acquire()", "neap.select { neap.channel(), neap.event() }", "neap.barrier(2):wait()",
      "neap.spawn(neap.sleep, 60):join()", "neap.thread(function() require 'neap'.sleep(60) end):join()",
      "neap.scope(function(s) s:spawn(neap.sleep, 60) end)", "neap.timeout(60, neap.sleep, 60)",
      "coroutine.wrap(function() neap.sleep(60) end)()", "local c = neap.condition() c:acquire() c:wait()",
      "neap.gather { neap.spawn(neap.sleep, 60) }",
    } do
      local result = run([[neap.timer({ daemon = true }, 0.01, signal, "INT") ]] .. wait .. [[ print "not here"]])
      assert.are.equal(130, result.status, wait)
      assert.are.equal("", result.stderr, wait)
      assert.is_falsy(result.stdout:find("not here", 1, true), wait)
    end
  end)

  it("is heard in a busy loop, though it swallows errors #preempt", function()
    assert_result(130, "closed main\n", run [[
      neap.thread(function(pid) io.popen("sleep 0.05; kill -INT " .. pid):close() end, neap.getpid())
      while true do end]])
    assert_result(143, "closed main\n", run [[
      neap.thread(function(pid) io.popen("sleep 0.05; kill -TERM " .. pid):close() end, neap.getpid())
      while true do pcall(function() while true do end end) end]])
  end)

  it("is heard before the main task waits for the first time", function()
    assert_result(143, "here\nclosed main\n", run [[signal "TERM" print "here" neap.sleep(60) print "not here"]])
  end)

  it("lets everything else go on while the main task cleans up, then cancels it", function()
    assert_result(130, "worked 42\nclosed main\nclosed task\n", run [[
      local channel = neap.channel()
      neap.spawn(function()
        local _ <close> = closing "task"
        channel:send(42)
        neap.sleep(60)
      end)
      local _ <close> = setmetatable({}, { __close = function() print("worked " .. channel:recv()) end })
      neap.timer(0.01, signal, "INT")
      neap.sleep(60)]])
  end)

  it("ends a program whose main chunk has returned, and its threads", function()
    local result = run [[
      neap.spawn(function() local _ <close> = closing "task" neap.sleep(60) end)
      local begun = neap.event()
      neap.thread(function()
        local neap = require "neap"
        local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.001) print "closed thread" end })
        begun:set()
        neap.sleep(60)
      end)
      begun:wait()
      neap.timer(0.05, signal, "INT")]]
    assert.are.equal(130, result.status)
    assert.are.equal("", result.stderr)
    for _, name in ipairs { "main", "task", "thread" } do
      assert.is_truthy(result.stdout:find("closed " .. name .. "\n", 1, true), name)
    end
  end)

  it("may come to any thread", function()
    assert_result(143, "closed main\n", run [[
      for _ = 1, 4 do
        neap.thread({ daemon = true }, function() local neap = require "neap" while true do neap.sleep(0.0001) end end)
      end
      neap.timer(0.02, signal, "TERM")
      neap.sleep(60)]])
  end)

  it("ends a script that reads", function()
    local command = ("bash -c %s"):format(support.quote(([[
      exec 3< <(sleep 30)
      %s -e 'print(io.read()) require "neap".sleep(60) print "not here"' <&3 &
      sleep 0.5
      kill -TERM $!
      wait $!]]):format(support.quote(support.runner))))
    local result = run_command(command)
    assert.are.equal(143, result.status)
    assert.is_falsy(result.stdout:find("not here", 1, true))
  end)

  it("ends at once when it is the second one", function()
    assert_result(130, "", run [[
      local _ <close> = setmetatable({}, { __close = function()
        neap.timer(0.01, signal, "INT")
        neap.sleep(60)
      end })
      neap.timer(0.01, signal, "INT")
      neap.sleep(60)]])
    assert_result(143, "", run [[
      neap.timer(0.01, function() signal "INT" signal "TERM" end)
      neap.shield(neap.sleep, 60)]])
  end)

  it("ends at once when it is the second one, in a call that nothing interrupts #preempt", function()
    assert_result(143, "", run [[
      neap.thread({ daemon = true }, function(pid)
        io.popen("sleep 0.05; kill -TERM " .. pid .. "; sleep 0.05; kill -TERM " .. pid):close()
      end, neap.getpid())
      string.find(("a"):rep(40), ("a*"):rep(40) .. "b")]])
  end)

  it("keeps its status whatever the main task makes of it", function()
    assert_result(130, "closed main\n", run [[neap.timer(0.01, signal, "INT") pcall(neap.sleep, 60) os.exit(3)]])
    assert_result(130, "", run_script([[
      neap.timer(0.01, function() io.popen("kill -INT " .. neap.getpid()):close() end)
      pcall(neap.sleep, 60)]]))
    local result = run_script([[
      neap.timer(0.01, function() io.popen("kill -INT " .. neap.getpid()):close() end)
      pcall(neap.sleep, 60)
      error("boom", 0)]])
    assert.are.equal(130, result.status)
    assert.is_truthy(result.stderr:find("neap: boom\n", 1, true))
  end)

  it("that was ignored from the start stays ignored", function()
    local result = run_command(("sh -c %s"):format(support.quote(("trap '' INT; exec %s -e %s"):format(
      support.quote(support.runner), support.quote(
        [[local neap = require "neap"
        io.popen("kill -INT " .. neap.getpid()):close()
        neap.sleep(0.05)
        print "here"]])))))
    assert_result(0, "here\n", result)
  end)

  it("does not reach the programs that are started as ignored", function()
    assert_result(0, "143\n", run_script([[
      local pipe = io.popen("exec 2>/dev/null; sh -c 'kill -TERM $$'; echo $?")
      print(pipe:read("l"))]]))
  end)

  it("comes at random moments #stress", function()
    trial.seed()
    for _ = 1, 20 * support.stress do
      local result = run_script([[
        local delay = tonumber(arg[1])
        local channel = neap.channel(10)
        local function work(channel)
          local neap = require "neap"
          for _ = 1, 5 do
            neap.spawn(function() while true do channel:send(1, 0.001) channel:recv(0.001) end end)
          end
          neap.sleep(60)
        end
        for _ = 1, 3 do neap.thread(work, channel) end
        neap.spawn(work, channel)
        neap.thread(function(delay)
          local neap = require "neap"
          neap.sleep(delay)
          io.popen("kill -INT " .. neap.getpid()):close()
        end, delay)
        neap.sleep(60)]], { math.random() * 0.01 })
      assert_result(130, "", result)
    end
  end)
end)
