--- What specs of the HTTP client share.
--
--   local http_client = require "spec.http_client"
--   local server <close>, asked = http_client.echo_server()

local assert = require "luassert"
local neap = require "neap"
local servers = require "spec.servers"
local support = require "spec.support"

local http_client = {}

--- What a request has returned: it must have failed with this code. Returns its message.
function http_client.fails_with(code, ...)
  local answer, message, got = ...
  assert.is_nil(answer)
  assert.are.equal("string", type(message))
  assert.are.equal(code, got)
  return message
end

--- A server that answers with what it was asked: { lines =, body = } of the last request.
function http_client.echo_server()
  local asked = {}
  local server = servers.raw(function(stream, head)
    asked.lines = head
    local text = table.concat(head, "\n")
    local length = text:match("\n[Cc]ontent%-[Ll]ength: (%d+)")
    if length then
      asked.body = length == "0" and "" or stream:read(tonumber(length))
    elseif text:find("chunked", 1, true) then
      local pieces = {}
      repeat
        local size = tonumber(stream:read("line"), 16)
        if size > 0 then pieces[#pieces + 1] = stream:read(size) end
        stream:read("line")
      until size == 0
      asked.body, asked.pieces = table.concat(pieces), pieces
    end
    stream:write(servers.answer("thanks"))
  end)
  return server, asked
end

--- The header of what a server was asked last; its name in small letters.
function http_client.header_of(asked, name)
  for _, line in ipairs(asked.lines) do
    local key, value = line:match("^([^:]+):%s*(.*)$")
    if key and key:lower() == name then return value end
  end
end

--- Runs a script as support.run_script does, while servers of ours go on; `plain` in a stock lua5.4.
function http_client.run_beside(code, argument, environment, plain)
  local script <close> = support.temporary_file('local neap = require "neap"; ' .. code)
  environment = environment or {}
  environment.LUA_CPATH = os.getenv("LUA_CPATH") or "./build/?.so;;"
  local result = assert(neap.run { plain and support.lua or support.runner, script.path, argument, env = environment,
    timeout = 60 })
  return { status = result.code or 128 + result.signal, stdout = result.stdout, stderr = result.stderr }
end

return http_client
