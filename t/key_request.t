# jwt_key_request: keys that a provider publishes. Fetched when a token first needs them, by one worker for all, and kept
# while the provider has a bad day.

use strict;
use warnings;

use FindBin;
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Provider;

my ($one, $two, $three) = map { keypair('ES256') } 1 .. 3;

sub jwk {
    my ($pair, $kid, %more) = @_;
    return { %{ $pair->{public_jwk} }, (defined $kid ? (kid => $kid) : ()), %more };
}

sub signed {
    my ($pair, $kid, %claims) = @_;
    return token(claims(%claims), key => $pair->{private}, alg => 'ES256', header => defined $kid ? { kid => $kid } : {});
}

my $provider = JWTTest::Provider->new;
my $url = $provider->url;
$provider->publish('/plain', keys => [jwk($one, 'a'), jwk($two, 'b')]);
$provider->publish('/second', keys => [jwk($three, 'c')]);

my $t = JWTTest->new(workers => 2, files => { 'html/index.html' => 'x' }, config => <<"EOF_CONFIG");
    root %%DIR%%/html;
    jwt_decode_algorithms ES256;
    location = /keys/plain { internal; proxy_pass $url/plain; }
    location = /keys/second { internal; proxy_pass $url/second; }
    location = /keys/slow { internal; proxy_pass $url/slow; }
    location = /keys/late { internal; proxy_pass $url/late; }
    location /plain/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/plain; }
    location /both/ {
        alias %%DIR%%/html/;
        jwt_required;
        jwt_key_request /keys/plain;
        jwt_key_request /keys/second;
    }
    location /slow/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/slow; }
    location /late/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/late timeout=500ms; }
EOF_CONFIG

sub status { my ($path, $token) = @_; return $t->get_with($path, $token)->{status} }

is status('/plain/', signed($one, 'a')), 200, 'the first token waits for the keys and passes';
is status('/plain/', signed($two, 'b')), 200, 'so does one by the second key';
is status('/plain/', signed($one, 'b')), 422, 'one that names the wrong key does not';
is status('/plain/', signed($three, 'c')), 422, 'nor one by a key of nobody';
is scalar(my @hits = $provider->hits('/plain')), 1, 'the provider was asked once';

is status('/both/', signed($one, 'a')), 200, 'two providers: the first';
is status('/both/', signed($three, 'c')), 200, 'two providers: the second, which is waited for';
is status('/both/', signed($three, 'a')), 422, 'a kid that both could have had';

# ---- many that wait

my $log_before = length $t->log;
$provider->publish('/slow', keys => [jwk($one, 'a')], mode => 'slow 1');
my @waiting = map { my $c = $t->connection; $c->request('GET', '/slow/', [Authorization => 'Bearer ' . signed($one, 'a')]); $c } 1 .. 200;
is join(' ', grep { $_ != 200 } map { $_->response('GET')->{status} } @waiting), '', '200 wait for a second: all pass';
is scalar(@hits = $provider->hits('/slow')), 1, 'for one fetch';

# ---- a provider that is late

$provider->publish('/late', keys => [jwk($one, 'a')], mode => 'slow 3');
my $begun = time;
my $late = $t->get_with('/late/', signed($one, 'a'));
is $late->{status}, 503, 'no keys in time: nobody can tell';
ok time - $begun < 1.5, 'and no longer waited than configured';
like $late->{headers}{'retry-after'}, qr/\A[1-3]\z/, 'the answer says when to come again';
$begun = time;
is status('/late/', signed($one, 'a')), 503, 'while the provider is left alone';
ok time - $begun < 0.3, 'nobody waits';
$provider->publish('/late', keys => [jwk($one, 'a')]);
ok $t->wait_for(4, sub { status('/late/', signed($one, 'a')) == 200 }), 'it comes back: tokens pass';

# ---- one directive for two servers, each of which has a key location of its own

my $inherited = JWTTest->new(files => { 'html/index.html' => 'x' }, http => <<"EOF_HTTP");
    root %%DIR%%/html;
    jwt_decode_algorithms ES256;
    jwt_key_request /keys;
    server { listen 127.0.0.1:%%PORT%%; location / { jwt_required; } location = /keys { internal; proxy_pass $url/plain; } }
    server { listen 127.0.0.1:%%PORT2%%; location / { jwt_required; } location = /keys { internal; proxy_pass $url/second; } }
EOF_HTTP
# Had by a worker that nginx makes after it read a configuration without any, and did not take it.
ok !$inherited->reload(http => 'server { listen 127.0.0.1:%%PORT%%; access_log %%DIR%%/no-folder/log; }'), 'a reload that fails';
$inherited->kill_worker;
my @bearer = map { [Authorization => "Bearer $_"] } signed($one, 'a'), signed($three, 'c');
is_deeply([map { $inherited->request('GET', '/', $_)->{status} } @bearer], [200, 422], 'inherited by two servers: the keys of the first');
is_deeply([map { $inherited->request('GET', '/', $_, undef, port => '2')->{status} } @bearer], [422, 200], 'and of the second, which are others');

# ---- keys that are newer than a worker's clock, which stands still while it is busy

$provider->publish('/spun', keys => [jwk($one, 'a')]);
my $busy = JWTTest->new(
    workers => 2,
    http => 'jwt_lua_limit time=30s steps=1000000000;',
    files => {
        'html/index.html' => 'x',
        'hooks.lua' => 'return { handlers = { spin = function() local n = 0 for i = 1, 3e7 do n = n + i end return { n = n } end } }',
    },
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    location /spin { jwt_lua_file %%DIR%%/hooks.lua; jwt_handler spin; }
    location = /keys { internal; proxy_pass $url/spun; }
    location = / { jwt_required; jwt_decode_algorithms ES256; jwt_key_request /keys; }
EOF_CONFIG
);
my $good = signed($one, 'a');
my $pipelined = $busy->connection;
$pipelined->send("GET /spin HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $good\r\n\r\n");
sleep 0.05;
is $busy->get_with('/', $good)->{status}, 200, 'one worker fetches';
is $pipelined->response('GET')->{status}, 200, 'while another is busy';
is $pipelined->response('GET')->{status}, 200, 'which then uses these keys';
is scalar(@hits = $provider->hits('/spun')), 1, 'and asks nobody';

done_testing;
