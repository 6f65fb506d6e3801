# jwt_issuer and jwt_trust: several issuers in one location, each with keys of its own.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Provider;

my $secret = $JWTTest::Token::secret;
my ($alpha, $beta, $gamma) = map { keypair('ES256') } 1 .. 3;
my $rsa = keypair('RS256');
my $shared = 'k' x 32;  # by which tokens are encrypted
my $provider = JWTTest::Provider->new;
my $url = $provider->url;
my $json = JSON::PP->new->canonical;

sub jwk { my ($pair, $kid) = @_; return { %{ $pair->{public_jwk} }, kid => $kid } }

sub signed {
    my ($pair, $iss, %more) = @_;
    my $kid = delete $more{kid} // '1';
    return token(claims(iss => $iss, aud => 'api', %more), key => $pair->{private}, alg => 'ES256', header => { kid => $kid });
}

$provider->publish('/alpha', keys => [jwk($alpha, '1')]);
$provider->publish('/beta', keys => [jwk($beta, '1')]);

my $blocks = <<"EOF_BLOCKS";
    jwt_issuer alpha {
        issuer      https://alpha.example https://old.alpha.example;
        key_request /keys/alpha cache=1m;
        audience    api other;
        algorithms  ES256 RS256;
        leeway      60s;
    }
    jwt_issuer beta {
        issuer      https://beta.example;
        key_request /keys/beta timeout=300ms;
    }
    jwt_issuer gamma {
        issuer      https://gamma.example;
        public_key  gamma.jwks;
    }
    jwt_secret_key "$secret";
EOF_BLOCKS

my $t = JWTTest->new(workers => 2, http => $blocks,
    files => { 'html/index.html' => 'x', 'oct.jwk' => $json->encode({ kty => 'oct', k => base64url($shared), use => 'enc' }), 'gamma.jwks' => $json->encode({ keys => [jwk($gamma, '1')] }) },
    config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    location ~ ^/keys/(\\w+)\$ { internal; proxy_pass $url/\$1; }
    location /alpha/ { alias %%DIR%%/html/; jwt_required; jwt_trust alpha; }
    location /beta/ { alias %%DIR%%/html/; jwt_required; jwt_trust beta; }
    location /all/ { alias %%DIR%%/html/; jwt_required; jwt_trust alpha beta gamma; add_header X-User "\$jwt_identity of \$jwt_claim_iss"; }
    location /own/ { alias %%DIR%%/html/; jwt_required; jwt_trust alpha gamma; jwt_secret_key "$secret"; jwt_decode_audience own; }
    location /sealed/ {
        alias %%DIR%%/html/;
        jwt_required;
        jwt_trust alpha beta gamma;
        jwt_accept nested encrypted;
        jwt_decryption_key oct.jwk;
        jwt_decode_audience own;
        add_header X-User "\$jwt_identity of \$jwt_claim_iss";
    }
    location /none/ { alias %%DIR%%/html/; jwt_required; }
    location /slides/ {
        alias %%DIR%%/html/; jwt_required locations=cookies; jwt_trust gamma; jwt_secret_key "$secret";
        jwt_accept signed encrypted; jwt_decryption_key oct.jwk; jwt_cookie_refresh 1h;
    }
    location = /refresh {
        jwt_required refresh; jwt_trust gamma; jwt_secret_key "$secret"; jwt_accept signed encrypted; jwt_decryption_key oct.jwk; jwt_refresh;
    }
EOF_CONFIG

sub get { my ($path, $token) = @_; return $t->get_with("/$path/", $token) }
sub status { return get(@_)->{status} }
sub said { my $answer = get(@_); return "$answer->{status} $answer->{json}{msg}" }

my ($is_alpha, $is_beta, $is_gamma) = map { "https://$_.example" } qw(alpha beta gamma);
my $wrong = '422 Invalid issuer';
my $forged = '422 Signature verification failed';

# ---- row 15: the same kid in two issuers, four cells

is status('alpha', signed($alpha, $is_alpha)), 200, 'row 15: alpha takes its own';
is said('alpha', signed($beta, $is_beta)), $wrong, "row 15: and none of beta's";
is status('beta', signed($beta, $is_beta)), 200, 'row 15: beta takes its own';
is said('beta', signed($alpha, $is_alpha)), $wrong, "row 15: and none of alpha's";

is status('all', signed($alpha, $is_alpha)), 200, 'three issuers: the first';
is status('all', signed($beta, $is_beta)), 200, 'three issuers: the second';
is status('all', signed($gamma, $is_gamma)), 200, 'three issuers: the third, by a file';
is get('all', signed($beta, $is_beta))->{headers}{'x-user'}, "alice of $is_beta", 'variables say who';
is said('all', signed($alpha, $is_beta)), $forged, "alpha's key does not sign for beta";
is said('all', signed($gamma, $is_beta)), $forged, 'nor that of a file for a provider';
is said('all', signed($beta, $is_gamma)), $forged, 'nor the other way round';
is status('all', signed($alpha, 'https://old.alpha.example')), 200, 'an issuer of two names';

# ---- row 13: the claim picks among names, to the byte

for my $iss ("$is_alpha/", 'https://ALPHA.example', 'https://alpha.example@evil.example', '../keys/alpha', 'alpha',
    'http://127.0.0.1:' . $t->port . '/keys/alpha', "$is_alpha ", '', "$is_alpha\0") {
    is said('all', signed($alpha, $iss)), $wrong, 'row 13: not an issuer: ' . $json->encode([$iss]);
}
is said('all', signed($alpha, undef)), '422 Token is missing the "iss" claim', 'no issuer at all';
is said('all', signed($alpha, [$is_alpha])), '422 Payload Issuer (iss) must be a string', 'a list of issuers';
is scalar(my @asked = $provider->hits('/alpha')), 1, 'nobody was asked for more keys';

# ---- each by its own rules

is said('all', signed($alpha, $is_alpha, aud => 'elsewhere')), q(422 Audience doesn't match), 'the audience of alpha is checked';
is status('all', signed($beta, $is_beta, aud => 'elsewhere')), 200, 'beta has none';
is status('all', signed($alpha, $is_alpha, exp => time - 30)), 200, 'the leeway of alpha';
is said('all', signed($beta, $is_beta, exp => time - 30)), '401 Token has expired', 'is not that of beta';
my $hmac = token(claims(iss => $is_alpha, aud => 'api'), key => $json->encode(jwk($alpha, '1')), alg => 'HS256');
is said('all', $hmac), '422 The specified alg value is not allowed', 'a public key is no secret';

# ---- encrypted for the location: its keys open, those of issuers verify

sub sealed { my ($content, %header) = @_; return encode_jwt(payload => $content, alg => 'A256KW', enc => 'A256GCM', key => $shared, extra_headers => \%header) }
sub nested { my ($token, %header) = @_; return sealed($token, cty => 'JWT', %header) }

is get('sealed', nested(signed($alpha, $is_alpha)))->{headers}{'x-user'}, "alice of $is_alpha", 'nested: the first';
is said('sealed', nested(signed($gamma, $is_gamma, aud => undef))), '422 Token is missing the "aud" claim',
    'nested: what an issuer leaves open, its location says';
is status('sealed', nested(signed($gamma, $is_gamma, aud => 'own'))), 200, 'nested: the third';
is said('sealed', nested(signed($beta, $is_alpha))), $forged, 'nested: signed by another';
is said('sealed', nested(signed($alpha, $is_alpha, aud => 'own'))), q(422 Audience doesn't match), 'nested: by the rules of its issuer';
is status('sealed', nested(signed($alpha, $is_alpha, exp => time - 30))), 200, 'nested: with its leeway';
is said('sealed', nested(signed($alpha, 'https://nobody.example'))), $wrong, 'nested: by nobody';
is status('sealed', nested(signed($alpha, $is_alpha), iss => $is_alpha)), 200, 'nested: its outer header repeats who';
isnt status('sealed', nested(signed($alpha, $is_alpha), iss => $is_beta)), 200, 'nested: and may not say another';

# Who has the secret speaks for the location, and for none of the issuers.
is status('sealed', sealed(claims(aud => 'own'))), 200, 'bare claims under the secret';
is status('sealed', sealed(claims(aud => 'own', iss => 'https://own.example'))), 200, 'of an issuer that is nobody else';
is said('sealed', sealed(claims(aud => 'api'))), q(422 Audience doesn't match), 'by the rules of the location';
is said('sealed', sealed(claims(aud => $_->[1], iss => $_->[0]))), $wrong, "in the name of $_->[0]"
    for [$is_alpha, 'api'], [$is_alpha, 'own'], ['https://old.alpha.example', 'api'], [$is_gamma, 'own'];
is said('sealed', sealed(claims(aud => 'own', exp => time - 30))), '401 Token has expired', 'without the leeway of others';

# ---- nobody's token is made into one of ours, which would count where his does not

sub of_each {
    my (%claims) = @_;
    return (own => token(claims(%claims)), gamma => signed($gamma, $is_gamma, %claims), nobody => sealed(claims(%claims)));
}
my %session = of_each(exp => time + 60);
my %slid = map { $_ => $t->get('/slides/', [Cookie => "access_token_cookie=$session{$_}"]) } keys %session;
is_deeply [map { $slid{$_}{status} } qw(own gamma nobody)], [200, 200, 200], 'a session by a token of each';
is_deeply [map { scalar $slid{$_}->all('Set-Cookie') } qw(gamma nobody)], [0, 0], 'that of an issuer does not slide, nor one that nobody signed';
ok $slid{own}->cookies->{access_token_cookie}, 'that of the location does';
my %refresh = of_each(type => 'refresh');
my %refreshed = map { $_ => $t->post('/refresh', [Authorization => "Bearer $refresh{$_}"], '') } keys %refresh;
ok $refreshed{own}{json}{access_token}, 'jwt_refresh: a refresh token of the location';
is "$refreshed{$_}{status} " . ($refreshed{$_}{json}{msg} // ''), $wrong, "jwt_refresh: not of $_" for qw(gamma nobody);

# ---- the keys of a location beside them

my $own = token(claims(aud => 'own'));
is status('own', $own), 200, 'own tokens beside those of issuers';
is said('own', token(claims(aud => 'api'))), q(422 Audience doesn't match), 'by own rules';
is status('own', signed($alpha, $is_alpha)), 200, 'and those of issuers by theirs';
is said('own', token(claims(aud => 'api', iss => $is_alpha))), '422 The specified alg value is not allowed', 'own keys do not sign for an issuer';
is said('own', token(claims(aud => 'own', iss => $is_gamma))), '422 The specified alg value is not allowed', 'nor for that of a file';
is said('all', $own), '422 Token is missing the "iss" claim', 'keys from around are not used where issuers are named';
is status('none', token(claims())), 200, 'and are where none are';

# ---- one that fails harms no other

$provider->publish('/beta', keys => [jwk($beta, '1')], mode => 'hang');
ok $t->reload, 'reload';
$provider->stop;
is status('all', signed($gamma, $is_gamma)), 200, 'a provider is gone: others pass';
is said('all', signed($alpha, 'https://nobody.example')), $wrong, 'and nobody is still nobody';

# ---- mistakes

my %mistake = (
    'jwt_trust names "nobody", which is nobody: write jwt_issuer nobody' => ['', 'location / { jwt_required; jwt_trust nobody; }'],
    'jwt_issuer a has no "issuer"' => ['jwt_issuer a { key_request /k; }', ''],
    'jwt_issuer a has no keys' => ['jwt_issuer a { issuer a; }', ''],
    'a second jwt_issuer a' => ['jwt_issuer a { issuer a; key_request /k; } jwt_issuer a { issuer b; key_request /k; }', ''],
    'unknown line "keys" of jwt_issuer' => ['jwt_issuer a { keys /k; }', ''],
    '"audience" has no value' => ['jwt_issuer a { audience; }', ''],
    '"HS256" is no algorithm for public keys' => ['jwt_issuer a { issuer a; key_request /k; algorithms RS256 HS256; }', ''],
    '"leeway" takes one time' => ['jwt_issuer a { issuer a; key_request /k; leeway soon; }', ''],
    'two issuers that are both "a"' => ['jwt_issuer a { issuer a; key_request /k; } jwt_issuer b { issuer b a; key_request /k; }',
        'location / { jwt_required; jwt_trust a b; }'],
    'jwt_issuer a: public_key "%%DIR%%/gamma.jwks" is a' => ['jwt_issuer a { issuer a; public_key gamma.jwks; algorithms RS256; }',
        'location / { jwt_required; jwt_trust a; }'],
    'jwt_trust and the hook "decode_key" both choose' => ['jwt_issuer a { issuer a; key_request /k; }',
        'location / { jwt_required; jwt_trust a; jwt_lua_file hooks.lua; }'],
);
my %files = ('gamma.jwks' => $json->encode({ keys => [jwk($gamma, '1')] }),
    'hooks.lua' => 'return { decode_key = function(header, payload) return "x" end }');
for my $sentence (sort keys %mistake) {
    my ($code, $output) = JWTTest->nginx_t(http => $mistake{$sentence}[0], config => $mistake{$sentence}[1], files => \%files);
    isnt $code, 0, "a mistake: $sentence";
    my ($start) = split /%%DIR%%/, $sentence;
    like $output, qr/\[emerg\] .*\Q$start\E.* in \S+nginx\.conf:\d+/, 'nginx -t says what and where';
}

done_testing;
