use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::UNIX;
use JWTTest;
use List::Util qw(max min);
use Time::HiRes qw(sleep time);

# ---- an application whose answers never end by themselves

my $t;
my $socket_dir = File::Temp->newdir;
chmod 0755, $socket_dir;
my $application = fork_application("$socket_dir/application");

# /ws becomes an echo, /stream a line every 50 ms, /silent says nothing at all. Where a connection ends, a file of the
# request's argument says so.
sub fork_application {
    my ($path) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 64) or die "$path: $!";
    chmod 0777, $path;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $parent = getppid;
    my %clients;
    my $select = IO::Select->new($listener);
    while (getppid == $parent) {
        for my $ready ($select->can_read(0.05)) {
            if ($ready == $listener) {
                my $client = $listener->accept or next;
                $clients{ fileno $client } = { socket => $client, got => '' };
                $select->add($client);
                next;
            }
            my $client = $clients{ fileno $ready };
            my $read = sysread $ready, my $bytes, 4096;
            if (!$read) {
                open my $mark, '>', "$socket_dir/$client->{name}.ended" if $client->{name};
                $select->remove($ready);
                delete $clients{ fileno $ready };
                close $ready;
            } elsif ($client->{kind}) {
                syswrite $ready, $bytes if $client->{kind} eq 'ws';
            } else {
                $client->{got} .= $bytes;
                next unless $client->{got} =~ /\r\n\r\n/;
                my ($kind, $name) = $client->{got} =~ m{\A\w+ /(?:\w+/)*(\w+)\?(\w+) };
                @$client{qw(kind name)} = ($kind, $name);
                syswrite $ready, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n" if $kind eq 'ws';
                syswrite $ready, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" if $kind eq 'stream';
            }
        }
        syswrite $_->{socket}, "data: x\n\n" for grep { ($_->{kind} || '') eq 'stream' } values %clients;
    }
    POSIX::_exit(0);
}

sub application_ended { return -e "$socket_dir/$_[0].ended" }

my $proxy = "proxy_pass http://unix:$socket_dir/application:; proxy_http_version 1.1; proxy_buffering off;
    proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection \$http_connection;";

my $before_nginx = time;
$t = JWTTest->new(
    http2  => 1,
    http   => 'jwt_revocation_store %%DIR%%/revoked size=4m;',
    files  => { 'hooks.lua' => 'local jwt = require "jwt"
        return { handlers = { waits = function() return { jwt.fetch("/behind/silent?waits_behind").status } end } }' },
    config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    location /ends/     { jwt_required; jwt_close_on_expiry on; $proxy }
    location /stays/    { jwt_required; $proxy }
    location /leeway/   { jwt_required; jwt_close_on_expiry on; jwt_decode_leeway 1s; $proxy }
    location /optional/ { jwt_required optional; jwt_close_on_expiry on; $proxy }
    location /redirect/ { jwt_required; jwt_close_on_expiry on; try_files /none \@behind; }
    location \@behind   { $proxy }
    location /asked/    { auth_request /judge; $proxy }
    location = /judge   { internal; jwt_required; jwt_close_on_expiry on; try_files /none =204; error_page 404 =204 \@ok; }
    location \@ok       { return 204; }
    location /waits     { jwt_required; jwt_close_on_expiry on; jwt_lua_file %%DIR%%/hooks.lua; jwt_handler waits; }
    location /behind/   { $proxy }
    location /status    { jwt_status json; }
    location /logout    { jwt_required; jwt_logout; }
    location /unchecked/ { jwt_required skip_revocation_check; jwt_close_on_expiry on; $proxy }
EOF_CONFIG
);

# ---- clients, all at once: what takes a second for one takes no more for all

my $start = time;
# Seconds in which all clients must be there, which takes about as long as nginx took to start.
my $life  = min(8, max(1.5, 20 * ($start - $before_nginx)));
my $short = token(claims(exp => $start + $life));
my $long  = token(claims(exp => $start + 3600));
my %client;

sub open_client {
    my ($name, $path, $token, @headers) = @_;
    my $c = $t->connection;
    $c->request('GET', "$path?$name", [$token ? (Authorization => "Bearer $token") : (), @headers]);
    $client{$name} = { socket => $c->{socket}, got => '', name => $name };
    return $c;
}

my @upgrade = (Upgrade => 'echo', Connection => 'upgrade');
open_client(ws              => '/ends/ws',         $short, @upgrade);
open_client(ws_long         => '/ends/ws',         $long,  @upgrade);
open_client(ws_stays        => '/stays/ws',        $short, @upgrade);
open_client(ws_leeway       => '/leeway/ws',       $short, @upgrade);
open_client(ws_redirect     => '/redirect/ws',     $short, @upgrade);
open_client(stream          => '/ends/stream',     $short);
open_client(stream_long     => '/ends/stream',     $long);
open_client(stream_stays    => '/stays/stream',    $short);
open_client(stream_redirect => '/redirect/stream', $short);
open_client(stream_asked    => '/asked/stream',    $short);
open_client(anonymous       => '/optional/stream', undef);
open_client(silent          => '/ends/silent',     $short);
open_client(waits           => '/waits',           $short);
open_client(forever         => '/ends/stream',     token(claims(exp => undef)));
my @leaving = map { open_client("leaving$_", $_ % 2 ? '/ends/stream' : '/ends/silent', $short) } 1 .. 20;

# Streams of one HTTP/2 connection: the frames of RFC 9113 that this takes, header fields as literals (RFC 7541 §6.2.2).
sub frame { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload }
sub integer { my ($value) = @_; my $out = ''; return chr $value if $value < 127; $value -= 127; $out = chr 127; while ($value >= 128) { $out .= chr($value % 128 + 128); $value = int $value / 128 } return $out . chr $value }
sub literal { my ($name, $value) = @_; return "\0" . integer(length $name) . $name . integer(length $value) . $value }
sub h2_request {
    my ($stream, $path, $token) = @_;
    return frame(1, 5, $stream, join '', map { literal(@$_) } [':method', 'GET'], [':scheme', 'http'], [':path', $path],
        [':authority', 'localhost'], [authorization => "Bearer $token"]);
}
my $h2 = $t->connection(port => 'h2');
$h2->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '') . h2_request(1, '/ends/stream?h2', $short)
    . h2_request(3, '/ends/stream?h2_long', $long) . h2_request(5, '/ends/silent?h2_silent', $short));
my $h2_client = $client{h2} = { socket => $h2->{socket}, got => '', name => 'h2' };

sub h2_frames {
    my ($bytes) = @_;
    my @frames;
    while (length $bytes >= 9) {
        my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $bytes;
        my $length = $high << 16 | $low;
        last if length $bytes < 9 + $length;
        push @frames, { type => $type, flags => $flags, stream => $stream, payload => substr $bytes, 9, $length };
        substr $bytes, 0, 9 + $length, '';
    }
    return @frames;
}

sub listen_until {
    my ($condition, $seconds) = @_;
    my $end = time + $seconds;
    until ($condition->() || time > $end) {
        my $select = IO::Select->new(map { $_->{socket} } grep { !$_->{ended} && $_->{socket} } values %client);
        for my $ready ($select->can_read(0.05)) {
            my ($one) = grep { $_->{socket} && $_->{socket} == $ready } values %client;
            my $read = sysread $ready, my $bytes, 65536;
            $read ? ($one->{got} .= $bytes) : ($one->{ended} ||= time);
        }
    }
    return $condition->();
}

my @answering = grep { !/silent|leaving|waits/ } keys %client;
ok listen_until(sub { !grep { !length $client{$_}{got} } @answering }, 8), 'everyone is answered';
like $client{$_}{got}, qr{\AHTTP/1\.1 (?:101|200) }, "$_ was let in" for sort grep { !/h2/ } @answering;
for my $name (grep { /^ws/ } sort keys %client) {
    syswrite $client{$name}{socket}, "hello $name";
    ok listen_until(sub { $client{$name}{got} =~ /hello $name\z/ }, 10), "$name echoes";
}

# Those that leave do so in every way: at once, half closed, with bytes unread.
for my $i (0 .. $#leaving) {
    $i % 3 ? $leaving[$i]->close : shutdown $leaving[$i]{socket}, 1;
    delete $client{ 'leaving' . ($i + 1) };
}

my @ending = qw(ws ws_redirect stream stream_redirect stream_asked silent waits);
my @staying = qw(ws_long ws_stays stream_long stream_stays anonymous forever);
cmp_ok time, '<', $start + $life, 'all of that took less than the token has';
ok !(grep { $client{$_}{ended} } @ending), 'before it expires nothing ends';
listen_until(sub { !grep { !$client{$_}{ended} } @ending, 'ws_leeway' }, $life + 6);
for my $name (@ending) {
    cmp_ok $client{$name}{ended} || 0, '>=', $start + $life, "$name ends, not before its token";
    cmp_ok $client{$name}{ended} || 1e12, '<', $start + $life + 5, "$name ends soon after";
    my $behind = $name eq 'waits' ? 'waits_behind' : $name;
    ok $t->wait_for(10, sub { application_ended($behind) }), "$name: the application is told";
}
cmp_ok $client{ws_leeway}{ended} || 0, '>=', $start + $life + 1, 'leeway counts';
is $client{silent}{got}, '', 'nothing was said to who waited';
ok $t->wait_for(10, sub { $t->read_file('access.log') =~ m{"GET /ends/silent\?silent HTTP/1\.1" 401 } }), 'which the access log calls 401';

listen_until(sub { 0 }, 0.2);
for my $name (@staying) {
    ok !$client{$name}{ended}, "$name goes on";
    ok !application_ended($name), "$name: for the application too";
}
for my $name (qw(ws_long ws_stays)) {
    syswrite $client{$name}{socket}, "again $name";
    ok listen_until(sub { $client{$name}{got} =~ /again $name\z/ }, 10), "$name still echoes";
}

# ---- HTTP/2: the stream, and not the connection

my @frames = h2_frames($h2_client->{got});
my %reset = map { $_->{stream} => 1 } grep { $_->{type} == 3 } @frames;
is_deeply \%reset, { 1 => 1, 5 => 1 }, 'the streams of the expired token are reset';
ok !$h2_client->{ended}, 'their connection goes on';
ok !grep({ $_->{type} == 7 } @frames), 'nor is it told to go away';
my $seen = length $h2_client->{got};
ok listen_until(sub { grep { $_->{type} == 0 && $_->{stream} == 3 } h2_frames(substr $h2_client->{got}, $seen) }, 10),
    'the other stream brings more';
ok $t->wait_for(10, sub { application_ended('h2') && application_ended('h2_silent') }), 'the application is told of both';
ok !application_ended('h2_long'), 'and of no other';

my $json = $t->get('/status')->{json};
my ($closed) = map { $_->{value} } grep { $_->{reason} eq 'expired' } @{ $json->{responses_closed_total} };
cmp_ok $closed, '>=', @ending + 1 + 2, 'they are counted';

# ---- revocation

my $gone = token(claims(exp => undef, jti => 'gone'));
open_client(revoked_ws => '/ends/ws', $gone, @upgrade);
open_client(revoked    => '/ends/stream',      $gone);
open_client(unchecked  => '/unchecked/stream', $gone);
ok listen_until(sub { !grep { !length $client{$_}{got} } qw(revoked_ws revoked unchecked) }, 10), 'responses of a token that never expires';
is $t->post('/logout', [Authorization => "Bearer $gone"], '')->{status}, 200, 'which is revoked';
ok listen_until(sub { $client{revoked_ws}{ended} && $client{revoked}{ended} }, 10), 'end';
ok $t->wait_for(10, sub { application_ended('revoked_ws') && application_ended('revoked') }), 'for the application too';
listen_until(sub { 0 }, 0.2);
ok !$client{$_}{ended}, "$_ goes on" for qw(unchecked ws_long forever);
$json = $t->get('/status')->{json};
is +(grep { $_->{reason} eq 'revoked' } @{ $json->{responses_closed_total} })[0]{value}, 2, 'they are counted';

# ---- a worker that shuts down goes on looking, and is not held up

my $last = token(claims(exp => time + $life));
open_client(through_reload => '/ends/ws', $last, @upgrade);
ok listen_until(sub { $client{through_reload}{got} =~ /101/ }, 10), 'one more';
$_->{socket} && close $_->{socket}, delete $_->{socket} for grep { $_->{name} ne 'through_reload' } values %client;
my ($old) = $t->workers;
ok $t->reload, 'reload';
syswrite $client{through_reload}{socket}, 'still here';
ok listen_until(sub { $client{through_reload}{got} =~ /still here\z/ }, 10), 'a reload ends no response';
ok listen_until(sub { $client{through_reload}{ended} }, $life + 8), 'its token does';
ok $t->wait_for(10, sub { !kill 0, $old }), 'and the old worker is gone';
is $t->get_with('/status', $long)->{status}, 200, 'the new one serves';

kill TERM => $application;
waitpid $application, 0;
done_testing;
