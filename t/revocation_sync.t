# jwt_revocation_sync: what one node revokes, others know within a second; what applications write into Redis, all do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Nodes;
use JWTTest::Redis;
use Time::HiRes ();

my $redis = JWTTest::Redis->new(port => free_port());
my $url = 'redis://127.0.0.1:' . $redis->port;
my ($one, $two) = my @nodes = map { node($url, config => 'location /status { jwt_status; }') } 1 .. 2;

# How long what takes a fraction of a second may take on a machine that has much else to do.
my $patience = 20;

sub connections { return scalar grep { /cmd=eval/ } split /\n/, $redis->command('CLIENT', 'LIST') }
sub add { return $redis->command('XADD', 'jwt:revocations', '*', @_) }
sub status { my ($node, %claims) = @_; return $node->get_with('/api/', token(claims(%claims)))->{status} }

# ---- from node to node

is(status($_, jti => 'first'), 200, 'a token that nobody revoked') for @nodes;
ok(within($patience, sub { connections() == 2 }), 'one connection a node, whatever its number of workers');
ok(revoke($one, 'first'), 'one node revokes it');
is(status($one, jti => 'first'), 401, 'there it ends at once');
ok(within($patience, sub { status($two, jti => 'first') == 401 }), 'and soon on the other');
is(status($two, jti => 'second'), 200, 'another token does not');
ok(unrevoke($two, 'first'), 'the other takes it back');
ok(within($patience, sub { status($one, jti => 'first') == 200 }), 'which spreads too');
ok(revoke($one, 'first'), 'revoked again');
is(agree($patience, \@nodes, ['first']), '', 'is revoked again');

my @forms = ({ subject => 'frank' }, { family => 'f1', issuer => 'me' }, { jti => 'j1', exp => time + 900 });
ok(revoke($two, $_), 'another kind') for @forms;
is(agree($patience, \@nodes, \@forms), '', 'every kind spreads');
is(agree(1, \@nodes, [{ subject => 'john' }, { family => 'f1', issuer => 'other' }], 0), '', 'and no other subject or issuer');

sub figure { my ($node, $name) = @_; return $node->get('/status')->{body} =~ /^nginx_jwt_revocation_sync_$name ([\d.]+)$/m ? $1 : 'none' }
ok(within($patience, sub { figure($one, 'connected') eq '1' }), 'jwt_status: connected');
ok(within($patience, sub { figure($one, 'lag_seconds') < 1 }), 'how old the knowledge is');
is(figure($one, 'sent_total') . ' ' . figure($one, 'received_total'), '2 4', 'revocations sent and received');
ok(within($patience, sub { figure($one, 'queue') eq '0' }), 'and none that waits');

# How long it takes: many at once from either side, each timed from its acknowledgement on. JWT_SYNC_TIMED: how many
# (200).
{
    my $many = $ENV{JWT_SYNC_TIMED} || 200;
    my (@waiting, @times);
    my $arrived = sub {
        my ($node, $jti, $since) = @_;
        return is_revoked($node, $jti) eq '1' && push @times, Time::HiRes::time() - $since;
    };
    my $look = sub { @waiting = grep { !$arrived->(@$_) } @waiting };
    for my $i (1 .. $many) {
        my ($from, $to) = $i % 2 ? ($one, $two) : ($two, $one);
        push @waiting, [$to, "timed$i", Time::HiRes::time()] if revoke($from, "timed$i");
        $look->();
    }
    within($patience, sub { $look->(); !@waiting });
    @times = sort { $a <=> $b } @times;
    is(scalar @times, $many, "$many revocations, from node to node");
    note sprintf 'median %.0f ms, 99 %% %.0f ms, the longest %.0f ms', map { 1000 * $_ } @times[@times / 2, @times * 0.99, -1];
    cmp_ok($times[@times / 2], '<', 1, 'within a second');
}

# ---- what applications write

add(qw(kind token jti app1 iss me exp), time + 900);
is(agree($patience, \@nodes, [{ jti => 'app1', iss => 'me' }]), '', 'an application revokes a token by XADD');
is(is_revoked($one, { jti => 'app1', iss => 'other' }), 0, 'of that issuer alone');
is(status($one, sub => 'carol', iat => time - 60, jti => undef), 200, 'a user before');
add(qw(kind subject sub carol));
ok(within($patience, sub { status($_, sub => 'carol', iat => time - 60, jti => undef) == 401 }), 'logged out everywhere') for @nodes;
is(status($one, sub => 'carol', iat => time + 60, jti => undef, nbf => undef), 422, 'whose next token is not yet valid here');
ok(within($patience, sub { status($_, sub => 'carol', iat => time, jti => undef) == 200 }), 'and may log in again') for @nodes;
add(qw(kind token jti app1 iss me action unrevoke));
is(agree($patience, \@nodes, [{ jti => 'app1', iss => 'me' }], 0), '', 'an application takes it back');

open my $file, '<', "$FindBin::Bin/../README.md" or die "README.md: $!";
my $readme = do { local $/; <$file> };
my ($tokens, $users, $families) = my @lines = $readme =~ /^redis-cli (XADD .*)$/mg;
is(scalar @lines, 3, 'README shows how, by redis-cli');
my $run = sub { return `redis-cli -p @{[$redis->port]} $_[0]` };
my %token = (iss => 'https://idp.example', jti => $tokens =~ /jti (\S+)/);
ok(revoke($one, { family => '8f41' }), 'and what one of its lines takes back');
is(agree($patience, \@nodes, [{ family => '8f41' }]), '', 'is on all nodes');
like($run->($_), qr/\A\d+-\d+\n\z/, $_) for @lines;
is(agree($patience, \@nodes, [\%token, { subject => 'bob' }]), '', 'which revokes');
is(agree($patience, \@nodes, [{ family => '8f41' }], 0), '', 'and takes back');

add(qw(kind family sid sess1));
add(qw(kind token jti app2));
is(agree($patience, \@nodes, [{ family => 'sess1' }, 'app2']), '', 'by other kinds');
ok(within($patience, sub { grep { /=app2\z/ } @{ $redis->command('HVALS', 'jwt:revocations:state') } }),
    'nodes put into the hash what an application put into the stream alone');

# ---- what nobody can read

my $long = 'x' x 100_000;
my @bad = (
    [qw(kind tokens jti bad1)], [qw(jti bad2)], [qw(kind token)], [qw(kind token jti bad3 expires 1)],
    [qw(kind all befor 1)], [qw(kind token jti bad4 exp soon)], [qw(record nonsense id 00)],
    ['kind', 'token', 'jti', $long], ['kind', 'token', 'jti', 'bad5', map { ("k$_", '') } 1 .. 100],
    ["\0\r\n", "\xff"], [qw(kind token jti bad6 jti bad7)],
);
add(@$_) for @bad;
$redis->command('HSET', 'jwt:revocations:state', 'nonsense', 'nonsense', '0' x 48, 'revoke all', '1' x 48, $long);
add(qw(kind token jti after));
is(agree($patience, \@nodes, ['after']), '', 'entries that nobody can read stop nothing');
is(agree(1, \@nodes, [map { "bad$_" } 1 .. 7], 0), '', 'and revoke nothing');
is(status($one, jti => 'fine'), 200, 'a token is still good');
like($one->log, qr/\[warn\].*jwt: Redis at 127\.0\.0\.1:\d+: entry \d+-\d+ of the stream is skipped: \S/, 'the log says what is skipped');
is(() = $one->log =~ /is skipped/g, 1, 'once a minute');

# ---- a node that comes late, or back

my $three = node($url);
is(agree($patience, [$three], ['first', 'after', 'app2', @forms]), '', 'a new node learns everything');
is(agree(1, [$three], [{ jti => 'app1', iss => 'me' }], 0), '', 'and what was taken back');
$three->stop;
ok(revoke($one, "away$_"), 'while it is away') for 1 .. 3;
add(qw(kind token jti away4));
$three->start;
is(agree($patience, [$three], [map { "away$_" } 1 .. 4]), '', 'a node that was away catches up');
$three->stop;
ok(revoke($one, 'trimmed'), 'while it is away for long');
is(agree($patience, [$two], ['trimmed']), '', 'and others are not');
ok(within($patience, sub { grep { /=trimmed\z/ } @{ $redis->command('HVALS', 'jwt:revocations:state') } }), 'which the hash has');
$redis->command(qw(XTRIM jwt:revocations MAXLEN 0));
$three->start;
is(agree($patience, \@nodes, ['trimmed', 'first']), '', 'the others have what they had');
is(agree($patience, [$three], ['trimmed', 'first']), '', 'it learns from the hash what the stream has no more');
$three->finish;

# ---- workers come and go

sub exchange_goes_on {
    my ($name) = @_;
    my $jti = "after $name";
    ok(revoke($one, $jti), "$name: a revocation");
    ok(within($patience, sub { is_revoked($two, $jti) eq '1' }), "$name: spreads");
    is(agree($patience, [$two], [$jti]), '', "$name: to all workers");
    ok(within($patience, sub { connections() == 2 }), "$name: one connection a node");
    return;
}
is($_->reload, 1, 'reload') for @nodes;
exchange_goes_on('reload');
for my $round (1 .. 2) {
    for my $pid ($one->workers) {
        $one->allow_log(qr/exited on signal 9/);
        kill KILL => $pid;
        exchange_goes_on("kill -9 of worker $pid");
    }
}

# ---- without Redis for a while, by the configuration

{
    my $with = $two->{arguments}{http};
    ok($two->reload(http => 'jwt_revocation_store %%DIR%%/store size=64m;'), 'a reload that exchanges no more');
    ok(revoke($two, 'alone'), 'what is revoked then');
    ok($two->reload(http => $with), 'and one that does again');
    is(agree($patience, [$one], ['alone']), '', 'is known to the others after that');
}

# ---- how it is configured

sub says {
    my ($directives, $text, $name) = @_;
    my ($code, $said) = JWTTest->nginx_t(http => $directives, config => 'location / { }');
    $text eq 'ok' ? is($code, 0, $name) || diag $said : like($said, qr/\[emerg\].*\Q$text\E/, $name);
    unlike($said, qr/s3cret/, "$name: no password");
    return;
}
my $store = 'jwt_revocation_store %%DIR%%/store;';
says("$store jwt_revocation_sync redis://:s3cret\@127.0.0.1:1/3 key=my:key;", 'ok', 'password, database and key');
says("$store jwt_revocation_sync redis://me:s3cret%40x\@[::1]; jwt_revocation_max_staleness 1m fail=closed;", 'ok', 'user, IPv6');
says("$store jwt_revocation_sync redis://localhost; jwt_revocation_max_staleness off;", 'ok', 'a name');
says('jwt_revocation_sync redis://127.0.0.1;', 'write jwt_revocation_store', 'no store');
says("$store jwt_revocation_sync 127.0.0.1;", 'takes a URL as in redis://', 'no URL');
says("$store jwt_revocation_sync rediss://me:s3cret\@127.0.0.1;", 'does not speak TLS', 'TLS');
says("$store jwt_revocation_sync redis://s3cret\@127.0.0.1;", 'stands user:password or :password', 'a user alone');
says("$store jwt_revocation_sync redis://:s3cret%4\@127.0.0.1;", 'stands user:password or :password', 'a stray %');
says("$store jwt_revocation_sync redis://:s3cret\@127.0.0.1/x;", 'is a number', 'a database that is no number');
says("$store jwt_revocation_sync redis://:s3cret\@;", 'no host', 'no host');
says("$store jwt_revocation_sync redis://:s3cret\@127.0.0.1:port;", 'invalid port', 'a port that is no number');
says("$store jwt_revocation_sync redis://:s3cret\@no-such-host.invalid;", 'no-such-host.invalid', 'a name that there is not');
says("$store jwt_revocation_sync redis://127.0.0.1 prefix=x;", 'stands key=NAME', 'an unknown option');
says("$store jwt_revocation_sync redis://127.0.0.1 key=;", 'stands key=NAME', 'an empty key');
says("$store jwt_revocation_sync redis://127.0.0.1; jwt_revocation_sync redis://127.0.0.1;", 'is duplicate', 'twice');
says("$store jwt_revocation_max_staleness 1m fail=closed;", 'write jwt_revocation_sync', 'no other nodes');
says("$store jwt_revocation_sync redis://127.0.0.1; jwt_revocation_max_staleness 1s;", 'at least 2s', 'too short');
says("$store jwt_revocation_sync redis://127.0.0.1; jwt_revocation_max_staleness 1m fail=maybe;", 'fail=open or fail=closed', 'neither open nor closed');

done_testing;
