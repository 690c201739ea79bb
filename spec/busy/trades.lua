--- What processes do with each other in a busy run (run.lua), and the account of it.
--
-- A trade is a table:
--   name     what complaints call it
--   shared   its handles, which every process has
--   give     functions that each process runs in a task, as give(shared, run, id), until run.over is true
--   take     likewise, and they end when stop has been called
--   at_home  functions of both kinds that only the process that made it runs; nobody kills that one
--   stop     stop(shared): everybody has given; called there
--   account  account(shared, deaths): what is wrong, in words, or nil; so many processes have died. All have ended
--
-- A run is what they all have: `over`, a shared boolean; `suspicions`, see turns.lua. A task that is told "broken" is
-- one of a process whose parent has died, which will be dead in a moment: it ends.

local meetings = require "spec.busy.meetings"
local messages = require "spec.busy.messages"
local turns = require "spec.busy.turns"
local work = require "spec.busy.work"

local trades = {}

--- All of them, made anew.
function trades.make()
  return {
    messages.exchange("channel of 0", "all", messages.through_channel(0)),
    messages.exchange("channel of 4", "down", messages.through_channel(4)),
    messages.exchange("channel of 4", "up", messages.through_channel(4)),
    messages.exchange("channel of 64", "all", messages.through_channel(64)),
    messages.exchange("queue", "all", messages.through_queue { maxsize = 8 }),
    messages.exchange("priority queue", "down", messages.through_queue { maxsize = 8, order = "priority" }),
    messages.exchange("pipe", "up", messages.through_pipe(false)),
    messages.exchange("pipe", "down", messages.through_pipe(true)),
    messages.exchange("list", "all", messages.through_list()),
    turns.at_lock("lock", ""),
    turns.at_lock("rlock", ""),
    turns.at_lock("rwlock", "_write", "_read"),
    turns.guarded_permits(),
    turns.signalled_permits(),
    meetings.stock(),
    meetings.barrier(),
    meetings.event(),
    meetings.updates(),
    work.of_pool("process"),
    work.of_pool("thread"),
    work.services(),
  }
end

return trades
