-- neap.inspect: what runs, what each waits for, who holds what.
--
-- Every state is asked and answers on its own thread (bindings/report/inspect.c); one that does not answer in time runs
-- what cannot be interrupted, and is listed without tasks.

local neap, internal = ...

local answer_seconds = 0.5

--- The answers of all states that give one; this one's first.
local function ask(question, id)
  local answers = { internal.inspect_here(question, id) }
  local queue = neap.queue()
  local deadline = neap.now() + answer_seconds
  for _ = 1, internal.inspect_others(queue, question, id) do
    local answer = queue:get(math.max(0, deadline - neap.now()))
    if answer and answer ~= neap.null then answers[#answers + 1] = answer end
  end
  queue:close()
  return answers
end

local function by_id(a, b) return (a.id or 0) < (b.id or 0) end

local function list_threads(answers)
  local counts, threads = {}, {}
  for _, answer in ipairs(answers) do counts[answer.id or 0] = #answer.tasks + answer.more end
  threads[1] = { name = "main", status = "running", tasks = counts[0], daemon = false }
  for _, thread in ipairs(neap.threads()) do
    threads[#threads + 1] = {
      id = thread.id, name = thread.name, status = thread:status(), tasks = counts[thread.id], daemon = thread.daemon,
    }
  end
  table.sort(threads, by_id)
  return threads
end

local function list_tasks(answers)
  local tasks = {}
  for _, answer in ipairs(answers) do
    for _, task in ipairs(answer.tasks) do
      task.thread = answer.thread
      tasks[#tasks + 1] = task
    end
  end
  table.sort(tasks, by_id)
  return tasks
end

local function list_processes()
  local processes = {}
  for _, process in ipairs(neap.processes and neap.processes() or {}) do
    processes[#processes + 1] = {
      id = process.id, name = process.name, pid = process.pid, status = process:status(), daemon = process.daemon,
    }
  end
  table.sort(processes, by_id)
  return processes
end

--- What is held, and what tasks wait for to acquire, with who does.
local function list_locks(tasks)
  local locks, by_name = {}, {}
  local function find(name)
    if not by_name[name] then
      by_name[name] = { name = name, holders = {}, waiters = {} }
      locks[#locks + 1] = by_name[name]
    end
    return by_name[name]
  end
  for _, task in ipairs(tasks) do
    local who = ("%s (thread %s)"):format(task.name, task.thread)
    for _, name in ipairs(task.holds) do table.insert(find(name).holders, who) end
    local wanted = task.waits_for and task.waits_for:match("^acquire[_%l]* of (.+)$")
    if wanted then table.insert(find(wanted).waiters, who) end
  end
  table.sort(locks, function(a, b) return a.name < b.name end)
  return locks
end

function neap.inspect()
  local answers = ask("tasks")
  local tasks = list_tasks(answers)
  return { tasks = tasks, threads = list_threads(answers), processes = list_processes(), locks = list_locks(tasks) }
end

local M = {}

--- What the state of that task answers ("stack", "cancel"); nil when there is none.
function M.ask_about(question, id)
  local _, answer = next(ask(question, id)) -- this state may have had none
  return answer
end

return M
