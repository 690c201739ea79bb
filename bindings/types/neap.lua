---@meta neap

---Concurrent programs as plain Lua scripts: tasks, threads, channels and synchronisation with one vocabulary.
---
---What holds for every entry, unless the entry says otherwise:
---
---- **Time** is in seconds, integer or float. A `timeout` of `nil` waits for ever, 0 tries once, `math.huge` is for
---  ever. A negative one, NaN, or what is no number raises.
---- **Waiting** suspends the task, never the thread; other tasks of the thread go on. Where no task runs (the main
---  chunk of a stock `lua5.4`), the call turns the loop until it is done. It works inside `pcall`, metamethods,
---  iterators and coroutines of the script's own. In a `table.sort` comparator, a `string.gsub` callback, the reader of
---  `load`, a module that `require` runs, `__gc`, and the `<close>` variables of a coroutine that `coroutine.close`
---  closes or that failed in `coroutine.wrap`, Lua cannot suspend: there a call that must wait raises.
---- **Results**: what was expected to be possible is returned as `nil, message, code`: `nil, "timeout", "timeout"`.
---  Compare codes only: `"timeout"`, `"closed"`, `"full"`, `"empty"`, `"broken"`.
---- **Errors**: misuse raises, as in `bad argument #1 to 'channel' (capacity must not be negative)`; unknown options
---  raise too.
---- **Cancelling** a task raises at the wait that it is in, and at every later one. The wait has then done nothing: it
---  took no value, delivered none, holds nothing.
---- **Threads**: handles may be used in every thread. They are shared by reference; all other values are copied when
---  they go through a channel or to another thread: booleans, numbers, strings, tables (with cycles and shared
---  references), Lua functions with their upvalues (a function's globals are the receiver's). Coroutines, files and
---  foreign userdata raise in the sender, with their path: `cannot send args[2].conn: userdata`.
---- **Equality**: in one thread a handle is one value, however it came there, so handles compare with `==` and can be
---  keys.
---- `tostring` of a handle says what it is and how it stands: `channel: 0x5581… (3/8)`.
---
---Every example is a program of its own; `local neap = require "neap"` stands before it.
---@class neap
local neap = {}

---The version, as `0.1.0`.
---@type string
---@since 0.1
neap.version = nil

---Stands for nil where a nil cannot be: as a value of a channel or queue, or in a table that is sent. It is true as a
---condition, equal to itself in every thread, and `tostring` makes it `null`.
---
---```lua
---local ch = neap.channel(1)
---ch:send(neap.null)
---assert(ch:recv() == neap.null)
---```
---@type neap.null
---@since 0.1
neap.null = nil

---@class neap.null: userdata

---Lets tables with this metatable be sent: the receiver gives them its own metatable of that name. If it registered
---none, it loads the module that the metatable is or stands in, and if it finds none, is sent a copy. Tables with other
---metatables cannot be sent.
---
---Errors: a name or a metatable that is registered already, with another partner.
---
---Threads: counts for the thread that calls it.
---
---```lua
---local Point = {}
---Point.__index = Point
---function Point:norm() return (self.x ^ 2 + self.y ^ 2) ^ 0.5 end
---neap.register("Point", Point)
---
---local point = setmetatable({x = 3, y = 4}, Point)
---assert(neap.thread(function(p) return p:norm() end, point):join() == 5)
---```
---@param name string the same in every thread
---@param metatable table
---@return table metatable
---@since 0.1
function neap.register(name, metatable) end

---Says who hears of failures that nobody waits for: `fn` is called with the handle of what failed, its error and its
---traceback, at once. Without one they are written to stderr.
---
---What belongs to a scope is not reported: its scope raises. Nor is what was spawned with `quiet = true`, nor what was
---cancelled. A failure that nobody has joined by the end of the program makes its exit status 1, reported or not. One that
---was waited for, but never joined, is written to stderr then.
---
---At once means: it does not wait to see whether somebody is about to join. What fails just before that is reported, and
---raised by the `join` too; spawn it with `quiet = true` where only the `join` is to tell.
---
---It runs as a task, so it may wait. An error in it is written to stderr, and then what it was told of, too.
---
---Threads: set in the main thread, it hears of all threads and of child processes; set in another, of that thread's tasks only, and first.
---
---```lua
---local heard = neap.channel(1)
---neap.on_error(function(handle, err) heard:send(handle.name .. ": " .. err.problem) end)
---local task = neap.spawn({name = "worker"}, function() error({problem = "no paper"}) end)
---assert(heard:recv() == "worker: no paper")
---assert(not pcall(task.join, task)) -- joined: the exit status is 0
---```
---@param fn? fun(handle: neap.Task|neap.Thread|neap.Process, err: any, traceback: string) nil: stderr again
---@return function? previous
---@since 0.1
function neap.on_error(fn) end

---The task that calls; in the main task of a thread or a child process, that thread or process: sent to whoever started
---it, this is the handle that is there already. In the main chunk of a
---stock `lua5.4` it stands for that chunk. Where an object of a class runs, this is the plain handle, as in
---`neap.tasks()` and its kin: their `id` is the same.
---@return neap.Task|neap.Thread|neap.Process
---@since 0.1
function neap.current() end

---The main task: that of the main chunk. In a child process, that process.
---@return neap.Task|neap.Process
---@since 0.1
function neap.main() end

---The live threads of the program, started ones only; the main thread is not among them, as it has no handle.
---@return neap.Thread[]
---@since 0.1
function neap.threads() end

---The live tasks of the thread that calls, the caller among them.
---@return neap.Task[]
---@since 0.1
function neap.tasks() end

---How many threads are alive, the main thread among them.
---@return integer
---@since 0.1
function neap.active_count() end

---How many cores the program may use: those that its CPU affinity allows.
---@return integer
---@since 0.1
function neap.cpu_count() end

---The id of this process.
---@return integer
---@since 0.1
function neap.getpid() end

---The id of the parent process.
---@return integer
---@since 0.1
function neap.getppid() end

---The time on a clock that never jumps, in seconds from a point in the past that is the same in all threads. For
---intervals; dates come from `os.time`.
---@return number
---@since 0.1
function neap.now() end

---Waits for `seconds`, never less. 0 gives way, as `neap.yield` does.
---@param seconds number
---@since 0.1
function neap.sleep(seconds) end

---Gives way: the task runs again when those that are ready have had their turn. A task that is cancelled is told here.
---
---```lua
---local trace = {}
---for _, name in ipairs {"a", "b"} do
---  neap.spawn(function()
---    trace[#trace + 1] = name
---    neap.yield()
---    trace[#trace + 1] = name
---  end)
---end
---while #trace < 4 do neap.yield() end
---assert(table.concat(trace) == "abab")
---```
---@since 0.1
function neap.yield() end

---Sets how long a task may run while others of its thread are ready; then it is put back in the queue, wherever Lua can
---be suspended. 0 turns that off. It is 0.01 to begin with; 0 in a program other than `neap` that uses the signal itself.
---
---Slices are made by a signal, SIGURG, that a thread sends itself while a task runs too long. Cancelling reaches a loop
---that never waits by the same way.
---
---Lua cannot be suspended below a comparator of `table.sort`, a function of `string.gsub`, `require`; and nothing
---interrupts one long call of C. A hook of `debug.sethook` goes on as before; one that counts more than 10,000
---instructions keeps its coroutine from being suspended.
---
---Threads: counts for the thread that calls it, and those that it starts from then on.
---
---```lua
---neap.slice(0.005) -- half as long as usual
---local ticks = 0
---local ticker = neap.every(0.001, function() ticks = ticks + 1 end)
---while ticks < 3 do end -- never waits, and yet the ticker runs
---ticker:cancel()
---ticker:wait()
---```
---@param seconds? number nil leaves it as it is
---@return number seconds what it was
---@since 0.1
function neap.slice(seconds) end

return neap
