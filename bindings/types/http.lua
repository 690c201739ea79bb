---@meta neap

---@class neap
---@field http neap.Http
local neap = {}

---The answer to a request.
---@class neap.HttpReply
---@field status integer
---@field reason? string what stands behind the status; HTTP/2 has none
---@field headers table<string, string> found however their names are written; what comes more than once is joined with ", ", Set-Cookie with "\n"
---@field body? string unpacked; nil when it went to a file or a function
---@field url string where it came from, after redirects

---Options of a request. Times are seconds.
---@class neap.HttpOptions
---@field headers? table<string, string|number|string[]> of the request. Authorization and Cookie, and `auth`, are not for another host, port or scheme that a redirect leads to; others are sent there too
---@field timeout? number for all of it; by default as long as it takes
---@field connect_timeout? number for name, connection and TLS
---@field stall_timeout? number while nothing moves; what your own functions take does not count
---@field to? string|fun(piece: string) where the body of a successful answer (200 to 299) goes: a file, which has its name when it is whole, or a function, which may wait: then the other side waits too. The body of another answer is in the answer
---@field progress? fun(received: integer, expected?: integer, sent: integer) bytes of the bodies, ten times a second at most, and at the end
---@field max_body? integer bytes of the answer's body, unpacked; by default 1 GiB, or no limit where it goes to a file or a function
---@field redirects? integer that are followed (301, 302, 303, 307, 308), with the cookies that they set; 10 by default. 0: the redirect is the answer
---@field auth? [string, string] name and password (Basic)
---@field proxy? string|false its URL; by default what the environment says (http_proxy and the like). false: none
---@field verify? boolean false: whoever answers is believed. Not with passwords
---@field ca? string a file of the authorities that are trusted (PEM); by default the system's
---@field cert? string a file with a certificate of one's own
---@field key? string a file with its key, not encrypted
---@field compressed? boolean false: the answer is asked for, and kept, as it is

---The body of a request: all of it; a function that returns the next piece, and nil at the end (or nil, message, code: then the
---request fails with that); an open file or stream, from where it stands; or the path of a file. Of functions and streams the length is not
---known, and they are sent in chunks, unless the header Content-Length says it. A body that turns out to be shorter or longer than that
---fails the request ("EINVAL").
---@alias neap.HttpBody string|(fun(): string?, any, any)|neap.File|neap.Stream|{ file: string }

---HTTP. Each part is loaded when it is first used.
---
---The client stands on libcurl: redirects, proxies, TLS, compressed answers, HTTP/2 over TLS. Only the task that asks waits, so a thread does
---hundreds of requests at once; it keeps their connections for those that follow. An answer is an answer whatever its
---status. Where there is none, it is nil, a message, and a code: "ECONNREFUSED" (a proxy that refuses to lead on, too), "ECONNRESET", "EAI_NONAME" (no such
---host), "timeout", "certificate" (the other side's is not trusted, or the file has none), "tls" (no common TLS), "EOF" (it ends in the
---middle), "EMSGSIZE" (its head or body is too large), "ELOOP" (too many redirects), "EINVAL" (no such URL), "EPROTO" (that is no HTTP,
---its chunks are malformed, or it has two lengths), "EMFILE" (no descriptor is left), and those of a file that cannot be read or written. The functions that are given run in the task that asks, and an error in one of them is raised there.
---@class neap.Http
local Http = {}

---Gets what is at a URL.
---
---```lua
---local listener = neap.net.listen("127.0.0.1", 0)
---local server = neap.spawn(function()
---  local stream <close> = listener:accept()
---  for line in stream:lines() do if line == "" then break end end
---  stream:write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
---end)
---
---local url = ("http://%s:%d/"):format(listener:address())
---local answer = assert(neap.http.get(url, { timeout = 10 }))
---assert(answer.status == 200 and answer.body == "hello\n")
---```
---
---Waits until the answer is all there. Being cancelled closes its connection, and leaves no part of a file behind. Errors: what is no
---URL, option or header; that there is no libcurl; what functions of yours raise.
---@param url string
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.get(url, options) end

---Asks for the head of what is at a URL.
---@param url string
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.head(url, options) end

---Deletes what is at a URL.
---@param url string
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.delete(url, options) end

---Sends something to a URL. No type is said, unless a header does.
---@param url string
---@param body neap.HttpBody
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.post(url, body, options) end

---Puts something at a URL.
---@param url string
---@param body neap.HttpBody
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.put(url, body, options) end

---Changes what is at a URL.
---@param url string
---@param body neap.HttpBody
---@param options? neap.HttpOptions
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.patch(url, body, options) end

---A request with any method, "GET" by default. "HEAD" takes no body: that raises.
---@param request neap.HttpOptions | { url: string, method?: string, body?: neap.HttpBody }
---@return neap.HttpReply?
---@return string? message
---@return string? code
---@since 0.1
function Http.request(request) end
---A server: takes connections, and calls its handler for each request. Leaving the `<close>` variable that holds it closes it.
---@class neap.HttpServer
local HttpServer = {}

---What a client has asked for. Fields of your own may be added.
---@class neap.HttpRequest
---@field method string "GET", "POST" and the like, in capitals
---@field target string as it stands in the request: "/a%20b?c=d"
---@field path string the target's path, decoded: "/a b"
---@field query table<string, string> the parameters behind the question mark, decoded; of those with one name the last
---@field headers table<string, string> by name, in whatever case; walked over, their names are in lower case. Of one name: joined by ", ". They may be sent to other threads
---@field body string all of it, "" where there is none; nil if the server was asked to `stream`
---@field minor integer of the version: HTTP/1.0 or 1.1
---@field keeps_alive boolean the client wants the connection for more requests
local HttpRequest = {}

---A response that is written in pieces. Leaving the `<close>` variable that holds it ends it; by an error, cuts it off.
---@class neap.HttpWriter
local HttpWriter = {}

---What a handler returns, beside a string, which stands for `{ body = string }`.
---@class neap.HttpAnswer
---@field status? integer 200 by default; 200 to 999
---@field headers? table<string, string|number|(string|number)[]> a list stands for a header of that name for each
---@field body? string|fun(): string? a function is called for one piece after the other, until it returns nil; not at all where no body is sent (HEAD, 204, 304)

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
---threads may serve the port); or `listener`, one that you have made, and may have sent to several threads or processes. `tls`: as `neap.net.listen`; what a
---listener without TLS accepts is encrypted then, so that each of several processes serves it with TLS.
---
---Limits: `max_head` bytes of request line and headers (16 KiB; 64 KiB at most), and 256 headers: more is refused with 431. `max_body` bytes (8 MiB): 413.
---`max_connections` at once: more wait to be accepted. In seconds: `head_timeout` (10) from the first byte of a request to the end of its
---headers, `body_timeout` (60) for its body: else 408; `idle_timeout` (60) between requests, `write_timeout` (60) for a response, or each of
---its pieces: else the connection is closed. What is no HTTP, or could be read in two ways, is refused with 400, a
---Transfer-Encoding other than "chunked" with 501.
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
---@return string|integer? code "closed" (it has ended), "timeout", "ECONNRESET"; or 413, 400, 431: too large, malformed, too much between its chunks
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
