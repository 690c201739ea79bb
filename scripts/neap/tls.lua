-- The options of TLS, and what C makes of them: a context, for one connection or all that a listener takes.

local _, internal = ...

local check = internal.load("neap.check")

local tls = {}

--- Certificates may change on the disk, so only what comes from the system is kept.
local kept

local function list_of_protocols(value)
  local expected = "a list of strings of 1 to 255 bytes"
  if type(value) ~= "table" then return expected end
  for _, name in ipairs(value) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then return expected end
  end
  return #value > 0 or expected
end

local known = {
  ca = check.text, cert = check.text, key = check.text, verify = check.boolean, server_name = check.text,
  alpn = list_of_protocols,
}

local function as_it_travels(protocols)
  local pieces = {}
  for index, name in ipairs(protocols or {}) do pieces[index] = string.char(#name) .. name end
  return pieces[1] and table.concat(pieces)
end

--- What the option `tls` of a function may be.
function tls.option(value) return value == true or type(value) == "table" or "true or a table of options" end

--- The context of a client, and the options checked; nil, message, code. `position` and `name` are those of the
-- argument that holds `options`.
function tls.client(options, position, name)
  options = check.options(options ~= true and options or nil, known, position, name)
  local is_plain = next(options) == nil or (next(options) == "server_name" and next(options, "server_name") == nil)
  if is_plain and kept then return kept, options end
  local context, message, code = internal.tls.context(false, options.verify ~= false, options.ca, options.cert,
    options.key or options.cert, as_it_travels(options.alpn))
  if not context then return nil, message, code end
  if is_plain then kept = context end
  return context, options
end

--- The same of a server, which needs a certificate. It asks clients for theirs when it is told to verify, or whom to
-- trust.
function tls.server(options, position, name)
  options = check.options(options ~= true and options or nil, known, position, name)
  if not options.cert then check.refuse(position, name, "option 'tls': a server needs 'cert', and 'key'") end
  local verify = options.verify
  if verify == nil then verify = options.ca ~= nil end
  local context, message, code = internal.tls.context(true, verify, options.ca, options.cert,
    options.key or options.cert, as_it_travels(options.alpn))
  if not context then return nil, message, code end
  return context, options
end

return tls
