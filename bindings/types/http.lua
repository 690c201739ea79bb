---@meta neap

---@class neap
---@field http neap.Http
local neap = {}

---HTTP. Each part is loaded when it is first used.
---@class neap.Http
local Http = {}

return neap
