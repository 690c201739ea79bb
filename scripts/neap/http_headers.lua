-- Headers of HTTP, as they are read from the wire: a table from names to values, whose names are found however they
-- are written. What comes more than once is joined with ", ", as HTTP says, but for Set-Cookie, whose values have
-- commas of their own.

local neap, internal = ...

local Headers = {}

function Headers.__index(headers, name) return type(name) == "string" and rawget(headers, name:lower()) or nil end

function Headers.__newindex(headers, name, value)
  rawset(headers, type(name) == "string" and name:lower() or name, value)
end

neap.register("neap.http.Headers", Headers)
internal.http.headers_type(Headers) -- those of requests have it too

local module = {}

--- An empty one.
function module.new() return setmetatable({}, Headers) end

--- One more header has come.
function module.add(headers, name, value)
  name = name:lower()
  local before = rawget(headers, name)
  if not before then
    rawset(headers, name, value)
  else
    rawset(headers, name, before .. (name == "set-cookie" and "\n" or ", ") .. value)
  end
end

--- The reason in the first line of an answer (nil: none), and its headers.
function module.parse_answer(head)
  local headers = module.new()
  local reason = head:match("^HTTP/%S+ %d+ ([^\r\n]+)")
  local last
  for line in head:gmatch("\n([^\r\n]+)") do
    local name, value = line:match("^([^%s:]+)%s*:%s*(.-)%s*$")
    if name then
      module.add(headers, name, value)
      last = name:lower()
    elseif last and line:find("^%s") then -- an old way to go on with the value of the line before
      rawset(headers, last, rawget(headers, last) .. " " .. line:match("^%s*(.-)%s*$"))
    end
  end
  return reason, headers
end

return module
