# ruff: noqa: E501 - a script's line numbers and its SHA-1 are part of what is compared
"""Scripts and functions, good and bad: what they answer is, to the byte, what a real server answers."""

from __future__ import annotations

import re

import pytest

from tests.node.conftest import Pair
from wire.encoder import encode_command

# Each is run with two keys and two arguments, in an empty database that has a string and a sorted set.
SCRIPTS = r"""
getmetatable(_G).__index = {}
----
local names = {} for name in pairs(getmetatable(_G)) do names[#names + 1] = name end return names
----
local a = {} for i = 1, 7999 do a[i] = 1 end return redis.call('lpush', 'l', unpack(a))
----
local a = {} for i = 1, 1500 do a[i] = i end return redis.pcall('mget', unpack(a, 1, 1501))
----
return foo
----
foo=1
----
redis.foo=1
----
string.x=1 return 1
----
error('boo')
----
error({err='ERR my'})
----
error({err='My thing'})
----
return redis.call('nope')
----
return redis.call('get')
----
return redis.pcall('nope')
----
return redis.call('subscribe','a')
----
return redis.call('blpop','l',0)
----
return redis.pcall('wait',1,0)
----
return redis.call('xread','block',0,'streams','s','$')
----
return redis.call('XREADGROUP','group','g','c','block',0,'streams','s','>')
----
return redis.call()
----
return redis.call({})
----
return redis.error_reply('My Err')
----
return redis.error_reply('-My Err')
----
return redis.error_reply('MyErr')
----
return redis.error_reply('')
----
return redis.error_reply()
----
return redis.error_reply(1)
----
return redis.status_reply('fine')
----
return redis.status_reply({})
----
return {err='abc def'}
----
return {ok='abc'}
----
return 3.9
----
return -3.9
----
return {1,2,nil,4}
----
return {1,{2,3.7},'x',true,false}
----
return _VERSION
----
return redis.sha1hex('')
----
return redis.sha1hex()
----
return redis.setresp(3)
----
return redis.setresp(4)
----
return redis.setresp()
----
foo bar
----
return redis.log(redis.LOG_WARNING,'x')
----
return redis.log('x')
----
return redis.log(100,'x')
----
return redis.log('y','x')
----
return redis.replicate_commands()
----
return redis.set_repl(redis.REPL_ALL)
----
return redis.set_repl(99)
----
return redis.breakpoint()
----
return redis.acl_check_cmd('get','a')
----
return redis.acl_check_cmd('nope')
----
return redis.acl_check_cmd()
----
return redis.call('xgroup')
----
return redis.pcall('OBJECT')
----
return redis.call('xgroup','foo')
----
return redis.call('incr',1,2)
----
return redis.call('set','x',1.5)
----
redis.call('set','x',100000000000000000000) return redis.call('get','x')
----
redis.call('set','x',12345678901234567) return redis.call('get','x')
----
math.randomseed(7) return {math.random(1000),math.random(1000),tostring(math.random())}
----
return redis.call('multi')
----
return {pcall(redis.call,'nope')}
----
return {pcall(function() error('x') end)}
----
return redis.call('set','a','b','FOO')
----
return cjson.encode({1,2,a=1})
----
return loadstring('return 1')()
----
return loadstring(string.dump(function() return 1 end))()
----
return type(print)
----
_G.x=1
----
setmetatable(_G,{})
----
rawset(_G,'x',1) return x
----
error(nil)
----
error()
----
error(5)
----
local x = nil; return x.y
----
return 1 + {}
----
return redis.call('nope')
----
return {err='-ERR x'}
----
return redis.call('get',nil)
----
return redis.call('get',true)
----
return 1e30
----
return 0/0
----
return {1e15, 2^53, -2^63}
----
return {err=1}
----
return {ok=1}
----
return function() end
----
return coroutine.wrap(function() coroutine.yield(5) end)()
----
return tostring(1e15)..' '..tostring(2^53)..' '..0.1
----
return redis.call('incr','str')
----
return redis.pcall('incr','str')
----
return redis.call('zadd','str', 1, 2)
----
return {KEYS[1],ARGV[1],ARGV[2],KEYS[3]}
----
KEYS=1 return KEYS
----
KEYS[1]='x' return KEYS[1]
----
local e = redis.pcall('nope') return {type(e), e.err, tostring(e.source), tostring(e.line), tostring(e.ignore_error_stats_update)}
----
local ok, e = pcall(redis.call, 'nope') return {type(e), e.err, tostring(e.source), tostring(e.line), tostring(e.ignore_error_stats_update)}
----
local ok, e = pcall(redis.call, 'incr', 'str') return {type(e), e.err, tostring(e.source), tostring(e.line), tostring(e.ignore_error_stats_update)}
----
redis.setresp(3) return {true,false,redis.call('zscore','z','m')}
----
redis.setresp(3) return redis.call('zscore','z','m')
----
return redis.call('zscore','z','m')
----
return redis.call('zrange','z',0,-1,'withscores')
----
redis.setresp(3) return redis.call('zrange','z',0,-1,'withscores')
----
redis.setresp(3) return redis.call('get','nokey')
----
redis.call('hset','h','a','1','b','2') local h=redis.call('hgetall','h') return {h,#h,redis.call('hkeys','h')}
----
redis.call('hset','h','a','1','b','2') redis.setresp(3) local h=redis.call('hgetall','h') return {h.map.a,h.map.b,#h}
----
redis.call('hset','h','a','1') redis.setresp(3) return {redis.call('hgetall','h'),redis.call('hgetall','nokey')}
----
redis.call('sadd','s','1','2') local s=redis.call('smembers','s') return {s,redis.call('sunion','s','nokey')}
----
redis.call('sadd','s','1','2') redis.setresp(3) local s=redis.call('smembers','s') return {s.set['1'],s.set['2'],#s}
----
redis.call('sadd','one','1') redis.setresp(3) return {redis.call('sdiff','one'),redis.call('spop','one',1),redis.call('sinter','one')}
----
redis.call('hset','h','a','1') redis.setresp(3) return redis.call('hrandfield','h',5,'withvalues')
----
return redis.call('get','nokey')
----
return {redis.call('get','nokey'), 1}
----
redis.setresp(3) return tostring(redis.call('get','nokey'))
----
return {double=3.5}
----
return {map={a=1}}
----
return {set={a=true}}
----
return {big_number='12\r\n3'}
----
return {verbatim_string={format='txt',string='hi'}}
----
return redis.call('select',3)
----
return redis.call('dbsize')
----
return redis.call('type','z')
----
return redis.call('type','z').ok
----
return true
----
return false
----
return nil
----
return
----
return cjson.encode({a={1,2,{b='x"/\\\n\127'}},c=1.5})
----
return cjson.encode({[1]=1,[3]=3})
----
return cjson.encode({[1]=1,[100]=3})
----
return cjson.encode({{},cjson.null,true,false,1e15,1e14,0.1,-0.5,123456789012345})
----
return cjson.encode(0/0)
----
return cjson.encode(function() end)
----
return cjson.encode({[true]=1})
----
return cjson.encode()
----
return cjson.encode(1,2)
----
return cjson.encode({[1.5]=1})
----
local t = {} t[1]=t return cjson.encode(t)
----
local t=cjson.decode('{"a":[1,2.5,"x",null,true],"b":{"c":"\\u00e9\\ud83d\\ude00\\n"}}') return {t.a[1],tostring(t.a[2]),t.a[3],tostring(t.a[4]==cjson.null),tostring(t.a[5]),t.b.c}
----
return cjson.decode('[1,2')
----
return cjson.decode('{"a":1,}')
----
return cjson.decode('[1,,2]')
----
return cjson.decode('')
----
return cjson.decode('foo')
----
return cjson.decode('"abc')
----
return cjson.decode('"a\\qc"')
----
return cjson.decode('{1:2}')
----
return cjson.decode('{"a" 2}')
----
return cjson.decode('[1] x')
----
return cjson.decode('"\\ud800"')
----
return cjson.decode('[1 2]')
----
return cjson.decode(string.rep('[', 1001)..string.rep(']',1001))
----
return cjson.decode()
----
return cjson.decode({})
----
return tostring(cjson.decode('0x10'))..tostring(cjson.decode('1e3'))..tostring(cjson.decode('-0'))
----
return tostring(cjson.decode('nan'))
----
return tostring(cjson.decode('[Infinity]')[1])
----
return {cjson.encode_max_depth(),cjson.decode_max_depth(),cjson.encode_number_precision()}
----
return {cjson.encode_sparse_array()}
----
return cmsgpack.pack(1,-1,127,128,-32,-33,255,256,65535,65536,4294967296,-128,-129,-32768,-32769,-2147483649)
----
return cmsgpack.pack(1.5,0.1,1e300,'',string.rep('x',31),string.rep('x',32),string.rep('x',300))
----
return cmsgpack.pack({1,2,3},{},true,false,nil)
----
return cmsgpack.pack({a=1})
----
return cmsgpack.pack()
----
return {cmsgpack.unpack(cmsgpack.pack({1,{2,'x'},true}, 'b', -5))}
----
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3))}
----
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2)}
----
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2,1)}
----
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),3)}
----
return {cmsgpack.unpack_one(cmsgpack.pack(1,2,3),4)}
----
return cmsgpack.unpack('\147\1')
----
return cmsgpack.unpack('\193')
----
return cmsgpack.unpack({})
----
local t={} for i=1,20 do t={t} end return cmsgpack.pack(t)
----
return struct.pack('>I2s', 258, 'ab')
----
return struct.pack('<i4>i4b', 1, 2, -1)
----
return struct.pack('!4bi4', 1, 2)
----
return struct.pack('d', 1.5)
----
return struct.pack('>f', 1.5)
----
return {struct.unpack('>I2I2', '\1\2\3\4')}
----
return {struct.unpack('<hs', '\255\255abc\0z')}
----
return {struct.unpack('>bc0', '\3abcdef')}
----
return {struct.unpack('>I8', '\255\255\255\255\255\255\255\255')}
----
return struct.unpack('>I4', 'ab')
----
return struct.unpack('s', 'ab')
----
return struct.unpack('c0', 'ab')
----
return struct.size('>I2i4!8d')
----
return struct.size('s')
----
return struct.pack('z', 1)
----
return struct.pack('i', 'x')
----
return struct.pack('i')
----
return struct.pack('i33', 1)
----
return struct.pack('c5', 'abc')
----
return struct.unpack('>I4', 'abcdefgh', 10)
----
return {struct.unpack('>B', 'abc', 2)}
----
return struct.unpack('>B', 'abc', 0)
----
return {bit.tobit(0xffffffff),bit.bnot(0),bit.band(0xff,0x0f),bit.bor(1,2,4),bit.bxor(5,1),bit.lshift(1,31),bit.rshift(-1,28),bit.arshift(-256,4),bit.rol(0x12345678,8),bit.ror(0x12345678,8),bit.bswap(0x12345678)}
----
return {bit.tohex(255),bit.tohex(255,4),bit.tohex(255,-4),bit.tohex(-1,2)}
----
return bit.band()
----
return bit.band('x')
----
return bit.lshift(1)
----
return {bit.tobit(2^40+5), bit.tobit(1.5), bit.tobit(2.5)}
----
return ('x'):rep(3)
----
return {string.format('%d %s %5.2f', 3, 'x', 1.5), table.concat({1,2,3}, ',')}
----
return unpack({1,2,3})
----
return select('#', 1, nil, 3)
----
return {next({}), next({5})}
----
#!lua flags=no-writes
return redis.call("set","a","b")
----
#!lua flags=foo
return 1
----
#!foo
return 1
----
#!lua name=x
return 1
----
#!lua
----
#!lua
return 1
----
return redis.call('eval','return 1',0)
----
return redis.call('config','get','x')
----
return redis.call('client','id')
----
return redis.call('ping')
----
return redis.call('echo','x')
----
return redis.call('time')[3]
----
return redis.call('object','encoding','str')
----
return redis.call('command','count') > 100
----
return cmsgpack.unpack("\196\1a")
----
return cmsgpack.unpack("\197\0\1a")
----
return cmsgpack.unpack("\217\1a")
----
return cmsgpack.pack({["1"]="a"})
----
return cmsgpack.pack({[1.5]="a"})
----
return cmsgpack.pack({["0x1"]="a"})
----
return cmsgpack.pack(2^63,2^64,1e17,1e300,-2^63,-2^64,2^53,0/0,1/0,-0)
----
return cjson.encode({[1]=1,[true]=2})
----
return cjson.encode({["1"]=1})
----
return cjson.encode({[1]=1,["a"]=2})
----
return cjson.encode({[2^53]=1})
----
return cjson.encode({[1e300]=1})
----
return cjson.encode({[2^31]=1})
----
return {map={[true]=1,[1]=2}}
----
return struct.pack("!4i3",1)
----
return struct.pack("!i3",1)
----
return struct.pack("!16i16",-1)
----
return struct.pack("!32i16",-1)
----
return struct.pack("i16",-1)
----
return struct.pack("i8",2^63)
----
return struct.pack("I8",2^64)
----
return struct.pack("i8",-2^70)
----
return struct.size("c0")
----
return struct.size("s")
----
return struct.size("s5")
----
return struct.pack("s5","a")
----
return struct.size("q")
----
return struct.pack("i0",1)
----
return {struct.unpack("i0","abc")}
----
return {struct.unpack("c0","abc")}
----
return {struct.unpack("Bc0","\5abc")}
----
return {struct.unpack("dc0",struct.pack("d",-1).."abc")}
----
return {struct.unpack("B","abc",-1)}
----
return {struct.unpack("","abc",-1)}
----
return {struct.unpack("B","abc",0)}
----
return {struct.unpack("sB","abc")}
----
return {struct.unpack("s","abc\0",9)}
----
return {struct.unpack("B\0Q","abc\0",2)}
----
return tostring(bit.tobit("nan"))
----
return bit.band()
----
return bit.tobit("1\0x")
----
return bit.tobit("1_0")
----
return bit.tobit("0x10")
----
return bit.tobit(" 5 ")
----
return bit.tohex(1, 2^40)
----
return bit.tohex(-1, -2147483648)
----
return struct.pack("i", "0x10")
----
return pcall(struct.unpack,"B","x",math.huge)
----
return redis.set_repl("x")
----
return redis.set_repl()
----
return redis.acl_check_cmd(".5",{})
----
return redis.acl_check_cmd({})
----
return redis.acl_check_cmd("get","x")
----
return redis.acl_check_cmd(1.5)
----
return cmsgpack.unpack_limit("\1\2\3",2)
----
return cmsgpack.unpack_limit("\1\2\3",0,1)
----
return {cmsgpack.unpack_limit("\1\2\3",0,0)}
----
return {cmsgpack.unpack("")}
----
return {cmsgpack.unpack_one("")}
----
return {cmsgpack.unpack_one("\193")}
----
return cmsgpack.unpack("\129\192\1")
----
return cmsgpack.unpack("\129\202\127\192\0\0\1")
----
return cmsgpack.pack()
----
return cjson.encode(1,2)
----
return cjson.encode()
----
return cjson.decode()
----
return cjson.decode("1","2")
----
return cjson.decode({})
----
return cjson.encode(print)
----
return cjson.encode({[print]=1})
----
return {tostring(cjson.decode("0x1p4"))}
----
return cjson.decode('"\\u0000"')
----
return cjson.decode('1e')
----
return cjson.decode('1.')
----
return cjson.decode('.5')
----
return cjson.decode('+1')
----
return cjson.decode('-')
----
return cjson.decode('0x')
----
return cjson.decode('infinit')
----
return cjson.decode('nanx')
----
return cjson.decode('[1 2]')
----
return cjson.decode('[1,')
----
return cjson.decode('{"a"}')
----
return cjson.decode('{"a":1 "b"}')
----
return cjson.decode('{"a":1,"a":2}')
----
return cjson.decode('"\\ud800\\u0041"')
----
return cjson.encode("\127\128\255/")
----
return cjson.encode(1e15)
----
return cjson.encode(123456789012345678)
----
return cjson.encode(0.1)
----
return cjson.encode(1e300)
----
return cjson.encode({{{}}})
----
return cjson.encode({1,2,nil,4})
----
return cjson.encode({[12]=1})
----
return cjson.encode({[1]=1,[11]=1})
----
return cmsgpack.pack({[true]=1})
----
return bit.bor(1e17, -1e308)
----
return {bit.tobit(2^51), bit.tobit(-2^70), bit.tobit(2^31), bit.tobit(0.5), bit.tobit(1.5)}
----
return struct.size("c99999999999")
----
return struct.unpack("B","x",math.huge)
----
return cmsgpack.unpack_limit("\1",-1/0)
----
return cmsgpack.unpack_limit("\1",0/0)
----
return cmsgpack.unpack_one("\1",2^53)
----
return cmsgpack.unpack_one("\1",123456789012)
----
return cjson.encode_max_depth(1,2)
----
return cjson.encode_max_depth({})
----
return cjson.encode_max_depth("x")
----
return cjson.encode_max_depth(0)
----
return {cjson.encode_max_depth("12"), cjson.encode_max_depth(1000)}
----
return cjson.decode_max_depth(2^31)
----
return cjson.encode_number_precision(15)
----
return {cjson.encode_number_precision(3.7), cjson.encode(1/3), cjson.encode_number_precision(14)}
----
return cjson.encode_keep_buffer("x")
----
return {cjson.encode_keep_buffer("off"), cjson.encode_keep_buffer(true)}
----
return cjson.encode_sparse_array(true,-1)
----
return {cjson.encode_sparse_array(false,2,10)}
----
return cjson.encode_sparse_array(1,2,3,4)
----
return {cjson.encode_invalid_numbers("null"), cjson.encode({0/0,1/0}), cjson.encode_invalid_numbers(true), cjson.encode({0/0,1/0,-(0/0)}), cjson.encode_invalid_numbers(false)}
----
return cjson.encode_invalid_numbers("nul")
----
return cjson.decode_invalid_numbers({})
----
return {cjson.decode_invalid_numbers(false), pcall(cjson.decode, "0x10"), pcall(cjson.decode, "01"), pcall(cjson.decode, "+1"), pcall(cjson.decode, "nan"), cjson.decode_invalid_numbers(true)}
----
local one = cjson.new() one.encode_number_precision(3) return {one.encode(1/3), cjson.encode(1/3), tostring(one.null == cjson.null), type(one.new().new)}
----
return pairs(1)
----
return pairs()
----
return next("x")
----
return rawget(1)
----
return rawget({})
----
return rawset({}, 1)
----
return setmetatable(1, {})
----
return setmetatable({})
----
return setmetatable({}, 1)
----
return getmetatable()
----
return loadstring()
----
return loadstring("return 1", {})
----
return load()
----
return load({})
----
return coroutine.wrap(1)
----
return coroutine.create()
----
local ok, problem = pcall(function() return pairs() end) return problem
----
return redis.log("1", "x")
----
return redis.log("x", "x")
----
return redis.log(7, "x")
----
return unpack({1,2,3},-2147483648)
----
return unpack({},0,2147483647)
----
return unpack({},-1,2147483647)
----
return unpack({},-2147483648,2147483647)
----
return unpack({1,2,3},2^31)
----
return {unpack({1,2,3},-1e308)}
----
return {unpack({1,2,3},2^32+2)}
----
return {unpack({1,2,3},-0.5,2.9)}
----
return unpack({},1,7996)
----
return unpack({},1,7997)
----
return unpack({},1,7998)
----
return unpack({},1,8000)
----
local t = {} for i = 1, 7999 do t[i] = i end return select('#', unpack(t))
----
local t = {} for i = 1, 8000 do t[i] = i end return select('#', unpack(t))
----
return {unpack({1,2,3},'2')}
----
return unpack({1,2,3},{})
----
return unpack({1,2,3},1,'x')
----
return unpack({1,2,3},nil,nil)
----
return unpack()
----
return unpack(1)
----
return {unpack({1,2,3},0/0)}
----
return {unpack({1,2,3},2,1/0)}
----
return {unpack({1,2,3},3,1)}
----
return math.random(0)
----
return math.random(2^40)
----
return math.random(2,1)
----
return math.random(1,2,3)
----
return math.random({})
----
return math.random('x')
----
return math.random(1,'x')
----
return math.random('1')
----
return math.random(5,5)
----
return math.random(1.9,1.2)
----
return setmetatable(setmetatable({},{__metatable=1}),{})
----
return setmetatable(setmetatable({},{}),{}) ~= nil
----
redis.setresp('3') return true
"""
# In this order: later ones build on what earlier ones have loaded.
COMMANDS: list[tuple[str, ...]] = [
    ("EVAL_RO", "return redis.call('set','a','b')", "0"),
    ("EVAL_RO", "#!lua\nreturn 1", "0"),
    ("EVAL", "return 1", "x"),
    ("EVAL", "return 1", "-1"),
    ("EVAL", "return 1", "3", "a"),
    ("EVALSHA", "foo", "0"),
    ("SCRIPT", "LOAD", "return 7"),
    ("SCRIPT", "EXISTS", "59B6AB2fbe0ee4b25733de0f62e6cda4899ef8e9", "x"),
    ("EVALSHA", "59B6AB2fbe0ee4b25733de0f62e6cda4899ef8e9", "0"),
    ("SCRIPT", "FLUSH", "foo"),
    ("SCRIPT", "KILL"),
    ("SCRIPT", "HELP"),
    ("FUNCTION", "HELP"),
    ("FUNCTION", "KILL"),
    ("FUNCTION", "STATS"),
    ("FUNCTION", "FLUSH"),
    (
        "FUNCTION",
        "LOAD",
        "#!lua name=l3\nredis.register_function('f', function(keys,args) return redis.call('set',keys[1],args[1]) end)\nlocal x=redis.REDIS_VERSION",
    ),
    ("FCALL", "f", "1", "a", "b"),
    ("FCALL_RO", "f", "1", "a", "b"),
    ("FUNCTION", "LIST"),
    ("FUNCTION", "LIST", "WITHCODE", "LIBRARYNAME", "l*"),
    ("FUNCTION", "STATS"),
    ("FUNCTION", "DELETE", "l3"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function{function_name='x', callback=function() end, flags=1}"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function{function_name='x', callback=function() end, foo=1}"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function{callback=1}"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function('a', 5)"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function('a')"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function(1,2,3)"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.register_function('a b', function() end)"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nx=1"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nredis.call('get','a')"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nlocal x=1"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nx ="),
    ("FUNCTION", "LOAD", "#!lua name=a-b\nx ="),
    ("FUNCTION", "LOAD", "#!lua\nx ="),
    ("FUNCTION", "LOAD", "#! name=l5\nx"),
    ("FUNCTION", "LOAD", "#!\nx"),
    ("FUNCTION", "LOAD", "#!lua name=l5\nlocal a = 1 while true do a = a + 1 end"),
    ("EVAL", "return 1", "0"),
    ("EVAL_RO", "return redis.call('publish', 'c', 'm')", "0"),
    ("EVAL_RO", "return redis.call('pfcount', KEYS[1])", "1", "k"),
    ("EVAL_RO", "return redis.call('get', KEYS[1])", "1", "k"),
    ("FUNCTION", "LOAD", "return 1"),
    ("FUNCTION", "LOAD", "#!js name=x\nreturn 1"),
    ("FUNCTION", "LOAD", "#!lua name=x y=z\nreturn 1"),
    ("FUNCTION", "LOAD", "REPLACE"),
    ("FUNCTION", "LOAD", "FOO", "x"),
    ("FUNCTION", "RESTORE", "x"),
    ("FUNCTION", "RESTORE", "x", "FOO"),
    (
        "FUNCTION",
        "LOAD",
        "#!lua name=l6\nredis.register_function('e1', function() return redis.call('nope') end)\nredis.register_function('e2', function() x=1 end)\nredis.register_function('e3', function() return x end)\nredis.register_function('e4', function() error('hi') end)\nredis.register_function('e6', function() return KEYS end)\nredis.register_function('e7', function() return redis.register_function('x', function() end) end)\nredis.register_function('e8', function() redis.setresp(3) return redis.call('get','nokey') end)",
    ),
    ("FCALL", "e1", "0"),
    ("FCALL", "e2", "0"),
    ("FCALL", "e3", "0"),
    ("FCALL", "e4", "0"),
    ("FCALL", "e6", "0"),
    ("FCALL", "e7", "0"),
    ("FCALL", "e8", "0"),
    ("FCALL", "nope", "0"),
    ("FCALL", "e1", "x"),
    ("FCALL", "e1", "9"),
    *(
        ("FUNCTION", "LOAD", f"#!lua name=l7\nlocal x = {name}")
        for name in ("_G", "pairs", "math.random", "string", "cjson", "redis.sha1hex", "redis.error_reply", "redis.log")
    ),
    ("FUNCTION", "LOAD", "#!lua name=l7\n_G.x = 1"),
    (
        "FUNCTION",
        "LOAD",
        "#!lua name=l7\nredis.register_function('Foo', function() return _G.math.floor(1.5) end)",
    ),
    ("FCALL", "Foo", "0"),
    ("FCALL", "FOO", "0"),
    ("FUNCTION", "LOAD", "#!lua name=L7\nredis.register_function('fOO', function() end)"),
    ("FUNCTION", "LOAD", "REPLACE", "#!lua name=l7\nredis.register_function('fOO', function() end)"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "L7"),
    ("FUNCTION", "DELETE", "L7"),
    ("FUNCTION", "DELETE", "l7"),
    ("FCALL", "foo", "0"),
    ("FUNCTION", "FLUSH", "SYNC"),
]


@pytest.mark.parametrize("proto", ["2", "3"])
def test_scripts(pair: Pair, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
        client.ask("SET", "str", "abc")
        client.ask("ZADD", "z", "1.5", "m")
    different = []
    for script in SCRIPTS.strip("\n").split("\n----\n"):
        replies = [client.ask("EVAL", script, "2", "k1", "k2", "a1", "a2") for client in (ours, theirs)]
        if replies[0] != replies[1]:
            different.append((script, *replies))
    assert not different


@pytest.mark.parametrize("proto", ["2", "3"])
def test_commands(pair: Pair, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
        client.ask("FUNCTION", "FLUSH")
        client.ask("SCRIPT", "FLUSH")
    different = []
    for words in COMMANDS:
        replies = [client.ask(*words) for client in (ours, theirs)]
        if replies[0] != replies[1]:
            different.append((words, *replies))
    assert not different


@pytest.mark.parametrize("transaction", [False, True])
def test_on_a_replica(pair: Pair, transaction: bool) -> None:
    """A script that says what it does is refused like a command that does it."""
    code = "#!lua name=l8\nredis.register_function('w', function() return 1 end)"
    heads = ("#!lua", "#!lua flags=no-writes", "#!lua flags=allow-stale", "#!lua flags=no-writes,allow-stale", "")
    outcomes = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("FUNCTION", "LOAD", "REPLACE", code)
        client.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
        deeds = [("FCALL", "w", "0"), ("FCALL_RO", "w", "0"), *(("EVAL", f"{head}\nreturn 1", "0") for head in heads)]
        replies = []
        for words in deeds:
            if transaction:
                client.ask_all([("MULTI",), words])
            # Nobody listens on port 1, so there is never a link.
            other.ask("REPLICAOF", "127.0.0.1", "1")
            replies.append(client.ask("EXEC") if transaction else client.ask(*words))
            other.ask("REPLICAOF", "NO", "ONE")
        client.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
        client.ask("FUNCTION", "FLUSH")
        outcomes.append(list(zip(deeds, replies, strict=True)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("transaction", [False, True])
def test_in_a_pause_of_writes(pair: Pair, transaction: bool) -> None:
    """Who only reads goes on, and so does a script that says so."""
    heads = ("", "#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=allow-stale\n")
    outcomes = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask(
            "FUNCTION",
            "LOAD",
            "#!lua name=l10\nredis.register_function{function_name='ro', callback="
            "function() return 1 end, flags={'no-writes'}}\nredis.register_function('rw', function() end)",
        )
        deeds = [("EVAL", head + "return 1", "0") for head in heads]
        deeds += [("EVAL_RO", "return 1", "0"), ("FCALL", "ro", "0"), ("FCALL_RO", "ro", "0"), ("FCALL", "rw", "0")]
        deeds += [("GET", "k"), ("PUBLISH", "c", "m"), ("PFCOUNT", "k"), ("SET", "k", "v")]
        waited = []
        for words in deeds:
            if transaction:
                client.ask_all([("MULTI",), words])
                words = ("EXEC",)
            other.ask("CLIENT", "PAUSE", "60000", "WRITE")
            client.send(encode_command([word.encode() for word in words]))
            # What follows on the other connection has been read later.
            other.ask_all([("PING",), ("PING",)])
            waited.append((words, b"blocked_clients:1\r" in other.ask("INFO", "clients")))
            other.ask("CLIENT", "UNPAUSE")
            client.read_reply()
        client.ask("FUNCTION", "FLUSH")
        outcomes.append(waited)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("around", ["{%s}", "{map={x=%s}}", "{set={[%s]=true}}", "{%s, {map={x={%s, true}}}}"])
@pytest.mark.parametrize("levels", [150, 199, 200, 201, 2664, 2665, 7994, 7995])
def test_tables_lie_in_tables_as_deep_as_there(pair: Pair, levels: int, around: str, proto: str) -> None:
    """A table stands for another one in it just once: two each time would be more than there is memory for."""
    last = around.rfind("%s")
    inner = around[:last].replace("%s", "false") + "t" + around[last + 2 :]
    source = f"local t = {{}} for _ = 1, {levels} do t = {inner} end return t"
    replies = []
    for client in pair.connect():
        client.ask("HELLO", proto)
        # Read as bytes: who reads level by level needs a deep stack as well.
        client.send(encode_command([b"EVAL", source.encode(), b"0"]) + b"ECHO end\r\n")
        replies.append(client.read_past(b"$3\r\nend\r\n"))
    assert replies[0] == replies[1]


def test_a_script_runs_no_script(pair: Pair) -> None:
    """Not even one that may run everything."""
    ours, _ = pair.connect()
    ours.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
    assert b"not allowed from script" in ours.ask("EVAL", "return redis.call('EVAL', 'return 1', '0')", "0")
    ours.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "0")
    assert ours.ask("EVAL", "return 1", "0") == b":1\r\n"


def test_what_forbids_writes_comes_too_late_for_a_script_that_has_written(pair: Pair) -> None:
    code = """
        {} redis.call('CONFIG', 'SET', 'min-replicas-to-write', '1')
        local outcome = redis.pcall('SET', 'k', '2')
        redis.call('CONFIG', 'SET', 'min-replicas-to-write', '0')
        return outcome
    """
    outcomes = []
    for client in pair.connect():
        client.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
        writes = ("", "redis.call('SET', 'k', '1')", "redis.call('DEL', 'nosuch')", "redis.call('GET', 'k')")
        outcomes.append([client.ask("EVAL", code.format(before), "0") for before in writes])
        client.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "0")
    assert outcomes[0] == outcomes[1]
    assert {reply[:4] for reply in outcomes[0]} == {b"-NOR", b"+OK\r"}


def test_a_library_that_is_there_is_not_restored(pair: Pair) -> None:
    refusals = []
    for client in pair.connect():
        client.ask("FUNCTION", "LOAD", "#!lua name=l9\nredis.register_function('r', function() return 1 end)")
        payload = client.ask("FUNCTION", "DUMP").split(b"\r\n", 1)[1][:-2]
        refusals.append([client.ask("FUNCTION", "RESTORE", payload, *how) for how in ((), ("REPLACE",), ("FLUSH",))])
        client.ask("FUNCTION", "FLUSH")
    assert refusals[0] == refusals[1]


def test_scripts_are_counted(pair: Pair) -> None:
    counted = []
    for client in pair.connect():
        client.ask_all([("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH")])
        client.ask_all([("EVAL", f"return {number}", "0") for number in (1, 2, 2)])
        client.ask(
            "FUNCTION",
            "LOAD",
            "#!lua name=l11\nredis.register_function('c', function() end) redis.register_function('d', function() end)",
        )
        counted.append(re.findall(rb"(number_of_\w+:\d+)", client.ask("INFO", "memory")))
        client.ask_all([("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH")])
        counted[-1] += re.findall(rb"(number_of_\w+:\d+)", client.ask("INFO", "memory"))
    assert counted[0] == counted[1]
    assert counted[0][:3] == [b"number_of_cached_scripts:2", b"number_of_functions:2", b"number_of_libraries:1"]


@pytest.mark.parametrize(
    "words",
    [
        ("EVAL", "return redis.call('set', 'x')", "0"),
        ("EVAL", "return redis.pcall('nosuch')", "0"),
        ("EVAL", "return redis.pcall('subscribe', 'x')", "0"),
        ("EVAL", "redis.pcall('lpush', 's', 'x') return 1", "0"),
        ("EVAL", "return redis.call('lpush', 's', 'x')", "0"),
        ("EVAL_RO", "return redis.call('set', 's', 'x')", "0"),
        ("EVAL_RO", "redis.pcall('set', 's', 'x') return 1", "0"),
        ("EVAL", "return redis.call('config', 'get', 'x')", "0"),
        ("EVAL", "return redis.error_reply('MY error')", "0"),
        ("EVAL", "error(redis.error_reply('MY error'))", "0"),
        ("EVAL", "return redis.error_reply(1, 2)", "0"),
        ("EVAL", "redis.log(1)", "0"),
        ("EVAL", "pcall(redis.log, 1)", "0"),
        ("EVAL", "return redis.call()", "0"),
        ("EVAL", "redis.pcall({}) return 1", "0"),
        ("EVAL", "error(redis.pcall('get'))", "0"),
        ("EVAL", "error('x')", "0"),
        ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function()"),
        ("FCALL", "nosuch", "0"),
        ("EVALSHA", "f" * 40, "0"),
    ],
)
def test_what_is_refused_is_counted(pair: Pair, words: tuple[str, ...]) -> None:
    counted = []
    for client in pair.connect():
        client.ask("SET", "s", "v")
        client.ask("CONFIG", "RESETSTAT")
        client.ask(*words)
        client.ask("EVAL", "return 1", "0")
        info = client.ask("INFO", "commandstats") + client.ask("INFO", "errorstats") + client.ask("INFO", "stats")
        lines = re.findall(rb"(?:cmdstat_|errorstat_|total_error|unexpected_error).*", info)
        counted.append(sorted(re.sub(rb"usec(_per_call)?=[0-9.]+", b"", line) for line in lines))
    assert counted[0] == counted[1]


def test_the_same_globals(pair: Pair) -> None:
    """All but the function that Redis keeps its error handler in."""
    script = (
        "local t = {} for k, v in pairs(_G) do if type(v) == 'table' and k ~= '_G' then for kk, vv in pairs(v) do "
        "t[#t + 1] = k .. '.' .. kk .. ':' .. type(vv) end else t[#t + 1] = k .. ':' .. type(v) end end "
        "table.sort(t) return table.concat(t, ' ')"
    )
    ours, theirs = pair.connect()
    mine, other = (client.ask("EVAL", script, "0").split(b"\r\n")[1].split() for client in (ours, theirs))
    assert set(other) - set(mine) == {b"__redis__err__handler:function"}
    # Of Redis 7.4.
    assert set(mine) - set(other) == {b"os.clock:function"}
