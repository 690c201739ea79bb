---@meta neap

---@class neap
local neap = {}

---What the body of `neap.scope` is given: whatever it starts has ended when the scope returns. Children may use it too;
---what is started in a scope that was cancelled or has failed never runs. It belongs to its thread: it cannot be sent.
---@class neap.Scope
local Scope = {}

---As `neap.spawn`, within the scope.
---
---Errors: the scope has ended.
---
---Threads: the one of the scope.
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Task
---@overload fun(self: neap.Scope, fn: fun(...): ..., ...: any): neap.Task
---@since 0.1
function Scope:spawn(options, fn, ...) end

---As `neap.thread`, within the scope.
---
---Errors: the scope has ended; see `neap.thread`.
---
---Threads: the one of the scope.
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Thread
---@overload fun(self: neap.Scope, fn: fun(...): ..., ...: any): neap.Thread
---@since 0.1
function Scope:thread(options, fn, ...) end

---As `neap.process`, within the scope.
---
---Errors: the scope has ended; see `neap.process`.
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Process?
---@return string? message
---@return string? code as of `neap.process`
---@overload fun(self, fn: fun(...): ..., ...: any): neap.Process?
---@since 0.1
function Scope:process(options, fn, ...) end

---Cancels everything in the scope: what it has started, and its body at the next wait. That is no failure. If it stops
---the body, the scope returns `nil, "cancelled", "cancelled"`; a body that returns all the same has its results
---returned.
---
---Errors: the scope has ended; a reason that cannot be sent, if threads or processes are to be told.
---
---Threads: the one of the scope.
---
---```lua
---local ticks = 0
---local answer = neap.scope(function(s)
---  s:spawn(function() while true do neap.sleep(0.001) ticks = ticks + 1 end end)
---  neap.sleep(0.01)
---  s:cancel()
---  return "done"
---end)
---assert(answer == "done" and ticks > 0)
---```
---@param reason? any what `tostring` of the errors shows
---@return boolean asked false if it was asked before, or something has failed
---@since 0.1
function Scope:cancel(reason) end

---Calls `fn` with a scope, waits until everything that was started in it has ended, and returns what `fn` returned.
---
---The first failure, in `fn` or in what it started, cancels the rest; when all has ended it is raised, the original
---value, with the other failures listed in its traceback. A child that is cancelled through its handle is no failure.
---
---Cancelling: cancels all that is in it, waits for that, then raises. The same at the deadline of a `neap.timeout`
---around it. That last wait is not given up, so a child that will not end holds up its scope.
---
---```lua
---local total = 0
---local result = neap.scope(function(s)
---  for i = 1, 10 do s:spawn(function() total = total + i end) end
---  return "all started"
---end)
---assert(total == 55 and result == "all started")
---
---local ok, err = pcall(neap.scope, function(s)
---  s:spawn(neap.sleep, 60) -- is cancelled
---  s:spawn(error, "broken", 0)
---end)
---assert(not ok and err == "broken")
---```
---@param fn fun(scope: neap.Scope): ...
---@return any ...
---@since 0.1
function neap.scope(fn) end

return neap
