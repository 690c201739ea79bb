---@meta neap

---What a pool was asked to do, and what came of it. Like tasks and threads it can be joined, waited for, cancelled, gathered,
---raced and selected, and may be sent anywhere.
---
---A failure that nobody has read (by `result`, `join`, `error`, `gather`, ...) is reported at the end of the program, and makes its
---exit status 1.
---@class neap.Future
local Future = {}

---Waits for the end and returns what the function returned.
---
---Errors: raises what the function raised, the original value; a cancellation error if it was cancelled; the reason, if the result
---could not be sent; the text of an error that could not, and the reason.
---
---Cancelling: the one who waits; the work goes on.
---@param timeout? number
---@return any ... or `nil, "timeout", "timeout"`
---@since 0.1
function Future:result(timeout) end

---The same as `result`, by the name that tasks and threads have for it.
---@param timeout? number
---@return any ...
---@since 0.1
function Future:join(timeout) end

---Waits for the end, however it ends. It takes no note of a failure.
---@param timeout? number
---@return true? ended
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Future:wait(timeout) end

---What it failed with, or the cancellation error; nil while it has not ended, and if it returned. Does not wait. A failure that
---was asked for here counts as read.
---@return any
---@since 0.1
function Future:error() end

---Where it failed, through every hop; nil unless it failed.
---@return string?
---@since 0.1
function Future:traceback() end

---Has it ended, however?
---@return boolean
---@since 0.1
function Future:done() end

---Is a worker at it?
---@return boolean
---@since 0.1
function Future:running() end

---Was it cancelled?
---@return boolean
---@since 0.1
function Future:cancelled() end

---Work that waits in the queue never begins. Work that runs is asked to stop, as a task is: a cancellation is raised in its wait, or in
---its next one. Returns at once.
---
---```lua
---local pool <close> = neap.pool(1)
---local future = pool:submit(neap.sleep, 3600)
---assert(future:cancel("too long"))
---future:wait()
---assert(future:cancelled() and tostring(future:error()) == "cancelled: too long")
---```
---@param reason? any stands in the error; copied
---@return boolean asked false if it had ended or been asked before
---@since 0.1
function Future:cancel(reason) end

---Calls the function with the future once that has ended, in a task of the calling thread; soon, if it has already.
---
---```lua
---local pool <close> = neap.pool(1)
---local finished = neap.event()
---pool:submit(function() return 42 end):on_done(function(future)
---  assert(future:result() == 42)
---  finished:set()
---end)
---finished:wait()
---```
---@param fn fun(future: neap.Future)
---@return neap.Future itself
---@since 0.1
function Future:on_done(fn) end

---How it stands: `"new"` (in the queue), `"running"`, `"done"`, `"failed"`, `"cancelled"`.
---@return "new"|"running"|"done"|"failed"|"cancelled"
---@since 0.1
function Future:status() end

---Has it not ended?
---@return boolean
---@since 0.1
function Future:is_alive() end
