---@meta neap

---@class neap
local neap = {}

---Makes code that knows nothing of neap suspend only its task: from now on, in this thread's state, these wait as tasks do, and
---return what they always returned.
---
---| option | what is replaced |
---| --- | --- |
---| `io` | `io.popen`; opening named pipes; reading, writing and closing of files, by methods and by `io.read`, `io.lines`, `io.write` and the rest: pipes, terminals and other streams that are waited for, standard input among them, and files on disks that the system must fetch first |
---| `os` | `os.execute` |
---| `socket` | LuaSocket, if it is installed: the methods of all its sockets, `socket.connect`, `select`, `sleep` and `dns`; hence `socket.http`, `socket.smtp`, `socket.ftp` and whatever else stands on them; connections of LuaSec, hence `ssl.https` |
---
---All of them without options; with options, those that are `true`. Calling it again does nothing, but for what was not chosen
---before.
---
---Where no task runs (the main chunk of a stock `lua5.4`), and where Lua cannot yield, the originals do the work, and block.
---Other threads have states of their own, and call it themselves; so may the initializer of a pool.
---
---Cancelling: a read that is cancelled has taken nothing; a write may have written a part. Several tasks that read one stream, or
---write to it, take turns. Files on disks are written as ever, into the system's memory, and opened as ever. A named pipe that is opened
---to be written waits for who reads it; one that is opened to be read is there at once, and its first read waits. What a program prints goes to its standard output as ever.
---
---Errors: unknown options.
---
---```lua
---neap.patch_all()
---local socket = require "socket"
---local listener = assert(socket.bind("127.0.0.1", 0))
---local host, port = listener:getsockname()
---local server = neap.spawn(function()
---  local peer = listener:accept()
---  peer:send("welcome\n")
---  peer:close()
---end)
---local client = neap.spawn(function()
---  local peer = assert(socket.connect(host, port))
---  local line = peer:receive()
---  local pipe = io.popen("sleep 0.01; echo done")
---  return line, pipe:read(), pipe:close()
---end)
---local line, word, ok = client:join()
---assert(line == "welcome" and word == "done" and ok)
---server:join()
---```
---@param options? { io?: boolean, os?: boolean, socket?: boolean }
---@since 0.1
function neap.patch_all(options) end

return neap
