---@meta neap

---@class neap
local neap = {}

---Waits for all of `list` and returns a list of the first result of each, in their order.
---
---The first failure in time is raised at once, as is a cancellation of one of them; the others go on. An empty list
---gives an empty list.
---
---Errors, of this and the other three: something else than handles and futures in the list; a key that is none of a list
---(`{ task, timeout = 1 }`), unless it has a metatable.
---
---Cancelling: cancels none of the list.
---
---```lua
---local tasks = {}
---for i = 1, 5 do tasks[i] = neap.spawn(function() return i * i end) end
---assert(table.concat(neap.gather(tasks), " ") == "1 4 9 16 25")
---```
---@param list (neap.Handle|neap.Future)[]
---@param timeout? number
---@return any[]? results of what returned nothing: nil
---@return string? message
---@return string? code "timeout"
---@since 0.1
function neap.gather(list, timeout) end

---Waits for the first of `list` to end, cancels the rest, and returns what it returned, or raises what it raised. The
---rest may still be ending then.
---
---Errors: an empty list.
---
---Cancelling: cancels none of the list.
---
---```lua
---local fast = neap.spawn(function() return "fast" end)
---local slow = neap.spawn(neap.sleep, 60)
---assert(neap.race({slow, fast}) == "fast")
---slow:wait()
---assert(slow:status() == "cancelled")
---```
---@param list (neap.Handle|neap.Future)[]
---@param timeout? number
---@return any ... or `nil, "timeout", "timeout"`, and none is cancelled
---@since 0.1
function neap.race(list, timeout) end

---@class neap.WaitOptions
---@field timeout? number
---@field when? "all"|"first"|"first_error" what it waits for; `"first_error"`: a failure, or the end of all

---Waits for some of `list` and says which have ended and which have not, both in the order of `list`. It raises no
---failures, and a timeout is no special result: the lists tell. A cancellation is no failure to `"first_error"`.
---
---Cancelling: cancels none of the list.
---
---```lua
---local quick, slow = neap.spawn(function() end), neap.spawn({daemon = true}, neap.sleep, 60)
---local done, pending = neap.wait({quick, slow}, {when = "first"})
---assert(done[1] == quick and pending[1] == slow)
---```
---@param list (neap.Handle|neap.Future)[]
---@param options? neap.WaitOptions
---@return (neap.Handle|neap.Future)[] done
---@return (neap.Handle|neap.Future)[] pending
---@since 0.1
function neap.wait(list, options) end

---Iterates over the handles of `list` as they end, however they end. The loop ends after the last one.
---
---Errors: when `timeout`, counted from the call, has passed and the next one has not ended, the loop raises the string
---`"timeout"`: an iterator has no other way to say it.
---
---Cancelling: cancels none of the list.
---
---```lua
---local slow = neap.spawn(function() neap.sleep(0.01) return "slow" end)
---local quick = neap.spawn(function() return "quick" end)
---local order = {}
---for task in neap.as_completed({slow, quick}) do order[#order + 1] = task:join() end
---assert(table.concat(order, " ") == "quick slow")
---```
---@param list (neap.Handle|neap.Future)[]
---@param timeout? number
---@return fun(): neap.Handle?
---@since 0.1
function neap.as_completed(list, timeout) end

return neap
