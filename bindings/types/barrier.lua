---@meta neap

---@class neap
local neap = {}

---Lets a number of tasks meet: nobody goes on until all have come. Then it serves again.
---
---It breaks, for all that wait and until `reset`, when one of them times out or is cancelled, when its action fails,
---and by `abort`.
---@class neap.Barrier
---@field parties integer how many must come
---@field waiting integer how many wait now
local Barrier = {}

---Makes a barrier. The last one to come calls the action, before anybody goes on; in another thread than the one that
---made the barrier it is a copy.
---It may mention the barrier, which is then freed with the process only, once it has been sent.
---
---```lua
---local rounds = 0
---local meeting = neap.barrier(3, function() rounds = rounds + 1 end)
---neap.scope(function(s)
---  for _ = 1, 3 do
---    s:spawn(function()
---      for _ = 1, 5 do meeting:wait() end
---    end)
---  end
---end)
---assert(rounds == 5)
---```
---@param parties integer 1 or more
---@param action? fun()
---@return neap.Barrier
---@since 0.1
function neap.barrier(parties, action) end

---Waits until all have come.
---
---Errors: what the action raised, in the task that ran it; the others get `"broken"`.
---
---Cancelling: breaks the barrier, as does the end of the one that runs the action, be its process killed.
---@param timeout? number when it is over the barrier breaks; who timed out gets "timeout"
---@return integer? index of arrival, 1 to `parties`
---@return string? message
---@return string? code "timeout" or "broken"
---@since 0.1
function Barrier:wait(timeout) end

---Makes it whole and empty. Those that wait get `"broken"`.
---@since 0.1
function Barrier:reset() end

---Breaks it: those that wait, and all that come later, get `"broken"`.
---@since 0.1
function Barrier:abort() end

---Is it broken?
---@return boolean
---@since 0.1
function Barrier:is_broken() end

return neap
