--[[
The rows of the table. A row has

  name             what to call it on the command line
  title, unit      what is measured, and in what: s, /s, B or B/s
  figure           the command that measures neap
  yardstick        the command that measures the yardstick, and yardstick_title, what that is
  ratio            target for figure / yardstick: {at_most = n} or {at_least = n}
  value            target for the figure itself, in its unit
  processors       how many the measurement keeps busy; 1 unless told otherwise

A row without a target is there for comparison.
--]]

--- The rows for programs at these places: here (this folder), neap, lua, build (the folder of the C yardsticks).
return function(places)
  local function neap(name, ...)
    return { places.neap, ("%sfigures/%s.lua"):format(places.here, name), ... }
  end
  local function lua(name, ...)
    return { places.lua, ("%syardsticks/%s.lua"):format(places.here, name), ... }
  end
  local function python(name, ...)
    return { "python3", ("%syardsticks/%s.py"):format(places.here, name), ... }
  end
  local function native(name, ...)
    return { ("%s/%s"):format(places.build, name), ... }
  end

  --- With as many descriptors as are allowed.
  local function many_files(command)
    return { "sh", "-c", 'ulimit -n "$(ulimit -H -n)"; exec "$@"', "sh", table.unpack(command) }
  end

  return {
    {
      name = "spawn", title = "spawn + join an empty task", unit = "s",
      figure = neap "spawn",
      yardstick = lua "coroutine", yardstick_title = "Lua: a coroutine, run to its end",
      ratio = { at_most = 2 },
    },
    {
      name = "parked_task", title = "memory of a parked task, of 100,000", unit = "B",
      figure = neap "parked_task",
      yardstick = lua "parked_coroutine", yardstick_title = "Lua: a parked coroutine",
      ratio = { at_most = 1.3 },
    },
    {
      name = "parked_handle", title = "the same, its handle kept", unit = "B",
      figure = neap("parked_task", "keep"),
      yardstick = lua "parked_coroutine", yardstick_title = "Lua: a parked coroutine",
    },
    {
      name = "round_trip", title = "round trip, two tasks, rendezvous", unit = "/s",
      figure = neap "round_trip",
      yardstick = lua "round_trip", yardstick_title = "Lua: a scheduler by hand",
      ratio = { at_least = 3.5 },
    },
    {
      name = "ring", title = "a token round 503 tasks, one hop", unit = "s",
      figure = neap "ring",
      yardstick = lua "ring", yardstick_title = "Lua: a scheduler by hand",
      ratio = { at_most = 0.6 },
    },
    {
      name = "round_trip_threads", title = "round trip, two threads, rendezvous", unit = "/s", processors = 2,
      figure = neap("round_trip_apart", "thread"),
      yardstick = native "round_trip", yardstick_title = "C: mutex and condition variable",
      ratio = { at_least = 20 },
    },
    {
      name = "integers", title = "small integers, thread to thread, capacity 1024", unit = "/s", processors = 2,
      figure = neap("integers", "1"),
      yardstick = native("bounded_queue", "1"), yardstick_title = "C: bounded queue, mutex, condition variables",
      ratio = { at_least = 0.5 },
    },
    {
      name = "integers_two", title = "the same, two threads to two", unit = "/s", processors = 4,
      figure = neap("integers", "2"),
      yardstick = native("bounded_queue", "2"), yardstick_title = "C: the same, two threads to two",
      ratio = { at_least = 0.5 },
    },
    {
      name = "messages", title = "messages {id=,name=,tags={}} between threads", unit = "/s", processors = 2,
      figure = neap "messages",
      yardstick = neap "messages_alone", yardstick_title = "neap: encoded and decoded in one thread",
      ratio = { at_least = 0.8 }, value = { at_least = 700e3 },
    },
    {
      name = "strings", title = "1 MiB strings between threads", unit = "B/s", processors = 2,
      figure = neap "strings",
      yardstick = native "copy", yardstick_title = "C: malloc, memcpy, free, twice",
      ratio = { at_least = 0.5 },
    },
    {
      name = "thread", title = "spawn + join an empty thread", unit = "s", processors = 2,
      figure = neap "thread",
      yardstick = native "thread_start", yardstick_title = "C: pthread_create, pthread_join",
      ratio = { at_most = 1.6 },
    },
    {
      name = "parked_thread", title = "memory of a parked thread, of 1,000", unit = "B",
      figure = neap "parked_thread",
      value = { at_most = 45 * 1024 },
    },
    {
      name = "lock", title = "lock + release, uncontended", unit = "s",
      figure = neap "lock",
      yardstick = lua("empty_method", places.build), yardstick_title = "C: an empty method, called twice from Lua",
      ratio = { at_most = 2 },
    },
    {
      name = "lock_shared", title = "the same, once another thread has had it", unit = "s",
      figure = neap("lock", "shared"),
      yardstick = lua("empty_method", places.build), yardstick_title = "C: an empty method, called twice from Lua",
    },
    {
      name = "counter", title = "lock, add, release, two threads", unit = "s", processors = 2,
      figure = neap "contended_counter",
      yardstick = native "contended_counter", yardstick_title = "C: the same with a mutex",
      ratio = { at_most = 4 },
    },
    {
      name = "shared_add", title = "add to a shared value, two processes", unit = "s",
      figure = neap("shared_add", "process"),
      yardstick = native "shared_add", yardstick_title = "C: an atomic addition, two threads",
      ratio = { at_most = 5 },
    },
    {
      name = "shared_add_threads", title = "the same, two threads", unit = "s",
      figure = neap("shared_add", "thread"),
      yardstick = native "shared_add", yardstick_title = "C: an atomic addition, two threads",
      ratio = { at_most = 5 },
    },
    {
      name = "sleepers", title = "100,000 tasks sleep 1–1000 ms: processor time", unit = "s",
      figure = neap("sleepers", "cost"),
      yardstick = native "timers", yardstick_title = "C: 100,000 timers of libuv",
      ratio = { at_most = 2 },
    },
    {
      name = "sleepers_late", title = "100,000 tasks sleep 1–1000 ms: 99 % at most late", unit = "s",
      figure = neap("sleepers", "lateness"),
      value = { at_most = 0.015 },
    },
    {
      name = "fib", title = "eight fib(30) on two threads", unit = "/s", processors = 2,
      figure = neap("fib", "threads"),
      yardstick = neap("fib", "alone"), yardstick_title = "neap: one after the other",
      ratio = { at_least = 1.9 },
    },
    {
      name = "ticker", title = "1 ms ticker beside 4 busy tasks: 99 % at most late", unit = "s",
      figure = neap "ticker",
      value = { at_most = 0.060 },
    },
    {
      name = "process", title = "start + join a process with an empty function", unit = "s",
      figure = neap "process",
      yardstick = native("start", places.lua, "-e", ""), yardstick_title = "posix_spawn of lua5.4 -e '', wait",
      ratio = { at_most = 1 },
    },
    {
      name = "round_trip_processes", title = "round trip, parent and child, rendezvous", unit = "/s", processors = 2,
      figure = neap("round_trip_apart", "process"),
      yardstick = native "round_trip_pipe", yardstick_title = "C: two processes, two pipes",
      ratio = { at_least = 0.8 },
    },
    {
      name = "integers_process", title = "small integers to a child, capacity 1024", unit = "/s", processors = 2,
      figure = neap("to_process", "integers"),
      yardstick = python("process", "integers"), yardstick_title = "Python: multiprocessing.Queue",
      ratio = { at_least = 8 },
    },
    {
      name = "tables_process", title = "small tables to a child, capacity 1024", unit = "/s", processors = 2,
      figure = neap("to_process", "tables"),
      yardstick = python("process", "tables"), yardstick_title = "Python: multiprocessing.Queue",
      ratio = { at_least = 5 },
    },
    {
      name = "integers_home", title = "small integers from a child, capacity 1024", unit = "/s", processors = 2,
      figure = neap("from_process", "integers"),
      yardstick = python("process", "integers"), yardstick_title = "Python: multiprocessing.Queue",
      ratio = { at_least = 8 },
    },
    {
      name = "tables_home", title = "small tables from a child, capacity 1024", unit = "/s", processors = 2,
      figure = neap("from_process", "tables"),
      yardstick = python("process", "tables"), yardstick_title = "Python: multiprocessing.Queue",
      ratio = { at_least = 5 },
    },
    {
      name = "strings_process", title = "1 MiB strings to a child", unit = "B/s", processors = 2,
      figure = neap("to_process", "strings"),
      yardstick = native "copy", yardstick_title = "C: malloc, memcpy, free, twice",
      ratio = { at_least = 0.25 },
    },
    {
      name = "lock_process", title = "lock + release of the parent's lock in a child", unit = "s", processors = 2,
      figure = neap "lock_process",
      yardstick = python("process", "lock"), yardstick_title = "Python: multiprocessing.Lock",
      ratio = { at_most = 1.5 },
    },
    {
      name = "counter_process", title = "lock, add to a value, release, two processes", unit = "s", processors = 2,
      figure = neap "counter_process",
      yardstick = python("process", "counter"), yardstick_title = "Python: multiprocessing.Lock and Value",
      ratio = { at_most = 1 },
    },
    {
      name = "engine", title = "engine made, empty script, engine freed", unit = "s",
      figure = native("embedding", "engine"),
      yardstick = native("embedding", "state"), yardstick_title = "C: luaL_newstate, luaL_openlibs, lua_close",
      ratio = { at_most = 5 },
    },
    {
      name = "host_call", title = "a host calls Lua with two numbers", unit = "s",
      figure = native("embedding", "call"),
      yardstick = native("embedding", "pcall"), yardstick_title = "C: lua_pcall of the same",
      ratio = { at_most = 2 },
    },
    {
      name = "host_round_trip", title = "round trip, host thread and task", unit = "/s",
      figure = native("embedding", "round_trip"),
      yardstick = native "round_trip", yardstick_title = "C: mutex and condition variable",
      ratio = { at_least = 4 },
    },
    {
      name = "engines", title = "growth by 1,000 engines made and freed", unit = "B",
      figure = native("embedding", "growth"),
      value = { at_most = 64 * 1024 },
    },
    {
      name = "pool_map", title = "pool:map of an empty function, two threads, an item", unit = "s",
      figure = neap "pool_map",
      yardstick = lua "empty_call", yardstick_title = "Lua: a call of an empty function",
      value = { at_most = 0.165e-6 },
    },
    {
      name = "pool_map_processes", title = "the same, two processes", unit = "s",
      figure = neap("pool_map", "process"),
      yardstick = lua "empty_call", yardstick_title = "Lua: a call of an empty function",
      value = { at_most = 0.156e-6 },
    },
    {
      name = "pool_submit", title = "pool:submit(f):result() one at a time, threads", unit = "/s",
      figure = neap "pool_submit",
      yardstick = neap("round_trip_apart", "thread"), yardstick_title = "neap: a round trip between two threads",
      ratio = { at_least = 1 / 1.5 },
    },
    {
      name = "echo", title = "TCP echo, 50 connections, 64 bytes, one thread", unit = "/s", processors = 2,
      figure = native("echo_load", "rate", places.neap, places.here .. "figures/echo_server.lua"),
      yardstick = native("echo_load", "rate", places.build .. "/echo_server"),
      yardstick_title = "C: libuv, one thread",
      ratio = { at_least = 0.85 },
    },
    {
      name = "echo_late", title = "the same: 99 % are answered within", unit = "s", processors = 2,
      figure = native("echo_load", "p99", places.neap, places.here .. "figures/echo_server.lua"),
      yardstick = native("echo_load", "p99", places.build .. "/echo_server"),
      yardstick_title = "C: libuv, one thread",
      value = { at_most = 0.5e-3 },
    },
    {
      name = "echo_threads", title = "the same, two threads that share the port", unit = "/s", processors = 2,
      figure = native("echo_load", "rate", places.neap, places.here .. "figures/echo_server.lua", "2"),
      yardstick = native("echo_load", "rate", places.neap, places.here .. "figures/echo_server.lua"),
      yardstick_title = "neap: one thread",
      ratio = { at_least = 1 },
    },
    { -- What two threads of C make of it: they, too, want a processor each beside the client's.
      name = "echo_threads_c", title = "the same, beside two threads of C", unit = "/s", processors = 2,
      figure = native("echo_load", "rate", places.neap, places.here .. "figures/echo_server.lua", "2"),
      yardstick = native("echo_load", "rate", places.build .. "/echo_server", "2"),
      yardstick_title = "C: libuv, two threads",
    },
    {
      name = "http", title = "HTTP requests, keep-alive, wrk with 50 connections", unit = "/s", processors = 2,
      figure = neap("http", "neap"),
      yardstick = neap("http", "nginx"), yardstick_title = "nginx, one worker, the same body",
      ratio = { at_least = 0.4 },
    },
    {
      name = "http_client", title = "1,000 HTTP GETs, 50 at a time, one thread", unit = "s", processors = 2,
      figure = neap("http_client", "neap"),
      yardstick = neap("http_client", "curl"), yardstick_title = "curl --parallel, the same",
      ratio = { at_most = 1.5 },
    },
    {
      name = "idle_connections", title = "memory of an idle connection, of 10,000", unit = "B",
      figure = many_files(neap("idle_connections", "memory")),
      value = { at_most = 4096 },
    },
    {
      name = "idle_cpu", title = "processor time of 10,000 idle connections in a second", unit = "s",
      figure = many_files(neap("idle_connections", "cpu")),
      value = { at_most = 1e-3 },
    },
    {
      name = "read_file", title = "a file of 1 GiB, read in pieces of 64 KiB", unit = "s",
      figure = neap("read_file", "neap", places.build .. "/gibibyte"),
      yardstick = neap("read_file", "cat", places.build .. "/gibibyte"), yardstick_title = "cat of it to /dev/null",
      ratio = { at_most = 2 },
    },
    {
      name = "start", title = "start of an empty script", unit = "s",
      figure = native("start", places.neap, places.here .. "figures/empty.lua"),
      yardstick = native("start", places.lua, "-e", ""), yardstick_title = "lua5.4 -e ''",
      ratio = { at_most = 1.5 },
    },
  }
end
