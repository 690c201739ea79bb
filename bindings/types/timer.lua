---@meta neap

---@class neap
local neap = {}

---Calls `fn` with the arguments once, after `seconds`, as a task of this thread. The handle is that task's; its
---`cancel` returns true if it won the race, so that `fn` will not be called. Ten thousand timers cost no thread. A
---pending one keeps the program alive, unless it is `daemon`. Leaving the scope of a `<close>` variable that holds it
---cancels it, and waits for `fn` if that runs. All of this holds in other threads and processes, too.
---
---```lua
---local timer = neap.timer(60, print, "never")
---assert(timer:cancel() and not timer:cancel())
---
---local ch = neap.channel(1)
---neap.timer(0.01, ch.send, ch, "late")
---assert(ch:recv() == "late")
---```
---@param options neap.SpawnOptions may be left out
---@param seconds number
---@param fn fun(...)
---@param ... any
---@return neap.Task
---@overload fun(seconds: number, fn: fun(...), ...: any): neap.Task
---@since 0.1
function neap.timer(options, seconds, fn, ...) end

---Calls `fn` with the arguments every `seconds`, first after `seconds`, in a task of this thread, until that is
---cancelled or fails. The beats are counted from the start, so they do not drift; calls do not overlap, and beats that
---pass while `fn` runs are left out. Cancelling while `fn` runs cancels `fn` too, at its next wait.
---
---Errors: `seconds` is not above 0.
---
---```lua
---local beats, ch = 0, neap.channel(1)
---local heart
---heart = neap.every(0.001, function()
---  beats = beats + 1
---  if beats == 3 then
---    ch:send("enough")
---    heart:cancel()
---  end
---end)
---assert(ch:recv() == "enough" and beats == 3)
---```
---@param options neap.SpawnOptions may be left out
---@param seconds number
---@param fn fun(...)
---@param ... any
---@return neap.Task
---@overload fun(seconds: number, fn: fun(...), ...: any): neap.Task
---@since 0.1
function neap.every(options, seconds, fn, ...) end

return neap
