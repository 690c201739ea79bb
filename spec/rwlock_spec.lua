local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function read(lock, timeout)
  local results = table.pack(lock:acquire_read(timeout))
  if results[1] then lock:release() end
  return table.unpack(results, 1, results.n)
end

local function write(lock, timeout)
  local results = table.pack(lock:acquire_write(timeout))
  if results[1] then lock:release() end
  return table.unpack(results, 1, results.n)
end

local function guard_read(lock, timeout)
  local guard <close>, message, code = lock:guard_read(timeout)
  if not guard then return nil, message, code end
  return true
end

local function guard_write(lock, timeout)
  local guard <close>, message, code = lock:guard_write(timeout)
  if not guard then return nil, message, code end
  return true
end

local function write_it(lock) lock:acquire_write() end

local function read_it(lock) lock:acquire_read() end

local function written()
  local lock = neap.rwlock()
  write_it(lock)
  return lock
end

local function being_read()
  local lock = neap.rwlock()
  read_it(lock)
  return lock
end

-- The test holds the lock once; after that each waiter lets the next one in.
local function release(lock) pcall(lock.release, lock) end

for name, case in pairs({
  ["rwlock:acquire_read"] = { block = write_it, wait = read },
  ["rwlock:acquire_write, with a writer"] = { block = write_it, wait = write },
  ["rwlock:acquire_write, with a reader"] = { block = read_it, wait = write },
  ["rwlock:guard_read"] = { block = write_it, wait = guard_read },
  ["rwlock:guard_write"] = { block = read_it, wait = guard_write },
}) do
  case.make, case.serve, case.served, case.all = neap.rwlock, release, table.pack(true), true
  grid.ask(name, case)
end

describe("rwlock", function()
  it("is read by many at once", function()
    local lock = neap.rwlock()
    assert.are.same(table.pack(true), table.pack(lock:acquire_read(0)))
    assert.is_true((neap.spawn(read, lock, 0):join()))
    assert.is_true((neap.thread(read, lock, 0):join()))
    assert.is_nil((neap.spawn(write, lock, 0):join()))
    lock:release()
  end)

  it("is written by one alone", function()
    local lock = written()
    assert.is_nil((neap.spawn(read, lock, 0):join()))
    assert.is_nil((neap.thread(write, lock, 0):join()))
    lock:release()
    assert.is_true((neap.spawn(write, lock, 0):join()))
  end)

  it("does not let readers pass a writer that waits", function()
    local lock, order = being_read(), {}
    local writer = grid.parked_task(function()
      local _ <close> = lock:guard_write()
      table.insert(order, "writer")
      neap.yield()
    end)
    local readers = {}
    for i = 1, 2 do
      readers[i] = grid.parked_task(function()
        local _ <close> = lock:guard_read()
        table.insert(order, "reader")
        neap.yield()
        table.insert(order, "reader goes")
      end)
    end
    lock:release()
    writer:join()
    for _, reader in ipairs(readers) do reader:join() end
    assert.are.same({ "writer", "reader", "reader", "reader goes", "reader goes" }, order)
  end)

  it("lets readers in when the writer before them gives up", function()
    local lock = being_read()
    local writer = grid.parked_task(write, lock)
    local reader = grid.parked_task(read, lock)
    writer:cancel()
    grid.assert_cancelled(writer)
    assert.is_true((reader:join()))
    assert.is_nil((neap.spawn(write, lock, 0.001):join()))
    assert.is_true((neap.spawn(read, lock, 0):join()))
    lock:release()
  end)

  it("lets a reader read again, even when a writer waits", function()
    local lock = being_read()
    local writer = grid.parked_task(write, lock)
    assert.is_true((lock:acquire_read(0)))
    lock:release()
    neap.yield()
    assert.are.equal("waiting", writer:status())
    lock:release()
    assert.is_true((writer:join()))
  end)

  it("refuses what would wait for itself", function()
    local message = "the task holds this lock already: it would wait for itself"
    local lock = being_read()
    assert.has_error(function() lock:acquire_write() end, message)
    assert.has_error(function() lock:guard_write() end, message)
    lock:release()
    lock:acquire_write()
    assert.has_error(function() lock:acquire_write(0) end, message)
    assert.has_error(function() lock:acquire_read() end, message)
    lock:release()
  end)

  it("is released by who holds it only", function()
    local lock = neap.rwlock()
    assert.has_error(function() lock:release() end, "the task does not hold this lock")
    lock:acquire_read()
    assert.is_false((neap.spawn(function() return pcall(lock.release, lock) end):join()))
    assert.is_false((neap.thread(function(l) return pcall(l.release, l) end, lock):join()))
    lock:release()
    assert.has_error(function() lock:release() end)
  end)

  it("tells all up to the next writer when a writer ended without releasing", function()
    local lock = neap.rwlock()
    neap.thread(function(l) l:acquire_write() end, lock):join()
    assert.are.same(table.pack(true, "abandoned"), table.pack(neap.spawn(read, lock):join()))
    assert.are.same(table.pack(true, "abandoned"), table.pack(read(lock)))
    assert.are.same(table.pack(true, "abandoned"), table.pack(write(lock)))
    assert.are.same(table.pack(true), table.pack(read(lock)))
  end)

  it("is given back by a reader that ended", function()
    local lock = neap.rwlock()
    neap.spawn(function()
      lock:acquire_read()
      lock:acquire_read()
    end):join()
    assert.are.same(table.pack(true), table.pack(write(lock, 0)))
  end)

  it("is given back by a guard when its task is cancelled", function()
    local lock = neap.rwlock()
    for _, guard in ipairs({ "guard_read", "guard_write" }) do
      local task = grid.parked_task(function()
        local _ <close> = lock[guard](lock)
        neap.event():wait()
      end)
      task:cancel()
      grid.assert_cancelled(task)
      assert.are.same(table.pack(true), table.pack(write(lock, 0)))
    end
  end)

  it("says how it stands", function()
    local lock = neap.rwlock()
    assert.is_truthy(tostring(lock):find("^rwlock: .* %(free%)$"))
    lock:acquire_read()
    assert.is_truthy(tostring(lock):find("^rwlock: .* %(1 reading%)$"))
    lock:release()
    lock:acquire_write()
    assert.is_truthy(tostring(lock):find("^rwlock: .* %(writing%)$"))
    lock:release()
  end)

  it_races("keeps threads that write from those that read", function()
    local lock, page, threads = neap.rwlock(), neap.queue(1), {}
    page:put(0)
    for i = 1, 3 do
      threads[i] = neap.thread(function(l, p, times)
        for turn = 1, times do
          if turn % 4 == 0 then
            local _ <close> = l:guard_write()
            local seen = p:get(0) -- away for a moment, which nobody may see
            neap.yield()
            p:put(seen + 1, 0)
          else
            local _ <close> = l:guard_read()
            if p:qsize() ~= 1 then error("seen by a reader") end
          end
        end
      end, lock, page, 200 * support.stress)
    end
    for _, thread in ipairs(threads) do thread:join() end
    assert.are.equal(3 * 50 * support.stress, page:get(0))
  end)
end)
