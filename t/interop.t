# Other people's libraries: what Crypt::JWT and jose sign passes here, what is issued here passes there, and neither
# takes what was changed on the way.

use strict;
use warnings;

use Crypt::JWT qw(decode_jwt);
use FindBin;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Node;
use JWTTest::Token qw(openssl temporary_file);

my $json = JSON::PP->new->canonical->utf8;
my $secret = $JWTTest::Token::secret;
my %oct = (kty => 'oct', k => base64url($secret));
my %keys = (HS => { private => $secret, public_jwk => \%oct, private_jwk => \%oct },
    map { $_ => keypair($_) } qw(RS256 ES256 ES384 ES512 ES256K EdDSA Ed448));

# What is tried: a name of its own => the algorithm and the key.
my %case = (
    map({ ($_ => [$_, 'HS']) } qw(HS256 HS384 HS512)),
    map({ ($_ => [$_, 'RS256']) } qw(RS256 RS384 RS512 PS256 PS384 PS512)),
    map({ ($_ => [$_, $_]) } qw(ES256 ES384 ES512 ES256K)),
    EdDSA => ['EdDSA', 'EdDSA'], Ed25519 => ['Ed25519', 'EdDSA'], 'EdDSA-Ed448' => ['EdDSA', 'Ed448'], Ed448 => ['Ed448', 'Ed448'],
);
my @cases = sort keys %case;
# Neither library knows the name Ed448, and CryptX no such key.
my @of_jose = grep { $_ ne 'Ed448' } @cases;
my @of_crypt_jwt = grep { !/\AEd(?!DSA\z)/ } @cases;

my $locations = join '', map {
    my ($algorithm, $key) = @{ $case{$_} };
    my ($private, $public) = map { $key eq 'HS' ? qq(jwt_secret_key "$secret";) : "jwt_$_\_key %%DIR%%/$key.$_;" } qw(private public);
    <<"EOF_LOCATIONS";
    location = /issue/$_ { jwt_algorithm $algorithm; $private jwt_handler issue; }
    location = /whoami/$_ { jwt_algorithm $algorithm; $public jwt_required; jwt_handler whoami; }
EOF_LOCATIONS
} @cases;

my $t = JWTTest->new(config => "jwt_lua_file %%DIR%%/hooks.lua;\n$locations", files => {
    map({ ("$_.private" => $keys{$_}{private}, "$_.public" => $keys{$_}{public}) } grep { $_ ne 'HS' } keys %keys),
    'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  handlers = {
    issue = function(request)
      local claims = { roles = { "reader", "writer" }, address = { city = "Zürich" }, level = 2.5, admin = false }
      return jwt.create_access_token("alice", { additional_claims = claims, additional_headers = { kid = "k" } })
    end,
    whoami = function() return { header = jwt.get_jwt_header(), payload = jwt.get_jwt() } end,
  },
}
EOF_LUA
});

sub changed { my ($token) = @_; return $token =~ s/\.\K([^.])(?=[^.]*\z)/$1 eq 'A' ? 'B' : 'A'/er }

# Unusual in every way that RFC 7519 leaves free.
my $claims = claims(sub => "\x{c5}se \"\x{1F600}\"\\", roles => [qw(reader writer)], empty => {}, list => [[], [{}]], level => -1.5,
    nothing => JSON::PP::null, exp => time + 900.25, 'https://example.org/claim' => JSON::PP::true, '' => 0);

sub check_accepted {
    my ($by, $name, $token) = @_;
    my $answer = $t->get_with("/whoami/$name", $token);
    is($answer->{status}, 200, "$name signed by $by is taken");
    my $header = { alg => $case{$name}[0], typ => 'JWT', kid => 'k' };
    is_deeply($answer->{json}, { header => $header, payload => $claims }, "$name signed by $by arrives as it was sent");
    is($t->get_with("/whoami/$name", changed($token))->{status}, 422, "$name signed by $by and then changed is refused");
}

my %issued = map { $_ => $t->get("/issue/$_")->{body} } @cases;

sub check_issued {
    my ($name, $library, $header, $payload) = @_;
    is_deeply($header, { alg => $case{$name}[0], typ => 'JWT', kid => 'k' }, "$name issued here is taken by $library");
    my %payload = %{ $payload || {} };
    like(delete $payload{$_}, qr/\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\z/, "$name: and $library reads its $_") for qw(jti csrf);
    my ($iat, $nbf, $exp) = delete @payload{qw(iat nbf exp)};
    is_deeply([$nbf - $iat, $exp - $iat], [0, 900], "$name: and its times");
    is_deeply(\%payload, { sub => 'alice', type => 'access', fresh => JSON::PP::false, roles => [qw(reader writer)],
        address => { city => "Z\x{fc}rich" }, level => 2.5, admin => JSON::PP::false }, "$name: and its claims");
}

# ---- Crypt::JWT

for my $name (@of_crypt_jwt) {
    my ($algorithm, $key) = @{ $case{$name} };
    check_accepted('Crypt::JWT', $name, token($claims, alg => $algorithm, key => $keys{$key}{private}, header => { kid => 'k' }));

    my $public = $key eq 'HS' ? $secret : \$keys{$key}{public};
    my @with = (key => $public, accepted_alg => $algorithm, decode_header => 1);
    my ($header, $payload) = decode_jwt(token => $issued{$name}, @with);
    check_issued($name, 'Crypt::JWT', $header, $payload);
    ok(!eval { decode_jwt(token => changed($issued{$name}), @with); 1 }, "$name issued here and then changed is refused by Crypt::JWT");
}

# ---- OpenSSL's command, for what the libraries lack

my ($signed, $signature) = $issued{Ed448} =~ /\A(.*)\.(.*)\z/;
my @verify = ('pkeyutl', '-verify', '-rawin', '-pubin', '-inkey', temporary_file($keys{Ed448}{public}),
    '-sigfile', temporary_file(decode_base64url($signature)), '-in');
like(openssl(@verify, temporary_file($signed)), qr/Verified Successfully/, 'Ed448 issued here is taken by openssl');
check_accepted('openssl', 'Ed448', raw_token('{"alg":"Ed448","typ":"JWT","kid":"k"}', $json->encode($claims), $keys{Ed448}{private}, 'Ed448'));

# ---- jose

SKIP: {
    skip 'node is not installed', 1 unless has_node();

    my %of = map { my ($algorithm, $key) = @{ $case{$_} }; ($_ => { alg => $algorithm, key => $keys{$key} }) } @of_jose;
    my @tokens = @{ run_node('jose', [map {
        { do => 'sign', alg => $of{$_}{alg}, jwk => $of{$_}{key}{private_jwk}, header => { typ => 'JWT', kid => 'k' }, claims => $claims }
    } @of_jose]) };
    check_accepted('jose', $of_jose[$_], $tokens[$_]) for 0 .. $#of_jose;

    my @verdicts = @{ run_node('jose', [map {
        my %with = (do => 'verify', alg => $of{$_}{alg}, jwk => $of{$_}{key}{public_jwk});
        ({ %with, token => $issued{$_} }, { %with, token => changed($issued{$_}) })
    } @of_jose]) };
    for my $name (@of_jose) {
        my ($good, $bad) = splice @verdicts, 0, 2;
        check_issued($name, 'jose', @{$good}{qw(header payload)});
        is($bad->{error}, 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED', "$name issued here and then changed is refused by jose");
    }
}

done_testing;
