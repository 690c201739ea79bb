-- HTTP: neap.http. Server and client are files of their own, each loaded when one of its names is first asked for: a
-- script that only serves does not pay for the client, nor the other way round.

local neap, internal = ...

local http = {}

--- Names of neap.http, and the file that puts them there.
local files = {
  serve = "neap.http_server",
}
for name in ("get head delete post put patch request"):gmatch("%a+") do files[name] = "neap.http_client" end

local function fetch(_, name)
  if files[name] then
    internal.load(files[name])
    return rawget(http, name)
  end
end

--- Walking over the table shows everything, so all of it is loaded first.
local function list()
  for name in pairs(files) do fetch(http, name) end
  return next, http
end

neap.http = setmetatable(http, { __index = fetch, __pairs = list })
