-- What a program prints: whole lines, in order, all of it.

local support = require "spec.support"
local run_script, run_command, run_plain = support.run_script, support.run_command, support.run_plain

local function printed(stdout) return { status = 0, stdout = stdout, stderr = "" } end

local function lines(prefix, first, last)
  local list = {}
  for i = first, last do list[#list + 1] = prefix .. i .. "\n" end
  return table.concat(list)
end

describe("print and io.write", function()
  local same = [[
    print()
    print(1, 2.0, 2^53, nil, true, "x\0y")
    print(setmetatable({}, { __tostring = function() return "object" end }))
    print((tostring(setmetatable({}, { __name = "Name" })):gsub("0x%x+", "address")))
    print(pcall(print, setmetatable({}, { __tostring = function() error("no", 0) end })))
    print(pcall(print, setmetatable({}, { __tostring = function() return 1 end })))
    print(io.write("a", 1, 2.0, 1/0, -1 // 1, "b\n") == io.stdout)
    print(io.stdout:write("c", 3.5, "\n"):write("d\n") == io.stdout)
    print(io.output():write("e\n") == io.stdout)
    print(io.write() == io.stdout, io.stdout:write() == io.stdout)
    print(pcall(function() io.stdout:write(nil) end))
    print(pcall(function() io.stdout.write({}, 1) end))
    print(pcall(function() io.stdout.write() end))
    print(io.type(io.stdout), tostring(io.stdout):find("^file %(") ~= nil)
    print(io.stdout:flush() == io.stdout, io.flush() == io.stdout)
    print(io.stdout:setvbuf("no"), io.stdout:setvbuf("full"), io.stdout:setvbuf("line", 100))
    print(pcall(function() io.stdout:setvbuf("odd") end))
    print(io.stdout:seek("cur") ~= nil)
    print(pcall(function() io.stdout:seek("odd") end))
    io.write("unfinished")
    print(io.close())
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    print(file:write("one\n", 2, "\n"):write(3.0, "\n") == file, file:seek("cur"), file:setvbuf("full"))
    print(pcall(function() file:write({}) end))
    print(file:flush() == file, io.output(file) == file, io.write("four") == file, io.output(io.stdout) == io.stdout)
    file:close()
    print(pcall(function() file:write("x") end))
    for line in io.lines(path) do print(line) end
    io.output(path)
    io.write("other")
    io.flush()
    print(pcall(io.write, {}))
    io.output():close()
    print(pcall(io.write, "x"))
    print(pcall(io.flush))
    io.output(io.stdout)
    print(io.open(path):read("a"))
    os.remove(path)]]

  it("say and return what they do in a plain Lua", function()
    local plain = run_command("lua5.4 -", { input = same })
    assert.are.equal("", plain.stderr)
    assert.are.equal(plain.stdout, run_command(support.quote(support.runner) .. " -", { input = same }).stdout)
  end)

  it("do so in a thread, and with the module in a plain lua5.4", function()
    local plain = run_command("lua5.4 -", { input = same })
    local inside = ("neap.thread(load(%q, '=stdin')):join()"):format(same)
    assert.are.equal(plain.stdout, run_script(inside).stdout)
    assert.are.equal(plain.stdout, run_command("env LUA_CPATH=" ..
      support.quote(os.getenv("LUA_CPATH") or "./build/?.so;;") .. " lua5.4 -", { input = "require 'neap'; " .. same })
      .stdout)
  end)

  it("write what was printed before a program is started before what that prints", function()
    assert.are.same(printed("1\n2\n3\n"), run_script([[print(1) os.execute("echo 2") print(3)]]))
    assert.are.same(printed("1\n2\n3\n"), run_script([[
      neap.thread(function() print(1) os.execute("echo 2") print(3) end)]]))
  end)

  it("leave stderr alone", function()
    assert.are.same({ status = 0, stdout = "", stderr = "ab" }, run_script([[
      io.stderr:write("a")
      neap.thread(function() io.stderr:write("b") end):join()]]))
  end)
end)

describe("io.stderr:write", function()
  -- So that what is written to the same terminal as stdout meanwhile does not come in between.
  it("writes all its arguments at once", function()
    local neap = require "neap"
    local ear <close> = neap.net.udp("127.0.0.1") -- hears each write as a packet of its own
    local _, port = ear:address()
    local code = [[print(io.stderr:write("a", 1, 2.5, 2.0, "b\n") == io.stderr, io.stderr:write() == io.stderr)]]
    local command = ("exec %s -e %s 2>/dev/udp/127.0.0.1/%d"):format(support.runner, support.quote(code), port)
    local result = run_command("bash -c " .. support.quote(command))
    assert.are.same(printed("true\ttrue\n"), result)
    assert.are.equal("a12.52b\n", (ear:recv(10)))
    assert.is_nil((ear:recv(0)))
  end)

  it("does not look at an argument that has been collected", function()
    assert.are.same({ status = 0, stdout = "", stderr = ("a" .. ("x"):rep(64)):rep(1000) }, run_script([[
      collectgarbage("incremental", 100, 1000, 40) -- each step goes round
      for _ = 1, 1000 do io.stderr:write("a", ("x"):rep(64)) end]]))
  end)
end)

describe("the output of a thread", function()
  it("is there although it exits, fails or is cancelled: 300 lines are 300 lines", function()
    local all = lines("line ", 1, 300) .. "tail"
    for how, status in pairs { ["return"] = 0, ["os.exit(3)"] = 3, ["error('x')"] = 1, ["neap.sleep(60)"] = 0 } do
      local result = run_script(([[
        local done = neap.event()
        local thread = neap.thread({ quiet = true }, function(done)
          local neap = require "neap"
          for i = 1, 300 do io.write("line ", i) io.write("\n") end
          io.write("tail")
          done:set()
          %s
        end, done)
        done:wait()
        if %q == "neap.sleep(60)" then thread:cancel() end
        thread:wait()]]):format(how, how))
      assert.are.same({ status = status, stdout = all, stderr = "" }, result)
    end
  end)

  it("is there before join and wait return", function()
    local result = run_script([[
      neap.thread(function() io.write("unfinished") end):join()
      print("|")
      neap.thread(function() io.write("unfinished") end):wait()
      print("|")]])
    assert.are.same(printed("unfinished|\nunfinished|\n"), result)
  end)

  it("is in order with what it wakes others for", function()
    assert.are.same(printed(lines("", 1, 200)), run_script([[
      local there, back = neap.channel(), neap.channel()
      neap.thread(function(there, back)
        for i in there:iter() do print(i + 1) back:send(true) end
      end, there, back)
      for i = 1, 200, 2 do
        io.write(i, "\n")
        there:send(i)
        back:recv()
      end
      there:close()]]))
  end)

  it("waits for the end of a line, or for flush", function()
    local result = run_script([[
      local step, done = neap.channel(), neap.channel()
      local thread = neap.thread(function(step)
        io.write("one ")
        step:recv()
        io.write("line\nflushed ")
        io.flush()
        done:send(true)
        step:recv()
        io.stdout:write("again ")
        io.stdout:flush()
        done:send(true)
      end, step)
      io.stdout:setvbuf("no")
      for i = 1, 2 do
        step:send(true)
        done:recv()
        print(i)
      end
      thread:join()
      print(3)]])
    assert.are.same(printed("one line\nflushed 1\nagain 2\n3\n"), result)
  end)

  it("is never torn, however it is written", function()
    local threads, count = 8, 400
    local result = run_script([[
      local threads, count = tonumber(arg[1]), tonumber(arg[2])
      local function work(thread, count)
        local neap = require "neap"
        for i = 1, count do
          local way, tail = i % 5, ("x"):rep(i % 70)
          if way == 0 then
            print("thread", thread, i, tail)
          elseif way == 1 then
            io.write("thread\t", thread, "\t")
            io.write(i, "\t")
            io.write(tail)
            io.write("\n")
          elseif way == 2 then
            io.stdout:write("thread\t", thread):write("\t", i, "\t", tail, "\n")
          elseif way == 3 then
            io.output():write("thread\t", thread, "\t", i)
            io.write("\t", tail, "\n")
          else
            io.write("thread\t", thread, "\t", i, "\t", tail, "\n")
          end
          if i % 50 == 0 then neap.yield() end
        end
      end
      local started = {}
      for thread = 2, threads do started[thread] = neap.thread(work, thread, count) end
      work(1, count)]], { threads, count })
    assert.are.equal(0, result.status)
    assert.are.equal("", result.stderr)
    local last = {}
    for line in result.stdout:gmatch("([^\n]*)\n") do
      local thread, i, tail = line:match("^thread\t(%d+)\t(%d+)\t(x*)$")
      assert.is_truthy(thread, line)
      i = tonumber(i)
      assert.are.equal((last[thread] or 0) + 1, i)
      assert.are.equal(i % 70, #tail)
      last[thread] = i
    end
    for thread = 1, threads do assert.are.equal(count, last[tostring(thread)]) end
  end)
end)

describe("output that cannot be written", function()
  local function run_into(path, code)
    return run_command(("sh -c %s"):format(support.quote(("%s -e %s >%s"):format(support.quote(support.runner),
      support.quote(code), path))))
  end

  it("is reported at the end, and makes the status 1", function()
    local message = "neap: cannot write to standard output: No space left on device\n"
    for _, code in ipairs { "print(1)", "io.write(1)", "for i = 1, 1e5 do io.write(i) end" } do
      assert.are.same({ status = 1, stdout = "", stderr = message }, run_into("/dev/full", code))
    end
    assert.are.same({ status = 1, stdout = "", stderr = message },
      run_into("/dev/full", "require 'neap'.thread(print, 1):join()"))
    assert.are.same({ status = 3, stdout = "", stderr = message }, run_into("/dev/full", "print(1) os.exit(3)"))
  end)

  it("is no harm where nothing is written", function()
    assert.are.same({ status = 0, stdout = "", stderr = "" }, run_into("/dev/full", "local x = 1"))
    assert.are.same({ status = 0, stdout = "", stderr = "" }, run_into("&-", "local x = 1"))
  end)

  it("does not go to what is opened, where there is no standard output, nor is that an end of the program", function()
    local code = [[
      local neap, file = require "neap", ...
      assert(neap.fs.write(file, "a file"))
      local opened = assert(neap.fs.open(file, "r+"))
      local listener = assert(neap.net.listen("127.0.0.1", 0))
      io.write("text")
      io.stdout:flush()
      io.stderr:write("text")
      assert(not io.read())
      assert(neap.run({ "cat", stdin = "x" }).stdout == "x")
      assert(neap.thread(function() return neap.fs.read(file) end):join() == "a file")
      opened:close()
      listener:close() ]]
    local script <close> = support.temporary_file(code)
    local file <close> = support.temporary_file()
    local module = "LUA_CPATH=" .. support.quote(os.getenv("LUA_CPATH") or "./build/?.so;;")
    for _, program in ipairs({ support.quote(support.runner), ("env %s %s"):format(module, support.lua) }) do
      for _, closed in ipairs({ "<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-" }) do
        local command = ("%s %s %s %s"):format(program, script.path, file.path, closed)
        local result = run_command("sh -c " .. support.quote(command))
        assert.is_true(result.status <= 1, closed .. result.stderr) -- 1: it could not write
        assert.are.equal("a file", support.read_file(file.path))
      end
    end
  end)

  it("is told to who writes", function()
    local result = run_into("/dev/full", [[
      io.stdout:setvbuf("no")
      io.stderr:write(table.concat({ tostring((select(1, io.write("x")))), (select(2, io.write("x"))) }, " "))]])
    assert.are.equal(1, (result.stderr:find("nil No space left on device", 1, true)))
  end)

  it("because nobody reads ends the program quietly and in order, with the status of SIGPIPE", function()
    local close = [[
      local neap = require "neap"
      local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.001) io.stderr:write("closed ") end })
      ]]
    for _, code in ipairs {
      "while true do print(1) end",
      "while true do io.write(1, '\\n') end",
      "neap.thread(function() while true do print(1) end end):join()",
      "neap.spawn(function() while true do io.stdout:write(1, '\\n') neap.yield() end end):join()",
      "while true do pcall(print, 1) neap.sleep(0.001) end",
    } do
      local command = ("bash -c %s"):format(support.quote(("%s -e %s | head -n 1; exit ${PIPESTATUS[0]}"):format(
        support.quote(support.runner), support.quote(close .. code))))
      assert.are.same({ status = 141, stdout = "1\n", stderr = "closed " }, run_command(command))
    end
  end)

  it("does not reach the programs that it starts", function()
    assert.are.same(printed("y\nnil\tnil\n141\n"), run_script([[
      local pipe = io.popen("bash -c 'yes 2>&1 | head -n 1; echo ${PIPESTATUS[0]}'")
      print(pipe:read("l"))
      print(nil, nil)
      print(pipe:read("l"))]]))
  end)

  it("is an error where it is another file", function()
    assert.are.same(printed("nil\tBroken pipe\t32\n"), run_script([[
      local pipe = io.popen("exec true", "w")
      pipe:setvbuf("no")
      local written
      repeat written = table.pack(pipe:write("x")) until not written[1] -- once it has ended
      print(table.unpack(written, 1, written.n))]]))
  end)

  it("that a thread is stuck in does not hold up the end #preempt", function()
    local code = [[
      local begun = neap.event()
      neap.thread(function()
        neap.shield(function()
          begun:set()
          io.write(("x"):rep(1000000), "\n") -- more than a pipe holds; also when the end comes first
        end)
      end)
      begun:wait()
      os.exit(3)]]
    local command = ("d=$(mktemp -d); mkfifo $d/pipe; exec 3<>$d/pipe; rm -r $d; exec %s -e %s >&3"):format(
      support.quote(support.runner), support.quote('local neap = require "neap" ' .. code))
    local result = run_command("sh -c " .. support.quote(command))
    assert.are.equal(3, result.status)
    assert.is_truthy(result.stderr:find("was asked to end and does not answer", 1, true), result.stderr)
  end)
end)

describe("in a plain lua5.4", function()
  it("lines of the main chunk and of threads stay whole", function()
    local result = run_plain([[
      local threads = {}
      local function work(name)
        for i = 1, 500 do
          io.write(name, " ")
          print("line", i)
        end
      end
      for i = 1, 3 do threads[i] = neap.thread(work, "thread" .. i) end
      work("main")
      for _, thread in ipairs(threads) do thread:join() end]])
    assert.are.equal("", result.stderr)
    local count = 0
    for line in result.stdout:gmatch("([^\n]*)\n") do
      assert.is_truthy(line:find("^%w+ line\t%d+$"), line)
      count = count + 1
    end
    assert.are.equal(2000, count)
  end)
end)

describe("what a process prints", function()
  it("has reached our stdout and stderr before join and wait return", function()
    local result = support.run_script([[
      for i = 1, 3 do
        neap.process(function()
          for n = 1, 300 do print("line " .. n) end
          io.stderr:write("on stderr\n")
          if i == 2 then os.exit(0) end
          io.write("unfinished")
        end):wait()
        io.write("|\n")
      end
    ]])
    local written = lines("line ", 1, 300)
    assert.are.equal(0, result.status)
    assert.are.equal(written .. "unfinished|\n" .. written .. "|\n" .. written .. "unfinished|\n", result.stdout)
    assert.are.equal(("on stderr\n"):rep(3), result.stderr)
  end)

  it("comes whole, however it ends", function()
    local result = support.run_script([[
      local ends = { function() end, function() error("x") end, function() neap.event():wait() end }
      for i, last in ipairs(ends) do
        local p = neap.process({ quiet = true }, function()
          for n = 1, 300 do print(i .. ":" .. n) end
          last()
        end)
        if i == 3 then
          while p:status() ~= "waiting" do neap.yield() end
          p:cancel()
        end
        pcall(p.join, p)
      end
    ]])
    local _, count = result.stdout:gsub("%d:%d+\n", "")
    assert.are.equal(900, count)
  end)

  it("does not block it: one that has written a lot is joined first", function()
    local result = support.run_script([[
      local p = neap.process(function()
        for i = 1, 20000 do print("0123456789") end
        io.stderr:write(("e"):rep(200000), "\n")
      end)
      p:join()
    ]])
    assert.are.equal(("0123456789\n"):rep(20000), result.stdout)
    assert.are.equal(200001, #result.stderr)
  end)

  it("comes line by line, from many at once", function()
    local result = support.run_script([[
      local all = {}
      for i = 1, 6 do
        all[i] = neap.process(function()
          for n = 1, 500 do io.write("<", i, " ", n) neap.yield() io.write(">\n") io.flush() end
        end)
      end
      for _, p in ipairs(all) do p:join() end
    ]])
    local count = 0
    for line in result.stdout:gmatch("[^\n]*\n") do
      assert.matches("^<%d %d+>\n$", line)
      count = count + 1
    end
    assert.are.equal(3000, count)
  end)

  it("may be written by what it has started, and join does not wait for that", function()
    local result = support.run_script([[
      neap.process(function() os.execute("(sleep 30; echo late) & echo early") end):join()
      print("joined")
      os.execute("pkill -f '[s]leep 30'")
    ]])
    assert.are.equal("early\njoined\n", result.stdout)
  end)
end)

describe("a process that is started at a prompt", function()
  it("prints there, and tells there of its failure", function()
    local result = support.run_command(support.quote(support.runner) .. " -i", { input = [[
p = neap.process(function() print("from a process") return 42 end)
p:join()
q = neap.process({ name = "q" }, function() error("oops", 0) end)
q:wait()
]] })
    assert.matches("from a process\n42\n", result.stdout)
    assert.matches("true\n", result.stdout)
  end)
end)
