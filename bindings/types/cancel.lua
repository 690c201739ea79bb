---@meta neap

---@class neap
local neap = {}

---What a cancelled task is stopped with; `tostring` makes it `cancelled`, or `cancelled: ` and the reason.
---@class neap.Cancelled
---@field reason? any what `cancel` was given

---Is `err` the error that a cancelled task is stopped with? Who catches errors and means to go on asks this first; who
---swallows the error meets it again at the next wait.
---
---```lua
---local outcome
---local task = neap.spawn(function()
---  local ok, err = pcall(neap.sleep, 60)
---  outcome = neap.is_cancelled(err) and "cancelled" or "slept"
---end)
---neap.yield()
---task:cancel()
---task:wait()
---assert(outcome == "cancelled")
---```
---@param err any
---@return boolean
---@since 0.1
function neap.is_cancelled(err) end

---Calls `fn` with the arguments and returns what it returns; cancellations from outside are held off meanwhile and
---raised at the first wait after it, or, in code that goes from shield to shield, soon. A `neap.timeout` inside `fn`
---still counts there, one around it does not.
---
---Errors: raises what `fn` raises.
---
---```lua
---local saved = false
---local task = neap.spawn(function()
---  neap.shield(function()
---    neap.sleep(0.01)
---    saved = true
---  end)
---  neap.sleep(60) -- here it is cancelled
---end)
---neap.yield()
---task:cancel()
---task:wait()
---assert(saved and task:status() == "cancelled")
---```
---@param fn fun(...): ...
---@param ... any
---@return any ...
---@since 0.1
function neap.shield(fn, ...) end

---Calls `fn` with the arguments and returns what it returns; `nil, "timeout", "timeout"` if that is not done within
---`seconds`. It covers every wait inside, and soon stops a loop that never waits, too, as cancelling does (see
---`neap.slice`). Of nested ones the nearest counts.
---
---At the deadline `fn` is cancelled: its `<close>` variables run, and may wait. What the deadline does not reach is
---what `fn` has spawned outside a scope. With 0 the first call inside that could wait is stopped.
---
---Errors: raises what `fn` raises.
---
---```lua
---local ch = neap.channel()
---local value, _, code = neap.timeout(0.01, function() return ch:recv() end)
---assert(value == nil and code == "timeout")
---assert(neap.timeout(60, function() return "done" end) == "done")
---```
---@param seconds number
---@param fn fun(...): ...
---@param ... any
---@return any ...
---@since 0.1
function neap.timeout(seconds, fn, ...) end

return neap
