---@meta neap

---@class neap
local neap = {}

---Many readers or one writer. First come, first served: who waits to write stops readers that come later, so that
---writers are not starved. A reader may acquire reading again, even then. The hold of a writer that ends without
---releasing is abandoned, as with `neap.Lock`: every reader is told, until a writer has acquired it, who is told too.
---@class neap.RWLock
local RWLock = {}

---Makes a lock for many readers or one writer.
---
---```lua
---local lock = neap.rwlock()
---assert(lock:acquire_read())
---local reader = neap.spawn(function() return lock:acquire_read(0) end)
---assert(reader:join()) -- together
---local writer = neap.spawn(function() return lock:acquire_write(0) end)
---assert(select(3, writer:join()) == "timeout")
---lock:release()
---```
---@return neap.RWLock
---@since 0.1
function neap.rwlock() end

---Acquires it for reading; waits while somebody writes or waits to write.
---
---Errors: the task writes.
---@param timeout? number
---@return true? acquired
---@return string? message "abandoned" beside true; "timeout"
---@return string? code "timeout"
---@since 0.1
function RWLock:acquire_read(timeout) end

---Acquires it for writing; waits until nobody reads or writes.
---
---Errors: the task reads or writes already: it would wait for itself.
---@param timeout? number
---@return true? acquired
---@return string? message "abandoned" beside true; "timeout"
---@return string? code "timeout"
---@since 0.1
function RWLock:acquire_write(timeout) end

---Gives up writing, or one of the task's reads.
---
---Errors: the task neither reads nor writes.
---@since 0.1
function RWLock:release() end

---Acquires reading for as long as a `<close>` variable lasts.
---
---Errors: as `acquire_read`.
---@param timeout? number
---@return neap.Guard? guard
---@return string? message
---@return string? code "timeout"
---@since 0.1
function RWLock:guard_read(timeout) end

---Acquires writing for as long as a `<close>` variable lasts.
---
---Errors: as `acquire_write`.
---@param timeout? number
---@return neap.Guard? guard
---@return string? message
---@return string? code "timeout"
---@since 0.1
function RWLock:guard_write(timeout) end

return neap
