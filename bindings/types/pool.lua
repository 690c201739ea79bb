---@meta neap

---@class neap
local neap = {}

---Workers that do what they are given, one piece after the other, each in a thread of its own, a process or a task. Work waits in
---one queue, the oldest first, until a worker is free.
---
---Functions and arguments are copied to the workers, and results back, as everything that goes to a thread; a function is
---shipped to each worker once. What the work of one call leaves in globals, the next one finds that the same worker does.
---
---Work may submit to its own pool and wait for that: meanwhile its worker takes other work, so it does not stand still. That
---goes for the tasks that it spawns, too, and for futures in `gather`, `select` and the like; not for other kinds of waiting.
---
---A worker that dies costs the work that it was doing, which fails with the cause (`process pool-1 worker 2 was killed by
---signal 9`), and is replaced. A pool and its futures may be used in other processes, too.
---
---Tracebacks of work end with its function, those of `debug.traceback` too: below that stands what calls it.
---
---A program stays alive until what was submitted is done; idle workers do not keep it. A pool ends with the thread that made
---it. As a to-be-closed variable it waits for its work, as `join` does, when the scope is left well; left by an error, it cancels the
---work and waits for that.
---@class neap.Pool
local Pool = {}

---@class neap.PoolOptions
---@field workers? integer how many there are; by default as many as the machine has processors for us
---@field kind? "thread"|"process"|"task" what a worker is. Tasks share the thread of whoever made the pool: they are for work that waits, not for work that computes
---@field initializer? function called in each worker before its work (for tasks: once). If it fails the pool is broken, and all its work fails with that error
---@field initargs? table list of the initializer's arguments
---@field max_tasks? integer after so many pieces of work a worker ends, and another takes its place
---@field name? string what messages call it
---@field queue_limit? integer so many pieces of work may wait in the queue; `submit` waits while it is full

---Makes a pool, and starts its workers.
---
---```lua
---local pool <close> = neap.pool(4)
---local squares = pool:map(function(n) return n * n end, {1, 2, 3, 4, 5})
---assert(table.concat(squares, " ") == "1 4 9 16 25")
---
---local future = pool:submit(function(name) return "hello " .. name end, "tide")
---assert(future:result() == "hello tide")
---```
---@param options? integer|neap.PoolOptions how many workers, or a table
---@return neap.Pool
---@since 0.1
function neap.pool(options) end

---Gives the pool work, and returns at once with its future; waits only while the queue is full.
---
---Errors: something that cannot be sent (`cannot send args[2].conn: userdata`); a pool that is closed, unless the call waits for a
---place already.
---
---Cancelling: nothing was submitted.
---@param fn function
---@param ... any its arguments
---@return neap.Future
---@since 0.1
function Pool:submit(fn, ...) end

---Submits, waits, and returns what the function returned; raises what it raised.
---
---Cancelling: the one who waits; the work goes on.
---@param fn function
---@param ... any its arguments
---@return any ...
---@since 0.1
function Pool:apply(fn, ...) end

---Submits, and calls back. Callbacks run as tasks of the thread that called, and may wait.
---
---Errors: as `submit`; `args` has a key that is none of a list, unless it has a metatable.
---
---```lua
---local pool <close> = neap.pool(2)
---local sums = neap.channel(1)
---pool:apply_async(function(a, b) return a + b end, {2, 3}, function(sum) sums:send(sum) end)
---assert(sums:recv() == 5)
---```
---@param fn function
---@param args? table list of its arguments
---@param callback? fun(...: any) called with what it returned
---@param error_callback? fun(err: any) called with what it raised, or a cancellation error
---@return neap.Future
---@since 0.1
function Pool:apply_async(fn, args, callback, error_callback) end

---@class neap.MapOptions
---@field chunksize? integer so many items travel and are done together; by default `ceil(n / (4 * workers))`, and 1 for `imap`
---@field timeout? number for all of it, waiting for places in the queue too; for `imap`, for each result
---@field progress? boolean draws a bar on stderr, if that is a terminal
---@field collect? boolean errors do not end it: they are results, too

---Calls the function for each item, and returns the results in the order of the items.
---
---The first failure in time is raised at once; what has not begun by then never does. With `collect` there is a second list, the
---errors, by index; both have gaps. In the place of an error that is nil there is `neap.null`. A chunk that fails as a whole (its worker died, a result cannot be sent) is then the error of
---each of its items.
---
---The list is a table, or a shared list, array or buffer.
---
---Errors: it is no list, but a dict, say, or a table with a key that is none of a list (unless it has a metatable); an item that
---cannot be sent (`cannot send list[7].conn: userdata`), before any is sent. Chunks are sent one after the other,
---so that work begins at once and a queue with a limit never holds more; but unless all items are booleans, numbers and strings, each
---is copied before the first one is sent.
---
---Cancelling, and a timeout: what has not begun never does.
---
---```lua
---local pool <close> = neap.pool(2)
---local function check(n)
---  if n % 2 == 0 then error(n .. " is even", 0) end
---  return n
---end
---assert(select(2, pcall(pool.map, pool, check, {1, 3, 4})) == "4 is even")
---
---local results, errors = pool:map(check, {1, 2, 3}, {collect = true})
---assert(results[1] == 1 and results[2] == nil and results[3] == 3)
---assert(errors[2] == "2 is even")
---```
---@param fn fun(item: any): any
---@param list any[]
---@param options? neap.MapOptions
---@return any[]? results
---@return table<integer, any>|string? errors with `collect`; or the message "timeout"
---@return string? code "timeout"
---@since 0.1
function Pool:map(fn, list, options) end

---As `map`, but each item is a list of arguments. It may have holes; where its field `n` says how many there are, as that of
---`table.pack` does, the last of them may be nil, too.
---
---Errors: as `map`; and an item that is no table, or has a key that is none of a list, which raises before anything is sent.
---
---```lua
---local pool <close> = neap.pool(2)
---local powers = pool:starmap(function(a, b) return a ^ b end, {{2, 3}, {3, 2}})
---assert(powers[1] == 8 and powers[2] == 9)
---```
---@param fn fun(...: any): any
---@param list any[][]
---@param options? neap.MapOptions
---@return any[]? results
---@return table<integer, any>|string? errors with `collect`; or the message "timeout"
---@return string? code "timeout"
---@since 0.1
function Pool:starmap(fn, list, options) end

---As `map`, but returns a future of its results. An item that cannot be sent raises here, not in the future.
---@param fn fun(item: any): any
---@param list any[]
---@param options? neap.MapOptions
---@return neap.Future
---@since 0.1
function Pool:map_async(fn, list, options) end

---An iterator over the results, in the order of the items, each as soon as it and those before are there. Items are taken from the
---list or iterator only a little ahead of the results that are taken: two chunks for each worker. An iterator is called in a task
---of its own, and may wait.
---
---Beside the result it gives the index of the item, and with `collect` the error, if there was one. In the place of nil, which would
---end the loop, there is `neap.null`. A failure is raised where its result would come. Leaving the loop drops what has not begun.
---
---A pool that is closed meanwhile goes on with it, as far ahead as before. Once somebody waits for the end of the pool, all that is left is submitted at
---once, and the results are kept for who takes them: an iterator without end has to be left before.
---
---Errors: as `map`, but an item that cannot be sent is raised where its result would come; raises "timeout".
---
---```lua
---local pool <close> = neap.pool(2)
---local function count()
---  local n = 0
---  return function() n = n + 1 return n end -- for ever
---end
---for square, n in pool:imap(function(x) return x * x end, count()) do
---  assert(square == n * n)
---  if n == 10 then break end
---end
---```
---@param fn fun(item: any): any
---@param source any[]|fun(...: any): any a list; or an iterator, as `ch:iter()` returns
---@param options? neap.MapOptions
---@return fun(): any, integer, any
---@since 0.1
function Pool:imap(fn, source, options) end

---As `imap`, but gives each result as soon as it is there.
---@param fn fun(item: any): any
---@param source any[]|fun(...: any): any
---@param options? neap.MapOptions
---@return fun(): any, integer, any
---@since 0.1
function Pool:imap_unordered(fn, source, options) end

---Nothing begins any more. What has begun goes on to its end: calls that wait for a place in the queue get it, maps are done, and iterators
---go on as long as results are taken from them. The workers end after that. Idempotent.
---
---```lua
---local pool = neap.pool(2)
---local squares = pool:imap(function(n) return n * n end, {1, 2, 3, 4, 5, 6, 7, 8, 9})
---pool:close()
---local sum = 0
---for square in squares do sum = sum + square end
---assert(sum == 285)
---```
---@since 0.1
function Pool:close() end

---Is it closed?
---@return boolean
---@since 0.1
function Pool:is_closed() end

---Closes it, and waits until all work is done and all workers have ended. Iterators run to their end for that, whether anybody takes the
---results or not; who does so slowly is better joined before.
---
---Errors: work that joins its own pool.
---@param timeout? number
---@return true? ended
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Pool:join(timeout) end

---Closes it, and cancels its work: what has not begun never does, what runs is asked to stop; maps and iterators submit no more. Does not
---wait; `join` does.
---@since 0.1
function Pool:terminate() end

---@class neap.PoolTimes
---@field count integer of how many pieces of work
---@field p50 number seconds; half of them took no longer. Told to within an eighth, as are the next two
---@field p90 number
---@field p99 number
---@field max number

---@class neap.PoolStats
---@field workers integer how many there are to be
---@field submitted integer pieces of work since the beginning; a chunk of a map is one
---@field queued integer now
---@field running integer now
---@field done integer since the beginning
---@field failed integer since the beginning
---@field cancelled integer since the beginning
---@field lost integer workers that died
---@field wait neap.PoolTimes how long work waited in the queue
---@field run neap.PoolTimes how long it took

---How it stands, and how it went.
---
---```lua
---local pool = neap.pool(1)
---for _ = 1, 10 do pool:submit(function() end) end
---pool:join()
---local stats = pool:stats()
---assert(stats.done == 10 and stats.run.p50 <= stats.run.max)
---```
---@return neap.PoolStats
---@since 0.1
function Pool:stats() end
