# An identity provider as it is: npm's oidc-provider. Its keys are fetched, what it issues is let in where it is meant to
# be, and nowhere else, and its keys may change.

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Node;

plan(skip_all => 'node is not installed') unless has_node();

my $json = JSON::PP->new->canonical->utf8;
my %pair = map { $_ => keypair($_) } qw(RS256 ES256 EdDSA);
my %renewed = map { $_ => keypair($_) } keys %pair;
my $stranger = keypair('ES256');

sub keys_of { my ($set, %kid) = @_; return [map { { %{ $set->{$_}{private_jwk} }, use => 'sig', alg => $_, kid => $kid{$_} } } sort keys %kid] }
my $keys = keys_of(\%pair, RS256 => 'r', ES256 => 'e', EdDSA => 'd');

sub client { my ($id, $algorithm) = @_; return { client_id => $id, client_secret => "secret of $id", id_token_signed_response_alg => $algorithm,
    grant_types => [qw(client_credentials authorization_code)], response_types => ['code'] } }

my $own = keypair('ES256');  # of the API, for what is encrypted for it
my $api = 'https://api.example';
my ($hello, $provider) = start_node(oidc_provider => {
    keys => $keys,
    clients => [client(robot => 'RS256'), client(shop => 'ES256'), client(app => 'EdDSA')],
    resources => {
        map({ ("$api/$_" => { sign => { alg => $_ } }) } keys %pair),
        "$api/nested" => { sign => { alg => 'ES256' }, encrypt => { alg => 'ECDH-ES', enc => 'A256GCM', key => $own->{public_jwk} } },
        "$api/other" => { sign => { alg => 'RS256' } },
    },
});
my $issuer = $hello->{issuer};

# ---- discovery

my $found = HTTP::Tiny->new->get("$issuer/.well-known/openid-configuration");
my $discovered = $json->decode($found->{content});
is($discovered->{issuer}, $issuer, 'the provider says who it is');
my ($jwks_path) = $discovered->{jwks_uri} =~ /\A\Q$issuer\E(\/\S+)\z/;
ok($jwks_path, 'and where its keys are') or diag $found->{content};

my $t = JWTTest->new(
    workers => 2,
    files => { 'html/index.html' => 'x', 'own.jwk' => $json->encode({ %{ $own->{private_jwk} }, use => 'enc' }) },
    http => <<"EOF_HTTP",
    jwt_issuer provider {
        issuer      $issuer;
        key_request /_keys unknown=1s cache_min=1s;
        audience    @{[map { "$api/$_" } sort keys %pair]} $api/nested;
        algorithms  RS256 ES256 EdDSA;
    }
    jwt_issuer shop {
        issuer      $issuer;
        key_request /_keys unknown=1s cache_min=1s;
        audience    shop;
        algorithms  ES256;
    }
EOF_HTTP
    config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    add_header X-Identity "\$jwt_identity";
    add_header X-Client "\$jwt_claim_client_id";
    location = /_keys { internal; proxy_pass $issuer$jwks_path; }
    location /api/ { alias %%DIR%%/html/; jwt_required; jwt_trust provider; jwt_profile rfc9068; }
    location /read/ { alias %%DIR%%/html/; jwt_required; jwt_trust provider; jwt_profile rfc9068; jwt_require_claim scope contains orders:read; }
    location /write/ { alias %%DIR%%/html/; jwt_required; jwt_trust provider; jwt_profile rfc9068; jwt_require_claim scope contains orders:write; }
    location /nested/ { alias %%DIR%%/html/; jwt_required; jwt_trust provider; jwt_profile rfc9068; jwt_accept nested; jwt_decryption_key own.jwk; }
    location /id/ { alias %%DIR%%/html/; jwt_required; jwt_trust shop; }
    # As one that knows no jwt_issuer blocks would write it.
    location /plain/ {
        alias %%DIR%%/html/;
        jwt_required;
        jwt_key_request /_keys unknown=1s;
        jwt_decode_algorithms RS256 ES256 EdDSA;
        jwt_decode_issuer $issuer;
        jwt_decode_audience $api/RS256;
    }
EOF_CONFIG

sub issued { my ($client, $resource, $user) = @_; return $provider->ask(client => $client, resource => "$api/$resource", $user ? (user => $user) : ()) }
sub check { my ($path, $token, $status, $name) = @_; my $answer = $t->get_with($path, $token); is($answer->{status}, $status, $name) or diag explain $answer; return $answer }

# ---- access tokens (RFC 9068)

my %token = map { $_ => issued('robot', $_)->{access_token} } sort keys %pair;
for my $algorithm (sort keys %token) {
    my ($header) = $token{$algorithm} =~ /\A([^.]+)/;
    is($json->decode(MIME::Base64::decode_base64url($header))->{alg}, $algorithm, "a token of client_credentials under $algorithm");
    my $answer = check('/api/', $token{$algorithm}, 200, 'is let in');
    is("@{$answer->{headers}}{qw(x-identity x-client)}", 'robot robot', 'as its client');
    check('/api/', $token{$algorithm} =~ s/\.\K([^.])(?=[^.]*\z)/$1 eq 'A' ? 'B' : 'A'/er, 401, 'and not when it was changed');
}
check('/plain/', $token{RS256}, 200, 'by plain directives too');
check('/plain/', $token{ES256}, 422, 'which know another audience');
check('/read/', $token{RS256}, 200, 'its scope lets it read');
check('/write/', $token{RS256}, 403, 'and no more');
check('/api/', issued('robot', 'other')->{access_token}, 401, 'one for another API is refused');
my $nested = issued('robot', 'nested')->{access_token};
is(scalar(split /\./, $nested, -1), 5, 'one that is encrypted');
is(check('/nested/', $nested, 200, 'is let in where nested ones are accepted')->{headers}{'x-identity'}, 'robot', 'as its client');
check('/api/', $nested, 401, 'and nowhere else');
check('/nested/', $token{ES256}, 401, 'where a readable one is refused');

# ---- a user who logs in

my $login = issued('shop', 'ES256', 'alice');
my $answer = check('/api/', $login->{access_token}, 200, 'an access token of an authorization code');
is("@{$answer->{headers}}{qw(x-identity x-client)}", 'alice shop', 'is of its user');
$answer = check('/id/', $login->{id_token}, 200, 'an ID token is let in where it is for the client');
is($answer->{headers}{'x-identity'}, 'alice', 'as its user');
check('/api/', $login->{id_token}, 401, 'an ID token is no access token');
check('/id/', $login->{access_token}, 422, 'an access token is no ID token');
check('/id/', issued('app', 'ES256', 'alice')->{id_token}, 422, 'nor is one for another client');

# ---- who else signs

my $claims = claims(iss => $issuer, aud => "$api/ES256", client_id => 'robot', type => undef, fresh => undef);
my %header = (typ => 'at+jwt', kid => 'e');
check('/api/', token($claims, key => $pair{ES256}{private}, alg => 'ES256', header => \%header), 200, "what the provider's key signs is let in");
check('/api/', token($claims, key => $stranger->{private}, alg => 'ES256', header => \%header), 401, "what another key signs under its name is not");
check('/api/', token($claims, key => 'secret of robot, with some more bytes', alg => 'HS256', header => \%header), 401, "nor what a client's secret does");
check('/api/', token({ %$claims, iss => 'https://other.example' }, key => $pair{ES256}{private}, alg => 'ES256', header => \%header), 401,
    'nor what another issuer says');

# ---- rotation

my $all = [@$keys, @{ keys_of(\%renewed, RS256 => 'r2', ES256 => 'e2', EdDSA => 'd2') }];
$provider->ask(keys => [reverse @$all]);
my %later = map { $_ => issued('robot', $_)->{access_token} } sort keys %pair;
for my $algorithm (sort keys %later) {
    my ($header) = $later{$algorithm} =~ /\A([^.]+)/;
    like(MIME::Base64::decode_base64url($header), qr/"kid":"[red]2"/, "$algorithm: a token of the next key");
    ok($t->wait_for(5, sub { $t->get_with('/api/', $later{$algorithm})->{status} == 200 }), 'is let in');
    check('/api/', $token{$algorithm}, 200, 'and one of the key before');
}
$provider->ask(keys => keys_of(\%renewed, RS256 => 'r2', ES256 => 'e2', EdDSA => 'd2'));
# An unknown kid has the set fetched, in which the old ones are no more.
my $unknown = token($claims, key => $stranger->{private}, alg => 'ES256', header => { typ => 'at+jwt', kid => 'nobody' });
ok($t->wait_for(5, sub { $t->get_with('/api/', $unknown); $t->get_with('/api/', $token{RS256})->{status} == 401 }), 'a key that is gone ends');
check('/api/', $token{$_}, 401, "$_: with its tokens") for sort keys %token;
check('/api/', $later{$_}, 200, "$_: those of the next stay") for sort keys %later;

done_testing;
