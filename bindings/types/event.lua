---@meta neap

---@class neap
local neap = {}

---A flag that many may wait for.
---@class neap.Event
local Event = {}

---Makes an event, not set.
---
---```lua
---local go = neap.event()
---local thread = neap.thread(function() return go:wait(60) end)
---go:set()
---assert(thread:join() == true)
---```
---@return neap.Event
---@since 0.1
function neap.event() end

---Sets it: all that wait go on, even if it is cleared at once. Setting it again does nothing.
---@since 0.1
function Event:set() end

---Clears it.
---@since 0.1
function Event:clear() end

---Is it set?
---@return boolean
---@since 0.1
function Event:is_set() end

---Waits until it is set.
---@param timeout? number
---@return true? set
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Event:wait(timeout) end

return neap
