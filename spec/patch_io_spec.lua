-- neap.patch_all: files, pipes and programs of the standard library. What the patched functions return is compared with
-- what a plain lua5.4 returns, which knows nothing of us.

local neap = require "neap"
local support = require "spec.support"

local run_script, run_plain = support.run_script, support.run_plain

--- For the head of a script: fifo() makes a named pipe, and returns its path.
local fifo = [[
local function fifo()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  return path
end
]]

--- Runs as a plain Lua script: `show(name, ...)` prints results, `try(name, fn, ...)` results or the error; `path` is a
-- file with a few lines, `numbers` one with numerals, `empty` an empty one, `long` one of half a megabyte, `new` a name
-- to write to.
local script = [==[
  local path, numbers, empty, long, new = ...

  local function text(value)
    if type(value) == "string" and #value > 60 then return ("%d bytes ending in %q"):format(#value, value:sub(-3)) end
    if type(value) == "string" then return ("%q"):format(value) end
    if io.type(value) then return io.type(value) end
    return math.type(value) and math.type(value) .. " " .. tostring(value) or tostring(value)
  end

  local function show(name, ...)
    local texts = {}
    for i = 1, select("#", ...) do texts[i] = text((select(i, ...))) end
    print(name, table.concat(texts, ", "))
  end

  local function try(name, fn, ...) show(name, pcall(fn, ...)) end

  local formats = {
    {}, { "l" }, { "L" }, { "a" }, { "n" }, { 0 }, { 1 }, { 3 }, { 100 }, { 1000000 }, { "*l" }, { "*a" }, { "*n" },
    { "l", "l" }, { "L", "l", "L" }, { "n", "n", "l" }, { "n", "n", "n", "n", "n", "n", "n", "n" }, { 2, "l", 0, "a" },
    { "a", "a" }, { "a", "l" }, { "a", 0 }, { 5, 5, 5 }, { "l", "n", "a" }, { 1.0 }, { 0, 0 },
    { "l", "l", "l", "l", "l" },
  }

  --- Reads with each list of formats, again and again to the end, from what `open` returns.
  local function read_all_ways(kind, open)
    for number, list in ipairs(formats) do
      local file = open()
      for again = 1, 4 do show(("%s %d.%d"):format(kind, number, again), file:read(table.unpack(list))) end
      file:close()
    end
  end

  for name, source in pairs { path = path, numbers = numbers, empty = empty, long = long } do
    _G["ways_" .. name] = function()
      read_all_ways("file " .. name, function() return assert(io.open(source)) end)
      read_all_ways("pipe " .. name, function() return assert(io.popen("cat " .. source .. " 2> /dev/null")) end)
    end
  end
  ways_path() ways_numbers() ways_empty() ways_long()

  -- what comes in pieces
  local slowly = "exec 2>/dev/null; for piece in 'ab' 'c\\nde' 'f\\n12' '3 0x' '1F 1e' '5 -' '.5' ' x\\n' 'end'; do " ..
    "printf \"$piece\"; sleep 0.01; done"
  local lists = { { "l", "l", "n", "n", "n", "n", "n", "l", "a" }, { "a" }, { 4, 3, 1, "a" },
    { "L", "L", 5, "L", "l", "l" } }
  for number, list in ipairs(lists) do
    local file = io.popen(slowly)
    show("slowly " .. number, file:read(table.unpack(list)))
    show("slowly " .. number, file:read("a"), file:close())
  end

  -- lines
  for _, source in ipairs { path, empty, long } do
    local count, size = 0, 0
    for line in io.lines(source) do count, size = count + 1, size + #line end
    show("lines", count, size)
    count = 0
    for line in io.lines(source, "L") do count, size = count + 1, size + #line end
    show("lines L", count, size)
    for a, b in io.lines(source, 1, 2) do show("lines 1 2", a, b) break end
  end
  for line in io.popen("seq 3; exit 2"):lines() do show("lines of a program", line) end
  local file = io.open(path)
  for line in file:lines("L") do show("lines of a file", line) end
  show("is open", io.type(file))
  local step = file:lines()
  file:close()
  try("a step of a closed file", step)
  try("lines of a closed file", file.lines, file)
  try("lines of nothing", function() for _ in io.lines("/dev/null/none") do end end)
  local iterator, a, b, opened = io.lines(path)
  show("what io.lines returns", type(iterator), a, b, io.type(opened))
  while iterator() do end
  show("closed at the end", io.type(opened))
  try("one step more", iterator)

  -- the default files
  show("io.input", io.type(io.input(path)))
  show("io.read", io.read("l", "n", "a"))
  for line in io.lines() do show("io.lines", line) end
  show("close of the input", io.close(io.input()))
  try("io.read of a closed one", io.read)
  io.input(io.stdin)
  show("stdin", io.read("n", "l", "L", 3))
  for line in io.lines() do show("stdin", line) end
  show("stdin", io.read("a"), io.read("a"))
  show("stdin", io.read("l"))

  -- writing
  local out = assert(io.open(new, "w"))
  show("write", out:write("a", 1, " ", 1.5, 2.0, "\n", ("x"):rep(10000), "\n"))
  show("seek", out:seek(), out:seek("set", 1), out:seek("cur", 2), out:seek("end", -1))
  show("setvbuf", out:setvbuf("no"), out:setvbuf("full", 64), out:setvbuf("line"))
  show("write", out:write("end"), out:flush())
  show("close", out:close())
  try("write to a closed one", out.write, out, "x")
  try("flush of a closed one", out.flush, out)
  try("close of a closed one", out.close, out)
  show("type", io.type(out), tostring(out), io.type(5))
  show("again", io.open(new):read("a"))
  out = io.open(new, "a+")
  show("append", out:write("more"), out:seek("set", 0), out:read("l"), out:seek("end"))
  show("close", out:close())
  show("write to one that was opened to read", io.open(new):write("x"))
  show("open nothing", io.open("/dev/null/file"))
  show("open a folder", io.open("/tmp"):read("a"))
  try("open wrongly", io.open, new, "z")
  show("a full disk", io.open("/dev/full", "w"):write(("x"):rep(100000)))
  local full = io.open("/dev/full", "w")
  show("what is left at the close", full:write("x") == full, full:close())
  show("devices", io.open("/dev/null"):read("a", "l"), #io.open("/dev/zero"):read(10))
  try("a wrong format", function() io.open(path):read("x") end)
  try("a wrong value", function() io.open(new, "w"):write({}) end)
  try("a wrong value of io.write", function() io.write({}) end)
  try("no file", function() io.stdout.write(5) end)

  -- programs
  local commands = { "true", "false", "exit 3", "kill -9 $$", "kill -TERM $$", "nonexistent-command 2> /dev/null" }
  for _, command in ipairs(commands) do
    show("execute", os.execute(command))
    show("popen", io.popen(command):close())
    show("popen w", io.popen(command, "w"):close())
  end
  show("execute", os.execute())
  local sink = io.popen("wc -c", "w")
  sink:setvbuf("full", 100000)
  show("popen w", sink:write(("y"):rep(300000), 12, 1.5))
  show("popen w", sink:flush(), sink:flush(), sink:close())
  show("popen r", io.popen("true"):flush())
  local upper = io.popen("tr a-z A-Z > " .. new, "w")
  show("popen w", upper:write("some words\n", 1, "\n"), io.close(upper))
  show("popen w", io.open(new):read("a"))
  try("popen wrongly", function() io.popen("true", "z") end)
  do
    local closing <close> = io.popen("echo closing; exit 1")
    show("popen", closing:read("a"))
  end
]==]

local function in_task(code)
  return "neap.patch_all() neap.patch_all() neap.spawn(function(...) " .. code .. " end, ...):join()"
end

describe("neap.patch_all, files and programs:", function()
  local inputs <const> = {
    "first line\n\n 12 words\nlast, without an end",
    " 1 -2.5 0x1F 1e3 .5e-2 0x.8p1\n+7 nan 12abc 3",
    "",
    (("a line of some length, again and again\n"):rep(13000)) .. "the end",
    "",
  }
  local files, arguments = {}, {}

  setup(function()
    for i, text in ipairs(inputs) do
      files[i] = support.temporary_file(text)
      arguments[i] = files[i].path
    end
  end)

  teardown(function()
    for _, path in ipairs(arguments) do os.remove(path) end
  end)

  local function run(runner, code)
    local result = runner(code, arguments, { input = "5 rest\nline two\nabcd\nmore\nlast", limit = 120 })
    result.stdout = result.stdout:gsub("0x%x+", "0x"):gsub("script:%d+: ", "")
    return result
  end

  local function original()
    return run(function(code, given, options)
      local file <close> = support.temporary_file(code)
      local words = { support.lua, support.quote(file.path) }
      for _, argument in ipairs(given) do words[#words + 1] = support.quote(argument) end
      local result = support.run_command(table.concat(words, " "), options)
      result.stdout = result.stdout:gsub(file.path:gsub("%p", "%%%0"), "script")
      return result
    end, script)
  end

  local function assert_same(expected, result)
    assert.are.equal("", result.stderr)
    local lines = {}
    for line in expected.stdout:gmatch("[^\n]*\n") do lines[#lines + 1] = line end
    local at = 0
    for line in result.stdout:gmatch("[^\n]*\n") do
      at = at + 1
      assert.are.equal(lines[at], line)
    end
    assert.are.equal(#lines, at)
    assert.are.equal(0, result.status)
  end

  it("in a task every function returns what the original does", function()
    local expected = original()
    assert.are.equal("", expected.stderr)
    assert_same(expected, run(run_script, in_task(script)))
    assert_same(expected, run(run_plain, in_task(script)))
  end)

  it("where no task runs the originals do the work", function()
    assert_same(original(), run(run_plain, "neap.patch_all() " .. script))
  end)

  it("only the task waits that opens a named pipe, to read it or to write to it", function()
    local result = run_script(fifo .. [[
      neap.patch_all()
      local path = fifo()
      local reader = neap.spawn(function()
        local file = assert(io.open(path))
        local line = file:read("l")
        return line, file:close()
      end)
      while reader:status() ~= "waiting" do neap.yield() end
      local writer = assert(io.open(path, "w"))
      assert(writer:write("one\n"):close())
      print(reader:join())
      local written = neap.spawn(function()
        local file <close> = assert(io.open(path, "a"))
        return (file:write("two\nthree\n")) == file
      end)
      while written:status() ~= "waiting" do neap.yield() end
      print("goes on")
      for line in io.lines(path) do print(line) end
      print(written:join())
      os.remove(path)
    ]])
    assert.are.same({ status = 0, stderr = "", stdout = "one\ttrue\ngoes on\ntwo\nthree\ntrue\n" }, result)
  end)

  it("who opens a named pipe that nobody reads can be cancelled, and leaves nothing open", function()
    local result = run_script(fifo .. [[
      neap.patch_all()
      local path = fifo()
      local writer = neap.spawn({ quiet = true }, io.open, path, "w")
      while writer:status() ~= "waiting" do neap.yield() end
      writer:cancel()
      print(writer:wait(), writer:status())
      while neap.active_count() > 1 do neap.sleep(0.001) end
      print(io.open(path .. "/nowhere", "w"))
      os.remove(path)
    ]])
    assert.are.equal("", result.stderr)
    assert.is_truthy(result.stdout:match("^true\tcancelled\nnil\t[^\n]*Not a directory\t%d+\n$"), result.stdout)
  end)

  it("only the task waits that reads from a program, writes to one, or waits for one", function()
    local result = run_script(fifo .. [[
      neap.patch_all()
      local gates = { fifo(), fifo(), fifo() }
      local reader = neap.spawn(function()
        local file = io.popen("cat " .. gates[1])
        local line = file:read("l")
        return line, file:close()
      end)
      local waiter = neap.spawn(function() return os.execute("read line < " .. gates[2] .. "; exit 5") end)
      local writer = neap.spawn(function()
        local file = io.popen("read line < " .. gates[3] .. "; cat > /dev/null", "w")
        local written = file:write(("x"):rep(1000000)) == file
        return written, file:close()
      end)
      for _, task in ipairs { reader, waiter, writer } do
        while task:status() ~= "waiting" do neap.yield() end
      end
      print("goes on")
      for i, gate in ipairs(gates) do os.execute(("echo line %d > %s"):format(i, gate)) end
      print(reader:join())
      print(waiter:join())
      print(writer:join())
      for _, gate in ipairs(gates) do os.remove(gate) end
    ]])
    assert.are.same({ status = 0, stderr = "", stdout = "goes on\n" ..
      "line 1\ttrue\texit\t0\nnil\texit\t5\ntrue\ttrue\texit\t0\n" }, result)
  end)

  it("a read that is cancelled takes nothing", function()
    local result = run_script [[
      neap.patch_all()
      local go = os.tmpname()
      os.remove(go)
      local wait = "until test -e " .. go .. "; do sleep 0.01; done; "
      local file = io.popen("printf 'half a '; " .. wait .. "printf 'line\n12'; echo 3")
      file:read(0) -- something has come
      for _, format in ipairs { "l", "a", 100, "n" } do
        print(neap.timeout(0.05, file.read, file, format))
      end
      io.open(go, "w"):close()
      print(file:read("l", "n"))
      os.remove(go)
    ]]
    assert.are.same({ status = 0, stderr = "",
      stdout = ("nil\ttimeout\ttimeout\n"):rep(3) .. "nil\n" .. "half a line\t123\n" }, result)
  end)

  it("lines are whole, though several tasks read them from one file", function()
    local result = run_script [[
      neap.patch_all()
      local file = io.popen("for i in 1 2 3 4 5 6; do printf 'a li'; sleep 0.005; echo ne; done")
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = neap.spawn(function()
          local count = 0
          for line in file:lines() do
            assert(line == "a line", line)
            count = count + 1
          end
          return count
        end)
      end
      local all = 0
      for _, task in ipairs(tasks) do all = all + task:join() end
      print(all)
    ]]
    assert.are.same({ status = 0, stdout = "6\n", stderr = "" }, result)
  end)

  it("who reads a file waits for a line that another task has begun to read", function()
    local result = run_script(fifo .. [[
      neap.patch_all { io = true } -- os.execute holds up this thread
      local gate = fifo()
      local file = io.popen("printf 'a li'; read line < " .. gate .. "; printf 'ne\nnext\n'")
      file:read(0) -- a part of it has come
      local first = neap.spawn(file.read, file, "l")
      neap.yield()
      os.execute("echo > " .. gate .. "; sleep 0.05")
      print(file:read("l"), first:join())
      file:close()
      os.remove(gate)
    ]])
    assert.are.same({ status = 0, stdout = "next\ta line\n", stderr = "" }, result)
  end)

  it("what is collected without having been closed is waited for, as ever", function()
    local result = run_script [[
      neap.patch_all()
      do io.popen("read line; echo $line", "w"):write("collected\n") end
      collectgarbage() collectgarbage()
      print("after")
    ]]
    assert.are.same({ status = 0, stdout = "collected\nafter\n", stderr = "" }, result)
  end)

  it("misuse is told with the place of who called, in the words of the originals", function()
    local calls = [==[
      for _, code in ipairs {
        "f:read('x')", "f:write({})", "f.write(5)", "f.flush({})", "f.close(5)", "f.lines(5)", "io.read('x')",
        "for _ in io.lines(path, 'l', 'x') do end", "for _ in f:lines({}) do end", "for _ in f:lines(1.5) do end",
        "for _ in io.lines(path, 'x') do end", "io.lines(nil, table.unpack({}, 1, 300))", "io.lines('/dev/null/none')",
        "io.open(path, 'zz')", "io.close(5)", "io.popen({})", "io.popen('true', 'x')", "os.execute({})",
        "io.output(io.tmpfile()):close() io.write('x')", "io.flush()", "io.close()",
        "f:close() f:write('x')", "f:close() f:flush()", "f:close() f:lines()", "f:close() f:close()",
      } do
        f = io.type(f) == "file" and f or io.tmpfile()
        print(code, select(2, pcall(assert(load(code, "=user")))))
      end
    ]==]
    local with <close> = support.temporary_file("a\n")
    local head = ("path = %q "):format(with.path)
    local patched, plain = run_script(head .. "neap.patch_all() " .. calls), run_script(head .. calls)
    assert.are.same(plain, patched)
    assert.are.equal(25, select(2, patched.stdout:gsub("\tuser:1: ", "")))
  end)

  it("takes options, and refuses others", function()
    assert.are.same({ status = 0, stderr = "", stdout = "true\ttrue\tfalse\n" }, run_script [[
      local read, lines, execute = io.read, io.lines, os.execute
      neap.patch_all { os = true }
      neap.patch_all { os = true }
      print(io.read == read, io.lines == lines, os.execute == execute)
    ]])
    assert.has_error(function() neap.patch_all { files = true } end)
    assert.has_error(function() neap.patch_all { io = 1 } end)
    assert.has_error(function() neap.patch_all(5) end)
  end)

  it("concerns the state that calls it, and no thread's", function()
    assert.are.same({ status = 0, stderr = "", stdout = "true\n" }, run_script [[
      local before = neap.thread(function() return tostring(io.lines):match("^%a+: %a+") end):join()
      neap.patch_all()
      print(neap.thread(function() return tostring(io.lines):match("^%a+: %a+") end):join() == before)
    ]])
  end)
end)
