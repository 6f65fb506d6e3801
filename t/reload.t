# Reloads under load lose no request; what changed takes effect; what is broken does not; and a worker that dies is
# replaced by one that answers the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep);

my %secret = map { $_ => "$_ secret of sixty-four bytes, which the configuration names, or more" } qw(first second);
my $lua = sub { my ($word) = @_; return "return { unauthorized = function() return '$word', 401 end, token_verification = function(h, p) return p.sub ~= 'eve' end, handlers = { word = function() return '$word' end } }\n" };
my $config = <<'EOF_CONFIG';
    root %%DIR%%/html;
    jwt_secret_key file:%%DIR%%/secret;
    jwt_lua_file %%DIR%%/hooks.lua;
    location = /word { jwt_handler word; }
    location /api/ { jwt_required; }
    location /slow/ { jwt_required; proxy_set_header X-Identity $jwt_identity; proxy_pass %%BACKEND%%; }
EOF_CONFIG

my $t = JWTTest->new(
    workers => 2,
    http => 'jwt_key_file_check off;',  # a reload alone takes changes in
    files => { 'secret' => "$secret{first}\n", 'hooks.lua' => $lua->('one'), 'html/api/index.html' => 'inside' },
    config => $config,
    # Answers once the file it is asked for is there.
    backend => sub {
        my ($request) = @_;
        my ($gate) = $request->{uri} =~ m{\A/slow(/.+)};
        for (1 .. 1000) { last if -e $gate; sleep 0.01 }
        my ($identity) = map { $_->[1] } grep { $_->[0] eq 'X-Identity' } @{ $request->{headers} };
        return [200, [], "slow for $identity"];
    },
);

my $token = token(claims(), key => $secret{first});
my $forged = token(claims(), key => $secret{second});

sub word_is { my ($word, $name) = @_; is_deeply([map { $t->get('/word')->{body} } 1 .. 8], [($word) x 8], $name); return }

# Every answer of a few clients, until told to stop; "wanted unwanted" counts.
sub clients {
    my ($count, $port) = (2, $t->port);
    pipe my $reader, my $writer or die "pipe: $!";
    my @pids = map {
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            close $reader;
            my $running = 1;
            $SIG{TERM} = sub { $running = 0 };
            my ($good, $bad, $turn) = (0, '', 0);
            while ($running) {
                my $wanted = $turn++ % 3 ? 200 : 422;
                my $text = $wanted == 200 ? $token : $forged;
                my $answer = '';
                my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
                if ($socket) {
                    print {$socket} "GET /api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer $text\r\n\r\n";
                    1 while sysread $socket, $answer, 65536, length $answer;
                }
                last unless $running;  # the signal to stop cut this one short
                my $right = $answer =~ m{\AHTTP/1\.1 $wanted } && ($wanted == 200) == ($answer =~ /inside\z/ ? 1 : 0);
                $right ? $good++ : ($bad .= substr($answer || "nothing: $!", 0, 60) . "\n");
            }
            syswrite $writer, "good $good\n$bad";
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. $count;
    close $writer;
    return { pids => \@pids, reader => $reader };
}

sub totals {
    my ($clients) = @_;
    kill TERM => @{ $clients->{pids} };
    my @lines = readline $clients->{reader};
    waitpid $_, 0 for @{ $clients->{pids} };
    my $good = 0;
    $good += $_ for map { /^good (\d+)/ ? $1 : () } @lines;
    return ($good, grep { !/^good \d+/ } @lines);
}

is($t->get_with('/api/', $token)->{body}, 'inside', 'a token is good');
my @first;
ok($t->wait_for(5, sub { return (@first = $t->workers) == 2 }), 'two workers');
word_is('one', 'which answer the same');

# ---- under load

my $load = clients();
sleep 0.1;
for my $round (1, 2) {
    is($t->reload, 1, "reload $round");
    sleep 0.1;
}
my ($answered, @failed) = totals($load);
cmp_ok($answered, '>', 20, 'under load');
is_deeply(\@failed, [], 'no request fails and no answer is another');
my $gone = sub { my ($pids) = @_; return $t->wait_for(10, sub { return !grep { kill 0 => $_ } @$pids }) };
ok($gone->(\@first), 'the old workers are gone');

# ---- a request that outlives its worker's configuration

my $gate = $t->dir . '/gate';
my $slow = $t->connection;
$slow->request('GET', "/slow$gate", [Authorization => "Bearer $token", Connection => 'close']);
$t->wait_for(5, sub { $t->get('/word')->{status} == 200 });
my @before = $t->workers;
$t->write('hooks.lua', $lua->('two'));
is($t->reload, 1, 'reload with a changed Lua file, while a request waits for its upstream');
word_is('two', 'the new file is in use');
$t->write('gate', '');
my $finished = $slow->response;
is("$finished->{status} $finished->{body}", '200 slow for alice', 'the request ends as it began');
ok($gone->(\@before), 'and then its worker');

# ---- what is changed on disk waits for the reload

$t->write('hooks.lua', $lua->('three'));
$t->write('secret', "$secret{second}\n");
word_is('two', 'a file that is changed without a reload is not read');
ok($t->kill_worker, 'a worker that is killed is replaced');
word_is('two', 'also by one that was started since');
is($t->get_with('/api/', $token)->{body}, 'inside', 'which has the same key');
is($t->get_with('/api/', $forged)->{status}, 422, 'and no other');
is($t->reload, 1, 'reload');
word_is('three', 'takes the changed file');
is($t->get_with('/api/', $forged)->{body}, 'inside', 'and the changed key');
is($t->get_with('/api/', $token)->{status}, 422, 'which ends the old one');

# ---- broken configurations

my $still = token(claims(), key => $secret{second});
for my $broken (
    ['a Lua file with a syntax error', 'hooks.lua' => 'return {'],
    ['a Lua file with an unknown hook', 'hooks.lua' => 'return { unauthorised = function() end }'],
    ['a secret that is too short', 'secret' => 'short'],
) {
    my ($name, $file, $text) = @$broken;
    my $good = $t->read_file($file);
    my @workers = $t->workers;
    $t->write($file, $text);
    is($t->reload, 0, "$name is refused");
    is_deeply([$t->workers], \@workers, 'the old workers go on');
    word_is('three', 'with what they had');
    is($t->get_with('/api/', $still)->{body}, 'inside', 'and their key');
    ok($t->kill_worker, 'a worker that is killed then');
    word_is('three', 'is replaced by one that has the same');
    $t->write($file, $good);
}
is($t->reload(config => "$config jwt_algorithm HS255;"), 0, 'a directive that is wrong is refused');
is($t->get_with('/api/', $still)->{body}, 'inside', 'and the old configuration serves');
is($t->reload(config => $config), 1, 'the corrected one is taken');
is($t->reload(config => $config =~ s/jwt_lua_file.*?;//r =~ s/location = \/word.*//r), 1, 'a configuration without Lua');
is($t->get('/api/')->{json}{msg}, 'Missing Authorization Header', 'answers without hooks');
is($t->reload(config => $config), 1, 'and Lua again');
word_is('three', 'works');

done_testing;
