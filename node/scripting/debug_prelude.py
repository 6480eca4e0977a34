"""The debugger's part of the sandbox: the hook that stops a script before a line, and what it finds on the stack."""

from __future__ import annotations

# Called with what Python gives (as `prelude.SOURCE` is) and what the prelude keeps from scripts.
SOURCE = rb"""
local host, inside = ...
local getinfo, getlocal, sethook, setfenv = debug.getinfo, debug.getlocal, debug.sethook, setfenv
local behind, redis, globals = inside.behind, inside.redis, inside.eval_own
local DEPTH_MAX = 10

local function show(value, depth)
  if depth == DEPTH_MAX then return '<max recursion level reached! Nested table?>' end
  local kind = type(value)
  if kind == 'string' then return host.quoted(value) end
  if kind == 'boolean' or kind == 'nil' then return tostring(value) end
  if kind == 'number' then return string.format('%g', value) end
  if value == host.null then return '"light-userdata@(nil)"' end
  if kind ~= 'table' then
    return '"' .. kind .. '@' .. (string.match(tostring(value), '0x%x+') or '') .. '"'
  end
  -- With its keys, unless these are those of an array.
  local values, pairs_, is_array = {}, {}, true
  for key, item in next, behind[value] or value do
    local shown = show(item, depth + 1)
    is_array = is_array and key == #values + 1
    values[#values + 1] = shown
    pairs_[#pairs_ + 1] = '[' .. show(key, depth + 1) .. ']=' .. shown
  end
  return '{' .. table.concat(is_array and values or pairs_, '; ') .. '}'
end

-- Levels of the stack are counted from the function that calls these; theirs is one more.
local function print_all(level)
  local found, i = false, 1
  local name, value = getlocal(level + 1, i)
  while name do
    if name ~= '(*temporary)' then
      host.show_value('<value> ' .. name .. ' = ', show(value, 0))
      found = true
    end
    i = i + 1
    name, value = getlocal(level + 1, i)
  end
  if not found then host.show('No local variables in the current context.') end
end
local function print_one(level, wanted)
  level = level + 1
  while getinfo(level, 'l') do
    local i = 1
    local name, value = getlocal(level, i)
    while name do
      if name == wanted then return host.show_value('<value> ', show(value, 0)) end
      i = i + 1
      name, value = getlocal(level, i)
    end
    level = level + 1
  end
  if wanted == 'KEYS' or wanted == 'ARGV' then return host.show_value('<value> ', show(globals[wanted], 0)) end
  host.show('No such variable.')
end
local function trace(level)
  local first = level + 1
  level = first
  local info = getinfo(level, 'Snl')
  while info do
    if info.source == '@user_script' then host.show_place(info.currentline, info.name or '', level == first) end
    level = level + 1
    info = getinfo(level, 'Snl')
  end
end
local function text_of(problem)
  if type(problem) == 'table' then problem = problem.err end
  return '<error> ' .. tostring(problem)
end
local function evaluate(code)
  local f, problem = loadstring('return ' .. code, '@ldb_eval')
  if not f then f, problem = loadstring(code, '@ldb_eval') end
  if not f then return host.show(text_of(problem)) end
  setfenv(f, inside.for_eval)
  local ok, result = pcall(f)
  if not ok then return host.show(text_of(result)) end
  host.show_value('<retval> ', show(result, 0))
end

-- A hook's own level is 1, that of the function that it has stopped 2.
local function at_line()
  local problem = host.tick()
  if problem then error(problem, 0) end
  local info = getinfo(2, 'Sl')
  if info.source ~= '@user_script' then return end
  if not host.stops(info.currentline) then return end
  while true do
    local verb, words = host.next()
    if verb == 'go' then return end
    if verb == 'fail' then inside.raise({err = words[1]}) end
    if verb == 'print' and #words == 1 then print_one(2, words[1])
    elseif verb == 'print' then print_all(2)
    elseif verb == 'trace' then trace(2)
    elseif verb == 'eval' then evaluate(table.concat(words, ' '))
    elseif verb == 'redis' then pcall(redis.call, unpack(words))
    end
  end
end

redis.breakpoint = function() return host.breakpoint() end
redis.debug = function(...)
  local values = {}
  for i = 1, select('#', ...) do values[i] = show((select(i, ...)), 0) end
  host.debug(table.concat(values, ', '))
end

return function(f, last_line, keys, argv)
  sethook(at_line, 'l')
  local function done(...)
    inside.calm()
    return ...
  end
  return done(inside.run(f, last_line, keys, argv))
end
"""
