-- Worker threads take jobs from a queue. They are daemons that never end by themselves; queue:join waits until every
-- job that was put has been told done.
--
-- Prints:
--   fetched 20 links, 210 bytes in all
local neap = require "neap"

local Worker = neap.Thread:extend("Worker")

function Worker:init(queue, fetched)
  self.queue, self.fetched = queue, fetched
  self.daemon = true
end

function Worker:run()
  while true do
    local directory, link = table.unpack((self.queue:get()))
    self.fetched:put({path = directory .. "/" .. link, bytes = tonumber(link:match("%d+"))})
    self.queue:task_done()
  end
end

local queue, fetched = neap.queue(), neap.queue()
for _ = 1, 8 do Worker(queue, fetched):start() end
for i = 1, 20 do queue:put({"images", ("picture-%d.jpg"):format(i)}) end
queue:join()

local count, bytes = fetched:qsize(), 0
for _ = 1, count do bytes = bytes + fetched:get().bytes end
print(("fetched %d links, %d bytes in all"):format(count, bytes))
