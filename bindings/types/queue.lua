---@meta neap

---@class neap
local neap = {}

---A channel that may be unbounded, may give its values out in another order, and counts the work that is not done.
---@class neap.Queue
---@field maxsize integer 0: unbounded
---@operator len: integer as `qsize`
local Queue = {}

---@class neap.QueueOptions
---@field maxsize? integer 0 (default): unbounded
---@field order? "fifo"|"lifo"|"priority" by default "fifo"

---Makes a queue. Its order is that of arrival (`"fifo"`), the latest first (`"lifo"`), or the lowest priority first
---(`"priority"`), equals in order of arrival.
---
---```lua
---local jobs = neap.queue(2)
---for _ = 1, 2 do
---  neap.spawn({daemon = true}, function()
---    for job in jobs:iter() do
---      job.done = true -- a copy: the sender does not see it
---      jobs:task_done()
---    end
---  end)
---end
---for i = 1, 10 do jobs:put({number = i}) end
---assert(jobs:join()) -- all ten are done
---```
---@param options? integer|neap.QueueOptions maxsize, or options
---@return neap.Queue
---@since 0.1
function neap.queue(options) end

---As `neap.queue` with `order = "lifo"`.
---@param options? integer|{maxsize: integer?}
---@return neap.Queue
---@since 0.1
function neap.lifo_queue(options) end

---As `neap.queue` with `order = "priority"`.
---
---```lua
---local q = neap.priority_queue()
---q:put("later", nil, 10)
---q:put("now", nil, 1)
---local value, priority = q:get()
---assert(value == "now" and priority == 1)
---```
---@param options? integer|{maxsize: integer?}
---@return neap.Queue
---@since 0.1
function neap.priority_queue(options) end

---Puts a copy of `value`; waits for room.
---
---Errors: `value` is nil, or cannot be sent; a priority that is NaN, or given to a queue of another order.
---@param value any not nil
---@param timeout? number
---@param priority? number by default 0; lower comes first; they are compared as floats
---@return true? put
---@return string? message
---@return string? code "timeout" or "closed"
---@return any reason that `close` was given
---@since 0.1
function Queue:put(value, timeout, priority) end

---Takes the next value; waits for one.
---
---Cancelling: nothing is lost. Nor is a value that is under way to a process that is killed: it is in the queue again. One that
---its process had got counts as unfinished for ever, as nobody calls `task_done` for it.
---@param timeout? number
---@return any value nil if there was none
---@return number|string? priority_or_message the priority, of a priority queue
---@return string? code "timeout" or "closed": closed and drained
---@return any reason that `close` was given
---@since 0.1
function Queue:get(timeout) end

---Puts without waiting.
---
---Errors: as `put`.
---@param value any not nil
---@param priority? number
---@return true? put
---@return string? message
---@return string? code "full" or "closed"
---@return any reason that `close` was given
---@since 0.1
function Queue:put_nowait(value, priority) end

---Takes without waiting.
---@return any value
---@return number|string? priority_or_message
---@return string? code "empty" or "closed": closed and drained
---@return any reason that `close` was given
---@since 0.1
function Queue:get_nowait() end

---Says that one value which was taken has been dealt with.
---
---Errors: called more often than values were put.
---@since 0.1
function Queue:task_done() end

---Waits until `task_done` was called for every value that was put.
---@param timeout? number
---@return true? done
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Queue:join(timeout) end

---How many values are in it now.
---@return integer
---@since 0.1
function Queue:qsize() end

---Is nothing in it now?
---@return boolean
---@since 0.1
function Queue:empty() end

---Is there no room now? Never so without a maxsize.
---@return boolean
---@since 0.1
function Queue:full() end

---Closes it, as `Channel:close` does.
---@param reason? any
---@return boolean closed false if it was closed before
---@since 0.1
function Queue:close(reason) end

---Has it been closed? There may be values in it still.
---@return boolean
---@since 0.1
function Queue:is_closed() end

---Iterates over the values, as `get` takes them, until the queue is closed and drained.
---@return fun(): any, number?
---@since 0.1
function Queue:iter() end

return neap
