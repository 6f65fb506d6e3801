# What answers as Redis and is none, or is one that hangs: no request fails, the log says so once, no password is in it;
# and where revocations of other nodes may be too old, a location that says so is closed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Nodes;
use JWTTest::Redis;
use IO::Socket::INET;
use POSIX ();

sub stub {
    my ($answer) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1:0', Listen => 16, ReuseAddr => 1) or die "listen: $!";
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        $SIG{PIPE} = 'IGNORE';
        my @kept;
        while (my $client = $listener->accept) {
            push @kept, $client if !$answer->($client);
        }
        POSIX::_exit(0);
    }
    return { port => $listener->sockport, pid => $pid };
}
my $request = sub { sysread $_[0], my $bytes, 65536 };
my %nonsense = (
    'closes at once' => sub { close $_[0]; 1 },
    'never answers' => sub { 0 },
    'speaks HTTP' => sub { $request->($_[0]); print { $_[0] } "HTTP/1.1 400 Bad Request\r\n\r\n"; 1 },
    'is loading' => sub { $request->($_[0]); print { $_[0] } "-LOADING Redis is loading the dataset in memory\r\n"; 0 },
    'answers before it is asked' => sub { print { $_[0] } "+OK\r\n" x 1000; 0 },
    'answers twice' => sub { $request->($_[0]); print { $_[0] } "*0\r\n*0\r\n"; 0 },
    'gives empty answers' => sub { for my $n (1 .. 50) { $request->($_[0]); print { $_[0] } "*0\r\n" } 1 },
    'gives the wrong type' => sub { $request->($_[0]); print { $_[0] } ":42\r\n"; 0 },
    'claims a large array' => sub { $request->($_[0]); print { $_[0] } "*2000000000\r\n"; 0 },
    'never ends' => sub { $request->($_[0]); for (1 .. 2000) { print { $_[0] } '$500000000' . "\r\n" x ($_ == 1) . 'x' x 65536 or last } 1 },
    'repeats the password' => sub { $request->($_[0]); print { $_[0] } "-ERR unknown command AUTH, with args s3cret\r\n"; 0 },
    'lets in, then repeats it' => sub { $request->($_[0]); print { $_[0] } "+OK\r\n"; $request->($_[0]); print { $_[0] } "-ERR s3cret\r\n"; 0 },
    'gives bad entries' => sub {
        for (qw(AUTH SELECT)) { $request->($_[0]); print { $_[0] } "+OK\r\n" }
        $request->($_[0]); print { $_[0] } "*1\r\n*2\r\n\$9\r\nnot an id\r\n*0\r\n"; 0;
    },
);
for my $name (sort keys %nonsense) {
    my $stub = stub($nonsense{$name});
    my $node = node("redis://:s3cret\@127.0.0.1:$stub->{port}");
    life_goes_on("Redis $name", $node);
    ok($node->wait_log(qr/\[error\].*jwt: Redis at 127\.0\.0\.1:$stub->{port}: \S/, 20), "Redis $name: the log says so");
    life_goes_on("Redis $name, again", $node);
    is(() = $node->log =~ /\[error\].*jwt: Redis/g, 1, "Redis $name: once");
    unlike($node->log, qr/s3cret/, "Redis $name: no password is logged");
    ok($node->reload, "Redis $name: a reload");
    $node->finish;
    kill KILL => $stub->{pid};
    waitpid $stub->{pid}, 0;
}

# ---- staleness

my $redis = JWTTest::Redis->new(port => free_port());
my $stale = node('redis://127.0.0.1:' . $redis->port, http => 'jwt_revocation_max_staleness 2s fail=closed;',
    config => 'location /open/ { jwt_revocation_max_staleness 2s; jwt_required; alias %%DIR%%/html/api/; }');
my $get = sub { return $stale->get_with($_[0], token(claims(jti => 'any')))->{status} };
ok(within(20, sub { $get->('/api/') == 200 }), 'fail=closed: open while Redis is there');
$redis->freeze;
ok(within(20, sub { $get->('/api/') == 503 }), 'closed when it was not heard of for so long');
is($get->('/open/'), 200, 'but where another location says fail=open');
is($stale->reload, 1, 'a reload');
is($get->('/api/'), 503, 'changes nothing');
$redis->thaw;
ok(within(20, sub { $get->('/api/') == 200 }), 'open when it is back');
$redis->freeze;
my $http = $stale->{arguments}{http} =~ s/2s fail=closed/1h fail=closed/r;
is($stale->reload(http => $http), 1, 'a reload that gives it more time');
is($get->('/api/'), 200, 'has what the store knew a moment ago');
is($stale->reload(http => $http =~ s{/store }{/another }r), 1, 'one with another store');
is($get->('/api/'), 503, 'which knows nothing yet');
$redis->thaw;
ok(within(20, sub { $get->('/api/') == 200 }), 'and soon all');
$stale->finish;

done_testing;
