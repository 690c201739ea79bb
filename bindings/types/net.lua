---@meta neap

---@class neap
---@field net neap.Net
---@field dns neap.Dns
local neap = {}

---Sockets. A host is a name, a numeric address, or `unix:` and a path; then there is no port.
---@class neap.Net
local Net = {}

---Names of hosts.
---@class neap.Dns
local Dns = {}

---Bytes to and from the other side of a connection. It belongs to the thread that made it; several of its tasks may read
---and write. Leaving the `<close>` variable that holds it closes it, and so does its collection.
---@class neap.Stream
local Stream = {}

---Takes connections. It may be sent to other threads, and all that have it may accept; closing it closes it for all of them.
---
---It may be sent to other processes too, at most 31 in one message. Each process then has one of its own over the same socket, which the
---system gives connections to whoever accepts first, and each closes its own: nobody is refused before the last one has. So a program
---can serve one port with all cores, and close its own listener once the others have theirs:
---
---```lua
---local listener = assert(neap.net.listen("127.0.0.1", 0))
---local url = ("http://%s:%d/"):format(listener:address())
---local ready, over = neap.channel(), neap.event()
---local pool <close> = neap.pool { workers = 2, kind = "process" }
---for _ = 1, 2 do
---  pool:submit(function()
---    local server <close> = neap.http.serve { listener = listener, handler = function() return "hello" end }
---    ready:send(true)
---    over:wait()
---  end)
---end
---for _ = 1, 2 do ready:recv() end
---listener:close() -- the workers go on
---assert(neap.http.get(url).body == "hello")
---over:set()
---```
---
---A message that has not been received yet has the listener itself: closed by then, it arrives closed. Who receives one while its process has
---no descriptor left gets an error that says so. A listener with TLS does not go to other processes, nor does one that is closed: sending it
---raises. (Send one without, and encrypt what it accepts: `neap.http.serve` with `tls`, or `neap.net.starttls` with `server`.) Once another process has had it, a path stays
---when it is closed; the next server that listens there takes it over.
---@class neap.Listener
local Listener = {}

---Packets to and from anybody (UDP). It belongs to the thread that made it.
---@class neap.Datagram
local Datagram = {}

---TLS (OpenSSL, loaded when it is first used). `true` stands for an empty table. Files are in PEM; a `key` that is in the file of
---the certificate need not be named. One that is encrypted is of no use: nobody is asked for its password.
---
---A client checks the certificate of the server, and that it is one for the host, unless `verify` is false; it trusts whom the system
---trusts, or those in `ca`, a file or a folder. `server_name` is who the server should be, when that is not the host. `cert` and `key`
---are shown to a server that asks.
---
---A server needs `cert` and `key`. With `ca`, or `verify`, it asks clients for a certificate, and refuses those without.
---@class neap.TlsOptions
---@field verify? boolean
---@field ca? string
---@field cert? string
---@field key? string
---@field server_name? string of a client
---@field alpn? string[] protocols, the preferred first

---What was agreed on with the other side.
---@class neap.Security
---@field version string "TLSv1.3", "TLSv1.2"
---@field cipher string
---@field alpn? string the protocol
---@field subject? string of the certificate that the other side has shown: "/CN=localhost"
---@field server_name? string whom the client wanted to talk to

---Connects to a listener. Each address that the name has is tried in turn.
---
---```lua
---local listener <close> = neap.net.listen("127.0.0.1", 0)
---local server = neap.spawn(function()
---  local stream <close> = listener:accept()
---  for line in stream:lines() do stream:write(line:upper() .. "\n") end
---end)
---
---local host, port = listener:address()
---local stream <close> = assert(neap.net.connect(host, port, { timeout = 10 }))
---stream:write("hello\n")
---assert(stream:read("line") == "HELLO")
---stream:shutdown()
---server:join()
---```
---
---Options: `timeout`, in seconds, for all of it; `nodelay` (true by default): small writes go out at once; `tls`: the connection is
---encrypted, and the handshake made.
---
---Waits for the name and for the other side; being cancelled leaves nothing behind. Errors: what is no host, port or option.
---@param host string
---@param port? integer 1 to 65535; none for a path
---@param options? { timeout?: number, nodelay?: boolean, tls?: true|neap.TlsOptions }
---@return neap.Stream?
---@return string? message
---@return string? code "timeout", "ECONNREFUSED", "EAI_NONAME" and the like; "certificate" (not trusted), "tls" (no common TLS), "missing" (no OpenSSL)
---@since 0.1
function Net.connect(host, port, options) end

---Listens for connections. A socket that a server that was killed has left at a path is removed; nothing else is.
---
---Options: `backlog`, how many connections may wait to be accepted (511); `reuseport`: other listeners, of other
---threads or programs, may have the same port, and the system spreads connections over them. Threads that are woken
---very often then do not interrupt others (Linux: SCHED_BATCH), while that gets more done. `tls`: what is accepted is
---encrypted. The handshake is made by the first who reads or writes, or by `Stream:handshake`.
---@param host string "0.0.0.0" for every address of the machine
---@param port? integer 0: any that is free; see `Listener:address`
---@param options? { backlog?: integer, reuseport?: boolean, tls?: neap.TlsOptions }
---@return neap.Listener?
---@return string? message
---@return string? code "EADDRINUSE", "EACCES" and the like; "certificate": a file is of no use
---@since 0.1
function Net.listen(host, port, options) end

---Goes over to TLS in the middle of a conversation, as SMTP's STARTTLS does, and makes the handshake. A stream for which that fails, or
---is cancelled, is closed. What the other side has sent before must have been read.
---
---Options: those of TLS; `server`: this side is the server; `timeout`. A client that verifies says in `server_name` who the server should be.
---@param stream neap.Stream
---@param options { server?: boolean, timeout?: number, verify?: boolean, ca?: string, cert?: string, key?: string, server_name?: string, alpn?: string[] }
---@return neap.Stream? stream the same
---@return string? message
---@return string? code "timeout", "certificate", "tls", "EPROTO" (bytes came too early) and the like
---@since 0.1
function Net.starttls(stream, options) end

---A stream over what the program was given, or a library has opened: a terminal, a pipe or a socket. The descriptor itself stays as it is,
---and as others share it; closing the stream does not close it. What Lua's own `io` has read ahead is not there any more.
---
---```lua
---local input = neap.net.open("stdin")
---if input then
---  neap.timeout(0.01, function() return input:read("line") end) -- other tasks run meanwhile
---  input:close()
---end
---```
---@param which "stdin"|"stdout"|"stderr"|integer
---@return neap.Stream?
---@return string? message
---@return string? code "EPERM": it is a file (see `neap.fs`); "EBADF" and the like
---@since 0.1
function Net.open(which) end

---Makes a socket for packets, at an address of one's own.
---
---```lua
---local a <close> = neap.net.udp("127.0.0.1")
---local b <close> = neap.net.udp("127.0.0.1")
---a:send("ping", b:address())
---local bytes, host, port = b:recv(10)
---assert(bytes == "ping")
---b:send("pong", host, port)
---```
---@param host? string by default every address of the machine
---@param port? integer by default one that is free
---@param options? { reuseport?: boolean }
---@return neap.Datagram?
---@return string? message
---@return string? code
---@since 0.1
function Net.udp(host, port, options) end

---The numeric addresses of a host, the best first. `localhost`, and what ends with it, is this machine also where the system
---does not know it.
---@param host string
---@param options? { family?: "any"|"ipv4"|"ipv6", timeout?: number }
---@return string[]?
---@return string? message
---@return string? code "timeout", "EAI_NONAME" and the like
---@since 0.1
function Dns.resolve(host, options) end

---Reads. `what` is "some", what has come, at least a byte (the default); a number of bytes; "line", without its end, be
---that "\n" or "\r\n"; or "all", until the other side ends ("": it had said all). When that comes first, what is left is returned (the last
---bytes, a line without an end); after it "closed".
---
---Waits until there is enough. A read that times out or is cancelled takes nothing: what has come is there for the next.
---A line of more than a mebibyte is refused.
---@param what? "some"|"line"|"all"|integer
---@param timeout? number
---@return string?
---@return string? message
---@return string? code "closed", "timeout", "ECONNRESET", "EMSGSIZE" and the like; of TLS also "tls", "certificate"
---@since 0.1
function Stream:read(what, timeout) end

---Iterates over lines, to the end. What else ends the reading raises: an error of the system, or that a line does not come
---within `timeout` seconds.
---@param timeout? number
---@return fun(): string?
---@since 0.1
function Stream:lines(timeout) end

---Writes all of `bytes`. Waits while the other side does not read, and while another task's write is under way. One that
---times out or is cancelled may have written a part.
---@param bytes string
---@param timeout? number
---@return true?
---@return string? message
---@return string? code "timeout", "closed", "EPIPE", "ECONNRESET" and the like
---@return integer? written bytes, of a write that failed
---@since 0.1
function Stream:write(bytes, timeout) end

---Ends the writing: the other side reads to an end, and may still write. Waits only with TLS, and only while the other side does not read.
---@param timeout? number
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function Stream:shutdown(timeout) end

---Makes TLS's handshake, if it has not been made. One that times out or is cancelled goes on with the next read, write or handshake.
---Without TLS there is nothing to do.
---@param timeout? number
---@return true?
---@return string? message
---@return string? code "timeout", "certificate", "tls", "ECONNRESET" and the like
---@since 0.1
function Stream:handshake(timeout) end

---How it is encrypted; nil: it is not, or the handshake is not over.
---@return neap.Security?
---@since 0.1
function Stream:security() end

---Closes it. Tasks that wait on it are answered "closed". Closing it again does nothing.
---@since 0.1
function Stream:close() end

---Was it closed on this side?
---@return boolean
---@since 0.1
function Stream:is_closed() end

---One's own address: host and port, or a path.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function Stream:address() end

---The address of the other side, also when the connection has ended. Raises, as all of them, when the stream is closed.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function Stream:peer() end

---May small writes go out at once (true), or be held back to be joined?
---@param on boolean
---@since 0.1
function Stream:nodelay(on) end

---Takes the next connection. Waits until there is one; while there are no descriptors left it waits for some to be closed.
---One that times out or is cancelled takes nothing.
---@param timeout? number
---@return neap.Stream?
---@return string? message
---@return string? code "closed", "timeout"
---@since 0.1
function Listener:accept(timeout) end

---Iterates over connections, until it is closed.
---
---```lua
---local listener = neap.net.listen("127.0.0.1", 0)
---local server = neap.spawn(function()
---  neap.scope(function(scope)
---    for stream in listener:iter() do
---      scope:spawn(function() stream:write("welcome\n") stream:close() end)
---    end
---  end)
---end)
---assert(neap.net.connect(listener:address()):read("line") == "welcome")
---listener:close()
---server:join()
---```
---@return fun(): neap.Stream?
---@since 0.1
function Listener:iter() end

---Closes it, for all threads of this process that have it: who waits is answered "closed". True the first time. Connections are refused
---from then on, unless another process has it; then a thread that had accepted before lets go of the socket when it asks again, or ends.
---@return boolean
---@since 0.1
function Listener:close() end

---Was it closed, by whatever thread of this process?
---@return boolean
---@since 0.1
function Listener:is_closed() end

---Where it listens: host and port, or a path.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function Listener:address() end

---Takes the next packet. One that times out or is cancelled takes nothing.
---@param timeout? number
---@return string? bytes
---@return string? host of the sender, or a message
---@return integer|string? port of the sender, or a code
---@since 0.1
function Datagram:recv(timeout) end

---Sends a packet. Waits while the system has no room for it.
---@param bytes string at most about 64 KiB
---@param host string numeric
---@param port integer
---@param timeout? number
---@return true?
---@return string? message
---@return string? code "timeout", "EMSGSIZE", "EINVAL" (the host is not numeric) and the like
---@since 0.1
function Datagram:send(bytes, host, port, timeout) end

---Closes it. Tasks that wait on it are answered "closed".
---@since 0.1
function Datagram:close() end

---Was it closed?
---@return boolean
---@since 0.1
function Datagram:is_closed() end

---One's own address.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function Datagram:address() end

return neap
