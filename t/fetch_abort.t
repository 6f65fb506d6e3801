# Clients that leave while their hook waits for jwt.fetch: by closing, by a reset, by HTTP/2's RST_STREAM, and with the
# connection of many streams (row 67 of the attack catalogue). Nothing of them is left: each request ends, the worker is the same, its memory does not
# grow, and who stays is answered. JWT_ABORTS=10000 for the whole number.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Http2;

my $aborts = $ENV{JWT_ABORTS} || 2000;
my $batch = 100;

my $t = JWTTest->new(http2 => 1, config => <<"EOF_CONFIG", files => {
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    large_client_header_buffers 4 16k;
    location /lookup/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /handled/ { jwt_handler wait; }
    location /refused/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /slow/ { internal; proxy_pass http://127.0.0.1:%%PORTslow%%; }
EOF_CONFIG
        'hooks.lua' => <<'EOF_LUA' });
local jwt = require "jwt"
local function waited(who) return (jwt.fetch("/slow/" .. who) or {}).body end
return {
  user_lookup = function(header, payload) return waited(payload.sub) end,
  unauthorized = function(reason) return { msg = waited("nobody") }, 401 end,
  handlers = { wait = function(request) return waited(request.args.who) end },
}
EOF_LUA

# A service that takes every request and answers those of "stays" alone, once it is told to by a request for /go.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $t->port('slow'), Listen => 511, ReuseAddr => 1)
    or die "slow: $!";
my $slow = fork;
die "fork: $!" unless defined $slow;
if (!$slow) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $parent = getppid;
    my $select = IO::Select->new($listener);
    my (%text, @waiting, $went);
    my $asked = 0;
    my $answer = sub { my ($to, $text) = @_; print {$to} "HTTP/1.0 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text" };
    while (getppid == $parent) {
        for my $socket ($select->can_read(0.5)) {
            if ($socket == $listener) { $select->add($listener->accept); next }
            if (!sysread $socket, my $bytes, 4096) { $select->remove($socket); close $socket; next }
            else { $text{$socket} = $bytes =~ m{^GET /(?:slow/)?(\w+)} ? $1 : '' }
            push @waiting, $socket if $text{$socket} eq 'stays';
            ++$asked;
            next unless $text{$socket} eq 'go';
            $went = 1;
            $answer->($socket, $asked);
        }
        $answer->(shift @waiting, 'answered') while $went && @waiting;
    }
    POSIX::_exit(0);
}
close $listener;
END { kill TERM => $slow if $slow && $$ == ($t ? $t->{owner} : 0) }

sub memory { my ($pages) = (split ' ', JWTTest::_read("/proc/$_[0]/statm"))[1]; return $pages * POSIX::sysconf(POSIX::_SC_PAGESIZE()) / 1024 }
sub ended { my $count = () = $t->read_file('access.log') =~ m{" 499 }g; return $count }

my $gone = 'Authorization: Bearer ' . token(claims(sub => 'gone'));
my @target = (['/lookup/', "$gone\r\n"], ['/handled/?who=gone', ''], ['/refused/', '']);

my ($worker) = $t->workers;
my $stays = $t->connection;
$stays->request('GET', '/lookup/', [Authorization => 'Bearer ' . token(claims(sub => 'stays'))]);

# ---- HTTP/1.1

sub h1 {
    my ($number, $reset) = @_;
    my @sockets;
    for my $i (1 .. $number) {
        my ($path, $headers) = @{ $target[$i % @target] };
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die "connect: $!";
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0 or die "SO_LINGER: $!" if $reset;
        syswrite $socket, "GET $path HTTP/1.1\r\nHost: localhost\r\n$headers\r\n";
        push @sockets, $socket;
    }
    # Half of them once their hooks wait, half of them whenever nginx gets to it.
    $t->get('/none') if int(rand 2);
    close $_ for @sockets;
    return;
}

# ---- HTTP/2

sub h2 {
    my ($number, $how) = @_;
    my $client = JWTTest::Http2->new($t->port('h2'));
    my @streams;
    for my $i (1 .. $number) {
        my ($path, $headers) = @{ $target[$i % @target] };
        push @streams, $client->get($path, [map { /\A(.*?): (.*)\r\n/ } $headers]);
        $client->reset($streams[-1]) if $how eq 'at once';
    }
    $client->flush;
    if ($how eq 'later') {
        $t->get('/none');
        $client->reset($_) for @streams;
    }
    if ($how eq 'with the connection') {
        $t->get('/none');
    } else {
        my $lives = $client->ping;
        ok($lives, "the connection lives on after $number streams were reset ($how)") unless $lives && $t->{asked}{$how}++;
    }
    $client->close;
    return;
}

my @ways = (
    sub { h1($batch, 0) }, sub { h1($batch, 1) }, sub { h2($batch, 'at once') }, sub { h2($batch, 'later') }, sub { h2($batch, 'with the connection') },
);
my $left = 0;
my $after_first;
while ($left < $aborts || $left < $batch * @ways) {
    $ways[$left / $batch % @ways]->();
    $left += $batch;
    # A request that ends is logged: no more than the last few batches may be under way.
    $t->wait_for(10, sub { ended() >= $left - 2 * $batch }) or last;
    $after_first ||= memory($worker) if $left >= 10 * $batch;
}

ok($t->wait_for(20, sub { ended() == $left }), "each of $left requests has ended with 499") or diag(ended());
is_deeply([$t->workers], [$worker], 'in a worker that lives');
cmp_ok(memory($worker) - $after_first, '<', 8192, 'which holds no more memory than early on (KiB)') if $after_first && !$ENV{JWT_PRELOAD};
my $who = $t->connection;
$who->request('GET', '/handled/?who=stays', []);
cmp_ok($t->get('/handled/?who=go')->{body}, '>', $left / 4, 'many of which had come to wait; new requests are served');
is($who->response('GET')->{body}, 'answered', 'and wait');
is($stays->response('GET')->{json}{uri}, '/lookup/', 'who waited from the start is let in');

done_testing;
