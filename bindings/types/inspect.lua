---@meta neap

---@class neap
local neap = {}

---What `neap.inspect` tells of a task.
---@class neap.TaskReport
---@field id integer
---@field name string
---@field thread string the name of its thread; "main" for the main thread
---@field status "new"|"running"|"waiting" `"running"`: or ready to
---@field since? number for how many seconds it has waited
---@field waits_for? string in words, as `recv of channel: 0x5581…`
---@field at? string where it waits, as `script.lua:12`
---@field daemon boolean
---@field holds string[] what it holds: locks and permits

---@class neap.ThreadReport
---@field id? integer nil for the main thread
---@field name string
---@field status string as `thread:status()`
---@field tasks? integer how many live tasks it has; nil if it did not answer
---@field daemon boolean

---@class neap.ProcessReport
---@field id integer
---@field name string
---@field pid integer
---@field status string
---@field daemon boolean

---@class neap.LockReport
---@field name string as `lock: 0x5581…`
---@field holders string[] tasks, as `writer (thread main)`
---@field waiters string[] likewise

---@class neap.Inspection
---@field tasks neap.TaskReport[] of all threads, by id; of one thread 10,000 at most
---@field threads neap.ThreadReport[] the main thread first
---@field processes neap.ProcessReport[] the child processes
---@field locks neap.LockReport[] what is held, or waited for to be held

---What the program is doing: which tasks there are in all threads, what each waits for and since when, who holds what.
---The commands `:tasks`, `:threads`, `:processes` and `:locks` of the prompt show it.
---
---Each thread is asked and answers for itself, between two of its tasks. One that runs what cannot be interrupted for
---half a second is listed without its tasks.
---
---Waits for the answers of other threads. Cancelling it loses nothing.
---
---```lua
---local lock = neap.lock()
---local task = neap.spawn({name = "keeper"}, function()
---  lock:acquire()
---  neap.sleep(60)
---end)
---neap.sleep(0)
---local found
---for _, report in ipairs(neap.inspect().tasks) do
---  if report.name == "keeper" then found = report end
---end
---assert(found.status == "waiting" and found.waits_for == "sleep" and #found.holds == 1)
---task:cancel()
---task:wait()
---```
---@return neap.Inspection
---@since 0.1
function neap.inspect() end

return neap
