---@meta neap

---@class neap
---@field progress neap.Progress
local neap = {}

---Shows on stderr how far a piece of work has come: a bar, with how much is done, how fast, and how long it will still take.
---
---`neap.progress(source, options)` makes one and draws it. What it is to be for:
---
--- - a list, an array or list that is shared, an iterator, a channel or a queue: walked through by `for`, which gets what it would get
---   without the bar (of a list: each item, and its place);
--- - a total: the bar is advanced by `add`, or counts in a `for` from 1 to it;
--- - nil: nobody knows how much there is; `add` and `set_total` say more.
---
---A bar is a handle that may be sent to threads and child processes: all may advance it. It is closed at the end of its `for`,
---however that is left, or with the `<close>` variable that holds it; what it has come to stays as a line.
---
---On a terminal bars stand below everything that is printed, by whatever thread or child process, several below one another;
---while the last line printed is not complete, or a line is edited at the prompt, they are away. Elsewhere there are lines, few:
---when a tenth more is done and a second has passed, or ten seconds have.
---
---Options: `total`, how many items there are, where the source does not know; `label`, the text before the bar; `unit`, a word
---behind the numbers, or "B": they are bytes; `keep` (true by default): the line stays when the bar is closed.
---
---```lua
---local quietly = { label = "tides", keep = false }
---for name in neap.progress({ "ebb", "neap", "flow" }, quietly) do neap.sleep(#name / 1000) end
---
---local bar <close> = neap.progress(300, { label = "in threads", keep = false })
---local function work(bar)
---  for _ = 1, 100 do bar:add() end
---end
---neap.gather({ neap.thread(work, bar), neap.thread(work, bar), neap.process(work, bar) })
---
---local pool <close> = neap.pool(2)
---local sum = 0
---for square in neap.progress(pool:imap(function(n) return n * n end, { 1, 2, 3 }), quietly) do sum = sum + square end
---assert(sum == 14)
---```
---
---A bar is drawn by a thread of its own, ten times a second while there are any; while one is open, a program in which nothing can ever
---run again is not found out. Errors: what is no source; an option is unknown or not what it should be.
---@class neap.Progress
---@overload fun(source?: integer|table|function|neap.Channel|neap.Queue, options?: neap.ProgressOptions): neap.Progress
local Progress = {}

---@class neap.ProgressOptions
---@field total? integer
---@field label? string
---@field unit? string
---@field keep? boolean

---So many more are done. From any thread or process; never waits.
---@param count? integer by default 1
---@return integer done how many are done now
---@since 0.1
function Progress:add(count) end

---So many are done. From any thread or process; never waits.
---@param count integer
---@since 0.1
function Progress:set(count) end

---How many there are in all.
---@param total? integer nil: nobody knows
---@since 0.1
function Progress:set_total(total) end

---Changes the text before the bar.
---@param text string
---@since 0.1
function Progress:set_label(text) end

---Takes the bar away; what it has come to stays as a line, unless `keep` is false. Waits until that is printed. Closing it again does
---nothing.
---@since 0.1
function Progress:close() end

return neap
