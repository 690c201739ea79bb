---@meta neap

---@class neap
local neap = {}

---Something that is due. Leaving the `<close>` variable that holds one cancels it.
---@class neap.Timer
local Timer = {}

---Calls it off.
---@return boolean won true if the function will not be called (again); false if it has been, or the timer was cancelled before
---@since 0.1
function Timer:cancel() end

---Calls `fn` with the arguments once, after `seconds`, as a task of this thread. Ten thousand timers cost no thread. A
---pending one keeps the program alive, unless it is `daemon`. A failure is reported like that of a task that nobody
---joins.
---
---```lua
---local ch = neap.channel(1)
---neap.timer(0.01, ch.send, ch, "late")
---assert(ch:recv() == "late")
---
---local timer = neap.timer(60, print, "never")
---assert(timer:cancel() and not timer:cancel())
---```
---@param options neap.SpawnOptions may be left out
---@param seconds number
---@param fn fun(...)
---@param ... any
---@return neap.Timer
---@overload fun(seconds: number, fn: fun(...), ...: any): neap.Timer
---@since 0.1
function neap.timer(options, seconds, fn, ...) end

---Calls `fn` with the arguments every `seconds`, first after `seconds`, until it is cancelled or fails. The beats are
---counted from the start, so they do not drift; calls do not overlap, and beats that pass while `fn` runs are left out.
---
---Errors: `seconds` is not above 0.
---
---```lua
---local beats, ch = 0, neap.channel(1)
---local heart
---heart = neap.every(0.001, function()
---  beats = beats + 1
---  if beats == 3 then
---    heart:cancel()
---    ch:send("enough")
---  end
---end)
---assert(ch:recv() == "enough" and beats == 3)
---```
---@param options neap.SpawnOptions may be left out
---@param seconds number
---@param fn fun(...)
---@param ... any
---@return neap.Timer
---@overload fun(seconds: number, fn: fun(...), ...: any): neap.Timer
---@since 0.1
function neap.every(options, seconds, fn, ...) end

return neap
