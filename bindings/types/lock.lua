---@meta neap

---@class neap
local neap = {}

---Holds a lock, or a permit, until the `<close>` variable that holds the guard is left, or `release` is called.
---@class neap.Guard
local Guard = {}

---Gives back early. Leaving the variable then does nothing more.
---
---Errors: given back already; the task does not hold it.
---@since 0.1
function Guard:release() end

---One holder at a time: a task. First come, first served. Works between the tasks of all threads.
---
---Who finds it held by another thread's task looks again for some microseconds before it waits in line. It may be passed
---by others that look, or come just then; who waits in line is passed by nobody. Processes that all want it take it in
---runs: after one turn in line others may come in between, for a quarter of a millisecond, before the next in line has its own.
---
---When its holder ends without releasing it, however it ends, the next one to acquire it is told: `true, "abandoned"`.
---What the lock protects may then be half done.
---@class neap.Lock
local Lock = {}

---Makes a lock.
---
---```lua
---local lock, balance = neap.lock(), 100
---local function withdraw(amount)
---  local _ <close> = lock:guard()
---  local seen = balance
---  neap.yield() -- nobody else comes in meanwhile
---  balance = seen - amount
---end
---neap.scope(function(s)
---  for _ = 1, 10 do s:spawn(withdraw, 5) end
---end)
---assert(balance == 50)
---```
---@return neap.Lock
---@since 0.1
function neap.lock() end

---Makes a lock that its holder may acquire again; it is free when it has been released as often.
---
---```lua
---local lock = neap.rlock()
---local function nested(depth) return lock:with(function() return depth == 0 or nested(depth - 1) end) end
---assert(nested(3) and not lock:locked())
---```
---@return neap.RLock
---@since 0.1
function neap.rlock() end

---Acquires it; waits until it is free and this task is the first in line.
---
---Errors: the task holds it already: it would wait for itself.
---
---```lua
---local lock = neap.lock()
---neap.spawn(function() lock:acquire() end):join() -- ends without releasing
---local acquired, note = lock:acquire()
---assert(acquired and note == "abandoned")
---lock:release()
---```
---@param timeout? number
---@return true? acquired
---@return string? message "abandoned" beside true; "timeout"
---@return string? code "timeout"
---@since 0.1
function Lock:acquire(timeout) end

---Releases it, to the first one in line.
---
---Errors: the task does not hold it.
---@since 0.1
function Lock:release() end

---Does anybody hold it now?
---@return boolean
---@since 0.1
function Lock:locked() end

---Acquires it, calls `fn` with the arguments, releases it, and returns what `fn` returned. An error in `fn` is raised
---after the release.
---
---Errors: as `acquire`; what `fn` raises. That the lock was abandoned is not told.
---@param fn fun(...): ...
---@param ... any
---@return any ...
---@since 0.1
function Lock:with(fn, ...) end

---Acquires it for as long as a `<close>` variable lasts: `local _ <close> = lock:guard()`.
---
---Errors: as `acquire`.
---@param timeout? number
---@return neap.Guard? guard
---@return string? message "abandoned" beside a guard; "timeout"
---@return string? code "timeout"
---@since 0.1
function Lock:guard(timeout) end

---As a lock, but its holder may acquire it again.
---@class neap.RLock: neap.Lock

return neap
