# Encrypted tokens: which forms a location accepts, with which keys, and what it shows of them. Made by Crypt::JWT,
# jose, and by the module itself.

use strict;
use warnings;

use Crypt::AuthEnc::GCM qw(gcm_encrypt_authenticate);
use Crypt::JWT qw(decode_jwt encode_jwt);
use Digest::SHA qw(sha256);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Node;
use JWTTest::Token qw(der openssl temporary_file);

my $json = JSON::PP->new->canonical->utf8;
my $secret = $JWTTest::Token::secret;
my $rsa = keypair('RS256');
my %ec = map { $_ => keypair($_) } qw(ES256 ES384 ES512);

sub agreement_key {
    my ($crv) = @_;
    my $private = openssl('genpkey', '-quiet', '-algorithm', $crv);
    my $public = openssl('pkey', '-pubout', '-in', temporary_file($private));
    my ($d, $x) = map { base64url(substr der($_), $crv eq 'X25519' ? -32 : -56) } $private, $public;
    return (public => $public, jwk => { kty => 'OKP', crv => $crv, x => $x, d => $d });
}
my %x25519 = agreement_key('X25519');
my %x448 = agreement_key('X448');

sub secret_jwk { my ($size, %more) = @_; return { kty => 'oct', k => base64url(join '', map { chr(33 + ($size * 7 + $_ * 11) % 90) } 1 .. $size), %more } }

my %jwk = (
    rsa => $rsa->{private_jwk},
    map({ $_ => $ec{$_}{private_jwk} } keys %ec),
    x25519 => $x25519{jwk}, x448 => $x448{jwk},
    map({ ("oct$_" => secret_jwk($_)) } 16, 24, 32, 48, 64),
);
my %public = map { my $name = $_; ($name => { map { $_ => $jwk{$name}{$_} } grep { /\A(?:kty|crv|[xyne]|k)\z/ } keys %{ $jwk{$name} } }) } keys %jwk;

my %content = ('A128CBC-HS256' => 32, 'A192CBC-HS384' => 48, 'A256CBC-HS512' => 64, A128GCM => 16, A192GCM => 24, A256GCM => 32);
my @enc = sort keys %content;
my %recipients = (
    map({ my $bits = $_; map { ("A${bits}$_" => ['oct' . $bits / 8]) } qw(KW GCMKW) } 128, 192, 256),
    map({ ($_ => ['rsa']) } 'RSA-OAEP', map { "RSA-OAEP-$_" } 256, 384, 512),
    map({ ($_ => [qw(ES256 ES384 ES512 x25519 x448)]) } 'ECDH-ES', map { "ECDH-ES+A${_}KW" } 128, 192, 256),
);
# A name of its own => key, alg and enc.
my %case;
for my $alg (sort keys %recipients) {
    for my $key (@{ $recipients{$alg} }) {
        # Every enc with dir, A256KW and ECDH-ES, where it decides the size of the agreed key.
        my $all = $alg eq 'A256KW' || ($alg eq 'ECDH-ES' && $key eq 'ES256');
        $case{"$alg/$_/$key"} = [$key, $alg, $_] for $all ? @enc : 'A256GCM';
    }
}
$case{"dir/$_"} = ["oct$content{$_}", 'dir', $_] for @enc;
my @cases = sort keys %case;

my $locations = join '', map {
    my ($key, $alg, $enc) = @{ $case{$_} };
    "location = /issue/$_ { jwt_encrypt $alg $enc %%DIR%%/$key.public; jwt_handler issue; }\n"
} @cases;
my $t = JWTTest->new(files => {
    map({ ("$_.jwk" => $json->encode($jwk{$_}), "$_.public" => $json->encode($public{$_})) } keys %jwk),
    'rsa.key' => $rsa->{private},
    'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  handlers = {
    issue = function(request) return jwt.create_access_token("alice", { additional_claims = { level = 2.5 } }) end,
    decode = function(request)
      local ok, decoded = pcall(jwt.decode_token, request.args.token)
      return ok and decoded or tostring(decoded)
    end,
    cookies = function(request)
      local token = jwt.create_access_token("alice")
      jwt.set_access_cookies(token)
      return token
    end,
  },
}
EOF_LUA
}, config => <<"EOF_CONFIG");
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    @{[map { "jwt_decryption_key %%DIR%%/$_.jwk;\n" } sort keys %jwk]}
    add_header X-Identity "\$jwt_identity";
    add_header X-Claims "\$jwt_payload";
    add_header X-Alg "\$jwt_header_alg";
    add_header X-Status "\$jwt_status" always;
    root %%DIR%%;
    location = /signed { jwt_required; try_files /rsa.public =404; }
    location = /nested { jwt_required; jwt_accept nested; try_files /rsa.public =404; }
    location = /either { jwt_required; jwt_accept signed nested; try_files /rsa.public =404; }
    location = /encrypted { jwt_required; jwt_accept encrypted; try_files /rsa.public =404; }
    location = /any { jwt_required; jwt_accept signed nested encrypted; try_files /rsa.public =404; }
    location = /pem { jwt_required; jwt_accept nested; jwt_decryption_key %%DIR%%/rsa.key; try_files /rsa.public =404; }
    location = /decode { jwt_accept signed nested encrypted; jwt_handler decode; }
    location = /cookies { jwt_encrypt A256KW A256GCM %%DIR%%/oct32.jwk; jwt_handler cookies; }
    location = /by-cookie { jwt_required locations=cookies; jwt_accept nested; try_files /rsa.public =404; }
    $locations
EOF_CONFIG

sub encrypted {
    my ($payload, $name, %more) = @_;
    my ($key, $alg, $enc) = @{ $case{$name} };
    return encode_jwt(payload => $payload, alg => $alg, enc => $enc, key => $public{$key}, %more);
}

sub nested { my ($name, %more) = @_; return encrypted(token($more{claims}, %{ $more{with} || {} }), $name, extra_headers => { cty => 'JWT', %{ $more{header} || {} } }) }

sub check { my ($path, $token, $status, $name) = @_; my $answer = $t->get_with($path, $token); is($answer->{status}, $status, $name); return $answer }

# ---- every way to encrypt, by other libraries

my $claims = claims(level => 2.5, roles => [qw(reader writer)]);
my $shown = $json->encode($claims);

sub check_shown {
    my ($by, $name, $token) = @_;
    my $answer = check('/nested', $token, 200, "$name by $by is taken");
    is_deeply([$answer->{headers}{'x-identity'}, $json->decode($answer->{headers}{'x-claims'} // 'null'), $answer->{headers}{'x-alg'}],
        ['alice', $claims, 'HS256'], "$name by $by shows the claims and the header inside");
    my ($head, @rest) = split /\./, $token;
    substr($rest[2], 3, 1) = substr($rest[2], 3, 1) eq 'A' ? 'B' : 'A';
    check('/nested', join('.', $head, @rest), 422, "$name by $by and then changed is refused");
}

# Crypt::JWT knows not all hashes of OAEP, and makes epk a text where RFC 7518 section 4.6.1.1 has an object.
check_shown('Crypt::JWT', $_, nested($_, claims => $claims)) for grep { !/\AECDH|OAEP-(?:384|512)/ } @cases;

# X448, which neither library has, by its parts.
my $ephemeral = openssl(qw(genpkey -quiet -algorithm X448));
my $shared = openssl(qw(pkeyutl -derive -inkey), temporary_file($ephemeral), '-peerkey', temporary_file($x448{public}));
my $head = base64url($json->encode({ alg => 'ECDH-ES', enc => 'A256GCM', cty => 'JWT', apu => base64url('us'), apv => base64url('them'),
    epk => { kty => 'OKP', crv => 'X448', x => base64url(substr der(openssl('pkey', '-pubout', '-in', temporary_file($ephemeral))), -56) } }));
my $agreed = sha256(pack('N', 1) . $shared . pack('N/a* N/a* N/a* N', 'A256GCM', 'us', 'them', 256));
my ($ciphertext, $tag) = gcm_encrypt_authenticate('AES', $agreed, 'i' x 12, $head, token($claims));
check_shown('hand', 'ECDH-ES/A256GCM/x448', join '.', $head, '', map { base64url($_) } 'i' x 12, $ciphertext, $tag);

SKIP: {
    skip 'node is not installed', 1 unless has_node();
    my $signed = token($claims);
    my @of_jose = grep { !/x448/ } @cases;
    my @tokens = @{ run_node('jose', [map {
        my ($key, $alg, $enc) = @{ $case{$_} };
        { do => 'encrypt', alg => $alg, enc => $enc, jwk => $public{$key}, plaintext => $signed, header => { cty => 'JWT' } }
    } @of_jose]) };
    check_shown('jose', $of_jose[$_], $tokens[$_]) for 0 .. $#of_jose;

    my %issued = map { $_ => $t->get("/issue/$_")->{body} } @of_jose;
    my @verdicts = @{ run_node('jose', [map {
        my ($key, $alg, $enc) = @{ $case{$_} };
        { do => 'decrypt', alg => $alg, enc => $enc, jwk => $jwk{$key}, token => $issued{$_} }
    } @of_jose]) };
    for my $i (0 .. $#of_jose) {
        my $inner = $verdicts[$i]{plaintext} // '';
        my $payload = eval { decode_jwt(token => $inner, key => $secret, accepted_alg => 'HS256') } || {};
        is("@$payload{qw(sub level)}", 'alice 2.5', "$of_jose[$i] issued here is decrypted by jose, and holds a signed token");
        is_deeply([@{ $verdicts[$i]{header} || {} }{qw(cty typ)}], [qw(JWT JWT)], "$of_jose[$i] issued here says that it is nested");
    }
}

for my $name (@cases) {
    my $answer = $t->get("/issue/$name");
    is(scalar(split(/\./, $answer->{body}, -1)), 5, "$name is issued encrypted");
    check('/nested', $answer->{body}, 200, "$name issued here is taken here");
}

# ---- forms

my $signed = token();
my $nested = nested('RSA-OAEP-256/A256GCM/rsa');
my $bare = encrypted(claims(), 'A256KW/A256GCM/oct32');
my $bare_public = encrypted(claims(), 'RSA-OAEP-256/A256GCM/rsa');
my %accepted = ('/signed' => 'signed', '/nested' => 'nested', '/either' => 'signed nested', '/encrypted' => 'bare', '/any' => 'signed nested bare');
for my $path (sort keys %accepted) {
    my %token = (signed => $signed, nested => $nested, bare => $bare, 'bare under a public key' => $bare_public);
    check($path, $token{$_}, $accepted{$path} =~ /\b\Q$_\E\b/ ? 200 : 422, "$path and a $_ token") for sort keys %token;
}
is($t->get_with('/nested', $signed)->{json}{msg}, 'Only encrypted tokens are allowed', 'what is wrong with the form is said');
is($t->get_with('/nested', $bare)->{json}{msg}, 'Encrypted token holds no signed token', 'and with what is in it');
is($t->get_with('/signed', $nested)->{json}{msg}, 'Not enough segments', 'as always where nothing encrypted is wanted');
is($t->get_with('/encrypted', $bare)->{headers}{'x-alg'}, 'A256KW', 'claims that nobody signed come with the header that there is');

check('/pem', $nested, 200, 'a PEM key decrypts');
check('/pem', nested('A256KW/A256GCM/oct32'), 422, 'and its location takes no other');
check('/nested', nested('A256KW/A256GCM/oct32', claims => claims(exp => time - 1)), 401, 'a nested token expires');
is($t->get_with('/encrypted', encrypted(claims(exp => time - 1), 'A256KW/A256GCM/oct32'))->{json}{msg}, 'Token has expired', 'an encrypted one too');
check('/nested', nested('A256KW/A256GCM/oct32', with => { key => 'x' x 64 }), 422, 'what a stranger signed is refused');
check('/nested', nested('A256KW/A256GCM/oct32', header => { iss => 'a' }), 422, 'a repeated claim is there (RFC 7519 section 5.3)');
check('/nested', nested('A256KW/A256GCM/oct32', header => { iss => 'a' }, claims => claims(iss => 'b')), 422, 'and is the same');
check('/nested', nested('A256KW/A256GCM/oct32', header => { iss => 'a' }, claims => claims(iss => 'a')), 200, 'as here');

# ---- Lua and cookies

is($t->get("/decode?token=$nested")->{json}{sub}, 'alice', 'jwt.decode_token decrypts');
is($t->get("/decode?token=$bare")->{json}{sub}, 'alice', 'also what nobody signed');
like($t->get("/decode?token=$bare_public")->{body}, qr/Encrypted token holds no signed token/, 'unless anybody could have encrypted it');
my $cookie = $t->get('/cookies')->cookies->{access_token_cookie}{value};
is(scalar(split(/\./, $cookie, -1)), 5, 'an encrypted token goes into a cookie');
is($t->get('/by-cookie', [Cookie => "access_token_cookie=$cookie"])->{status}, 200, 'and is taken from there');

# ---- configuration

my %files = map { ("$_.jwk" => $json->encode($jwk{$_}), "$_.public" => $json->encode($public{$_})) } keys %jwk;
$files{'enc.jwk'} = $json->encode({ %{ $public{rsa} }, use => 'enc' });
$files{'sig.jwk'} = $json->encode({ %{ $jwk{rsa} }, use => 'sig' });
my $key = qq(jwt_secret_key "$secret";);
for my $row (
    ['an unknown form', 'jwt_accept jwe;', qr/unknown form of token "jwe": write signed, nested, encrypted/, 'jwt_accept signed;'],
    ['a form twice', 'jwt_accept signed signed;', qr/named twice/, 'jwt_accept signed;'],
    ['jwt_accept twice', 'jwt_accept signed; jwt_accept signed;', qr/is duplicate/, 'jwt_accept signed;'],
    ['nothing to decrypt with', "$key location / { jwt_required; jwt_accept nested; }", qr/jwt_accept has no key to decrypt tokens with: write jwt_decryption_key/,
        "$key jwt_decryption_key %%DIR%%/rsa.jwk; location / { jwt_required; jwt_accept nested; }"],
    ['encrypted under a public key (rows 2, 37)', "$key jwt_decryption_key %%DIR%%/rsa.jwk; location / { jwt_required; jwt_accept encrypted; }",
        qr/jwt_accept encrypted needs a secret to decrypt with, as anybody can encrypt under a public key/,
        "$key jwt_decryption_key %%DIR%%/oct32.jwk; location / { jwt_required; jwt_accept encrypted; }"],
    ['a key that is of no use', "$key location / { jwt_required; jwt_decryption_key %%DIR%%/rsa.jwk; }", qr/is of no use here/,
        "$key location / { jwt_required; jwt_accept nested; jwt_decryption_key %%DIR%%/rsa.jwk; }"],
    ['a public key to decrypt with', 'jwt_decryption_key %%DIR%%/rsa.public;', qr/holds no key that decrypts \(RSA 2048-bit public key\)/, 'jwt_decryption_key %%DIR%%/rsa.jwk;'],
    ['a signing key to decrypt with', 'jwt_decryption_key %%DIR%%/sig.jwk;', qr/holds no key that decrypts/, 'jwt_decryption_key %%DIR%%/rsa.jwk;'],
    ['no file', 'jwt_decryption_key %%DIR%%/no.jwk;', qr/cannot be read/, 'jwt_decryption_key %%DIR%%/rsa.jwk;'],
    ['a key for encryption to verify with', 'jwt_public_key %%DIR%%/enc.jwk;', qr/holds no key that verifies/, 'jwt_public_key %%DIR%%/rsa.public;'],
    ['an unknown alg', 'jwt_encrypt RSA1_5 A256GCM %%DIR%%/rsa.public;', qr/unknown algorithm "RSA1_5": write one of dir A128KW/, 'jwt_encrypt RSA-OAEP A256GCM %%DIR%%/rsa.public;'],
    ['an unknown enc', 'jwt_encrypt RSA-OAEP A512GCM %%DIR%%/rsa.public;', qr/unknown content encryption "A512GCM": write one of A128CBC-HS256/, 'jwt_encrypt off;'],
    ['a key that does not fit', 'jwt_encrypt ECDH-ES A256GCM %%DIR%%/rsa.public;', qr/does not encrypt with ECDH-ES and A256GCM: it serves RSA-OAEP/, 'jwt_encrypt ECDH-ES A256GCM %%DIR%%/ES256.public;'],
    ['a secret of another size', 'jwt_encrypt dir A128GCM %%DIR%%/oct32.jwk;', qr/does not encrypt with dir and A128GCM/, 'jwt_encrypt dir A256GCM %%DIR%%/oct32.jwk;'],
    ['a signing key to encrypt with', 'jwt_encrypt RSA-OAEP A128GCM %%DIR%%/sig.jwk;', qr/does not encrypt with RSA-OAEP/, 'jwt_encrypt RSA-OAEP A128GCM %%DIR%%/enc.jwk;'],
) {
    my ($name, $bad, $message, $good) = @$row;
    my ($code, $said) = JWTTest->nginx_t(config => $bad, files => \%files);
    ok($code != 0, "nginx -t refuses $name");
    like($said, $message, "and says why: $name");
    ($code, $said) = JWTTest->nginx_t(config => $good, files => \%files);
    is($code, 0, "and takes it mended: $name") or diag $said;
}

done_testing;
