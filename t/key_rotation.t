# Keys that change while requests come in: rotation, tokens of unknown kids, clients that leave, workers that die and
# reloads, all of them amid a fetch. JWT_FLOOD, JWT_ROTATIONS, JWT_ABORTS and JWT_RESETS set the size of what is also run by
# hand at full size.

use strict;
use warnings;

use FindBin;
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Http2;
use JWTTest::Provider;

my $flood = $ENV{JWT_FLOOD} || 300;
my $rotations = $ENV{JWT_ROTATIONS} || 4;
my $aborts = $ENV{JWT_ABORTS} || 100;
my $resets = $ENV{JWT_RESETS} || 300;

my @pairs = map { keypair('ES256') } 0 .. 4;

sub jwk { my ($n, $kid) = @_; return { %{ $pairs[$n % 5]{public_jwk} }, kid => $kid // "k$n" } }

sub signed {
    my ($n, $kid) = @_;
    return token(claims(), key => $pairs[$n % 5]{private}, alg => 'ES256', header => { kid => $kid // "k$n" });
}

my $payload = base64url(JSON::PP->new->encode(claims()));
my $signature = base64url('x' x 64);

sub forged { return join '.', base64url(qq({"alg":"ES256","kid":"$_[0]"})), $payload, $signature }

my $provider = JWTTest::Provider->new;
my $url = $provider->url;
my $config = <<"EOF_CONFIG";
    root %%DIR%%/html;
    jwt_decode_algorithms ES256;
    location ~ ^/keys/(\\w+)\$ { internal; proxy_pass $url/\$1; }
EOF_CONFIG

sub place { my ($name, $options) = @_; return "location /$name/ { alias %%DIR%%/html/; jwt_required; jwt_key_request /keys/$name $options; }\n" }

$config .= place('rotating', 'cache=400ms') . place('unknown', 'unknown=1s') . place('flooded', 'unknown=2s')
    . place('left', 'timeout=2s') . place('streams', 'timeout=60s') . place('killed', 'timeout=3s') . place('reloaded', 'timeout=3s')
    . place('removed', 'cache=500ms') . place('aged', 'cache=1h cache_min=400ms');
my $t = JWTTest->new(workers => 2, http2 => 1, files => { 'html/index.html' => 'x' }, config => $config);

sub hits { my @hits = $provider->hits($_[0]); return scalar @hits }

sub status { my ($path, $token) = @_; return $t->get_with($path, $token)->{status} }

# The status that comes, on a connection that is then closed.
sub status_on {
    my ($connection) = @_;
    my $answer = $connection->response('GET');
    $connection->close;
    return $answer->{status};
}

# Sends on connections of their own, so that several are under way at once.
sub send_on {
    my ($path, $token) = @_;
    my $connection = $t->connection;
    $connection->request('GET', $path, [Authorization => "Bearer $token", Connection => 'close']);
    return $connection;
}

# ---- rotation: the next key is published before its first use, the last one is gone

my ($asked, @wrong) = (0);
$provider->publish('/rotating', keys => [jwk(0), jwk(1)]);
for my $n (0 .. $rotations) {
    my $end = time + ($ENV{JWT_ROTATIONS} ? 2 : 1);
    while (time < $end) {
        my @answers = map { send_on('/rotating/', signed($n)) } 1 .. 4;
        push @wrong, grep { $_ != 200 } map { status_on($_) } @answers;
        push @wrong, grep { $_ != 422 } status('/rotating/', signed($n - 2)) if $n >= 2 && $end - time < 0.4;
        $asked += 4;
    }
    $provider->publish('/rotating', keys => [jwk($n + 1), jwk($n + 2)]);
}
is "@wrong", '', "$rotations rotations under load: no wrong verdict";
cmp_ok $asked, '>', 4 * $rotations, "of $asked";
cmp_ok hits('/rotating'), '<', ($rotations + 1) * 8, 'and no more fetches than its life asks for';

# ---- a set is replaced, not added to (row 18)

$provider->publish('/removed', keys => [jwk(0), jwk(1)]);
is status('/removed/', signed(0)), 200, 'row 18: a key of the set';
$provider->publish('/removed', keys => [jwk(1)]);
ok $t->wait_for(5, sub { $t->statuses('/removed/', signed(0)) eq '422 422' }), 'row 18: no more, in no worker';
is status('/removed/', signed(1)), 200, 'row 18: the one that stayed';

# ---- what the provider says of its life

$provider->publish('/aged', keys => [jwk(0)], headers => ['Cache-Control' => 'public, max-age=1', Age => 1]);
status('/aged/', signed(0)) for 1 .. 4;
my $begun = time;
$provider->publish('/aged', keys => [jwk(1)], headers => ['Cache-Control' => 'public, max-age=3600']);
ok $t->wait_for(2, sub { status('/aged/', signed(1)) == 200 }), 'max-age and Age count, and not less than cache_min';
my $settled = hits('/aged');
sleep 1;
status('/aged/', signed(1)) for 1 .. 4;
is hits('/aged'), $settled, 'a longer max-age is a longer life';

# ---- an unknown kid asks again

$provider->publish('/unknown', keys => [jwk(0)]);
is status('/unknown/', signed(0)), 200, 'the first key';
is status('/unknown/', signed(1)), 422, 'one that nobody published, too soon to ask again';
$provider->publish('/unknown', keys => [jwk(0), jwk(2)]);
sleep 1.1;
is status('/unknown/', signed(2)), 200, 'one that was published since: asked for when a token names it';
is hits('/unknown'), 2, 'by one more fetch';
is status('/unknown/', signed(2, 'k0')), 422, 'one that names another key asks for nothing';
is hits('/unknown'), 2, 'nor is anything fetched';

# ---- a flood of unknown kids

$provider->publish('/flooded', keys => [jwk(0)], headers => ['Cache-Control' => 'max-age=600']);
is status('/flooded/', signed(0)), 200, 'before the flood';
$begun = time;
my ($passed, $refused, $other) = (0, 0, 0);
for my $round (1 .. $flood / 20) {
    my @connections = map { send_on('/flooded/', forged("flood-$round-$_")) } 1 .. 20;
    push @connections, send_on('/flooded/', signed(0));
    my @statuses = map { status_on($_) } @connections;
    $passed += pop(@statuses) == 200;
    $_ == 422 ? ++$refused : ++$other for @statuses;
}
my $seconds = time - $begun;
is $refused, $flood, "$flood forged tokens, each with a kid of its own: refused";
is $other, 0, 'and nothing else';
is $passed, int($flood / 20), 'those of known keys pass';
cmp_ok hits('/flooded'), '<=', 2 + $seconds / 2, 'the provider is left in peace: a fetch in two seconds at most';
diag sprintf '%d forged tokens in %.1f s, %d fetches', $flood, $seconds, hits('/flooded') if $ENV{JWT_FLOOD};

# ---- clients that leave

$provider->publish('/left', keys => [jwk(0)], mode => 'slow 0.7');
my @leaving = map { send_on('/left/', signed(0)) } 1 .. $aborts;
my @staying = map { send_on('/left/', signed(0)) } 1 .. 5;
$_->close for @leaving;
is join(' ', map { $_->response('GET')->{status} } @staying), '200 200 200 200 200', 'those who stay get their answer';
is hits('/left'), 1, 'for one fetch, whose first client has left';

# Streams of HTTP/2 that are reset, at once or while they wait, and connections that end with theirs.
my $most = 100;  # streams of a connection
$provider->publish('/streams', keys => [jwk(0)], mode => 'slow ' . (1 + $resets / 300));
my $bearer = [authorization => 'Bearer ' . signed(0)];
my $waits = JWTTest::Http2->new($t->port('h2'));
my $stays = $waits->get('/streams/', $bearer);
$waits->flush;
my (@clients, $dead);
for (my $left = 0; $left < $resets; $left += $most) {
    my $way = $left / $most % 3;
    my $client = JWTTest::Http2->new($t->port('h2'));
    my @streams;
    for (1 .. $most) {
        push @streams, $client->get('/streams/', $bearer);
        $client->reset($streams[-1]) if $way == 0;
    }
    $client->flush;
    if ($way == 1) { $client->ping; $client->reset($_) for @streams }
    if ($way == 2) { $client->ping; $client->close; next }
    ++$dead unless $client->ping;
    push @clients, [$client, $client->get('/streams/', $bearer)];
    $client->flush;
}
my $ended = sub { my $count = () = $t->read_file('access.log') =~ m{GET /streams/ HTTP/2\.0" 499 }g; return $count };
ok $t->wait_for(20, sub { $ended->() == $resets }), "each of $resets streams ended" or diag $ended->();
is scalar(my @still = $provider->hits('/streams')), 1, 'amid one fetch';
is $dead, undef, 'the connections of those that were reset live on';
my $answer;
$t->wait_for(60, sub { defined($answer = $waits->body($stays)) });
is $answer, 'x', 'who stays gets an answer';
is join('', map { $_->[0]->body($_->[1]) } @clients), 'x' x @clients, 'and so do later streams of connections that lost some';

# ---- a worker that is killed amid a fetch: another takes over

$provider->publish('/killed', keys => [jwk(0)], mode => 'slow 0.5');
my @before = map { send_on('/killed/', signed(0)) } 1 .. 16;
ok $t->wait_for(2, sub { hits('/killed') }), 'the provider is asked';
$t->kill_worker;
my @survived = grep { defined } map { my $answer = eval { $_->response('GET') }; $answer && $answer->{status} } @before;
is join(' ', grep { $_ != 200 } @survived), '', 'who was not with it gets an answer';
ok $t->wait_for(3, sub { status('/killed/', signed(0)) == 200 }), 'and whoever comes later';
cmp_ok hits('/killed'), '<=', 2, 'asked for at most once more';

# ---- reload amid a fetch, and with a provider that is gone

$provider->publish('/reloaded', keys => [jwk(0)], mode => 'slow 1');
my @amid = map { send_on('/reloaded/', signed(0)) } 1 .. 8;
ok $t->wait_for(2, sub { hits('/reloaded') }), 'the provider is asked';
ok $t->reload, 'reload';
is join(' ', map { $_->response('GET')->{status} } @amid), join(' ', (200) x 8), 'who waited gets an answer';
is status('/reloaded/', signed(0)), 200, 'new workers ask themselves';
$provider->stop;
ok $t->reload, 'reload, with nobody to ask';
is $t->statuses('/reloaded/', signed(0)), '200 200', 'what was known is still known';

done_testing;
