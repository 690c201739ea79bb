-- neap --attachable, and neap --attach from elsewhere.

local support = require "spec.support"
local Terminal = require "spec.terminal"
local quote = support.quote

local limit = 60 -- seconds

-- Says its number in the file that it is given, and lives until somebody sets `finish`.
local program = [[
  neap = require "neap"
  finish = neap.event()
  answer = 42
  counter = neap.every({ name = "counter", daemon = true }, 0.001, function() ticks = (ticks or 0) + 1 end)
  local file = io.open(..., "w")
  file:write(neap.getpid(), "\n")
  file:close()
  finish:wait()
  print("finished")]]

local function read_number(path)
  for _ = 1, limit * 50 do
    local file <close> = io.open(path)
    local number = file and file:read("n", "l")
    if number then return number end
    os.execute("sleep 0.02")
  end
  error("the program has not begun")
end

describe("an attachable program", function()
  local folder, pid, finish

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    support.write_file(folder .. "/program.lua", program)
    local command = ("%s --attachable %s/program.lua %s/pid"):format(quote(support.runner), folder, folder)
    finish = support.start_command(command, { environment = { XDG_RUNTIME_DIR = folder } })
    pid = read_number(folder .. "/pid")
  end)

  after_each(function() os.execute("rm -r " .. folder) end)

  --- What is typed, and what comes of it.
  local function attach(input, command)
    return support.run_command((command or "%s --attach %d"):format(quote(support.runner), pid),
      { input = input, environment = { XDG_RUNTIME_DIR = folder } })
  end

  local function printed(text) return { status = 0, stdout = text, stderr = "" } end

  local function finished(text)
    assert.are.same({ status = 0, stdout = text or "finished\n", stderr = "" }, finish())
  end

  it("runs what is typed, among its globals, while it goes on", function()
    assert.are.same(printed("42\n43\nticking\n"), attach([[
      answer
      answer = answer + 1 return answer
      local before = ticks
      repeat neap.sleep(0.001) until ticks > before print("ticking")
    ]]))
    assert.are.same(printed("43\n"), attach("answer\n"))
    attach("finish:set()\n")
    finished()
  end)

  it("sends what is printed there to who has typed it", function()
    assert.are.same(printed("here\t1\nand here\n"), attach('print("here", 1) io.write("and ", "here\\n")\n'))
    attach('_G.print("there") finish:set()\n')
    finished("there\nfinished\n")
  end)

  it("tells errors with the user's frames, and goes on", function()
    local result = attach("local function f() error('boom') end\nlocal function g() f() end\ng()\nx y\n'on'\n")
    assert.are.equal('"on"\n', result.stdout)
    assert.are.equal("prompt:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\tprompt:1: in upvalue 'f'\n"
      .. "\tprompt:1: in upvalue 'g'\n\tprompt:1: in the chunk\nprompt:1: syntax error near 'y'\n", result.stderr)
    attach("finish:set()\n")
    finished()
  end)

  it("answers commands", function()
    local result = attach(":tasks\n:bt main\n")
    assert.is_truthy(result.stdout:find("main +main +waiting +%d+%.%d+ s +wait of event"), result.stdout)
    assert.is_truthy(result.stdout:find("in method 'wait'\n\t" .. folder .. "/program.lua:8: in main chunk", 1, true))
    attach("finish:set()\n")
    finished()
  end)

  it("sends much, whole and in order", function()
    local lines = {}
    for i = 1, 20000 do lines[i] = i .. "\n" end
    local result = attach("for i = 1, 20000 do print(i) end\n")
    assert.are.equal("", result.stderr)
    assert.are.equal(#table.concat(lines), #result.stdout)
    assert.is_true(table.concat(lines) == result.stdout)
    attach("finish:set()\n")
    finished()
  end)

  it("stops what runs for who has gone, and nothing else", function()
    local command = "sh -c 'echo $$ >" .. folder .. "/client; exec %s --attach %d'"
    local kill = ("os.execute('kill -9 $(cat %s/client)')"):format(folder)
    local result = attach("local c <close> = setmetatable({}, {__close = function() finish:set() end}) "
      .. kill .. " neap.sleep(1000)\n", command)
    assert.are.equal(137, result.status)
    finished()
  end)

  it("takes several at once", function()
    local script <close> = support.temporary_file("met = neap.barrier(2)\n")
    attach(support.read_file(script.path))
    local command = ("%s --attach %d"):format(quote(support.runner), pid)
    local environment = { XDG_RUNTIME_DIR = folder }
    local one = support.start_command(command, { input = "met:wait() > 0\n", environment = environment })
    assert.are.same(printed("true\n"), attach("met:wait() > 0\n"))
    assert.are.same(printed("true\n"), one())
    attach("finish:set()\n")
    finished()
  end)

  it("tells who is attached that it ends", function()
    local result = attach("finish:set() neap.sleep(1000)\n")
    assert.are.equal("", result.stdout)
    assert.is_truthy(result.stderr:find("the program has ended\n$"))
    finished()
  end)

  it("can be reached by its user only, and leaves nothing behind", function()
    local stat <close> = io.popen(("stat -c %%a-%%F %s/neap %s/neap/%d"):format(folder, folder, pid))
    assert.are.equal("700-directory", stat:read())
    assert.is_truthy(stat:read():find("-socket$"))
    attach("finish:set()\n")
    finished()
    assert.is_nil(io.open(("%s/neap/%d"):format(folder, pid)))
    assert.are.equal(("neap: cannot attach to %d: there is no such program, or it was not started with --attachable\n")
      :format(pid), attach("1\n").stderr)
  end)

  it("is edited for on a terminal, with completion and interrupts #preempt", function()
    do
      local terminal <close> = Terminal.open {
        command = ("%s --attach %d"):format(quote(support.runner), pid), environment = { XDG_RUNTIME_DIR = folder },
      }
      terminal:find(("attached to neap"))
      terminal:expect(">")
      terminal:write("answ")
      terminal:press("Tab")
      terminal:expect("> answer")
      terminal:press("Enter")
      terminal:expect("> answer", "42", ">")
      terminal:type("print('begun') while true do end")
      terminal:find("\nbegun\n")
      terminal:press("C-c")
      terminal:find("interrupted")
      terminal:expect(">")
      terminal:type("gate = neap.event()")
      terminal:expect(">")
      terminal:type("t = neap.spawn({daemon = true}, function() gate:wait() print('later') end)")
      terminal:expect(">")
      terminal:type("gate:set()")
      terminal:find("later")
      terminal:press("C-d")
      terminal:find("status 0")
    end
    attach("finish:set()\n")
    finished()
  end)
end)

describe("a program that is not attachable", function()
  it("cannot be attached to", function()
    local result = support.run_command(quote(support.runner) .. " --attach 1")
    assert.are.equal(1, result.status)
    assert.are.equal("neap: cannot attach to 1: there is no such program, or it was not started with --attachable\n",
      result.stderr)
  end)

  it("is not made so in a folder that others can look into", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p %s/neap && chmod 755 %s/neap"):format(folder, folder)))
    local result = support.run_command(("%s --attachable -e %s"):format(quote(support.runner),
      quote(("for name in io.popen('ls %s/neap'):lines() do print(name) end"):format(folder))),
      { environment = { XDG_RUNTIME_DIR = folder } })
    os.execute("rm -r " .. folder)
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("needs a number to attach to", function()
    for _, arguments in ipairs { "--attach", "--attach x", "--attach 0", "--attach -1" } do
      local result = support.run_command(quote(support.runner) .. " " .. arguments)
      assert.are.equal(2, result.status)
      assert.is_truthy(result.stderr:find("^neap: %-%-attach needs the number of a process\n"))
    end
  end)
end)
