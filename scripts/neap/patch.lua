-- neap.patch_all: what others have written, and what blocks its thread, suspends only its task from now on. What is
-- replaced are the functions of the standard library (patch_io.lua), and those of LuaSocket (patch_socket.lua), in this
-- state. The originals do the work all the same, once there is something for them to do; and where no task can wait
-- they do it as they always did.

local neap, internal = ...

local check = internal.load("neap.check")

local parts = { io = "neap.patch_io", os = "neap.patch_os", socket = "neap.patch_socket" }
local order = { "io", "os", "socket" }
local known = {}
for name in pairs(parts) do known[name] = check.boolean end

local patched = {}

local all = { io = true, os = true, socket = true }

function neap.patch_all(options)
  local chosen = options == nil and all or check.options(options, known, 1, "patch_all")
  for _, name in ipairs(order) do
    if chosen[name] and not patched[name] then
      patched[name] = true
      internal.load(parts[name])()
    end
  end
end
