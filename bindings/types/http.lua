---@meta neap

---@class neap
---@field http neap.Http
local neap = {}

---HTTP. Each part is loaded when it is first used.
---@class neap.Http
local Http = {}

---A server: takes connections, and calls its handler for each request. Leaving the `<close>` variable that holds it closes it.
---@class neap.HttpServer
local HttpServer = {}

---What a client has asked for. Fields of your own may be added.
---@class neap.HttpRequest
---@field method string "GET", "POST" and the like, in capitals
---@field target string as it stands in the request: "/a%20b?c=d"
---@field path string the target's path, decoded: "/a b"
---@field query table<string, string> the parameters behind the question mark, decoded; of those with one name the last
---@field headers table<string, string> by name, in whatever case; walked over, their names are in lower case. Of one name: joined by ", "
---@field body string all of it, "" where there is none; nil if the server was asked to `stream`
---@field minor integer of the version: HTTP/1.0 or 1.1
---@field keeps_alive boolean the client wants the connection for more requests
local HttpRequest = {}

---A response that is written in pieces. Leaving the `<close>` variable that holds it ends it; by an error, cuts it off.
---@class neap.HttpWriter
local HttpWriter = {}

---What a handler returns, beside a string, which stands for `{ body = string }`.
---@class neap.HttpAnswer
---@field status? integer 200 by default
---@field headers? table<string, string|number|(string|number)[]> a list stands for a header of that name for each
---@field body? string|fun(): string? a function is called for one piece after the other, until it returns nil

---Serves HTTP/1.1 and 1.0, until it is closed. Each connection is a task of the thread that has called it; the handler may wait.
---
---```lua
---local server <close> = assert(neap.http.serve({ port = 0, handler = function(request)
---  if request.path ~= "/hello" then return { status = 404, body = "there is no " .. request.path } end
---  return ("hello, %s!"):format(request.query.name or "world")
---end }))
---
---local stream <close> = assert(neap.net.connect(server:address()))
---stream:write("GET /hello?name=moon HTTP/1.0\r\n\r\n")
---assert(stream:read("all"):find("hello, moon!", 1, true))
---```
---
---Where: `host` ("127.0.0.1"; or "unix:" and a path), `port` (one that is free), `backlog`, `reuseport` (as `neap.net.listen`: each of several
---threads may serve the port); or `listener`, one that you have made, and may have sent to several threads. `tls`: as `neap.net.listen`.
---
---Limits: `max_head` bytes of request line and headers (16 KiB; 64 KiB at most): more is refused with 431. `max_body` bytes (8 MiB): 413.
---`max_connections` at once: more wait to be accepted. In seconds: `head_timeout` (10) from the first byte of a request to the end of its
---headers, `body_timeout` (60) for its body: else 408; `idle_timeout` (60) between requests, `write_timeout` (60) for a response, or each of
---its pieces: else the connection is closed. What is no HTTP, or could be read in two ways, is refused with 400.
---
---`stream`: the handler is called before the body has come, and reads it with `request:read`.
---
---A handler that fails is answered for with 500; `on_error(err, traceback, request)` is told (by default the standard error of the
---program), the client is not. `grace`: see `HttpServer:close`.
---
---The server itself says Content-Length, Transfer-Encoding and Connection (a handler's "close" counts), and Date and Content-Type
---("text/plain; charset=utf-8") where the handler does not.
---
---Does not wait, unless `host` is a name. Errors: options that make no sense.
---@param options { handler: (fun(request: neap.HttpRequest): string|neap.HttpAnswer?), host?: string, port?: integer, backlog?: integer, reuseport?: boolean, listener?: neap.Listener, tls?: neap.TlsOptions, max_head?: integer, max_body?: integer, max_connections?: integer, head_timeout?: number, body_timeout?: number, idle_timeout?: number, write_timeout?: number, stream?: boolean, on_error?: (fun(err: any, traceback: string, request: neap.HttpRequest)), grace?: number }
---@return neap.HttpServer?
---@return string? message
---@return string? code "EADDRINUSE", "EACCES" and the like
---@since 0.1
function Http.serve(options) end

---Where it listens: host and port, or a path.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function HttpServer:address() end

---Takes no more connections, closes those that are between two requests, and waits until the others have been answered; after `grace`
---seconds (by default the option of that name: 10) cancels what is left. Called by a handler it does not wait.
---A listener that was given stays open.
---@param grace? number
---@return true
---@since 0.1
function HttpServer:close(grace) end

---Waits until it has been closed, and its last connection with it.
---@param timeout? number
---@return true?
---@return string? message
---@return string? code "timeout"
---@since 0.1
function HttpServer:wait(timeout) end

---Reads from the body of a request, as `neap.Stream:read`, of a server that was asked to `stream`. A body that the handler does not
---read to its end is the last thing on its connection.
---@param what? "some"|"line"|"all"|integer
---@param timeout? number by default the server's `body_timeout`
---@return string?
---@return string? message
---@return string|integer? code "closed" (it has ended), "timeout", "ECONNRESET"; or 413, 400: too large, malformed
---@since 0.1
function HttpRequest:read(what, timeout) end

---The address of the client.
---@return string? host
---@return integer|string? port or a message
---@return string? code
---@since 0.1
function HttpRequest:peer() end

---Answers in pieces; what the handler returns does not matter then. The first piece goes out with the head, each as a chunk if the client
---knows these.
---
---```lua
---local server <close> = neap.http.serve({ handler = function(request)
---  local writer <close> = request:respond({ headers = { ["Content-Type"] = "text/csv" } })
---  for i = 1, 3 do writer:write(i .. "\n") end
---end })
---local stream <close> = neap.net.connect(server:address())
---stream:write("GET / HTTP/1.0\r\n\r\n")
---assert(stream:read("all"):find("\r\n\r\n1\n2\n3\n", 1, true))
---```
---@param answer? neap.HttpAnswer its status and headers
---@return neap.HttpWriter
---@since 0.1
function HttpRequest:respond(answer) end

---Writes a piece. Waits while the client does not read.
---@param bytes string
---@return true?
---@return string? message
---@return string? code "timeout", "EPIPE", "ECONNRESET" and the like: the client has gone
---@since 0.1
function HttpWriter:write(bytes) end

---Ends the response. Once more does nothing.
---@return true?
---@return string? message
---@return string? code
---@since 0.1
function HttpWriter:close() end

return neap
