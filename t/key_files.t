# Key files that change while nginx runs: taken in without a reload when they are good, kept out when they are not.

use strict;
use warnings;

use Crypt::JWT qw(decode_jwt encode_jwt);
use FindBin;
use Time::HiRes qw(sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;

my ($one, $two, $three) = map { keypair('ES256') } 1 .. 3;
my $rsa = keypair('RS256');
my $json = JSON::PP->new->canonical;

sub set { return $json->encode({ keys => [map { { %{ $_->[1]{public_jwk} }, kid => $_->[0] } } @_] }) }

sub signed { my ($pair, %more) = @_; return token(claims(%more), key => $pair->{private}, alg => 'ES256') }

# A key of decryption: of a pair, or a secret.
sub encryption {
    my ($of, $half) = @_;
    return $json->encode({ use => 'enc', ref $of ? %{ $of->{ $half || 'private_jwk' } } : (kty => 'oct', k => base64url(substr $of x 8, 0, 32)) });
}

sub encrypted { my ($text, $payload, %header) = @_; return encode_jwt(payload => $payload, alg => 'A256KW', enc => 'A256GCM',
    key => substr($text x 8, 0, 32), extra_headers => \%header) }
sub nested { my ($text) = @_; return encrypted($text, signed($one), cty => 'JWT') }
sub bare { my ($text) = @_; return encrypted($text, claims()) }

my @secrets = map { "the secret number $_, long enough for HS256" } 1, 2;

my $t = JWTTest->new(
    workers => 2,
    http => <<'EOF_HTTP',
    jwt_key_file_check 100ms;
    jwt_issuer a { issuer https://a.example; public_key a.pem; algorithms ES256; }
EOF_HTTP
    files => {
        'html/index.html' => 'x',
        'set.jwks' => set([a => $one]),
        'plain.pem' => $one->{public},
        'a.pem' => $one->{public},
        'fixed.pem' => $one->{public},
        'secret' => "$secrets[0]\n",
        'own.pem' => $one->{private},
        'enc.jwk' => encryption('first'),
        'oct.jwk' => encryption('first'),
        'to.jwk' => encryption($one, 'public_jwk'),
        'late.jwk' => encryption('first'),
        'late.lua' => qq(local jwt = require "jwt" return { decode_key = function() jwt.fetch("/gate") return [[$one->{public}]] end }),
        'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return { handlers = { token = function() return jwt.create_access_token("alice") end } }
EOF_LUA
    },
    # Answers once the file it is asked for is there.
    backend => sub {
        my ($request) = @_;
        for (1 .. 1000) { last if -e $request->{uri}; sleep 0.01 }
        return [200, [], ''];
    },
    config => <<'EOF_CONFIG');
    root %%DIR%%/html;
    jwt_algorithm ES256;
    location /set/ { alias %%DIR%%/html/; jwt_required; jwt_public_key set.jwks; }
    location /plain/ { alias %%DIR%%/html/; jwt_required; jwt_public_key plain.pem; }
    location /also/ { alias %%DIR%%/html/; jwt_required; jwt_public_key plain.pem; jwt_decode_algorithms ES256 RS256; }
    location /a/ { alias %%DIR%%/html/; jwt_required; jwt_trust a; }
    location /secret/ { alias %%DIR%%/html/; jwt_required; jwt_algorithm HS256; jwt_secret_key file:%%DIR%%/secret; }
    location /own/ { alias %%DIR%%/html/; jwt_required; jwt_private_key own.pem; }
    location = /token { jwt_private_key own.pem; jwt_lua_file %%DIR%%/hooks.lua; jwt_handler token; }
    location = /jwks { jwt_private_key own.pem; jwt_jwks; }
    location /nested/ { alias %%DIR%%/html/; jwt_required; jwt_accept nested; jwt_public_key fixed.pem; jwt_decryption_key enc.jwk; }
    location /late/ { try_files /index.html =404; jwt_required; jwt_accept nested; jwt_decryption_key late.jwk; jwt_lua_file %%DIR%%/late.lua; }
    location /prompt/ { alias %%DIR%%/html/; jwt_required; jwt_accept nested; jwt_public_key fixed.pem; jwt_decryption_key late.jwk; }
    location = /gate { internal; proxy_pass %%BACKEND%%%%DIR%%/open; }
    location /bare/ { alias %%DIR%%/html/; jwt_required; jwt_accept encrypted; jwt_public_key fixed.pem; jwt_decryption_key oct.jwk; }
    location = /for { jwt_private_key own.pem; jwt_lua_file %%DIR%%/hooks.lua; jwt_encrypt ECDH-ES A256GCM to.jwk; jwt_handler token; }
EOF_CONFIG

sub status { my ($path, $token) = @_; return $t->get_with("/$path/", $token)->{status} }

# Both workers answer that.
sub settles {
    my ($path, $token, $status) = @_;
    return $t->wait_for(5, sub { $t->statuses("/$path/", $token) eq "$status $status" });
}

my @takes = ([set => signed($one)], [plain => signed($one)], [also => signed($one)], [a => signed($one, iss => 'https://a.example')],
    [secret => token(claims(), key => $secrets[0], alg => 'HS256')], [own => signed($one)]);
is join(' ', map { status(@$_) } @takes), '200 200 200 200 200 200', 'keys as they were at the start';

# ---- good ones are taken in

$t->write('set.jwks', set([a => $two], [b => $three]));
ok settles(set => signed($two), 200), 'a set with other keys';
ok settles(set => signed($one), 422), 'the one before is gone';
is status(set => signed($three)), 200, 'and the second is there';
like $t->log, qr/\[notice\] .* jwt: jwt_public_key "\S+set\.jwks" has changed: its new keys are in use/, 'the log says so';

$t->write('plain.pem', $two->{public});
ok settles(plain => signed($two), 200), 'a PEM';
ok settles(also => signed($two), 200), 'in all places';
is status(plain => signed($one)), 422, 'the one before is gone';
$t->write('a.pem', $two->{public});
ok settles(a => signed($two, iss => 'https://a.example'), 200), 'the key of an issuer';
$t->write('secret', "$secrets[1]\r\n");
ok settles(secret => token(claims(), key => $secrets[1], alg => 'HS256'), 200), 'a secret';
ok settles(secret => token(claims(), key => $secrets[0], alg => 'HS256'), 422), 'the one before is gone';
$t->write('own.pem', $two->{private});
ok settles(own => signed($two), 200), 'a private key, by its public half';
ok $t->wait_for(5, sub { !grep { status(own => $t->get('/token')->{body}) != 200 } 1 .. 6 }), 'it signs';
my $public = $two->{public_jwk};
ok $t->wait_for(5, sub { !grep { $t->get('/jwks')->{json}{keys}[0]{x} ne $public->{x} } 1 .. 6 }), 'and is published';
is_deeply [grep { exists $t->get('/jwks')->{json}{keys}[0]{$_} } qw(d p q dp dq qi k)], [], 'without its private half (row 70)';

is status(nested => nested('first')), 200, 'a nested token';
$t->write('enc.jwk', encryption('later'));
ok settles(nested => nested('later'), 200), 'a key that decrypts';
ok settles(nested => nested('first'), 422), 'the one before is gone';
# A request is in the middle of a token when its key goes.
my $token = nested('first');
my $waiting = $t->connection;
$waiting->request('GET', '/late/', [Authorization => "Bearer $token"]);
is status(prompt => nested('first')), 200, 'a nested token beside one whose hook waits';
$t->write('late.jwk', encryption('later'));
ok settles(prompt => nested('first'), 422), 'its key is gone';
$t->write('open', '');
is $waiting->response('GET')->{status}, 200, 'what was decrypted before goes on';
is $t->statuses('/late/', $token), '422 422', 'but is not remembered as what the new key decrypts';
is $t->statuses('/late/', nested('later')), '200 200', 'as this is';
is status(bare => bare('first')), 200, 'an encrypted token';
$t->write('oct.jwk', encryption('later'));
ok settles(bare => bare('later'), 200), 'a secret that decrypts';
$t->write('to.jwk', encryption($two, 'public_jwk'));
ok $t->wait_for(5, sub { !grep { !eval { decode_jwt(token => $t->get('/for')->{body}, key => $two->{private_jwk}, decode_payload => 0) } } 1 .. 6 }),
    'a key that encrypts what is issued';

# ---- bad ones are not

my %bad = (
    'one that is cut short' => ['set.jwks', substr(set([a => $one]), 0, 60), 'is no JSON'],
    'an empty one' => ['set.jwks', '', 'is empty'],
    'one without keys' => ['set.jwks', '{"keys":[]}', 'holds no keys'],
    'one that its location cannot use' => ['set.jwks', set([r => $rsa]), 'is an RSA 2048-bit public key, which ES256 cannot use'],
    'one that one of its locations cannot use' => ['plain.pem', $rsa->{public}, 'which ES256 cannot use'],
    'a public key in place of a private one' => ['own.pem', $one->{public}, 'holds no private key'],
    'one that does not sign so' => ['own.pem', $rsa->{private}, 'cannot use'],
    'a public key in place of one that decrypts' => ['enc.jwk', encryption($two, 'public_jwk'), 'holds no key that decrypts'],
    'one of a pair where a secret must be' => ['oct.jwk', encryption($two), 'no secret is left to decrypt with'],
    'one that does not encrypt so' => ['to.jwk', encryption('later'), 'does not encrypt with ECDH-ES and A256GCM'],
    'a short secret' => ['secret', 'short', 'has 5 bytes'],
);
my %content = ('set.jwks' => set([a => $two]), 'plain.pem' => $two->{public}, 'own.pem' => $two->{private}, secret => $secrets[1],
    'enc.jwk' => encryption('later'), 'oct.jwk' => encryption('later'), 'to.jwk' => encryption($two, 'public_jwk'));
my %good = ('set.jwks' => [set => signed($two)], 'plain.pem' => [plain => signed($two)], 'own.pem' => [own => signed($two)],
    'enc.jwk' => [nested => nested('later')], 'oct.jwk' => [bare => bare('later')], 'to.jwk' => [own => signed($two)],
    'secret' => [secret => token(claims(), key => $secrets[1], alg => 'HS256')]);
for my $name (sort keys %bad) {
    my ($file, $content, $why) = @{ $bad{$name} };
    my $before = length $t->log;
    $t->write($file, $content);
    ok $t->wait_for(5, sub { substr($t->log, $before) =~ /\Q$file\E" has changed, and its old keys stay in use: .*\Q$why\E/ }),
        "$name: the log says why" or diag substr $t->log, $before;
    is status(@{ $good{$file} }), 200, "$name: the keys before stay";
    # Back again, so that the next one starts from a good one.
    $t->write($file, $content{$file});
    ok $t->wait_for(5, sub { substr($t->log, $before) =~ /\Q$file\E" has changed: its new keys/ }), "$name: a good one is taken";
}

# ---- gone, written bit by bit, and a worker that begins late

my $before = length $t->log;
unlink $t->dir . '/set.jwks';
ok $t->wait_for(5, sub { substr($t->log, $before) =~ /set\.jwks" has changed, and its old keys stay in use: there is no such file/ }), 'removed';
is status(set => signed($two)), 200, 'its keys stay';
open my $slow, '>', $t->dir . '/set.jwks' or die $!;
$slow->autoflush(1);
my $text = set([a => $three]);
sleep 0.3;
print {$slow} $text;
close $slow;
ok settles(set => signed($three), 200), 'one that is written in place is taken when it is complete';
$t->kill_worker;
is $t->statuses('/set/', signed($three)), '200 200', 'a new worker begins with the changed keys';

# ---- changed while a worker has no descriptor left to read it with

my $few = JWTTest->new(
    workers => 1,
    main => 'worker_rlimit_nofile 32;',
    http => 'jwt_key_file_check 100ms;',
    files => { 'html/index.html' => 'x', 'secret' => $secrets[0] },
    config => 'root %%DIR%%/html; location / { jwt_required; jwt_secret_key file:%%DIR%%/secret; }',
);
$few->allow_log(qr/Too many open files|worker_connections exceed open file resource limit/);
my ($old, $new) = map { token(claims(), key => $_, alg => 'HS256') } @secrets;
is $few->get_with('/', $old)->{status}, 200, 'a key';
my @crowd = map { $few->connection } 1 .. 40;
ok $few->wait_log(qr/accept4?\(\) failed \(\d+: Too many open files\)/, 5), 'a crowd takes all descriptors';
$few->write('secret', $secrets[1]);
ok $few->wait_log(qr/its old keys stay in use: it cannot be read \(\d+: Too many open files\)/, 5), 'the changed key cannot be read';
$_->close for splice @crowd;
ok $few->wait_for(5, sub { $few->get_with('/', $new)->{status} == 200 }), 'and is once the crowd has gone';
is $few->get_with('/', $old)->{status}, 422, 'the one before is gone';
is scalar(() = $few->log =~ /its old keys stay in use/g), 1, 'the log says so once';

my ($code, $said) = JWTTest->nginx_t(http => 'jwt_key_file_check never;', config => '');
like $said, qr/"never" is no time: write it as in 10s, or "off"/, 'a mistake';
($code) = JWTTest->nginx_t(http => 'jwt_key_file_check off;', config => '');
is $code, 0, 'off';

done_testing;
