---@meta neap

---@class neap
local neap = {}

---A signal of the system that is waited for. It may be sent to other threads and processes. Leaving the `<close>` variable that
---holds it closes it, and so does the collection of the last handle to it.
---@class neap.Signal
local Signal = {}

---Opens what waits for a signal, by its name ("TERM", "SIGTERM") or number. Until it is closed the signal does nothing else
---in this process: SIGINT does not end the program, not even the second time, and SIGHUP does not either. When the last one
---that is open for a signal is closed, the signal does again what it did before; so it does once the program is ending.
---
---Each that is open gets each signal: all tasks that wait on it go on. A signal that comes while nobody waits on it is
---kept for the next one who does; several are kept as one.
---
---Errors: a signal that cannot be caught (SIGKILL, SIGSTOP), that tells of a fault of the program (SIGSEGV, SIGBUS, SIGFPE,
---SIGILL), or that time slices use (SIGURG). Inside a host: `denied`, unless its config allows `signals`.
---
---```lua
---local reload <close> = assert(neap.signal("HUP"))
---local stop <close> = assert(neap.signal("TERM"))
---neap.timer(0.01, function() os.execute("kill -HUP " .. neap.getpid()) end)
---neap.timer(0.1, function() os.execute("kill -TERM " .. neap.getpid()) end)
---local seen = {}
---while true do
---  local index = neap.select({ reload, stop }, 60)
---  seen[#seen + 1] = index == 1 and "reloaded" or "stopped"
---  if index ~= 1 then break end
---end
---assert(table.concat(seen, " ") == "reloaded stopped")
---```
---@param signal string|integer
---@return neap.Signal?
---@return string? message
---@return string? code "EMFILE" and "ENFILE": no descriptor is left
---@since 0.1
function neap.signal(signal) end

---Waits until the signal comes, or takes the one that is kept.
---@param timeout? number
---@return true?
---@return string? message
---@return string? code "timeout", "closed"
---@since 0.1
function Signal:wait(timeout) end

---Iterates over the signals as they come, `true` for each, until it is closed.
---@return fun(): true?
---@since 0.1
function Signal:iter() end

---Closes it, for all that have it: who waits is answered "closed". True the first time.
---@return boolean
---@since 0.1
function Signal:close() end

---Was it closed?
---@return boolean
---@since 0.1
function Signal:is_closed() end

return neap
