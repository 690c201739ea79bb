-- The client of neap.http. Bytes come and go in C (bindings/io/transfer.c); here are the options, where a body comes
-- from and where an answer goes to, and what has to be looked at meanwhile. All functions of the user run in the task
-- that asks.

local neap, internal = ...

local http = neap.http
local check, headers_of = internal.load("neap.check"), internal.load("neap.http_headers")
local files, transfers = internal.files, internal.transfers

local REDIRECTS = 10
local MAX_BODY = 2 ^ 30 | 0 -- bytes that are kept in memory, unless something else is asked for
local PIECE = 128 * 1024 -- bytes of a file that are sent at once
local TELL_EVERY = 0.1 -- seconds between two calls of progress

-- --- options ---

local function is_count(value) return math.type(value) == "integer" and value >= 0 or "a whole number, 0 or more" end

local function one_line(value)
  return type(value) == "string" and not value:find("[\r\n\0]") or "string without line ends or zero bytes"
end

local function is_auth(value)
  local two = type(value) == "table" and check.text(value[1]) == true and check.text(value[2]) == true
  return two or "{ name, password }, strings without zero bytes,"
end

local function never(value) return value == false or "false" end

local options_known = {
  headers = check.table, timeout = check.seconds, connect_timeout = check.seconds, stall_timeout = check.seconds,
  max_body = is_count, redirects = is_count, proxy = check.either(one_line, never), auth = is_auth,
  verify = check.boolean, ca = check.text, cert = check.text, key = check.text, compressed = check.boolean,
  to = check.either(check.text, check.callable), progress = check.callable,
}

--- Anything with a method `read`, as files and streams have it.
local function is_readable(value)
  if type(value) ~= "userdata" then return false end
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__index ~= nil and value.read ~= nil
end

local function is_body(value)
  if type(value) == "string" or type(value) == "function" or is_readable(value) then return true end
  return type(value) == "table" and check.text(value.file) == true or "string, function, open file, or { file = path }"
end

local function is_method(value)
  return type(value) == "string" and value:find("^%a[%a-]*$") ~= nil or "a word such as 'GET'"
end

local request_known = { method = is_method, url = one_line, body = is_body }
for name, test in pairs(options_known) do request_known[name] = test end

--- Adds "Name: value" to the lines; what it is, if it may not be.
local function add_line(lines, name, value)
  local text = (type(value) == "string" or type(value) == "number") and tostring(value)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    return ("'%s' is no name of a header"):format(tostring(name))
  elseif not text or text:find("[\r\n\0]") then
    return ("header '%s': string without line ends expected, got %s"):format(name, text and "them" or type(value))
  end
  lines[#lines + 1] = text == "" and name .. ";" or ("%s: %s"):format(name, text)
end

--- The lines of the headers, and the length of the body that stands among them.
local function lines_of(headers, position, name)
  local lines, length = {}, nil
  for key, value in pairs(headers or {}) do
    local problem
    if type(key) == "string" and key:lower() == "content-length" then
      length = math.tointeger(tonumber(value))
      problem = (not length or length < 0) and "header 'Content-Length': a number of bytes expected" or nil
    elseif type(value) == "table" then
      for _, each in ipairs(value) do problem = problem or add_line(lines, key, each) end
    else
      problem = add_line(lines, key, value)
    end
    if problem then check.refuse(position, name, problem) end
  end
  return lines, length
end

-- --- where a body comes from ---

--- The bytes from where a file stands to its end; nil: nobody knows.
local function bytes_left(file)
  local place = file.seek and file:seek()
  local size = place and file:seek("end")
  if not size then return nil end
  file:seek("set", place)
  return size - place
end

local function reader_of(file, size)
  local left = size or math.huge
  return function()
    if left <= 0 then return nil end
    local piece, message, code = file:read(size and math.min(left, PIECE) or nil)
    if piece then left = left - #piece end
    return piece, message, code
  end
end

--- A function that returns the next piece, and how many bytes it is altogether (nil: unknown).
local function source_of(body)
  if type(body) == "function" then return body end
  local size = bytes_left(body)
  return reader_of(body, size), size
end

--- The server waits for as many bytes as were said, and takes more for another request. nil, message, code: it is
-- not so many.
local function count(source, piece)
  source.given = source.given + (piece and #piece or 0)
  if not source.size or (piece and source.given <= source.size) or source.given == source.size then return true end
  if piece then return nil, ("the body is longer than the %d bytes that were said"):format(source.size), "EINVAL" end
  return nil, ("the body has ended after %d of %d bytes"):format(source.given, source.size), "EINVAL"
end

--- Gives the transfer its next piece, or the last one that it did not want: while the source waited, the answer may
-- have come, or the body may have to begin anew. nil, message, code: there is none, and the request is to fail.
local function feed(transfer, source)
  if not source.waits then
    local piece, message, code = source.next()
    if piece == nil then
      if message ~= nil and code ~= "closed" then return nil, tostring(message), code end
    elseif type(piece) ~= "string" then
      error(("the body's function: string or nil expected, got %s"):format(type(piece)), 0)
    elseif piece == "" then
      return true -- it is asked again
    end
    local fits, problem, kind = count(source, piece)
    if not fits then return nil, problem, kind end
    source.piece = piece
  end
  source.waits = not transfer:give(source.piece)
  return true
end

-- --- where an answer goes to ---

--- A file that gets its name when it is whole.
local Draft = {}
Draft.__index = Draft

--- nil, message, code: the message says which file it is.
local function tell_of(path, done, message, code)
  if done then return done end
  return nil, ("cannot write %s: %s"):format(path, message), code
end

local function draft_of(path)
  local file, name, target = files.draft(path)
  if not file then return tell_of(path, nil, name, target) end
  return setmetatable({ path = path, file = file, name = name, target = target }, Draft)
end

function Draft:write(piece) return tell_of(self.path, self.file:write(piece)) end

function Draft:finish()
  local done, message, code = self.file:close()
  if done and self.name then done, message, code = files.rename(self.name, self.target) end
  if done then self.name = nil end
  return tell_of(self.path, done, message, code)
end

--- What was not finished never gets there.
function Draft:__close()
  if not self.file:is_closed() then
    self.file:write("") -- a write that was cancelled may be under way: afterwards it is our turn
    self.file:close()
  end
  if self.name then files.remove(self.name) end
end

local function is_success(status) return status >= 200 and status < 300 end

--- A sink has write(piece) and finish(), and may be closed.
local Call = {}
Call.__index = Call

function Call:write(piece)
  self.call(piece)
  return true
end

function Call.finish() return true end

function Call.__close() end

local function sink_of(to)
  if type(to) == "function" then return setmetatable({ call = to }, Call) end
  return draft_of(to)
end

-- --- what is looked at meanwhile ---

--- Calls whoever wants to know how far it is, if something has moved.
local function tell_progress(watch, received, expected, sent)
  if watch.received == received and watch.sent == sent then return end
  watch.received, watch.sent = received, sent
  watch.progress(received, expected, sent)
end

--- How long nobody has to look again; nil, message, code: the time is over.
local function attend(watch)
  local now = neap.now()
  if now >= watch.deadline then return nil, "timeout", "timeout" end
  local pause = watch.deadline - now
  if watch.stall or watch.progress then
    local received, expected, sent, idle = watch.transfer:counts()
    if watch.stall then
      local left = watch.stall - math.min(idle, now - watch.busy)
      if left <= 0 then return nil, "timeout", "timeout" end
      pause = math.min(pause, left)
    end
    if watch.progress then
      if now >= watch.told + TELL_EVERY then
        watch.told = now
        tell_progress(watch, received, expected, sent)
      end
      pause = math.min(pause, watch.told + TELL_EVERY - now)
    end
  end
  return pause
end

local function watch_of(transfer, options)
  local now = neap.now()
  return {
    transfer = transfer, deadline = now + (options.timeout or math.huge), stall = options.stall_timeout,
    busy = now, -- until when we ourselves have held it up
    progress = options.progress, told = now, received = 0, sent = 0,
  }
end

-- --- a request ---

--- Where the answer is to go to a file or a function: the sink. nil: it has failed, and is kept like any other.
local function open_sink(transfer, options)
  if is_success((transfer:head())) then return sink_of(options.to) end
  transfer:collect(options.max_body or MAX_BODY)
  options.to = nil
end

--- Does what the transfer wants to have done.
local function serve(transfer, news, source, sink)
  if news == "some" and sink then return sink:write(transfer:take()) end
  if news == "hungry" then return feed(transfer, source) end
  return true
end

--- Carries it to its end. The sink, if there is one, is put into `closing`.
local function carry(transfer, options, source, closing)
  local watch = watch_of(transfer, options)
  repeat
    local pause, news, done, message, code
    pause, message, code = attend(watch)
    if not pause then return nil, message, code end
    news, message, code = transfer:step(pause)
    if not news then return nil, message, code end
    if options.to and not closing.sink and (news == "some" or news == "end") then
      closing.sink, message, code = open_sink(transfer, options)
      if message then return nil, message, code end
    end
    done, message, code = serve(transfer, news, source, closing.sink)
    if not done then return nil, message, code end
    if news ~= "late" then watch.busy = neap.now() end
  until news == "end"
  if watch.progress then tell_progress(watch, transfer:counts()) end
  if closing.sink then return closing.sink:finish() end
  return true
end

local Closing = { __close = function(closing)
  if closing.sink then getmetatable(closing.sink).__close(closing.sink) end
  if closing.file then closing.file:close() end
end }

local agent

--- nil, message, code: there can be none now.
local function own_agent()
  local message, code
  if not agent then agent, message, code = transfers.agent() end
  if not agent and not code then error(message, 0) end
  return agent, message, code
end

local function milliseconds(seconds) return seconds and math.ceil(math.min(seconds, 2 ^ 31) * 1000) or 0 end

local function plan_of(method, url, options, lines)
  local name, password = table.unpack(options.auth or {})
  return {
    method = method, url = url, headers = lines, streams = options.to ~= nil,
    max_body = options.max_body or (options.to and math.maxinteger or MAX_BODY),
    redirects = options.redirects or REDIRECTS, connect_ms = milliseconds(options.connect_timeout),
    proxy = options.proxy == false and "" or options.proxy, user = name, password = password,
    verify = options.verify ~= false, ca = options.ca, cert = options.cert, key = options.key,
    compressed = options.compressed ~= false, user_agent = "neap/" .. neap.version,
  }
end

--- What the host does not allow must not be done by way of us.
local function check_leave(options, body)
  if type(options.to) == "string" then transfers.may("write") end
  if type(body) == "table" or options.ca or options.cert or options.key then transfers.may("read") end
end

local function answer_of(transfer, options)
  local status, head, url = transfer:head()
  local reason, headers = headers_of.parse_answer(head)
  local body = not options.to and transfer:take() or nil
  return { status = status, reason = reason, headers = headers, body = body, url = url }
end

--- libcurl makes do with one slash, or without a scheme. A password with a slash in it makes its first part stand where
-- a port should.
local function without_password(url)
  local scheme = url:match("^%a[%w+.-]*:[/\\]+") or url:match("^[/\\]*")
  local rest = url:sub(#scheme + 1)
  local short, found = rest:gsub("^[^/?#]*@", "", 1)
  local port = found == 0 and rest:match("^[^/?#]*:([^/?#%]]*)[/?#][^@]*@")
  if port and not port:find("^%d+$") then short = rest:gsub("^.*@", "") end
  return scheme .. short
end

--- nil, message, code: the message says what was asked for, without a password.
local function tell(method, url, message, code)
  if message == code then return nil, message, code end
  return nil, ("%s %s: %s"):format(method, without_password(url), message), code
end

local function ask(method, url, body, options, lines, length)
  local closing <close> = setmetatable({}, Closing)
  local plan = plan_of(method, url, options, lines)
  local source, message, code
  check_leave(options, body)
  if type(body) == "table" then
    closing.file, message, code = files.open(body.file)
    if not closing.file then return nil, ("cannot read %s: %s"):format(body.file, message), code end
    body = closing.file
  end
  if type(body) == "string" then
    plan.body = body
  elseif body ~= nil then
    source, plan.size = source_of(body)
    plan.size, plan.gives = length or plan.size, true
  end
  local own
  own, message, code = own_agent()
  if not own then return tell(method, url, message, code) end
  local transfer <close>, problem, kind = transfers.begin(own, plan)
  if not transfer then return tell(method, url, problem, kind) end
  local done
  done, message, code = carry(transfer, options, { next = source, size = plan.size, given = 0 }, closing)
  if not done then return tell(method, url, message, code) end
  return answer_of(transfer, options)
end

-- --- the functions ---

local function check_url(url, name)
  local expected = one_line(url)
  if expected ~= true then
    check.refuse(1, name, "URL: " .. expected .. " expected" .. (type(url) == "string" and "" or ", got " .. type(url)))
  end
end

--- A request of that method without a body.
local function define(name, method)
  http[name] = function(url, options)
    check_url(url, name)
    options = check.options(options, options_known, 2, name)
    return ask(method, url, nil, options, lines_of(options.headers, 2, name))
  end
end

--- One with a body.
local function define_with_body(name, method)
  http[name] = function(url, body, options)
    check_url(url, name)
    local expected = is_body(body)
    if expected ~= true then check.refuse(2, name, ("body: %s expected, got %s"):format(expected, type(body))) end
    options = check.options(options, options_known, 3, name)
    return ask(method, url, body, options, lines_of(options.headers, 3, name))
  end
end

define("get", "GET")
define("head", "HEAD")
define("delete", "DELETE")
define_with_body("post", "POST")
define_with_body("put", "PUT")
define_with_body("patch", "PATCH")

function http.request(options)
  if type(options) ~= "table" then check.refuse(1, "request", "table expected, got " .. type(options)) end
  options = check.options(options, request_known, 1, "request")
  if not options.url then check.refuse(1, "request", "option 'url' is needed") end
  local method = (options.method or "GET"):upper()
  if method == "HEAD" and options.body then check.refuse(1, "request", "option 'body': a HEAD request has none") end
  local lines, length = lines_of(options.headers, 1, "request")
  return ask(method, options.url, options.body, options, lines, length)
end
