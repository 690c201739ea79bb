-- Seconds for 1,000 GETs from nginx, 50 at a time, by a program from its start to its end: one of ours, or curl.
-- usage: http_client.lua neap|curl
local neap = require "neap"

local COUNT <const>, AT_ONCE <const>, ROUNDS <const> = 1000, 50, 5

if arg[1] == "get" then
  local left, url = COUNT, arg[2]
  neap.scope(function(scope)
    for _ = 1, AT_ONCE do
      scope:spawn(function()
        while left > 0 do
          left = left - 1
          assert(neap.http.get(url).status == 200)
        end
      end)
    end
  end)
  return
end

local function curl(url, folder)
  local list = folder .. "/list"
  assert(neap.fs.write(list, ('url = "%s"\noutput = "/dev/null"\n'):format(url):rep(COUNT)))
  return { "curl", "--silent", "--parallel", "--parallel-max", AT_ONCE, "--config", list }
end

local function measure(port)
  local folder = os.tmpname() .. ".d"
  assert(neap.fs.mkdir(folder))
  local url = ("http://127.0.0.1:%d/"):format(port)
  local words = arg[1] == "curl" and curl(url, folder) or { arg[-1], arg[0], "get", url }
  local best = math.huge
  for _ = 1, ROUNDS do
    local begun = neap.now()
    assert(neap.run(words).code == 0)
    best = math.min(best, neap.now() - begun)
  end
  neap.fs.remove(folder, { recursive = true })
  return best
end

print(dofile((arg[0]:gsub("figures/[^/]*$", "nginx.lua")))("hello, world", measure))
