# What happens to requests when the provider of jwt_key_request has a bad day: each kind of it with a set in memory and
# without one.

use strict;
use warnings;

use FindBin;
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Provider;

my $pair = keypair('ES256');
my $key = { %{ $pair->{public_jwk} }, kid => 'a' };
my $good = token(claims(), key => $pair->{private}, alg => 'ES256', header => { kid => 'a' });
my $other = token(claims(), key => $pair->{private}, alg => 'ES256', header => { kid => 'unheard' });
my $rsa = keypair('RS256');
my $secret_key = { kty => 'oct', kid => 's', k => base64url('x' x 64) };
my $provider = JWTTest::Provider->new;
my $url = $provider->url;
my $set = JSON::PP->new->canonical->encode({ keys => [$key] });
my $gzip = "\x1f\x8b\x08\x00" . 'x' x 40;

# What the provider does, and how the log calls it.
my %fault = (
    hang => [{ keys => [$key], mode => 'hang' }, 'is late'],
    reset => [{ keys => [$key], mode => 'reset' }, 'answers with status 502'],
    cut => [{ body => substr($set, 0, 40), mode => 'cut' }, 'is no JWK Set: not valid JSON'],
    status_500 => [{ keys => [$key], status => 500 }, 'answers with status 500'],
    status_404 => [{ keys => [$key], status => 404 }, 'answers with status 404'],
    status_204 => [{ body => '', status => 204 }, 'answers with status 204'],
    huge => [{ keys => [$key], mode => 'padded ' . 10 * 1024 * 1024 }, 'answers with more than 1 MB'],
    garbage => [{ body => "\x00\xff{]" }, 'is no JWK Set'],
    html => [{ body => '<html><body>Sign in</body></html>', headers => ['Content-Type' => 'text/html'] }, 'is no JWK Set'],
    redirect => [{ body => $set, status => 302, headers => [Location => "$url/elsewhere"] }, 'answers with status 302'],
    gzip => [{ body => $gzip, headers => ['Content-Encoding' => 'gzip'] }, 'answers in an encoding that was not asked for'],
    nothing => [{ body => '' }, 'is no JWK Set'],
    no_keys => [{ keys => [] }, 'holds no keys'],
    a_key => [{ body => JSON::PP->new->encode($key) }, 'is no JWK Set: it has no array "keys"'],
    pem => [{ body => $pair->{public} }, 'is no JWK Set'],
    unusable => [{ keys => [{ kty => 'EC', crv => 'P-224', x => 'AA', y => 'AA', kid => 'a' }] }, 'holds no usable key'],
    twice => [{ keys => [$key, $key] }, 'holds two keys of kid "a"'],
    private => [{ keys => [$key, { %{ $rsa->{private_jwk} }, kid => 'p' }] }, 'publishes a secret or private key'],
    secret => [{ keys => [$key, $secret_key] }, 'publishes a secret or private key'],
    too_many => [{ keys => [map { { %$key, kid => "k$_" } } 0 .. 100] }, 'holds more than 100 keys'],
);
my @names = sort keys %fault;

my $locations = join '', map { <<"EOF_LOCATION" } map { ("new_$_", "old_$_") } @names;
    location = /keys/$_ { internal; proxy_pass $url/$_; }
    location /$_/ {
        alias %%DIR%%/html/;
        jwt_required;
        jwt_key_request /keys/$_ cache=@{[ /^old/ ? '1s' : '10m' ]} stale=1h timeout=500ms;
    }
EOF_LOCATION
my $t = JWTTest->new(
    workers => 2,
    files => { 'html/index.html' => 'x' },
    config => "root %%DIR%%/html; jwt_decode_algorithms ES256;\n$locations
    location /gone/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/gone cache=10s stale=off timeout=500ms; }
    location = /keys/gone { internal; proxy_pass $url/gone; }"
);

sub get { my ($name, $token) = @_; return $t->get_with("/$name/", $token || $good) }

# The ones with a set in memory get it first, then all go bad, and what is in memory ends.
$provider->publish("/old_$_", keys => [$key]) for @names;
is join(' ', grep { get("old_$_")->{status} != 200 } @names), '', 'all keys are there';
for my $name (@names) {
    $provider->publish("/new_$name", %{ $fault{$name}[0] });
    $provider->publish("/old_$name", %{ $fault{$name}[0] });
}
sleep 1.1;
for my $name (@names) {
    # Its set has ended: the first request may wait for the provider once more.
    is get("old_$name")->{status}, 200, "$name: a token whose key is known passes";
    my $begun = time;
    is get("old_$name")->{status}, 200, "$name: and again";
    cmp_ok time - $begun, '<', 0.4, "$name: without waiting for the provider";
    is get("old_$name", $other)->{status}, 503, "$name: one whose key is not known: nobody can tell";

    my $answer = get("new_$name");
    is $answer->{status}, 503, "$name: no key at all: nobody can tell";
    like $answer->{headers}{'retry-after'}, qr/\A[123]\z/, "$name: the client is told when to come again";
    is $answer->{headers}{'www-authenticate'}, undef, "$name: and not to bring another token";
    like $t->log, qr/keys of localhost \/keys\/new_$name are not taken: the provider(?:'s answer)? \Q$fault{$name}[1]\E/,
        "$name: the log says why";
}
is scalar(my @elsewhere = $provider->hits('/elsewhere')), 0, 'no redirect was followed';

# ---- it comes back

$provider->publish("/new_$_", keys => [$key]) for @names;
is join(' ', grep { my $name = $_; !$t->wait_for(8, sub { get("new_$name")->{status} == 200 }) } @names), '',
    'each is there again when it comes back';
my @lines = $t->log =~ /keys of localhost \/keys\/new_hang /g;
is @lines, 1, 'one line in the log for a provider that fails again and again';

# ---- nobody there at the start, and stale=off

$provider->stop;
is get('gone')->{status}, 503, 'gone at the start: 503';
$provider->publish('/gone', keys => [$key]);
$provider->start;
ok $t->wait_for(4, sub { get('gone')->{status} == 200 }), 'it starts: tokens pass';

done_testing;
