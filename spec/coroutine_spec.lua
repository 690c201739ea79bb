local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

-- Each is run by a plain lua5.4 without the library, and by the runner: what they print must be the same.
local snippets = {
  ["pcall, its results"] = [[
    print(pcall(function(...) return ... end, 1, nil, 3, nil))
    print(pcall(error)) print(pcall(error, nil)) print(pcall(error, {} ~= nil)) print(pcall(error, "x", 0))
    print(pcall(error, "x")) print(pcall(pcall)) print(pcall(pcall, error, 1)) print(pcall(1)) print(pcall(nil))
    print(select("#", pcall(function() end)))]],
  ["pcall without arguments"] = [[ print(select(2, pcall(function() pcall() end))) ]],
  ["pcall of a callable table"] = [[ print(pcall(setmetatable({}, { __call = function(_, a) return a end }), 5)) ]],
  ["pcall, a stack that is too deep"] = [[
    local function deep() return 1 + deep() end
    local ok, e = pcall(deep) print(ok, (tostring(e):find("stack overflow") ~= nil))
    local function nest() return pcall(nest) end
    print((nest()))]],
  ["xpcall, its results"] = [[
    print(xpcall(function(...) return ... end, print, 1, nil, 3))
    print(xpcall(error, function(e) return "h:" .. tostring(e), 2 end, "x", 0))
    print(xpcall(function() local x = nil; x() end, function(e) return (debug.traceback(e):gsub("\n.*", "")) end))
    print(pcall(xpcall)) print(pcall(xpcall, print)) print(pcall(xpcall, print, 1))
    print(xpcall(nil, function() return 1 end))]],
  ["xpcall, a handler that fails"] = [[
    local ok, e = xpcall(error, function(x) error(x) end, "a") print(ok, type(e))
    print(xpcall(error, function() return nil end, "a"))]],
  ["xpcall inside pcall inside xpcall"] = [[
    print(xpcall(function() return pcall(xpcall, error, function(e) return e .. "!" end, "a", 0) end, print))]],
  ["coroutines, values both ways"] = [[
    local co = coroutine.create(function(...)
      print("in", ...)
      print("in", coroutine.yield(1, nil))
      print("in", coroutine.yield())
      return "end", nil
    end)
    print(coroutine.resume(co, "a", nil)) print(coroutine.resume(co)) print(coroutine.resume(co, nil, 2))
    print(coroutine.resume(co)) print(coroutine.status(co))]],
  ["coroutines, many values"] = [[
    local co = coroutine.wrap(function(...) while true do coroutine.yield(select("#", ...), ...) end end)
    print((co(table.unpack({}, 1, 200)))) print(select("#", co()))
    local n = coroutine.create(function() return table.unpack({}, 1, 5000) end)
    print(select("#", coroutine.resume(n)))]],
  ["coroutines, errors"] = [[
    local co = coroutine.create(function() error("x") end)
    print(coroutine.resume(co)) print(coroutine.status(co)) print(coroutine.resume(co)) print(coroutine.close(co))
    local t = {} co = coroutine.create(error) print(select(2, coroutine.resume(co, t)) == t)
    print(coroutine.resume(coroutine.create(error), nil))
    print(pcall(coroutine.wrap(function() error("w") end)))
    print(pcall(coroutine.wrap(function() error(t) end)) == false)
    print(pcall(coroutine.wrap(function() error("w", 0) end)))
    local w = coroutine.wrap(function() end) w() print(pcall(w))]],
  ["coroutines, wrong arguments"] = [[
    for _, f in ipairs({ "create", "wrap", "resume", "status", "close" }) do
      print(f, pcall(coroutine[f])) print(f, pcall(coroutine[f], 1)) print(f, pcall(coroutine[f], {}))
    end
    print(pcall(coroutine.create, nil))
    print(pcall(coroutine.isyieldable, 1))]],
  ["coroutines, status"] = [[
    local outer, inner
    outer = coroutine.create(function()
      inner = coroutine.create(function()
        print(coroutine.status(outer), coroutine.status(inner))
        print(coroutine.resume(outer)) print(coroutine.resume(inner)) print(pcall(coroutine.close, outer))
        print(pcall(coroutine.close, inner))
        coroutine.yield()
      end)
      print(coroutine.status(inner)) coroutine.resume(inner) print(coroutine.status(inner))
    end)
    print(coroutine.status(outer)) coroutine.resume(outer) print(coroutine.status(outer), coroutine.status(inner))]],
  ["coroutines, running and isyieldable"] = [[
    local co, main = coroutine.running() print(type(co), main, coroutine.isyieldable(), coroutine.status(co))
    print(coroutine.resume(co)) print(pcall(coroutine.close, co)) print(coroutine.isyieldable(co))
    print(coroutine.wrap(function()
      local c, m = coroutine.running()
      return type(c), m, coroutine.isyieldable(), coroutine.status(c),
        coroutine.isyieldable(co), coroutine.isyieldable(c)
    end)())
    local fresh = coroutine.create(print) print(coroutine.isyieldable(fresh))]],
  ["yield outside of a coroutine"] = [[ print(pcall(coroutine.yield, 1)) print(select("#", pcall(coroutine.yield))) ]],
  ["yield across pcall, xpcall, metamethods, iterators"] = [[
    local y = coroutine.yield
    local mt = { __index = function(_, k) return y("index", k) end,
      __newindex = function(_, k, v) y("newindex", k, v) end,
      __add = function() return y("add") end, __concat = function() return y("concat") end,
      __lt = function() return y("lt") end, __le = function() return y("le") end, __eq = function() return y("eq") end,
      __len = function() return y("len") end, __call = function(_, ...) return y("call", ...) end,
      __unm = function() return y("unm") end, __close = function() y("close") end }
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    local co = coroutine.wrap(function()
      print(pcall(y, "p")) print(xpcall(y, print, "x")) print(a.k) a.k = 1
      print(a + 1, a .. "s", "s" .. a .. "t", a < b, a <= b, a == b)
      print(#a, a(1, 2), -a)
      do local _ <close> = a end
      for i in function() return y("iterator") end do print(i) end
      print(select(2, pcall(error, y("argument"), 0)))
      print(table.unpack({ y("table"), y("twice") }))
      return "end"
    end)
    local i = 0
    local r = { co() }
    while r[1] ~= "end" do
      print("out", table.unpack(r))
      i = i + 1
      if r[1] == "iterator" and i % 2 == 0 then r = { co() } else r = { co(i) } end
    end]],
  ["yield where Lua cannot"] = [[
    local co = coroutine.wrap(function()
      print(pcall(table.sort, { 3, 2, 1 }, function() coroutine.yield() end))
      print(pcall(string.gsub, "a", "a", coroutine.yield))
      print(pcall(load, coroutine.yield))
    end)
    co()]],
  ["closing: pending variables"] = [[
    local function tbc(name) return setmetatable({}, { __close = function(_, e) print(name, e) end }) end
    local function make(fail)
      return coroutine.create(function()
        local a <close> = tbc("a")
        local b <close> = setmetatable({}, { __close = function() if fail then error("b", 0) end print("b") end })
        coroutine.yield(1)
      end)
    end
    for _, fail in ipairs({ false, true }) do
      local co = make(fail) print(coroutine.close(co)) print(coroutine.status(co))
      co = make(fail) coroutine.resume(co) print(coroutine.close(co)) print(coroutine.status(co))
      print(coroutine.close(co))
    end]],
  ["closing: in a wrap that fails"] = [[
    print(pcall(coroutine.wrap(function()
      local a <close> = setmetatable({}, { __close = function(_, e) print("closing", e) end })
      error("x", 0)
    end)))]],
  ["closing: generic for"] = [[
    local function closer() return setmetatable({}, { __close = function() print("closed") end }) end
    for i in coroutine.wrap(function() coroutine.yield(1) end), nil, nil, closer() do print(i) end
    for i in coroutine.wrap(function() coroutine.yield(1) end), nil, nil, closer() do break end
    print(pcall(function() for i in next, { 1 }, nil, closer() do error("x", 0) end end))]],
  ["wrap in wrap, errors with positions"] = [[
    print(pcall(coroutine.wrap(function() coroutine.wrap(function() error("deep") end)() end)))]],
  ["resume in resume, a dead one within"] = [[
    local dead = coroutine.create(print) coroutine.resume(dead)
    print(coroutine.wrap(function() return coroutine.resume(dead) end)())]],
  ["resume as an iterator and through pcall"] = [[
    local co = coroutine.create(function() for i = 1, 3 do coroutine.yield(i) end end)
    for ok, v in coroutine.resume, co do print(ok, v) if v == nil then break end end
    print(pcall(coroutine.resume, coroutine.create(error), "x"))]],
  ["nested as deeply as Lua allows"] = [[
    local function nest(depth) if depth == 0 then return "bottom" end return coroutine.wrap(nest)(depth - 1) end
    print(nest(150)) print((pcall(nest, 1000)))]],
  ["a generator of permutations"] = [[
    local function permute(a, n)
      if n == 0 then coroutine.yield(table.concat(a)) end
      for i = 1, n do a[n], a[i] = a[i], a[n] permute(a, n - 1) a[n], a[i] = a[i], a[n] end
    end
    for p in coroutine.wrap(function() permute({ "a", "b", "c" }, 3) end) do io.write(p, " ") end print()]],
  ["debug.traceback of a coroutine"] = [[
    local co = coroutine.create(function() local function inner() coroutine.yield() end inner() end)
    coroutine.resume(co)
    print(debug.traceback(co)) print(debug.traceback(co, "m")) print(debug.traceback(co, nil, 1))
    print(debug.getinfo(co, 1, "l").currentline)]],
}

describe("coroutine.*, pcall and xpcall behave as in plain Lua:", function()
  for name, code in pairs(snippets) do
    it(name, function()
      local script <close> = support.temporary_file(code)
      local function run(command)
        local result = support.run_command(command .. " " .. support.quote(script.path))
        result.stdout = result.stdout:gsub("0x%x+", "ADDRESS"):gsub("%f[%w]lua5.4: ", "")
        return result
      end
      local inside <close> = support.temporary_file(([[
        local neap = require "neap"
        neap.spawn(function() assert(loadfile(%q))() end):join()]]):format(script.path))
      local expected = run(support.lua)
      assert.are.same({ 0, "" }, { expected.status, expected.stderr })
      assert.are.same(expected, run(support.quote(support.runner)))
      local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
      assert.are.same(expected, run("env LUA_CPATH=" .. support.quote(path) .. " " .. support.lua .. " -lneap"))
      -- and in a task that is not the main one
      local in_task = support.run_command(support.quote(support.runner) .. " " .. support.quote(inside.path))
      assert.are.same(expected.stdout, (in_task.stdout:gsub("0x%x+", "ADDRESS")))
    end)
  end
end)

--- Waits, and lets others run meanwhile.
local function wait(value)
  neap.sleep(0)
  neap.yield()
  local channel = neap.channel()
  neap.spawn(channel.send, channel, true)
  assert(channel:recv())
  return value
end

local function in_task(fn, ...) return neap.spawn({ quiet = true }, fn, ...):join() end

describe("waiting", function()
  it("works inside a generator, which yields its own values only", function()
    local seen = in_task(function()
      local values = {}
      for value in coroutine.wrap(function()
        for i = 1, 3 do
          wait()
          coroutine.yield(i)
          wait()
        end
      end) do
        wait()
        table.insert(values, value)
      end
      return values
    end)
    assert.are.same({ 1, 2, 3 }, seen)
  end)

  it("works inside resume, and its results come through", function()
    in_task(function()
      local co = coroutine.create(function(...)
        wait()
        local given = table.pack(coroutine.yield(wait("first"), nil))
        wait()
        return given.n, ...
      end)
      assert.are.same(table.pack(true, "first", nil), table.pack(coroutine.resume(co, "a", nil)))
      wait()
      assert.are.same(table.pack(true, 3, "a", nil), table.pack(coroutine.resume(co, nil, nil, nil)))
      assert.are.equal("dead", coroutine.status(co))
    end)
  end)

  it("works before an error, which comes through", function()
    in_task(function()
      local err = {}
      local co = coroutine.create(function()
        wait()
        error(err)
      end)
      assert.are.same(table.pack(false, err), table.pack(coroutine.resume(co)))
      assert.are.equal("dead", coroutine.status(co))
      assert.are.same(table.pack(false, err), table.pack(pcall(coroutine.wrap(function()
        wait()
        error(err)
      end))))
    end)
  end)

  for _, depth in ipairs({ 1, 10, 150, 190 }) do -- Lua allows 200 calls of C
    it("works " .. depth .. " coroutines deep", function()
      local function nest(left)
        if left == 0 then return wait("bottom") end
        wait()
        local value = coroutine.wrap(nest)(left - 1)
        return wait(value)
      end

      local ok, value = pcall(in_task, nest, depth)
      assert.are.same({ true, "bottom" }, { ok, value })
    end)
  end

  it("works in 190 coroutines at once, of which each waits by itself", function()
    local function generator(n)
      return coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(wait(n * i)) end
      end)
    end
    local tasks = {}
    for n = 1, 190 do
      tasks[n] = neap.spawn(function()
        local sum = 0
        for value in generator(n) do sum = sum + value end
        return sum
      end)
    end
    for n = 1, 190 do assert.are.equal(6 * n, (tasks[n]:join())) end
  end)

  it("works inside pcall and xpcall, with and without errors", function()
    in_task(function()
      assert.are.same(table.pack(true, 1, nil), table.pack(pcall(function() return wait(1), nil end)))
      assert.are.same(table.pack(false, "x"), table.pack(pcall(function() error(wait("x"), 0) end)))
      assert.are.same(table.pack(true, 2), table.pack(xpcall(wait, print, 2)))
      assert.are.same(table.pack(false, "handled x"),
        table.pack(xpcall(function() error(wait("x"), 0) end, function(e) return "handled " .. e end)))
      assert.are.same(table.pack(false, "outer inner"), table.pack(pcall(function()
        local _, e = pcall(function() error(wait("inner"), 0) end)
        wait()
        error("outer " .. e, 0)
      end)))
    end)
  end)

  it("works inside metamethods", function()
    in_task(function()
      local meta = {}
      for _, name in ipairs({ "index", "add", "concat", "lt", "le", "eq", "len", "call", "unm" }) do
        meta["__" .. name] = function() return wait(name) end
      end
      function meta.__newindex(t, k, v) rawset(t, k, wait(v)) end
      local a, b = setmetatable({}, meta), setmetatable({}, meta)
      assert.are.same({ "index", "add", "concat", "unm", "len", "call" }, { a.x, a + b, a .. b, -a, #a, a() })
      assert.is_true(a < b and a <= b and a == b)
      a.field = "value"
      assert.are.equal("value", rawget(a, "field"))
    end)
  end)

  it("works inside __close, also when the scope is left by an error", function()
    in_task(function()
      local closed = {}
      local function closer(name)
        return setmetatable({}, { __close = function(_, err) table.insert(closed, wait(name) .. tostring(err)) end })
      end
      do
        local _ <close> = closer("a ")
        wait()
      end
      pcall(function()
        local _ <close> = closer("b ")
        local _ <close> = closer("c ")
        error("x", 0)
      end)
      assert.are.same({ "a nil", "c x", "b x" }, closed)
    end)
  end)

  it("works inside iterators and their closing value", function()
    in_task(function()
      local seen = {}
      local closing = setmetatable({}, { __close = function() table.insert(seen, wait("closed")) end })
      local function iterate(_, i)
        if i < 3 then return wait(i + 1) end
      end
      for i in iterate, nil, 0, closing do table.insert(seen, wait(i)) end
      for i in iterate, nil, 0, closing do if i == 2 then break end end
      assert.are.same({ 1, 2, 3, "closed", "closed" }, seen)
      local keys = 0
      for _ in pairs(setmetatable({}, { __pairs = function() return wait(next), { 1, 2 } end })) do keys = keys + 1 end
      assert.are.equal(2, keys)
    end)
  end)

  it("works inside dofile", function()
    in_task(function()
      local file <close> = support.temporary_file()
      support.write_file(file.path, "return wait_of_the_spec('from a file')")
      rawset(_G, "wait_of_the_spec", wait)
      local value = dofile(file.path)
      rawset(_G, "wait_of_the_spec", nil)
      assert.are.equal("from a file", value)
    end)
  end)
end)

describe("where Lua cannot yield", function()
  local obstacles = {
    ["table.sort"] = function(fn) table.sort({ 3, 2, 1 }, fn) end,
    ["string.gsub"] = function(fn) return (("abc"):gsub(".", fn)) end,
    load = function(fn) return assert(load(fn)) end,
    require = function(fn)
      package.preload["a module of the spec"] = function() return fn() end
      package.loaded["a module of the spec"] = nil
      return require("a module of the spec")
    end,
  }
  for name, call in pairs(obstacles) do
    it("a wait names " .. name, function()
      local ok, message = pcall(in_task, call, function() neap.sleep(1) end)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find("cannot wait inside " .. name .. ": Lua cannot yield across it", 1, true),
        message)
    end)

    it("a wait inside coroutines inside " .. name .. " names it as well", function()
      local says = "cannot wait inside " .. name .. ": Lua cannot yield across it"
      local function wait_deep() coroutine.wrap(function() neap.sleep(1) end)() end
      local ways = { coroutine.wrap(function() neap.sleep(1) end), coroutine.wrap(wait_deep), wait_deep }
      for _, wait_there in ipairs(ways) do
        local ok, message = pcall(in_task, call, wait_there)
        assert.is_false(ok)
        assert.is_truthy(tostring(message):find(says, 1, true), message)
      end
    end)

    it("a wait names " .. name .. ", not what can be yielded across", function()
      local file <close> = support.temporary_file()
      support.write_file(file.path, "wait_of_the_spec()")
      rawset(_G, "wait_of_the_spec", function() neap.sleep(1) end)
      local held, condition = neap.lock(), neap.condition()
      local passable = {
        function() return dofile(file.path) end,
        function() return held:with(neap.sleep, 1) end,
        function() return condition:with(function() return condition:wait_for(function() neap.sleep(1) end) end) end,
        function() return neap.value("i32"):update(function() neap.sleep(1) end) end,
        function() return neap.dict():update("key", function() neap.sleep(1) end) end,
      }
      for i, call_on in ipairs(passable) do
        local ok, message = pcall(in_task, call, call_on)
        assert.is_false(ok)
        message = tostring(message)
        assert.is_truthy(message:find("cannot wait inside " .. name .. ": ", 1, true), i .. ": " .. message)
      end
      rawset(_G, "wait_of_the_spec", nil)
    end)

    it("what need not wait is done inside " .. name, function()
      local channel, received = neap.channel(10), {}
      in_task(pcall, call, function()
        channel:send("x", 0)
        table.insert(received, (channel:recv()))
        neap.yield() -- gives way where it can
        return nil
      end)
      assert.are.equal("x", received[1])
    end)

    it("a timeout of 0 is tried inside " .. name, function()
      local code
      in_task(pcall, call, function()
        code = select(3, neap.channel():recv(0))
        return nil
      end)
      assert.are.equal("timeout", code)
    end)
  end

  it("a finaliser cannot wait, and is told so", function()
    local message
    in_task(function()
      setmetatable({}, { __gc = function() message = select(2, pcall(neap.sleep, 1)) end })
      collectgarbage()
      collectgarbage()
    end)
    assert.is_truthy(tostring(message):find("cannot wait inside __gc", 1, true), tostring(message))
  end)

  it("the task goes on unharmed", function()
    assert.are.equal("unharmed", (in_task(function()
      pcall(table.sort, { 3, 2, 1 }, function() neap.sleep(1) end)
      return wait("unharmed")
    end)))
  end)
end)

describe("a coroutine that the engine has suspended", function()
  it("cannot be resumed, wrapped on or closed by another task", function()
    local gate, co = neap.event(), nil
    local owner = grid.parked_task(function()
      co = coroutine.create(function()
        gate:wait()
        coroutine.yield("its value")
        return "end"
      end)
      return coroutine.resume(co)
    end)
    assert.are.equal("normal", coroutine.status(co))
    assert.are.same(table.pack(false, "cannot resume non-suspended coroutine"), table.pack(coroutine.resume(co)))
    assert.has_error(function() coroutine.close(co) end, "cannot close a normal coroutine")
    gate:set()
    assert.are.same(table.pack(true, "its value"), table.pack(owner:join()))
    assert.are.equal("suspended", coroutine.status(co))
    assert.are.same(table.pack(true, "end"), table.pack(coroutine.resume(co)))
  end)

  it("cannot be called by another task through its wrap", function()
    local gate = neap.event()
    local generator = coroutine.wrap(function()
      gate:wait()
      return "value"
    end)
    local owner = grid.parked_task(generator)
    local ok, message = pcall(generator)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot resume non-suspended coroutine", 1, true))
    gate:set()
    assert.are.equal("value", (owner:join()))
  end)

  it("that has yielded by itself goes on in any task", function()
    local generator = coroutine.wrap(function()
      local tasks = {}
      for i = 1, 4 do
        wait()
        table.insert(tasks, neap.current())
        coroutine.yield(i)
      end
      return tasks
    end)
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = neap.spawn(generator)
      assert.are.equal(i, (tasks[i]:join()))
    end
    assert.are.same(tasks, in_task(generator))
  end)
end)

describe("coroutine.close", function()
  it("closes what waits inside __close with an error that says that it cannot wait there", function()
    local message
    in_task(function()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() message = select(2, pcall(neap.sleep, 1)) end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert(coroutine.close(co))
    end)
    assert.is_truthy(tostring(message):find("cannot wait inside coroutine.close: ", 1, true), tostring(message))
  end)

  it("returns the error of a variable that could not be closed, and the task goes on", function()
    in_task(function()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() neap.sleep(1) end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      local ok, message = coroutine.close(co)
      assert(not ok and tostring(message):find("cannot wait", 1, true))
      wait()
    end)
  end)
end)

describe("the base of a task", function()
  it("looks like the main chunk: it is running, not yieldable, and cannot yield", function()
    in_task(function()
      local co, is_main = coroutine.running()
      assert.are.equal("thread", type(co))
      assert.is_true(is_main)
      assert.are.equal("running", coroutine.status(co))
      assert.is_false(coroutine.isyieldable())
      assert.are.same(table.pack(false, "attempt to yield from outside a coroutine"),
        table.pack(pcall(coroutine.yield)))
      assert.are.same(table.pack(false, "cannot resume non-suspended coroutine"), table.pack(coroutine.resume(co)))
      assert.are.equal("normal", coroutine.wrap(function() return coroutine.status(co) end)())
    end)
  end)

  it("of a thread does so too", function()
    assert.are.same({ true, false }, (neap.thread(function()
      return { select(2, coroutine.running()), coroutine.isyieldable() }
    end):join()))
  end)

  it("of another task cannot be resumed or closed", function()
    local base
    local task = grid.parked_task(function()
      base = coroutine.running()
      neap.event():wait()
    end)
    assert.are.same(table.pack(false, "cannot resume non-suspended coroutine"), table.pack(coroutine.resume(base)))
    assert.is_false((pcall(coroutine.close, base)))
    assert.are.equal("normal", coroutine.status(base))
    task:cancel()
    grid.assert_cancelled(task)
  end)

  it("of a task that has ended cannot be resumed into another", function()
    local base
    in_task(function() base = coroutine.running() end)
    assert.is_false((coroutine.resume(base)))
    assert.is_false((coroutine.resume(base, print, "must not be called")))
  end)
end)

describe("a generator", function()
  it("that a task waits in for the first time is not disturbed by finalisers", function()
    assert.are.same({ status = 0, stdout = "a\tfalse\n", stderr = "" }, support.run_script([[
      local channel, other, gate = neap.channel(), neap.channel(1), neap.event()
      local task = neap.spawn(function()
        local value = coroutine.wrap(function()
          collectgarbage("incremental", 100, 1000, 40)
          collectgarbage()
          setmetatable({}, { __gc = function() other:send({ 1 }, 0) end })
          collectgarbage("restart") -- collects at the next allocation
          return channel:recv()
        end)()
        gate:wait()
        return value
      end)
      neap.sleep(0.01)
      channel:send("a")
      local again = channel:send("b", 0)
      gate:set()
      print(task:join(), again or false)]]))
  end)

  it("that is left for good in a scope with threads is collected", function()
    assert.are.same({ status = 0, stdout = "over\n", stderr = "" }, support.run_script([[
      for _ = 1, 3 do
        coroutine.wrap(function()
          neap.scope(function(s)
            for _ = 1, 3 do s:thread(function() require "neap".sleep(0.1) end) end
            coroutine.yield()
          end)
        end)()
        collectgarbage()
      end
      print "over"]]))
  end)
end)
