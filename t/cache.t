# The cache of verified tokens: it saves a signature, and nothing else. ATTACKS 60.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $other_key = 'another secret of sixty-four bytes, which the hook decode_key may choose';
my $pair = keypair('RS256');

my $hooks = <<"EOF_LUA";
local jwt = require "jwt"
local function word() return (jwt.fetch("/word").body:gsub("%s", "")) end
return {
  token_in_blocklist = function(header, payload) return word() == "revoke" end,
  token_verification = function(header, payload)
    local first = payload.seen == nil and payload.list[1] == "a" and header.seen == nil
    payload.seen, payload.list[1], header.seen = true, "changed", true
    return first and word() ~= "deny"
  end,
}
EOF_LUA
my $decode_key = <<"EOF_LUA";
local jwt = require "jwt"
return {
  decode_key = function(header, payload)
    if jwt.fetch("/word").body:find("other") then return "$other_key" end
    return "$JWTTest::Token::secret"
  end,
}
EOF_LUA

my $t = JWTTest->new(
    http => "root %%DIR%%/html; jwt_cache 64k;",
    files => {
        'hooks.lua' => $hooks, 'decode_key.lua' => $decode_key, 'rsa.pem' => $pair->{public},
        'secret' => $JWTTest::Token::secret, 'html/word' => 'as you like', map { ("html/$_/ok" => 'ok') } qw(plain api shop fresh cookie hooks chosen rs ps),
    },
    config => <<"EOF_CONFIG");
    jwt_secret_key file:%%DIR%%/secret;
    location = /status { jwt_status json; }
    location = /word { internal; }
    location /plain/ { jwt_required; }
    location /api/ { jwt_required; jwt_decode_audience api; }
    location /shop/ { jwt_required; jwt_decode_audience shop; }
    location /fresh/ { jwt_required fresh; }
    location /cookie/ { jwt_required locations=cookies; jwt_csrf_methods GET; }
    location /hooks/ { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; }
    location /chosen/ { jwt_required; jwt_lua_file %%DIR%%/decode_key.lua; }
    location /rs/ { jwt_required; jwt_public_key %%DIR%%/rsa.pem; jwt_decode_algorithms RS256 PS256; }
    location /ps/ { jwt_required; jwt_public_key %%DIR%%/rsa.pem; jwt_decode_algorithms PS256; }
EOF_CONFIG

sub status { my ($place, $token, @headers) = @_; return $t->get("/$place/ok", [Authorization => "Bearer $token", @headers])->{status} }

# What the cache did meanwhile: "hits misses evictions".
my @before = (0, 0, 0);
sub did {
    my $figures = $t->get('/status')->{json};
    my @now = map { $figures->{"cache_${_}_total"} } qw(hits misses evictions);
    my $did = join ' ', map { $now[$_] - $before[$_] } 0 .. 2;
    @before = @now;
    return $did;
}

sub flipped {
    my ($text, $at) = @_;
    my $new = substr($text, $at, 1) eq 'A' ? 'B' : 'A';
    return substr($text, 0, $at) . $new . substr($text, $at + 1);
}

my $token = token(claims(aud => ['api', 'web']));
is(status('plain', $token), 200, 'a token');
is(did(), '0 1 0', 'is new');
is(status('plain', $token), 200, 'the same');
is(did(), '1 0 0', 'is known');
is($t->get_with('/plain/ok', $token)->{body}, 'ok', 'and once more');
is(did(), '1 0 0', 'too');

my $length = length $token;
is_deeply([grep { status('plain', flipped($token, $_)) == 200 } 0 .. 3, $length / 2, $length - 43 .. $length - 2], [],
    'a known token that differs in one character is refused');
isnt(status('plain', $token . 'A'), 200, 'and one that is longer');
is(status('plain', $token), 200, 'while it is known itself');
did();

my $forged = token(claims(), key => $other_key);
is_deeply([map { status('plain', $forged) } 1 .. 3], [422, 422, 422], 'a forged token is refused each time');
is(did(), '0 3 0', 'and never known');

# row 60: two locations with other audiences
is(status('api', $token), 200, 'row 60: a token for one location');
is(status('shop', $token), 422, 'is not one for another');
is(status('api', $token), 200, 'and still one for the first');
is(did(), '3 0 0', 'though its signature is known in each');
is(status('fresh', $token), 401, 'nor is it fresh where that is asked for');
is(status('fresh', token(claims(fresh => JSON::PP::true))), 200, 'as another one is');

# row 60: expiry
my $short = token(claims(exp => time + 2));
is(status('plain', $short), 200, 'row 60: a token that lives for two seconds');
ok($t->wait_for(5, sub { status('plain', $short) == 401 }), 'expires while it is known');
is(status('plain', $token), 200, 'and no other does');

# row 60: the CSRF claim of a cookie's token
my $cookie = token(claims(csrf => 'right'));
sub with_csrf { return $t->get('/cookie/ok', [Cookie => "access_token_cookie=$cookie", @_])->{status} }
did();
is(with_csrf('X-CSRF-TOKEN' => 'right'), 200, 'row 60: a cookie with its CSRF token');
is(with_csrf('X-CSRF-TOKEN' => 'wrong'), 401, 'with another');
is(with_csrf(), 401, 'without one');
is(with_csrf('X-CSRF-TOKEN' => 'right'), 200, 'and again with its own');
is(did(), '2 1 0', 'was known');

# row 60: revocation, hooks, and what they do to their tables
my $asked = token(claims(list => ['a']));
is_deeply([map { status('hooks', $asked) } 1 .. 3], [200, 200, 200], 'row 60: hooks see each request\'s token as it came');
is(did(), '2 1 0', 'also a known one');
$t->write('html/word', 'revoke');
is(status('hooks', $asked), 401, 'one that is revoked while it is known is refused');
$t->write('html/word', 'deny');
is(status('hooks', $asked), 400, 'and one that token_verification denies');
$t->write('html/word', 'as you like');
is(status('hooks', $asked), 200, 'until neither does');
is(did(), '3 0 0', 'while it stays known');

# row 60: decode_key chooses another key for the same token
my $theirs = token(claims(), key => $other_key);
is_deeply([map { status('chosen', $_) } ($asked, $theirs) x 2], [200, 422, 200, 422], 'row 60: tokens of the key that decode_key chooses');
$t->write('html/word', 'other');
is_deeply([map { status('chosen', $_) } ($asked, $theirs) x 2], [422, 200, 422, 200], 'and once it chooses another key');
$t->write('html/word', 'as you like');
is_deeply([map { status('chosen', $_) } $asked, $theirs], [200, 422], 'and the first again');
is(did() =~ /\A3 /, 1, 'with both kept apart by their keys');

# row 60: a location that allows fewer algorithms of the same key
my $rs = token(claims(), key => $pair->{private}, alg => 'RS256');
my $ps = token(claims(), key => $pair->{private}, alg => 'PS256');
is_deeply([map { status(@$_) } (['rs', $rs], ['ps', $rs], ['rs', $ps], ['ps', $ps]) x 2], [(200, 422, 200, 200) x 2],
    'row 60: a known token of an algorithm that is not allowed here');

# bounds
did();
my @many = map { token(claims(jti => "token $_", pad => 'x' x 500)) } 1 .. 100;
is_deeply([grep { status('plain', $_) != 200 } @many, @many], [], 'more tokens than there is room for');
like(did(), qr/\A0 200 1\d\d\z/, 'each of which is new again when its turn comes');
is_deeply([grep { status('plain', $_) != 200 } ($many[0]) x 5], [], 'one of them five times');
like(did(), qr/\A4 1 /, 'is known again');

# memory: of a worker that has seen many more tokens than there is room for
my $count = $ENV{JWT_CACHE_TOKENS} || 3000;
my $size = $ENV{JWT_CACHE_SIZE} || '4m';
ok($t->reload(http => "root %%DIR%%/html; jwt_cache $size;"), "jwt_cache $size");
my ($worker) = $t->workers;
my $memory = sub { return (JWTTest::_read("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB/m)[0] * 1024 };
my $pad = 'x' x 1000;
is_deeply([grep { status('plain', token(claims(jti => "first $_"))) != 200 } 1 .. 20], [], 'a worker at work');
my $before = $memory->();
is_deeply([grep { status('plain', token(claims(jti => "token $_", pad => substr $pad, $_ % 500))) != 200 } 1 .. $count], [], "$count tokens");
like(did(), qr/\A0 \d+ [1-9]\d{2}/, 'of which most were forgotten again');
SKIP: {
    skip 'a sanitizer takes memory of its own', 1 if $ENV{JWT_PRELOAD};
    cmp_ok($memory->() - $before, '<', 1.1 * ($size =~ s/m//r) * 2**20, 'take no more memory than they may, and a tenth');
}

# row 60: rotation
$t->write('secret', $other_key);
ok($t->reload(http => 'root %%DIR%%/html; jwt_cache 64k;'), 'other keys');
is(status('plain', $token), 422, 'row 60: a token of the keys before is refused');
is(status('plain', $theirs), 200, 'and one of the new keys is not');
$t->write('secret', $JWTTest::Token::secret);
ok($t->reload, 'the first keys again');
is(status('plain', $token), 200, 'take it again');
is(status('plain', $theirs), 422, 'and no other');

ok($t->reload(http => 'root %%DIR%%/html; jwt_cache off;'), 'jwt_cache off');
did();
is_deeply([map { status('plain', $_) } ($token, $theirs) x 2], [200, 422, 200, 422], 'without it, all is as it was');
is(did(), '0 0 0', 'and nothing is counted');

done_testing;
