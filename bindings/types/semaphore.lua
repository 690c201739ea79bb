---@meta neap

---@class neap
local neap = {}

---A number of permits. First come, first served.
---
---A permit from `acquire` belongs to nobody: another task may release it, and when its taker ends it stays taken. One
---that is held through `with` or `guard` returns when its holder ends, however it ends.
---@class neap.Semaphore
local Semaphore = {}

---Makes a semaphore.
---
---```lua
---local limit, inside, most = neap.semaphore(3), 0, 0
---neap.scope(function(s)
---  for _ = 1, 10 do
---    s:spawn(function()
---      local _ <close> = limit:guard()
---      inside = inside + 1
---      most = math.max(most, inside)
---      neap.yield()
---      inside = inside - 1
---    end)
---  end
---end)
---assert(most == 3 and limit:value() == 3)
---```
---@param permits? integer 0 or more; by default 1
---@return neap.Semaphore
---@since 0.1
function neap.semaphore(permits) end

---Makes a semaphore that never has more permits than it began with.
---
---```lua
---local slots = neap.bounded_semaphore(2)
---assert(not pcall(slots.release, slots))
---```
---@param permits? integer 0 or more; by default 1
---@return neap.BoundedSemaphore
---@since 0.1
function neap.bounded_semaphore(permits) end

---Takes a permit; waits for one. It belongs to nobody from then on: a process that has got it and is killed does not release it.
---
---Cancelling: nothing is lost. Nor is a permit that is under way to a process that is killed.
---@param timeout? number
---@return true? acquired
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Semaphore:acquire(timeout) end

---Adds permits. Anybody may.
---
---Errors: `count` is no whole number from 1 on; a bounded one would have more than it began with.
---@param count? integer by default 1
---@since 0.1
function Semaphore:release(count) end

---Holds a permit, calls `fn` with the arguments, gives the permit back, and returns what `fn` returned.
---
---Errors: what `fn` raises, after the permit was given back.
---@param fn fun(...): ...
---@param ... any
---@return any ...
---@since 0.1
function Semaphore:with(fn, ...) end

---Holds a permit for as long as a `<close>` variable lasts.
---@param timeout? number
---@return neap.Guard? guard
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Semaphore:guard(timeout) end

---How many permits are left now.
---@return integer
---@since 0.1
function Semaphore:value() end

---A semaphore whose permits are never more than at the beginning.
---@class neap.BoundedSemaphore: neap.Semaphore

return neap
