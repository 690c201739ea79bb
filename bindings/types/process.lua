---@meta neap

---@class neap
local neap = {}

---Another process: a clean one, that runs this library, with threads, tasks and children of its own. The function and its
---arguments are copied to it, its results back, as with a thread.
---
---It looks for modules where its parent does, has its environment and working directory, reads nothing from its stdin, and
---what it prints reaches the parent's stdout and stderr, whole line by whole line, and before `join` or `wait` returns.
---It ends with its parent, however that ends: its main task is cancelled, and a few seconds later it is gone. Ctrl-C is the
---parent's to act upon.
---
---How it ended: `join` returns what the function returned, or raises what it raised. Where it was ended otherwise `join`
---raises `process p1 was killed by signal 9`, or `process p1 exited with status 3`. That is a failure, unless it was killed
---or terminated through its handle; then its status is `"cancelled"`. With `os.exit(0)` it is `"done"`.
---
---Calling the class makes a process that has not started. `neap.Process:extend` makes a class whose instances run a method.
---
---```lua
---local process = neap.Process {target = function(n) return n * 2 end, args = {21}, name = "doubler"}
---process:start()
---assert(process:join() == 42 and process.exitcode == 0)
---```
---@class neap.Process: neap.Handle
---@field pid integer? the system's number; nil before the start
---@field exitcode integer? 0; 1 after an error; N after `os.exit(N)`; -N if signal N ended it; nil while it runs
---@overload fun(options: neap.StartOptions): neap.Process
neap.Process = {}

---Makes a class of processes, as `neap.Task:extend` does of tasks. The fields of `self` are copied to the process when it
---starts: what either side changes later, the other does not see.
---
---```lua
---local Summer = neap.Process:extend("Summer")
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
---@return neap.Process class
---@since 0.1
function neap.Process:extend(name) end

---Reads the options. A class that has an `init` of its own and wants a name, say, calls this one in it.
---@param options? neap.StartOptions
---@since 0.1
function neap.Process:init(options) end

---Starts it and returns it. What was cancelled before ends without running.
---
---Errors: starting twice; neither a `target` nor a method `run`; what cannot be sent. The system's refusal is returned.
---
---Threads: the one that made it.
---@return neap.Process? self
---@return string? message
---@return string? code as of `neap.process`
---@since 0.1
function neap.Process:start() end

---Asks the process to end, with SIGTERM: its main task is cancelled and its `<close>` variables run; then the signal ends
---it. Works also where it does not listen to `cancel`, as one that runs a long call of C.
---@return boolean sent false if it had ended
---@since 0.1
function neap.Process:terminate() end

---Sends it a signal. SIGKILL, the default, ends it at once.
---
---Errors: there is no such signal.
---
---```lua
---local process = neap.process(function() while true do end end)
---process:kill()
---assert(process:wait() and process.exitcode == -9)
---```
---@param signal? integer|string a number, or a name: `"USR1"` or `"SIGUSR1"`
---@return boolean sent false if it had ended
---@since 0.1
function neap.Process:kill(signal) end

---What the process has used, and what it has waited for; nil while it runs.
---@return neap.Usage?
---@since 0.1
function neap.Process:rusage() end

---@class neap.Usage
---@field user number seconds of processor time, in the program
---@field system number seconds of processor time, in the system on its behalf
---@field max_rss integer bytes of memory, at most
---@field page_faults integer that needed the disk
---@field voluntary_switches integer it waited
---@field involuntary_switches integer its time was up

---Starts a process that calls `fn` with the arguments. Both are copied: `fn` with its upvalues, a loaded module by its name.
---
---It runs the program `neap`: this very program; or, from a host or a stock `lua5.4`, the one that the environment variable
---NEAP_RUNNER names, or that lies beside the module, was installed with it, or is found in PATH.
---
---Errors: what cannot be sent; the program is ending. A result that cannot be sent fails the process.
---
---```lua
---local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
---local a, b = neap.process(fib, 20), neap.process({name = "b"}, fib, 21)
---assert(a:join() + b:join() == 17711)
---```
---@param options neap.SpawnOptions may be left out
---@param fn fun(...): ...
---@param ... any
---@return neap.Process?
---@return string? message
---@return string? code the system's refusal: `"ENOENT"` (no program to run it), `"EACCES"`, `"EAGAIN"`, `"EMFILE"`
---@overload fun(fn: fun(...): ..., ...: any): neap.Process?
---@since 0.1
function neap.process(options, fn, ...) end

---The live processes that this one has started.
---@return neap.Process[]
---@since 0.1
function neap.processes() end

return neap
