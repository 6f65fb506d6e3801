# RSA decryption in nginx's thread pool: requests wait for it, the worker does not; those whose client leaves harm nobody.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $json = JSON::PP->new->canonical->utf8;
my $secret = $JWTTest::Token::secret;
my $rsa = keypair('RS256');
my $oct = { kty => 'oct', k => base64url('k' x 32), use => 'enc' };
my %files = ('rsa.key' => $rsa->{private}, 'oct.jwk' => $json->encode($oct), 'inside' => 'inside',
    'hooks.lua' => 'return { token_in_blocklist = function(header, payload) return payload.sub == "mallory" end }',
    'handlers.lua' => <<'EOF_LUA');
local jwt = require "jwt"
return {
  handlers = {
    decode = function(request)
      local ok, decoded = pcall(jwt.decode_token, request.args.token)
      return ok and decoded.sub or tostring(decoded)
    end,
    coroutine = function(request) return coroutine.wrap(jwt.get_jti)(request.args.token) end,
    cookies = function(request)
      local token = jwt.create_access_token("alice")
      jwt.set_access_cookies(token)
      return token
    end,
  },
}
EOF_LUA

sub server {
    my (%more) = @_;
    return JWTTest->new(files => \%files, workers => 1, log_level => 'debug', config => <<"EOF_CONFIG", %more);
    root %%DIR%%;
    jwt_secret_key "$secret";
    jwt_decryption_key %%DIR%%/rsa.key;
    jwt_decryption_key %%DIR%%/oct.jwk;
    jwt_accept nested;
    location / { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; add_header X-Identity \$jwt_identity; try_files /inside =404; }
    location = /decode { jwt_lua_file %%DIR%%/handlers.lua; jwt_handler decode; }
    location = /coroutine { jwt_lua_file %%DIR%%/handlers.lua; jwt_handler coroutine; }
    location = /cookies { jwt_encrypt RSA-OAEP A256GCM %%DIR%%/rsa.key; jwt_lua_file %%DIR%%/handlers.lua; jwt_handler cookies; }
    location /any { satisfy any; deny all; jwt_required; try_files /inside =404; }
    location /echo { jwt_required; proxy_pass %%BACKEND%%; }
EOF_CONFIG
}
sub nested { my ($claims, $key, $alg) = @_; return encode_jwt(payload => token($claims), key => $key // $rsa->{public_jwk}, alg => $alg // 'RSA-OAEP', enc => 'A256GCM', extra_headers => { cty => 'JWT' }) }
sub tasks { my ($t) = @_; return scalar(() = $t->log =~ /task #\d+ added to thread pool "default"/g) }

my $good = nested(claims());
my $broken = $good =~ s/\A([^.]*\.)(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er;

my $t = server(http => 'aio threads;');
my $has_debug = `nginx -V 2>&1` =~ /--with-debug/;
for my $path ('/', '/any', '/echo') {
    my $answer = $t->get_with($path, $good);
    is($answer->{status}, 200, "$path: a token under RSA is let through");
    is($t->get_with($path, $broken)->{json}{msg}, 'Decryption failed', "$path: one whose key is wrong is refused");
    is($t->get_with($path, nested(claims(exp => time - 1)))->{status}, 401, "$path: one that is expired too");
}
is($t->get_with('/', $good)->{headers}{'x-identity'}, 'alice', 'its claims are there');
is($t->get_with('/', nested(claims(sub => 'mallory')))->{json}{msg}, 'Token has been revoked', 'hooks are asked once it is decrypted');
my $posted = $t->post('/echo', [Authorization => "Bearer $good"], 'a body' x 1000);
is($posted->{json}{body}, 'a body' x 1000, 'a body that came meanwhile reaches the application whole');

SKIP: {
    skip 'this nginx tells nothing of its threads', 11 unless $has_debug;
    # Not of a file, which `aio threads` reads by a task of its own.
    my $before = tasks($t);
    is($t->get_with('/echo', nested(claims()))->{status}, 200, 'a token under RSA that was not seen before');
    is(tasks($t), $before + 1, 'is decrypted by a thread');
    is($t->get_with('/echo', nested(claims(), $oct, 'A256KW'))->{status}, 200, 'a token under a secret');
    is(tasks($t), $before + 1, 'is decrypted on the spot');
    is($t->get('/decode?token=' . nested(claims()))->{body}, 'alice', 'jwt.decode_token');
    is(tasks($t), $before + 2, 'is decrypted by a thread');
    like($t->get("/decode?token=$broken")->{body}, qr/Decryption failed/, 'jwt.decode_token of what cannot be');
    is(tasks($t), $before + 3, 'too');
    is($t->get('/coroutine?token=' . nested(claims(jti => 'j')))->{body}, 'j', "jwt.get_jti in an author's coroutine");
    my $set = $t->get('/cookies');
    is($set->cookies->{access_token_cookie}{value}, $set->{body}, 'jwt.set_access_cookies of a nested token');
    is(tasks($t), $before + 4, 'waits for a thread, where jwt.get_jti could not');
}

# Many at once, on few connections.
my $c = $t->connection;
$c->request('GET', '/', [Authorization => "Bearer $good"]) for 1 .. 20;
is(join(' ', map { $c->response('GET')->{status} } 1 .. 20), join(' ', (200) x 20), 'twenty on one connection');

# Clients that leave while a thread works for them.
my $count = $ENV{JWT_ABORTS} || 100;
for (1 .. $count) {
    my $leaving = $t->connection;
    $leaving->send("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $good\r\n\r\n");
    $leaving->close;
}
is($t->get_with('/', $good)->{status}, 200, "$count clients left, and the worker serves");

# Requests that wait when a reload comes get their answers.
my @waiting = map { my $one = $t->connection; $one->request('GET', '/', [Authorization => "Bearer $good"]); $one } 1 .. 10;
ok($t->reload, 'a reload while threads decrypt');
is(join(' ', map { $_->response('GET')->{status} } @waiting), join(' ', (200) x 10), 'drops no request');

# Without a pool.
my $plain = server();
is($plain->get_with('/', $good)->{status}, 200, 'without a thread pool the worker decrypts itself');
is($plain->get_with('/', $broken)->{status}, 422, 'and refuses itself');
is(tasks($plain), 0, 'as the log says') if $has_debug;

done_testing;
