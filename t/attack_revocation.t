# Ways around a revocation (rows 23 and 72 of the attack catalogue), and what many requests at once do to the store.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use FindBin;
use JSON::PP ();
use Math::BigInt;
use MIME::Base64 qw(decode_base64url);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $ec     = keypair('ES256');
my $stolen = keypair('RS256');
my $kept   = keypair('RS256');
my $secret = $JWTTest::Token::secret;
my $oct    = { kty => 'oct', k => base64url('k' x 32), use => 'enc', kid => 'oct' };
my $set    = JSON::PP->new->encode({ keys => [{ %{ $stolen->{public_jwk} }, kid => 'stolen' }, { %{ $kept->{public_jwk} }, kid => 'kept' }] });

my $t = JWTTest->new(
    workers => 4,
    http    => 'jwt_revocation_store %%DIR%%/store size=16m;',
    files   => { 'html/index.html' => 'in', 'ec.pem' => $ec->{public}, 'set.jwks' => $set, 'oct.jwk' => JSON::PP::encode_json($oct), 'hooks.lua' => <<'LUA' },
local jwt = require "jwt"
return {
  -- Good for one request.
  token_verification = function(header, payload)
    return not payload.once or jwt.revoke(payload)
  end,
  revoked_token = function(header, payload) return { reason = "revoked", sub = payload.sub }, 403 end,
  handlers = {
    logout = function() return { changed = jwt.revoke() } end,
    revoke = function(request) return { changed = jwt.revoke(request:json()) } end,
    revoke_text = function(request) return { changed = jwt.revoke(request.args.token) } end,
    is_revoked = function(request) return { revoked = jwt.is_revoked(request.args.token) } end,
    twice = function() return { first = jwt.revoke(), second = jwt.revoke() } end,
    fetched = function() return jwt.fetch("/inner").body end,
    inner = function() return { changed = jwt.revoke{ jti = "inner" } } end,
    coroutine = function() coroutine.wrap(function() jwt.revoke{ jti = "x" } end)() return "" end,
  },
}
LUA
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_lua_file %%DIR%%/hooks.lua;
    location /ec/ { jwt_required; jwt_public_key %%DIR%%/ec.pem; jwt_algorithm ES256; alias %%DIR%%/html/; }
    location /ec_logout { jwt_required; jwt_public_key %%DIR%%/ec.pem; jwt_algorithm ES256; jwt_handler logout; }
    location /set/ { jwt_required; jwt_public_key %%DIR%%/set.jwks; jwt_algorithm RS256; alias %%DIR%%/html/; }
    location /api/ { jwt_required; jwt_secret_key "$secret"; alias %%DIR%%/html/; }
    location /set_asked { jwt_public_key %%DIR%%/set.jwks; jwt_algorithm RS256; jwt_handler is_revoked; }
    location /sealed/ {
        jwt_secret_key "$secret"; jwt_accept signed nested encrypted; jwt_decryption_key %%DIR%%/oct.jwk; alias %%DIR%%/html/;
        location /sealed/in { jwt_required; alias %%DIR%%/html/; try_files /index.html =404; }
        location /sealed/logout { jwt_required; jwt_handler logout; }
        location /sealed/revoke { jwt_handler revoke_text; }
        location /sealed/asked { jwt_handler is_revoked; }
    }
    location /user/ { jwt_required; jwt_secret_key "$secret"; jwt_identity_claim user; alias %%DIR%%/html/; }
    location /logout { jwt_required; jwt_secret_key "$secret"; jwt_handler logout; }
    location /twice { jwt_required; jwt_secret_key "$secret"; jwt_handler twice; }
    location /fetched { jwt_handler fetched; }
    location /inner { internal; jwt_handler inner; }
    location /coroutine { jwt_handler coroutine; }
    location /revoke { jwt_handler revoke; }
EOF_CONFIG
);

sub status { my ($path, $token) = @_; return $t->get_with($path, $token)->{status} }

sub revoke {
    my (%what) = @_;
    return $t->post('/revoke', ['Content-Type' => 'application/json'], JSON::PP::encode_json(\%what))->{json}{changed};
}

# ---- row 23

sub twin {
    my ($token) = @_;
    my $n = Math::BigInt->from_hex('FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551');
    my ($signed, $signature) = $token =~ /^(.*)\.([^.]+)$/;
    my ($r, $s) = unpack 'a32a32', decode_base64url($signature);
    my $other = ($n - Math::BigInt->from_bytes($s))->to_hex;
    return "$signed." . base64url($r . pack 'H*', substr '0' x 64 . $other, -64);
}

for my $case (['with a jti', jti => 'twins'], ['without', jti => undef]) {
    my ($name, @claims) = @$case;
    my $token = token(claims(@claims), key => \$ec->{private}, alg => 'ES256');
    is(status('/ec/', $_), 200, "row 23: a token $name and its twin verify") for $token, twin($token);
    is(status('/ec_logout', $token), 200, "row 23: it is revoked");
    is(status('/ec/', $_), 403, "row 23: the token $name and its twin are gone") for $token, twin($token);
    my $other = token(claims(@claims, jti => $claims[1] && 'other', sub => 'other'), key => \$ec->{private}, alg => 'ES256');
    is(status('/ec/', $other), 200, "row 23: control: another $name is not");
}

# ---- row 72

{
    my $payload = JSON::PP->new->canonical->encode(claims(jti => 'header'));
    my $token   = raw_token('{"alg":"HS256"}', $payload, $secret, 'HS256');
    is(status('/logout', $token), 200, 'row 72: revoked');
    is(status('/api/', raw_token('{ "typ" : "JWT", "alg" : "HS256" }', $payload, $secret, 'HS256')), 403,
        'row 72: the same token with its header written otherwise');
    is(status('/api/', raw_token('{"alg":"HS256"}', " $payload", $secret, 'HS256')), 403, 'row 72: and its payload');
    is(status('/api/', token(claims(jti => 'header', iss => 'else'), key => $secret)), 200, 'row 72: the same jti of another issuer');
    is(status('/api/', token(claims(jti => "header\0"), key => $secret)), 200, 'row 72: a jti with a NUL behind is another');
    is(status('/api/', token(claims(jti => undef), key => $secret)), 200, 'row 72: control: a token without a jti');
    my $none = token(claims(jti => undef), key => $secret);
    is(status('/logout', $none), 200, 'row 72: a token without a jti can be revoked');
    is(status('/api/', $none), 403, 'row 72: and is');
}

{
    my $named   = token(claims(jti => 'k1'), key => \$stolen->{private}, alg => 'RS256', header => { kid => 'stolen' });
    my $unnamed = token(claims(jti => 'k2'), key => \$stolen->{private}, alg => 'RS256');
    my $good    = token(claims(jti => 'k3'), key => \$kept->{private}, alg => 'RS256');
    is(status('/set/', $_), 200, 'row 72: control: before the key is revoked') for $named, $unnamed, $good;
    ok(revoke(kid => 'stolen'), 'row 72: a key is revoked');
    is(status('/set/', $named), 403, 'row 72: a token that names it');
    is(status('/set/', $unnamed), 403, 'row 72: and one that does not, from whoever has the key');
    is(status('/set/', $good), 200, 'row 72: control: the other key');
    ok($t->get("/set_asked?token=$_")->{json}{revoked}, 'row 72: which jwt.is_revoked knows too') for $named, $unnamed;
    ok(!$t->get("/set_asked?token=$good")->{json}{revoked}, 'row 72: control: of the other key');
}

{
    my $user = token(claims(user => 17, sub => undef, jti => 'u', iat => time - 10), key => $secret);
    is(status('/user/', $user), 200, 'row 72: control: a subject in another claim');
    revoke(subject => '17');
    is(status('/user/', $user), 403, 'row 72: is found there');
    my $undated = token(claims(sub => 'tim', iat => undef), key => $secret);
    is(status('/api/', $undated), 200, 'row 72: control: a token that does not say when it was issued');
    revoke(subject => 'tim', before => 1000);
    is(status('/api/', $undated), 403, 'row 72: counts as issued before any moment');
}

# Without a jti, wrapped: each is itself, however it is told.
sub sealed { my ($content, @cty) = @_; return encode_jwt(payload => $content, key => $oct, alg => 'A256KW', enc => 'A256GCM', extra_headers => {@cty}) }

for my $case (
    ['encrypted', sub { sealed($_[0]) }],
    ['nested', sub { sealed(token($_[0], key => $secret), cty => 'JWT') }],
    ['signed', sub { token($_[0], key => $secret) }],
) {
    my ($name, $made) = @$case;
    my ($out, $told, $other) = map { $made->(claims(jti => undef, form => $name, nonce => $_)) } 1 .. 3;
    is(status('/sealed/in', $_), 200, "row 72: control: $name tokens without a jti") for $out, $told, $other;
    is(status('/sealed/logout', $out), 200, "row 72: one $name logs out");
    ok($t->get("/sealed/revoke?token=$told")->{json}{changed}, "row 72: one $name is revoked by its text");
    is(status('/sealed/in', $_), 403, "row 72: these $name ones are gone") for $out, $told;
    ok($t->get("/sealed/asked?token=$_")->{json}{revoked}, "row 72: and known to be") for $out, $told;
    is(status('/sealed/in', $other), 200, "row 72: control: and no other $name one");
    ok(!$t->get("/sealed/asked?token=$other")->{json}{revoked}, 'row 72: nor said to be');
}
{
    my $inner = token(claims(jti => undef, nonce => 4), key => $secret);
    my ($one, $two) = map { sealed($inner, cty => 'JWT') } 1, 2;
    ok($t->get("/sealed/revoke?token=$one")->{json}{changed}, 'row 72: a nested token is revoked');
    is(status('/sealed/in', $_), 403, 'row 72: in another wrapper and in none, too') for $two, $inner;
    my ($bare, $named) = map { sealed(claims(jti => 'sealed'), @$_) } [], [kid => 'oct'];
    $one = sealed(token(claims(jti => 'nested'), key => $secret), cty => 'JWT');
    is(status('/sealed/in', $_), 200, 'row 72: control: before the secret is revoked') for $bare, $named, $one;
    ok(revoke(kid => 'oct'), 'row 72: a secret that encrypts is revoked');
    is(status('/sealed/in', $_), 403, 'row 72: claims that it alone vouches for are gone') for $bare, $named;
    is(status('/sealed/in', $one), 200, 'row 72: control: those with a signature are not');
}

# ---- many at once

{
    my $token = token(claims(jti => 'race'), key => $secret);
    my @clients = map { $t->connection } 1 .. 24;
    $_->request('POST', '/revoke', ['Content-Type' => 'application/json', Connection => 'close'], '{"jti":"race"}') for @clients;
    my $won = grep { $_->response('POST')->{json}{changed} } @clients;
    is($won, 1, 'of 24 requests that revoke one token at once, one was the first');

    my $once = token(claims(jti => 'once', once => 1), key => $secret);
    @clients = map { $t->connection } 1 .. 24;
    # Of the file itself: after the internal redirect to an index it would be judged anew.
    $_->request('GET', '/api/index.html', [Authorization => "Bearer $once", Connection => 'close']) for @clients;
    my @let_in = grep { $_->response('GET')->{status} == 200 } @clients;
    is(scalar @let_in, 1, 'a token that its hook revokes is good for one of 24 requests');
    is(status('/api/', $once), 403, 'and for none later');
}

# ---- calls that wait

{
    my $gone = token(claims(jti => 'gone'), key => $secret);
    for (1 .. 20) {
        my $c = $t->connection;
        $c->request('GET', '/logout', [Authorization => "Bearer $gone"]);
        $c->close;
    }
    ok($t->wait_for(5, sub { status('/api/', $gone) == 403 }), 'a client that leaves: the write is made all the same');
    my $both = $t->get_with('/twice', token(claims(jti => 'twice'), key => $secret))->{json};
    is_deeply($both, { first => JSON::PP::true, second => JSON::PP::false }, 'a handler may wait twice');
    is($t->get('/fetched')->{body}, '{"changed":true}', 'and a handler that another fetches');
    is($t->get('/coroutine')->{status}, 500, 'not in a coroutine of its own');
    like($t->log, qr/revoke cannot wait in a coroutine/, 'and the log says so');
    my $c = $t->connection;
    $c->request('GET', '/logout', [Authorization => 'Bearer ' . token(claims(jti => 'late'), key => $secret)]);
    ok($t->reload, 'a reload while a request waits');
    is($c->response('GET')->{status}, 200, 'drops it not');
}

done_testing;
