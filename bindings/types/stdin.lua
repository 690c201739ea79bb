---@meta neap

---@class neap
local neap = {}

---Standard input as a stream, be it a terminal, a pipe, a socket or a file: reading it suspends only the task. One for all tasks of a
---thread, always the same. Of a terminal the lines come as they are typed, and its end with Ctrl-D.
---
---It is read apart from `io.stdin`: what one has read ahead the other does not see, so a script uses one of them. To let
---`io.read` and `io.lines` themselves suspend the task there is `neap.patch_all`. Standard input of the program stays as it
---is for others that share it. Threads share what comes; each byte goes to whoever reads first. Of a child process it is empty.
---
---```lua
---for line in neap.stdin():lines() do print(line) end
---```
---@return neap.Stream|neap.File?
---@return string? message
---@return string? code
---@since 0.1
function neap.stdin() end

return neap
