---@meta neap

---@class neap
local neap = {}

---What a task, a thread and a process have in common.
---
---As a to-be-closed variable (`local worker <close> = neap.thread(work)`) it is waited for where its scope is left well, and
---cancelled first where an error leaves it. What nobody waits for, a daemon or a timer, is cancelled in any case. A failure is
---not raised there: who wants it joins; otherwise it is told at the end of the program.
---
---```lua
---local saved = false
---do
---  local writer <close> = neap.spawn(function()
---    neap.sleep(0.01)
---    saved = true
---  end)
---end
---assert(saved)
---```
---@class neap.Handle
---@field name string what reports call it, cut after 63 bytes; writable
---@field id integer positive; no other task, thread or process of the program has or had it
---@field daemon boolean the program does not wait for it; writable before the start
local Handle = {}

---Waits for the end and returns what the function returned.
---
---Errors: raises what the function raised, the original value; a cancellation error if it was cancelled; misuse is to
---join oneself, or what has not started. An error that cannot be sent from another thread or process, as its metatable is
---not registered (`neap.register`), arrives as text: what `tostring` says of it there, and the reason.
---
---Cancelling: the one who joins stops waiting; what it waited for goes on.
---
---```lua
---local task = neap.spawn(function(a, b) return a + b, a * b end, 3, 4)
---local sum, product = task:join()
---assert(sum == 7 and product == 12)
---
---local failing = neap.spawn({quiet = true}, function() error({status = 404}) end)
---local ok, err = pcall(failing.join, failing)
---assert(not ok and err.status == 404)
---```
---@param timeout? number
---@return any ... or `nil, "timeout", "timeout"`
---@since 0.1
function Handle:join(timeout) end

---Waits for the end, however it ends. Unlike `join` it takes no note of a failure.
---
---Errors: waiting for oneself, or for what has not started.
---@param timeout? number
---@return true? ended
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Handle:wait(timeout) end

---Asks it to stop: raises a cancellation error in the wait that it is in, or at its next one, or in a loop that has run
---for a slice without any; and again at each later wait. Returns at once. What never ran never will; what caught the
---error and returned has the status `"done"`.
---@param reason? any stands in the error; copied if it is in another thread or process
---@return boolean asked false if it had ended or been asked before
---@since 0.1
function Handle:cancel(reason) end

---How it stands: `"new"` (not started), `"running"` (or ready to), `"waiting"`, `"done"`, `"failed"`, `"cancelled"`.
---@return "new"|"running"|"waiting"|"done"|"failed"|"cancelled"
---@since 0.1
function Handle:status() end

---Has it started and not yet ended?
---@return boolean
---@since 0.1
function Handle:is_alive() end

---What it failed with, or the cancellation error; nil while it runs and if it returned. A failure that was asked for
---here counts as taken note of.
---@return any
---@since 0.1
function Handle:error() end

---Where it failed, through every task, thread and process on the way, and back to where each was spawned; nil unless it failed.
---@return string?
---@since 0.1
function Handle:traceback() end

---A coroutine that the thread runs beside others. What it is given, upvalues and arguments, is shared with its spawner,
---as all tasks of one thread share their values.
---
---Calling the class makes a task that has not started. `neap.Task:extend` makes a class whose instances run a method.
---
---```lua
---local task = neap.Task {target = string.upper, args = {"tide"}, name = "shout"}
---assert(task:status() == "new")
---assert(task:start():join() == "TIDE")
---```
---@class neap.Task: neap.Handle
---@field data table the task's own; empty at first. For the thread that runs the task only
---@overload fun(options: neap.StartOptions): neap.Task
neap.Task = {}

---Makes a class of tasks. An instance is made by calling the class: `init`, if there is one, gets the arguments. When
---it is started, `run` is called in the new task; what it returns is what `join` returns. Classes can be extended
---again.
---
---```lua
---local Counter = neap.Task:extend("Counter")
---function Counter:init(limit) self.limit, self.seen = limit, 0 end
---function Counter:run()
---  for _ = 1, self.limit do
---    self.seen = self.seen + 1
---    neap.yield()
---  end
---  return self.seen
---end
---
---local counter = Counter(3)
---counter:start()
---assert(counter:join() == 3 and counter.seen == 3)
---```
---@param name string what `tostring` and reports call its instances
---@return neap.Task class
---@since 0.1
function neap.Task:extend(name) end

---Reads the options. A class that has an `init` of its own and wants a name, say, calls this one in it.
---
---```lua
---local Worker = neap.Task:extend("Worker")
---function Worker:init(number) neap.Task.init(self, {name = "worker " .. number}) end
---function Worker:run() return neap.current().name end
---
---local worker = Worker(7)
---worker:start()
---assert(worker:join() == "worker 7")
---```
---@param options? neap.StartOptions
---@since 0.1
function neap.Task:init(options) end

---Starts it and returns it. What was cancelled before ends at once, as cancelled.
---
---Errors: starting twice; there is neither a `target` nor a method `run`; `args` has a key that is none of a list.
---
---Threads: the one that made it.
---@return neap.Task self
---@since 0.1
function neap.Task:start() end

---An operating system thread with a Lua state of its own, in which a main task runs the function, and may spawn others.
---The function and its arguments are copied to it, its results back.
---
---Calling the class makes a thread that has not started. `neap.Thread:extend` makes a class whose instances run a
---method.
---@class neap.Thread: neap.Handle
---@overload fun(options: neap.StartOptions): neap.Thread
neap.Thread = {}

---Makes a class of threads, as `neap.Task:extend` does of tasks. The fields of `self` are copied to the thread when it
---starts: what either side changes later, the other does not see.
---
---```lua
---local Summer = neap.Thread:extend("Summer")
---function Summer:init(first, last) self.first, self.last = first, last end
---function Summer:run()
---  local sum = 0
---  for i = self.first, self.last do sum = sum + i end
---  return sum
---end
---
---local low, high = Summer(1, 500), Summer(501, 1000)
---low:start()
---high:start()
---assert(low:join() + high:join() == 500500)
---```
---@param name string
---@return neap.Thread class
---@since 0.1
function neap.Thread:extend(name) end

---Reads the options. A class that has an `init` of its own and wants a name, say, calls this one in it.
---
---```lua
---local Worker = neap.Thread:extend("Worker")
---function Worker:init(number) neap.Thread.init(self, {name = "worker " .. number}) end
---function Worker:run() return neap.current().name end
---
---local worker = Worker(7)
---worker:start()
---assert(worker:join() == "worker 7")
---```
---@param options? neap.StartOptions
---@since 0.1
function neap.Thread:init(options) end

---Starts it and returns it. What was cancelled before ends at once, as cancelled.
---
---Errors: starting twice; neither a `target` nor a method `run`; what cannot be sent; the system's refusal.
---
---Threads: the one that made it.
---@return neap.Thread self
---@since 0.1
function neap.Thread:start() end

---@class neap.StartOptions
---@field target? fun(...): ... what runs, unless there is a method `run`
---@field args? any[] its arguments; also what `table.pack` returns
---@field name? string
---@field daemon? boolean
---@field quiet? boolean

---@class neap.SpawnOptions
---@field name? string what reports call it; by default `task-`, `thread-` or `process-` and its id
---@field quiet? boolean a failure is not reported; it is still raised by `join`, and counts for the exit status
---@field daemon? boolean the program does not wait for it; it is cancelled at the end

---Starts a task that calls `fn` with the arguments. It runs when the spawner next waits, never inside `spawn`; tasks
---start in the order of their spawning.
---
---Errors: `fn` is no function; the thread is ending.
---
---```lua
---local trace = {}
---neap.spawn(function() trace[#trace + 1] = "second" end)
---neap.spawn({name = "later"}, function(word) trace[#trace + 1] = word end, "third")
---trace[#trace + 1] = "first"
---neap.sleep(0)
---assert(table.concat(trace, " ") == "first second third")
---```
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Task
---@overload fun(fn: fun(...): ..., ...: any): neap.Task
---@since 0.1
function neap.spawn(options, fn, ...) end

---Starts a thread that calls `fn` with the arguments. Both are copied: `fn` with its upvalues, a loaded module by its
---name.
---
---Errors: what cannot be sent; the system's refusal to make a thread. A result that cannot be sent fails the thread.
---
---```lua
---local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
---local a, b = neap.thread(fib, 20), neap.thread({name = "b"}, fib, 21)
---assert(a:join() + b:join() == 17711)
---```
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Thread
---@overload fun(fn: fun(...): ..., ...: any): neap.Thread
---@since 0.1
function neap.thread(options, fn, ...) end

return neap
