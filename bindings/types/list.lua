---@meta neap

---@class neap
local neap = {}

---A list of values that tasks, threads and processes share. It has no holes.
---
---`list[i]` (nil where nothing is), `list[i] = value`, `#list`, `ipairs` (element by element) and `pairs` (through what was there when
---it began) work as with a table, and so do `table.unpack`, `table.concat`, `table.sort` and their like. `list[#list + 1] = value`
---appends, `list[#list] = nil` removes the last one; but to append use `append`, which is one step.
---
---Values are copied in and out, as through a channel; shared dicts and lists, and all other handles, stay shared inside.
---
---While an element is being updated, what would change the list waits; reading does not. A cancellation while it waits loses nothing
---but that change.
---@class neap.List
---@operator len: integer
---@field [integer] any
local List = {}

---Makes a shared list.
---
---```lua
---local found = neap.list()
---local function search(first, last)
---  for n = first, last do
---    if n % 37 == 0 then found:append(n) end
---  end
---end
---neap.gather { neap.thread(search, 1, 50), neap.thread(search, 51, 100) }
---assert(#found == 2)
---```
---
---Errors: an element is nil, or cannot be sent; a table has a key that is none of a list, and no metatable.
---@param contents? any[] what is in it at first; a table, or a shared list or array
---@return neap.List
---@since 0.1
function neap.list(contents) end

---Adds a value behind the last one.
---
---Errors: it is nil, or cannot be sent.
---@param value any
---@since 0.1
function List:append(value) end

---Adds the elements of a list behind the last one, all in one step.
---
---Errors: one of them is nil, or cannot be sent, or a table is no list, as in `neap.list`; then none is added.
---@param list any[] a table, or a shared list or array
---@since 0.1
function List:extend(list) end

---Puts a value in front of element `index`, and moves that and those behind it.
---
---Errors: `index` is not 1 to `#list + 1`; the value is nil, or cannot be sent.
---@param index integer
---@param value any
---@since 0.1
function List:insert(index, value) end

---Removes an element, and moves those behind it. It does not wait for one: that is what a queue is for. That of a list of another
---process waits for its answer: a cancellation takes nothing, and of a process that is killed before it has received the element
---that comes back, to its place.
---
---```lua
---local list = neap.list { "a", "b" }
---assert(list:pop() == "b" and list:pop() == "a")
---assert(select(3, list:pop()) == "empty")
---```
---
---Errors: there is no element `index`.
---@param index? integer by default the last one
---@return any value
---@return string? message
---@return string? code "empty": there was none, and no index was given
---@since 0.1
function List:pop(index) end

---Sets an element to what `fn` makes of it, with no other change of the list in between. `fn` is called once; it may wait, and may read
---the list.
---
---Errors: there is no such element (any more, when it is this task's turn); what `fn` raises; it returns nil, or what cannot be
---sent; the task is updating this list already. The element is as it was. So it is when the task is cancelled, or ends with
---its process, while `fn` waits.
---@param index integer
---@param fn fun(old: any): any
---@return any new
---@since 0.1
function List:update(index, fn) end

---Removes everything.
---@since 0.1
function List:clear() end

---All elements, as they are in one moment, as a plain table.
---@return any[]
---@since 0.1
function List:snapshot() end

return neap
