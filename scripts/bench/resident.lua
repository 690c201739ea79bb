-- The memory that this process occupies, in bytes.
--
-- /proc/self/statm would be quicker, but some kernels count the pages of each thread apart and add them up late, which
-- hides most of what a thousand small threads occupy. smaps_rollup walks the page tables and is exact.
return function()
  local file <close> = assert(io.open("/proc/self/smaps_rollup"))
  return 1024 * math.tointeger(file:read("a"):match("Rss:%s*(%d+) kB"))
end
