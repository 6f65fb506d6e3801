# Redis down, frozen, flushed, restarted, refusing: no request fails, no acknowledged revocation is lost,
# and all nodes agree again within 5 seconds.
# JWT_SYNC_LEDGER: how many revocations the last part makes (150; by hand 10000). JWT_SYNC_FREEZE: seconds (3; by hand 30).
# JWT_SYNC_SETTLE: within how many seconds nodes agree again (20; by hand 5).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Nodes;
use JWTTest::Redis;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

my $ledger_size = $ENV{JWT_SYNC_LEDGER} || 150;
my $freeze_time = $ENV{JWT_SYNC_FREEZE} || 3;
my $settle = $ENV{JWT_SYNC_SETTLE} || 20;  # seconds; on a machine with nothing else to do 5 are enough

my $redis = JWTTest::Redis->new(port => free_port());
my $url = 'redis://127.0.0.1:' . $redis->port;
my ($one, $two) = my @nodes = map { node($url, config => 'add_header X-Worker $pid; keepalive_requests 100000000; location /status { jwt_status; }') } 1 .. 2;
my @acknowledged;

sub connections { return scalar grep { /cmd=eval/ } split /\n/, $redis->command('CLIENT', 'LIST') }
sub in_redis { my $keys = eval { $redis->command('HKEYS', 'jwt:revocations:state') }; return scalar @{ $keys || [] } }

sub settled {
    my ($name, @jtis) = @_;
    push @acknowledged, @jtis;
    is(agree($settle, \@nodes, \@jtis), '', "$name: all nodes agree afterwards");
    is(agree(0.1, \@nodes, \@acknowledged), '', "$name: and none has lost anything");
    return;
}

ok(within($settle, sub { connections() == 2 }), 'both nodes are connected');
settled('at first', life_goes_on('at first', @nodes));

# ---- gone

$redis->stop;
my @jtis = life_goes_on('Redis is killed', @nodes);
is(agree(0.5, [$two], [$jtis[0]], 0), '', 'what one side does meanwhile the other does not know');
sub figure { my ($name) = @_; return $one->get('/status')->{body} =~ /^nginx_jwt_revocation_sync_$name ([\d.]+)$/m ? $1 : 'none' }
ok(within($settle, sub { figure('queue') == 3 && figure('connected') == 0 && figure('lag_seconds') > 1 }), 'jwt_status: what waits to be sent');
is($_->reload, 1, 'a reload') for @nodes;
push @jtis, life_goes_on('reloaded without Redis', @nodes);
$redis->start;
settled('Redis is back, empty', @jtis);
ok(within($settle, sub { figure('queue') == 0 && figure('connected') == 1 && figure('lag_seconds') < 1 }), 'jwt_status: nothing waits');
ok(within($settle, sub { in_redis() == @acknowledged }), 'and has all that it ever had') or diag in_redis();

my $late_port = free_port();
my $late = node("redis://127.0.0.1:$late_port");
@jtis = life_goes_on('Redis is not there at start', $late);
my $late_redis = JWTTest::Redis->new(port => $late_port);
my $later = node("redis://127.0.0.1:$late_port");
is(agree($settle, [$late, $later], \@jtis), '', 'Redis comes after its nodes: they agree');
$_->finish for $late, $later;
undef $late_redis;

# ---- with persistence: nobody has to tell everything

$redis->command(qw(CONFIG SET appendonly yes));
$redis->command(qw(CONFIG SET appendfsync always));
ok(within($settle, sub { $redis->command('INFO', 'persistence') =~ /aof_rewrite_in_progress:0\b.*aof_rewrite_scheduled:0\b/s }), 'Redis writes to its disk');
$redis->stop('TERM');
@jtis = life_goes_on('Redis restarts', @nodes);
$redis->start(appendonly => 'yes');
settled('Redis restarted with what it had', @jtis);

# ---- flushed, replaced by an old dump

$redis->command('FLUSHALL');
settled('FLUSHALL', life_goes_on('FLUSHALL', @nodes));
ok(within($settle, sub { in_redis() == @acknowledged }), 'FLUSHALL: the nodes bring everything back') or diag in_redis();
my ($dump, $state) = map { $redis->command('DUMP', $_) } 'jwt:revocations', 'jwt:revocations:state';
settled('after a dump', life_goes_on('after a dump', @nodes));
# At once: between the two a node would bring what the second takes away.
$redis->command('MULTI');
$redis->command('RESTORE', 'jwt:revocations', 0, $dump, 'REPLACE');
$redis->command('RESTORE', 'jwt:revocations:state', 0, $state, 'REPLACE');
$redis->command('EXEC');
settled('an old dump', life_goes_on('an old dump', @nodes));
ok(within($settle, sub { in_redis() == @acknowledged }), 'an old dump: the nodes bring back what it lacks') or diag in_redis();
my $new = node($url);
is(agree($settle, [$new], \@acknowledged), '', 'which a new node learns from Redis alone');
$new->finish;

# ---- partitioned

# One request after the other to a node whose Redis hangs, to every worker, and to one without any: figures of both.
sub beside_control {
    my ($name, $seconds) = @_;
    my $alone = JWTTest->new(files => { 'html/api/index.html' => 'in' }, config => <<"EOF_CONFIG");
    root %%DIR%%/html; jwt_secret_key "$JWTTest::Token::secret"; location /api/ { jwt_required; add_header X-Worker control; }
    keepalive_requests 100000000;
EOF_CONFIG
    my $request = sub { $_[0]->request('GET', '/api/index.html', [Authorization => 'Bearer ' . token(claims(jti => 'any'))]) };
    my $worker = sub { $request->($_[0]); return $_[0]->response->{headers}{'x-worker'} };
    my (%connection, %times);
    for (1 .. 200) {
        my $one_more = $one->connection;
        $connection{ $worker->($one_more) } ||= $one_more;
        last if keys %connection == 2;
    }
    is(scalar keys %connection, 2, "$name: a connection to every worker");
    $connection{control} = $alone->connection;
    $worker->($connection{control});
    my $ends = time + $seconds;
    while (time < $ends) {
        for my $peer (keys %connection) {
            my $begin = time;
            $request->($connection{$peer});
            $connection{$peer}->response->{status} == 200 or return fail("$name: a request");
            push @{ $times{ $peer eq 'control' ? 'control' : 'node' } }, time - $begin;
        }
    }
    my %slow;
    for my $peer (sort keys %times) {
        my @sorted = sort { $a <=> $b } @{ $times{$peer} };
        $slow{$peer} = grep { $_ > 0.5 } @sorted;
        note sprintf '%s, %s: %d requests, median %.2f ms, 99 %% %.2f ms, the longest %.1f ms', $name, $peer, scalar @sorted,
            map { 1000 * $_ } @sorted[@sorted / 2, @sorted * 0.99, -1];
    }
    # A worker that waits for Redis does so for a second each time, and has not the time for many requests besides.
    cmp_ok($slow{node}, '<=', $slow{control} + 1, "$name: no request of " . @{ $times{node} } . ' waits for it');
    $alone->finish;
    return;
}

$redis->freeze;
my $end = time + $freeze_time;
@jtis = life_goes_on('Redis hangs', @nodes);
beside_control('Redis hangs', $end - time - 0.5);
push @jtis, life_goes_on('Redis still hangs', @nodes);
$redis->thaw;
settled('Redis goes on', @jtis);

# ---- refuses

sub refused {
    my ($name, $text, $break, $mend) = @_;
    my $port = $redis->port;
    $break->();
    my $node = node($url);
    my @made = life_goes_on($name, $node);
    ok($node->wait_log(qr/\[error\].*jwt: Redis at 127\.0\.0\.1:$port: .*\Q$text\E/, $settle), "$name: the log says so") or diag $node->log;
    is(() = $node->log =~ /\[error\].*jwt: Redis/g, 1, "$name: once");
    $mend->();
    is(agree($settle, [$node, @nodes], \@made), '', "$name: over, all nodes agree");
    push @acknowledged, @made;
    $node->finish;
    return;
}
refused('keys of another type', 'WRONGTYPE',
    sub { $redis->command('DEL', 'jwt:revocations'); $redis->command('SET', 'jwt:revocations', 'x') },
    sub { $redis->command('DEL', 'jwt:revocations') });
refused('no memory', 'OOM', sub { $redis->command(qw(CONFIG SET maxmemory 1)) }, sub { $redis->command(qw(CONFIG SET maxmemory 0)) });
my $master = JWTTest::Redis->new(port => free_port(), 'repl-diskless-sync-delay' => 0);
refused('a replica', 'READONLY',
    sub { $redis->command('REPLICAOF', '127.0.0.1', $master->port); within(10, sub { $redis->command('INFO', 'replication') =~ /master_link_status:up/ }) },
    sub { $redis->command(qw(REPLICAOF NO ONE)) });
refused('a password', 'NOAUTH', sub { $redis->command(qw(CONFIG SET requirepass s3cret)); $redis->command(qw(CLIENT KILL TYPE normal SKIPME yes)) },
    sub { delete $redis->{socket}; $redis->command(qw(AUTH s3cret)); $redis->command('CONFIG', 'SET', 'requirepass', '') });
settled('after all that', life_goes_on('after all that', @nodes));

open my $file, '<', "$FindBin::Bin/../README.md" or die "README.md: $!";
my ($rights) = do { local $/; <$file> } =~ /^ACL SETUSER nginx on >s3cret ~jwt:\* (.*)$/m;
ok($rights, 'README says which rights nginx needs');
$redis->command(qw(ACL SETUSER jwt on >pa:s@s3cret ~my:*), split / /, $rights);
my $port = $redis->port;
my @private = map { node("redis://jwt:pa%3as%40s3cret\@127.0.0.1:$port/3 key=my:set") } 1 .. 2;
ok(revoke($private[0], 'private'), 'a user of few rights, a database and a key of its own');
is(agree($settle, \@private, ['private']), '', 'are enough');
is(is_revoked($one, 'private'), 0, 'and apart');
$private[0]->reload(http => "jwt_revocation_store %%DIR%%/store size=64m; jwt_revocation_sync redis://jwt:s3cret-wrong\@127.0.0.1:$port;");
life_goes_on('a wrong password', $private[0]);
ok($private[0]->wait_log(qr/refused authentication: WRONGPASS/, $settle), 'a wrong password: the log says so');
unlike($_->log, qr/s3cret/, 'no password is logged') for @private;
$_->finish for @private;

# ---- a ledger: every acknowledged revocation, whatever happens meanwhile

my $chaos = fork;
die "fork: $!" unless defined $chaos;
if (!$chaos) {
    delete $redis->{socket};
    my @deeds = (
        sub { $redis->freeze; sleep 0.4; $redis->thaw },
        sub { $redis->command('FLUSHALL') },
        sub { $redis->command(qw(CLIENT KILL TYPE normal)) },
        sub { kill HUP => $nodes[rand @nodes]->pid },
        sub { my @pids = $nodes[rand @nodes]->workers; kill KILL => $pids[rand @pids] if @pids },
        sub { $redis->command(qw(XTRIM jwt:revocations MAXLEN 0)) },
    );
    my $turn = 0;
    local $SIG{TERM} = sub { $redis->thaw; POSIX::_exit(0) };
    while (1) { eval { $deeds[$turn++ % @deeds]->() }; sleep 0.15 }
}
$_->allow_log(qr/exited on signal 9|pid \d+ exited/) for @nodes;
my @ledger;
my $failed = 0;
while (@ledger < $ledger_size) {
    my $jti = 'ledger' . (@ledger + $failed);
    # A request that a killed worker had is not acknowledged.
    eval { revoke($nodes[rand @nodes], $jti) } ? push @ledger, $jti : $failed++;
}
kill TERM => $chaos;
waitpid $chaos, 0;
note "$ledger_size acknowledged, $failed not";
is(agree($settle + $ledger_size / 500, \@nodes, \@ledger), '', "$ledger_size acknowledged revocations: none is lost on any node");
is(agree(1, \@nodes, \@acknowledged), '', 'nor any from before');
my $last = node($url);
is(agree($settle + $ledger_size / 500, [$last], \@ledger), '', 'and Redis has all of them');

done_testing;
