local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

local assert, describe, it = assert, describe, it

grid.ask("program:wait", {
  blocked = function() return assert(neap.popen({ "cat", stdin = "pipe" })) end,
  wait = function(program, timeout)
    local ended, message, code = program:wait(timeout)
    if not ended then return nil, message, code end
    return ended.code
  end,
  serve = function(program) program.stdin:close() end, served = table.pack(0), all = true, stays = true })

--- Comes back when the process has ended, be it that nobody has reaped it.
local function wait_for_end_of(pid)
  local state
  repeat
    neap.yield()
    local text = neap.fs.read("/proc/" .. pid .. "/stat")
    state = text and text:match("%) (%a)")
  until not state or state == "Z"
end

describe("neap.run", function()
  it("runs a program and tells what it wrote and how it ended", function()
    assert.are.same({ code = 0, stdout = "a b\nc\n", stderr = "" }, neap.run({ "echo", "a b\nc" }))
    assert.are.same({ code = 3, stdout = "", stderr = "bad\n" }, neap.run({ "sh", "-c", "echo bad >&2; exit 3" }))
    assert.are.same({ signal = 9, stdout = "", stderr = "" }, neap.run({ "sh", "-c", "kill -9 $$" }))
  end)

  it("gives it its input, however much that is, and be it that it is not read", function()
    local bytes = ("x"):rep(2 ^ 21)
    assert.are.equal(bytes, neap.run({ "cat", stdin = bytes }).stdout)
    assert.are.same({ code = 0, stdout = "", stderr = "" }, neap.run({ "true", stdin = bytes }))
    assert.are.same({ code = 0, stdout = "", stderr = "" }, neap.run({ "cat" }))
  end)

  it("takes what it writes to both streams at once", function()
    local result = neap.run({ "sh", "-c", "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero" })
    assert.are.equal(1000000, #result.stdout)
    assert.are.equal(1000000, #result.stderr)
    assert.are.equal("out\nerr\n", neap.run({ "sh", "-c", "echo out; echo err >&2", stderr = "stdout" }).stdout)
  end)

  it("runs it in another folder, with another environment", function()
    assert.are.equal("/usr\n", neap.run({ "pwd", cwd = "/usr" }).stdout)
    local result = neap.run({ "sh", "-c", 'echo "$ONE|$HOME|$PATH"', env = { ONE = 1, HOME = false } })
    assert.are.equal("1||" .. os.getenv("PATH") .. "\n", result.stdout)
  end)

  it("looks for it in the PATH that it is given", function()
    local folder = os.tmpname()
    os.remove(folder)
    local other = folder .. "/other"
    assert(neap.fs.mkdir(other, { parents = true }))
    local removing <close> = setmetatable({}, { -- luacheck: ignore
      __close = function() neap.fs.remove(folder, { recursive = true }) end,
    })
    assert(neap.fs.write(folder .. "/ls", "#!/bin/sh\necho mine\n", { mode = 493 })) -- 0755
    local paths = { PATH = ("/nowhere::%s:%s:/usr/bin"):format(other, folder) }
    assert.are.equal("mine\n", neap.run({ "ls", env = paths }).stdout)
    assert.are.equal("mine\n", neap.run({ "./ls", cwd = folder, env = paths }).stdout)
    assert.are.same(table.pack(nil, "cannot run ls: no such file or directory", "ENOENT"),
      table.pack(neap.run({ "ls", env = { PATH = other } })))
    assert(neap.fs.write(other .. "/ls", "not a program")) -- may not be run: it is not the last word
    assert.are.equal("mine\n", neap.run({ "ls", env = paths }).stdout)
    assert.are.equal("EACCES", select(3, neap.run({ "ls", env = { PATH = other .. ":/nowhere" } })))
    assert.are.equal(0, neap.run({ "true", env = { PATH = false } }).code)
  end)

  it("tells which folder it was to run in", function()
    local _, message, code = neap.run({ "echo", cwd = "spec/none" })
    assert.are.equal("ENOENT", code)
    assert.are.equal("cannot run echo in spec/none: no such file or directory", message)
  end)

  it("tells that there is no such program", function()
    assert.are.same(table.pack(nil, "cannot run nonesuch: no such file or directory", "ENOENT"),
      table.pack(neap.run({ "nonesuch" })))
    assert.are.equal("ENOENT", (select(3, neap.run({ "true", cwd = "spec/none" }))))
  end)

  it("tells that something is no program by the system's name for that", function()
    local path = os.tmpname()
    assert(neap.fs.write(path, "nothing that the system could run"))
    os.execute("chmod +x " .. path)
    assert.are.same(table.pack(nil, ("cannot run %s: Exec format error"):format(path), "ENOEXEC"),
      table.pack(neap.run({ path })))
    os.remove(path)
  end)

  it("kills it, and what it has started, when its time is over", function()
    local result = neap.run({ "sh", "-c", "sleep 1000 & echo $!; wait", timeout = 0.2 })
    assert.is_nil(result)
    local program <close> = neap.popen({ "sh", "-c", "sleep 1000 & echo $!; wait", stdout = "pipe" })
    local pid = program.stdout:read("line")
    program:close()
    wait_for_end_of(pid)
    assert.is_false(program:is_alive())
  end)

  it("kills what it has started also when it has ended itself", function()
    local told = os.tmpname()
    local command = { "sh", "-c", "sleep 1000 & echo $! >" .. told, timeout = 0.1 }
    local function started() return neap.fs.read(told):match("^(%d+)\n") end
    repeat
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(neap.run(command)))
      command.timeout = 2 * command.timeout
    until started()
    wait_for_end_of(started())

    assert(neap.fs.write(told, ""))
    command.timeout = nil
    local task = neap.spawn(neap.run, command)
    while not started() do neap.yield() end
    task:cancel()
    grid.assert_cancelled(task)
    wait_for_end_of(started())
    os.remove(told)
  end)

  it("leaves alone what has nothing to do with its streams any more", function()
    local result = neap.run({ "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!", timeout = 1000 })
    local pid = result.stdout:match("%d+")
    assert.is_truthy(neap.fs.read("/proc/" .. pid .. "/stat"):find("%) [^ZX]"))
    os.execute("kill -9 " .. pid)
  end)

  it("kills it when its task is cancelled", function()
    local ready = os.tmpname()
    local task = neap.spawn(neap.run, { "sh", "-c", "echo $$ >" .. ready .. "; exec sleep 1000" })
    local pid = ""
    while not pid:find("%d+\n") do pid = neap.fs.read(ready) end
    task:cancel()
    grid.assert_cancelled(task)
    wait_for_end_of(pid:match("%d+"))
    os.remove(ready)
  end)

  it("runs several at once", function()
    local fifo = os.tmpname()
    os.remove(fifo)
    neap.run({ "mkfifo", fifo })
    local reader = neap.spawn(neap.run, { "cat", fifo }) -- each needs the other
    local writer = neap.spawn(neap.run, { "sh", "-c", "echo met >" .. fifo })
    assert.are.equal("met\n", reader:join().stdout)
    assert.are.equal(0, writer:join().code)
    os.remove(fifo)
  end)

  it("refuses a command that makes no sense", function()
    for _, bad in ipairs({ {}, { {} }, { "a\0b" }, { "true", foo = 1 }, { "true", timeout = -1 },
      { "true", stdin = 1 }, { "true", cwd = "/\0tmp" }, { "true", env = { ["A=B"] = "c" } },
      { "true", env = { "A=b" } }, { "true", env = { A = {} } }, { "true", env = { A = "b\0c" } } }) do
      local ok, message = pcall(neap.run, bad)
      assert.is_false(ok)
      assert.is_truthy(message:find("bad argument #1 to 'run'", 1, true), message)
    end
    assert.is_false((pcall(neap.run, "true")))
  end)
end)

describe("a program", function()
  it("is talked to while it runs", function()
    local program <close> = neap.popen({ "cat", stdin = "pipe", stdout = "pipe" })
    program.stdin:write("one\n")
    assert.are.equal("one", (program.stdout:read("line")))
    assert.is_true(program:is_alive())
    program.stdin:close()
    assert.are.same({ code = 0 }, program:wait())
    assert.are.same({ code = 0 }, program:wait())
    assert.is_false(program:is_alive())
  end)

  it("tells at which place it was sent what is no signal", function()
    local program <close> = neap.popen({ "true" })
    local _, message = pcall(function() program:kill("NONE") end)
    assert.is_truthy(message:find("^[^[]+:%d+: bad argument #1 to 'kill' %(no signal is named 'NONE'%)"), message)
  end)

  it("is sent signals by name and number", function()
    local program <close> = neap.popen({ "sleep", "1000" })
    assert.is_true(program:kill("TERM"))
    assert.are.same({ signal = 15 }, program:wait())
    assert.is_false(program:kill())
    local other <close> = neap.popen({ "sleep", "1000" })
    assert.is_true(other:kill(1))
    assert.are.same({ signal = 1 }, other:wait())
    assert.is_false((pcall(other.kill, other, "NOPE")))
  end)

  it("is waited for at the end of its block, and killed when that ends with an error", function()
    local kept
    do
      local program <close> = neap.popen({ "cat", stdin = "pipe" })
      kept = program
    end
    assert.are.same({ code = 0 }, kept:wait(0))
    pcall(function()
      local program <close> = neap.popen({ "sleep", "1000" })
      kept = program
      error("left")
    end)
    assert.are.same({ signal = 9 }, kept:wait(0))
  end)

  --- Runs `body(program)` in a task that is cancelled, which leaves its block well all the same.
  local function leave_cancelled(body)
    local kept, closed_outside
    local task = neap.spawn(function()
      local outside <close> = setmetatable({}, { __close = function() -- luacheck: ignore
        neap.yield()
        closed_outside = true
      end })
      kept = neap.popen({ "sleep", "1000", stdout = "pipe" })
      body(kept)
    end)
    while not kept do neap.yield() end
    task:cancel()
    grid.assert_cancelled(task)
    assert.is_false(kept:is_alive())
    assert.are.same({ signal = 9 }, kept:wait(0))
    assert.error_matches(function() kept.stdout:read() end, "closed")
    assert.is_true(closed_outside)
  end

  it("is closed when its task is cancelled while it is waited for at the end of its block", function()
    leave_cancelled(function(program) local held <close> = program end) -- luacheck: ignore
  end)

  it("is closed when its task was cancelled before the end of its block", function()
    leave_cancelled(function(program)
      local held <close> = program -- luacheck: ignore
      neap.current():cancel()
    end)
  end)

  it("is closed for good by a task that was cancelled", function()
    leave_cancelled(function(program)
      neap.current():cancel()
      program:close()
      neap.yield()
    end)
  end)

  it("is killed when it is collected", function()
    local program = neap.popen({ "sleep", "1000" })
    local pid = program.pid
    program = nil -- luacheck: ignore
    collectgarbage()
    assert.are.equal("ENOENT", (select(3, neap.fs.stat("/proc/" .. pid)))) -- reaped, too
  end)

  it("has signals as if nobody had touched them", function()
    local result = support.run_script([[
      print(neap.run({ "sh", "-c", "kill -INT $$; echo survived" }).signal)
      print(neap.run({ "sh", "-c", "kill -PIPE $$; echo survived" }).signal)
      print(neap.run({ "sh", "-c", "kill -XFSZ $$; echo survived" }).signal)]])
    assert.are.same({ status = 0, stdout = "2\n13\n25\n", stderr = "" }, result)
  end)

  it("comes after what was printed before", function()
    local result = support.run_script([[
      io.write("first ")
      neap.popen({ "echo", "second" }):wait()
      print("third")]])
    assert.are.same({ status = 0, stdout = "first second\nthird\n", stderr = "" }, result)
  end)

  it("leaves no descriptor and no zombie", function()
    local result = support.run_script([[
      local function count() return #neap.fs.list("/proc/self/fd") end
      neap.run({ "true" })
      collectgarbage()
      local before = count()
      for _ = 1, 100 do neap.run({ "true" }) neap.run({ "nonesuch" }) end
      collectgarbage()
      print(count() - before)
      print(neap.run({ "sh", "-c", "ps -o stat= --ppid " .. neap.getpid() .. " | grep -c Z" }).stdout)]])
    assert.are.same({ status = 0, stdout = "0\n0\n\n", stderr = "" }, result)
  end)
end)
