-- The parts of the prompt that need no terminal: what is complete, what becomes of locals, how values are shown, what
-- may be completed, and what the reference says; and the prompt that reads from a pipe or a file.

local support = require "spec.support"
local neap = require "neap"
local quote = support.quote

local function load_part(name, ...) return assert(loadfile(("scripts/prompt/%s.lua"):format(name)))(...) end

local show = load_part("show")
local chunk = load_part("chunk")
local complete = load_part("complete", neap)
local doc = load_part("doc")

describe("a value is shown", function()
  it("as it would be written", function()
    for text, value in pairs {
      ["42"] = 42, ["1.5"] = 1.5, ["true"] = true, ['"a\\nb\\"\\\\\\x00\\x1b"'] = 'a\nb"\\\0\27', ['"naïve"'] = "naïve",
      ['"\\xff"'] = "\xff", ["{}"] = {}, ["{1, 2, 3}"] = { 1, 2, 3 }, ["{a = 1}"] = { a = 1 },
    } do
      assert.are.equal(text, show(value))
    end
    assert.are.equal("nil", show(nil))
  end)

  it("with keys sorted, numbers first", function()
    assert.are.equal('{10, [0.5] = 1, [7] = 2, ["a b"] = 3, ["end"] = 4, x = 5, y = 6, [true] = 7}',
      show { 10, [7] = 2, [0.5] = 1, x = 5, y = 6, ["a b"] = 3, ["end"] = 4, [true] = 7 })
  end)

  it("on several lines when one is too short", function()
    assert.are.equal('{\n  "aaaaaaaa",\n  {x = 1, y = {2, 3}},\n  name = {\n    inner = "bbbbbbbbbbbbbbb",\n  },\n}',
      show({ "aaaaaaaa", { x = 1, y = { 2, 3 } }, name = { inner = "bbbbbbbbbbbbbbb" } }, { width = 25 }))
    local numbers = {}
    for i = 1, 20 do numbers[i] = i end
    assert.are.equal("{\n  1, 2, 3, 4, 5, 6, 7,\n  8, 9, 10, 11, 12, 13,\n  14, 15, 16, 17, 18,\n  19, 20,\n}",
      show(numbers, { width = 24 }))
  end)

  it("with its cycles", function()
    local t = { child = { name = "c" } }
    t.self, t.child.parent, t.child.me = t, t, t.child
    assert.are.equal('{\n  child = {me = <cycle: .child>, name = "c", parent = <cycle: the whole>},\n'
      .. "  self = <cycle: the whole>,\n}", show(t, { width = 75 }))
    local shared = { 1 }
    assert.are.equal("{{1}, {1}}", show { shared, shared })
  end)

  it("cut where it is too much", function()
    assert.are.equal('"aaaa"... (10 bytes)', show(("a"):rep(10), { bytes = 4 }))
    assert.are.equal('"é"... (6 bytes)', show("ééé", { bytes = 3 }))
    assert.are.equal("{1, 2, ... 2 more}", show({ 1, 2, 3, 4 }, { items = 2 }))
    assert.are.equal("{a = 1, ... 1 more}", show({ a = 1, b = 2 }, { items = 1 }))
    assert.are.equal("{{{...}}}", show({ { { {} , 1 } } }, { depth = 2 }))
    local wide = {}
    for i = 1, 90 do
      wide[i] = {}
      for j = 1, 90 do wide[i][j] = j end
    end
    assert.is_true(#show(wide) < 20000)
  end)

  it("by what it says of itself, whatever that does", function()
    assert.are.equal("five", show(setmetatable({}, { __tostring = function() return "five" end })))
    assert.are.equal("Point {x = 1}", show(setmetatable({ x = 1 }, { __name = "Point" })))
    assert.is_truthy(show(setmetatable({}, { __tostring = function() error("no", 0) end })):find("failed: no", 1, true))
    assert.are.equal("{1}", show(setmetatable({ 1 }, { __index = error, __len = error, __pairs = error })))
    assert.is_truthy(show(print):find("^function: builtin.-%(in C%)$") or show(print):find("^function: .-%(in C%)$"))
    assert.is_truthy(show(neap.channel(2)):find("^channel: .- %(0/2%)$"))
  end)

  it("in colours if that is wanted, which take no room", function()
    assert.are.equal('{\27[36m1\27[0m, \27[32m"a"\27[0m}', show({ 1, "a" }, { colour = true, width = 8 }))
  end)
end)

describe("a chunk", function()
  local function state_of(text) return (chunk.read(text, "=prompt")) end

  it("is complete when it can be run", function()
    for _, text in ipairs { "1 + 1", "=1", "f()", "x = 1", "local x", "do end", "-- nothing", "", "return 1",
      "[[\n]]" } do
      assert.are.equal("complete", state_of(text), text)
    end
  end)

  it("goes on when only its end is missing", function()
    for _, text in ipairs { "1 +", "=1 +", "f(", "x =", "local", "do", "if x then", "function f()", "{1,", "[[",
      "--[[ a", "for i = 1, 2 do\nprint(i)", "'a\\" } do
      assert.are.equal("incomplete", state_of(text), text)
    end
  end)

  it("is wrong when more lines cannot mend it", function()
    for _, text in ipairs { "x y", "break", "goto nowhere", "1 + + 1", "end", "'abc", "= x y", "x = = 1" } do
      assert.are.equal("error", state_of(text), text)
    end
  end)

  it("declares the locals that stand outside of blocks", function()
    for text, names in pairs {
      ["local a, b <const> = 1, 2"] = "a b", ["local c <close> = x"] = "",
      ["local function f() local g end"] = "f",
      ["do local a end local b"] = "b", ["if x then local a elseif y then local b else local c end local d"] = "d",
      ["while x do local a end for i = 1, 2 do local b end local c"] = "c", ["repeat local a until a local b"] = "b",
      ["-- local a\nlocal b --[[ local c ]]"] = "b", ["local s = 'local x' .. [[local y]] .. \"\\\" local z\""] = "s",
      ["x = function() local a end; local y"] = "y", ["local a local b"] = "a b", ["local a; local a"] = "a",
    } do
      assert.are.equal(names, table.concat(chunk.find_locals(text), " "), text)
    end
  end)

  describe("among others", function()
    local locals

    before_each(function() locals = chunk.new_locals() end)

    local function run(text)
      local state, code, is_expression = chunk.read(text, "=prompt")
      assert.are.equal("complete", state)
      return assert(chunk.compile(locals, code, is_expression, "=prompt", _G))()
    end

    it("finds the locals of those before", function()
      run "local a, b = 1, 2"
      run "local c = a + b"
      assert.are.same({ 1, 2, 3 }, { run "a, b, c" })
      run "local a = 10"
      assert.are.same({ 10, 2, 3 }, { run "a, b, c" })
    end)

    it("shares them with closures", function()
      run "local n = 0; local function add() n = n + 1 return n end"
      run "add() add()"
      assert.are.equal(2, run "n")
      run "n = 10"
      assert.are.equal(11, run "add()")
    end)

    it("finds constants and functions that call themselves", function()
      run "local k <const> = 5 local function fact(n) if n == 0 then return 1 end return n * fact(n - 1) end"
      assert.are.same({ 5, 120 }, { run "k, fact(k)" })
    end)

    it("has locals of its own where it ends with return", function()
      assert.are.equal(5, run "local q = 5 return q")
      assert.is_nil(run "q")
    end)

    it("keeps the newest of very many", function()
      for i = 1, 300 do run(("local v%d = %d"):format(i, i)) end
      assert.are.same({ 300, nil }, { run "v300, v1" })
    end)

    it("says the right line of an error", function()
      run "local a = 1"
      local _, message = pcall(run, "local b = a\n\nerror('boom')")
      assert.are.equal("prompt:3: boom", message)
      _, message = pcall(run, "nothing.field")
      assert.are.equal("prompt:1: attempt to index a nil value (global 'nothing')", message)
    end)
  end)
end)

describe("completion", function()
  local asked
  local inherited = setmetatable({ inherited = print }, { __index = { far = print } })
  local env = {
    neap = neap, channel = neap.channel(), text = "x", string = string,
    t = { alpha = { beta = 1, bent = print }, _hidden = 1, ["no name"] = 1 },
    object = setmetatable({ own = 1 }, { __index = inherited }),
    magic = setmetatable({}, { __index = function() asked = true end, __pairs = function() asked = true end }),
  }
  local scope = {
    lookup = function(name) return env[name] end,
    names = function()
      local name
      return function()
        name = next(env, name)
        return name
      end
    end,
  }
  local function words(text)
    local start, found = complete(text, scope)
    return text:sub(start) .. "|" .. table.concat(found, " ")
  end

  it("knows names and keywords", function()
    assert.are.equal("str|string", words "x = str")
    assert.are.equal("whi|while", words "whi")
    assert.are.equal("te|text", words "a..te")
    assert.are.equal("nothing|", words "nothing")
  end)

  it("knows fields, inherited ones too", function()
    assert.are.equal("al|alpha", words "t.al")
    assert.are.equal("be|bent beta", words "t.alpha.be")
    assert.are.equal("|far inherited own", words "object.")
    assert.are.equal("|alpha", words "t.")
    assert.are.equal("_|_hidden", words "t._")
    assert.are.equal("gath|gather", words "neap.gath")
  end)

  it("knows the parts of the library that nobody has used yet, and what is in them", function()
    assert.are.equal("ht|http", words "neap.ht")
    assert.are.equal("ser|serve", words "neap.http.ser")
    assert.are.equal("po|post", words "neap.http.po")
  end)

  it("knows methods, of handles and strings too", function()
    assert.are.equal("be|bent", words "t.alpha:be")
    assert.are.equal("re|recv", words "channel:re")
    assert.are.equal("up|upper", words "text:up")
    assert.are.equal("up|upper", words '("a b"):up')
    assert.are.equal("up|upper", words '"a b":up')
  end)

  it("calls nothing to find out", function()
    assert.are.equal("a|", words "magic.a")
    assert.are.equal("a|", words "magic.x.a")
    assert.are.equal("a|", words "f().a")
    assert.is_nil(asked)
  end)
end)

describe("the frames of a connection", function()
  local new_connection = load_part("connection", neap)

  --- Calls `fn` with both ends of a connection.
  local function connect(fn)
    local path = os.tmpname()
    os.remove(path)
    local listener <close> = assert(neap.net.listen("unix:" .. path))
    local accepted = neap.spawn(function() return listener:accept() end)
    local stream <close> = assert(neap.net.connect("unix:" .. path))
    local connection <close> = new_connection((assert(accepted:join())))
    fn(connection, stream)
  end

  it("arrive however they are cut", function()
    connect(function(connection, stream)
      local bytes = string.pack("<s4s4s4s4", "line", "1 + 1\n\0", "interrupt", "")
      neap.spawn(function()
        for i = 1, #bytes do
          stream:write(bytes:sub(i, i))
          neap.yield()
        end
        stream:close()
      end)
      assert.are.same({ "line", "1 + 1\n\0" }, { connection:receive() })
      assert.are.same({ "interrupt", "" }, { connection:receive() })
      assert.is_nil(connection:receive())
    end)
  end)

  it("end with what is none", function()
    for _, bytes in ipairs { "GET / HTTP/1.1\r\n\r\n", string.pack("<s4I4", "line", 0xFFFFFFFF), "abc", "" } do
      connect(function(connection, stream)
        stream:write(bytes)
        stream:shutdown()
        assert.is_nil(connection:receive())
      end)
    end
  end)

  it("leave whole", function()
    connect(function(connection, stream)
      assert.is_true(connection:send("out", "some text"))
      assert.is_true(connection:send("state", "ready"))
      connection:drain()
      local expected = string.pack("<s4s4s4s4", "out", "some text", "state", "ready")
      assert.are.equal(expected, stream:read(#expected))
      assert.is_false(connection:send("out", "late"))
    end)
  end)
end)

describe("the reference", function()
  local texts = {}
  for path in io.popen("ls bindings/types/*.lua"):lines() do texts[#texts + 1] = support.read_file(path) end

  it("is found by the names of functions, methods and classes", function()
    assert.is_truthy(doc(texts, "neap.channel"):find("^neap.channel%(capacity%)\n\nMakes a channel"))
    assert.are.equal(doc(texts, "neap.channel"), doc(texts, "channel"))
    assert.is_truthy(doc(texts, "channel:send"):find("^Channel:send%(value, timeout%)\n\nSends a copy"))
    assert.is_truthy(doc(texts, "Channel"):find("^neap.Channel\n\nCarries values"))
    assert.is_truthy(doc(texts, "neap.fs.read"):find("^Fs.read%(path%)\n\nAll of a file"))
    assert.is_truthy(doc(texts, "fs"):find("^neap.Fs\n\nFiles and folders"))
    assert.is_truthy(doc(texts, "join"):find("Queue:join", 1, true))
    assert.is_truthy(doc(texts, "join"):find("Handle:join", 1, true))
  end)

  it("has an entry for everything in the module", function()
    for name in pairs(neap) do
      assert.is_truthy(doc(texts, "neap." .. name), name)
    end
  end)

  it("says what comes near", function()
    local text, near = doc(texts, "chan")
    assert.is_nil(text)
    assert.is_truthy(table.concat(near, " "):find("neap.channel", 1, true))
    assert.are.same({ nil, {} }, { doc(texts, "nothing like it") })
  end)
end)

describe("the prompt on a pipe", function()
  local function run(input, arguments)
    return support.run_command(quote(support.runner) .. " -i " .. (arguments or ""), { input = input })
  end

  --- The same through a pipe; support gives a file.
  local function run_piped(input)
    local command = ("printf %%s %s | %s -i"):format(quote(input), support.runner)
    return support.run_command("sh -c " .. quote(command))
  end

  local function printed(text) return { status = 0, stdout = text, stderr = "" } end

  it("runs what it reads and shows values, and nothing else", function()
    local input = "1 + 1\nlocal a = 'x'\na\nfor i = 1, 2 do\n  print(i)\nend\nnil, {1}\n"
    assert.are.same(printed('2\n"x"\n1\n2\nnil, {1}\n'), run(input))
    assert.are.same(printed('2\n"x"\n1\n2\nnil, {1}\n'), run_piped(input))
  end)

  it("lets what is sent to threads use the library", function()
    assert.are.same(printed("true\n"), run("neap.thread(function() return neap.now() > 0 end):join()\n"))
    assert.are.same(printed("5\n"), run("neap\n", "-e 'neap = 5'"))
  end)

  it("takes a last line without an end", function()
    assert.are.same(printed("7\n"), run_piped("7"))
    assert.are.same(printed("7\n"), run("7"))
  end)

  it("goes on after errors, which tell the user's frames only", function()
    local result = run("local function f() error('boom') end\nlocal function g() f() end\ng()\nx y\n"
      .. "error({code = 3})\n'on'\nfor")
    assert.are.same({
      status = 0, stdout = '"on"\n',
      stderr = "prompt:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\tprompt:1: in upvalue 'f'\n"
        .. "\tprompt:1: in upvalue 'g'\n\tprompt:1: in the chunk\n"
        .. "prompt:1: syntax error near 'y'\nerror: {code = 3}\nstack traceback:\n\t[C]: in function 'error'\n"
        .. "\tprompt:1: in the chunk\nprompt:1: <name> expected near <eof>\n",
    }, result)
  end)

  it("shows errors that are no text as they show themselves", function()
    local result = run("error(setmetatable({}, {__tostring = function() return 'five' end}))\n"
      .. "error({code = 3})\nerror()\n")
    local messages = {}
    for message in result.stderr:gmatch("%f[^\0\n]error: ([^\n]*)\n") do messages[#messages + 1] = message end
    assert.are.same({ "five", "{code = 3}", "nil" }, messages)
  end)

  it("lets what was spawned go on, also after the end", function()
    assert.are.same(printed('"waited"\nlater\n'), run([[
      ch = neap.channel()
      task = neap.spawn(function() ch:send("task") neap.sleep(0.01) print("later") end) and nil
      neap.sleep(0.01) return "waited"
      local _ = assert(ch:recv() == "task")
    ]]))
  end)

  it("tells of failures in the background, and goes on", function()
    local result = run("t = neap.spawn({name = 'worker'}, function() error('boom') end)\nneap.sleep(0.01)\n'on'\n")
    assert.are.same({ status = 1, stdout = '"on"\n', stderr = "worker failed: prompt:1: boom\nstack traceback:\n"
      .. "\t[C]: in function 'error'\n\tprompt:1: in function <prompt:1>\n\tspawned at prompt:1\n" }, result)
  end)

  it("leaves the input after a line to what the line runs", function()
    assert.are.same(printed('"an answer"\n"on"\n'), run("io.read()\nan answer\n'on'\n"))
    assert.are.same(printed('"an answer"\n"on"\n'), run_piped("io.read()\nan answer\n'on'\n"))
  end)

  it("comes after a script or code, with its arguments", function()
    local script <close> = support.temporary_file("answer = 42 print(...)")
    assert.are.same(printed("a\tb\n42\n"), run("answer\n", quote(script.path) .. " a b"))
    assert.are.same(printed("c\n1\n"), run("x\n", "-e 'x = 1 print(...)' c"))
    assert.are.equal(1, run("1\n", "no/such/script.lua").status)
  end)

  it("ends with os.exit, and with :q", function()
    assert.are.same({ status = 3, stdout = "1\n", stderr = "" }, run("1\nos.exit(3)\n2\n"))
    assert.are.same(printed("1\n"), run("1\n:q\n2\n"))
  end)

  describe("has commands:", function()
    it(":help lists them", function()
      local help = run(":help\n").stdout
      for name in ("help tasks threads processes locks bt kill time load doc q"):gmatch("%a+") do
        assert.is_truthy(help:find("\n:" .. name, 1, true), name)
      end
    end)

    it("one that is unknown is told the nearest", function()
      assert.are.same({ status = 0, stdout = "",
        stderr = "no command ':taks'; did you mean :tasks? :help lists them\n" }, run(":taks\n"))
    end)

    it(":tasks says what each waits for", function()
      local result = run("ch = neap.channel()\nt = neap.spawn({name = 'reader'}, function() ch:recv() end)\n"
        .. ":tasks\nch:close()\n")
      assert.matches("reader  main    waiting  %d+%.%d%d s  recv of channel: 0x%x+\n    prompt:1\n",
        result.stdout) -- narrow, so the place is below
    end)

    it(":tasks is cut where there are very many", function()
      local result = run("for i = 1, 300 do neap.spawn({daemon = true}, neap.sleep, 100) end\nneap.yield()\n:tasks\n")
      assert.is_truthy(result.stdout:find("\n... 102 more\n", 1, true), result.stdout:sub(-100))
    end)

    it(":bt shows a stack, :kill cancels", function()
      local result = run("function work() neap.sleep(1000) end\nt = neap.spawn({name = 'worker'}, work)\n:bt worker\n"
        .. ":kill worker\nt:wait()\nt:status()\n:kill worker\n:bt\n")
      assert.is_truthy(result.stdout:find("in function 'neap.sleep'\n\tprompt:1: in function 'work'", 1, true))
      assert.is_truthy(result.stdout:find('worker was asked to stop\ntrue\n"cancelled"\n', 1, true))
      assert.are.equal("no task 'worker'; :tasks lists them\nwhich task? Its id or name is wanted; :tasks lists them\n",
        result.stderr)
    end)

    it(":bt and :kill take a variable, or local, that holds a task", function()
      local result = run([[
        function work() neap.sleep(1000) end
        t = neap.spawn({ name = "one" }, work)
        local other, five = neap.spawn({ name = "two" }, work), 5
        neap.yield()
        :bt t
        :bt other
        :kill other
        other:wait()
        :kill t
        t:wait()
        :bt t
        :bt five
      ]])
      local _, count = result.stdout:gsub("stack traceback:\n\t%[C%]: in function 'neap.sleep'", "")
      assert.are.equal(2, count, result.stdout)
      assert.is_truthy(result.stdout:find("two was asked to stop\ntrue\none was asked to stop\ntrue\n", 1, true))
      assert.are.equal("it has ended\nno task 'five'; :tasks lists them\n", result.stderr)
    end)

    it(":bt and :kill reach other threads", function()
      local result = run([[
        ready = neap.channel()
        t = neap.thread({name = 'far'}, function(ready) ready:send(1) require "neap".sleep(1000) end, ready)
        ready:recv()
        :bt far
        :kill far
        t:wait()
        t:status()
      ]])
      assert.is_truthy(result.stdout:find("stack traceback:\n\t[C]: in", 1, true), result.stdout)
      assert.is_truthy(result.stdout:find('far was asked to stop\ntrue\n"cancelled"\n', 1, true))
    end)

    it(":bt and :kill, of a thread or process, say where its tasks are", function()
      local result = run([[
        function stay() require "neap".sleep(1000) end
        t = neap.thread({ name = 'far', daemon = true }, stay)
        local p = neap.process({ daemon = true }, stay)
        :bt t
        :kill t
        :bt p
        t:is_alive() and p:is_alive()
      ]])
      local thread = "t is a thread: a task of it is wanted; :tasks lists them\n"
      local process = "p is a process: its tasks are not to be seen from here\n"
      assert.are.same({ status = 0, stdout = "true\n", stderr = thread .. thread .. process }, result)
    end)

    it(":threads and :locks", function()
      local result = run([[
        l, ready = neap.lock(), neap.channel()
        function keep(l, ready) l:acquire() ready:send(1) require "neap".sleep(1000) end
        t = neap.thread({name = 'keeper', daemon = true}, keep, l, ready)
        ready:recv()
        :threads
        :locks
      ]])
      assert.is_truthy(result.stdout:find("keeper +waiting +1\n"), result.stdout)
      assert.is_truthy(result.stdout:find("lock: 0x%x+  keeper %(thread keeper%)\n"), result.stdout)
    end)

    it(":processes", function() assert.are.same(printed("no child processes\n"), run(":processes\n")) end)

    it(":time tells the value and the time", function()
      assert.is_truthy(run(":time 6 * 7\n").stdout:find("^42\n%d%.%d+ s, %d%.%d+ s of processor time\n$"))
    end)

    it(":load runs a file", function()
      local script <close> = support.temporary_file("loaded = 7 print('running')")
      assert.are.same(printed("running\n7\n"), run((":load %s\nloaded\n"):format(script.path)))
      assert.are.equal("cannot open no/such/file", run(":load no/such/file\n").stderr:sub(1, 24))
    end)

    it(":doc tells what the reference says", function()
      assert.is_truthy(run(":doc neap.sleep\n").stdout:find("^neap.sleep%(seconds%)\n\nWaits for"))
      assert.are.equal("the reference has no 'sleepy'\n", run(":doc sleepy\n").stderr)
    end)

    it(":doc fits the text to the width", function()
      local shown = run(":doc neap.spawn\n:doc neap.process\n:doc channel:send\n").stdout:gsub("```lua.-```", "")
      for line in shown:gmatch("[^\n]+") do
        assert.is_true(#line <= 80, line)
      end
    end)

    it("that was guessed is told, unless it is a global", function()
      assert.is_truthy(run("quit\n").stdout:find(":q or Ctrl-D leaves", 1, true))
      assert.is_truthy(run("exit()\n").stdout:find(":q or Ctrl-D leaves", 1, true))
      assert.is_truthy(run("help\n").stdout:find(":help lists", 1, true))
      assert.are.same(printed("7\n"), run("help = 7\nhelp\n"))
    end)
  end)
end)
