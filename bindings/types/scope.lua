---@meta neap

---@class neap
local neap = {}

---What the body of `neap.scope` is given: whatever it starts has ended when the scope returns.
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

---Cancels everything in the scope: what it has started, and its body at the next wait. That is no failure: the scope
---then returns `nil, "cancelled", "cancelled"`.
---
---Threads: the one of the scope.
---@param reason? any
---@return boolean asked false if it was asked before
---@since 0.1
function Scope:cancel(reason) end

---Calls `fn` with a scope, waits until everything that was started in it has ended, and returns what `fn` returned.
---
---The first failure, in `fn` or in what it started, cancels the rest; when all has ended it is raised, the original
---value, with the other failures listed in its traceback. A child that is cancelled through its handle is no failure.
---
---Cancelling: cancels all that is in it, waits for that, then raises.
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
---@generic T
---@param fn fun(scope: neap.Scope): T...
---@return T ...
---@since 0.1
function neap.scope(fn) end

return neap
