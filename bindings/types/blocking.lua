---@meta neap

---@class neap
local neap = {}

---Calls `fn` in a helper thread, and returns what it returns: for code that would hold up the other tasks of this thread, as a
---library that waits by itself does, or a long computation in C. Only the task that calls waits.
---
---A helper has a Lua state of its own: the function, its arguments and results are copied as everything that goes to a
---thread; globals that `fn` sets stay in the helper, and another call may meet them. Helpers are kept for the next call, by
---all threads of the program alike, as many as there were calls at once; one that has had nothing to do for two seconds
---ends. A call costs about as much as a piece of work of a pool. For work that should keep all cores busy use `neap.pool`.
---
---Errors of `fn` are raised here, with its stack below that of the task (`caused by`); so is something that cannot be sent, there
---or back (`cannot send args[2]: userdata`, `cannot send results[1]: ...`). Where threads are denied it is, too.
---
---Cancelling, or a `neap.timeout` around it, ends the waiting and not the call: that goes on, and what comes out of it is
---dropped. A program that ends meanwhile waits for it as for any thread, at most for the time of grace.
---
---```lua
---local ticks = 0
---local clock = neap.spawn(function()
---  while true do
---    neap.sleep(0.01)
---    ticks = ticks + 1
---  end
---end)
---local ok, how, status = neap.blocking(os.execute, "sleep 0.2; exit 3")
---clock:cancel()
---clock:wait()
---assert(not ok and how == "exit" and status == 3)
---assert(ticks > 0)
---```
---@param fn function
---@param ... any its arguments
---@return any ...
---@since 0.1
function neap.blocking(fn, ...) end

return neap
