-- An echo server, on as many threads as are asked for, that share its port. Prints the port.
local neap = require "neap"

local threads <const> = tonumber(arg[1] or 1)

local function serve(listener)
  for stream in listener:iter() do
    stream:nodelay(true)
    require "neap".spawn(function()
      for bytes in function() return (stream:read()) end do stream:write(bytes) end
      stream:close()
    end)
  end
end

local first = assert(neap.net.listen("127.0.0.1", 0, { reuseport = true }))
local host, port = first:address()
for _ = 2, threads do
  neap.thread(serve, (assert(neap.net.listen(host, port, { reuseport = true }))))
end
print(port)
io.stdout:flush()
serve(first)
