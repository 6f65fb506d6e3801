# Keys as npm's jose makes and publishes them: fetched and read from files, with tokens of every algorithm; and tokens that
# it encrypts in every way, under keys of one set.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Node;
use JWTTest::Provider;

plan(skip_all => 'node is not installed') unless has_node();

my $json = JSON::PP->new->canonical->utf8;
my @kinds = ([rsa => 'RS256'], [p256 => 'ES256'], [p384 => 'ES384'], [p521 => 'ES512'], [ed25519 => 'EdDSA', 'Ed25519'],
    [rsa_oaep => 'RSA-OAEP-256'], [x25519 => 'ECDH-ES', 'X25519'], map { ["e$_" => 'ECDH-ES', "P-$_"] } 256, 384, 521);
my %jwk;
@jwk{ map { $_->[0] } @kinds } = @{ run_node(jose => [map { { do => 'generate', alg => $_->[1], crv => $_->[2] } } @kinds]) };
$jwk{"oct$_"} = { kty => 'oct', k => base64url(join '', map { chr(33 + ($_ * 11) % 90) } 1 .. $_) } for 16, 24, 32, 48, 64;
$jwk{$_}{kid} = $_ for keys %jwk;
sub public { my ($name) = @_; return { map { $_ => $jwk{$name}{$_} } grep { !/\A(?:d|p|q|dp|dq|qi)\z/ } keys %{ $jwk{$name} } } }

# ---- signed

my %signed = (map({ ($_ => 'rsa') } qw(RS256 RS384 RS512 PS256 PS384 PS512)), ES256 => 'p256', ES384 => 'p384', ES512 => 'p521',
    EdDSA => 'ed25519', Ed25519 => 'ed25519');
my @algorithms = sort keys %signed;
my $set = { keys => [map { { %{ public($_) }, use => 'sig' } } sort { $a cmp $b } do { my %names = reverse %signed; keys %names }] };

# ---- encrypted: every way with every key that serves it, and every content encryption

my %size = ('A128CBC-HS256' => 32, 'A192CBC-HS384' => 48, 'A256CBC-HS512' => 64, A128GCM => 16, A192GCM => 24, A256GCM => 32);
my @ways = (
    map({ my $alg = $_; map { [$alg, $_] } qw(e256 e384 e521 x25519) } 'ECDH-ES', map { "ECDH-ES+A${_}KW" } 128, 192, 256),
    map({ ["RSA-OAEP$_", 'rsa_oaep'] } '', '-256', '-384', '-512'),
    map({ my $bits = $_; map { ["A$bits$_", 'oct' . $bits / 8] } qw(KW GCMKW) } 128, 192, 256),
);
my @encrypted = (map({ my $way = $_; map { [@$way, $_] } sort keys %size } @ways), map { ['dir', "oct$size{$_}", $_] } sort keys %size);

my $provider = JWTTest::Provider->new;
$provider->publish('/jwks', body => $json->encode($set), headers => ['Content-Type' => 'application/jwk-set+json']);
my $t = JWTTest->new(
    files => {
        'html/index.html' => 'x',
        'set.jwks' => $json->encode($set),
        'decryption.jwks' => $json->encode({ keys => [map { { %{ $jwk{$_} }, use => 'enc' } } qw(rsa_oaep x25519 e256 e384 e521)] }),
        map({ ("oct$_.jwk" => $json->encode($jwk{"oct$_"})) } 16, 24, 32, 48, 64),
    },
    config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    jwt_algorithm ES256;
    jwt_decode_algorithms @algorithms;
    add_header X-Seen "\$jwt_identity \$jwt_header_alg";
    location = /jwks { internal; proxy_pass @{[$provider->url]}/jwks; }
    location /fetched/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /jwks; }
    location /file/ { alias %%DIR%%/html/; jwt_required; jwt_public_key set.jwks; }
    location /nested/ {
        alias %%DIR%%/html/;
        jwt_required;
        jwt_accept nested;
        jwt_public_key set.jwks;
        jwt_decryption_key decryption.jwks;
        @{[map { "jwt_decryption_key oct$_.jwk;" } 16, 24, 32, 48, 64]}
    }
EOF_CONFIG

my $changed = sub { my ($token, $part) = @_; my @parts = split /\./, $token, -1;
    substr($parts[$part], 3, 1) = substr($parts[$part], 3, 1) eq 'A' ? 'B' : 'A'; return join '.', @parts };

my @tokens = @{ run_node(jose => [
    map({ { do => 'sign', alg => $_, jwk => $jwk{ $signed{$_} }, header => { kid => $signed{$_}, typ => 'JWT' }, claims => claims(sub => "of $_") } } @algorithms),
]) };
my %token;
@token{@algorithms} = @tokens;
for my $algorithm (@algorithms) {
    for my $path ('/fetched/', '/file/') {
        my $answer = $t->get_with($path, $token{$algorithm});
        is("$answer->{status} " . ($answer->{headers}{'x-seen'} || ''), "200 of $algorithm $algorithm", "$path: $algorithm");
        is($t->get_with($path, $changed->($token{$algorithm}, 2))->{status}, 422, "$path: $algorithm with another signature");
    }
}
is(scalar(my @hits = $provider->hits('/jwks')), 1, 'the set was fetched once');

my @nested = @{ run_node(jose => [map {
    my ($alg, $key, $enc) = @$_;
    { do => 'encrypt', alg => $alg, enc => $enc, jwk => public($key), header => { kid => $key, cty => 'JWT' }, plaintext => $token{EdDSA} }
} @encrypted]) };
my (@refused, @taken);
for my $i (0 .. $#encrypted) {
    my $way = join ' ', @{ $encrypted[$i] };
    my $answer = $t->get_with('/nested/', $nested[$i]);
    push @refused, "$way: " . $answer->{body} if $answer->{status} != 200 || $answer->{headers}{'x-seen'} ne 'of EdDSA EdDSA';
    push @taken, $way if grep { $t->get_with('/nested/', $changed->($nested[$i], $_))->{json}{msg} ne 'Decryption failed' } 3, 4;
}
is_deeply(\@refused, [], @encrypted . ' ways to encrypt are taken');
is_deeply(\@taken, [], 'and none with another ciphertext or tag');

done_testing;
