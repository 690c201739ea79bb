-- Compiles the yardsticks that are written in C. What is younger than its source is left alone.

local child = require "bench.child"

local build = {}

local programs <const> = {
  bounded_queue = "-pthread",
  contended_counter = "-pthread",
  copy = "",
  echo_load = "",
  echo_server = "$(pkg-config --cflags --libs libuv)",
  round_trip = "-pthread",
  round_trip_pipe = "",
  shared_add = "-pthread",
  start = "",
  thread_start = "-pthread",
  timers = "$(pkg-config --cflags --libs libuv)",
}
local modules <const> = {
  empty_method = "$(pkg-config --cflags lua5.4) -shared -fPIC",
}

-- With the library for hosts.
local hosts <const> = {
  embedding = "-pthread $(pkg-config --cflags --libs lua5.4 libuv) -lm -ldl",
}

local flags <const> = "-O2 -std=c11 -D_GNU_SOURCE -Wall -Wextra"

local function compile(source, target, extra, library)
  local quoted_source, quoted_target = child.quote(source), child.quote(target)
  local with = library and child.quote(library) or ""
  local command = ("test %s -nt %s%s || ${CC:-cc} %s -o %s %s %s %s"):format(quoted_target, quoted_source,
    library and (" -a %s -nt %s"):format(quoted_target, with) or "", flags, quoted_target, quoted_source, with, extra)
  if os.execute(command) then return true end
  return nil, "cannot compile " .. source
end

--- Every C file of the folder `sources`, into the folder `target`: true, or nil and a message. `library` is libneap.a.
function build.yardsticks(sources, target, library)
  if not os.execute("mkdir -p " .. child.quote(target)) then return nil, "cannot make the folder " .. target end
  for name, extra in pairs(programs) do
    local done, message = compile(("%s/%s.c"):format(sources, name), ("%s/%s"):format(target, name), extra)
    if not done then return nil, message end
  end
  for name, extra in pairs(hosts) do
    local done, message = compile(("%s/%s.c"):format(sources, name), ("%s/%s"):format(target, name), extra, library)
    if not done then return nil, message end
  end
  for name, extra in pairs(modules) do
    local done, message = compile(("%s/%s.c"):format(sources, name), ("%s/%s.so"):format(target, name), extra)
    if not done then return nil, message end
  end
  return true
end

return build
