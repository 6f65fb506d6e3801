use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use JWTTest;
use MIME::Base64 qw(decode_base64url);

my $secret = $JWTTest::Token::secret;
my $hooks  = <<'EOF_LUA';
local jwt = require "jwt"
return {
  additional_claims = function(identity)
    if identity == "broken" then error("on purpose") end
    if identity == "slow" then jwt.fetch("/fetched") end
    return { role = "now", sid = "stolen", who = identity }
  end,
  additional_headers = function(identity) return { typ = "at+jwt" } end,
}
EOF_LUA
my $key_hook = <<"EOF_LUA";
return { encode_key = function() return "$secret" end }
EOF_LUA

my $config = <<"EOF_CONFIG";
    jwt_secret_key "$secret";
    jwt_token_location headers cookies json;
    location /api/    { jwt_required any_type; try_files /ok =404; }
    location /refresh { jwt_required refresh; jwt_refresh; }
    location /rotate  { jwt_required refresh; jwt_refresh rotate; }
    location /named   { jwt_required refresh; jwt_refresh rotate; jwt_encode_issuer us; jwt_encode_audience api; jwt_access_token_expires off; }
    location /hooked  { jwt_required refresh; jwt_refresh rotate; jwt_lua_file %%DIR%%/hooks.lua; }
    location /keyed   { jwt_required refresh; jwt_refresh; jwt_lua_file %%DIR%%/key.lua; jwt_secret_key "another secret, which is long enough too"; }
    location /answer  { jwt_required refresh; jwt_refresh rotate; jwt_lua_file %%DIR%%/answer.lua; }
    location /logout  { jwt_required any_type; jwt_logout; }
    location /fetched { internal; return 200 "x"; }
    location /revocations { jwt_revocations; }
EOF_CONFIG

my $t = JWTTest->new(
    config  => $config =~ s/(location \/keyed.*?)jwt_secret_key "another[^;]*;/$1/r,
    workers => 2,
    http    => 'root %%DIR%%/html; jwt_revocation_store %%DIR%%/revoked size=4m;',
    files   => {
        'hooks.lua'  => $hooks,
        'key.lua'    => $key_hook,
        'answer.lua' => 'return { revoked_token = function(header, payload) return { again = payload.sub }, 403 end }',
        'html/ok'    => 'ok',
    },
);

my $serial = 0;
sub refresh_token { return token(claims(type => 'refresh', jti => 'r' . ++$serial, exp => time + 3600, @_)) }
sub bearer { return [Authorization => "Bearer $_[0]"] }
sub post { return $t->post($_[0], bearer($_[1]), '') }
sub status_of { return $t->get_with('/api/', $_[0])->{status} }
sub payload { return decode_json(decode_base64url((split /\./, $_[0])[1])) }
sub header { return decode_json(decode_base64url((split /\./, $_[0])[0])) }

# ---- a new access token

my $custom = { deep => [1, { x => undef }] };
my $big    = 9007199254740993;  # beyond what Lua's numbers hold
my $token  = refresh_token(sub => 'bob', custom => $custom, big => $big, csrf => 'old', fresh => JSON::PP::true);
my $res    = post('/refresh', $token);
is $res->{status}, 200, 'refresh';
is $res->{headers}{'cache-control'}, 'no-store', 'not to be stored (RFC 6749)';
is_deeply [sort keys %{ $res->{json} }], [qw(access_token expires_in token_type)], 'members of RFC 6749';
is $res->{json}{token_type}, 'Bearer', 'its type';
cmp_ok abs($res->{json}{expires_in} - 900), '<=', 2, 'its time';
my $claims = payload($res->{json}{access_token});
is $claims->{type}, 'access', 'an access token';
is $claims->{sub}, 'bob', 'for the same identity';
is_deeply $claims->{custom}, $custom, 'with its claims';
is $claims->{big}, $big, 'to the last digit';
is $claims->{fresh}, JSON::PP::false, 'not fresh: nobody logged in';
isnt $claims->{jti}, payload($token)->{jti}, 'a token of its own';
isnt $claims->{csrf}, 'old', 'with its own csrf';
is $claims->{sid}, payload($token)->{jti}, 'of the family of its refresh token';
is $claims->{exp} - $claims->{iat}, 900, 'and its own end';
is status_of($res->{json}{access_token}), 200, 'which is good';
is post('/refresh', $token)->{status}, 200, 'the refresh token is good for more';

is post('/refresh', token(claims()))->{status}, 422, 'an access token makes none';
is $t->post('/refresh', [], '')->{status}, 401, 'nor does nobody';
is post('/refresh', refresh_token(exp => time - 9))->{status}, 401, 'nor an expired one';
is $t->get('/refresh', bearer($token))->{status}, 405, 'GET does not';
is $t->post('/refresh', ['Content-Type' => 'application/json'], encode_json({ refresh_token => $token }))->{status}, 200, 'from a JSON body';

# ATTACKS 71: what a client asks for beside its token is nobody's wish.
$res = $t->post('/refresh?exp=9e15&sub=root&type=refresh', ['Content-Type' => 'application/json'], encode_json({
    refresh_token => $token, alg => 'none', kid => 'x', exp => 9e15, iss => 'evil', aud => [map { "a$_" } 1 .. 1000],
    sub => 'root', fresh => JSON::PP::true, additional_claims => { sub => 'root' }, expires_delta => JSON::PP::false,
}));
$claims = payload($res->{json}{access_token});
is_deeply [@$claims{qw(sub iss aud fresh type)}], ['bob', undef, undef, JSON::PP::false, 'access'], 'a body chooses no claim';
is $claims->{exp} - $claims->{iat}, 900, 'nor a lifetime';
is header($res->{json}{access_token})->{alg}, 'HS256', 'nor an algorithm';
is $t->post('/refresh', ['Content-Type' => 'application/json'], encode_json({ refresh_token => $token, pad => 'x' x 2_000_000 }))->{status}, 413, 'nor is it read without end';

# ---- a body that is long in coming: the token was judged before it

sub begun {
    my ($path, $refresh_token) = @_;
    my $c = $t->connection;
    $c->request('POST', $path, [@{ bearer($refresh_token) }, Expect => '100-continue', 'Content-Length' => 1]);
    1 while $c->{buffer} !~ /100 Continue/ && $c->_fill;
    return $c;
}
sub ended { my ($c) = @_; $c->send('x'); return $c->response }

for my $path ('/refresh', '/rotate') {
    my @slow = map { begun($path, refresh_token(sub => $_, iat => time - 5)) } "erin of $path", 'frank';
    is $t->post('/revocations', ['Content-Type' => 'application/json'], encode_json({ subject => "erin of $path" }))->{status}, 201, 'log out everywhere';
    $res = ended($slow[0]);
    is_deeply [$res->{status}, $res->{json}], [401, { msg => 'Token has been revoked' }], "$path: revoked meanwhile";
    is ended($slow[1])->{status}, 200, 'another one is not';
}
$token = refresh_token(exp => time + 2);
my $slow = begun('/refresh', $token);
ok $t->wait_for(10, sub { status_of($token) == 401 }), 'a token expires';
$res = ended($slow);
is_deeply [$res->{status}, $res->{json}], [401, { msg => 'Token has expired' }], 'meanwhile: it makes no further one';

# ---- in cookies, where it came in one

$res = $t->post('/rotate', [Cookie => 'refresh_token_cookie=' . refresh_token(csrf => 'c1')], '');
is $res->{status}, 401, 'in a cookie: not without its CSRF value';
$token = refresh_token(csrf => 'c2');
$res = $t->post('/rotate', [Cookie => "refresh_token_cookie=$token", 'X-CSRF-TOKEN' => 'c2'], '');
is $res->{status}, 200, 'in a cookie';
is_deeply [sort keys %{ $res->{json} }], [qw(expires_in refresh)], 'no token where scripts read';
my $set = $res->cookies;
is_deeply [sort keys %$set], [qw(access_token_cookie csrf_access_token csrf_refresh_token refresh_token_cookie)], 'all cookies are set';
is payload($set->{access_token_cookie}{value})->{csrf}, $set->{csrf_access_token}{value}, 'with their CSRF values';
is payload($set->{refresh_token_cookie}{value})->{csrf}, $set->{csrf_refresh_token}{value}, 'both';
is status_of($set->{refresh_token_cookie}{value}), 200, 'the new refresh token is good';
is status_of($token), 401, 'the old one is not';

# ---- rotation, and what a thief does (RFC 9700 §4.14.2)

my $first = refresh_token(sub => 'carol');
my $one   = post('/rotate', $first)->{json};
is_deeply [sort keys %$one], [qw(access_token expires_in refresh_token token_type)], 'rotation brings both tokens';
is payload($one->{refresh_token})->{type}, 'refresh', 'one of each type';
is payload($one->{refresh_token})->{exp} - payload($one->{refresh_token})->{iat}, 30 * 86400, 'the refresh token by its directive';
my $two = post('/rotate', $one->{refresh_token})->{json};
is payload($two->{refresh_token})->{sid}, payload($first)->{jti}, 'the family is called by its first token';
is status_of($two->{$_}), 200, "the $_ is good" for qw(access_token refresh_token);
is status_of($one->{access_token}), 200, 'and so is the access token before';
my $stranger = post('/rotate', refresh_token(sub => 'carol'))->{json};

$res = post('/rotate', $one->{refresh_token});
is $res->{status}, 401, 'a refresh token that was used is refused: a thief, or its victim';
is $res->{json}{msg}, 'Token has been revoked', 'and told so';
ok $t->wait_for(10, sub { status_of($two->{refresh_token}) == 401 }), 'its family ends: the newest refresh token';
is status_of($two->{access_token}), 401, 'access tokens made of it';
is status_of($one->{access_token}), 401, 'all of them';
is post('/rotate', $two->{refresh_token})->{status}, 401, 'and nothing comes of it any more';
is status_of($stranger->{$_}), 200, "another login of the same user goes on: its $_" for qw(access_token refresh_token);
like $t->log, qr/\[warn\] .*a refresh token was used twice: its family is revoked/, 'the log says so';
is post('/rotate', $first)->{status}, 401, 'and the first stays used';

# The very first token, replayed.
$first = refresh_token();
$one   = post('/rotate', $first)->{json};
is post('/rotate', $first)->{status}, 401, 'a replay of the first token';
ok $t->wait_for(10, sub { status_of($one->{refresh_token}) == 401 }), 'ends its family too';

# One without a jti is called by what it is.
$first = refresh_token(jti => undef, nonce => 5);
$one   = post('/rotate', $first)->{json};
is status_of($one->{refresh_token}), 200, 'a token without jti rotates';
is post('/rotate', $first)->{status}, 401, 'its replay';
ok $t->wait_for(10, sub { status_of($one->{access_token}) == 401 }), 'ends its family';

# Another issuer cannot reach into a family by its name.
$first = refresh_token(iss => 'a', sid => 'shared');
my $foreign = refresh_token(iss => 'b', sid => 'shared');
post('/rotate', $foreign) for 1, 2;
$t->wait_for(10, sub { status_of($foreign) == 401 });
is post('/rotate', $first)->{status}, 200, 'a family is of its issuer';

# ---- logout ends the family

$one = post('/rotate', refresh_token())->{json};
$two = post('/rotate', $one->{refresh_token})->{json};
is $t->post('/logout', bearer($one->{access_token}), '')->{status}, 200, 'logout by an old access token';
is status_of($two->{$_}), 401, "ends the newest $_" for qw(access_token refresh_token);

# ---- two at once: exactly one wins, and then nobody

my $races = $ENV{JWT_RACES} || 15;
my ($winners, $alive) = (0, 0);
my @racers = map { $t->worker_connections } 1 .. 3;
for (1 .. $races) {
    my $shared = refresh_token();
    $_->request('POST', '/rotate', bearer($shared), '') for @racers;
    my @won = map { $_->{json} } grep { $_->{status} == 200 } map { $_->response } @racers;
    $winners += @won;
    $t->wait_for(10, sub { status_of($won[0]{refresh_token}) == 401 }) or $alive++;
}
is $winners, $races, 'of many that use one token at once exactly one gets new ones';
is $alive, 0, 'which end with their family';

# ---- what the directives and the hooks add

$one = post('/named', refresh_token(iss => 'old', aud => 'x'))->{json};
$claims = payload($one->{access_token});
is_deeply [@$claims{qw(iss aud exp)}], ['us', 'api', undef], 'directives of the location count';
ok !exists $one->{expires_in}, 'a token that never expires says no time';
is_deeply [@{ payload(post('/refresh', refresh_token(iss => 'old', aud => 'x'))->{json}{access_token}) }{qw(iss aud)}], ['old', 'x'], 'else those of the token';
$first = refresh_token(iss => 'old');
$one = post('/named', $first)->{json};
post('/named', $first);
ok $t->wait_for(10, sub { status_of($one->{refresh_token}) == 401 }), 'a family whose issuer changes ends as a whole';

$first = refresh_token(role => 'then', custom => 1);
$one   = post('/hooked', $first)->{json};
for my $kind (qw(access_token refresh_token)) {
    $claims = payload($one->{$kind});
    is_deeply [@$claims{qw(role custom who)}], ['now', 1, 'alice'], "$kind: what hooks say now wins, the rest stays";
    is $claims->{sid}, payload($first)->{jti}, "$kind: but no hook moves it into another family";
    is header($one->{$kind})->{typ}, 'at+jwt', "$kind: headers too";
}
is post('/hooked', refresh_token(sub => 'slow'))->{status}, 200, 'a hook that waits';
$first = refresh_token(sub => 'broken');
is post('/hooked', $first)->{status}, 500, 'a hook that fails';
is status_of($first), 200, 'costs nobody the refresh token';
is post('/keyed', refresh_token())->{status}, 200, 'the hook encode_key signs';

$first = refresh_token(sub => 'dave');
is post('/answer', $first)->{status}, 200, 'with a hook for revoked tokens';
$res = post('/answer', $first);
is_deeply [$res->{status}, $res->{json}], [403, { again => 'dave' }], 'which answers for what was used';

# ---- encrypted, where the location says so

my $sealed = JWTTest->new(
    http   => 'root %%DIR%%/html; jwt_revocation_store %%DIR%%/revoked size=4m;',
    files  => { 'html/ok' => 'ok', 'seal.key' => encode_json({ kty => 'oct', k => base64url('k' x 32), alg => 'A256KW', use => 'enc' }) },
    config => <<"EOF_CONFIG",
    jwt_secret_key "$secret";
    jwt_accept signed nested;
    jwt_decryption_key %%DIR%%/seal.key;
    jwt_encrypt A256KW A256GCM %%DIR%%/seal.key;
    location /api/   { jwt_required; try_files /ok =404; }
    location /rotate { jwt_required refresh; jwt_refresh rotate; }
EOF_CONFIG
);
$one = $sealed->post('/rotate', bearer(refresh_token()), '')->{json};
is scalar(split /\./, $one->{$_}), 5, "the $_ is encrypted" for qw(access_token refresh_token);
cmp_ok abs($one->{expires_in} - 900), '<=', 2, 'its time is known';
is $sealed->get_with('/api/', $one->{access_token})->{status}, 200, 'and good';
is $sealed->post('/rotate', bearer($one->{refresh_token}), '')->{status}, 200, 'and rotates';
is $sealed->post('/rotate', bearer($one->{refresh_token}), '')->{status}, 401, 'once';

# ---- what the configuration may say

sub said {
    my ($inside, $http) = @_;
    my ($code, $said) = JWTTest->nginx_t(
        http   => $http // 'jwt_revocation_store %%DIR%%/revoked size=4m;',
        config => $inside =~ /_key/ ? $inside : "jwt_secret_key \"$secret\"; $inside",
        files  => { 'key.pub' => keypair('ES256')->{public} },
    );
    return $code ? $said : '';
}
is said('location /r { jwt_required refresh; jwt_refresh; }', ''), '', 'a refresh without rotation needs no store';
is said('location /r { jwt_required refresh; jwt_refresh rotate; }'), '', 'one with it does';
like said('location /r { jwt_required refresh; jwt_refresh rotate; }', ''), qr/jwt_refresh rotate needs a place for what is revoked: write jwt_revocation_store into http/, 'and is told so';
like said('location /r { jwt_required; jwt_refresh; }'), qr/write jwt_required refresh/, 'of access tokens';
like said('location /r { jwt_refresh; }'), qr/write jwt_required refresh/, 'of none';
like said('location /r { jwt_required refresh skip_revocation_check; jwt_refresh; }'), qr/remove skip_revocation_check/, 'of revoked ones';
for my $case (['', qr/write jwt_required refresh/], ['any_type', qr/write jwt_required refresh/], ['refresh skip_revocation_check', qr/remove skip_revocation_check/]) {
    my ($words, $wanted) = @$case;
    like said("location /r { jwt_required refresh; jwt_refresh; limit_except GET { jwt_required $words; } }"), $wanted, "the same within limit_except: $words";
}
is said('location /r { jwt_required refresh; jwt_refresh; limit_except GET { jwt_required refresh; } }'), '', 'which may ask for a refresh token too';
like said('location /r { jwt_required refresh; jwt_revocation_checks access; jwt_refresh; }'), qr/would renew revoked tokens: let jwt_revocation_checks name refresh/, 'unchecked ones';
like said('location /r { jwt_required refresh; jwt_refresh twice; }'), qr/unknown word "twice" of jwt_refresh: write rotate, or nothing/, 'another word';
like said('location /r { jwt_algorithm ES256; jwt_public_key %%DIR%%/key.pub; jwt_required refresh; jwt_refresh; }'),
    qr/jwt_refresh has no key that signs with jwt_algorithm ES256/, 'without a signing key';

$t->allow_log(qr/on purpose/);
done_testing;
