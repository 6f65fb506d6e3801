# Content made by handlers of the Lua file: the request that they see, and the functions of the jwt module.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use Crypt::JWT ();
use JSON::PP ();
use MIME::Base64 ();

my $lua = <<'EOF_LUA';
local jwt = require "jwt"
local kept
local handlers = {}

function handlers.plain() return "plain" end
function handlers.about(request)
  return {
    method = request.method, uri = request.uri, args = request.args, remote_addr = request.remote_addr,
    host = request.headers.Host, any_case = request.headers["x-ThInG"], none = request.headers["X-None"] == nil,
    twice = request.headers["X-Twice"], var = request.var.request_method, own = request.var.arg_a,
    no_var = request.var.no_such_variable == nil, status = request.var.jwt_status,
  }
end
function handlers.body(request) return request:body(), 200, { ["Content-Type"] = "application/octet-stream" } end
function handlers.size(request) return { size = #request:body(), same = request:body() == request:body() } end
function handlers.json(request)
  local value, problem = request:json(request.args.force and { force = true } or nil)
  return { value = value == nil and "nothing" or value, problem = problem }
end
function handlers.form(request) return { form = request:form() } end
function handlers.unknown(request) return { x = request.colour } end
function handlers.write(request) request.method = "GET" return "written" end
function handlers.dot(request) return request.body() end
function handlers.keep(request)
  if request.args.first then kept = request return "kept" end
  return kept.method
end
function handlers.fails() error("no such thing") end
function handlers.nothing() end
function handlers.late(request) return { answer = request.args.a }, 201, { ["X-A"] = "b", ["Cache-Control"] = "no-store" } end

local options = {
  access = {}, fresh = { fresh = true }, fresh_for = { fresh = 600 },
  seconds = { expires_delta = 60 }, text = { expires_delta = "365d" }, mixed = { expires_delta = "1h 30m" }, never = { expires_delta = false },
  null = { expires_delta = jwt.null, fresh = jwt.null, additional_claims = jwt.null },
  claims = { additional_claims = { role = "admin", list = { 1, 2 }, none = jwt.null, empty = jwt.empty_array, sub = "bob" } },
  headers = { additional_headers = { kid = "k1", typ = "at+jwt" } },
  bad_option = { expires = 5 }, bad_fresh = { fresh = "yes" }, bad_expires = { expires_delta = "soon" }, bad_expires_type = { expires_delta = {} },
  true_expires = { expires_delta = true }, bad_claims = { additional_claims = "a" }, bad_key = { additional_claims = { 1, 2 } },
  bad_header = { additional_headers = { alg = "none" } }, bad_crit = { additional_headers = { crit = { "a" } } }, bad_exp = { additional_claims = { exp = "soon" } },
  negative = { expires_delta = -5 }, infinite = { expires_delta = 1 / 0 }, bad_value = { additional_claims = { f = print } },
}
function handlers.create(request)
  local case, identity = request.args.case, request.args.identity or "alice"
  if identity == "nil" then identity = nil end
  if identity == "number" then identity = 7 end
  if identity == "great" then identity = 9007199254740993 end
  if identity == "-great" then identity = -9007199254740993 end
  if identity == "greatest" then identity = 9007199254740991 end
  if identity == "table" then identity = { id = 1 } end
  local make = request.args.refresh and jwt.create_refresh_token or jwt.create_access_token
  return make(identity, options[case])
end
function handlers.create_no_table() return jwt.create_access_token("alice", "fresh") end

function handlers.decode(request)
  local form = request:json()
  local payload, header = jwt.decode_token(form.token, form.options)
  return { payload = payload, header = header }
end
function handlers.try(request)
  local form = request:json()
  local ok, problem = pcall(jwt[form.name], form.token, form.options)
  return { ok = ok, result = ok and problem or nil, problem = not ok and problem or nil }
end
function handlers.parts(request)
  local token = request:json().token
  return { jti = jwt.get_jti(token) or jwt.null, csrf = jwt.get_csrf_token(token) or jwt.null, headers = jwt.get_unverified_jwt_headers(token) }
end
function handlers.current()
  return {
    jwt = jwt.get_jwt(), header = jwt.get_jwt_header(), identity = jwt.get_jwt_identity() or jwt.null,
    user = jwt.get_current_user() or jwt.null, location = jwt.get_jwt_request_location() or jwt.null,
  }
end
function handlers.log(request)
  jwt.log(request.args.level, "a line\nof two, " .. request.args.level)
  print("printed", 1, nil, true)
  return "logged"
end
function handlers.null()
  return { null = jwt.null, array = jwt.empty_array, object = {}, equal = jwt.null == jwt.null, is_nil = jwt.null == nil }
end
function handlers.read_only() jwt.null = 1 end
function handlers.roundtrip(request) return { value = request:json({ force = true }) } end

return { handlers = handlers, user_lookup = function(header, payload) return { name = payload.sub } end }
EOF_LUA

my @names = $lua =~ /^function handlers\.(\w+)/mg;
my $locations = join '', map { "location = /$_ { jwt_handler $_; }\n" } grep { $_ ne 'current' } @names;
my $pair = keypair('ES256');

my $t = JWTTest->new(files => { 'hooks.lua' => $lua, 'es.key' => $pair->{private} }, http => 'jwt_lua_limit memory=2m;', config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    client_body_buffer_size 1k;
    client_max_body_size 4m;
    $locations
    location = /current { jwt_required optional; jwt_token_location headers query_string; jwt_handler current; }
    location = /guarded { jwt_required; jwt_handler about; }
    location /made {
        jwt_access_token_expires 5m; jwt_refresh_token_expires off; jwt_encode_issuer issuer; jwt_encode_audience a b;
        jwt_encode_nbf off; jwt_cookie_csrf_protect off; jwt_identity_claim who;
        location = /made/create { jwt_handler create; }
        location = /made/off { jwt_encode_issuer off; jwt_encode_audience off; jwt_handler create; }
        location = /made/es { jwt_algorithm ES256; jwt_private_key %%DIR%%/es.key; jwt_handler create; }
    }
    location = /strict { jwt_decode_issuer issuer; jwt_decode_audience a; jwt_handler decode; }
    location = /by-post { limit_except POST { deny all; } jwt_handler plain; }
    location = /within-limit { jwt_required; jwt_handler plain; limit_except GET { jwt_require_claim level >= 3; } }
    location = /within-if { jwt_required; if (\$arg_a) { set \$unused 1; } jwt_handler plain; }
    location = /another { if (\$arg_a) { proxy_pass http://127.0.0.1:1; } jwt_handler plain; }
    location = /no-key { jwt_algorithm ES256; jwt_public_key %%DIR%%/es.key; jwt_handler create; }
EOF_CONFIG

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $mark = 0;
sub new_log { my $log = $t->log; my $new = substr $log, $mark; $mark = length $log; return $new }
sub send_json { my ($path, $value, @more) = @_; return $t->post($path, ['Content-Type' => 'application/json', @more], $json->encode($value)) }
sub part { my ($text, $index) = @_; return $json->decode(MIME::Base64::decode_base64url((split /\./, $text)[$index])) }

# 500, with the reason in the log and not in the answer.
sub breaks {
    my ($response, $message, $name) = @_;
    my $log = new_log();
    ok($response->{status} == 500 && $response->{body} !~ $message && $log =~ /\[error\] .*jwt: handler \w+ of "\S+hooks\.lua" .*$message/, $name)
        or diag("$response->{status} $response->{body}\n$log");
    return;
}

# ---- the request

my $plain = $t->get('/plain');
is_deeply([@$plain{qw(status body)}, $plain->{headers}{'content-type'}], [200, 'plain', 'text/plain; charset=utf-8'], 'a handler answers');
is($t->request('HEAD', '/plain')->{headers}{'content-length'}, 5, 'HEAD: the same without the body');
is($t->get('/plain', [@$_])->{body}, 'plain', "a condition is the handler's: $_->[0]")
    for ['If-Match' => '"a"'], ['If-None-Match' => '*'], ['If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:00 GMT'];
is($t->get('/by-post')->{status}, 403, 'limit_except guards a handler');
is($t->post('/by-post', [], '')->{status}, 200, 'and lets through what it names');
sub by_token { my ($method, $path, %claims) = @_; return $t->request($method, $path, [Authorization => 'Bearer ' . token(claims(%claims))], '') }
is(by_token(GET => '/within-limit')->{body}, 'plain', 'a handler beside limit_except');
is(by_token(POST => '/within-limit')->{status}, 403, 'with a condition in it');
is(by_token(POST => '/within-limit', level => 3)->{body}, 'plain', 'and what is let through reaches the handler');
is(by_token(GET => '/within-if?a=1')->{body}, 'plain', 'so does a request that an "if" without content matches');
is($t->get('/within-if?a=1')->{status}, 401, 'which is guarded too');
is($t->get('/another')->{body}, 'plain', 'a handler beside an "if" with content of its own');
is($t->get('/another?a=1')->{status}, 502, 'which counts there');

my $about = $t->request('PATCH', '/about?a=1&b=x%20y+z&a=2&empty=&flag&%63=d', ['X-Thing' => 'thing', 'X-Twice' => 1, 'X-Twice' => 2], '');
is_deeply($about->{json}, {
    method => 'PATCH', uri => '/about', args => { a => '1', b => 'x y z', empty => '', flag => '', c => 'd' }, remote_addr => '127.0.0.1',
    host => 'localhost', any_case => 'thing', none => JSON::PP::true, twice => '1, 2', var => 'PATCH', own => '1', no_var => JSON::PP::true,
}, 'the request');
is($t->get('/guarded')->{status}, 401, 'jwt_required guards a handler');
is($t->get_with('/guarded', token())->{json}{status}, 'ok', 'which then sees the token through variables');

my $bytes = join '', map { chr } 0 .. 255;
is($t->post('/body', [], $bytes)->{body}, $bytes, 'a body of any bytes');
ok($t->post('/body', [], $bytes x 1200)->{body} eq $bytes x 1200, 'one that nginx wrote to a file');
ok($t->post('/body', [], [($bytes) x 1200])->{body} eq $bytes x 1200, 'one that came chunked');
is($t->get('/body')->{body}, '', 'none');
is_deeply($t->post('/size', [], 'x' x 100_000)->{json}, { size => 100_000, same => JSON::PP::true }, 'a body can be asked for twice');
breaks($t->post('/size', [], 'x' x (3 * 1024 * 1024)), qr/the request's body is larger than jwt_lua_limit memory/, 'a body beyond jwt_lua_limit');

is_deeply(send_json('/json', { a => [1, { b => undef }], c => "\x{e4}" })->{json}, { value => { a => [1, { b => undef }], c => "\x{e4}" } }, 'JSON');
is_deeply($t->post('/json', ['Content-Type' => 'application/problem+json'], '"text"')->{json}, { value => 'text' }, 'JSON need be no object');
for my $type (undef, 'text/plain', 'application/x-www-form-urlencoded', 'text/json') {
    my @type = defined $type ? ('Content-Type' => $type) : ();
    is_deeply($t->post('/json', \@type, '"text"')->{json}, { value => 'nothing', problem => 'the Content-Type is not application/json' },
        'JSON of type ' . ($type // 'none') . ' is nil');
    is_deeply($t->post('/json?force=1', \@type, '"text"')->{json}, { value => 'text' }, 'unless it is forced');
}
for my $bad ('', '{', '{"a":1,"a":2}', '{"a":1}x', "\"\xff\"", '[' x 100 . ']' x 100) {
    my $response = $t->post('/json?force=1', [], $bad);
    ok($response->{json}{value} eq 'nothing' && length $response->{json}{problem}, 'bad JSON is nil and why: ' . substr $bad, 0, 20) or diag($response->{body});
}
is_deeply($t->post('/form', [], 'a=1&b=x%20y+z&a=2&empty=&flag&=x&&%zz=%4')->{json}, { form => { a => 1, b => 'x y z', empty => '', flag => '', '' => 'x', '%zz' => '%4' } }, 'a form');
for my $text ('{"a":[],"b":{},"c":null,"d":[[],{}],"e":1.5,"f":-0.25,"g":1e15,"h":true,"i":"\u0000\u001f\ud83d\ude00","j":9007199254740991}') {
    is_deeply($t->post('/roundtrip', [], $text)->{json}, { value => $json->decode($text) }, 'JSON to Lua and back');
}

breaks($t->get('/unknown'), qr/a request has no "colour": it has method, uri, args, headers/, 'a field that a request has not');
breaks($t->get('/write'), qr/a request is read-only/, 'a request cannot be written to');
breaks($t->get('/dot'), qr/call it with a colon: request:body\(\)/, 'a dot in place of a colon');
is($t->get('/keep?first=1')->{body}, 'kept', 'a request can be kept');
breaks($t->get('/keep'), qr/this request has ended: a request cannot be kept for a later call/, 'but not used in another');
breaks($t->get('/fails'), qr/hooks\.lua:\d+: no such thing, traceback: /, 'an error');
breaks($t->get('/nothing'), qr/returned nil: return body/, 'no answer');
breaks($t->get('/read_only'), qr/"null" cannot be set here: this table is read-only/, 'the module is read-only');
my $late = $t->get('/late?a=5');
is_deeply([$late->{status}, $late->{json}, $late->{headers}{'x-a'}, $late->{headers}{'cache-control'}], [201, { answer => '5' }, 'b', 'no-store'], 'and the next request works');

# ---- making tokens

sub made { my ($query, $path) = @_; my $response = $t->get(($path || '/create') . "?$query"); return ($response->{body}, map { part($response->{body}, $_) } 0, 1) }

my ($text, $header, $payload) = made('case=access');
is_deeply($header, { alg => 'HS256', typ => 'JWT' }, 'the header of a token');
is_deeply([sort keys %$payload], [qw(csrf exp fresh iat jti nbf sub type)], 'its claims');
is_deeply([@$payload{qw(sub type fresh)}, $payload->{exp} - $payload->{iat}, $payload->{nbf} - $payload->{iat}], ['alice', 'access', JSON::PP::false, 900, 0], 'with their defaults');
cmp_ok(abs($payload->{iat} - time), '<=', 2, 'made now');
isnt((made('case=access'))[2]{jti}, $payload->{jti}, 'each with a jti of its own');
is(Crypt::JWT::decode_jwt(token => $text, key => $JWTTest::Token::secret)->{sub}, 'alice', 'another library verifies it');
is($t->get_with('/guarded', $text)->{status}, 200, 'and so do we');
my $refresh = (made('case=access&refresh=1'))[2];
is_deeply([@$refresh{qw(type fresh)}, $refresh->{exp} - $refresh->{iat}], ['refresh', JSON::PP::false, 30 * 86400], 'a refresh token');

my $span = sub { my ($case) = @_; my $claims = (made("case=$case"))[2]; return exists $claims->{exp} ? $claims->{exp} - $claims->{iat} : 'never' };
is($span->('seconds'), 60, 'expires_delta in seconds');
is($span->('text'), 365 * 86400, 'as text');
is($span->('mixed'), 5400, 'as text of two units');
is($span->('never'), 'never', 'false: never');
is($span->('null'), 900, 'null: as configured');
is((made('case=fresh'))[2]{fresh}, JSON::PP::true, 'fresh');
my $fresh_for = (made('case=fresh_for'))[2];
cmp_ok(abs($fresh_for->{fresh} - $fresh_for->{iat} - 600), '<=', 1, 'fresh for a while');
my $claims = (made('case=claims'))[2];
is_deeply([@$claims{qw(role list none empty sub)}], ['admin', [1, 2], undef, [], 'bob'], 'additional_claims, which may name any claim');
is_deeply((made('case=headers'))[1], { alg => 'HS256', typ => 'at+jwt', kid => 'k1' }, 'additional_headers');

my ($own, $own_header, $own_claims) = made('case=access', '/made/create');
is_deeply([sort keys %$own_claims], [qw(aud exp fresh iat iss jti type who)], 'directives decide on the claims');
is_deeply([@$own_claims{qw(iss aud who)}, $own_claims->{exp} - $own_claims->{iat}], ['issuer', ['a', 'b'], 'alice', 300], 'and on what they hold');
ok(!exists((made('case=access&refresh=1', '/made/create'))[2]{exp}), 'jwt_refresh_token_expires off');
is_deeply([@{(made('case=access', '/made/off'))[2]}{qw(iss aud who)}], [undef, undef, 'alice'], 'jwt_encode_issuer off, jwt_encode_audience off')
    if is_deeply([@{$own_claims}{qw(iss aud)}], ['issuer', ['a', 'b']], 'both are inherited');
is_deeply((made('case=access&identity=table', '/made/create'))[2]{who}, { id => 1 }, 'an identity that is a table');
is((made('case=access&identity=greatest', '/made/create'))[2]{who}, 9007199254740991, 'one that is the greatest number there is no doubt about');
my ($es) = made('case=access', '/made/es');
is(Crypt::JWT::decode_jwt(token => $es, key => \$pair->{public})->{who}, 'alice', 'ES256');

for (
    ['case=bad_option', qr/create_access_token has no option "expires": it has additional_claims, additional_headers, expires_delta, fresh/],
    ['case=fresh&refresh=1', qr/create_refresh_token has no option "fresh"/],
    ['case=bad_fresh', qr/option fresh is a string: give true, false or a number of seconds/],
    ['case=bad_expires', qr/expires_delta takes seconds, a time as in "30d", or false for never/],
    ['case=bad_expires_type', qr/option expires_delta is a table: give a number of seconds/],
    ['case=true_expires', qr/option expires_delta is a? ?(?:true|boolean): give a number of seconds/],
    ['case=negative', qr/option expires_delta is a number: give a number of seconds/], ['case=infinite', qr/option expires_delta is a number: give/],
    ['case=bad_claims', qr/option additional_claims is a string: give a table/], ['case=bad_key', qr/option additional_claims has the key 1: names are strings/],
    ['case=bad_header', qr/header "alg" follows from the key and cannot be set/], ['case=bad_crit', qr/header "crit" would make a token that is refused here/],
    ['case=bad_exp', qr/claim "exp" must be/], ['case=bad_value', qr/is a function, which JSON has no form for/],
    ['identity=nil', qr/create_access_token: the identity is nil: give whom the token is for/],
    map { ["identity=$_", qr/create_access_token: the identity is a number that Lua does not hold exactly: give a string/] } qw(great -great),
) {
    my ($query, $message) = @$_;
    breaks($t->get("/create?$query"), $message, "create: $query");
}
for my $identity (qw(number table)) {
    my ($odd) = made("identity=$identity");
    is($t->get_with('/guarded', $odd)->{json}{msg}, 'Subject must be a string', "an identity that is a $identity needs jwt_verify_sub off");
}
breaks($t->get('/create_no_table'), qr/create_access_token: the options are a string: give a table/, 'create: options that are no table');
breaks($t->get('/no-key'), qr/no key signs with jwt_algorithm ES256: write jwt_secret_key or jwt_private_key/, 'create: no key to sign with');

# ---- reading tokens

my $good = token(claims(csrf => 'c', type => undef, fresh => undef), header => { kid => 'k' });
my $decoded = send_json('/decode', { token => $good })->{json};
is_deeply($decoded->{header}, { alg => 'HS256', typ => 'JWT', kid => 'k' }, 'decode_token: the header');
is_deeply([@{ $decoded->{payload} }{qw(sub type fresh)}], ['alice', 'access', JSON::PP::false], 'and the payload, with what it leaves out');
is(send_json('/decode', { token => token(claims(type => 'refresh')) })->{json}{payload}{type}, 'refresh', 'of any type');

sub tried { my ($token, $options, $name) = @_; my $result = send_json('/try', { name => $name || 'decode_token', token => $token, options => $options })->{json}; return $result->{ok} ? 'good' : $result->{problem} }
is(tried($good, { csrf_value => 'c' }), 'good', 'csrf_value');
like(tried($good, { csrf_value => 'd' }), qr/CSRF double submit tokens do not match/, 'a wrong one');
my $expired = token(claims(exp => time - 5));
like(tried($expired), qr/hooks\.lua:\d+: Token has expired|^Token has expired/, 'an expired token');
is(tried($expired, { allow_expired => JSON::PP::true }), 'good', 'allow_expired');
like(tried(token(claims(exp => time - 5), key => 'x' x 64), { allow_expired => JSON::PP::true }), qr/Signature verification failed/, 'which allows nothing else');
like(tried(token(claims(exp => time - 5, nbf => time + 50), key => $JWTTest::Token::secret), { allow_expired => JSON::PP::true }), qr/not yet valid/, 'nor a token of tomorrow');
like(tried(token(claims(), key => 'x' x 64)), qr/Signature verification failed/, 'a forged token');
like(tried('a.b'), qr/Not enough segments|padding/, 'no token');
like(tried(raw_token('{"alg":"none"}', '{"sub":"eve"}', '', 'none')), qr/alg value is not allowed|Signature|segments/, 'row 1: alg none');
like(tried(17), qr/decode_token: the token is a number: give a string/, 'a number');
like(tried($good, { leeway => 5 }), qr/decode_token has no option "leeway": it has allow_expired, csrf_value/, 'an unknown option');
is(send_json('/strict', { token => token(claims(iss => 'issuer', aud => 'a')) })->{status}, 200, 'the rules of the location: good');
breaks(send_json('/strict', { token => $good }), qr/Token is missing the "iss" claim/, 'the rules of the location: no issuer');
breaks(send_json('/strict', { token => token(claims(iss => 'issuer', aud => 'c')) }), qr/Audience doesn't match/, 'the rules of the location: another audience');

is_deeply(send_json('/parts', { token => token(claims(jti => 'J', csrf => 'C'), header => { kid => 'K' }) })->{json},
    { jti => 'J', csrf => 'C', headers => { alg => 'HS256', typ => 'JWT', kid => 'K' } }, 'get_jti, get_csrf_token, get_unverified_jwt_headers');
is_deeply(send_json('/parts', { token => token(claims(jti => undef)) })->{json}, { jti => undef, csrf => undef, headers => { alg => 'HS256', typ => 'JWT' } }, 'nil where there is none');
like(tried(token(claims(), key => 'x' x 64), undef, $_), qr/Signature verification failed/, "$_ of a forged token") for qw(get_jti get_csrf_token);
is(tried(token(claims(), key => 'x' x 64), undef, 'get_unverified_jwt_headers'), 'good', 'get_unverified_jwt_headers says it in its name');

my $current = $t->get_with('/current', $good)->{json};
is_deeply([@$current{qw(identity user location)}, $current->{header}{kid}, @{ $current->{jwt} }{qw(sub type fresh)}],
    ['alice', { name => 'alice' }, 'headers', 'k', 'alice', 'access', JSON::PP::false], 'the token of the request');
is($t->get("/current?jwt=$good")->{json}{location}, 'query_string', 'and where it was');
is_deeply($t->get('/current')->{json}, { jwt => {}, header => {}, identity => undef, user => undef, location => undef }, 'optional: none');
is($t->get_with('/current', $expired)->{status}, 401, 'optional, expired');

# ---- the rest

is_deeply($t->get('/null')->{json}, { null => undef, array => [], object => {}, equal => JSON::PP::true, is_nil => JSON::PP::false }, 'null and empty_array');
for my $level (qw(error warn notice info)) {
    new_log();
    $t->get("/log?level=$level");
    my $log = new_log();
    like($log, qr/\[$level\] [^\n]*jwt: a line\\x0aof two, $level/, "log: $level");
    like($log, qr/\[notice\] [^\n]*jwt: printed\\x091\\x09nil\\x09true/, 'print') if $level eq 'info';
}
breaks($t->get('/log?level=loud'), qr/log: the level is none of error, warn, notice, info, debug/, 'log: no such level');
my $connection = $t->connection;
$connection->request('POST', '/body', [], "first $_") for 1 .. 3;
is(join(',', map { $connection->response('POST')->{body} } 1 .. 3), 'first 1,first 2,first 3', 'pipelined requests');
$connection->close;
ok(index($t->log, $_) < 0, 'no token and no secret in the log') for $good, $text, $JWTTest::Token::secret;

done_testing;
