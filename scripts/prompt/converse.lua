-- Lines from a console to a session, which may be here or in another process, until the user leaves or no more comes.

local first_prompt, next_prompt = "> ", ">> "

return function(console, session)
  local prompt = first_prompt
  while true do
    local line, interrupted = console:next_line(prompt, session)
    if not line then return session:finish() end
    if interrupted then
      if not session:discard() then console:say("(Ctrl-C again, or Ctrl-D, leaves)\n") end
      prompt = first_prompt
    else
      local state = session:feed(line)
      if state == "quit" then return end
      prompt = state == "more" and next_prompt or first_prompt
    end
  end
end
