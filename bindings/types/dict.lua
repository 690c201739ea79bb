---@meta neap

---@class neap
local neap = {}

---What a shared dict is indexed by. Of numbers and handles as tables have them: `2.0` is `2`, a handle is itself.
---@alias neap.Key string|number|boolean|userdata

---A table of values by key that tasks, threads and processes share.
---
---`dict[key]`, `dict[key] = value` (nil removes), `#dict` (how many keys) and `pairs` work as with a table, each in one step; `pairs`
---goes through what was there when it began, in the order in which the keys came. A key with the name of a method can be had by
---`get` and `set` only.
---
---Values are copied in and out, as through a channel: `dict.list[1] = "x"` changes a copy. Set the whole, or store a
---shared list: shared dicts and lists, and all other handles, stay shared inside.
---
---While a key is being updated, what would change it waits; reading does not. A cancellation while it waits loses nothing but
---that change.
---@class neap.Dict
---@operator len: integer
---@field [neap.Key] any
local Dict = {}

---Makes a shared dict.
---
---```lua
---local words = neap.dict()
---local function count(text)
---  for word in text:gmatch("%a+") do
---    words:update(word, function(n) return (n or 0) + 1 end)
---  end
---end
---neap.gather { neap.thread(count, "the cat and the dog"), neap.thread(count, "the end") }
---assert(words.the == 3 and #words == 5)
---```
---
---Errors: a key or a value of the table cannot be in a dict.
---@param contents? table what is in it at first
---@return neap.Dict
---@since 0.1
function neap.dict(contents) end

---What is there, for any key.
---
---Errors: it is no key: nil, NaN, a table, a function.
---@param key neap.Key
---@param default? any what to return if nothing is there
---@return any value
---@since 0.1
function Dict:get(key, default) end

---Sets a value, for any key; nil removes it. Waits while the key is being updated.
---
---Errors: it is no key; the value cannot be sent.
---@param key neap.Key
---@param value any
---@since 0.1
function Dict:set(key, value) end

---Is there a value?
---@param key neap.Key
---@return boolean
---@since 0.1
function Dict:contains(key) end

---Removes a key. Waits while it is being updated. That of a dict of another process waits for its answer: a cancellation removes
---nothing, and of a process that is killed before it has received the value that comes back, unless there is another.
---@param key neap.Key
---@return any value what was there
---@since 0.1
function Dict:remove(key) end

---Sets a key to what `fn` makes of its value, with no other change in between. `fn` is called once; it may wait, may use the dict, and
---may update other keys. Updates of one key follow each other, first come, first served. If two tasks update two keys in
---opposite order, one within the other, they wait for each other for ever.
---
---```lua
---local pages = neap.dict()
---local function fetch(address)
---  return pages:update(address, function(page)
---    return page or "the text of " .. address -- asked for once, however many ask at once
---  end)
---end
---assert(fetch("a") == "the text of a")
---```
---
---Errors: what `fn` raises; what it returns cannot be sent; the task is updating this key already. The value is as it was. So it is
---when the task is cancelled, or ends with its process, while `fn` waits.
---@param key neap.Key
---@param fn fun(old: any): any it gets nil where nothing is; if it returns nil the key is removed
---@return any new
---@since 0.1
function Dict:update(key, fn) end

---The keys, in the order in which they came.
---@return neap.Key[]
---@since 0.1
function Dict:keys() end

---The values, in the order of the keys.
---@return any[]
---@since 0.1
function Dict:values() end

---Everything, as it is in one moment, as a plain table.
---@return table
---@since 0.1
function Dict:snapshot() end

---Removes everything. Waits until no key is being updated.
---
---Errors: the task itself is updating one.
---@since 0.1
function Dict:clear() end

return neap
