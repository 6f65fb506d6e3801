# The `jwt` command and encrypted tokens: keys for them, making them, what is in them.

use strict;
use warnings;

use Crypt::JWT qw(decode_jwt encode_jwt);
use FindBin;
use JSON::PP qw(decode_json);
use Test::More;
use lib "$FindBin::Bin/lib";
use JWTTest::Token;

my $command = $ENV{JWT_COMMAND} || "$FindBin::Bin/../build/gcc/jwt";
my $json = JSON::PP->new->canonical->utf8;
my @kept;
sub file { my ($text) = @_; push @kept, JWTTest::Token::temporary_file($text); return "$kept[-1]" }

sub jwt {
    my (@words) = @_;
    my $errors = file('');
    open my $run, '-|', 'sh', '-c', 'exec "$0" "$@" 2>"$ERRORS"' =~ s/\$ERRORS/$errors/r, $command, @words or die "$command: $!";
    my $out = do { local $/; <$run> } // '';
    close $run;
    open my $said, '<', $errors or die "$errors: $!";
    return { exit => $? >> 8, out => $out, said => do { local $/; <$said> } // '' };
}

my $signing = file($json->encode(keypair('ES256')->{private_jwk}));
for my $name ('A128KW', 'A256GCMKW', 'RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A256KW', 'A256GCM', 'A128CBC-HS256') {
    my $made = jwt('keygen', $name);
    my $jwk = decode_json($made->{out});
    is_deeply([@$jwk{qw(use alg)}], ['enc', $name], "a key for $name");
    my $key = file($made->{out});
    my $public = $jwk->{kty} eq 'oct' ? $key : file(jwt('jwks', $key)->{out});
    my $token = jwt('sign', '--key', $signing, '--identity', 'alice', '--encrypt-to', $public)->{out} =~ s/\n//r;
    is(scalar(split(/\./, $token, -1)), 5, "$name: a token is encrypted for it");
    my $inner = jwt('decrypt', '--key', $key, $token);
    like($inner->{out}, qr/\A[\w-]+\.[\w-]+\.[\w-]+\n\z/, "$name: and decrypted with it");
    my $verified = jwt('verify', '--key', $signing, $inner->{out} =~ s/\n//r);
    is(decode_json($verified->{out})->{sub}, 'alice', "$name: what is in it is signed");
    my $seen = jwt('inspect', $token);
    is($seen->{exit}, 0, "$name: inspect without a key");
    like($seen->{out}, $jwk->{kty} eq 'oct' ? qr/decrypted by the shared secret of \d+ bytes/ : qr/decrypted by .*private key.*of kid/, "$name: says what it takes");
    unlike($seen->{out}, qr/alice/, "$name: and shows nothing");
    my $opened = jwt('inspect', '--key', $key, $token);
    like($opened->{out}, qr/a token \(cty says so\).*"alg": "ES256".*"sub": "alice"/s, "$name: inspect with a key shows what is in it");
    my ($secret) = grep { defined } @$jwk{qw(k d)};
    unlike($seen->{out} . $opened->{out}, qr/\Q$secret\E/, "$name: and never the key");
}
is(decode_json(jwt('keygen', 'ECDH-ES', '--curve', 'X25519')->{out})->{crv}, 'X25519', 'keygen --curve');
like(jwt('keygen', 'ES256', '--curve', 'P-256')->{said}, qr/--curve is for ECDH-ES/, 'which others lack');
like(jwt('keygen', 'dir')->{said}, qr/as in A256GCM/, 'keygen dir says what to write');
like(jwt('keygen', 'RSA1_5')->{said}, qr/no signature algorithm "RSA1_5"/, 'keygen knows no RSA1_5');

my $secret = file($json->encode({ kty => 'oct', k => base64url('k' x 32) }));
my $claims = encode_jwt(payload => { sub => 'bob', exp => 1 }, alg => 'A256KW', enc => 'A128GCM', key => 'k' x 32);
my $shown = jwt('decrypt', '--key', $secret, $claims);
is($shown->{exit}, 0, 'claims by Crypt::JWT are decrypted');
is(decode_json($shown->{out})->{sub}, 'bob', 'and shown');
my $inspected = jwt('inspect', '--key', $secret, $claims);
like($inspected->{out}, qr/made by somebody who knows that secret.*refused as expired.*Nobody signed it/s, 'inspect says what such a token is worth');
my $changed = $claims =~ s/(.)\z/$1 eq 'A' ? 'B' : 'A'/er;
is_deeply([@{ jwt('decrypt', '--key', $secret, $changed) }{qw(exit out)}], [1, ''], 'a changed one is refused');
like(jwt('decrypt', '--key', $signing, $claims)->{said}, qr/algorithm_not_allowed/, 'a key of another kind says so');
like(jwt('decrypt', $claims)->{said}, qr/no key is named: write --key FILE .* with a private key or a secret$/, 'and so does none');
my $signed = jwt('sign', '--key', $signing, '--identity', 'a')->{out} =~ s/\n//r;
like(jwt('decrypt', '--key', $secret, $signed)->{said}, qr/^jwt: segments.*signed and not encrypted: "jwt verify" judges it$/s, 'decrypt says what a signed token is');
like(jwt('verify', '--key', $signing, $claims)->{said}, qr/^jwt: segments.*five parts is encrypted: "jwt decrypt" prints/s, 'verify says what an encrypted one is');
unlike(jwt('verify', '--key', $signing, "$signed.")->{said}, qr/note:/, 'and nothing of what is neither');
like(jwt('decrypt', '--batch', '--key', $secret)->{said}, qr/leave out --key/, '--batch has its keys in its lines');
like(jwt('sign', '--key', $signing, '--identity', 'a', '--encrypt-enc', 'A128GCM')->{said}, qr/write --encrypt-to FILE/, 'sign wants to know for whom');
like(jwt('sign', '--key', $signing, '--identity', 'a', '--encrypt-to', $secret, '--encrypt-alg', 'RSA-OAEP')->{said}, qr/it serves dir A256KW A256GCMKW/, 'and how the key can');
my $by_choice = jwt('sign', '--key', $signing, '--identity', 'a', '--encrypt-to', $secret, '--encrypt-alg', 'A256GCMKW', '--encrypt-enc', 'A192CBC-HS384')->{out} =~ s/\n//r;
ok(eval { decode_jwt(token => $by_choice, key => 'k' x 32, decode_payload => 0) }, 'what is chosen is what Crypt::JWT takes') or diag $@;

done_testing;
