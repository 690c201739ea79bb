-- neap.log: lines, levels, context, files and their rotation, child processes, the end of the program.

local support = require "spec.support"

local TIME = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d[+-]%d%d:%d%d"

local folder

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
end)

after_each(function() os.execute("chmod -R u+rwx " .. folder .. "; rm -rf " .. folder) end)

--- A script whose `path` is a file in the folder, `log` the module.
local function run(code, options)
  return support.run_script("local log, path = neap.log, ... " .. code, { folder .. "/log" }, options)
end

--- What it has written, without the times.
local function without_times(text) return (text:gsub(TIME .. " ", "")) end

local function written(name) return without_times(support.read_file(folder .. "/" .. (name or "log"))) end

local function exists(name)
  local file = io.open(folder .. "/" .. name)
  if file then file:close() end
  return file ~= nil
end

describe("a line", function()
  it("goes to stderr without any setup, with a time of day in milliseconds", function()
    local result = run [[ log.info("ready") ]]
    assert.are.equal("", result.stdout)
    assert.is_truthy(result.stderr:find("^" .. TIME .. " INFO  ready\n$"), result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("has its fields behind it, in the order of their names", function()
    local result = run [[ log.warn("slow", { b = 2, a = "x y", c = true, d = 1.5, e = "x", t = { 1, { k = "v" } } }) ]]
    assert.are.equal('WARN  slow a="x y" b=2 c=true d=1.5 e=x t=[1,{"k":"v"}]\n', without_times(result.stderr))
  end)

  it("stays one line, whatever is in it", function()
    local result = run [[ log.error("one\ntwo\27[31m", { name = "a\nb", ["k =\n"] = 1 }) ]]
    assert.are.equal('ERROR one\\ntwo\\u001b[31m k___=1 name="a\\nb"\n', without_times(result.stderr))
  end)

  it("takes anything for a text and for a field", function()
    local result = run [[
      local bad = setmetatable({}, { __tostring = function() error("no") end })
      local loop = {}
      loop.loop = loop
      log.info(42, { fn = print, f = io.stdout, nothing = neap.null })
      log.info(nil, { bad = bad })
      log.info(bad, { deep = loop }) ]]
    assert.are.equal(0, result.status)
    local text = without_times(result.stderr)
    assert.is_truthy(text:find('^INFO  42 f="file %(0x%x+%)" fn="[^"]*builtin[^"]*" nothing=null\n')
      or text:find('^INFO  42 f="file %(0x%x+%)" fn="function[^"]*" nothing=null\n'), text)
    assert.is_truthy(text:find("INFO  nil bad=\"table (its __tostring failed)\"", 1, true), text)
    assert.is_truthy(text:find('INFO  table (its __tostring failed) deep={"loop":{"loop":', 1, true), text)
  end)

  it("is JSON, if that is asked for", function()
    local result = run [[
      log.configure({ format = "json" })
      log.info('say "hi"\n', { n = 1, x = 0.1, nan = 0 / 0, level = "mine", bytes = "\xff\0", list = { "a", {} } }) ]]
    local line = result.stderr:gsub(TIME, "TIME")
    assert.are.equal('{"time":"TIME","level":"info","message":"say \\"hi\\"\\n","bytes":"\u{FFFD}\\u0000",' ..
      '"level_":"mine","list":["a",{}],"n":1,"nan":"' .. tostring(0 / 0) .. '","x":0.1}\n', line)
  end)

  it("has no colours where stderr is no terminal", function()
    assert.is_nil(run([[ log.error("plain") ]]).stderr:find("\27", 1, true))
  end)

  it("has colours where they are asked for, in the text for stderr only", function()
    local result = run [[ log.configure({ colour = true, stderr = true, file = path }) log.error("red") ]]
    assert.are.equal("\27[31mERROR\27[0m red\n", without_times(result.stderr))
    assert.are.equal("ERROR red\n", written())
  end)

  it("raises when its fields are no table", function()
    local result = run [[ log.info("x", "y") ]]
    assert.is_truthy(result.stderr:find("script:1: bad argument #2 to 'info' (table of fields expected, got string)", 1,
      true), result.stderr)
  end)

  it("is written from where nothing can wait, too", function()
    local result = run [[
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b) log.info("compared") return a < b end)
      setmetatable({}, { __gc = function() log.info("collected") end })
      collectgarbage() ]]
    assert.is_truthy(result.stderr:find("compared", 1, true))
    assert.is_truthy(result.stderr:find("collected", 1, true))
    assert.are.equal(0, result.status)
  end)

  it("is written by a task that was cancelled and went on", function()
    local result = run [[
      local begun = neap.event()
      local task = neap.spawn(function()
        begun:set()
        pcall(neap.sleep, 100)
        log.info("was cancelled")
      end)
      begun:wait()
      task:cancel()
      task:wait() ]]
    assert.are.equal("INFO  was cancelled\n", without_times(result.stderr))
  end)
end)

describe("the level", function()
  it("is info at first, and what is below it is not logged", function()
    local result = run [[
      log.debug("no")
      log.info("yes")
      print(log.level(), log.is_enabled("debug"), log.is_enabled("info")) ]]
    assert.are.equal("info\tfalse\ttrue\n", result.stdout)
    assert.are.equal("INFO  yes\n", without_times(result.stderr))
  end)

  it("is set for all threads and processes at once", function()
    local result = run [[
      log.configure({ level = "warn" })
      local go, ready = neap.event(), neap.channel()
      local function work(name)
        neap.log.info(name .. " before")
        ready:send(true)
        go:wait()
        neap.log.debug(name .. " after")
      end
      local workers = { neap.thread(work, "thread"), neap.process(work, "process") }
      ready:recv()
      ready:recv()
      log.set_level("debug")
      go:set()
      neap.gather(workers)
      log.set_level("off")
      log.error("nobody hears") ]]
    local text = without_times(result.stderr)
    assert.is_truthy(text:find("DEBUG thread after\n", 1, true), text)
    assert.is_truthy(text:find("DEBUG process after\n", 1, true), text)
    assert.is_nil(text:find("before", 1, true))
    assert.is_nil(text:find("nobody", 1, true))
  end)

  it("is one of those that there are", function()
    local result = run [[ log.set_level("loud") ]]
    local problem = "bad argument #1 to 'set_level' (one of 'debug', 'info', 'warn', 'error', 'off' expected, got loud)"
    assert.is_truthy(result.stderr:find(problem, 1, true), result.stderr)
  end)
end)

describe("the context", function()
  it("is in every line of the task, until it is closed", function()
    local result = run [[
      do
        local _ <close> = log.context({ request = 17, user = "ann" })
        log.info("in", { user = "bob" })
        neap.spawn(function() log.info("elsewhere", { own = 1 }) end):join()
      end
      log.info("out") ]]
    assert.are.equal("INFO  in request=17 user=bob\nINFO  elsewhere own=1 request=17 user=ann\nINFO  out\n",
      without_times(result.stderr))
  end)

  it("is inherited by tasks, timers, threads and processes, and goes no way back", function()
    local result = run [[
      log.context({ job = 7 })
      local function work(name)
        log.context({ name = name })
        log.info("works")
      end
      neap.spawn(work, "task"):join()
      neap.timer(0, work, "timer"):join()
      neap.thread(work, "thread"):join()
      neap.process(work, "process"):join()
      neap.thread(function() neap.spawn(work, "task of a thread"):join() end):join()
      log.info("main") ]]
    assert.are.equal([[
INFO  works job=7 name=task
INFO  works job=7 name=timer
INFO  works job=7 name=thread
INFO  works job=7 name=process
INFO  works job=7 name="task of a thread"
INFO  main job=7
]], without_times(result.stderr))
  end)

  it("is that of the moment when something is started", function()
    local result = run [[
      do
        local _ <close> = log.context({ n = 1 })
        local task = neap.spawn(function() log.info("task") end)
        log.context({ n = 2, more = 3 })
        task:join()
      end
      print(next(log.context())) ]]
    assert.are.equal("INFO  task n=1\n", without_times(result.stderr))
    assert.are.equal("nil\n", result.stdout)
  end)
end)

describe("a file", function()
  it("is written instead of stderr, and added to", function()
    support.write_file(folder .. "/log", "before\nunfinished")
    local result = run [[ assert(log.configure({ file = path })) log.info("a") log.info("b") ]]
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
    assert.are.equal("before\nunfinished\nINFO  a\nINFO  b\n", written())
  end)

  it("is written beside stderr, in a form of its own", function()
    local result = run [[
      log.configure({ file = { path = path, format = "json" }, stderr = true })
      log.info("a", { n = 1 }) ]]
    assert.are.equal("INFO  a n=1\n", without_times(result.stderr))
    assert.is_truthy(support.read_file(folder .. "/log"):find('^{"time":"' .. TIME ..
      '","level":"info","message":"a","n":1}\n$'))
  end)

  it("is not left to programs that are started, which would keep it when it is rotated", function()
    local result = run [[
      log.configure({ file = { path = path, size = 10, keep = 1 } })
      for _ = 1, 3 do
        log.info("a")
        log.flush()
        io.write(neap.run({ "ls", "-l", "/proc/self/fd" }).stdout:match(path) or "none", " ")
        io.write((select(3, os.execute("ls -l /proc/self/fd | grep -q " .. path))), " ")
      end ]]
    assert.are.same({ status = 0, stdout = ("none 1 "):rep(3), stderr = "" }, result)
  end)

  it("is rotated by its size, and so many old ones are kept", function()
    run [[
      log.configure({ file = { path = path, size = 200, keep = 2 } })
      for n = 1, 20 do log.info("line", { n = n }) end ]]
    assert.are.equal("INFO  line n=17\nINFO  line n=18\nINFO  line n=19\nINFO  line n=20\n", written():sub(-64))
    local _, count = (written() .. written("log.1") .. written("log.2")):gsub("\n", "")
    local first = tonumber(written("log.2"):match("n=(%d+)"))
    assert.are.equal(20 - first + 1, count)
    for _, name in ipairs { "log", "log.1", "log.2" } do
      assert.is_true(#support.read_file(folder .. "/" .. name) <= 200)
    end
    assert.is_false(exists("log.3"))
  end)

  it("is rotated by the day", function()
    support.write_file(folder .. "/log", "yesterday\n")
    assert(os.execute("touch -d yesterday " .. folder .. "/log"))
    run [[ log.configure({ file = { path = path, daily = true } }) log.info("a") log.info("b") ]]
    assert.are.equal("INFO  a\nINFO  b\n", written())
    assert.are.equal("yesterday\n", written("log.1"))
    assert.is_false(exists("log.2"))
  end)

  it("that cannot be rotated goes on, which is complained of once", function()
    assert(os.execute(("mkdir %s/log.1 && touch %s/log.1/file"):format(folder, folder)))
    local result = run [[
      log.configure({ file = { path = path, size = 60, keep = 1 } })
      for n = 1, 9 do log.info("line", { n = n }) end
      log.flush()
      assert(neap.fs.remove(path .. ".1", { recursive = true }))
      for _ = 1, 3 do log.info("rotated") end
      log.flush()
      assert(neap.fs.remove(path .. ".1"))
      assert(neap.fs.mkdir(path .. ".1/again", { parents = true }))
      for _ = 1, 3 do log.info("stuck again") end ]]
    local complaint = ("neap.log: %s/log: cannot rotate it: Is a directory\n"):format(folder)
    assert.are.same({ status = 0, stdout = "", stderr = complaint:rep(2) }, result)
  end)

  it("may be a pipe that nobody reads yet", function()
    assert(os.execute("mkfifo " .. folder .. "/log"))
    local result = run [[
      print(log.configure({ file = path }))
      log.info("a")
      log.flush()
      print((neap.run({ "head", "-n", "1", path }).stdout:gsub("^%S+ ", ""))) ]]
    assert.are.same({ status = 0, stdout = "true\nINFO  a\n\n", stderr = "" }, result)
  end)

  it("that cannot be written is refused, and nothing has changed", function()
    local result = run [[ print(log.configure({ file = path .. "s/new" })) log.info("a") ]]
    local problem = "nil\tcannot open %s/logs/new: no such file or directory\tENOENT\n"
    assert.are.equal(problem:format(folder), result.stdout)
    assert.are.equal("INFO  a\n", without_times(result.stderr))
  end)

  it("on a full disk is complained of once, and the program goes on", function()
    local result = run [[
      log.configure({ file = "/dev/full" })
      for _ = 1, 3 do
        log.info("lost")
        log.flush()
      end
      print("goes on") ]]
    assert.are.same({
      status = 0, stdout = "goes on\n",
      stderr = "neap.log: /dev/full: No space left on device; lines are lost until it can be written\n",
    }, result)
  end)

  it("that can be written again says how many lines are missing", function()
    local result = run [[
      local device = path .. ".device"
      assert(os.execute("ln -s /dev/full " .. device))
      log.configure({ file = device })
      for _ = 1, 3 do
        log.info("lost")
        log.flush()
      end
      assert(os.execute("ln -sf " .. path .. " " .. device))
      log.info("here") ]]
    assert.are.equal("INFO  here\nWARN  3 lines could not be written\n", written())
    assert.are.equal(0, result.status)
  end)

  it("is refused without a path, and with options that there are not", function()
    for code, problem in pairs {
      ["log.configure({ file = {} })"] = "option 'file': it needs a path",
      ["log.configure({ file = { path = path, age = 1 } })"] = "unknown option 'age' (known: daily, format, keep,",
      ["log.configure({ level = 'loud' })"] = "option 'level': one of 'debug', 'info', 'warn', 'error', 'off' expected",
      ["log.configure({ capacity = 0 })"] = "option 'capacity': a whole number, 1 or more expected, got 0",
    } do
      local result = run(code)
      problem = "script:1: bad argument #1 to 'configure' (" .. problem
      assert.is_truthy(result.stderr:find(problem, 1, true), result.stderr)
    end
  end)
end)

describe("the queue of lines", function()
  -- A fifo that nobody reads holds the writer up. It is opened for both here, so that opening does not wait.
  local slow = [[
    local fifo = path .. ".fifo"
    assert(os.execute("mkfifo " .. fifo))
    local keep_open = assert(io.open(fifo, "r+"))
    log.configure({ file = fifo, capacity = 4, full = FULL })
    local line = ("x"):rep(1000) ]]

  it("makes the one who logs wait when it is full", function()
    local result = run(slow:gsub("FULL", '"block"') .. [[
      local logged = 0
      local task = neap.spawn(function() for _ = 1, 1000 do log.info(line) logged = logged + 1 end end)
      print(task:wait(0.2))
      print(logged < 1000, log.dropped())
      local reader = neap.thread(function(fifo)
        local count = 0
        for _ in io.lines(fifo) do
          count = count + 1
          if count == 1000 then return count end
        end
      end, fifo)
      print(task:wait(), reader:join()) ]])
    assert.are.same({ status = 0, stdout = "nil\ttimeout\ttimeout\ntrue\t0\ntrue\t1000\n", stderr = "" }, result)
  end)

  it("drops lines where nothing can wait, when it is full", function()
    local result = run(slow:gsub("FULL", '"block"') .. [[
      repeat ("x"):gsub("x", function() log.info(line) end) until log.dropped() > 0
      -- So that the rest can be written. It inherits what writes to the fifo, and would read for ever.
      os.execute("timeout 5 cat " .. fifo .. " >/dev/null &") ]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("drops lines when it is full, if that is wanted, counts them, and says so in the log", function()
    local result = run(slow:gsub("FULL", '"drop"') .. [[
      for _ = 1, 1000 do log.info(line) end
      local dropped, kept, told = log.dropped(), 0, 0
      print(dropped > 500)
      for text in io.lines(fifo) do
        local count = text:match("WARN  (%d+) lines were dropped: they came faster than they could be written")
        if count then told = told + tonumber(count) else kept = kept + 1 end
        if kept == 1000 - dropped and told == dropped then break end
      end
      print("all accounted for") ]])
    assert.are.same({ status = 0, stdout = "true\nall accounted for\n", stderr = "" }, result)
  end)
end)

describe("lines of other threads and processes", function()
  it("all come, each whole, and those of one in their order", function()
    run [[
      log.configure({ file = path })
      local pad = ("p"):rep(100)
      local function work(name) for n = 1, 300 do neap.log.info("line", { by = name, n = n, pad = pad }) end end
      local workers = {}
      for i = 1, 3 do
        workers[#workers + 1] = neap.spawn(work, "task" .. i)
        workers[#workers + 1] = neap.thread(work, "thread" .. i)
        workers[#workers + 1] = neap.process(work, "process" .. i)
      end
      neap.gather(workers) ]]
    local last = {}
    for line in written():gmatch("[^\n]*") do
      local by, n = line:match("^INFO  line by=(%w+) n=(%d+) pad=p+$")
      assert.is_truthy(by or line == "", line)
      if by then
        assert.are.equal((last[by] or 0) + 1, tonumber(n))
        last[by] = tonumber(n)
      end
    end
    for _, kind in ipairs { "task", "thread", "process" } do
      for i = 1, 3 do assert.are.equal(300, last[kind .. i]) end
    end
  end)

  it("of a child of a child come too", function()
    local result = run [[
      log.configure({ file = path })
      neap.process(function()
        neap.process(function() neap.log.info("grandchild") end):join()
      end):join() ]]
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
    assert.are.equal("INFO  grandchild\n", written())
  end)

  it("of a child that has configured a log of its own go there", function()
    run [[
      log.configure({ file = path })
      neap.process(function(path)
        neap.log.configure({ file = path .. "2", level = "debug" })
        neap.log.debug("own")
      end, path):join()
      log.debug("not logged")
      log.info("first") ]]
    assert.are.equal("INFO  first\n", written())
    assert.are.equal("DEBUG own\n", written("log2"))
  end)

  it("of a child that was there before go to its stderr, whole", function()
    local result = run [[
      local go = neap.event()
      local child = neap.process(function() go:wait() neap.log.info("early bird") end)
      log.configure({ file = path })
      go:set()
      child:join() ]]
    assert.are.equal("INFO  early bird\n", without_times(result.stderr))
    assert.are.equal("", written())
  end)

  it("follow when the log is configured anew", function()
    run [[
      log.configure({ file = path })
      local go, ready = neap.channel(), neap.channel()
      local thread = neap.thread(function()
        neap.log.info("first")
        ready:send(true)
        go:recv()
        neap.log.info("second")
      end)
      ready:recv()
      log.configure({ file = path .. "2" })
      go:send(true)
      thread:join() ]]
    assert.are.equal("INFO  first\n", written())
    assert.are.equal("INFO  second\n", written("log2"))
  end)
end)

describe("all lines are written", function()
  local endings = {
    ["when the main chunk returns"] = { "", 0 },
    ["after os.exit"] = { "os.exit(7)", 7 },
    ["after os.exit in a thread"] = { "neap.thread(os.exit, 7):join()", 7 },
    ["when the main chunk fails"] = { "error('x')", 1 },
    ["when nothing can go on"] = { "neap.channel():recv()", 1 },
    ["after Ctrl-C"] = { "neap.run({ 'kill', '-INT', tostring(neap.getpid()) }) neap.sleep(100)", 130 },
    ["after SIGTERM"] = { "neap.run({ 'kill', '-TERM', tostring(neap.getpid()) }) neap.sleep(100)", 143 },
  }
  for name, ending in pairs(endings) do
    it(name, function()
      local lines = "log.configure({ file = path }) for n = 1, 500 do log.info('line', { n = n }) end "
      local result = run(lines .. ending[1])
      assert.are.equal(ending[2], result.status)
      assert.are.equal(500, select(2, written():gsub("\n", "")))
    end)
  end

  it("also what is logged while the program ends, by threads too", function()
    run [[
      log.configure({ file = path })
      local ready = neap.channel()
      local function work(name)
        local _ <close> = setmetatable({}, { __close = function() neap.log.info(name) end })
        ready:send(true)
        neap.sleep(1000)
      end
      neap.spawn({ daemon = true }, work, "a task")
      neap.thread({ daemon = true }, work, "a thread")
      ready:recv()
      ready:recv() ]]
    local lines = {}
    for line in written():gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.are.same({ "INFO  a task", "INFO  a thread" }, lines)
  end)

  it("in a plain lua5.4", function()
    local result = support.run_plain([[
      local path = ...
      neap.log.configure({ file = path })
      for n = 1, 500 do neap.log.info("line", { n = n }) end ]], { folder .. "/log" })
    assert.are.equal(0, result.status)
    assert.are.equal(500, select(2, written():gsub("\n", "")))
  end)

  it("when flush returns", function()
    local result = run [[
      log.configure({ file = path })
      for n = 1, 500 do log.info("line", { n = n }) end
      print(log.flush())
      local count = 0
      for _ in io.lines(path) do count = count + 1 end
      print(count) ]]
    assert.are.equal("true\n500\n", result.stdout)
  end)

  it("when flush in a child returns", function()
    local result = run [[
      log.configure({ file = path })
      local function work()
        for n = 1, 100 do neap.log.info("line", { n = n }) end
        return neap.log.flush()
      end
      print(neap.process(work):join())
      local count = 0
      for _ in io.lines(path) do count = count + 1 end
      print(count) ]]
    assert.are.equal("true\n100\n", result.stdout)
  end)
end)
