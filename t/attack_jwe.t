# Encrypted tokens (rows 2, 8, 37, 39, 40 and 52 to 59 of the attack catalogue). The same in bytes: t/unit/jwe_test.cpp.

use strict;
use warnings;

use Compress::Raw::Zlib qw(Z_OK MAX_WBITS);
use Crypt::AuthEnc::GCM qw(gcm_encrypt_authenticate);
use Crypt::JWT qw(encode_jwt);
use Crypt::Mode::CBC;
use Digest::SHA qw(hmac_sha256);
use FindBin;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(decode_base64url);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $json = JSON::PP->new->canonical->utf8;
my $secret = $JWTTest::Token::secret;
my ($rsa, $ec, $other) = (keypair('RS256'), keypair('ES256'), keypair('ES256'));
my %shared = map { $_ => join '', map { chr(33 + ($_ * 13) % 90) } 1 .. $_ } 16, 32;
sub secret_jwk { my ($bytes, %more) = @_; return { kty => 'oct', k => base64url($bytes), use => 'enc', %more } }

my $t = JWTTest->new(files => {
    'rsa.jwk' => $json->encode({ %{ $rsa->{private_jwk} }, use => 'enc' }), 'rsa.pub' => $rsa->{public},
    'ec.jwk' => $json->encode({ %{ $ec->{private_jwk} }, use => 'enc' }),
    map({ ("oct$_.jwk" => $json->encode(secret_jwk($shared{$_}))) } keys %shared),
    'mixed.jwks' => $json->encode({ keys => [{ %{ $other->{public_jwk} }, kid => 'k', use => 'enc' }, { %{ $ec->{public_jwk} }, kid => 'l' }] }),
    'inside' => 'inside',
    'hooks.lua' => 'local jwt = require "jwt"; return { handlers = { issue = function(request) '
        . 'local t = {}; for i = 1, tonumber(request.args.count) do t[i] = jwt.create_access_token("a") end; return t end } }',
}, config => <<"EOF_CONFIG");
    root %%DIR%%;
    jwt_secret_key "$secret";
    jwt_decryption_key %%DIR%%/rsa.jwk;
    jwt_decryption_key %%DIR%%/ec.jwk;
    jwt_decryption_key %%DIR%%/oct16.jwk;
    jwt_decryption_key %%DIR%%/oct32.jwk;
    location = /signed { jwt_required; try_files /inside =404; }
    location = /nested { jwt_required; jwt_accept nested; try_files /inside =404; }
    location = /encrypted { jwt_required; jwt_accept encrypted; try_files /inside =404; }
    location = /any { jwt_required; jwt_accept signed nested encrypted; try_files /inside =404; }
    location = /public { jwt_required; jwt_public_key %%DIR%%/mixed.jwks; jwt_algorithm ES256; try_files /inside =404; }
    location = /issue { jwt_encrypt A256GCMKW A256GCM %%DIR%%/oct32.jwk; jwt_lua_file %%DIR%%/hooks.lua; jwt_handler issue; }
EOF_CONFIG

sub accepted { my ($path, $token, $name) = @_; is($t->get_with($path, $token)->{status}, 200, $name) }
sub refused {
    my ($path, $token, $message, $name) = @_;
    my $answer = $t->get_with($path, $token);
    is("$answer->{status} " . ($answer->{json}{msg} // ''), "422 $message", $name);
}

# A JWE under a secret that encrypts the content itself, of these very parts.
sub sealed {
    my ($header, $plaintext, %part) = @_;
    my $head = base64url(ref $header ? $json->encode($header) : $header);
    my $iv = $part{iv} // 'i' x 12;
    my ($ciphertext, $tag) = gcm_encrypt_authenticate('AES', $part{key} // $shared{32}, $iv, $head, $plaintext);
    return join '.', $head, map { base64url($_) } $part{encrypted_key} // '', $iv, $ciphertext, defined $part{tag} ? $part{tag}->($tag) : $tag;
}
sub jwe { my ($key, $alg, $payload, %more) = @_; return encode_jwt(payload => $payload, key => $key, alg => $alg, enc => 'A256GCM', extra_headers => { cty => 'JWT', %more }) }
my %dir = (alg => 'dir', enc => 'A256GCM');
my $good = token();
my $failed = 'Decryption failed';
my $unsigned = 'Encrypted token holds no signed token';

accepted('/nested', sealed({ %dir, cty => 'JWT' }, $good), 'a token of the parts that are changed below');
accepted('/encrypted', sealed(\%dir, $json->encode(claims())), 'and one of bare claims');

# ---- rows 2 and 37: who vouches for what is encrypted

my $public = $rsa->{public_jwk};
my $none = raw_token('{"alg":"none"}', $json->encode(claims()), '', 'none');
accepted('/nested', jwe($public, 'RSA-OAEP', $good), 'row 2: a signed token under a public key');
for my $path (qw(/nested /any)) {
    refused($path, jwe($public, 'RSA-OAEP', $none), 'The specified alg value is not allowed', "row 2: $path: alg none under a public key");
    refused($path, jwe($public, 'RSA-OAEP', $none =~ s/\.[^.]*\z//r), $unsigned, "row 2: $path: two parts");
    refused($path, jwe($public, 'RSA-OAEP', token(claims(), key => 'x' x 64)), 'Signature verification failed', "row 2: $path: a stranger's signature");
    refused($path, jwe($public, 'RSA-OAEP', $json->encode(claims())), $unsigned, "row 2: $path: claims that say to be a token");
    refused($path, jwe($public, 'RSA-OAEP', claims(), cty => 'json'), $unsigned, "row 2: $path: claims under a public key");
    refused($path, jwe($shared{32}, 'A256KW', token(claims(), key => $rsa->{public}, alg => 'HS256')), 'Signature verification failed',
        "row 2: $path: a token signed with the public key as secret");
}
refused('/encrypted', jwe($public, 'RSA-OAEP', claims(), cty => 'json'), $unsigned, 'row 37: claims under a public key where encrypted ones are taken');
refused('/encrypted', jwe($shared{32}, 'A256KW', $good), $unsigned, 'row 37: a nested token there');
refused('/nested', sealed(\%dir, $json->encode(claims())), $unsigned, 'row 37: bare claims where nested ones are taken');
refused('/signed', $_, 'Not enough segments', 'row 37: five parts where signed ones are taken')
    for jwe($public, 'RSA-OAEP', $good), jwe($shared{32}, 'A256KW', $good), sealed(\%dir, $json->encode(claims()));
refused('/nested', $good, 'Only encrypted tokens are allowed', 'row 37: three parts where nested ones are taken');
my $posing = raw_token($json->encode({ alg => 'HS256', enc => 'A128GCM', cty => 'JWT' }), $json->encode(claims()), $secret);
accepted('/signed', $posing, 'row 37: a signed token stays one, whatever enc it has');
refused('/nested', $posing, 'Only encrypted tokens are allowed', 'row 37: and is no encrypted one');
refused($_, raw_token($json->encode(\%dir), $json->encode(claims()), $shared{32}), 'The specified alg value is not allowed', "row 37: $_: a MAC under alg dir")
    for qw(/signed /any);

# ---- row 8: a key for encryption verifies nothing

accepted('/public', token(claims(), key => $ec->{private}, alg => 'ES256', header => { kid => 'l' }), 'row 8: the key for signatures of a set');
refused('/public', token(claims(), key => $other->{private}, alg => 'ES256', header => { kid => 'k' }), 'Signature verification failed', 'row 8: its key for encryption');

# ---- rows 39 and 40: how deep, how long

my $nested = $good;
for my $depth (1 .. 6) {
    $nested = sealed({ %dir, cty => 'JWT' }, $nested);
    $depth == 1 ? accepted('/any', $nested, 'row 39: depth 1') : refused('/any', $nested, $unsigned, "row 39: depth $depth");
}
my $twice = raw_token('{"alg":"HS256","cty":"JWT"}', $json->encode($good), $secret);
refused('/nested', sealed({ %dir, cty => 'JWT' }, $twice), 'Invalid payload string: must be a json object', 'row 39: a token in a token in a token');
refused('/nested', sealed({ %dir, cty => $_ }, $good), $unsigned, 'row 39: cty ' . $json->encode([$_])) for '', 'JW', 'application/jwe', '+jwt', 'text/at+jwt', 'at+jwt2', 1, ['JWT'];
refused('/nested', sealed(\%dir, $good), $unsigned, 'row 39: no cty');
accepted('/nested', sealed({ %dir, cty => 'jwt' }, $good), 'row 39: media types know no case');
accepted('/nested', sealed({ %dir, cty => 'at+jwt' }, $good), 'row 39: an access token is a JWT too');
refused('/any', $_, 'Not enough segments', 'row 40: ' . length($_) . ' bytes of dots') for '...', '.' x 5, '.' x 8000;

# ---- rows 52, 53 and 57: what is never done

my $wrapped = jwe($shared{32}, 'A256KW', $good);
sub with_header { my ($header) = @_; return $wrapped =~ s/\A[^.]*/base64url($json->encode({ enc => 'A256GCM', cty => 'JWT', %$header }))/er }
for my $p2c (0, -1, 1.5, '1', 1_000_000, 2**31) {
    refused('/nested', with_header({ alg => 'PBES2-HS256+A128KW', p2c => $p2c, p2s => base64url('salt' x 4) }), 'The specified alg value is not allowed', "row 52: p2c $p2c");
}
refused('/nested', with_header({ alg => $_ }), 'The specified alg value is not allowed', "row 57: alg $_") for qw(RSA1_5 rsa-oaep a256kw none A256GCM HS256), 'A256KW ';
refused('/nested', jwe($public, 'RSA1_5', $good), 'The specified alg value is not allowed', 'row 57: RSA1_5 under the key of RSA-OAEP');

sub deflated {
    my ($text) = @_;
    my ($stream, $status) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -MAX_WBITS, -AppendOutput => 1);
    my $out = '';
    $stream->deflate($text, $out) == Z_OK && $stream->flush($out) == Z_OK or die 'deflate';
    return $out;
}
my $zipped = sealed({ %dir, cty => 'JWT', zip => 'DEF' }, deflated($good));
refused('/nested', $zipped, 'Compressed tokens (zip) are refused', 'row 53: a compressed token');
refused('/nested', sealed({ %dir, cty => 'JWT', zip => $_ }, $good), 'Compressed tokens (zip) are refused', 'row 53: zip ' . $json->encode([$_])) for 'def', 'GZ', '', undef, ['DEF'];

sub command {
    my ($token) = @_;
    my $file = JWTTest::Token::temporary_file($json->encode({ jwk => secret_jwk($shared{32}), token => $token }) . "\n");
    my $command = $ENV{JWT_COMMAND} || "$FindBin::Bin/../build/gcc/jwt";
    open my $jwt, '-|', $command, 'decrypt', '--batch', "$file" or die "$command: $!";
    return decode_json(scalar <$jwt>);
}
is(decode_base64url(command($zipped)->{plaintext} // ''), $good, 'row 53: the command shows what is in it');
is(command(sealed({ %dir, zip => 'DEF' }, deflated('x' x 5_000_000)))->{error}, 'compressed', 'row 53: but no bomb of 5 MB');
is(command(sealed({ %dir, zip => 'DEF' }, deflated('x' x 2000)))->{error}, 'compressed', 'row 53: nor anything ten times its size');

# ---- rows 54, 55, 58: lengths, and one answer to every change

for my $size (0, 1, 4, 8, 12, 15) {
    refused('/nested', sealed({ %dir, cty => 'JWT' }, $good, tag => sub { substr $_[0], 0, $size }), $failed, "row 54: a tag of $size bytes");
}
refused('/nested', sealed({ %dir, cty => 'JWT' }, $good, tag => sub { "$_[0]\0" }), $failed, 'row 54: a tag of 17 bytes');
refused('/nested', sealed({ %dir, cty => 'JWT' }, $good, iv => 'i' x $_), $failed, "row 54: an IV of $_ bytes") for 1, 11, 13, 64;

my ($w_head, $w_key, @w_rest) = split /\./, $wrapped;
refused('/nested', join('.', $w_head, base64url('k' x $_), @w_rest), $failed, "row 55: an encrypted key of $_ bytes") for 0, 7, 8, 16, 17, 23, 39, 41, 48;
refused('/nested', sealed({ %dir, cty => 'JWT' }, $good, encrypted_key => 'k' x $_), $failed, "row 55: an encrypted key of $_ bytes beside dir") for 1, 16, 40;
refused('/nested', sealed({ alg => 'dir', enc => 'A256GCM', cty => 'JWT' }, $good, key => $shared{16}), $failed, 'row 55: a key of 16 bytes for A256GCM');
accepted('/nested', sealed({ alg => 'dir', enc => 'A128GCM', cty => 'JWT' }, $good, key => $shared{16}), 'row 55: the same for A128GCM');

# AES-CBC with each way to end: the padding of a forged text must not show.
sub cbc {
    my ($plaintext, $padding, $mac) = @_;
    my $head = base64url($json->encode({ alg => 'dir', enc => 'A128CBC-HS256', cty => 'JWT' }));
    my ($mac_key, $key) = unpack 'a16 a16', $shared{32};
    my $text = Crypt::Mode::CBC->new('AES', 0)->encrypt($plaintext . $padding, $key, 'i' x 16);
    my $tag = substr hmac_sha256($head . 'i' x 16 . $text . pack('Q>', 8 * length $head), $mac_key), 0, 16;
    return join '.', $head, '', map { base64url($_) } 'i' x 16, $text, $mac ? $mac->($tag) : $tag;
}
my $pad = 16 - length($good) % 16;
accepted('/nested', cbc($good, chr($pad) x $pad), 'row 58: a good padding under a good tag');
my $wrong = sub { substr($_[0], 0, 15) . chr(ord(substr $_[0], 15) ^ 1) };
my %oracle = (
    'good padding, wrong tag' => cbc($good, chr($pad) x $pad, $wrong), 'bad padding, wrong tag' => cbc($good, chr(0) x $pad, $wrong),
    'bad padding, good tag' => cbc($good, chr(0) x $pad), 'long padding, good tag' => cbc($good, chr(17) x $pad),
    'no block at all' => join('.', (split /\./, cbc($good, chr($pad) x $pad))[0], '', base64url('i' x 16), '', base64url('t' x 16)),
);
my %answers;
for my $name (sort keys %oracle) {
    my $answer = $t->get_with('/nested', $oracle{$name});
    push @{ $answers{ join "\n", $answer->{status}, $answer->{body}, map { "@$_" } grep { $_->[0] ne 'Date' } @{ $answer->{raw} } } }, $name;
}
is(scalar keys %answers, 1, 'row 58: one answer to all of them') or diag explain \%answers;
like((keys %answers)[0], qr/\A422\n.*$failed/, 'row 58: which says nothing');

# ---- row 56: ephemeral keys

sub with_epk {
    my ($epk, %more) = @_;
    return base64url($json->encode({ alg => 'ECDH-ES', enc => 'A256GCM', cty => 'JWT', epk => $epk, %more })) . '..' . join '.', map { base64url($_) } 'i' x 12, 'c' x 20, 't' x 16;
}
my %point = %{ $other->{public_jwk} };
my %epk = (
    'off the curve' => { %point, y => $point{x} }, 'of zeros' => { %point, map { $_ => base64url("\0" x 32) } qw(x y) }, 'of nothing' => { %point, x => '', y => '' },
    'of another name' => { %point, crv => 'P-384' }, 'of another kty' => { %point, kty => 'OKP' }, 'with its private half' => { %{ $other->{private_jwk} } },
    'of X25519' => { kty => 'OKP', crv => 'X25519', x => base64url("\x09" . "\0" x 31) }, 'that is none' => 'none', 'that is a list' => [%point],
    'too short' => { %point, x => base64url('x' x 31) }, 'too large' => { %point, x => base64url("\xff" x 32) }, 'good, of somebody else' => \%point,
);
refused('/nested', with_epk($epk{$_}), $failed, "row 56: a key $_") for sort keys %epk;
refused('/nested', with_epk(\%point, apu => $_), $failed, 'row 56: apu ' . $json->encode([$_])) for 1, 'a', 'AA==', {};

# ---- crit, and members twice

refused('/nested', sealed({ %dir, cty => 'JWT', crit => ['exp'], exp => 1 }, $good), 'Unsupported critical extension: exp', 'crit is looked at');
refused('/nested', sealed('{"alg":"dir","alg":"dir","enc":"A256GCM","cty":"JWT"}', $good), 'Invalid header string: an object has two members of one name', 'a member twice');
refused('/nested', sealed('{"alg":"dir","enc":"A256GCM","cty":"JWT","\u0063ty":"x"}', $good), 'Invalid header string: an object has two members of one name', 'and one in disguise');

# ---- row 59: nothing is used twice

my $count = $ENV{JWT_ISSUED} || 2000;
my (%ivs, %keys, $issued);
while (($issued // 0) < $count) {
    for my $token (@{ $t->get('/issue?count=100')->{json} }) {
        my ($head, $key, $iv) = split /\./, $token;
        $ivs{$iv}++;
        $keys{$key}++;
        $ivs{ decode_json(decode_base64url($head))->{iv} }++;
        ++$issued;
    }
}
is(scalar keys %ivs, 2 * $issued, "row 59: $issued tokens, and as many initialization vectors of contents and of keys");
is(scalar keys %keys, $issued, 'row 59: and keys');
accepted('/nested', $t->get('/issue?count=1')->{json}[0], 'row 59: all of them good');

done_testing;
