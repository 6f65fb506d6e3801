# The bytes of a signature (rows 21 to 28 of the attack catalogue), as a client sends them to nginx.

use strict;
use warnings;

use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use Digest::SHA qw(hmac_sha256 hmac_sha384 hmac_sha512 sha1 sha256 sha384);
use FindBin;
use JSON::PP ();
use Math::BigInt;
use MIME::Base64 qw(decode_base64url);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Token qw(openssl temporary_file);

my $json = JSON::PP->new->canonical;
my $secret = $JWTTest::Token::secret;
my %bytes = (ES256 => 32, ES384 => 48, ES512 => 66, ES256K => 32);
my @curves = sort keys %bytes;
my %key = map { $_ => keypair($_) } @curves, qw(RS256 EdDSA Ed448);
my $exponent_3 = openssl(qw(genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_pubexp:3));
my %file = (
    map({ ("$_.pem" => $key{$_}{public}) } keys %key),
    'three.pem' => openssl('pkey', '-pubout', '-in', temporary_file($exponent_3)),
);
my $locations = join '', map { "location = /$_ { jwt_required; jwt_public_key %%DIR%%/$_.pem; try_files /inside.txt =404; }\n" }
    map { s/\.pem\z//r } sort keys %file;

my $t = JWTTest->new(files => { %file, 'html/inside.txt' => 'inside', 'hooks.lua' => <<'EOF_LUA' }, config => <<"EOF_CONFIG");
return { token_in_blocklist = function(header, payload) return payload.jti == "revoked" end }
EOF_LUA
    root %%DIR%%/html;
    jwt_decode_algorithms HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 ES256K EdDSA;
    $locations
    location = /secret { jwt_required; jwt_secret_key "$secret"; try_files /inside.txt =404; }
    location = /blocklist { jwt_required; jwt_public_key %%DIR%%/ES256.pem; jwt_lua_file %%DIR%%/hooks.lua; try_files /inside.txt =404; }
EOF_CONFIG

my $payload = base64url($json->encode(claims()));
sub input { return base64url(qq({"alg":"$_[0]"})) . ".$payload" }
my %input = map { $_ => input($_) } qw(HS256 HS384 HS512 RS256 RS384 PS256 PS384 PS512 EdDSA), @curves;

# What nginx says to the token of that algorithm with this signature.
sub verdict {
    my ($place, $algorithm, $signature) = @_;
    return $t->verdict("/$place", "$input{$algorithm}." . base64url($signature));
}

sub big_endian { my ($number, $size) = @_; return pack 'H*', substr '0' x (2 * $size) . $number->to_hex, -2 * $size }
sub number { return Math::BigInt->from_bytes($_[0]) }

# ---- rows 21 and 22

# n of SEC 2 (2.4.1, 2.4.2, 2.5.1, 2.6.1), p of the same.
my %order = (
    ES256 => 'FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551',
    ES256K => 'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141',
    ES384 => 'F' x 48 . 'C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973',
    ES512 => '01' . 'F' x 65 . 'A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409',
);
my %prime = (
    ES256 => 'FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF',
    ES256K => 'F' x 55 . 'EFFFFFC2F',
    ES384 => 'F' x 63 . 'EFFFFFFFF0000000000000000FFFFFFFF',
    ES512 => '01' . 'F' x 130,
);
my %ecdsa = map { $_ => Crypt::PK::ECC->new(\$key{$_}{private}) } @curves;
sub ecdsa { my ($algorithm) = @_; return $ecdsa{$algorithm}->sign_message_rfc7518($input{$algorithm}, 'SHA' . ($algorithm =~ /(\d+)/)[0]) }

for my $algorithm (@curves) {
    my $size = $bytes{$algorithm};
    my $n = Math::BigInt->from_hex($order{$algorithm});
    my $signature = ecdsa($algorithm);
    my ($r, $s) = map { number($_) } unpack "a$size a$size", $signature;
    is(verdict($algorithm, $algorithm, $signature), 'inside', "rows 21 and 22: a good signature, $algorithm");

    my %special = (
        0 => Math::BigInt->bzero, 1 => Math::BigInt->bone, 'n-1' => $n->copy->bdec, n => $n, 'n+1' => $n->copy->binc,
        p => Math::BigInt->from_hex($prime{$algorithm}), 'all ones' => Math::BigInt->from_hex('FF' x $size),
    );
    my %half = map { $_ => big_endian($special{$_}, $size) } keys %special;
    my @let_in;
    for my $first (sort keys %half) {
        my @accepted = grep { verdict($algorithm, $algorithm, $half{$first} . $half{$_}) ne '422' } sort keys %half;
        push @let_in, map { "r = $first, s = $_" } @accepted;
    }
    is_deeply(\@let_in, [], "row 21: no pair of 0, 1, n-1, n, n+1, p and all ones as r and s, $algorithm");
    my ($good_r, $good_s) = unpack "a$size a$size", $signature;
    my %mixed = (map({ ("good r, s = $_" => $good_r . $half{$_}) } keys %half),
        map({ ("r = $_, good s" => $half{$_} . $good_s) } keys %half));
    is(verdict($algorithm, $algorithm, $mixed{$_}), 422, "row 21: $_, $algorithm") for sort keys %mixed;
    # Of secp256k1 and P-256 no r + n has 32 bytes, save with a chance of 2^-32 and less.
    if ($algorithm eq 'ES512') {
        is(verdict($algorithm, $algorithm, big_endian($r + $n, $size) . $good_s), 422, "row 21: r + n, $algorithm");
        is(verdict($algorithm, $algorithm, $good_r . big_endian($s + $n, $size)), 422, "row 21: s + n, $algorithm");
    }

    my $der = $ecdsa{$algorithm}->sign_message($input{$algorithm}, 'SHA' . ($algorithm =~ /(\d+)/)[0]);
    my %wrong = (
        'no bytes' => '',
        'r alone' => $good_r,
        'a byte short' => substr($signature, 0, -1),
        'a byte short at the front' => substr($signature, 1),
        'a zero byte more' => "$signature\0",
        'a zero byte before' => "\0$signature",
        'each half a zero byte longer' => "\0$good_r\0$good_s",
        'in DER' => $der,
        'in DER, filled up' => substr($der . "\0" x (2 * $size), 0, 2 * $size),
        'twice' => $signature x 2,
        'of 2 KB' => "\0" x (2048 - 2 * $size) . $signature,
        's before r' => $good_s . $good_r,
        'in little endian' => reverse($good_r) . reverse($good_s),
    );
    is(verdict($algorithm, $algorithm, $wrong{$_}), 422, "row 22: a signature $_, $algorithm") for sort keys %wrong;

    my $twin = $good_r . big_endian($n - $s, $size);
    is(verdict($algorithm, $algorithm, $twin), 'inside', "row 23: the twin (r, n-s) verifies, $algorithm");
}

# ---- row 23

for (['wanted', 'inside'], ['revoked', 401]) {
    my ($jti, $wanted) = @$_;
    my $token = token(claims(jti => $jti), alg => 'ES256', key => $ecdsa{ES256});
    my ($signed, $signature) = $token =~ /\A(.*)\.(.*)\z/;
    my ($r, $s) = unpack 'a32 a32', decode_base64url($signature);
    my $twin = "$signed." . base64url($r . big_endian(Math::BigInt->from_hex($order{ES256}) - number($s), 32));
    isnt($twin, $token, "row 23: the twin of the $jti token is another text");
    is($t->verdict('/blocklist', $_), $wanted, "row 23: and what is said of the $jti token is said of it") for $token, $twin, $token;
}

# ---- row 24

# L of RFC 8032 sections 5.1 and 5.2.
my %edwards = (
    EdDSA => { size => 32, order => Math::BigInt->new(2)->bpow(252) + Math::BigInt->new('27742317777372353535851937790883648493'),
        prime => Math::BigInt->new(2)->bpow(255) - 19 },
    Ed448 => { size => 57, order => Math::BigInt->new(2)->bpow(446)
            - Math::BigInt->new('13818066809895115352007386748515426880336692474882178609894547503885'),
        prime => Math::BigInt->new(2)->bpow(448) - Math::BigInt->new(2)->bpow(224) - 1 },
);
sub little_endian { return scalar reverse big_endian(@_) }
my %eddsa_signature = (
    EdDSA => Crypt::PK::Ed25519->new(\$key{EdDSA}{private})->sign_message($input{EdDSA}),
    Ed448 => openssl('pkeyutl', '-sign', '-rawin', '-inkey', temporary_file($key{Ed448}{private}), '-in', temporary_file($input{EdDSA})),
);
for my $place (sort keys %edwards) {
    my ($size, $order, $prime) = @{ $edwards{$place} }{qw(size order prime)};
    my $name = $place eq 'EdDSA' ? 'Ed25519' : 'Ed448';
    my $signature = $eddsa_signature{$place};
    my ($point, $scalar) = unpack "a$size a$size", $signature;
    my $s = number(scalar reverse $scalar);
    my ($zero, $one) = ("\0" x $size, "\1" . "\0" x ($size - 1));
    my $changed = sub { my ($at, $bit) = @_; my $copy = $signature; substr($copy, $at, 1) ^= chr $bit; return $copy };
    is(verdict($place, 'EdDSA', $signature), 'inside', "row 24: a good signature, $name");
    my %wrong = (
        map({ ("S + $_ L" => $point . little_endian($s + $order * $_, $size)) } 1, 2, 3),
        'S = L' => $point . little_endian($order, $size),
        'S = 0' => $point . $zero,
        'S of all ones' => $point . "\xff" x $size,
        'the highest bit of S set' => $changed->(2 * $size - 1, 0x80),
        'the sign of R flipped' => $changed->($size - 1, 0x80),
        'the lowest bit of R flipped' => $changed->(0, 1),
        'R the identity' => $one . $scalar,
        'R the identity, S = 0' => $one . $zero,
        'R the identity encoded as p + 1, S = 0' => little_endian($prime + 1, $size) . $zero,
        'R = 0' => $zero . $scalar,
        'R = p' => little_endian($prime, $size) . $scalar,
        'all zero' => $zero x 2,
        'all ones' => "\xff" x (2 * $size),
        'no bytes' => '',
        'a byte short' => substr($signature, 0, -1),
        'a zero byte more' => "$signature\0",
        'a zero byte before' => "\0$signature",
        'R alone' => $point,
        'S before R' => $scalar . $point,
        'big-endian S' => $point . reverse($scalar),
    );
    is(verdict($place, 'EdDSA', $wrong{$_}), 422, "row 24: $_, $name") for sort keys %wrong;
}
is(verdict('Ed448', 'EdDSA', $eddsa_signature{EdDSA}), 422, 'row 24: the signature of Ed25519 for a key of Ed448');
is(verdict('EdDSA', 'EdDSA', $eddsa_signature{Ed448}), 422, 'row 24: and the other way round');

# ---- row 25

my $rsa = Crypt::PK::RSA->new(\$key{RS256}{private});
my $rsa_file = temporary_file($key{RS256}{private});
for (['PS256', 32], ['PS384', 48], ['PS512', 64]) {
    my ($algorithm, $size) = @$_;
    my $hash = 'SHA' . 8 * $size;
    # The modulus has 256 bytes: salt, hash and two bytes more fill it.
    for my $salt (0, 1, 20, $size - 1, $size, $size + 1, 254 - $size) {
        is(verdict('RS256', $algorithm, $rsa->sign_message($input{$algorithm}, $hash, 'pss', $salt)), $salt == $size ? 'inside' : 422,
            "row 25: $algorithm with a salt of $salt bytes");
    }
    for my $mask (qw(sha1 sha256 sha384 sha512)) {
        my $signature = openssl('dgst', '-' . lc $hash, '-sign', $rsa_file, map({ ('-sigopt', $_) } 'rsa_padding_mode:pss',
            "rsa_pss_saltlen:$size", "rsa_mgf1_md:$mask"), temporary_file($input{$algorithm}));
        is(verdict('RS256', $algorithm, $signature), $mask eq lc $hash ? 'inside' : 422, "row 25: $algorithm with a mask by $mask");
    }
    is(verdict('RS256', $algorithm, $rsa->sign_message($input{$algorithm}, $hash, 'v1.5')), 422,
        "row 25: $algorithm with the padding of PKCS#1 v1.5");
}

# ---- row 26

# The private operation alone: decryption without padding is that.
sub signed_block { return $rsa->decrypt($_[0], 'none') }
sub block { my ($info, $filler, $type) = @_; $filler //= "\xff" x (253 - length $info); return ($type // "\0\1") . $filler . "\0$info" }
sub tlv { my ($tag, $content) = @_; return chr($tag) . chr(length $content) . $content }

my $hash = sha256($input{RS256});
my $sha256_name = pack 'H*', '0609608648016503040201';
my $null = pack 'H*', '0500';
my $info = tlv(0x30, tlv(0x30, $sha256_name . $null) . tlv(0x04, $hash));
is(verdict('RS256', 'RS256', signed_block(block($info))), 'inside', 'row 26: a block as RFC 8017 section 9.2 has it');
my $gap = sub { 253 - length($info) - $_[0] };
my %block = (
    'without NULL parameters' => block(tlv(0x30, tlv(0x30, $sha256_name) . tlv(0x04, $hash))),
    'with parameters other than NULL' => block(tlv(0x30, tlv(0x30, $sha256_name . tlv(0x04, 'x')) . tlv(0x04, $hash))),
    'with rubbish within the parameters' => block(tlv(0x30, tlv(0x30, $sha256_name . tlv(0x05, 'x' x 20)) . tlv(0x04, $hash))),
    'with rubbish after the hash, padding cut short' => "\0\1" . "\xff" x 8 . "\0$info" . "\0" x $gap->(8),
    'with rubbish within the structure' => block(tlv(0x30, tlv(0x30, $sha256_name . $null) . tlv(0x04, $hash) . tlv(0x04, 'x' x 20))),
    'with a length in two bytes' => block("\x30\x81" . substr $info, 1),
    'with a length without end' => block("\x30\x80" . substr($info, 2) . "\0\0"),
    'with the hash in a BIT STRING' => block(tlv(0x30, tlv(0x30, $sha256_name . $null) . tlv(0x03, $hash))),
    'with a hash a byte longer' => block(tlv(0x30, tlv(0x30, $sha256_name . $null) . tlv(0x04, "$hash\0"))),
    'with a hash a byte shorter' => block(tlv(0x30, tlv(0x30, $sha256_name . $null) . tlv(0x04, substr $hash, 0, 31))),
    'with the name of SHA-1 and a hash of SHA-256' => block(tlv(0x30, tlv(0x30, pack('H*', '06052b0e03021a') . $null) . tlv(0x04, $hash))),
    'of SHA-1' => block(tlv(0x30, tlv(0x30, pack('H*', '06052b0e03021a') . $null) . tlv(0x04, sha1($input{RS256})))),
    'of SHA-384' => block(tlv(0x30, tlv(0x30, pack('H*', '0609608648016503040202') . $null) . tlv(0x04, sha384($input{RS256})))),
    'of the bare hash' => block($hash),
    'of an empty structure' => block(''),
    'of type 0' => block($info, "\0" x (253 - length $info), "\0\0"),
    'of type 2' => block($info, undef, "\0\2"),
    'with a first byte of 1' => block($info, undef, "\1\1"),
    'with a zero byte in the padding' => block($info, "\xff" x 20 . "\0" . "\xff" x $gap->(21)),
    'with another byte in the padding' => block($info, "\xff" x 20 . "\xfe" . "\xff" x $gap->(21)),
    'without the zero byte after the padding' => "\0\1" . "\xff" x (254 - length $info) . $info,
    'without padding' => "\0" x (256 - length $info) . $info,
);
is(verdict('RS256', 'RS256', signed_block($block{$_})), 422, "row 26: a block $_") for grep { ord $block{$_} == 0 } sort keys %block;
is(verdict('RS256', 'RS256', $block{'with a first byte of 1'}), 422, 'row 26: a block in the place of a signature');

# Bleichenbacher at CRYPTO 2006: a cube whose front is right, made without the private key.
my $front = "\0\1" . "\xff" x 8 . "\0$info";
my $root = number($front . "\xff" x (256 - length $front))->broot(3);
my $cube = big_endian($root ** 3, 256);
is(substr($cube, 0, length $front), $front, 'row 26: the cube of a number begins like a block');
is(verdict('three', 'RS256', big_endian($root, 256)), 422, 'row 26: that number, for a key of exponent 3');
is(verdict('three', 'RS256', Crypt::PK::RSA->new(\$exponent_3)->sign_message($input{RS256}, 'SHA256', 'v1.5')), 'inside',
    'row 26: a true signature by that key');

# ---- rows 27 and 28

my %whole = (
    RS256 => $rsa->sign_message($input{RS256}, 'SHA256', 'v1.5'),
    PS256 => $rsa->sign_message($input{PS256}, 'SHA256', 'pss', 32),
    HS256 => hmac_sha256($input{HS256}, $secret),
    HS384 => hmac_sha384($input{HS384}, $secret),
    HS512 => hmac_sha512($input{HS512}, $secret),
);
for my $algorithm (sort keys %whole) {
    my $row = $algorithm =~ /\AHS/ ? 28 : 27;
    my $place = $row == 28 ? 'secret' : 'RS256';
    my $signature = $whole{$algorithm};
    my $size = length $signature;
    is(verdict($place, $algorithm, $signature), 'inside', "row $row: a whole signature, $algorithm");
    is($t->verdict("/$place", $input{$algorithm}), 422, "row $row: no signature and no dot, $algorithm");
    is($t->verdict("/$place", "$input{$algorithm}." . base64url($signature) . '.'), 422, "row $row: a dot more, $algorithm");
    my %wrong = (
        map({ ("$_ bytes of it" => substr $signature, 0, $_) } 0, 1, 16, $size / 2, $size - 1),
        'its last byte alone' => substr($signature, -1),
        'all but its first byte' => substr($signature, 1),
        'half of it, filled up with zeros' => substr($signature, 0, $size / 2) . "\0" x ($size / 2),
        'a zero byte before' => "\0$signature",
        'a zero byte more' => "$signature\0",
        'zeros instead' => "\0" x $size,
        'twice' => $signature x 2,
        'its first byte changed' => $signature ^ ("\1" . "\0" x ($size - 1)),
        'its last byte changed' => $signature ^ ("\0" x ($size - 1) . "\1"),
        'backwards' => scalar reverse($signature),
    );
    is(verdict($place, $algorithm, $wrong{$_}), 422, "row $row: $_, $algorithm") for sort keys %wrong;
}
my $modulus = number(decode_base64url($key{RS256}{public_jwk}{n}));
for my $algorithm (qw(RS256 PS256)) {
    my $equal = $modulus + number($whole{$algorithm});
    my $length = (length($equal->to_hex) + 1) >> 1;
    is(verdict('RS256', $algorithm, big_endian($equal, $length)), 422, "row 27: the same number modulo n, in $length bytes, $algorithm");
}
is(verdict('RS256', 'RS256', big_endian($modulus + $_, 256)), 422, "row 27: n + $_ as signature") for -1, 0, 1;
is(verdict('secret', 'HS256', substr $_, 0, 32), 422, 'row 28: a longer HMAC cut to 32 bytes')
    for hmac_sha384($input{HS256}, $secret), hmac_sha512($input{HS256}, $secret);

done_testing;
