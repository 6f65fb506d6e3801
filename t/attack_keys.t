# Keys (rows 9 to 12 and 14 of the attack catalogue): those that must not be loaded, those that a token brings along,
# and how a token names one.

use strict;
use warnings;

use Crypt::PK::ECC;
use Crypt::PK::RSA;
use Digest::SHA qw(sha256);
use FindBin;
use IO::Select;
use IO::Socket::IP;
use JSON::PP ();
use Math::BigInt;
use MIME::Base64 qw(decode_base64url encode_base64);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Token qw(certificate der openssl temporary_file);

my $json = JSON::PP->new->canonical;
my $secret = $JWTTest::Token::secret;
my $rsa = keypair('RS256');
my $ec = keypair('ES256');
my $attacker = keypair('ES256');
# Imported once: that costs more than a signature.
my ($by_ec, $by_attacker) = map { Crypt::PK::ECC->new(\$_->{private}) } $ec, $attacker;

# The test's key with n or e as these bytes in hex, or another member changed.
sub rsa_jwk {
    my (%change) = @_;
    return { %{ $rsa->{public_jwk} }, map { $_ => /\A[ne]\z/ ? base64url(pack 'H*', $change{$_}) : $change{$_} } keys %change };
}

sub okp_jwk {
    my ($crv, $hex) = @_;
    return { kty => 'OKP', crv => $crv, x => base64url(pack 'H*', $hex) };
}

sub secret_jwk {
    my ($bytes, %more) = @_;
    return { kty => 'oct', k => base64url($bytes), %more };
}

sub pem_of {
    my (@kind) = @_;
    my $pair = temporary_file(openssl('genpkey', '-quiet', '-algorithm', @kind));
    return openssl('pkey', '-pubout', '-in', $pair);
}

# ---- rows 9 and 10: keys that nobody may sign with

my $small_rsa = openssl(qw(genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024));
my $bits = qr/has an RSA modulus of \d+ bits: use one of 2048 to 8192 bits \(RFC 7518 §3.3\)/;
my $exponent = qr/has an RSA exponent that is even, below 3 or longer than 33 bits: use 65537/;
my $short = qr/has \d+ bytes?, HS\d+ needs at least \d+: make one with "openssl rand/;
my $small_order = qr/has a point of small order, for which anybody can make signatures/;
my $off_curve = qr/has a point that is not on its curve/;

my %weak = (
    'RSA of 1024 bits' => [Crypt::PK::RSA->new(\$small_rsa)->export_key_jwk('public', 1), $bits],
    'RSA of 2047 bits' => [rsa_jwk(n => '7f' . 'ff' x 255), $bits],
    'RSA of 8193 bits' => [rsa_jwk(n => '01' . '00' x 1023 . '01'), $bits],
    'RSA of 16384 bits with an exponent of 64' => [rsa_jwk(n => 'ff' x 2048, e => 'ff' x 8),
        qr/has a member "n" that is too long/],
    'RSA without modulus' => [rsa_jwk(n => ''), qr/has an RSA modulus of 0 bits|do not make one/],
    'RSA with an even modulus' => [rsa_jwk(n => 'ff' x 255 . 'fe'), qr/has an even RSA modulus/],
    'RSA with exponent 0' => [rsa_jwk(e => '00'), $exponent],
    'RSA with exponent 1' => [rsa_jwk(e => '01'), $exponent],
    'RSA with exponent 2' => [rsa_jwk(e => '02'), $exponent],
    'RSA with an even exponent' => [rsa_jwk(e => '010000'), $exponent],
    'RSA with an exponent of 34 bits' => [rsa_jwk(e => '0200000001'), $exponent],
    'RSA with an exponent as long as its modulus' => [rsa_jwk(e => '7f' . 'ff' x 255), $exponent],
    # A power of 65537 has the fingerprint by its definition.
    'RSA with the fingerprint of ROCA' => [rsa_jwk(n => '0' . Math::BigInt->new(65537)->bpow(128)->to_hex),
        qr/has the fingerprint of CVE-2017-15361 \(ROCA\).*make a new one/],
    'EC of empty coordinates' => [{ %{ $ec->{public_jwk} }, x => '', y => '' }, qr/has a member "x" of 0 bytes, where its curve has 32/],
    'EC of zero coordinates' => [{ %{ $ec->{public_jwk} }, map { $_ => base64url("\0" x 32) } qw(x y) }, $off_curve],
    'EC off its curve' => [{ %{ $ec->{public_jwk} }, y => $attacker->{public_jwk}{y} }, $off_curve],
    'EC on the curve of another name' => [{ %{ $ec->{public_jwk} }, crv => 'secp256k1' }, $off_curve],
    'an HMAC secret of 0 bytes' => [secret_jwk('', alg => 'HS256'), $short],
    'an HMAC secret of 1 byte' => [secret_jwk('x', alg => 'HS256'), $short],
    'an HMAC secret of 31 bytes' => [secret_jwk('x' x 31, alg => 'HS256'), $short],
    'an HMAC secret of 31 bytes without alg' => [secret_jwk('y' x 31), $short],
    'an HMAC secret of 63 bytes for HS512' => [secret_jwk('z' x 63, alg => 'HS512'), $short],
    'Ed25519 of order 1' => [okp_jwk('Ed25519', '01' . '00' x 31), $small_order],
    'Ed25519 of order 2' => [okp_jwk('Ed25519', 'ec' . 'ff' x 30 . '7f'), $small_order],
    'Ed25519 of order 4' => [okp_jwk('Ed25519', '00' x 32), $small_order],
    'Ed25519 of order 4, the other' => [okp_jwk('Ed25519', '00' x 31 . '80'), $small_order],
    'Ed25519 of order 8' => [okp_jwk('Ed25519', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'), $small_order],
    'Ed25519 of order 8, the other' => [okp_jwk('Ed25519', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'), $small_order],
    'Ed25519 of order 1 with the sign of zero' => [okp_jwk('Ed25519', '01' . '00' x 30 . '80'), $off_curve],
    'Ed25519 of order 1, encoded as p + 1' => [okp_jwk('Ed25519', 'ee' . 'ff' x 30 . '7f'), $off_curve],
    'Ed25519 off its curve' => [okp_jwk('Ed25519', '02' . '00' x 31), $off_curve],
    'Ed25519 of 31 bytes' => [okp_jwk('Ed25519', '03' x 31), qr/has a member "x" of 31 bytes, where its curve has 32/],
    'Ed448 of order 1' => [okp_jwk('Ed448', '01' . '00' x 56), $small_order],
    'Ed448 of order 2' => [okp_jwk('Ed448', 'fe' . 'ff' x 27 . 'fe' . 'ff' x 27 . '00'), $small_order],
    'Ed448 of order 4' => [okp_jwk('Ed448', '00' x 57), $small_order],
    'X25519' => [okp_jwk('X25519', '09' . '00' x 31), qr/is of kty "OKP" on crv "X25519": .*OKP has Ed25519 and Ed448/],
);

sub check {
    my ($directives, %files) = @_;
    return JWTTest->nginx_t(files => \%files, config => <<"EOF_CONFIG");
        jwt_decode_algorithms HS256 HS384 HS512 RS256 ES256 EdDSA;
        location / { jwt_required; $directives }
EOF_CONFIG
}

for my $name (sort keys %weak) {
    my ($jwk, $message) = @{ $weak{$name} };
    my $row = $name =~ /16384|34 bits|as long/ ? 10 : 9;
    my $directive = $jwk->{kty} eq 'oct' ? 'jwt_private_key' : 'jwt_public_key';
    my ($code, $said) = check("$directive %%DIR%%/key.json;", 'key.json' => $json->encode($jwk));
    isnt($code, 0, "row $row: $name is refused by nginx -t");
    like($said, qr/\[emerg\] $directive "[^"]*" $message/, "row $row: $name: and nginx -t says why");
}

# ---- the same in a set: they verify nothing, and their good neighbour still works

my $padding = "\0\1" . "\xff" x 202 . "\0" . pack 'H*', '3031300d060960864801650304020105000420';
sub forged {
    my ($alg, $kid, $sign) = @_;
    my $input = join '.', map { base64url($json->encode($_)) } { alg => $alg, kid => $kid }, claims();
    return "$input." . base64url($sign->($input));
}
my $identity_point = sub { "\1" . "\0" x 63 };

my %forgery = (
    'RSA of 1024 bits' => ['RS256', sub { Crypt::PK::RSA->new(\$small_rsa)->sign_message($_[0], 'SHA256', 'v1.5') }],
    'RSA with exponent 1' => ['RS256', sub { $padding . sha256($_[0]) }],
    'EC of empty coordinates' => ['ES256', sub { "\1" x 64 }],
    'EC of zero coordinates' => ['ES256', sub { "\1" x 64 }],
    'EC off its curve' => ['ES256', sub { "\1" x 64 }],
    map({ ($_ => ['EdDSA', $identity_point]) } grep { /\AEd25519/ } keys %weak),
    map({ ($_ => ['EdDSA', sub { "\1" . "\0" x 113 }]) } grep { /\AEd448/ } keys %weak),
);
my %short_secret = map { $_ => $weak{$_}[0] } grep { /\Aan HMAC/ } keys %weak;
my @weak_public = map { { %{ $weak{$_}[0] }, kid => $_ } } grep { !$short_secret{$_} } sort keys %weak;

my @strange_kids = ('../../dev/null', q{' OR 1=1--}, "a\r\nDEL x", '%n%s%p', "k\0", "\0", ' k', 'k ', 'K', '', '*', '$jwt_identity',
    'k' x 1024, "\x{e9}\x{4e2d}");
my $json_text = JSON::PP->new->canonical->utf8;

my %sets = (
    'weak.json' => { keys => [@weak_public, { %{ $ec->{public_jwk} }, kid => 'good' }] },
    'short.json' => { keys => [
        map({ { %{ $short_secret{$_} }, kid => $_ } } sort keys %short_secret),
        secret_jwk($secret, kid => 'good', alg => 'HS256'),
    ] },
    'one.json' => { keys => [{ %{ $ec->{public_jwk} }, kid => 'k' }] },
    'strange.json' => { keys => [map { { %{ $ec->{public_jwk} }, kid => $_ } } @strange_kids] },
    'attacker.json' => { keys => [{ %{ $attacker->{public_jwk} }, kid => 'k' }] },
);
my %file = ('html/inside.txt' => 'inside', map { $_ => $json_text->encode($sets{$_}) } keys %sets);
my $t = JWTTest->new(files => \%file, config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    jwt_decode_algorithms HS256 HS512 RS256 ES256 EdDSA;
    location = /weak { jwt_required; jwt_public_key %%DIR%%/weak.json; try_files /inside.txt =404; }
    location = /short { jwt_required; jwt_private_key %%DIR%%/short.json; try_files /inside.txt =404; }
    location = /one { jwt_required; jwt_public_key %%DIR%%/one.json; try_files /inside.txt =404; }
    location = /strange { jwt_required; jwt_public_key %%DIR%%/strange.json; try_files /inside.txt =404; }
    location = /secret { jwt_required; jwt_secret_key "$secret"; proxy_set_header X-Kid \$jwt_header_kid; proxy_pass %%BACKEND%%; }
EOF_CONFIG

my $complaints = $t->read_file('stderr.log') . $t->log;
for my $name (sort keys %weak) {
    my @lines = grep { /\(kid "\Q$name\E"\) $weak{$name}[1]/ } split /\n/, $complaints;
    ok(scalar @lines, "row 9: the log names the key left out of its set: $name");
}
for my $name (sort keys %forgery) {
    my ($alg, $sign) = @{ $forgery{$name} };
    is($t->verdict('/weak', forged($alg, $name, $sign)), 422, "row 9: forged for $name");
}
is($t->verdict('/weak', token(claims(), key => $by_ec, alg => 'ES256', header => { kid => 'good' })), 'inside',
    'row 9: the good key of that set works');
for my $name (sort keys %short_secret) {
    my $jwk = $short_secret{$name};
    my $alg = $jwk->{alg} || 'HS256';
    my $header = $json->encode({ alg => $alg, kid => $name });
    my $token = raw_token($header, $json->encode(claims()), decode_base64url($jwk->{k}), $alg);
    is($t->verdict('/short', $token), 422, "row 9: signed with $name");
}
is($t->verdict('/short', token(claims(), header => { kid => 'good' })), 'inside', 'row 9: the good secret of that set works');

# ---- row 9, keys that are no JWK, and key directives that say what to write instead

my $unencrypted = temporary_file($rsa->{private});
my $explicit_curve = openssl(qw(genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit));
my ($public, $private) = map { "jwt_$_\_key %%DIR%%/key;" } qw(public private);
my @mistakes = (
    ['an empty secret', 'jwt_secret_key "";',
        qr/jwt_secret_key has 0 bytes, HS256 needs at least 32: make one with "openssl rand/],
    ['an empty secret file', 'jwt_secret_key file:%%DIR%%/key;', qr/jwt_secret_key has 0 bytes/, ''],
    ['a secret of one line end', 'jwt_secret_key file:%%DIR%%/key;', qr/jwt_secret_key has 0 bytes/, "\n"],
    ['an empty hex secret', 'jwt_secret_key hex:;', qr/jwt_secret_key has 0 bytes/],
    ['a secret too short for an allowed algorithm', qq(jwt_secret_key "@{['s3cret' x 8]}";),
        qr/jwt_secret_key has 48 bytes, HS512 needs at least 64/],
    ['a public PEM of 1024 bits', $public, $bits, openssl('pkey', '-pubout', '-in', temporary_file($small_rsa))],
    ['a private PEM of 1024 bits', $private, $bits, $small_rsa],
    ['a certificate of 1024 bits', $public, $bits, certificate($small_rsa)],
    ['a curve spelt out', $public, qr/spells out its curve: use a named curve/, $explicit_curve],
    ['a curve of no algorithm', $public,
        qr/use P-256, P-384, P-521 or secp256k1/, pem_of(qw(EC -pkeyopt ec_paramgen_curve:brainpoolP256r1))],
    ['a key of a type that does not sign', $public,
        qr/is of type X25519, which makes no JWT signatures: use RSA, EC, Ed25519 or Ed448/, pem_of('X25519')],
    ['an encrypted private key', $private,
        qr/is encrypted: write it unencrypted with "openssl pkey/, openssl('pkey', '-aes128', '-passout', 'pass:x', '-in', $unencrypted)],
    ['an OpenSSH private key', $private, qr/is in OpenSSH's format: convert a copy with "ssh-keygen/,
        "-----BEGIN OPENSSH PRIVATE KEY-----\n" . encode_base64("openssh-key-v1\0") . "-----END OPENSSH PRIVATE KEY-----\n"],
    ['an SSH public key', $public,
        qr/is an SSH key: convert it with "ssh-keygen -e -m PKCS8/, "ssh-rsa AAAAB3NzaC1yc2E= me\@example"],
    ['a key in DER', $public, qr/is neither PEM nor a JWK nor a JWK Set/, der($rsa->{public})],
    ['a PEM cut short', $public, qr/is damaged: PEM block 1 cannot be read/, substr $rsa->{public}, 0, 200],
    ['an empty key file', $public, qr/is empty/, ''],
    ['a key file that is not there', 'jwt_public_key %%DIR%%/nowhere;',
        qr/nowhere" cannot be read \(2: No such file/],
    ['an empty set', $public, qr/holds no keys/, '{"keys":[]}'],
    ['a set that is no array', $public, qr/has a member "keys" that is no array/, '{"keys":{}}'],
    ['a set of weak keys alone', $public,
        qr/holds no usable key: key 1 has an RSA exponent/, $json->encode({ keys => [rsa_jwk(e => '01')] })],
    ['two keys of one kid', $public, qr/holds two keys of kid "k": give each its own/,
        $json->encode({ keys => [map { { %{ $_->{public_jwk} }, kid => 'k' } } $rsa, $ec] })],
    ['a secret as public key', $public,
        qr/holds a secret, which is no public key: write jwt_private_key/, $json->encode(secret_jwk($secret))],
    ['a public key as private key', $private, qr/holds no private key: write jwt_public_key/, $rsa->{public}],
    ['an alg the key cannot have', $public,
        qr/has alg ES256, which does not fit it: it serves RS256/, $json->encode(rsa_jwk(alg => 'ES256'))],
    ['halves of different keys', $private, qr/has a private half that does not match its public half/,
        $json->encode({ %{ $ec->{private_jwk} }, map { $_ => $attacker->{public_jwk}{$_} } qw(x y) })],
    ['a key for another algorithm', 'jwt_decode_algorithms ES384; jwt_public_key %%DIR%%/key;',
        qr/which ES384 cannot use: write jwt_algorithm or jwt_decode_algorithms with one of ES256/, $ec->{public}],
    ['a secret for public-key algorithms', qq(jwt_decode_algorithms RS256; jwt_secret_key "$secret";),
        qr/jwt_secret_key cannot be used with RS256: write jwt_decode_algorithms with one of HS256/],
    ['the algorithm none', 'jwt_algorithm none;', qr/unknown algorithm "none": write one of HS256/],
    ['the algorithm none among others', 'jwt_decode_algorithms HS256 none;',
        qr/unknown algorithm "none": write one of HS256/],
    ['no key at all', '', qr/jwt_required has no key to verify tokens with: write jwt_secret_key, jwt_public_key or jwt_key_request/],
);
for (@mistakes) {
    my ($name, $directives, $message, $content) = @$_;
    my ($code, $said) = check($directives, key => $content // '');
    isnt($code, 0, "row 9: $name is refused by nginx -t");
    like($said, qr/\[emerg\] .*$message.* in \S+nginx\.conf:\d+/, "row 9: $name: and nginx -t says what is wrong and where");
    unlike($said, qr/s3cret/, "row 9: $name: and repeats no secret");
}
for (
    [$public, $rsa->{public}],
    [$public, certificate($ec->{private})],
    ["jwt_algorithm RS256; $private", $rsa->{private}],
    [$private, $json->encode(secret_jwk('x' x 32, alg => 'HS256'))],
    [$public, $json->encode(rsa_jwk(n => '80' . '00' x 254 . '01'))],
    [$public, $json->encode(rsa_jwk(n => 'ff' x 1024))],
    [$public, $json->encode(rsa_jwk(e => '01ffffffff'))],
    [$public, $json->encode(rsa_jwk(e => '03'))],
) {
    my ($directives, $content) = @$_;
    my ($code, $said) = check($directives, key => $content);
    is($code, 0, 'rows 9 and 10: a sound key is taken: ' . substr($content, 0, 40) =~ s/\n//gr) or diag($said);
}

# ---- row 11

my %attackers_key = (
    ES256 => [$by_attacker, $attacker->{public_jwk}],
    HS256 => ['an attacker may choose any secret', secret_jwk('an attacker may choose any secret')],
);
for my $alg (sort keys %attackers_key) {
    my ($key, $jwk) = @{ $attackers_key{$alg} };
    for my $kid ('k', 'theirs', undef) {
        my %header = (jwk => { %$jwk, kid => $kid // 'k' }, defined $kid ? (kid => $kid) : ());
        my $named = defined $kid ? "kid $kid" : 'no kid';
        is($t->verdict('/one', token(claims(), key => $key, alg => $alg, header => \%header)), 422,
            "row 11: $alg by the key in its own header, $named");
    }
}
is($t->verdict('/one', token(claims(), key => $by_ec, alg => 'ES256', header => { kid => 'k', jwk => $attacker->{public_jwk} })), 'inside',
    'row 11: the configured key decides, whatever jwk stands in the header');

# ---- row 12

my %listener = map { $_ => IO::Socket::IP->new(LocalHost => $_, LocalPort => 0, Listen => 64) } '127.0.0.1', '::1';
ok($listener{'127.0.0.1'}, 'row 12: a listener waits');
my @addresses = map { my $port = $listener{$_}->sockport; /:/ ? "[$_]:$port" : "$_:$port" } grep { $listener{$_} } sort keys %listener;
my $chain = [map { s/-----[^-]+-----|\s//gr } certificate($attacker->{private})];
my $attackers_file = $t->dir . '/attacker.json';
my @places = (
    map({ my $address = $_; map { "$_://$address/jwks.json" } qw(http https ftp gopher) } @addresses),
    "file://$attackers_file", $attackers_file, '/one', 'data:application/json,' . $json->encode($sets{'attacker.json'}),
);
my @outside = (
    (map { ({ jku => $_ }, { x5u => $_ }) } @places),
    (map { ({ x5c => $_ }) } $chain, [@$chain, @$chain], $chain->[0]),
    { x5c => $chain, x5t => base64url(sha256($chain->[0])) },
);
for my $header (@outside) {
    my $text = substr $json->encode($header), 0, 60;
    for my $kid ({}, { kid => 'k' }) {
        my %named = (%$header, %$kid);
        my $as = $kid->{kid} ? 'kid k' : 'no kid';
        is($t->verdict('/one', token(claims(), key => $by_attacker, alg => 'ES256', header => \%named)), 422, "row 12: $text, $as");
        is($t->verdict('/one', token(claims(), key => $by_ec, alg => 'ES256', header => \%named)), 'inside',
            "row 12: by the configured key, whatever else its header names: $text, $as");
    }
}
my $select = IO::Select->new(grep { defined } values %listener);
is_deeply([$select->can_read(0.1)], [], 'row 12: nobody was asked for a key');
IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $listener{'127.0.0.1'}->sockport) or die "connect: $!";
is(scalar(my @connected = $select->can_read(5)), 1, 'row 12: and the listener would have noticed');

# ---- row 14

sub named { my ($kid, %with) = @_; return token(claims(), key => $by_ec, alg => 'ES256', %with, header => { kid => $kid }) }
for my $kid (@strange_kids) {
    my $text = JSON::PP->new->ascii->encode([substr $kid, 0, 24]);
    is($t->verdict('/one', named($kid)), 422, "row 14: kid $text selects no key of another kid");
    is($t->verdict('/strange', named($kid)), 'inside', "row 14: kid $text selects the key of exactly that kid");
    is($t->verdict('/strange', named($kid, key => $by_attacker)), 422, "row 14: kid $text lets no other key in");
}
is($t->verdict('/one', named('k')), 'inside', 'row 14: the kid k selects the key k');
for my $kid (qw(1 null true [] {} ["k"] {"k":1})) {
    my $token = raw_token(qq({"alg":"ES256","kid":$kid}), $json->encode(claims()), $ec->{private}, 'ES256');
    is($t->verdict('/one', $token), 422, "row 14: kid $kid is no string");
}
for my $kid ('k' x 1025, 'k' x 4096) {
    is($t->verdict('/one', named($kid)), 422, 'row 14: a kid of ' . length($kid) . ' bytes');
    is($t->get_with('/secret', token(claims(), header => { kid => $kid }))->{status}, 422, 'row 14: and where keys have no kid');
}
is($t->get_with('/secret', raw_token('{"alg":"HS256","kid":"../../dev/null"}', $json->encode(claims()), '', 'HS256'))->{status}, 422,
    'row 14: the kid of an empty file, and its content as the secret');
for my $kid ("a\r\nX-Admin: yes", "a\nX-Admin: yes\r\n\r\nGET /admin HTTP/1.1", "a\0b") {
    my $response = $t->get_with('/secret', token(claims(), header => { kid => $kid }));
    is($response->{status}, 200, 'row 14: a good token with a kid of control characters: ' . $json->encode([$kid]));
    my %sent = map { lc $_->[0] => $_->[1] } @{ $response->{json}{headers} || [] };
    ok(!exists $sent{'x-admin'}, 'row 14: adds no header line to the request passed on');
    unlike($sent{'x-kid'} // '', qr/[\x00-\x1f]/, 'row 14: and none of those characters');
}
my %passed_on = map { @$_ } @{ $t->get_with('/secret', token(claims(), header => { kid => 'plain' }))->{json}{headers} };
is($passed_on{'X-Kid'}, 'plain', 'row 14: a plain kid is passed on');
unlike($t->log, qr/X-Admin|DEL x|1=1/, 'row 14: no kid in the log');

done_testing;
