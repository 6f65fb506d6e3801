# RSA signatures in nginx's thread pool: who issues tokens waits for them, the worker does not; those whose client leaves
# harm nobody.

use strict;
use warnings;

use Crypt::JWT qw(decode_jwt);
use FindBin;
use JSON::PP ();
use POSIX ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $json = JSON::PP->new->canonical->utf8;
my $rsa = keypair('RS256');
my $ec = keypair('ES256');
my $other = keypair('RS256');
my $wrapping = { kty => 'oct', k => base64url('k' x 32), use => 'enc' };

my %files = ('rsa.key' => $rsa->{private}, 'ec.key' => $ec->{private}, 'other.key' => $other->{private}, 'oct.jwk' => $json->encode($wrapping),
    inside => 'inside', 'hooks.lua' => <<'EOF_LUA', 'keys.lua' => <<'EOF_KEYS');
local jwt = require "jwt"
local function issue() return jwt.create_access_token("alice", { additional_claims = { level = 2 } }) end
return {
  additional_headers = function() return { from = "hook" } end,
  handlers = {
    issue = issue,
    both = function() return { access = jwt.create_access_token("alice"), refresh = jwt.create_refresh_token("alice") } end,
    caught = function()
      local ok, token = pcall(issue)
      return { ok = ok, token = token }
    end,
    coroutine = function() return coroutine.wrap(issue)() end,
    sort = function()
      local token
      table.sort({ 1, 2 }, function(a, b) token = token or issue() return a < b end)
      return token
    end,
    long = function()
      local token = jwt.create_access_token(("x"):rep(16000))
      return token
    end,
    barely = function()
      -- Short enough until it is signed.
      local ok, why
      for size = 11600, 12300, 50 do
        ok, why = pcall(jwt.create_access_token, ("x"):rep(size))
        if not ok then break end
      end
      return tostring(why)
    end,
    cookies = function()
      jwt.set_access_cookies(jwt.create_access_token("alice"))
      return { status = "set" }
    end,
    fetched = function() return jwt.fetch("/handler/issue").body end,
    several = function()
      local last
      for i = 1, 12 do last = jwt.create_access_token("alice") end
      return last
    end,
  },
}
EOF_LUA
return {
  encode_key = function(identity) return [[%%RSA%%]] end,
  handlers = { issue = function() return require("jwt").create_access_token("alice") end },
}
EOF_KEYS
$files{'keys.lua'} =~ s/%%RSA%%/$rsa->{private}/;

sub server {
    my ($more) = @_;
    return JWTTest->new(files => \%files, workers => 1, log_level => 'debug', config => $more . <<'EOF_CONFIG');
    root %%DIR%%;
    access_log %%DIR%%/access.log;
    jwt_private_key %%DIR%%/rsa.key;
    jwt_algorithm RS256;
    jwt_lua_file %%DIR%%/hooks.lua;
    location = /plain { try_files /inside =404; }
    location = /api { jwt_required; try_files /inside =404; }
    location /handler/ {
        location = /handler/issue { jwt_handler issue; }
        location = /handler/both { jwt_handler both; }
        location = /handler/caught { jwt_handler caught; }
        location = /handler/coroutine { jwt_handler coroutine; }
        location = /handler/sort { jwt_handler sort; }
        location = /handler/long { jwt_handler long; }
        location = /handler/barely { jwt_handler barely; }
        location = /handler/fetched { jwt_handler fetched; }
        location = /handler/cookies { jwt_handler cookies; }
    }
    location = /ps { jwt_algorithm PS256; jwt_handler issue; }
    location = /ec { jwt_private_key %%DIR%%/ec.key; jwt_algorithm ES256; jwt_handler issue; }
    location = /hook { jwt_private_key %%DIR%%/other.key; jwt_lua_file %%DIR%%/keys.lua; jwt_handler issue; }
    location = /nested { jwt_encrypt A256KW A256GCM %%DIR%%/oct.jwk; jwt_handler issue; }
    location = /several { jwt_handler several; }
    location = /refresh { jwt_required refresh; jwt_refresh; }
    location /sliding/ {
        jwt_token_location cookies;
        jwt_cookie_refresh 10m;
        jwt_required;
        location = /sliding/file { try_files /inside =404; }
        location = /sliding/none { try_files /missing =404; }
        location = /sliding/moved { try_files /missing /plain; }
        location = /sliding/cookies { jwt_handler cookies; }
        location = /sliding/proxied { proxy_pass %%BACKEND%%; }
    }
EOF_CONFIG
}

my $has_debug = `nginx -V 2>&1` =~ /--with-debug/;
sub tasks { my ($t) = @_; return scalar(() = $t->log =~ /task #\d+ added to thread pool "default"/g) }

# Runs something, and says how many threads were asked.
sub asked {
    my ($t, $wanted, $name, $run) = @_;
    my $before = tasks($t);
    my $result = $run->();
    is(tasks($t) - $before, $wanted, "$name: by " . ($wanted ? "a thread" : 'the worker itself')) if $has_debug;
    return $result;
}

sub payload { my ($token, %with) = @_; return decode_jwt(token => $token, key => \$rsa->{public}, %with) }

my $t = server('location = /aio { aio threads; }');
my $post = sub { my ($path, $token) = @_; $t->post($path, [$token ? (Authorization => "Bearer $token") : ()], '') };

# ---- Lua

my $token = asked($t, 1, 'a handler', sub { $t->get('/handler/issue')->{body} });
is(payload($token)->{level}, 2, 'its token is good to others');
is((payload($token, decode_header => 1))[0]{from}, 'hook', 'and has what hooks add');
is($t->get_with('/api', $token)->{status}, 200, 'and is taken here');
my $both = asked($t, 2, 'a handler that makes two', sub { $t->get('/handler/both')->{json} });
is(payload($both->{$_})->{type}, $_, "of which one is the $_ token") for qw(access refresh);
my $caught = asked($t, 1, 'a pcall', sub { $t->get('/handler/caught')->{json} });
ok($caught->{ok}, 'goes on where it waited');
is(payload($caught->{token})->{sub}, 'alice', 'with a token');
is(payload(asked($t, 0, "an author's coroutine", sub { $t->get('/handler/coroutine')->{body} }))->{sub}, 'alice', 'has its token');
is(payload(asked($t, 0, 'a comparison within table.sort', sub { $t->get('/handler/sort')->{body} }))->{sub}, 'alice', 'has its token');
is((payload(asked($t, 1, 'PS256', sub { $t->get('/ps')->{body} }), decode_header => 1))[0]{alg}, 'PS256', 'is signed so');
is(decode_jwt(token => asked($t, 0, 'ES256', sub { $t->get('/ec')->{body} }), key => \$ec->{public})->{sub}, 'alice', 'is signed at once');
my $nested = asked($t, 1, 'a nested token', sub { $t->get('/nested')->{body} });
is(payload(decode_jwt(token => $nested, key => $wrapping, decode_payload => 0))->{sub}, 'alice', 'is encrypted once it is signed');
my $cookie = asked($t, 1, 'cookies', sub { $t->get('/handler/cookies')->cookies->{access_token_cookie}{value} });
is(payload($cookie)->{sub}, 'alice', 'are set after the wait');

is(payload(asked($t, 1, 'a subrequest', sub { $t->get('/handler/fetched')->{body} }))->{sub}, 'alice', 'waits too');

is($t->get('/handler/long')->{status}, 500, 'a token that would be too long is none');
like($t->log, qr/handler long of .* failed: .*hooks\.lua:\d+: the token would be longer than 16384 bytes/, 'and the log says where');
like($t->get('/handler/barely')->{body}, qr/the token would be longer than 16384 bytes/, 'also one that is too long once it is signed');

# ---- jwt_refresh

my $refreshed = asked($t, 1, 'jwt_refresh', sub { $post->('/refresh', $both->{refresh}) });
is($refreshed->{status}, 200, 'answers');
is(payload($refreshed->{json}{access_token})->{type}, 'access', 'with an access token');
like($refreshed->{json}{expires_in}, qr/\A(?:900|899)\z/, 'and its lifetime');

# ---- jwt_cookie_refresh

sub slid {
    my ($server, $path, $left, %more) = @_;
    my $session = token(claims(exp => time + $left, csrf => 'c', level => 3), key => $rsa->{private}, alg => 'RS256');
    return $server->get("/sliding/$path", [Cookie => "access_token_cookie=$session"]);
}
my $answer = asked($t, 1, 'a session that slides', sub { slid($t, 'file', 60) });
is($answer->{body}, 'inside', 'has its answer');
my $renewed = payload($answer->cookies->{access_token_cookie}{value});
is($renewed->{level}, 3, 'and a new token of the same claims');
is($answer->cookies->{csrf_access_token}{value}, $renewed->{csrf}, 'with its CSRF value');
cmp_ok($renewed->{exp}, '>', time + 800, 'which lives on');
is(slid($t, 'moved', 60)->cookies->{access_token_cookie} && 'new', 'new', 'also where the answer is that of another location');
my $proxied = asked($t, 1, 'a proxied one', sub { slid($t, 'proxied', 60) });
ok($proxied->cookies->{access_token_cookie}, 'has a new token too');
is_deeply(asked($t, 0, 'one with time enough', sub { slid($t, 'file', 700) })->cookies, {}, 'has none');
is_deeply(slid($t, 'none', 60)->cookies, {}, 'nor has an answer without success');
my @own = slid($t, 'cookies', 60)->all('Set-Cookie');
is(scalar(grep { /\Aaccess_token_cookie=/ } @own), 1, 'an answer that sets the cookie itself has one');
is_deeply(asked($t, 0, 'a refused one', sub { slid($t, 'file', -1) })->cookies, {}, 'has none');

# ---- the worker is not kept waiting

my $count = 12;
my @signing = map { $t->connection } 1 .. $count;
my $plain = $t->connection;
$_->request('GET', '/several') for @signing;
$plain->request('GET', '/plain');
is($plain->response('GET')->{body}, 'inside', 'a request that comes while signatures are made is answered');
is(join(' ', map { my $r = $_->response('GET'); decode_jwt(token => $r->{body}, key => \$rsa->{public})->{sub} } @signing), join(' ', ('alice') x $count),
    'and so are those that waited for them');
my @order = $t->read_file('access.log') =~ m{"GET /(plain|several) }g;
is(scalar(@order), $count + 1, 'all of them are logged');
isnt($order[-1], 'plain', 'it did not wait until the last was signed');

# ---- clients that leave

sub memory { my ($pages) = (split ' ', JWTTest::_read("/proc/$_[0]/statm"))[1]; return $pages * POSIX::sysconf(POSIX::_SC_PAGESIZE()) / 1024 }
my ($worker) = $t->workers;
my $early;
my $leave = $ENV{JWT_ABORTS} || 100;
my $session = token(claims(exp => time + 60, csrf => 'c'), key => $rsa->{private}, alg => 'RS256');
for my $n (1 .. $leave) {
    my $leaving = $t->connection;
    my $path = (qw(/handler/both /sliding/file /refresh))[$n % 3];
    my $method = $path eq '/refresh' ? 'POST' : 'GET';
    $leaving->send("$method $path HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer $both->{refresh}\r\n"
        . "Cookie: access_token_cookie=$session\r\n\r\n");
    $leaving->close;
    $early = memory($worker) if $n == int($leave / 2);
}
is(payload($t->get('/handler/issue')->{body})->{sub}, 'alice', "$leave clients left, and the worker serves");
cmp_ok(memory($worker) - $early, '<', 2048, 'and holds no more memory than halfway (KiB)') unless $ENV{JWT_PRELOAD};
is_deeply([$t->workers], [$worker], 'the same one');

my @waiting = map { my $one = $t->connection; $one->request('GET', '/handler/both'); $one } 1 .. 10;
ok($t->reload, 'a reload while threads sign');
is(join(' ', map { $_->response('GET')->{status} } @waiting), join(' ', (200) x 10), 'drops no request');

# ---- without a pool

my $without = server('');
is(payload(asked($without, 0, 'without a thread pool', sub { $without->get('/handler/issue')->{body} }))->{sub}, 'alice', 'tokens are issued');
ok(slid($without, 'file', 60)->cookies->{access_token_cookie}, 'sessions slide');
is($without->post('/refresh', [Authorization => "Bearer $both->{refresh}"], '')->{status}, 200, 'and refresh tokens are taken');

done_testing;
