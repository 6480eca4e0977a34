"""The Lua side of the sandbox: what a script sees as its globals, and that it cannot change them.

A script's global table is an empty one in front of the real one, so every assignment meets `__newindex`; the same for
each library. Nothing that belongs to Python ever reaches a script, not even as an opaque value: each function made in
Python is wrapped in one of Lua's, and tells of an error by its results, because an exception that crossed the border
would be an object.
"""

from __future__ import annotations

# Globals of Lua 5.1 that Redis leaves to scripts, and its libraries; all else of the standard library is taken away.
KEPT = (
    b"assert collectgarbage error gcinfo getmetatable ipairs load loadstring next pairs pcall rawequal rawget rawset "
    b"select setmetatable tonumber tostring type unpack xpcall _VERSION"
)
KEPT_LIBRARIES = b"coroutine math string table"
# Virtual-machine instructions between two looks at the clock.
HOOK_EVERY = 100_000

# What a function of C's may have on Lua's stack (LUAI_MAXCSTACK).
STACK_MAX = 8000

# Called with the table of what Python gives (`sandbox.Sandbox`); answers with the functions that Python calls.
SOURCE = rb"""
local host = ...
local getinfo, sethook, setfenv0 = debug.getinfo, debug.sethook, setfenv
-- Whatever it says of itself.
local metatable_of = debug.getmetatable
local rawget, rawset0, setmetatable0, getmetatable0 = rawget, rawset, setmetatable, getmetatable
local error, type, tostring, unpack, next, select, pcall = error, type, tostring, unpack, next, select, pcall
local loadstring0, load0, pairs0, tonumber, xpcall = loadstring, load, pairs, tonumber, xpcall
local co_create, co_wrap = coroutine.create, coroutine.wrap

-- What each read-only table stands in front of.
local behind = setmetatable0({}, {__mode = 'k'})
local READONLY = 'Attempt to modify a readonly table'

local function refuse_change() error(READONLY, 2) end

local function protect(real)
  local front = setmetatable0({}, {__index = real, __newindex = refuse_change, __metatable = false})
  behind[front] = real
  return front
end

local globals = {}
for name in host.kept:gmatch('%S+') do globals[name] = _G[name] end
local libraries = {}
for name in host.kept_libraries:gmatch('%S+') do
  local copy = {}
  for key, value in pairs0(_G[name]) do copy[key] = value end
  libraries[name] = copy
end

-- The innermost line of a script that is being run: its source and number. A tail call leaves no trace of the line
-- that it stood on; most often it is the last statement of the script.
local running = {source = '', last_line = -1}
local function place()
  local level = 2
  local info = getinfo(level, 'Sl')
  while info do
    if info.what ~= 'C' and info.what ~= 'tail' and info.source ~= '=prelude' then
      return info.source, info.currentline
    end
    level = level + 1
    info = getinfo(level, 'Sl')
  end
  return running.source, running.last_line
end

-- The error of a library function stands where it was called. Who called it by pcall, or by another function of C, is
-- told no place. `lost` says how many tail calls are the library's own.
local function complain_here(message, lost)
  local level, tails = 2, 0
  local info = getinfo(level, 'S')
  while info and (info.what == 'tail' or info.source == '=prelude') do
    if info.what == 'tail' then tails = tails + 1 end
    level = level + 1
    info = getinfo(level, 'S')
  end
  if info and info.what == 'C' and tails <= (lost or 0) then error(message, 0) end
  local source, line = place()
  error(source:sub(2) .. ':' .. line .. ': ' .. message, 0)
end

-- What Lua says of arguments.
local function wrong(position, name, what)
  complain_here('bad argument #' .. position .. " to '" .. name .. "' (" .. what .. ')')
end
local function mistyped(position, name, wanted, ...)
  local got = select('#', ...) < position and 'no value' or type((select(position, ...)))
  wrong(position, name, wanted .. ' expected, got ' .. got)
end

-- The interruption of what takes too long; a new coroutine has no hook of its own.
local function tick()
  local problem = host.tick()
  if problem then error(problem, 0) end
end
sethook(tick, '', host.hook_every)
local function hooked(f)
  return function(...)
    sethook(tick, '', host.hook_every)
    return f(...)
  end
end
libraries.coroutine.create = function(f)
  if type(f) ~= 'function' then wrong(1, 'create', 'Lua function expected') end
  return co_create(hooked(f))
end
libraries.coroutine.wrap = function(f)
  if type(f) ~= 'function' then wrong(1, 'wrap', 'Lua function expected') end
  return co_wrap(hooked(f))
end

globals.setmetatable = function(...)
  local t, meta = ...
  if type(t) ~= 'table' then mistyped(1, 'setmetatable', 'table', ...) end
  if select('#', ...) < 2 or meta ~= nil and type(meta) ~= 'table' then
    wrong(2, 'setmetatable', 'nil or table expected')
  end
  if behind[t] then error(READONLY, 0) end
  if getmetatable0(t) ~= nil and rawget(metatable_of(t), '__metatable') ~= nil then
    complain_here('cannot change a protected metatable')
  end
  return setmetatable0(t, meta)
end
globals.rawset = function(...)
  local t, key, value = ...
  if type(t) ~= 'table' then mistyped(1, 'rawset', 'table', ...) end
  if behind[t] then error(READONLY, 0) end
  local count = select('#', ...)
  if count < 3 then wrong(count + 1, 'rawset', 'value expected') end
  return rawset0(t, key, value)
end
globals.rawget = function(...)
  local t, key = ...
  if type(t) ~= 'table' then mistyped(1, 'rawget', 'table', ...) end
  if select('#', ...) < 2 then wrong(2, 'rawget', 'value expected') end
  return rawget(behind[t] or t, key)
end
-- Global tables have a metatable that scripts may see, though not change.
local shown = setmetatable0({}, {__mode = 'k'})
globals.getmetatable = function(...)
  local t = ...
  if select('#', ...) == 0 then wrong(1, 'getmetatable', 'value expected') end
  if behind[t] then return shown[t] end
  if type(t) == 'string' then return nil end
  return getmetatable0(t)
end
globals.pairs = function(...)
  local t = ...
  if type(t) ~= 'table' then mistyped(1, 'pairs', 'table', ...) end
  local real = behind[t]
  if not real then return pairs0(t) end
  local meta = getmetatable0(real)
  if not meta or type(meta.__index) ~= 'table' then return next, real, nil end
  -- A script's global table, which stands in front of those of all scripts.
  local whole = {}
  for key, value in pairs0(meta.__index) do whole[key] = value end
  for key, value in pairs0(real) do whole[key] = value end
  return next, whole, nil
end
-- An error is a table only on its way to the client; scripts are given its text.
local function plain(ok, err, ...)
  if not ok and type(err) == 'table' and type(rawget(err, 'err')) == 'string' then return false, rawget(err, 'err') end
  return ok, err, ...
end
globals.pcall = function(...)
  if select('#', ...) == 0 then wrong(1, 'pcall', 'value expected') end
  return plain(pcall(...))
end
globals.next = function(...)
  local t, key = ...
  if type(t) ~= 'table' then mistyped(1, 'next', 'table', ...) end
  return next(behind[t] or t, key)
end
-- What is left of a number in an `int` of C.
local function as_int(number)
  if not (number >= -2^63 and number < 2^63) then return 0 end
  local whole = number < 0 and math.ceil(number) or math.floor(number)
  if whole >= -2^31 and whole < 2^31 then return whole end
  return (whole + 2^31) % 2^32 - 2^31
end
-- Lua's own reckons in an `int` how many there are, and writes beyond its stack when that goes over.
globals.unpack = function(...)
  local t, first, last = ...
  if type(t) ~= 'table' then mistyped(1, 'unpack', 'table', ...) end
  if first == nil then first = 1 else first = tonumber(first) or mistyped(2, 'unpack', 'number', ...) end
  if last == nil then last = #t else last = tonumber(last) or mistyped(3, 'unpack', 'number', ...) end
  local count = as_int(last) - as_int(first) + 1
  if count > 0 and count + select('#', ...) > host.stack_max then complain_here('too many results to unpack') end
  return unpack(...)
end
-- New code would have Lua's own globals. Precompiled code is not checked by Lua, and could do anything.
local for_eval
local function enclosed(f, problem)
  if f then setfenv0(f, for_eval) end
  return f, problem
end
globals.loadstring = function(...)
  local code, name = ...
  if type(code) ~= 'string' and type(code) ~= 'number' then mistyped(1, 'loadstring', 'string', ...) end
  if name ~= nil and type(name) ~= 'string' and type(name) ~= 'number' then mistyped(2, 'loadstring', 'string', ...) end
  if type(code) == 'string' and code:sub(1, 1) == '\27' then return nil end
  return enclosed(loadstring0(code, name))
end
globals.load = function(...)
  local f, name = ...
  if name ~= nil and type(name) ~= 'string' and type(name) ~= 'number' then mistyped(2, 'load', 'string', ...) end
  if type(f) ~= 'function' then mistyped(1, 'load', 'function', ...) end
  local first = true
  return enclosed(load0(function()
    local piece = f()
    if first and type(piece) == 'string' and piece ~= '' then
      first = false
      if piece:sub(1, 1) == '\27' then return nil end
    end
    return piece
  end, name))
end
libraries.math.random = function(...)
  local r = host.random()
  local count = select('#', ...)
  if count == 0 then return r end
  if count > 2 then complain_here('wrong number of arguments') end
  local low, high = ...
  low = as_int(tonumber(low) or mistyped(1, 'random', 'number', ...))
  if count == 1 then
    low, high = 1, low
  else
    high = as_int(tonumber(high) or mistyped(2, 'random', 'number', ...))
  end
  if low > high then wrong(count, 'random', 'interval is empty') end
  return math.floor(r * (high - low + 1)) + low
end
libraries.math.randomseed = function(seed) host.seed(seed) end

-- A function of Python's answers (true, results ...), or (false, message, whether the place belongs in front of it).
local function settle(ok, ...)
  if ok then return ... end
  local message, placed = ...
  if not placed then error(message, 0) end
  complain_here(message, 1)
end
local function bridge(f)
  return function(...) return settle(f(...)) end
end

-- ---- the redis table

local redis = {}

local function raise(err)
  err.source, err.line = place()
  error(err, 0)
end
-- There is no room on the stack between Lua and Python for very many arguments.
local function call(...)
  local count = select('#', ...)
  if count <= 1000 then return host.call(...) end
  return host.call_many({...}, count)
end
redis.call = function(...)
  local reply, failed = call(...)
  if failed then raise(reply) end
  return reply
end
redis.pcall = function(...)
  return (call(...))
end
local function complain(message)
  raise({err = message})
end
redis.error_reply = function(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then
    return {err = 'ERR wrong number or type of arguments'}
  end
  return {err = host.error_text(text)}
end
redis.status_reply = function(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then
    return {err = 'ERR wrong number or type of arguments'}
  end
  return {ok = text}
end
redis.sha1hex = function(...)
  if select('#', ...) ~= 1 then complain('ERR wrong number of arguments') end
  return host.sha1hex(tostring((...)))
end
redis.log = function(...)
  if select('#', ...) < 2 then complain('ERR redis.log() requires two arguments or more.') end
  local level = tonumber((...))
  if not level then complain('ERR First argument must be a number (log level).') end
  if level < 0 or level > 3 then complain('ERR Invalid debug level.') end
  local words = {}
  for i = 2, select('#', ...) do
    local word = select(i, ...)
    if type(word) == 'string' or type(word) == 'number' then words[#words + 1] = tostring(word) end
  end
  host.log(math.floor(level), table.concat(words, ' '))
end
redis.setresp = function(...)
  if select('#', ...) ~= 1 then complain('ERR redis.setresp() requires one argument.') end
  local version = tonumber((...))
  if version ~= 2 and version ~= 3 then complain('ERR RESP version must be 2 or 3.') end
  host.setresp(version)
end
redis.set_repl = function(...)
  if select('#', ...) ~= 1 then complain('ERR redis.set_repl() requires two arguments.') end
  local flags = tonumber((...)) or 0
  if flags < 0 or flags > 3 then
    complain('ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.')
  end
  host.set_repl(flags)
end
redis.acl_check_cmd = function(...)
  if select('#', ...) == 0 then
    complain('ERR Please specify at least one argument for this redis lib call')
  end
  local allowed, problem = host.acl_check(...)
  if problem then complain(problem) end
  return allowed
end
redis.replicate_commands = function() return true end
redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3
redis.REDIS_VERSION, redis.REDIS_VERSION_NUM = host.version, host.version_number

-- ---- the other modules

local function bridged(entries)
  local module = {}
  for key, value in pairs0(entries) do
    if type(value) == 'userdata' then value = bridge(value) end
    module[key] = value
  end
  return module
end
for name, entries in pairs0(host.modules) do libraries[name] = bridged(entries) end
-- Another one has settings of its own.
local with_null
function with_null(module)
  module.null = host.null
  module.new = function() return with_null(bridged(host.new_cjson())) end
  return module
end
with_null(libraries.cjson)
-- Of this library there is no more, since Redis 7.4.
libraries.os = {clock = function() return host.clock() end}

getmetatable0('').__index = libraries.string
for name, library in pairs0(libraries) do globals[name] = protect(library) end
local nonexistent = {__index = function(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end}
setmetatable0(globals, nonexistent)

local function environment(own)
  local front = protect(own)
  shown[front] = protect({__index = nonexistent.__index})
  return front
end
local function all_globals(own, front)
  own.redis, own._G = protect(redis), front
  setmetatable0(own, {__index = globals})
end
-- EVAL's globals; KEYS and ARGV are put there before each run.
local eval_own = {}
for_eval = environment(eval_own)
all_globals(eval_own, for_eval)

-- All that the code of a function library may use while it is loaded: it registers functions.
local loading_api = {log = redis.log}
for name, value in pairs0(redis) do
  if type(value) ~= 'function' and name:sub(1, 5) ~= 'REPL_' then loading_api[name] = value end
end
local named = {function_name = 'string', description = 'string', callback = 'function', flags = 'table'}
loading_api.register_function = function(...)
  local count = select('#', ...)
  local name, callback, description, flags = ...
  if count < 1 or count > 2 then
    complain('ERR wrong number of arguments to redis.register_function')
  elseif count == 2 then
    description = nil
    if type(name) ~= 'string' then complain('ERR first argument to redis.register_function must be a string') end
    if type(callback) ~= 'function' then
      complain('ERR second argument to redis.register_function must be a function')
    end
  else
    local given = name
    if type(given) ~= 'table' then
      complain('ERR calling redis.register_function with a single argument is only applicable to Lua table ' ..
        '(representing named arguments).')
    end
    for key, value in pairs0(given) do
      if type(key) ~= 'string' then
        complain('ERR named argument key given to redis.register_function is not a string')
      elseif not named[key] then
        complain('ERR unknown argument given to redis.register_function')
      elseif type(value) ~= named[key] then
        local what = key == 'callback' and 'a function' or key == 'flags' and
          'a table representing function flags' or 'a string'
        local given_to = key == 'flags' and ' argument to' or ' argument given to'
        complain('ERR ' .. key .. given_to .. ' redis.register_function must be ' .. what)
      end
    end
    name, callback, description, flags = given.function_name, given.callback, given.description, given.flags
    if not name then complain('ERR redis.register_function must get a function name argument') end
    if not callback then complain('ERR redis.register_function must get a callback argument') end
  end
  local words = {}
  if count == 1 and flags then
    for i = 1, #flags do
      if type(flags[i]) ~= 'string' then complain('ERR unknown flag given') end
      words[i] = flags[i]
    end
  end
  local problem = host.register(name, callback, description, table.concat(words, ' '))
  if problem then complain(problem) end
end
setmetatable0(loading_api, nonexistent)

-- ---- for the engine

local side = {}

-- An error, as the table that the reply is made of, with the place where it was raised.
local function explain(err)
  if type(err) == 'table' then
    if type(rawget(err, 'err')) == 'string' then
      if rawget(err, 'source') ~= nil then return err end
    else
      err = {err = 'ERR unknown error'}
    end
  else
    err = {err = 'ERR ' .. tostring(err)}
  end
  err.source, err.line = place()
  return err
end

-- The function that the code is, or nil and what is wrong with it.
function side.compile(code, name)
  local f, problem = loadstring0(code, name)
  if f then setfenv0(f, for_eval) end
  return f, problem or ''
end
-- True and the result, or false, the message, its source and line, and whether it has been counted.
local function report(ok, result)
  if ok then return true, result end
  -- Without memory there is no handling of errors either.
  if type(result) ~= 'table' then return false, 'ERR ' .. tostring(result), running.source, running.last_line, false end
  return false, rawget(result, 'err'), rawget(result, 'source'), rawget(result, 'line'),
    rawget(result, 'ignore_error_stats_update')
end
function side.run(f, last_line, keys, argv)
  running.source, running.last_line = '@user_script', last_line
  eval_own.KEYS, eval_own.ARGV = keys, argv
  return report(xpcall(f, explain))
end
function side.run_function(f, _, keys, argv)
  local info = getinfo(f, 'S')
  running.source = '@user_function'
  running.last_line = math.max(info.linedefined, info.lastlinedefined - 1)
  return report(xpcall(function() return f(keys, argv) end, explain))
end
-- Runs the code of a library, which registers functions (`host.register`); they find the whole of redis when they run.
function side.load_library(f)
  local own = setmetatable0({redis = protect(loading_api)}, nonexistent)
  local front = environment(own)
  setfenv0(f, front)
  local function done(...)
    all_globals(own, front)
    return ...
  end
  return done(report(xpcall(f, explain)))
end
-- What a table says it is, for the reply: its kind, and what belongs to it.
local special = {'err', 'ok', 'double', 'map', 'set', 'big_number', 'verbatim_string'}
function side.classify(t)
  for i = 1, #special do
    local name = special[i]
    local value = rawget(t, name)
    if value ~= nil then
      local kind = type(value)
      if name == 'err' or name == 'ok' or name == 'big_number' then
        if kind == 'string' then return name, value, name == 'err' and rawget(t, 'ignore_error_stats_update') end
      elseif name == 'double' then
        if kind == 'number' then return name, value end
      elseif kind == 'table' then
        if name ~= 'verbatim_string' then return name, value end
        local text, format = rawget(value, 'string'), rawget(value, 'format')
        if type(text) == 'string' and type(format) == 'string' then return name, text, format end
      end
    end
  end
  local count = 0
  while rawget(t, count + 1) ~= nil do count = count + 1 end
  return 'array', count
end
function side.slice(t, first, last) return unpack(t, first, last) end
-- From now on every line and every instruction is looked at, so that no pcall keeps a killed script alive.
function side.kill() sethook(tick, 'l', 1) end
function side.calm() sethook(tick, '', host.hook_every) end
-- What only the debugger may see (`debug_prelude`).
side.inside = {
  behind = behind, redis = redis, eval_own = eval_own, for_eval = for_eval, raise = raise, run = side.run,
  calm = side.calm,
}
return side
"""
