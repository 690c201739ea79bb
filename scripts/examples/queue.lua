-- A producer and a consumer in two threads, with a queue between them. Closing the queue ends the consumer.
--
-- Prints:
--   producer: done
--   consumer: 0 1 2 3 4
local neap = require "neap"

local Producer = neap.Thread:extend("Producer")

function Producer:init(queue) self.queue = queue end

function Producer:run()
  for i = 0, 4 do self.queue:put(i) end
  self.queue:close()
  return "done"
end

local Consumer = neap.Thread:extend("Consumer")

function Consumer:init(queue) self.queue = queue end

function Consumer:run()
  local got = {}
  for i in self.queue:iter() do got[#got + 1] = i end
  return table.concat(got, " ")
end

local queue = neap.queue()
local producer, consumer = Producer(queue), Consumer(queue)
producer:start()
consumer:start()
print("producer: " .. producer:join())
print("consumer: " .. consumer:join())
