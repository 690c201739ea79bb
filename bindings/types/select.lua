---@meta neap

---@class neap
local neap = {}

---Waits until one of `cases` is ready, carries it out, and returns its index and its result. A case is
---
---| case | is ready when | result |
---| --- | --- | --- |
---| a channel, queue or pipe end | it has a value | the value, and of a queue its priority |
---| `{handle, value}` of these | it takes the value | `true` |
---| `{queue, value, priority}` | it takes the value | `true` |
---| a task, thread, process or future | it has ended | nothing; ask `join` |
---| an event | it is set | nothing |
---| a signal | it has come | nothing |
---| a watch of files | something has happened | the event |
---
---One that is closed is ready, with `nil, "closed", "closed"` and the reason. All cases are looked at in one moment.
---Exactly one is carried out; the others are left untouched. Among ready ones the choice is fair.
---
---Errors: an empty list; what is no case; a value that cannot be sent.
---
---```lua
---local numbers, words, stop = neap.channel(), neap.channel(), neap.event()
---neap.spawn(function()
---  numbers:send(1)
---  words:send("two")
---  stop:set()
---end)
---local seen = {}
---while true do
---  local index, value = neap.select({numbers, words, stop}, 60)
---  if index == 3 then break end
---  seen[#seen + 1] = value
---end
---assert(table.concat(seen, " ") == "1 two")
---
---assert(select(2, neap.select({numbers}, 0)) == "timeout")
---```
---@param cases (neap.Channel|neap.Queue|neap.Pipe|neap.Handle|neap.Future|neap.Event|neap.Signal|neap.Watch|table)[]
---@param timeout? number
---@return integer? index of the case
---@return any ... or `nil, "timeout", "timeout"`
---@since 0.1
function neap.select(cases, timeout) end

return neap
