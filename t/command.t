# The `jwt` command: every subcommand, every refusal beside its positive control, Crypt::JWT as the other side.

use strict;
use warnings;

use Crypt::JWT qw(decode_jwt encode_jwt);
use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use Digest::SHA qw(sha256);
use File::Temp qw(tempdir);
use IPC::Open2 qw(open2);
use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64url);
use POSIX ();
use Test::More;

my $command = $ENV{JWT_COMMAND};
plan skip_all => 'JWT_COMMAND does not name the jwt command' unless $command;

my $dir = tempdir(CLEANUP => 1);
my $json = JSON::PP->new->canonical->utf8;
my $files = 0;

sub file {
    my ($text, $name) = @_;
    my $path = "$dir/" . ($name // 'file' . ++$files);
    open my $handle, '>:raw', $path or die "$path: $!";
    print $handle $text;
    close $handle or die "$path: $!";
    return $path;
}

sub slurp {
    my ($path) = @_;
    open my $handle, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$handle>;
}

# What the command did: status, out, err. A last argument {stdin, env, stdout} is not for the command.
sub jwt {
    my %given = ref $_[-1] ? %{ pop @_ } : ();
    my @words = @_;
    my $input = file($given{stdin} // '', 'stdin');
    my ($out, $err) = ($given{stdout} // "$dir/out", "$dir/err");
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $ENV{$_} = $given{env}{$_} for keys %{ $given{env} // {} };
        open STDIN, '<', $input and open STDOUT, '>', $out and open STDERR, '>', $err and exec $command, @words;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return { status => $? >> 8, signal => $? & 127, out => $given{stdout} ? '' : slurp($out), err => slurp($err) };
}

sub accepts {
    my ($name, @words) = @_;
    my $run = jwt(@words);
    is("$run->{status} $run->{err}", '0 ', "$name: accepted, and nothing said");
    return $run->{out};
}

sub refuses {
    my ($name, $status, $pattern, @words) = @_;
    my $run = jwt(@words);
    is($run->{status}, $status, "$name: status $status") or diag $run->{out}, $run->{err};
    like($run->{err}, $pattern, "$name: says why");
    is($run->{out}, '', "$name: nothing on standard output");
    return $run;
}

sub part { return $json->decode(decode_base64url((split /\./, $_[0])[$_[1]])) }

# A token or signature whose last part is a byte shorter.
sub cut {
    my ($text) = @_;
    my ($before, $last) = $text =~ /^(.*\.)?([^.]*)$/s;
    return ($before // '') . encode_base64url(substr decode_base64url($last), 0, -1);
}

sub claims {
    my (%changes) = @_;
    my %claims = (sub => 'alice', iat => time, nbf => time, exp => time + 900, type => 'access', %changes);
    delete $claims{$_} for grep { !defined $claims{$_} } keys %claims;
    return \%claims;
}

my $secret = 'a secret of sixty-four bytes, which is as long as HS512 asks for';
my $secret_file = file("$secret\n");

sub token {
    my ($claims, %options) = @_;
    return encode_jwt(payload => $claims, alg => 'HS256', key => $secret, %options);
}

my @algorithms = qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 ES256K EdDSA Ed25519 Ed448);
my %hash_size = (HS256 => 32, HS384 => 48, HS512 => 64);
my @private = qw(d p q dp dq qi oth k);

subtest 'help, version and usage' => sub {
    is(accepts('--version', '--version'), "jwt 0.1.0\n", 'version');
    like(accepts('--help', '--help'), qr/jwt verify.*jwt keygen/s, 'help lists subcommands');
    for my $subcommand (qw(inspect verify sign keygen jwks)) {
        my $help = accepts("$subcommand --help", $subcommand, '--help');
        like($help, qr/^jwt \Q$subcommand\E .*Exit status/s, "$subcommand --help");
        is(accepts("$subcommand -h", $subcommand, '-h'), $help, "$subcommand -h is the same");
    }
    refuses('no subcommand', 2, qr/"jwt --help" lists/);
    refuses('unknown subcommand', 2, qr/no subcommand "vrify"/, 'vrify');
    refuses('unknown option', 2, qr/no option "--kex": --help/, 'verify', '--kex', 'x');
    refuses('option without value', 2, qr/--key lacks its value: write --key FILE/, 'verify', '--key');
    refuses('flag with value', 2, qr/--fresh takes no value/, 'verify', '--fresh=yes', 'x');
    refuses('option twice', 2, qr/--type is given twice/, 'verify', '--type', 'any', '--type', 'any', 'x');
    for my $words (['--secret', 'hunter22'], ['--secret=hunter22']) {
        my $run = refuses('secret by value', 2, qr/--secret-file FILE/, 'verify', @$words, 'x');
        unlike($run->{err}, qr/hunter22/, 'which is not repeated');
    }
    my $full = jwt('--help', { stdout => '/dev/full' });
    is($full->{status}, 2, 'a full disk is no success');
};

my (%jwk, %key_file);
for my $algorithm (@algorithms) {
    my $out = accepts("keygen $algorithm", 'keygen', $algorithm);
    $jwk{$algorithm} = $json->decode($out);
    $key_file{$algorithm} = file($out);
}

subtest 'keygen' => sub {
    is($jwk{$_}{alg}, $_, "$_ is its own alg") for @algorithms;
    is(length decode_base64url($jwk{$_}{k}), $hash_size{$_}, "$_: as long as its hash") for sort keys %hash_size;
    my %thumbprint_of = (RS256 => [qw(e kty n)], ES256 => [qw(crv kty x y)], Ed448 => [qw(crv kty x)]);
    for my $algorithm (sort keys %thumbprint_of) {
        my %members = map { $_ => $jwk{$algorithm}{$_} } @{ $thumbprint_of{$algorithm} };
        is($jwk{$algorithm}{kid}, encode_base64url(sha256($json->encode(\%members))), "$algorithm: kid by RFC 7638");
    }
    isnt($json->decode(accepts('again', 'keygen', 'ES256'))->{d}, $jwk{ES256}{d}, 'another key each time');

    my %importer = (RS256 => 'Crypt::PK::RSA', ES256K => 'Crypt::PK::ECC', EdDSA => 'Crypt::PK::Ed25519');
    for my $algorithm (sort keys %importer) {
        my $pem = accepts("keygen $algorithm --pem", 'keygen', $algorithm, '--pem');
        ok($importer{$algorithm}->new(\$pem)->is_private, "$algorithm: $importer{$algorithm} reads the PEM");
    }
    my $large = accepts('keygen --bits', 'keygen', 'PS256', '--bits', '3072', '--pem');
    is(Crypt::PK::RSA->new(\$large)->size, 384, '--bits 3072');
    my $text = accepts('keygen --text', 'keygen', 'HS384', '--text');
    like($text, qr/^[A-Za-z0-9_-]{64}\n\z/, 'HS384 as text');

    refuses('small RSA', 2, qr/write 2048 to 8192/, 'keygen', 'RS256', '--bits', '1024');
    refuses('no number', 2, qr/write 2048 to 8192/, 'keygen', 'RS256', '--bits', '2048x');
    refuses('bits of a curve', 2, qr/leave it out/, 'keygen', 'ES256', '--bits', '2048');
    refuses('PEM of a secret', 2, qr/write --text or --jwk/, 'keygen', 'HS256', '--pem');
    refuses('text of a key', 2, qr/write --jwk or --pem/, 'keygen', 'ES256', '--text');
    refuses('two forms', 2, qr/write one of/, 'keygen', 'ES256', '--jwk', '--pem');
    refuses('lower case', 2, qr/write ES256/, 'keygen', 'es256');
    refuses('none', 2, qr/no signature algorithm "none".*HS256/, 'keygen', 'none');
    refuses('no algorithm', 2, qr/keygen ES256/, 'keygen');
};

subtest 'sign and verify against Crypt::JWT' => sub {
    for my $algorithm (grep { !/^Ed\d/ } @algorithms) {
        my $token = accepts("sign $algorithm", 'sign', '--key', $key_file{$algorithm}, '--identity', 'bob',
            '--algorithm', $algorithm);
        chomp $token;
        my %wanted = (token => $token, accepted_alg => $algorithm, verify_exp => 1);
        is(eval { decode_jwt(%wanted, key => $jwk{$algorithm})->{sub} }, 'bob', "$algorithm: theirs takes ours")
            or diag $@;
        my ($other) = map { $json->decode(jwt('keygen', $algorithm)->{out}) } 1;
        ok(!eval { decode_jwt(%wanted, key => $other); 1 }, "$algorithm: and refuses it under another key");

        my $theirs = encode_jwt(payload => claims(sub => 'carol'), alg => $algorithm, key => $jwk{$algorithm});
        my @verify = ('verify', '--key', $key_file{$algorithm});
        is($json->decode(accepts("verify $algorithm", @verify, $theirs))->{sub}, 'carol', "$algorithm: ours takes theirs");
        refuses("$algorithm under another key", 1, qr/^jwt: signature: Signature verification failed$/m, 'verify',
            '--key', file($json->encode($other)), $theirs);
        my ($header, $payload, $signature) = split /\./, $theirs;
        my $bytes = decode_base64url($signature);
        substr($bytes, 7, 1) ^= "\x01";
        refuses("$algorithm with a bit flipped", 1, qr/signature: /, @verify,
            "$header.$payload." . encode_base64url($bytes));
        refuses("$algorithm with another payload", 1, qr/signature: /, @verify,
            "$header." . encode_base64url($json->encode(claims(sub => 'mallory'))) . ".$signature");
    }
    for my $algorithm (qw(Ed25519 Ed448)) {
        chomp(my $token = accepts("sign $algorithm", 'sign', '--key', $key_file{$algorithm}, '--identity', 'bob'));
        accepts("$algorithm", 'verify', '--key', $key_file{$algorithm}, $token);
        refuses("$algorithm cut", 1, qr/signature: /, 'verify', '--key', $key_file{$algorithm}, cut($token));
    }
};

subtest 'sign' => sub {
    my @sign = ('sign', '--secret-file', $secret_file);
    my $token = accepts('all options', @sign, '--identity', "J\xc3\xbcrgen \"x\"", '--type', 'refresh', '--fresh',
        '--issuer', 'me', '--audience', 'a', '--audience', 'b', '--claim', 'role="admin"', '--claim', 'deep={"n":[1,2]}',
        '--header', 'typ="at+jwt"', '--expires', '1h 30m', '--kid', 'k1', '--algorithm', 'HS512', '--at', '1700000000');
    is_deeply(part($token, 0), { alg => 'HS512', typ => 'at+jwt', kid => 'k1' }, 'header');
    my $payload = part($token, 1);
    like(delete $payload->{jti}, qr/^[0-9a-f-]{36}$/, 'jti');
    is_deeply($payload, { fresh => JSON::PP::true, iat => 1700000000, nbf => 1700000000, exp => 1700005400,
        type => 'refresh', sub => "J\xfcrgen \"x\"", aud => ['a', 'b'], iss => 'me', role => 'admin',
        deep => { n => [1, 2] } }, 'payload');

    my @at = ('--identity', 'x', '--at', '2023-11-14T22:13:20Z');
    is(part(accepts('defaults', @sign, @at), 1)->{exp}, 1700000900, '15 minutes');
    is(part(accepts('refresh', @sign, @at, '--type', 'refresh'), 1)->{exp}, 1702592000, '30 days for a refresh token');
    is(part(accepts('a year', @sign, @at, '--expires', '365d'), 1)->{exp}, 1731536000, '365d');
    ok(!exists part(accepts('never', @sign, @at, '--expires', 'never'), 1)->{exp}, 'never');
    is(part(accepts('one audience', @sign, @at, '--audience', 'a'), 1)->{aud}, 'a', 'one audience is a string');
    is(part(accepts('claims alone', @sign, '--claim', 'sub="y"'), 1)->{sub}, 'y', 'the identity as a claim');
    is(part(accepts('own claim', @sign, '--identity-claim', 'user', '--identity', 'z'), 1)->{user}, 'z', 'own claim');
    is(part(accepts('kid', 'sign', '--key', $key_file{ES256}, '--identity', 'x'), 0)->{kid}, $jwk{ES256}{kid}, 'own kid');
    my $set = file($json->encode({ keys => [@jwk{qw(RS256 ES256)}] }));
    is(part(accepts('by kid', 'sign', '--key', $set, '--kid', $jwk{ES256}{kid}, '--identity', 'x'), 0)->{alg}, 'ES256',
        'a key of a set by its kid');
    is(part(jwt('sign', '--secret-env', 'S', '--identity', 'x', { env => { S => $secret } })->{out}, 0)->{alg},
        'HS256', 'a secret of the environment');
    is(part(jwt('sign', '--key', '-', '--identity', 'x', { stdin => $json->encode($jwk{EdDSA}) })->{out}, 0)->{alg},
        'EdDSA', 'a key on standard input');

    my @to = ('--identity', 'x');
    refuses('no identity', 2, qr/write --identity ID/, @sign);
    refuses('no key', 2, qr/--key FILE/, 'sign', @to);
    refuses('two keys', 2, qr/write one of/, @sign, @to, '--key', $key_file{ES256});
    refuses('key by public half', 2, qr/public one/, 'sign', @to, '--key', file(jwt('jwks', $key_file{ES256})->{out}));
    refuses('no JSON', 2, qr/quotes, as in --claim 'role="admin"'/, @sign, @to, '--claim', 'role=admin');
    refuses('no name', 2, qr/no NAME=JSON/, @sign, @to, '--claim', '="x"');
    refuses('alg by header', 2, qr/alg/, @sign, @to, '--header', 'alg="none"');
    refuses('crit', 2, qr/crit/, @sign, @to, '--header', 'crit=["x"]');
    refuses('bad span', 2, qr/15m or 365d, or never/, @sign, @to, '--expires', 'soon');
    refuses('bad type', 2, qr/write access or refresh/, @sign, @to, '--type', 'any');
    refuses('unfit algorithm', 2, qr/write one of ES256/, 'sign', @to, '--key', $key_file{ES256}, '--algorithm', 'RS256');
    refuses('short secret', 2, qr/needs at least 48/, 'sign', @to, '--secret-file', file('x' x 40), '--algorithm', 'HS384');
    refuses('PEM as secret', 2, qr/PEM text/, 'sign', @to, '--secret-file', file(jwt('keygen', 'ES256', '--pem')->{out}));
    refuses('kid of none', 2, qr/no key has kid/, 'sign', @to, '--key', $key_file{ES256}, '--kid', 'other');
    refuses('stray word', 2, qr/belongs to no option/, @sign, @to, 'word');
    refuses('bad time', 2, qr/is no time: write/, @sign, @to, '--at', 'tomorrow');
    refuses('no such day', 2, qr/is no time: write/, @sign, @to, '--at', '2023-02-29');
};

subtest 'verify' => sub {
    my @verify = ('verify', '--secret-file', $secret_file);
    my $good = token(claims());
    is_deeply($json->decode(accepts('good', @verify, $good)), claims(part($good, 1)->%*), 'prints the payload');
    is(jwt(@verify, '-', { stdin => "  $good\n" })->{status}, 0, 'from standard input, white space around it');

    # [what, option words, claims, the word of the refusal]; the same words accept the claims in the fifth place.
    my $now = time;
    my @cases = (
        ['expired', [], { exp => $now - 5 }, 'expired', { exp => $now + 60 }],
        ['expired but for leeway', ['--leeway', '3'], { exp => $now - 30 }, 'expired', { exp => $now - 1 }],
        ['later', ['--at', $now + 1000], { exp => $now + 900 }, 'expired', { exp => $now + 1100 }],
        ['nbf', [], { nbf => $now + 60 }, 'nbf_future', { nbf => $now - 60 }],
        ['iat', [], { iat => $now + 60 }, 'iat_future', { iat => $now - 60 }],
        ['exp is text', [], { exp => 'soon' }, 'exp_type', {}],
        ['issuer', ['--issuer', 'a', '--issuer', 'b'], { iss => 'c' }, 'iss_mismatch', { iss => 'b' }],
        ['no issuer', ['--issuer', 'a'], {}, 'iss_missing', { iss => 'a' }],
        ['audience', ['--audience', 'a'], { aud => ['b', 'A'] }, 'aud_mismatch', { aud => ['b', 'a'] }],
        ['no audience', ['--audience', 'a'], {}, 'aud_missing', { aud => 'a' }],
        ['sub is a number', [], { sub => 7 }, 'sub_type', {}],
        ['no identity', [], { sub => undef }, 'claim_missing', {}],
        ['other identity', ['--identity-claim', 'uid'], {}, 'claim_missing', { uid => 'x' }],
        ['refresh wanted', ['--type', 'refresh'], {}, 'refresh_token_required', { type => 'refresh' }],
        ['access wanted', ['--type', 'access'], { type => 'refresh' }, 'refresh_token_refused', {}],
        ['too old', ['--max-age', '5m'], { iat => $now - 330 }, 'too_old', { iat => $now - 240 }],
        ['fresh wanted', ['--fresh'], { fresh => JSON::PP::false }, 'not_fresh', { fresh => JSON::PP::true }],
    );
    for my $case (@cases) {
        my ($name, $words, $bad, $word, $fine) = @$case;
        refuses($name, 1, qr/^jwt: $word: \S.*\S$/m, @verify, @$words, token(claims(%$bad)));
        accepts("$name, put right", @verify, @$words, token(claims(%$fine)));
    }
    my @profile = (@verify, '--profile', 'rfc9068', '--issuer', 'i', '--audience', 'a');
    my @by_profile = (iss => 'i', aud => 'a', client_id => 'c', iat => $now, jti => 'j', exp => $now + 60);
    refuses('profile, no access token', 1, qr/typ_mismatch: /, @profile, token(claims(@by_profile)));
    accepts('profile, put right', @profile, token(claims(@by_profile), extra_headers => { typ => 'at+jwt' }));
    refuses('profile without audience', 2, qr/write --issuer and --audience/, @profile[0 .. 6], $good);
    refuses('bad profile', 2, qr/"rfc1" is none of the profiles/, @verify, '--profile', 'rfc1', $good);
    refuses('bad age', 2, qr/--max-age "x" is no time span/, @verify, '--max-age', 'x', $good);
    accepts('any type', @verify, token(claims(type => 'refresh')));
    accepts('sub is a number, --no-verify-sub', @verify, '--no-verify-sub', token(claims(sub => 7)));
    accepts('no exp', @verify, token(claims(exp => undef)));

    my ($header, $payload, $signature) = split /\./, $good;
    refuses('two parts', 1, qr/segments: /, @verify, "$header.$payload");
    refuses('four parts', 1, qr/segments: /, @verify, "$good.x");
    refuses('padding', 1, qr/signature_encoding: /, @verify, "$good=");
    refuses('header', 1, qr/header_json: /, @verify, encode_base64url('{"alg":"HS256","alg":"HS256"}') . ".$payload.$signature");
    refuses('none', 1, qr/algorithm_not_allowed: /, @verify, encode_base64url('{"alg":"none"}') . ".$payload.");
    refuses('empty', 1, qr/segments: /, @verify, '');

    my $hs512 = token(claims(), alg => 'HS512');
    refuses('HS512 unasked', 1, qr/algorithm_not_allowed: /, @verify, $hs512);
    accepts('HS512 asked for', @verify, '--algorithm', 'HS512', $hs512);
    accepts('HS512 in a list', @verify, '--algorithm', 'HS256,HS512', $hs512);
    accepts('HS512 by two options', @verify, '--algorithm', 'HS256', '--algorithm', 'HS512', $hs512);

    my $public = file(jwt('jwks', $key_file{RS256})->{out});
    my $rs256 = encode_jwt(payload => claims(), alg => 'RS256', key => $jwk{RS256});
    accepts('one of several keys', 'verify', '--key', $key_file{ES256}, '--key', $public, '--secret-file', $secret_file, $rs256);
    refuses('its algorithm not allowed', 1, qr/algorithm_not_allowed: /, 'verify', '--key', $public, '--algorithm', 'RS512,PS256',
        '--key', $key_file{PS256}, $rs256);
    refuses('confusion of key and secret', 1, qr/algorithm_not_allowed: /, 'verify', '--key', $public,
        encode_jwt(payload => claims(), alg => 'HS256', key => slurp($public)));
    is(jwt('verify', '--secret-env', 'S', $good, { env => { S => $secret } })->{status}, 0, 'a secret of the environment');
    refuses('unset variable', 2, qr/"NO_SUCH" is not set/, 'verify', '--secret-env', 'NO_SUCH', $good);
    refuses('no key', 2, qr/--secret-env NAME/, 'verify', $good);
    refuses('no file', 2, qr/cannot be opened: No such file/, 'verify', '--key', "$dir/nowhere", $good);
    refuses('a folder', 2, qr/cannot be read: Is a directory/, 'verify', '--key', $dir, $good);
    refuses('no key file', 2, qr/^jwt: verify: key file "[^"]+" \w/, 'verify', '--key', file('hello'), $good);
    refuses('no key for it', 2, qr/no key serves RS256: the keys serve ES256/, 'verify', '--key', $key_file{ES256}, '--algorithm', 'RS256', $good);
    refuses('no token', 2, qr/no token is given/, @verify);
    refuses('two tokens', 2, qr/more than one token/, @verify, $good, $good);
    refuses('bad leeway', 2, qr/--leeway "x" is no time span/, @verify, '--leeway', 'x', $good);
    refuses('bad type', 2, qr/write access, refresh or any/, @verify, '--type', 'acess', $good);
    refuses('stdin twice', 2, qr/named twice/, 'verify', '--key', '-', '-', { stdin => $json->encode($jwk{ES256}) });
    accepts('a dash before the token', @verify, '--', $good);
};

subtest 'inspect' => sub {
    my $token = token(claims(iat => 1700000000, nbf => 1700000000, exp => 1700000900, sub => "\x{202e}a\x{9b}b\x7f\n"),
        extra_headers => { kid => 'k' });
    my @at = ('--at', '1700000600');
    my $out = accepts('inspect', 'inspect', @at, $token);
    like($out, qr/^Header\n  \{\n(?:    "\w+": "\w+",?\n){2}  \}$/m, 'header, a line each');
    like($out, qr/^  iat +2023-11-14T22:13:20Z  issued 10 minutes ago$/m, 'iat');
    like($out, qr/^  exp +2023-11-14T22:28:20Z  expires in 5 minutes$/m, 'exp ahead');
    like($out, qr/sound.*jwt verify/, 'says what was not looked at');
    like($out, qr/\\u202ea\\u009bb\\u007f\\n/, 'control characters are escaped');
    like(accepts('later', 'inspect', '--at', '1700090000', $token), qr/exp .* expired 24 hours ago\n.*refused as expired/s, 'expired');
    my @outs = ($out);
    for my $case (
        ['none', encode_base64url('{"alg":"none"}') . '.' . encode_base64url('{"sub":"x"}') . '.', qr/nobody signed it/],
        ['no alg', encode_base64url('{}') . '.e30.', qr/algorithm_missing/],
        ['short signature', cut($token), qr/signature: it has 31 bytes, where HS256 has 32/],
        ['unknown alg', encode_base64url('{"alg":"hs256"}') . '.e30.', qr/write HS256/],
        ['Bearer', "Bearer $token", qr/leave out "Bearer "/],
        ['JSON', "\"$token\"", qr/paste the token alone/],
        ['padding', "$token=", qr/without padding/],
        ['five parts', encode_base64url('{"alg":"dir"}') . '.a.b.c.d', qr/encrypted token/],
        ['payload', 'e30.eA.', qr/payload_json/],
        ['nothing', '', qr/segments/],
    ) {
        my ($name, $text, $pattern) = @$case;
        my $run = jwt('inspect', @at, $text);
        is($run->{status}, 1, "$name: status 1");
        like($run->{out}, $pattern, "$name: says what is wrong");
        unlike($run->{out}, qr/sound/, "$name: is not called sound");
        push @outs, $run->{out};
    }
    unlike($_, qr/(?<!not )\bvalid\b/i, 'never says valid') for @outs;
    is(jwt('inspect', '-', { stdin => "$token\n" })->{status}, 0, 'from standard input');
    refuses('no token', 2, qr/no token/, 'inspect');
    refuses('bad time', 2, qr/is no time/, 'inspect', '--at', 'x', $token);
};

subtest 'jwks' => sub {
    my @asymmetric = grep { !/^HS/ } @algorithms;
    my $set = $json->decode(accepts('all keys', 'jwks', @key_file{@asymmetric}));
    is(scalar @{ $set->{keys} }, scalar @asymmetric, 'a key for each file');
    for my $key (@{ $set->{keys} }) {
        is_deeply([grep { exists $key->{$_} } @private], [], "$key->{alg}: no private member");
        is($key->{use}, 'sig', "$key->{alg}: for signatures");
    }
    my $pem = file(jwt('keygen', 'RS256', '--pem')->{out});
    my $of_pem = $json->decode(accepts('PEM', 'jwks', $pem))->{keys}[0];
    is(encode_base64url(pack 'H*', Crypt::PK::RSA->new($pem)->key2hash->{N}), $of_pem->{n}, 'the modulus of the PEM');
    ok(!exists $of_pem->{d}, 'and no private member');

    my $published = file($json->encode($set));
    my $token = encode_jwt(payload => claims(), alg => 'ES384', key => $jwk{ES384}, extra_headers => { kid => $jwk{ES384}{kid} });
    accepts('the set verifies', 'verify', '--key', $published, $token);
    my $run = refuses('a secret', 2, qr/secret/, 'jwks', $key_file{ES256}, $key_file{HS256});
    unlike($run->{err}, qr/\Q$jwk{HS256}{k}\E/, 'which is not shown');
    refuses('a raw secret', 2, qr/key file/, 'jwks', $secret_file);
    refuses('one key twice', 2, qr/two keys/, 'jwks', $key_file{ES256}, $key_file{ES256});
    refuses('no file', 2, qr/jwks FILE/, 'jwks');
};

subtest 'verify --batch' => sub {
    my ($key, $public) = ($jwk{HS256}, $json->decode(jwt('jwks', $key_file{ES256})->{out}));
    my $bytes = join '', map { chr } 0 .. 255;
    my $token = sub { my ($header, $payload, $k) = @_;
        my $input = encode_base64url($json->encode({ alg => 'HS256', %$header })) . '.' . encode_base64url($payload);
        return "$input." . encode_base64url(Digest::SHA::hmac_sha256($input, decode_base64url(($k // $key)->{k})));
    };
    my $es256 = encode_jwt(payload => claims(exp => 1), alg => 'ES256', key => $jwk{ES256}, extra_headers => { kid => $jwk{ES256}{kid} });
    my ($input, $signature) = $es256 =~ /^(.*)\.(.*)$/;
    my $separate = { jwk => $public, alg => 'ES256', input => encode_base64url($input), signature => $signature };
    my $fine = $token->({}, 'text');
    my @cases = (
        ['any bytes', { jwk => $key, token => $token->({}, $bytes) }, encode_base64url($bytes)],
        ['nothing', { jwk => $key, token => $token->({}, '') }, ''],
        ['expired', { jwk => $public, token => $es256 }, (split /\./, $es256)[1]],
        ['private half', { jwk => $jwk{ES256}, token => $es256 }, (split /\./, $es256)[1]],
        ['input and signature', $separate, encode_base64url($input)],
        ['more members', { %$separate, comment => 'x', result => 'invalid' }, encode_base64url($input)],
        ['input changed', { %$separate, input => 'AA' }, \'signature'],
        ['signature cut', { %$separate, signature => cut($signature) }, \'signature'],
        ['signature with spare bits', { jwk => $key, token => 'e30.eA.' . 'A' x 42 . 'B' }, \'signature'],
        ['signature padded', { %$separate, signature => "$signature=" }, \'signature_encoding'],
        ['other alg', { %$separate, alg => 'ES384' }, \'algorithm_not_allowed'],
        ['input no base64url', { %$separate, input => '+' }, \'input'],
        ['both forms', { %$separate, token => $es256 }, \'input'],
        ['neither', { jwk => $key }, \'input'],
        ['no key', { token => $fine }, \'input'],
        ['key no object', { jwk => 'x', token => $fine }, \'key'],
        ['short key', { jwk => { kty => 'oct', k => 'AAAA' }, token => $fine }, \'key'],
        ['key for encryption', { jwk => { %$key, use => 'enc' }, token => $fine }, \'key'],
        ['empty set', { jwk => { keys => [] }, token => $fine }, \'key'],
        ['other key', { jwk => $jwk{HS512}, token => $fine }, \'algorithm_not_allowed'],
        ['crit', { jwk => $key, token => $token->({ crit => ['exp'], exp => 1 }, 'x') }, \'critical'],
        ['b64', { jwk => $key, token => $token->({ b64 => JSON::PP::false }, 'x') }, \'critical'],
        ['kid a number', { jwk => $key, token => $token->({ kid => 1 }, 'x') }, \'kid_type'],
        ['none', { jwk => $key, token => $token->({ alg => 'none' }, 'x') }, \'algorithm_not_allowed'],
        ['no alg', { jwk => $key, token => 'e30.eA.' }, \'algorithm_missing'],
        ['header no object', { jwk => $key, token => 'MQ.eA.' }, \'header_json'],
        ['header encoding', { jwk => $key, token => "=$fine" }, \'header_encoding'],
        ['payload encoding', { jwk => $key, token => $fine =~ s/\.\K/ /r }, \'payload_encoding'],
        ['segments', { jwk => $key, token => 'a.b' }, \'segments'],
        ['too long', { jwk => $key, token => $token->({}, 'x' x 20000) }, \'too_long'],
    );
    my @lines = map { $json->encode({ id => $_->[0], %{ $_->[1] } }) } @cases;
    my @broken = ('', 'hello', '[]', '{"id":1', '{"id":1,"id":2}', "\xff", '{}');
    my $out = accepts_batch(join '', map { "$_\n" } @lines, @broken, '{"id":[1,null],"token":"x"}');
    is(scalar @$out, @cases + @broken + 1, 'one line out for each line in');
    for my $case (@cases) {
        my ($name, undef, $wanted) = @$case;
        my $verdict = ref $wanted ? { result => 'invalid', error => $$wanted } : { result => 'valid', payload => $wanted };
        is_deeply(shift @$out, { id => $name, %$verdict }, $name);
    }
    is_deeply(shift @$out, { id => undef, result => 'invalid', error => 'input' }, "unreadable: $_") for map { s/[^ -~]/?/gr } @broken;
    is_deeply(shift @$out, { id => [1, undef], result => 'invalid', error => 'input' }, 'any id comes back');

    my $last = accepts_batch($json->encode($cases[0][1]));
    is($last->[0]{result}, 'valid', 'a last line without its end');
    is_deeply(accepts_batch(''), [], 'nothing in, nothing out');
    my $of_file = accepts('a file', 'verify', '--batch', file("$lines[0]\n"));
    is($json->decode($of_file)->{result}, 'valid', 'a file by name');

    my $pid = open2(my $answers, my $questions, $command, 'verify', '--batch');
    print $questions "$lines[0]\n";
    $questions->flush;
    local $SIG{ALRM} = sub { kill KILL => $pid; die 'no answer' };
    alarm 10;
    is($json->decode(scalar readline $answers)->{result}, 'valid', 'an answer at once, before the next line is written');
    alarm 0;
    close $questions;
    waitpid $pid, 0;

    refuses('keys beside it', 2, qr/leave out --key/, 'verify', '--batch', '--key', $key_file{ES256});
    refuses('two files', 2, qr/one file/, 'verify', '--batch', 'a', 'b');
    refuses('no such file', 2, qr/cannot be opened/, 'verify', '--batch', "$dir/nowhere");
};

# `fips=yes` with no provider that has it, and the provider of nothing: OpenSSL offers no algorithm at all.
subtest 'an OpenSSL that may not' => sub {
    my $fips = file(<<'EOF_CONF');
openssl_conf = main
[main]
providers = providers
alg_section = algorithms
[providers]
default = provider
[provider]
activate = 1
[algorithms]
default_properties = fips=yes
EOF_CONF
    my $none = file("openssl_conf = main\n[main]\nproviders = providers\n[providers]\nnull = provider\n[provider]\nactivate = 1\n");
    for my $algorithm (qw(HS256 HS384 RS256 ES256 Ed25519)) {
        my $key = file(accepts("a key for $algorithm", 'keygen', $algorithm));
        my @sign = ('sign', '--key', $key, '--identity', 'alice');
        accepts("$algorithm with OpenSSL as it is", @sign);
        for my $without ($fips, $none) {
            my $run = jwt(@sign, { env => { OPENSSL_CONF => $without } });
            is("$run->{signal} $run->{out}", '0 ', "$algorithm: no token, and no crash");
            like($run->{err}, qr/key file "\S+" cannot be used: /, "$algorithm: said why");
        }
    }
    # What OpenSSL itself decodes.
    my %type = (RSA => 'RSA', EC => 'EC -pkeyopt ec_paramgen_curve:P-256', Ed25519 => 'ED25519');
    for my $type (sort keys %type) {
        my $private = file(scalar qx(openssl genpkey -algorithm $type{$type} 2>/dev/null));
        my %pem = (private => $private, public => file(scalar qx(openssl pkey -in $private -pubout)));
        for my $half (sort keys %pem) {
            my $key = $pem{$half};
            accepts("a PEM file: $type, $half", 'jwks', $key);
            for my $without ($fips, $none) {
                my $run = jwt('jwks', $key, { env => { OPENSSL_CONF => $without } });
                isnt($run->{status}, 0, "$type, $half: no key");
                like($run->{err}, qr/cannot be used: (?:this )?OpenSSL|no random bytes/, "$type, $half: said why");
                unlike($run->{err}, qr/damaged|match|curve/, "$type, $half: nor is it the file's fault");
            }
        }
    }
};

sub accepts_batch {
    my ($stdin) = @_;
    my $run = jwt('verify', '--batch', { stdin => $stdin });
    is("$run->{status} $run->{err}", '0 ', 'batch: status 0, nothing said');
    return [map { $json->decode($_) } split /\n/, $run->{out}];
}

done_testing;
