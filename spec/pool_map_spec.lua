-- What a pool does with each item of a list or iterator: map, starmap, map_async, imap, imap_unordered.

local neap = require "neap"
local grid = require "spec.grid"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local raises, it_of_each_kind = trial.raises, trial.it_of_each_kind
local numbers, squares = trial.numbers, trial.squares

for _, name in ipairs({ "map", "starmap" }) do
  local star = name == "starmap"
  local function items(list)
    if not star then return list end
    local lists = {}
    for i, item in ipairs(list) do lists[i] = { item } end
    return lists
  end

  describe("pool:" .. name, function()
    it_of_each_kind("returns the results in order", function(new)
      local pool <close> = new(2)
      for _, count in ipairs({ 0, 1, 2, 7, 8, 9, 100, 1001 }) do
        assert.are.same(squares(1, count), pool[name](pool, function(x) return x * x end, items(numbers(count))))
      end
      for _, size in ipairs({ 1, 2, 3, 99, 100, 101, 2 ^ 40 // 1 | 0 }) do
        local results = pool[name](pool, function(x) return x * x end, items(numbers(100)), { chunksize = size })
        assert.are.same(squares(1, 100), results)
      end
    end)

    it_of_each_kind("leaves a gap where the function returns nil", function(new)
      local pool <close> = new(2)
      local results = pool[name](pool, function(x) if x % 2 == 0 then return x end end, items({ 1, 2, 3, 4, 5 }))
      assert.are.same({ [2] = 2, [4] = 4 }, results)
    end)

    it_of_each_kind("balances uneven work", function(new)
      local pool <close> = new(2)
      local slow, fast = neap.event(), neap.semaphore(0)
      local mapping = neap.spawn(pool[name], pool, function(x)
        if x == 1 then slow:wait() else fast:release() end
        return x
      end, items(numbers(8)))
      for _ = 1, 7 do fast:acquire() end -- the other worker has done all that is left
      assert.is_true(mapping:is_alive())
      slow:set()
      assert.are.same(numbers(8), mapping:join())
    end)

    it_of_each_kind("raises the first failure at once, and drops what has not begun", function(new)
      local pool <close> = new(2)
      local begun, hang = neap.semaphore(0), neap.event()
      local err = raises("^third$", pool[name], pool, function(x)
        begun:release()
        if x == 3 then error("third", 0) end
        hang:wait()
      end, items(numbers(1000)), { chunksize = 2 })
      assert.are.equal("third", err)
      hang:set()
      pool:join()
      assert.is_true(begun:value() < 20)
    end)

    it_of_each_kind("begins none that is in the queue when one has failed, however quick they are", function(new)
      local pool <close> = new(1)
      local called = neap.value("i32")
      local function fail_at_first(x)
        called:add(1)
        if x == 1 then error("first", 0) end
      end
      for round = 1, 20 do
        raises("^first$", pool[name], pool, fail_at_first, items(numbers(500)), { chunksize = 1 })
        assert.are.equal(round, called:get())
      end
      assert.are.equal(500, #pool[name](pool, function(x) return x end, items(numbers(500)), { chunksize = 1 }))
    end)

    it("stops a chunk that goes on when another has failed", function()
      local pool <close> = neap.pool(2)
      local first, second = neap.channel(), neap.semaphore(0)
      raises("no", pool[name], pool, function(x)
        if x == 1 then error("no", 0) end
        if x == 101 then first:recv(0) end
        if x > 100 then
          second:release()
          neap.sleep(0.001)
        end
      end, items(numbers(1100)), { chunksize = 100 })
      pool:join()
      assert.is_true(second:value() < 1000)
    end)

    it_of_each_kind("collects results and errors by index", function(new)
      local pool <close> = new(2)
      local results, errors = pool[name](pool, function(x)
        if x % 3 == 0 then error({ at = x }) end
        neap.yield()
        return -x
      end, items(numbers(10)), { collect = true })
      assert.are.same({ -1, -2, nil, -4, -5, nil, -7, -8, nil, -10 }, results)
      assert.are.same({ [3] = { at = 3 }, [6] = { at = 6 }, [9] = { at = 9 } }, errors)
    end)

    it_of_each_kind("collects a result that cannot be sent as an error, which names its item", function(new)
      local pool <close> = new(2)
      local function refuse(x)
        if x == 4 then return { io.stdout } end
        return x
      end
      local results, errors = pool[name](pool, refuse, items(numbers(6)), { collect = true, chunksize = 2 })
      local problem = "cannot send result[4][1]: userdata (FILE*)"
      assert.are.same({ 1, 2, nil, nil, 5, 6 }, results)
      assert.are.same({ [3] = problem, [4] = problem }, errors)
      raises("^cannot send result%[4%]%[1%]: userdata", pool[name], pool, refuse, items(numbers(6)), { chunksize = 2 })
    end)

    it_of_each_kind("gives up after its timeout", function(new)
      local pool <close> = new(2)
      local gate = neap.event()
      local results = table.pack(pool[name](pool, function(x) if x == 2 then gate:wait() end end,
        items(numbers(3)), { chunksize = 1, timeout = 0.001 }))
      gate:set()
      assert.are.same(table.pack(nil, "timeout", "timeout"), results)
    end)

    it_of_each_kind("gives up while it waits for a place in the queue, too", function(new)
      local pool = new { workers = 1, queue_limit = 1 }
      local gate, begun = neap.event(), neap.value("u8")
      pool:submit(gate.wait, gate)
      local results = table.pack(pool[name](pool, function() begun:add(1) end, items(numbers(9)),
        { chunksize = 1, timeout = 0.001 }))
      gate:set()
      pool:join()
      assert.are.same(table.pack(nil, "timeout", "timeout"), results)
      assert.are.equal(0, begun:get())
    end)

    it("is dropped when who waits for it is cancelled", function()
      local pool <close> = neap.pool(1)
      local gate, begun = neap.event(), neap.semaphore(0)
      local mapping = grid.parked_task(pool[name], pool, function()
        begun:release()
        gate:wait()
      end, items(numbers(100)), { chunksize = 1 })
      begun:acquire()
      mapping:cancel()
      grid.assert_cancelled(mapping)
      gate:set()
      pool:join()
      assert.are.equal(0, begun:value())
    end)

    it("names what cannot be sent, by its place in the list", function()
      local pool <close> = neap.pool(1)
      local path = star and "list%[37%]%[1%]" or "list%[37%]"
      local list = numbers(50)
      list[37] = io.stdout
      local function nothing() end
      raises("cannot send " .. path .. ": userdata", pool[name], pool, nothing, items(list), { chunksize = 10 })
      local file = io.stdout
      raises("cannot send function:upvalue%(file%)", pool[name], pool, function() return file end, items({ 1 }))
    end)

    it("refuses what is wrong", function()
      local pool <close> = neap.pool(1)
      raises("bad argument #1 to '" .. name .. "' %(function expected, got number%)", pool[name], pool, 1, {})
      raises("bad argument #2 to '" .. name .. "' %(list expected, got nil%)", pool[name], pool, print)
      local message = "bad argument #3 to '" .. name .. "' %(unknown option 'size' %(known: chunksize,"
      raises(message, pool[name], pool, print, {}, { size = 1 })
      for _, bad in ipairs({ 0, -1, 0.5 }) do
        raises("option 'chunksize': a number of items", pool[name], pool, print, {}, { chunksize = bad })
      end
      for _, bad in ipairs({ -1, 0 / 0, "1" }) do
        raises("option 'timeout': number of seconds", pool[name], pool, print, {}, { timeout = bad })
      end
    end)
  end)
end

describe("a map", function()
  it("raises once the process of the pool has ended", function()
    local pool = neap.process(function() return neap.pool(1) end):join()
    for _, name in ipairs({ "map", "starmap", "map_async" }) do
      raises("^spec/pool_map_spec.lua:%d+: the process of the pool has ended", function()
        pool[name](pool, print, { { 1 } })
      end)
    end
    for _, name in ipairs({ "imap", "imap_unordered" }) do
      raises("the process of the pool has ended", function() for _ in pool[name](pool, print, { 1 }) do end end)
    end
  end)
end)

describe("an item that cannot be sent", function()
  it("raises before anything is sent, though there is no place for all of them in the queue", function()
    local pool <close> = neap.pool { workers = 1, queue_limit = 1 }
    local ran = neap.value("i64")
    local list = { 1, 2, 3, 4, { at = coroutine.create(print) }, 6 }
    for _, name in ipairs({ "map", "map_async" }) do
      raises("^spec/pool_map_spec.lua:%d+: cannot send list%[5%].at: coroutine", function()
        pool[name](pool, function() ran:add(1) end, list, { chunksize = 1 })
      end)
    end
    raises("^spec/pool_map_spec.lua:%d+: cannot send list%[2%]%[1%]: userdata", function()
      pool:starmap(function() ran:add(1) end, { { 1 }, { io.stdout } }, { chunksize = 1 })
    end)
    pool:join()
    assert.are.equal(0, ran:get())
  end)

  it("does not keep the others from being sent the next time", function()
    local pool <close> = neap.pool { workers = 1, queue_limit = 1 }
    local function sum(item) return item.a + item.b end
    local list = {}
    for i = 1, 20 do list[i] = { a = i, b = i } end
    list[21] = coroutine.create(print)
    raises("cannot send list%[21%]: coroutine", pool.map, pool, sum, list, { chunksize = 3 })
    list[21] = nil
    local sums = pool:map(sum, list, { chunksize = 3, timeout = 60 })
    assert.are.equal(20, #sums)
    for i = 1, 20 do assert.are.equal(2 * i, sums[i]) end
  end)
end)

describe("pool:starmap", function()
  it("spreads the arguments", function()
    local pool <close> = neap.pool(2)
    assert.are.same({ 3, 7, 11 }, pool:starmap(function(a, b) return a + b end, { { 1, 2 }, { 3, 4 }, { 5, 6 } }))
  end)

  it_of_each_kind("spreads holes too, and what table.pack has packed", function(new)
    local pool <close> = new(2)
    local function list(...)
      return table.concat({ select("#", ...), tostring((...)), tostring((select(-1, ...))) }, " ")
    end
    assert.are.same({ "3 1 3", "3 nil nil", "2 nil 2" },
      pool:starmap(list, { { 1, nil, 3 }, table.pack(nil, 2, nil), { n = 2, [2] = 2 } }))
  end)

  it("refuses items that are no tables, before any is sent", function()
    local pool <close> = neap.pool(1)
    for _, item in ipairs({ "three", 3, neap.list({ 1 }), print }) do
      local message = "bad argument #2 to 'starmap' %(list%[2%]: table of arguments expected, got " .. type(item)
      raises(message, pool.starmap, pool, print, { {}, item }, { chunksize = 1 })
    end
    assert.are.equal(0, pool:stats().submitted)
  end)

  it("refuses arguments that would be lost, before any is sent", function()
    local pool <close> = neap.pool(1)
    raises("bad argument #2 to 'starmap' %(list%[2%]: list of arguments expected, got a table with the key 'a'%)",
      pool.starmap, pool, print, { { 1 }, { 2, a = 3 } })
    raises("list%[1%]: list of arguments expected, got a table with the key 'n'",
      pool.starmap, pool, print, { { n = -1 } })
    raises("list%[1%]: list of arguments expected, got a table with the key '2'",
      pool.starmap, pool, print, { { 1, 2, n = 1 } })
    assert.are.equal(0, pool:stats().submitted)
  end)

  it("reads its list once, so it does not matter who changes that meanwhile", function()
    local pool <close> = neap.pool(1)
    local reads = 0
    local list = setmetatable({}, { __len = function() return 1 end, __index = function()
      reads = reads + 1
      return reads == 1 and { 1, 2 } or "changed"
    end })
    assert.are.same({ 3 }, pool:starmap(function(a, b) return a + b end, list))
  end)
end)

describe("pool:map_async", function()
  it_of_each_kind("returns a future with the list", function(new)
    local pool <close> = new(2)
    local future = pool:map_async(function(x) return x * x end, numbers(20))
    assert.are.same(squares(1, 20), future:result())
    assert.are.equal("done", future:status())
  end)

  it_of_each_kind("fails with the first failure", function(new)
    local pool <close> = new(2)
    local future = pool:map_async(function(x) if x == 5 then error("five", 0) end end, numbers(20))
    assert.are.equal("five", raises("five", future.result, future))
    assert.are.equal("failed", future:status())
  end)

  it("has a future that tells when its timeout was over before all had a place in the queue", function()
    local pool <close> = neap.pool { workers = 1, queue_limit = 1 }
    local gate = neap.event()
    pool:submit(gate.wait, gate)
    local future = pool:map_async(print, numbers(9), { chunksize = 1, timeout = 0.001 })
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(future:result()))
    gate:set()
  end)

  it("is done though the pool is closed right after", function()
    local pool = neap.pool(2)
    local future = pool:map_async(function(x) return x end, numbers(100))
    pool:join()
    assert.are.same(numbers(100), future:result())
  end)

  it_of_each_kind("works in another process, and in work of the pool itself, of which it takes no place", function(new)
    local pool <close> = new(1)
    local function square(n) return n * n end
    local function fail() error("five", 0) end
    local function use(p, list)
      local failed = p:map_async(fail, list)
      failed:wait()
      return p:map_async(square, list):result(), failed:error(), failed:status()
    end
    local expected = { squares(1, 20), "five", "failed" }
    assert.are.same(expected, { pool:apply(use, pool, numbers(20)) })
    assert.are.same(expected, { neap.process(use, pool, numbers(20)):join() })
  end)

  it("is cancelled in another process, and drops there what has not begun", function()
    local pool <close> = neap.pool(1)
    local gate, begun = neap.event(), neap.semaphore(0)
    local process = neap.process(function(p, items)
      local future = p:map_async(function()
        begun:release()
        gate:wait()
      end, items, { chunksize = 1 })
      begun:acquire()
      return future:cancel("enough"), future:cancel(), future:wait(), tostring(future:error()), future:cancelled()
    end, pool, numbers(100))
    assert.are.same({ true, false, true, "cancelled: enough", true }, { process:join() })
    gate:set()
    pool:join()
    assert.are.equal(0, begun:value())
  end)

  it("drops what has not begun when it is cancelled", function()
    local pool <close> = neap.pool(1)
    local gate, begun = neap.event(), neap.semaphore(0)
    local future = pool:map_async(function()
      begun:release()
      gate:wait()
    end, numbers(100), { chunksize = 1 })
    begun:acquire()
    assert.is_true(future:cancel("enough"))
    assert.is_false(future:cancel())
    local err = raises("cancelled: enough", future.result, future)
    assert.is_true(neap.is_cancelled(err))
    gate:set()
    pool:join()
    assert.are.equal(0, begun:value())
  end)
end)

describe("collect", function()
  it_of_each_kind("has neap.null in the place of an error that is nil", function(new)
    local pool <close> = new(1)
    local function work(x)
      if x == 1 then error() end
      if x == 2 then
        neap.yield()
        error(nil)
      end
      return x
    end
    local results, errors = pool:map(work, { 1, 2, 3 }, { collect = true })
    assert.are.same({ [3] = 3 }, results)
    assert.are.equal(neap.null, errors[1])
    assert.are.equal(neap.null, errors[2])
    assert.is_nil(errors[3])
    for _, at, err in pool:imap(work, { 1, 2, 3 }, { collect = true }) do
      assert.are.equal(at < 3 and neap.null or nil, err)
    end
  end)
end)

for _, name in ipairs({ "map", "starmap", "map_async", "imap", "imap_unordered" }) do
  describe("pool:" .. name, function()
    it("refuses what is no list, instead of taking it for a part of itself", function()
      local pool <close> = neap.pool(1)
      local function refuses(what, list)
        local expected = ("^spec/pool_map_spec.lua:%%d+: bad argument #2 to '%s' %%(list expected, got %s%%)")
          :format(name, what)
        raises(expected, function() return pool[name](pool, print, list), nil end)
      end
      refuses("nil", nil)
      refuses("a table with the key 'a'", { a = 1 })
      refuses("a table with the key 'n'", { { 1 }, n = 3 })
      refuses("a table with the key '0'", { [0] = { 1 }, { 2 } })
      refuses("dict", neap.dict({ a = 1 }))
      refuses("channel", neap.channel(1))
      refuses("userdata", io.stdout)
      refuses("number", 3)
      for _, length in ipairs({ 2.5, "x", false }) do
        refuses("a table whose length is no integer", setmetatable({}, { __len = function() return length end }))
      end
      assert.are.equal(0, pool:stats().submitted)
    end)

    it("takes a table with a metatable at its word, and what table.pack has packed", function()
      local pool <close> = neap.pool(1)
      local count = neap.value("u8")
      local function work(word) return word == "there" and count:add(1) end
      local item = name == "starmap" and { "there" } or "there"
      local meta = { __len = function() return 2 end, __index = function() return item end }
      local list = setmetatable({ other = 1 }, meta)
      for _, items in ipairs({ list, table.pack(item, item) }) do
        count:set(0)
        local results, _, _, closer = pool[name](pool, work, items)
        if name == "map_async" then results:wait() end
        if type(results) == "function" then
          while results() do end
          getmetatable(closer).__close(closer)
        end
        assert.are.equal(2, count:get())
      end
    end)
  end)
end

for _, name in ipairs({ "imap", "imap_unordered" }) do
  describe("pool:" .. name, function()
    it("calls the function for the holes of a list, too, as map does", function()
      local pool <close> = neap.pool(1)
      local seen = {}
      for value, at in pool[name](pool, function(x) return x == nil end, { 1, nil, 3 }) do seen[at] = value end
      assert.are.same({ false, true, false }, seen)
    end)

    local function collect(...)
      local results = {}
      for value in ... do results[#results + 1] = value end
      if name == "imap_unordered" then table.sort(results) end
      return results
    end

    it("loses no result when the one who asks for it is cancelled, and goes on", function()
      local pool <close> = neap.pool(2)
      trial.cancel_at_each_instruction(function(call)
        local iterate, _, _, closing <close> = -- luacheck: ignore
          pool[name](pool, function(x) return x * x end, numbers(5), { chunksize = 2 })
        local results = trial.take_all(call, iterate)
        if name == "imap_unordered" then table.sort(results) end
        assert.are.same(squares(1, 5), results)
      end)
    end)

    it_of_each_kind("gives all results", function(new)
      local pool <close> = new(2)
      for _, count in ipairs({ 0, 1, 2, 50 }) do
        local function work(x) return x * x end
        assert.are.same(squares(1, count), collect(pool[name](pool, work, numbers(count))))
        local at = 0
        local function count_up()
          at = at + 1
          if at <= count then return at end
        end
        assert.are.same(squares(1, count), collect(pool[name](pool, work, count_up, { chunksize = 7 })))
      end
    end)

    it("gives the index of the item besides", function()
      local pool <close> = neap.pool(2)
      for value, index in pool[name](pool, function(x) return x * 10 end, numbers(20), { chunksize = 3 }) do
        assert.are.equal(index * 10, value)
      end
    end)

    it("gives neap.null for nil, which would end the loop", function()
      local pool <close> = neap.pool(1)
      local count = 0
      for value in pool[name](pool, function() end, numbers(3)) do
        count = count + 1
        assert.are.equal(neap.null, value)
      end
      assert.are.equal(3, count)
    end)

    it("is not far ahead of who takes the results", function()
      local pool <close> = neap.pool(2)
      local pulled = 0
      local function endless()
        pulled = pulled + 1
        return pulled
      end
      local taken = 0
      for _ in pool[name](pool, function(x) return x end, endless) do
        taken = taken + 1
        assert.is_true(pulled <= taken + 5)
        if taken == 100 then break end
      end
    end)

    it("takes from an iterator that waits for the results before", function()
      local pool <close> = neap.pool(2)
      local feedback = neap.channel(1)
      feedback:send(1)
      local results = {}
      for value in pool[name](pool, function(x) return x + 1 end, feedback:iter()) do
        results[#results + 1] = value
        if value < 10 then feedback:send(value) else feedback:close() end
      end
      assert.are.same({ 2, 3, 4, 5, 6, 7, 8, 9, 10 }, results)
    end)

    it("takes what map takes for a list", function()
      local pool <close> = neap.pool(1)
      for _, list in ipairs({ neap.list({ 1, 2, 3 }), neap.array("u8", { 1, 2, 3 }), neap.buffer("\1\2\3") }) do
        assert.are.same({ 1, 2, 3 }, collect(pool[name](pool, function(x) return x end, list)))
      end
    end)

    it("may be asked by several tasks", function()
      local pool <close> = neap.pool(2)
      for _, size in ipairs({ 1, 3 }) do
        local results = pool[name](pool, function(x) return x end, numbers(100), { chunksize = size })
        local seen = {}
        neap.scope(function(scope)
          for _ = 1, 4 do
            scope:spawn(function()
              for result in results do
                seen[#seen + 1] = result
                neap.yield()
              end
            end)
          end
        end)
        table.sort(seen)
        assert.are.same(numbers(100), seen)
      end
    end)

    it("ends for all that ask when one of them leaves it", function()
      local pool <close> = neap.pool(1)
      local gate = neap.event()
      local results, _, _, closer = pool[name](pool, function(x) gate:wait() return x end, numbers(3))
      local askers = {}
      for i = 1, 2 do askers[i] = grid.parked_task(function() return select("#", results()), (results()) end) end
      getmetatable(closer).__close(closer)
      gate:set()
      for i = 1, 2 do assert.are.same({ 1 }, { askers[i]:join() }) end
      assert.is_nil((results()))
    end)

    it("takes the iterator of a channel, and options behind it", function()
      local pool <close> = neap.pool(2)
      local channel = neap.channel(20)
      for i = 1, 20 do channel:send(i) end
      channel:close()
      local results = collect(pool[name](pool, function(x) return x * x end, channel:iter(), { chunksize = 3 }))
      assert.are.same(squares(1, 20), results)
    end)

    it("raises the failure of an item, and that of the iterator", function()
      local pool <close> = neap.pool(2)
      raises("^three$", function()
        for _ in pool[name](pool, function(x) if x == 3 then error("three", 0) end return x end, numbers(9)) do end
      end)
      local at = 0
      raises("^source$", function()
        for _ in pool[name](pool, function(x) return x end, function()
          at = at + 1
          if at == 4 then error("source", 0) end
          return at
        end) do end
      end)
    end)

    it("collects errors as a third value", function()
      local pool <close> = neap.pool(2)
      local errors = {}
      for value, index, err in pool[name](pool, function(x) if x == 2 then error("two", 0) end return x end, numbers(3),
        { collect = true }) do
        errors[index] = err or value
      end
      assert.are.same({ 1, "two", 3 }, errors)
    end)

    it("names what cannot be sent, by its place in the list", function()
      local pool <close> = neap.pool(1)
      raises("^cannot send list%[2%]: userdata", function()
        for _ in pool[name](pool, function() end, { 1, io.stdout }) do end -- luacheck: ignore
      end)
    end)

    it("raises timeout when a result takes longer", function()
      local pool <close> = neap.pool(1)
      local gate = neap.event()
      raises("^timeout$", function()
        for _ in pool[name](pool, function() gate:wait() end, { 1 }, { timeout = 0.001 }) do end
      end)
      gate:set()
    end)

    it("drops what has not begun when the loop is left", function()
      local pool <close> = neap.pool(1)
      local done = neap.semaphore(0)
      pcall(function()
        for _ in pool[name](pool, function() done:release() return true end, numbers(1000)) do error("enough") end
      end)
      pool:join()
      assert.is_true(done:value() <= 6)
    end)

    it("leaves nothing behind when its iterator is just forgotten", function()
      local before = #neap.tasks()
      local pool <close> = neap.pool(1)
      do
        local next_result = pool[name](pool, function(x) return x end, numbers(1000))
        next_result()
      end
      collectgarbage()
      collectgarbage()
      neap.sleep(0)
      neap.sleep(0)
      assert.are.equal(before + 1, #neap.tasks()) -- the supervisor
    end)
  end)
end

describe("pool:imap", function()
  it("gives the results in order, however long each takes", function()
    local pool <close> = neap.pool(4)
    local results = {}
    for value in pool:imap(function(x)
      if x % 4 == 1 then neap.sleep(0.002) end
      return x
    end, numbers(30)) do
      results[#results + 1] = value
    end
    assert.are.same(numbers(30), results)
  end)

  it("does not miss what comes while its task has been put back in the queue", function()
    local event = neap.event
    local _ <close> = setmetatable({}, { __close = function() neap.event = event end })
    function neap.event()
      local handle = event()
      local late = {}
      function late.clear()
        neap.yield() -- the feeder comes to its end
        handle:clear()
      end
      function late.set() handle:set() end
      function late.wait(_, timeout) return handle:wait(timeout) end
      return late
    end
    local pool <close> = neap.pool(1)
    local results = {}
    for value in pool:imap(function(x) return x end, { 7 }) do results[#results + 1] = value end
    assert.are.same({ 7 }, results)
  end)
end)

describe("pool:imap_unordered", function()
  it("gives what is done first", function()
    local pool <close> = neap.pool(2)
    local gate = neap.event()
    local order = {}
    for value in pool:imap_unordered(function(x)
      if x == 1 then gate:wait() end
      return x
    end, { 1, 2, 3 }) do
      order[#order + 1] = value
      if #order == 2 then gate:set() end
    end
    assert.are.equal(1, order[3])
  end)
end)
