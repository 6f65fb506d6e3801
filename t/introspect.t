use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use JWTTest;

my $secret = $JWTTest::Token::secret;
my $hooks  = <<'EOF_LUA';
local jwt = require "jwt"
return {
  token_verification = function(header, payload)
    if payload.fail then error("on purpose") end
    return payload.role ~= "banned"
  end,
  user_lookup = function(header, payload)
    if payload.sub == "slow" then jwt.fetch("/fetched") end
    if payload.sub ~= "nobody" then return { name = payload.sub } end
  end,
  decode_key = function(header, payload) return jwt_secret end,
}
EOF_LUA
$hooks =~ s/jwt_secret/"$secret"/;

my $t = JWTTest->new(
    workers => 2,
    http2   => 1,
    http    => 'jwt_revocation_store %%DIR%%/revoked size=4m;',
    files   => { 'hooks.lua' => $hooks },
    config  => <<"EOF_CONFIG",
    jwt_secret_key "$secret";
    location /introspect { jwt_introspect; }
    location /guarded    { allow 127.0.0.2; deny all; jwt_introspect; }
    location /strict     { jwt_introspect; jwt_decode_audience api; jwt_decode_issuer us; }
    location /hooked     { jwt_introspect; jwt_lua_file %%DIR%%/hooks.lua; }
    location /service    { jwt_required; jwt_introspect; }
    location /revoke     { jwt_revoke; }
    location /fetched    { internal; return 200 "x"; }
EOF_CONFIG
);

my @form = ('Content-Type' => 'application/x-www-form-urlencoded');
sub ask { my ($path, $token, @headers) = @_; return $t->post($path, [@form, @headers], "token=$token&token_type_hint=access_token") }
sub active { return ask(@_)->{json}{active} }

# ---- RFC 7662

my $claims = claims(scope => 'read write', client_id => 'app', deep => { a => [1] }, csrf => 'proof', active => JSON::PP::false);
my $token  = token($claims);
my $res    = ask('/introspect', $token);
is $res->{status}, 200, 'a good token';
is $res->{headers}{'content-type'}, 'application/json', 'is described in JSON';
is $res->{headers}{'cache-control'}, 'no-store', 'that nobody stores';
is_deeply $res->{json}, {
    (map { $_ => $claims->{$_} } grep { !/^(?:csrf|active)$/ } keys %$claims),
    active => JSON::PP::true, token_type => 'Bearer',
}, 'with its claims, but for the proof of CSRF; it cannot say itself that it is not active';

my %inactive = (
    'an expired token'   => token(claims(exp => time - 5)),
    'one of the future'  => token(claims(nbf => time + 500)),
    'a forged one'       => token(claims(), key => 'y' x 64),
    'an unsigned one'    => raw_token('{"alg":"none"}', '{"sub":"alice"}', '', 'none'),
    'none at all'        => 'x.y.z',
    'text'               => 'hello',
);
for my $what (sort keys %inactive) {
    $res = ask('/introspect', $inactive{$what});
    is $res->{status}, 200, "$what: no error";
    is $res->{body}, qq({"active":false}\n), "$what: nothing is said of it";
}
ok active('/introspect', token(claims(type => 'refresh'))), 'a refresh token is a token';
is ask('/introspect', token(claims(type => 'refresh')))->{json}{type}, 'refresh', 'which says what it is';

ok !active('/strict', $token), 'one for somebody else is not active';
ok active('/strict', token(claims(aud => 'api', iss => 'us'))), 'one for us is';

# ---- all of the verification: revocation, hooks

ok active('/introspect', $token), 'before it is revoked';
is ask('/revoke', $token)->{status}, 200, 'revoked';
is ask('/introspect', $token)->{body}, qq({"active":false}\n), 'it is not active' for 1 .. 3;

ok active('/hooked', token(claims())), 'a token that hooks let through';
ok active('/hooked', token(claims(sub => 'slow'))), 'also where they wait';
ok !active('/hooked', token(claims(role => 'banned'))), 'not one that a hook refuses';
ok !active('/hooked', token(claims(sub => 'nobody'))), 'nor one of a user that is none';
is ask('/hooked', token(claims(fail => 1)))->{status}, 500, 'a hook that fails says nothing of the token';

# ---- how it is asked

is $t->get("/introspect?token=$token")->{status}, 405, 'not by GET, which logs would keep';
is $t->get('/introspect')->{headers}{allow}, 'POST', 'but by POST';
my $other = token(claims());
is $t->post('/introspect', [@form], 'token=' . $other =~ s/\./%2e/gr)->{json}{active}, JSON::PP::true, 'escaped as forms are';
is $t->h2('POST', '/introspect', [@form], "token=$other")->{json}{active}, JSON::PP::true, 'over HTTP/2';
my %wrong = (
    'no token'      => [[@form], 'x=1'],
    'an empty one'  => [[@form], 'token='],
    'two of them'   => [[@form], "token=$other&token=$other"],
    'JSON'          => [['Content-Type' => 'application/json'], encode_json({ token => $other })],
    'no type'       => [[], "token=$other"],
    'no body'       => [[@form], ''],
);
for my $what (sort keys %wrong) {
    $res = $t->post('/introspect', @{ $wrong{$what} });
    is $res->{status}, 400, "$what: a bad request";
    is $res->{json}{error}, 'invalid_request', "$what: of RFC 6749";
}
is $t->post('/introspect', [@form], 'token=' . 'a' x 70_000)->{status}, 413, 'a long one is not read';
is $t->post('/introspect', [@form], ['token=', ('a' x 10_000) x 7])->{status}, 413, 'nor in pieces';
ok !active('/introspect', 'a' x 60_000), 'a token that is too long is none';

# ---- who may ask

is ask('/guarded', $other)->{status}, 403, 'allow and deny decide';
is ask('/service', $other)->{status}, 401, 'jwt_required too';
ok active('/service', $other, Authorization => 'Bearer ' . token(claims(sub => 'service'))), 'by a token of the service';

my ($code, $said) = JWTTest->nginx_t(config => 'location /i { jwt_introspect; }');
like $said, qr/jwt_introspect has no key to verify tokens with: write jwt_secret_key or jwt_public_key/, 'without a key';
($code, $said) = JWTTest->nginx_t(config => "location /i { jwt_introspect; jwt_secret_key \"$secret\"; }");
is $code, 0, 'no store is needed' or diag $said;
unlike $t->log . $t->read_file('access.log'), qr/\Q$other\E/, 'no token is in a log';

$t->allow_log(qr/on purpose/);
done_testing;
