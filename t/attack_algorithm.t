# Which algorithm a token is judged by (rows 1 to 8 of the attack catalogue): its key decides, never the token.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use Crypt::PK::RSA;
use FindBin;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Token qw(certificate der);

my $json = JSON::PP->new->canonical;
my $secret = $JWTTest::Token::secret;
my @names = qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 ES256K EdDSA Ed25519 Ed448);
my %key = map { $_ => keypair($_) } qw(RS256 ES256 ES384 ES512 ES256K EdDSA Ed448);

sub in_file {
    my ($jwk) = @_;
    return $json->encode($jwk);
}

# Each key alone in a location of its own, which allows every algorithm: name => {the file, what signs, what it serves}.
my %place = (
    rsa => { key => 'RS256', serves => [qw(RS256 RS384 RS512 PS256 PS384 PS512)] },
    p256 => { key => 'ES256', serves => ['ES256'] },
    p384 => { key => 'ES384', serves => ['ES384'] },
    p521 => { key => 'ES512', serves => ['ES512'] },
    secp256k1 => { key => 'ES256K', serves => ['ES256K'] },
    ed25519 => { key => 'EdDSA', serves => [qw(EdDSA Ed25519)] },
    ed448 => { key => 'Ed448', serves => [qw(EdDSA Ed448)] },
    'ed25519-by-name' => { key => 'EdDSA', serves => ['Ed25519'], jwk => { alg => 'Ed25519' } },
    map({ ("rsa-$_" => { key => 'RS256', serves => [$_], jwk => { alg => $_ } }) } qw(RS256 RS384 RS512 PS256 PS384 PS512)),
);
my %file = ('html/inside.txt' => 'inside', 'r.pem' => $key{RS256}{public});
my $locations = '';
for my $name (sort keys %place) {
    my $place = $place{$name};
    my $public = $key{ $place->{key} };
    $file{"$name.key"} = $place->{jwk} ? in_file({ %{ $public->{public_jwk} }, %{ $place->{jwk} } }) : $public->{public};
    $locations .= "location = /$name { jwt_required; jwt_public_key %%DIR%%/$name.key; try_files /inside.txt =404; }\n";
}

# A set whose key "k" of each kind is spoiled by one member, beside a good one; and the same set without the faults.
my $good = keypair('ES256');
my %fault = (
    'use enc' => { use => 'enc' },
    'use of a wrong type' => { use => 1 },
    'key_ops without verify' => { key_ops => ['encrypt'] },
    'key_ops of a private key on a public one' => { key_ops => ['sign'] },
    'key_ops that repeat' => { key_ops => [qw(verify verify)] },
    'key_ops that are no array' => { key_ops => 'verify' },
    'alg of another curve' => { alg => 'ES384' },
    'alg of another key type' => { alg => 'RS256' },
    'alg HS256' => { alg => 'HS256' },
    'alg none' => { alg => 'none' },
    'alg in lower case' => { alg => 'es256' },
    'alg of a wrong type' => { alg => ['ES256'] },
    'crv of another size' => { crv => 'P-384' },
    'crv of another curve of that size' => { crv => 'secp256k1' },
    'crv of another key type' => { crv => 'Ed25519' },
    'kty RSA' => { kty => 'RSA' },
    'kty OKP' => { kty => 'OKP' },
    'kty in lower case' => { kty => 'ec' },
);
sub set_of {
    my (%change) = @_;
    my @others = map { { %{ $key{ES256}{public_jwk} }, kid => $_, %{ $change{$_} } } } sort keys %change;
    return in_file({ keys => [@others, { %{ $good->{public_jwk} }, kid => 'good' }] });
}
$file{'faults.json'} = set_of(%fault);
$file{'mended.json'} = set_of(map { $_ => {} } keys %fault);
$file{'hook.lua'} = "return { decode_key = function() return [[$key{RS256}{public}]] end }";

my $t = JWTTest->new(files => \%file, config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    jwt_decode_algorithms @names;
    $locations
    location = /secret { jwt_required; jwt_secret_key "$secret"; try_files /inside.txt =404; }
    location = /both { jwt_required; jwt_secret_key "$secret"; jwt_public_key %%DIR%%/r.pem; try_files /inside.txt =404; }
    location = /hook { jwt_required; jwt_lua_file %%DIR%%/hook.lua; try_files /inside.txt =404; }
    location = /rs512-only { jwt_required; jwt_public_key %%DIR%%/r.pem; jwt_decode_algorithms RS512; try_files /inside.txt =404; }
    location = /faults { jwt_required; jwt_public_key %%DIR%%/faults.json; try_files /inside.txt =404; }
    location = /mended { jwt_required; jwt_public_key %%DIR%%/mended.json; try_files /inside.txt =404; }
EOF_CONFIG
# The set of faults tells its complaints at [warn], which is no alarm.

my $claims = $json->encode(claims());

# ---- row 1

my $signed = raw_token('{"alg":"HS256"}', $claims);
my ($signature_of_another) = $signed =~ /([^.]+)\z/;
is($t->verdict('/both', $signed), 'inside', 'row 1: the same claims under HS256 are let in');
my @none = map { qq({"alg":$_}) } qw("none" "None" "NONE" "nOnE" "none\u0020" "\u006eone" "none\u0000" ["none"] null 0 "");
for my $header (@none, '{}') {
    my $bare = raw_token($header, $claims, '', 'none');
    my %attempt = (
        'no signature' => $bare,
        'the signature of another token' => $bare . $signature_of_another,
        'its own HMAC' => raw_token($header, $claims),
        'no last dot' => $bare =~ s/\.\z//r,
    );
    is($t->verdict('/both', $attempt{$_}), 422, "row 1: header $header with $_") for sort keys %attempt;
    is($t->verdict('/rsa', $bare), 422, "row 1: header $header with no signature, for an RSA key");
}

# ---- row 2

my $outer = { alg => 'RSA-OAEP', enc => 'A128GCM', key => \$key{RS256}{public} };
my $unsigned = raw_token('{"alg":"none"}', $claims, '', 'none');
my %inside_jwe = (
    'an unsigned token' => $unsigned,
    'bare claims' => $claims,
    'a token signed by the issuer' => raw_token('{"alg":"RS256"}', $claims, $key{RS256}{private}, 'RS256'),
);
for my $content (sort keys %inside_jwe) {
    my $jwe = encode_jwt(%$outer, payload => $inside_jwe{$content}, extra_headers => { cty => 'JWT' });
    is(() = $jwe =~ /\./g, 4, "row 2: a token encrypted to the public key has five parts ($content)");
    is($t->verdict('/rsa', $jwe), 422, "row 2: encrypted to the edge's public key: $content");
}
is($t->verdict('/rsa', $inside_jwe{'a token signed by the issuer'}), 'inside', 'row 2: the same signed token in the open');

# ---- row 3

sub ssh_string { return join '', map { pack 'N/a*', $_ } @_ }

sub encodings {
    my ($pair) = @_;
    my ($pem, $jwk) = @{$pair}{qw(public public_jwk)};
    my ($kty, %number) = ($jwk->{kty}, map { $_ => decode_base64url($jwk->{$_} // '') } qw(n e x y));
    my %encoding = (
        'SPKI PEM' => $pem,
        'SPKI PEM with CRLF' => $pem =~ s/\n/\r\n/gr,
        'SPKI PEM without its last line end' => $pem =~ s/\n\z//r,
        'SPKI PEM after a space' => " $pem",
        'SPKI DER' => der($pem),
        'JWK as served' => JSON::PP->new->canonical->pretty->encode({ %$jwk, use => 'sig', kid => '1' }),
        'JWK minified' => $json->encode($jwk),
        'certificate PEM' => certificate($pair->{private}),
    );
    if ($kty eq 'RSA') {
        $encoding{'PKCS#1 PEM'} = Crypt::PK::RSA->new(\$pem)->export_key_pem('public');
        $encoding{'modulus'} = $number{n};
        $encoding{'SSH line'} = 'ssh-rsa ' . encode_base64(ssh_string('ssh-rsa', $number{e}, "\0$number{n}"), '');
    } elsif ($kty eq 'EC') {
        my $point = "\x04$number{x}$number{y}";
        $encoding{'point'} = $point;
        $encoding{'x'} = $number{x};
        $encoding{'SSH line'} = 'ecdsa-sha2-nistp256 '
            . encode_base64(ssh_string('ecdsa-sha2-nistp256', 'nistp256', $point), '');
    } else {
        $encoding{'x'} = $number{x};
        $encoding{'SSH line'} = 'ssh-ed25519 ' . encode_base64(ssh_string('ssh-ed25519', $number{x}), '');
    }
    return \%encoding;
}

for (['RS256', qw(/rsa /both /hook)], ['ES256', '/p256'], ['EdDSA', '/ed25519']) {
    my ($algorithm, @paths) = @$_;
    my $pair = $key{$algorithm};
    my $native = raw_token(qq({"alg":"$algorithm"}), $claims, $pair->{private}, $algorithm);
    is($t->verdict($_, $native), 'inside', "row 3: $algorithm by the private key of $_") for @paths;
    my $encodings = encodings($pair);
    for my $form (sort keys %$encodings) {
        for my $mac (qw(HS256 HS384 HS512)) {
            my $forged = raw_token(qq({"alg":"$mac"}), $claims, $encodings->{$form}, $mac);
            my @verdicts = map { $t->verdict($_, $forged) } @paths;
            is_deeply(\@verdicts, [(422) x @paths], "row 3: $mac keyed with the $algorithm public key as $form");
        }
    }
}

# ---- row 4

sub check_secret {
    my ($word, %files) = @_;
    return JWTTest->nginx_t(files => \%files, config => <<"EOF_CONFIG", env => { JWT_TEST_SECRET => $key{ES256}{public} });
        location / { jwt_required; jwt_secret_key $word; }
EOF_CONFIG
}

my ($code, $said) = check_secret('file:%%DIR%%/secret', secret => "$secret\n");
is($code, 0, 'row 4: a file with a secret is taken') or diag($said);

my ($rsa_forms, $ec_forms) = (encodings($key{RS256}), encodings($key{ES256}));
my $spki = der($key{RS256}{public});
my @public_text = (
    ['a PEM text', 'an SPKI PEM', $rsa_forms->{'SPKI PEM'}],
    ['a PEM text', 'a PEM after white space', "\n \t$rsa_forms->{'SPKI PEM'}"],
    ['a PEM text', 'a PEM after a byte order mark', "\xef\xbb\xbf$rsa_forms->{'PKCS#1 PEM'}"],
    ['a PEM text', 'a certificate', $rsa_forms->{'certificate PEM'}],
    ['a PEM text', 'a private key', $key{ES256}{private}],
    ['a JWK text', 'a JWK', $ec_forms->{'JWK minified'}],
    ['a JWK text', 'a JWK after white space', "\n  $rsa_forms->{'JWK as served'}"],
    ['a JWK text', 'a JWK Set', in_file({ keys => [$key{RS256}{public_jwk}] })],
    ['an SSH key', 'an ssh-rsa line', $rsa_forms->{'SSH line'}],
    ['an SSH key', 'an ecdsa line after a space', " $ec_forms->{'SSH line'}"],
    ['a DER key', 'an SPKI in DER', $spki],
    ['a DER key', 'an SPKI in DER after a space', " $spki"],
    ['the base64 text of a key', 'the base64 lines of a PEM', encode_base64($spki)],
);
for (@public_text) {
    my ($form, $name, $text) = @$_;
    ($code, $said) = check_secret('file:%%DIR%%/secret', secret => $text);
    isnt($code, 0, "row 4: $name as HMAC secret is refused by nginx -t");
    like($said, qr/is \Q$form\E and no HMAC secret: name its file with jwt_public_key .* in .*nginx\.conf:\d+/,
        'row 4: and told what it is and what to write');
}
for (['env:JWT_TEST_SECRET', 'a PEM text'], ['base64url:' . base64url($spki), 'a DER key'], ['hex:' . unpack('H*', $spki), 'a DER key'],
    [qq("$rsa_forms->{'SSH line'}"), 'an SSH key']) {
    my ($word, $form) = @$_;
    ($code, $said) = check_secret($word);
    isnt($code, 0, 'row 4: a public key is refused as ' . substr($word, 0, 9) . '…');
    like($said, qr/is \Q$form\E and no HMAC secret/, 'row 4: and told what it is');
}

# ---- row 5

my @rsa_names = qw(RS256 RS384 RS512 PS256 PS384 PS512);
my %by_rsa = map { $_ => raw_token(qq({"alg":"$_"}), $claims, $key{RS256}{private}, $_) } @rsa_names;
for my $own (@rsa_names) {
    my %verdict = map { $_ => $t->verdict("/rsa-$own", $by_rsa{$_}) } @rsa_names;
    is_deeply(\%verdict, { map({ $_ => 422 } @rsa_names), $own => 'inside' }, "row 5: a key with alg $own verifies that alone");
}
is($t->verdict('/rs512-only', $by_rsa{RS512}), 'inside', 'row 5: an allowed RS512');
is($t->verdict('/rs512-only', $by_rsa{$_}), 422, "row 5: $_ where only RS512 is allowed") for grep { $_ ne 'RS512' } @rsa_names;

# ---- row 6

# As a signer of that key would come nearest to that algorithm.
sub best_effort {
    my ($name, $own, $private, $public) = @_;
    my $header = qq({"alg":"$name"});
    return raw_token($header, $claims, $public, $name) if $name =~ /\AHS/;
    return raw_token($header, $claims, $private, $name =~ /\AES(?!256K)/ ? $name : 'ES256') if $own =~ /\AES/;
    return raw_token($header, $claims, $private, $name =~ /\A[RP]S/ ? $name : 'RS256') if $own eq 'RS256';
    return raw_token($header, $claims, $private, $own);
}

for my $name (grep { !/\Arsa-/ } sort keys %place) {
    my ($own, $serves) = @{ $place{$name} }{qw(key serves)};
    my %verdict = map { $_ => $t->verdict("/$name", best_effort($_, $own, @{ $key{$own} }{qw(private public)})) } @names;
    is_deeply(\%verdict, { map({ $_ => 422 } @names), map({ $_ => 'inside' } @$serves) },
        "row 6: of all algorithm names, the key $name serves @$serves alone");
}
my %by_secret = map { $_ => $t->verdict('/secret', raw_token(qq({"alg":"$_"}), $claims, $secret, /\AHS/ ? $_ : 'HS256')) } @names;
is_deeply(\%by_secret, { map({ $_ => 422 } @names), map({ $_ => 'inside' } qw(HS256 HS384 HS512)) },
    'row 6: of all algorithm names, a secret serves the HMACs alone');

# ---- row 7

for my $alg ('"rs256"', '"Rs256"', '"RS256 "', '" RS256"', '"RS256\u0000"', '"RS256\u0000none"', '"RS-256"', '"RSA256"', '"SHA256"',
    '"RS256,HS256"', '["RS256"]', '{"a":1}', '{"RS256":"RS256"}', '256', 'true', '"RS256\n"', '"RS2560"', '"RS25"') {
    my $token = raw_token(qq({"alg":$alg}), $claims, $key{RS256}{private}, 'RS256');
    is($t->verdict('/rsa', $token), 422, "row 7: alg $alg, signed as RS256");
}
is($t->verdict('/rsa', raw_token($_, $claims, $key{RS256}{private}, 'RS256')), 'inside', "row 7: header $_")
    for '{"alg":"RS256"}', '{"alg":"\u0052S256"}';

# ---- row 8

for my $fault (sort keys %fault) {
    my $token = token(claims(), alg => 'ES256', key => $key{ES256}{private}, header => { kid => $fault });
    is($t->verdict('/faults', $token), 422, "row 8: a key with $fault verifies nothing");
    is($t->verdict('/mended', $token), 'inside', "row 8: the same key without $fault does");
}
my %of_good = (alg => 'ES256', key => $good->{private});
is($t->verdict('/faults', token(claims(), %of_good, header => { kid => 'good' })), 'inside', 'row 8: the good key of that set works');
is($t->verdict('/faults', token(claims(), %of_good, header => { kid => 'use enc' })), 422,
    'row 8: an unusable key of the right kid is not replaced by another key of the set');

done_testing;
