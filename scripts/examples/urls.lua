-- Three URLs at once, with a library that knows nothing of tasks: LuaSocket's socket.http, after neap.patch_all().
-- `neap urls.lua URL...` fetches those; without any a small server of our own answers, once all requests are there.
-- Prints:
--   fetching 3 URLs
--   /lua: status 200, 23 bytes
--   /moon: status 200, 24 bytes
--   /tide: status 200, 24 bytes
--   3 requests were under way at once
local neap = require "neap"
neap.patch_all()
local http = require "socket.http"

local under_way, most = 0, 0

local function answer(stream, all)
  local path = stream:read("line"):match("^GET (%S+)")
  while stream:read("line") ~= "" do end
  under_way = under_way + 1
  most = math.max(most, under_way)
  all:wait()
  under_way = under_way - 1
  local body = ("You asked me for %s.\n"):format(path)
  stream:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(#body, body))
  stream:close()
end

local function serve(paths)
  local listener = assert(neap.net.listen("127.0.0.1", 0))
  local all = neap.barrier(#paths)
  neap.spawn({ daemon = true }, function()
    for stream in listener:iter() do neap.spawn({ daemon = true }, answer, stream, all) end
  end)
  local host, port = listener:address()
  local urls = {}
  for i, path in ipairs(paths) do urls[i] = ("http://%s:%d/%s"):format(host, port, path) end
  return urls
end

local given = { ... }

local function fetch(url)
  local body, status = http.request(url)
  local name = #given > 0 and url or url:match("://[^/]*(/.*)")
  if not body then return ("%s: %s"):format(name, status) end
  return ("%s: status %d, %d bytes"):format(name, status, #body)
end

local urls = #given > 0 and given or serve { "lua", "moon", "tide" }
print(("fetching %d URLs"):format(#urls))
local tasks = {}
for i, url in ipairs(urls) do tasks[i] = neap.spawn(fetch, url) end
for _, line in ipairs(neap.gather(tasks)) do print(line) end
if #given == 0 then print(("%d requests were under way at once"):format(most)) end
