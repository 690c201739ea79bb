-- A pool of eight threads calls a function for each item of a list. The results come in the order of the items.
--
-- Prints:
--   images/a.jpg images/b.jpg images/c.jpg images/d.jpg
local neap = require "neap"

local function download(directory, link)
  neap.sleep(0.01) -- waits for the network
  return directory .. "/" .. link
end

local directory = "images"
local pool <close> = neap.pool(8)
local paths = pool:map(function(link) return download(directory, link) end, {"a.jpg", "b.jpg", "c.jpg", "d.jpg"})
print(table.concat(paths, " "))
