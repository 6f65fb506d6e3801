# Acknowledged revocations outlast whatever ends, in whatever order: the client's ledger of what was acknowledged
# decides. ATTACKS 72.
# JWT_LEDGER: how many are acknowledged at least (200; by hand 10000). JWT_LEDGER_FREEZE: how long Redis hangs, in
# seconds (0.7; by hand 30). JWT_SEED: the order of a run before.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Nodes;
use JWTTest::Redis;
use List::Util qw(shuffle);
use POSIX ();
use Time::HiRes qw(sleep time);

my $size = $ENV{JWT_LEDGER} || 200;
my $freeze_time = $ENV{JWT_LEDGER_FREEZE} || 0.7;
my $seed = $ENV{JWT_SEED} || time ^ $$;
srand $seed;

# A disk of its own, small enough to be filled.
my $folder = File::Temp::tempdir('jwt-ledger-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $disk = "$folder/disk";
mkdir $disk;
my $mounted = $> == 0 && system("mount -t tmpfs -o size=32m none $disk 2>/dev/null") == 0;
my $owner = $$;
END { local $?; system("umount -l $disk") if $mounted && $$ == $owner }

my $redis = JWTTest::Redis->new(port => free_port());
my $url = 'redis://127.0.0.1:' . $redis->port;
my $logout = 'location /logout { jwt_required; jwt_logout; }';
my $filling = 'location /fill { jwt_lua_file %%DIR%%/fill.lua; jwt_handler fill; }';
my $fill = <<'EOF_LUA';
local jwt = require "jwt"
return { handlers = { fill = function(request)
  for i = 1, 50 do jwt.revoke{ jti = request.args.n .. i .. ("x"):rep(100), issuer = ("i"):rep(120), exp = os.time() + 600 } end
  return ""
end } }
EOF_LUA
my $one = node($url,
    upgradable => 1,
    main => join('', map { "env $_;" } qw(LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS)),    # for the new binary
    workers => 3,
    files => { 'fill.lua' => $fill },
    config => "$logout $filling",
    $mounted ? (store => "$disk/store size=256m") : (),
);
my $two = node($url, config => $logout);
$_->allow_log(qr/exited on signal 9/) for $one, $two;

sub new_token { return token(claims(jti => $_[0], exp => time + 86400)) }
sub logout { my ($node, $jti) = @_; return $node->post('/logout', [Authorization => 'Bearer ' . new_token($jti)], '')->{status} }

# Most are revoked on one node, some on the other.
sub told_by_one { return $_[0] =~ /(\d+)\z/ && $1 % 4 }

# ---- the client: it logs out by one token after the other, and writes down what it is told

my $ledger = "$folder/ledger";
my $client = fork // die "fork: $!";
if (!$client) {
    open my $out, '>', $ledger or POSIX::_exit(1);
    local $SIG{TERM} = 'DEFAULT';
    for (my $i = 0; getppid == $owner; ++$i) {
        my $status = eval { logout(told_by_one("ledger$i") ? $one : $two, "ledger$i") } || 'none';
        syswrite $out, "$i $status\n";
        sleep($status eq 'none' ? 0.02 : 0.002);
    }
    POSIX::_exit(0);
}

sub told {
    open my $in, '<', $ledger or return ();
    return map { [/^(\d+) (\d+|none)\n/] } <$in>;
}
sub acknowledged { return map { "ledger$_->[0]" } grep { $_->[1] eq '200' } told() }

# ---- meanwhile

my $fills = 0;
my %deeds = (
    'reload' => sub { $one->reload },
    'kill -9 of workers' => sub { $one->kill_worker for 1 .. 2 },
    'kill -9 of the whole nginx' => sub { $one->kill_all },
    'binary upgrade' => sub { $one->upgrade },
    'another node is killed' => sub { $two->kill_all },
    'Redis restarts, empty' => sub { $redis->stop; sleep 0.1; $redis->start },
    'Redis is flushed' => sub { $redis->command('FLUSHALL') },
    'Redis hangs' => sub { $redis->freeze; sleep $freeze_time; $redis->thaw },
    'a full disk' => sub {
        system("dd if=/dev/zero of=$disk/filler bs=64k status=none 2>/dev/null");
        my $full = $one->wait_for(30, sub { $one->get('/fill?n=' . ++$fills . '-')->{status} == 507 });
        ok($full, 'a full disk: refused with 507');
        unlink "$disk/filler";
        ok($one->wait_for(30, sub { logout($one, 'freed' . ++$fills) == 200 }), 'a full disk: and freed');
    },
);
delete $deeds{'a full disk'} if !$mounted;

my @order;
my $begun = time;
my $wanted = 0;
my $goes_on;
do {
    for my $deed (shuffle(sort keys %deeds)) {
        $wanted += $size < 1000 ? $size / 10 : 100;
        $goes_on = ok($one->wait_for(120, sub { acknowledged() >= $wanted }), "$wanted revocations are acknowledged") or last;
        push @order, $deed;
        $deeds{$deed}->();
    }
} while ($goes_on && acknowledged() < $size);
ok($one->wait_for(60, sub { acknowledged() >= $size + 10 }), "and $size at last");
kill TERM => $client;
waitpid $client, 0;

# ---- the ledger

my @acknowledged = acknowledged();
my %not;
$not{ $_->[1] }++ for grep { $_->[1] ne '200' } told();
note sprintf '%d acknowledged in %.0f s; not: %s; %d deeds, JWT_SEED=%s: %s', scalar @acknowledged, time - $begun,
    join(', ', map { "$not{$_} with $_" } sort keys %not) || 'none', scalar @order, $seed, join ', ', @order[0 .. ($#order < 20 ? $#order : 20)];

# Those that a node does not refuse.
sub lost {
    my ($node, @jtis) = @_;
    my @lost;
    while (my @some = splice @jtis, 0, 50) {
        my $connection = $node->connection;
        $connection->request('GET', '/api/index.html', [Authorization => 'Bearer ' . new_token($_)]) for @some;
        push @lost, map { $connection->response->{status} == 401 ? () : $_ } @some;
        $connection->close;
    }
    return @lost;
}

my @own = grep { told_by_one($_) } @acknowledged;
is(scalar lost($one, @own), 0, 'none of ' . @own . ' revocations that this node acknowledged is lost');
$one->stop;
$one->start;
is(scalar lost($one, @own), 0, 'nor by a stop and a start');
my $new = node($url);
for my $case (['this node', $one], ['the other node', $two], ['a new one, which learns from Redis', $new]) {
    my ($name, $node) = @$case;
    my @left = @acknowledged;
    $node->wait_for(30 + $size / 200, sub { @left = lost($node, @left); !@left });
    is(scalar @left, 0, 'none of all ' . @acknowledged . ": $name");
}
is($_->get_with('/api/index.html', new_token('control'))->{status}, 200, 'control: a token that nobody revoked') for $one, $two, $new;

done_testing;
