---@meta neap

---@class neap
local neap = {}

---Lets the holders of a lock wait until something that the lock protects has changed. It has the methods of its lock:
---`acquire`, `release`, `locked`, `with`, `guard`.
---@class neap.Condition: neap.Lock
local Condition = {}

---Makes a condition of `lock`, or of a new rlock. Several conditions may have one lock.
---
---```lua
---local items, changed = {}, neap.condition()
---local consumer = neap.spawn(function()
---  local _ <close> = changed:guard()
---  changed:wait_for(function() return #items > 0 end)
---  return table.remove(items)
---end)
---changed:with(function()
---  items[1] = "herring"
---  changed:notify()
---end)
---assert(consumer:join() == "herring")
---```
---@param lock? neap.Lock|neap.RLock
---@return neap.Condition
---@since 0.1
function neap.condition(lock) end

---Gives up the lock, all its levels, waits until it is notified, and acquires it again. Who notified does so while
---holding the lock; others may come between: check what was waited for, or use `wait_for`.
---
---Errors: the task does not hold the lock.
---
---Cancelling: the lock is held again when the error is raised. Who was notified before that returns first, and learns
---of the cancellation at its next wait: no notification is lost.
---@param timeout? number of the waiting; acquiring the lock again has none
---@return true? notified
---@return string? message "abandoned" beside true, if the lock was; "timeout"
---@return string? code "timeout"; the lock is held
---@return string? note "abandoned" beside "timeout", if the lock was
---@since 0.1
function Condition:wait(timeout) end

---Waits until `predicate()` is true, which is called with the lock held: first at once, then after each notification.
---
---Errors: the task does not hold the lock; what `predicate` raises.
---@param predicate fun(): any
---@param timeout? number of all the waiting
---@return any value of the predicate; nil when the time is over
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Condition:wait_for(predicate, timeout) end

---Wakes the first `count` that wait; fewer if fewer do. They go on when the lock is released.
---
---Errors: the task does not hold the lock; `count` is no whole number from 1 on.
---@param count? integer by default 1
---@since 0.1
function Condition:notify(count) end

---Wakes all that wait.
---
---Errors: the task does not hold the lock.
---@since 0.1
function Condition:notify_all() end

return neap
