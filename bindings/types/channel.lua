---@meta neap

---@class neap
local neap = {}

---Carries values from senders to receivers, each to exactly one, in the order of their sending. First come, first
---served.
---
---A value leaves the sender or it does not: a send that timed out, met a closed channel or was cancelled has delivered
---nothing, a receive that timed out or was cancelled has taken nothing.
---@class neap.Channel
---@field capacity integer how many values it buffers; 0: none
---@operator len: integer values that are buffered now
local Channel = {}

---Makes a channel. With capacity 0 it is a rendezvous: a send is done when a receiver has taken the value. With more, a
---send is done when there is room.
---
---```lua
---local ch = neap.channel()
---neap.spawn(function()
---  for i = 1, 3 do ch:send(i) end
---  ch:close()
---end)
---local sum = 0
---for value in ch:iter() do sum = sum + value end
---assert(sum == 6)
---```
---@param capacity? integer 0 or more; by default 0
---@return neap.Channel
---@since 0.1
function neap.channel(capacity) end

---Sends a copy of `value`; waits for a receiver, or for room.
---
---Errors: `value` is nil (send `neap.null`), or cannot be sent; the channel is as before then.
---
---```lua
---local ch = neap.channel(1)
---assert(ch:send("first"))
---local sent, message, code = ch:send("second", 0)
---assert(not sent and message == "timeout" and code == "timeout")
---```
---@param value any not nil
---@param timeout? number
---@return true? sent
---@return string? message
---@return string? code "timeout" or "closed"
---@return any reason that `close` was given
---@since 0.1
function Channel:send(value, timeout) end

---Receives the next value; waits for one. `false` is a value too: tell the end by `nil`.
---
---Cancelling: nothing is lost. Nor is a value that is under way to a process that is killed: it is received next, before all
---others.
---@param timeout? number
---@return any value nil if there was none
---@return string? message
---@return string? code "timeout" or "closed": closed and drained
---@return any reason that `close` was given
---@since 0.1
function Channel:recv(timeout) end

---Closes it, for everyone. What is buffered can still be received. Senders that wait get `nil, "closed"`, their values
---were not sent; so do receivers that wait. Closing again does nothing.
---
---```lua
---local ch = neap.channel(1)
---ch:send("last")
---assert(ch:close("no more tides"))
---assert(ch:recv() == "last")
---local value, _, code, reason = ch:recv()
---assert(value == nil and code == "closed" and reason == "no more tides")
---```
---@param reason? any given out with the code; copied, so it must be something that can be sent
---@return boolean closed false if it was closed before
---@since 0.1
function Channel:close(reason) end

---Iterates over the values until the channel is closed and drained. Several may iterate: each value goes to one of
---them. What it returns is a function that needs no arguments, and may be called by hand, too.
---@return fun(): any
---@since 0.1
function Channel:iter() end

---Has it been closed? There may be buffered values still.
---@return boolean
---@since 0.1
function Channel:is_closed() end

return neap
