---@meta neap

---@class neap
local neap = {}

---One end of a connection between two. Values are buffered, up to 1024 each way, and arrive in order. Tasks that share
---an end share it by reference: closing it closes it for everyone. Leaving the `<close>` variable that holds an end
---closes it, and so does its collection when no handle to it is left anywhere.
---@class neap.Pipe
local Pipe = {}

---Makes a pipe: two ends that both send and receive, or, not duplex, a reader and a writer.
---
---```lua
---local here, there = neap.pipe()
---neap.thread(function(conn)
---  conn:send(conn:recv() * 2)
---  conn:close()
---end, there)
---here:send(21)
---assert(here:recv() == 42)
---assert(select(3, here:recv()) == "closed")
---
---local reader, writer = neap.pipe(false)
---writer:send("one way")
---assert(reader:recv() == "one way")
---```
---@param duplex? boolean by default true
---@return neap.Pipe a the reader, if not duplex
---@return neap.Pipe b the writer, if not duplex
---@since 0.1
function neap.pipe(duplex) end

---Sends a copy of `value` to the other end; waits for room in the buffer.
---
---Errors: `value` is nil, or cannot be sent; this end was closed; this is the reader.
---@param value any not nil
---@param timeout? number
---@return true? sent
---@return string? message
---@return string? code "timeout", or "closed": the other end was closed
---@since 0.1
function Pipe:send(value, timeout) end

---Receives the next value; waits for one. After the other end was closed, what is left is received first.
---
---Errors: this end was closed; this is the writer.
---@param timeout? number
---@return any value nil if there was none
---@return string? message
---@return string? code "timeout" or "closed"
---@since 0.1
function Pipe:recv(timeout) end

---Waits until `recv` would not wait: there is a value, or the other end was closed. Takes nothing.
---
---Errors: as `recv`.
---@param timeout? number by default 0
---@return boolean ready
---@since 0.1
function Pipe:poll(timeout) end

---Closes this end. The other end receives what was sent, then `nil, "closed"`. What waits at this end gets `nil,
---"closed"`; so does a later send at the other. Closing again does nothing.
---@since 0.1
function Pipe:close() end

return neap
