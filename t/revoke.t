use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JWTTest;

my $secret = $JWTTest::Token::secret;
my $pair   = keypair('ES256');

my $t = JWTTest->new(
    workers => 2,
    http    => 'root %%DIR%%/html; jwt_revocation_store %%DIR%%/revoked size=1m;',
    files   => { 'html/ok' => 'ok', 'key.pem' => $pair->{public} },
    config  => <<"EOF_CONFIG",
    jwt_secret_key "$secret";
    location /api/    { jwt_required any_type; try_files /ok =404; }
    location /ecdsa/  { jwt_required; jwt_algorithm ES256; jwt_public_key %%DIR%%/key.pem; try_files /ok =404; }
    location /revoke  { jwt_revoke; }
    location /revoke-ecdsa { jwt_revoke; jwt_algorithm ES256; jwt_public_key %%DIR%%/key.pem; }
    location /strict  { jwt_revoke; jwt_decode_audience somebody; }
    location /brief   { jwt_revoke; jwt_max_age 60; }
    location /lenient/ { jwt_required any_type; jwt_decode_leeway 60; try_files /ok =404; }
    location /guarded { allow 127.0.0.2; deny all; jwt_revoke; }
    location /rotate  { jwt_required refresh; jwt_refresh rotate; }
EOF_CONFIG
);

my @form = ('Content-Type' => 'application/x-www-form-urlencoded');
sub revoke { my ($token, $path) = @_; return $t->post($path || '/revoke', [@form], "token_type_hint=refresh_token&token=$token") }
sub status_of { return $t->get_with($_[1] || '/api/', $_[0])->{status} }

# ---- RFC 7009

my ($token, $other) = map { token(claims(jti => $_)) } qw(a b);
is status_of($token), 200, 'a good token';
my $res = revoke($token);
is $res->{status}, 200, 'is revoked';
is $res->{body}, '', 'without further words';
is $res->{headers}{'cache-control'}, 'no-store', 'that anybody would store';
is $t->statuses('/api/', $token), '401 401', 'in both workers';
is status_of($other), 200, 'and no other';
is revoke($token)->{status}, 200, 'once more is no error';

for my $none ('x', 'a.b.c', token(claims(jti => 'b'), key => 'z' x 64), token(claims(exp => time - 5)), 'a' x 20_000) {
    is revoke($none)->{status}, 200, 'nor is what is no good token (RFC 7009 §2.2)';
}
is status_of($other), 200, 'a forged token revokes nobody';

is revoke($other, '/strict')->{status}, 200, 'a token of another audience';
is status_of($other), 401, 'is revoked all the same: it is good elsewhere';
my $aged = token(claims(jti => 'aged', iat => time - 100));
is status_of($aged), 200, 'one that is good here';
is revoke($aged, '/brief')->{status}, 200, 'and too old where it is revoked';
is status_of($aged), 401, 'is revoked';
my $late = token(claims(jti => 'late', exp => time - 5));
is status_of($late, '/lenient/'), 200, 'one that has expired, within the leeway of some location';
is revoke($late)->{status}, 200, 'and is revoked where there is none';
is status_of($late, '/lenient/'), 401, 'is revoked';
my $early = token(claims(jti => 'early', nbf => time + 1));
is revoke($early)->{status}, 200, 'one that is not yet good';
ok $t->wait_for(10, sub { $t->get_with('/api/', $early)->{status} == 401 }), 'never will be';

# ATTACKS 72: the same token in another spelling is the same token; the same name of another issuer is not.
my $of_us = token(claims(jti => 'shared', iss => 'us'));
is revoke($of_us)->{status}, 200, 'a jti';
is status_of(token(claims(jti => 'shared', iss => 'them'))), 200, 'is of its issuer';
is status_of(raw_token('{"typ":"JWT","alg":"HS256" }', JSON::PP->new->canonical->encode(claims(jti => 'shared', iss => 'us')), $secret, 'HS256')), 401,
    'another header around it changes nothing';

# ATTACKS 23: r and n - s verify as well as r and s.
my $signed = token(claims(jti => undef, nonce => 1), key => $pair->{private}, alg => 'ES256');
my ($input, $signature) = $signed =~ /^(.*)\.([^.]*)$/;
my $bytes = MIME::Base64::decode_base64url($signature);
require Math::BigInt;
my $n = Math::BigInt->from_hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
my $s = Math::BigInt->from_hex(unpack 'H*', substr $bytes, 32);
my $hex = $n->copy->bsub($s)->to_hex;
my $twin = "$input." . base64url(substr($bytes, 0, 32) . pack('H*', '0' x (64 - length $hex) . $hex));
is status_of($_, '/ecdsa/'), 200, 'a signature and its twin both verify' for $signed, $twin;
is revoke($signed, '/revoke-ecdsa')->{status}, 200, 'the one is revoked';
is status_of($_, '/ecdsa/'), 401, 'and both are' for $signed, $twin;

# A refresh token takes with it what came of it (RFC 7009 §2.1).
my $first = token(claims(type => 'refresh', jti => 'family'));
my $made  = $t->post('/rotate', [Authorization => "Bearer $first"], '')->{json};
is status_of($made->{$_}), 200, "a family: its $_" for qw(access_token refresh_token);
is revoke($made->{access_token})->{status}, 200, 'an access token';
is status_of($made->{refresh_token}), 200, 'goes alone';
$made = $t->post('/rotate', [Authorization => "Bearer $made->{refresh_token}"], '')->{json};
is revoke($made->{refresh_token})->{status}, 200, 'a refresh token';
is status_of($made->{access_token}), 401, 'does not';

# ---- how, and who

is $t->get("/revoke?token=$token")->{status}, 405, 'not by GET';
is $t->post('/revoke', [@form], 'x=1')->{status}, 400, 'not without a token';
is $t->post('/revoke', [@form], "token=x&token=y")->{status}, 400, 'nor with two';
is $t->post('/revoke', ['Content-Type' => 'application/json'], '{}')->{status}, 400, 'nor as JSON';
is revoke('x', '/guarded')->{status}, 403, 'allow and deny decide';

# ---- a store that is full: nothing is said to be revoked that is not

my ($full, @written);
for my $i (1 .. 20_000) {
    my $one = token(claims(jti => "full-$i-" . 'x' x 200));
    my $answer = revoke($one);
    if ($answer->{status} != 200) {
        $full = $answer;
        is status_of($one), 200, 'what could not be written is not revoked';
        last;
    }
    push @written, $one;
}
ok $full, 'a store of 1 MB is full after some time';
like $full->{status}, qr/^50[37]$/, 'which is said';
cmp_ok $full->{headers}{'retry-after'}, '>', 0, 'and to come again';
is status_of($_), 401, 'what was acknowledged stays revoked' for @written[0, -1, $#written / 2], $token;
ok $t->reload, 'reload';
is status_of($_), 401, 'also then' for @written[0, -1], $token;

my ($code, $said) = JWTTest->nginx_t(config => "location /i { jwt_revoke; jwt_secret_key \"$secret\"; }");
like $said, qr/jwt_revoke needs a place for what is revoked: write jwt_revocation_store into http/, 'without a store';

$t->allow_log(qr/revocation store/);
done_testing;
