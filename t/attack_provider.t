# Keys from providers (rows 10 to 13 and 15 to 19 of the attack catalogue): what a token says cannot choose where they
# come from, a provider cannot slip in what is no public key, and the keys of one are never those of another.

use strict;
use warnings;

use FindBin;
use IO::Socket::IP;
use IO::Select;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Provider;
use JWTTest::Token qw(certificate);

my ($one, $two, $attacker) = map { keypair('ES256') } 1 .. 3;
my @many = map { keypair('ES256') } 1 .. 6;
my $rsa = keypair('RS256');
my $json = JSON::PP->new->canonical;
my $provider = JWTTest::Provider->new;
my $url = $provider->url;

sub jwk { my ($pair, $kid) = @_; return { %{ $pair->{public_jwk} }, (defined $kid ? (kid => $kid) : ()) } }

sub signed {
    my ($pair, $header, %claims) = @_;
    return token(claims(%claims), key => $pair->{private}, alg => 'ES256', header => $header);
}

my @filler = map { jwk($attacker, "filler-$_") } 1 .. 94;
$provider->publish('/one', keys => [jwk($one, '1')]);
$provider->publish('/two', keys => [jwk($two, '1')]);
$provider->publish('/many', keys => [(map { jwk($_) } @many), @filler]);
$provider->publish('/huge', keys => [jwk($one, '1'),
    { kty => 'RSA', kid => 'n', n => base64url("\xff" x 2048), e => 'AQAB' },
    { %{ $rsa->{public_jwk} }, kid => 'e', e => base64url("\x01" . "\0" x 8 . "\x01") }]);
$provider->publish('/oct', keys => [jwk($one, '1'), { kty => 'oct', kid => 's', alg => 'HS256', k => base64url('x' x 64) }]);
$provider->publish('/twins', keys => [jwk($one, '1'), jwk($attacker, '1')]);
$provider->publish('/away', body => '', status => 302, headers => [Location => "$url/one"]);

sub server {
    my ($name, $key, $more) = @_;
    return <<"EOF_SERVER";
    server {
        listen 127.0.0.1:%%PORT2%% ssl http2 $more;
        listen 127.0.0.1:%%PORT3%%;
        server_name $name;
        ssl_certificate %%DIR%%/cert.pem;
        ssl_certificate_key %%DIR%%/key.pem;
        root %%DIR%%/html;
        location / { jwt_required; jwt_key_request /keys; jwt_decode_algorithms ES256; add_header X-Server $name; }
        location = /keys { internal; proxy_pass $url/$key; }
    }
EOF_SERVER
}

my @names = qw(one many huge oct twins away thousand);
my $t = JWTTest->new(files => { 'html/index.html' => 'x', 'key.pem' => $one->{private}, 'cert.pem' => certificate($one->{private}) },
    http => server('two.example', 'two', 'default_server') . server('one.example', 'one', ''),
    config => "root %%DIR%%/html; jwt_decode_algorithms ES256 RS256 HS256;\n" . join '', map { <<"EOF_LOCATION" } @names);
    location /$_/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/$_; }
    location = /keys/$_ { internal; proxy_pass $url/$_; }
EOF_LOCATION

sub status { my ($path, $token) = @_; return $t->get_with("/$path/", $token)->{status} }

# ---- row 10

is status('huge', signed($one, { kid => '1' })), 200, 'row 10: the good key of a set with huge numbers';
is status('huge', token(claims(), key => $rsa->{private}, alg => 'RS256', header => { kid => $_ })), 422,
    "row 10: and none of the others: $_" for qw(n e);
like $t->log, qr/jwt: keys of localhost \/keys\/huge: key 2 \(kid "n"\) has a member "n" that is too long/, 'row 10: the log says so';

# ---- rows 11, 12 and 13: what a token says chooses nothing

my $listener = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 5) or die;
my $there = 'http://127.0.0.1:' . $listener->sockport . '/keys';
is status('one', signed($one, { kid => '1' })), 200, 'row 11: the good token';
for my $header ({ kid => '1', jwk => jwk($attacker, '1') }, { jwk => jwk($attacker) }, { kid => '1', jku => $there },
    { kid => '1', x5u => $there }, { kid => $there }, { kid => '/keys/two' }) {
    is status('one', signed($attacker, $header)), 422, 'rows 11 and 12: ' . substr $json->encode($header), 0, 60;
}
for my $iss ($there, 'https://good.example@evil.example', '../two', '/keys/two') {
    is status('one', signed($attacker, { kid => '1' }, iss => $iss)), 422, "row 13: iss $iss";
    is status('one', signed($two, { kid => '1' }, iss => $iss)), 422, "row 13: and the key of another provider";
}
is status('away', signed($one, { kid => '1' })), 503, 'row 13: a provider that sends us elsewhere has no keys';
is_deeply [IO::Select->new($listener)->can_read(0.1)], [], 'rows 12 and 13: nobody else was asked';
is scalar(my @hits = $provider->hits('/one')), 1, 'row 13: and the provider once';

# ---- row 16

is status('oct', signed($one, { kid => '1' })), 503, 'row 16: a set with a secret is refused as a whole';
is status('oct', token(claims(), key => 'x' x 64, alg => 'HS256', header => { kid => 's' })), 503, 'row 16: and its secret signs nothing';
is status('twins', signed($one, { kid => '1' })), 503, 'row 16: so is one with two keys of one kid';
is status('twins', signed($attacker, { kid => '1' })), 503, 'row 16: of which neither counts';
my $as_secret = token(claims(), key => $json->encode({ keys => [jwk($one, '1')] }), alg => 'HS256', header => { kid => '1' });
is status('one', $as_secret), 422, 'row 16: a published set is no secret';

# ---- row 17: at most four keys are tried

is join(' ', map { status('many', signed($many[$_], {})) } 0 .. 5), '200 200 200 200 422 422', 'row 17: no kid: the first four of 100';
is join(' ', map { status('many', signed($many[$_], { kid => 'unheard' })) } 0 .. 5), '200 200 200 200 422 422',
    'row 17: an unknown kid: the first four that have none';
$provider->publish('/thousand', keys => [jwk($one, '1'), map { jwk($attacker, "filler-$_") } 1 .. 999]);
is status('thousand', signed($one, { kid => '1' })), 503, 'row 17: a set of a thousand keys is not read at all';
is status('many', signed($attacker, { kid => 'filler-94' })), 200, 'row 17: a kid finds its key among 100';

# ---- rows 15 and 19: two servers, both with a key "1"

sub by_tls {
    my ($sni, $host, $token, @more) = @_;
    my $port = $t->port('2');
    open my $curl, '-|', 'curl', '-sk', @more, '-o', '/dev/null', '-w', '%{http_code}', '--resolve', "$sni:$port:127.0.0.1", '-H', "Host: $host",
        '-H', "Authorization: Bearer $token", "https://$sni:$port/" or die "curl: $!";
    my $code = <$curl>;
    close $curl;
    return $code;
}

my %token = (one => signed($one, { kid => '1' }), two => signed($two, { kid => '1' }));
for my $server (qw(one two)) {
    for my $by (qw(one two)) {
        my $expected = $server eq $by ? 200 : 422;
        my @plain = (Host => "$server.example", Authorization => "Bearer $token{$by}");
        is $t->request('GET', '/', \@plain, undef, port => '3')->{status}, $expected, "row 15: the token of $by at server $server";
        is by_tls("$server.example", "$server.example", $token{$by}, $_), $expected, "row 15: the same by TLS, $_" for qw(--http1.1 --http2);
        my $other = $server eq 'one' ? 'two' : 'one';
        is by_tls("$other.example", "$server.example", $token{$by}, '--http1.1'), $expected, "row 19: SNI $other, Host $server, token of $by";
        is by_tls("$other.example", "$server.example", $token{$by}, '--http2'), $expected, "row 19: the same over HTTP/2";
    }
}
is $t->request('GET', '/', [Host => 'nobody.example', Authorization => "Bearer $token{$_}"], undef, port => '3')->{status},
    $_ eq 'two' ? 200 : 422, "row 19: an unknown Host is the default server's: token of $_" for qw(one two);
is by_tls('nobody.example', 'nobody.example', $token{$_}), $_ eq 'two' ? 200 : 422, "row 19: likewise by TLS: $_" for qw(one two);

done_testing;
