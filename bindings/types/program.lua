---@meta neap

---@class neap
local neap = {}

---How a program ended.
---@class neap.Ended
---@field code? integer its exit status
---@field signal? integer the signal that ended it
---@field stdout? string what `neap.run` took of it
---@field stderr? string

---A program that was started by `neap.popen`. Leaving the `<close>` variable that holds it closes its input and waits for it;
---leaving it by an error kills it, and so does its collection.
---@class neap.Program
---@field pid integer
---@field stdin? neap.Stream where it is a "pipe"
---@field stdout? neap.Stream
---@field stderr? neap.Stream
local Program = {}

---Runs a program to its end: `{ "cmd", "argument", ... }`. No shell is in between.
---
---Options, in the same table: `stdin`, what it reads (by default nothing); `stdout`, `stderr`: "pipe" (by default: taken, and in
---the result), "inherit" or "null", `stderr` also "stdout"; `cwd`, the folder it runs in; `env`, changes to the environment
---(`false` takes a variable out), in whose PATH the program is looked for; `timeout`, in seconds, after which it is killed, with all that
---it has started.
---
---Waits for its end and for the end of what it writes. Being cancelled kills it in the same way.
---
---```lua
---local sorted = neap.run({ "sort", "-r", stdin = "a\nc\nb\n" })
---assert(sorted.code == 0 and sorted.stdout == "c\nb\na\n")
---
---local _, message, code = neap.run({ "no-such-program" })
---assert(code == "ENOENT")
---assert(select(3, neap.run({ "sleep", "100", timeout = 0.1 })) == "timeout")
---```
---@param command table
---@return neap.Ended?
---@return string? message
---@return string? code "timeout", "ENOENT" and the like
---@since 0.1
function neap.run(command) end

---Starts a program, and talks to it while it runs. As `neap.run`, but `stdin`, `stdout` and `stderr` are "inherit" by default,
---or "pipe": then a stream is in that field; there is no `timeout`; `group = false`: it stays in our process group, so that
---Ctrl-C reaches it, and killing it does not kill what it has started.
---
---```lua
---local calculator <close> = neap.popen({ "sh", "-c", "while read a b; do echo $((a * b)); done",
---  stdin = "pipe", stdout = "pipe" })
---calculator.stdin:write("6 7\n")
---assert(calculator.stdout:read("line") == "42")
---```
---@param command table
---@return neap.Program?
---@return string? message
---@return string? code "ENOENT" and the like
---@since 0.1
function neap.popen(command) end

---Waits for its end. Being cancelled leaves it running.
---@param timeout? number
---@return neap.Ended?
---@return string? message
---@return string? code "timeout"
---@since 0.1
function Program:wait(timeout) end

---Has it not ended?
---@return boolean
---@since 0.1
function Program:is_alive() end

---Sends a signal, to all that it has started too, unless `group` is false. False when it has ended.
---@param signal? string|integer "TERM", "SIGTERM" or 15; "KILL" by default
---@return boolean?
---@return string? message
---@return string? code "EPERM"
---@since 0.1
function Program:kill(signal) end

---Closes its streams, kills it if it still runs, and waits for its end.
---@since 0.1
function Program:close() end

return neap
