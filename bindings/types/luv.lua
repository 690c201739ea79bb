---@meta neap

---@class neap
local neap = {}

---luv, for everything else of libuv: the module of that name (Debian: lua-luv), whose loop is turned by that of the calling
---thread, beside tasks.
---
---```lua
---local luv = neap.luv()
---local done = neap.event()
---local timer = luv.new_timer()
---timer:start(10, 0, function()
---  timer:close()
---  done:set()
---end)
---done:wait()
---```
---
---Its callbacks run between tasks, so they must not wait: what waits there raises. They may send and put where there is room, set
---events, and spawn tasks. An error in one is reported as that of a task. `luv.run()` waits, in the task that calls it, until luv has nothing
---more to do; nothing else needs it. The program does not wait for luv's handles when it ends, and while luv is in use nobody can tell that
---all tasks wait for nothing.
---
---Errors: there is no luv; no descriptors are left for its loop.
---@return table luv
---@since 0.1
function neap.luv() end

return neap
