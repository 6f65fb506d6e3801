# Lua code that loops for ever or eats memory costs its own request a 500, soon; the worker goes on as if nothing had
# been. And no Lua code reaches what is not its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use Time::HiRes qw(time);

# Each as a handler of one file, and some as a hook.
my %greedy = (
    loop => 'while true do end',
    loop_in_pcall => 'while true do pcall(function() while true do end end) end',
    pcall_for_ever => 'local function f() while true do pcall(error) end end f()',
    loop_in_xpcall => 'while true do xpcall(function() while true do end end, function() while true do end end) end',
    loop_in_coroutine => 'local c = coroutine.create(function() while true do end end) while true do coroutine.resume(c) end',
    wrapped_coroutines => 'while true do local c = coroutine.wrap(function() while true do coroutine.yield() end end) pcall(c) end',
    pcall_in_coroutine => 'local c = coroutine.wrap(function() while true do pcall(function() while true do end end) end end) while true do pcall(c) end',
    loop_in_index => 'local t = setmetatable({}, { __index = function(t, k) while true do end end }) return t.x',
    index_of_index => 'local t = {} t = setmetatable(t, { __index = function(t, k) return t[k + 1] end }) return t[1]',
    loop_in_tostring => 'local t = setmetatable({}, { __tostring = function() while true do end end }) return tostring(t)',
    recursion => 'local function f(n) return 1 + f(n + 1) end return f(1)',
    tail_calls => 'local function f() return f() end return f()',
    goto_loop => '::top:: goto top',
    for_loop => 'for i = 1, math.huge do end',
    pattern => 'return (("a"):rep(600)):find((".-"):rep(4) .. "b")',
    pattern_in_pcall => 'while true do pcall(string.find, ("a"):rep(600), (".-"):rep(4) .. "b") end',
    gsub => 'return (("a"):rep(5000)):gsub(("a?"):rep(30) .. ("a"):rep(30) .. "b", "")',
    gsub_replacement => 'return (("a"):rep(1000)):gsub("a", function() while true do end end)',
    gmatch => 'for i = 1, 1e9 do for x in ("a"):rep(1000):gmatch("a*a*a*b") do end end',
    sort => 'local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t, function(a, b) while true do end end) end',
    sort_for_ever => 'local t = {} for i = 1, 1000 do t[i] = i % 7 end while true do table.sort(t) end',
    insert => 'local t = {} for i = 1, 1e9 do table.insert(t, 1, i) end',
    insert_far_off => 'table.insert({}, -2e8, 1)',
    insert_beyond => 'table.insert({}, 1e10, 1)',
    insert_nowhere => 'table.insert({}, 0 / 0, 1)',
    next_ => 'local t = {} for i = 1, 1000 do t[i] = i end while true do for k in pairs(t) do end end',
    create => 'while true do jwt.create_access_token("alice") end',
    decode => 'while true do pcall(jwt.decode_token, "a.b.c") end',
    log => 'while true do jwt.log("debug", "x") end',
    json => 'local text = ("[1,"):rep(30) while true do request:json({ force = true }) end',
    string_doubling => 'local s = "x" while true do s = s .. s end',
    rep => 'return #("x"):rep(1e9)',
    rep_in_pcall => 'while true do pcall(string.rep, "x", 1e8) end',
    format => 'while true do local s = string.format("%99s%99s", "a", "b"):rep(1000) end',
    table_growth => 'local t = {} for i = 1, 1e9 do t[i] = { i } end',
    concat => 'local t = {} for i = 1, 1e9 do t[i] = "some text " .. i end return table.concat(t)',
    closures => 'local t while true do local u = t t = function() return u end end',
    coroutines => 'local t = {} while true do t[#t + 1] = coroutine.create(function() end) end',
    kept_coroutines => 'local t = {} while true do local c = coroutine.wrap(function() coroutine.yield() end) c() t[#t + 1] = c end',
    deep_answer => 'local t = {} local u = t for i = 1, 1e6 do u.a = {} u = u.a end return t',
    wide_answer => 'local t = {} for i = 1, 1e5 do t[i] = ("x"):rep(1000) end return t',
    unpack_ => 'local t = {} for i = 1, 1e9 do t[i] = i end return unpack(t)',
    upvalue => 'kept[#kept + 1] = ("x"):rep(1e6) while true do kept[#kept + 1] = kept[1] .. #kept end',
    swallowed => 'pcall(function() while true do end end) return "as if nothing had been"',
    memory_swallowed => 'for i = 1, 1e9 do pcall(function() local s = ("x"):rep(1e7) .. i end) end return "as if nothing had been"',
);
my @hooked = qw(loop_in_pcall pattern table_growth swallowed);

my $lua = "local jwt = require 'jwt'\nlocal kept = {}\nlocal handlers = { good = function() return 'good' end }\n"
    . join('', map { "handlers.$_ = function(request)\n$greedy{$_}\nend\n" } sort keys %greedy) . "return { handlers = handlers }\n";
my %files = ('greedy.lua' => $lua);
my $locations = join '', map { "location = /$_ { jwt_handler $_; }\n" } 'good', sort keys %greedy;
for my $name (@hooked) {
    $files{"hook_$name.lua"} = "local jwt = require 'jwt'\nreturn { token_verification = function(header, payload) if payload.greedy then $greedy{$name} end return true end }\n";
    $locations .= "location = /hook_$name { jwt_required; jwt_lua_file %%DIR%%/hook_$name.lua; root %%DIR%%/html; }\n";
    $files{"html/hook_$name"} = 'inside';
}

# What must not be there, and what must not be reached: the name of what was found, or nothing.
$files{'sandbox.lua'} = <<'EOF_LUA';
local jwt = require "jwt"
local count, handlers = 0, {}
local function found(names, get)
  local list = {}
  for name in names:gmatch("%S+") do
    local ok, value = pcall(get, name)
    if ok and value ~= nil then list[#list + 1] = name end
  end
  return table.concat(list, " ")
end
local globals = {
  io = function() return io end, ffi = function() return ffi end, debug = function() return debug end, package = function() return package end,
  load = function() return load end, loadstring = function() return loadstring end, loadfile = function() return loadfile end,
  dofile = function() return dofile end, getfenv = function() return getfenv end, setfenv = function() return setfenv end,
  rawset = function() return rawset end, collectgarbage = function() return collectgarbage end, newproxy = function() return newproxy end,
  module = function() return module end, jit = function() return jit end, gcinfo = function() return gcinfo end, _G = function() return _G end,
}
function handlers.globals()
  local list = {}
  for name, get in pairs(globals) do if get() ~= nil then list[#list + 1] = name end end
  return table.concat(list, " ")
end
function handlers.fields()
  return found("execute exit getenv remove rename tmpname setlocale", function(name) return os[name] end)
    .. found("dump gfind", function(name) return string[name] end) .. found("randomseed", function(name) return math[name] end)
    .. found("io ffi debug jit package bit32", require)
end
local attempts = {
  string_metatable = function() getmetatable("").__index = {} return true end,
  string_table = function() string.upper = function() return "leak" end return true end,
  table_table = function() table.leak = 1 return true end,
  jwt_table = function() jwt.leak = 1 return true end,
  global = function() leak = 1 return true end,
  remove_metatable = function() setmetatable(jwt, nil) return true end,
  read_metatable = function() return type(getmetatable(jwt)) == "table" end,
  through_next = function() for k in pairs(getmetatable("") or {}) do return true end end,
}
function handlers.attempts(request)
  local list = {}
  for name, attempt in pairs(attempts) do
    local ok, done = pcall(attempt, request)
    if ok and done then list[#list + 1] = name end
  end
  table.sort(list)
  return table.concat(list, " ")
end
function handlers.request_metatable(request) return tostring(type(getmetatable(request))) end
function handlers.leaks() return tostring(leak) .. tostring(jwt.leak) .. tostring(table.leak) .. ("a"):upper() end
-- Gets past a read-only view, but each file has views of its own.
function handlers.insert() table.insert(string, "leak") table.insert(jwt, "leak") return string[1] .. jwt[1] end
function handlers.count() count = count + 1 return tostring(count) end
local function inserted()
  local list = { "b", "d" }
  table.insert(list, 1, "a") table.insert(list, "3", "c") table.insert(list, 5, "e") table.insert(list, "f")
  return table.concat(list)
end
function handlers.works() return table.concat({ ("%d"):format(5), tostring(math.floor(2.5)), inserted(), tostring(bit.band(6, 3)), os.date("!%Y", 0), tostring(os.time() > 1e9), type(coroutine.wrap) }, " ") end
return { handlers = handlers }
EOF_LUA
$files{'other.lua'} = "local jwt = require 'jwt'\nreturn { handlers = { leaks = function() return tostring(leak) .. tostring(jwt.leak) .. tostring(string[1]) .. tostring(jwt[1]) .. (\"a\"):upper() end } }\n";
my @sandbox = qw(globals fields attempts request_metatable leaks insert count works);
$locations .= join '', map { "location = /sandbox/$_ { jwt_lua_file %%DIR%%/sandbox.lua; jwt_handler $_; }\n" } @sandbox;

my $t = JWTTest->new(files => \%files, config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/greedy.lua;
    $locations
    location = /other { jwt_lua_file %%DIR%%/other.lua; jwt_handler leaks; }
EOF_CONFIG

my ($worker) = $t->workers;
my $greedy = token(claims(greedy => 1));
my $modest = token(claims());

sub resident { my ($pid) = @_; open my $file, '<', "/proc/$pid/statm" or return 0; return (split ' ', <$file>)[1] * 4 }
sub cpu { my ($pid) = @_; open my $file, '<', "/proc/$pid/stat" or return 0; my @field = split ' ', <$file> =~ s/\(.*\)/x/r; return ($field[13] + $field[14]) / 100 }

# 500, within a second of the worker's own time, and why.
sub stopped {
    my ($path, $token, $name) = @_;
    my ($before, $log) = (cpu($worker), length $t->log);
    my $response = $t->get($path, $token ? [Authorization => "Bearer $token"] : []);
    my $used = cpu($worker) - $before;
    my $why = substr $t->log, $log;
    my $fault = $response->{status} != 500 ? "$response->{status} $response->{body}" : $used > 1 ? "took $used seconds"
        : $why !~ /\[error\] .*jwt: \w+ \w+ of ".*(?:stopped after \d+ (?:steps|ms)|memory|stack overflow|nested deeper|too many results)/ ? "the log says: $why" : '';
    ok(!$fault, "$name is stopped") or diag($fault);
    return;
}

for my $name (sort keys %greedy) {
    stopped("/$name", undef, $name);
    is($t->get('/good')->{body}, 'good', 'and the next request is served');
}
for my $name (@hooked) {
    stopped("/hook_$name", $greedy, "$name in a hook");
    is($t->get_with("/hook_$name", $modest)->{body}, 'inside', 'and the next token passes that hook');
}
is_deeply([$t->workers], [$worker], 'one worker all the time');

# ---- memory stays where it was, with limits that make many calls quick

my $small = JWTTest->new(files => { 'greedy.lua' => $lua }, http => 'jwt_lua_limit steps=50000 memory=1m time=20ms;', config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/greedy.lua;
    @{[ map { "location = /$_ { jwt_handler $_; }\n" } 'good', sort keys %greedy ]}
EOF_CONFIG
my ($small_worker) = $small->workers;
my @names = qw(string_doubling table_growth loop_in_coroutine upvalue concat rep kept_coroutines loop_in_pcall);
my $ask = sub { my ($count) = @_; return grep { $_ != 500 } map { $small->get("/$names[$_ % @names]")->{status} } 1 .. $count };
$ask->(40);
my $before = resident($small_worker);
is_deeply([$ask->(300)], [], '300 greedy requests in a row');
SKIP: {
    skip 'a sanitizer keeps what was freed', 1 if $ENV{JWT_PRELOAD};
    cmp_ok(resident($small_worker) - $before, '<', 8 * 1024, 'leave the memory of the worker as it was (KB)');
}
is($small->get('/good')->{body}, 'good', 'and it serves');
is_deeply([$small->workers], [$small_worker], 'the same worker');
$small->finish;

# ---- the sandbox

is($t->get("/sandbox/$_")->{body}, '', "nothing is found: $_") for qw(globals fields attempts);
is($t->get('/sandbox/request_metatable')->{body}, 'boolean', "a request's metatable is closed");
is($t->get('/sandbox/leaks')->{body}, 'nilnilnilA', 'no attempt is seen by the next request');
is($t->get('/sandbox/insert')->{body}, 'leakleak', 'what table.insert may do');
is($t->get('/other')->{body}, 'nilnilnilnilA', 'nor by another file');
is($t->get('/sandbox/works')->{body}, '5 2 abcdef 2 1970 true function', 'what is left works');
$t->get('/sandbox/count') for 1 .. 2;
is($t->get('/sandbox/count')->{body}, '3', 'a local of the file is the worker\'s, as in any Lua program');

# ---- jwt_lua_limit

my $sum = "local jwt = require 'jwt'\nreturn { handlers = { sum = function(request) local s = 0 for i = 1, request.args.n do s = s + i end return tostring(s) end,\n"
    . "fill = function(request) return tostring(#('x'):rep(request.args.n)) end } }\n";
for my $row (['steps=20000', '/sum?n=1000', '/sum?n=30000', qr/stopped after 20000 steps \(jwt_lua_limit steps=\)/],
    ['steps=100000000 time=20ms', '/sum?n=10000', '/sum?n=1e9', qr/stopped after 20 ms of CPU time/],
    ['memory=1m', '/fill?n=300000', '/fill?n=3000000', qr/needs more than 1048576 bytes of memory \(jwt_lua_limit memory=\)/],
    ['memory=8m', '/fill?n=3000000', '/fill?n=30000000', qr/needs more than 8388608 bytes/]) {
    my ($words, $small, $large, $message) = @$row;
    my $limited = JWTTest->new(http => "jwt_lua_limit $words;", files => { 'sum.lua' => $sum }, config => <<'EOF_CONFIG');
        jwt_lua_file %%DIR%%/sum.lua;
        location = /sum { jwt_handler sum; }
        location = /fill { jwt_handler fill; }
EOF_CONFIG
    is($limited->get($small)->{status}, 200, "jwt_lua_limit $words: less");
    is($limited->get($large)->{status}, 500, 'and more');
    like($limited->log, $message, 'and which limit it was');
    $limited->finish;
}

# nginx -t ends, too.
for my $name (qw(loop_in_pcall pattern_in_pcall table_growth)) {
    my $start = time;
    my ($code, $said) = JWTTest->nginx_t(files => { 'hooks.lua' => "local jwt, request = require 'jwt', {}\n$greedy{$name}\nreturn {}\n" }, config => 'jwt_lua_file %%DIR%%/hooks.lua;');
    ok($code != 0 && $said =~ /hooks\.lua.*(?:stopped after|memory)/ && time - $start < 5, "$name while the file loads") or diag($said);
}

done_testing;
