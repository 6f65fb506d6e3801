use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use JWTTest;
use POSIX ();
use Time::HiRes ();

# A store that is full, on a full disk, read-only, damaged or held by a process that hangs: writes say so, reads go on,
# nothing comes back to life.

my $secret = $JWTTest::Token::secret;
my $hooks = <<'LUA';
local jwt = require "jwt"
return { handlers = {
  logout = function() return { changed = jwt.revoke() } end,
  login = function() jwt.unrevoke() return "" end,
  fill = function(request)
    for i = 1, 100 do
      jwt.revoke{ jti = request.args.n .. i .. ("x"):rep(100), issuer = ("i"):rep(120), exp = os.time() + 600 }
    end
    return ""
  end,
  caught = function() return { ok = (pcall(jwt.revoke)) } end,
} }
LUA
my $config = <<"EOF_CONFIG";
    root %%DIR%%/html;
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location /api/ { jwt_required; alias %%DIR%%/html/; }
    location /logout { jwt_required; jwt_handler logout; }
    location /login { jwt_required skip_revocation_check; jwt_handler login; }
    location /fill { jwt_handler fill; }
    location /caught { jwt_required; jwt_handler caught; }
    location /open/ { alias %%DIR%%/html/; }
EOF_CONFIG
my %files = ('html/index.html' => 'in', 'hooks.lua' => $hooks);

sub new_token { return token(claims(jti => $_[0], exp => time + 600), key => $secret) }

sub server {
    my ($store, %more) = @_;
    return JWTTest->new(http => "jwt_revocation_store $store;", config => $config, files => \%files, %more);
}

# Another process hangs in the middle of a write. The first answer takes 5 seconds, in which the rest of this file runs.
sub stuck_server {
    my $t = server('%%DIR%%/store');
    my %token = map { $_ => new_token($_) } qw(gone waits refused late);
    is($t->get_with('/logout', $token{gone})->{status}, 200, 'stuck writer: control: a write');
    my $binary = $t->dir . '/writer';
    system('cc', '-O1', '-o', $binary, "$FindBin::Bin/lib/store_writer.c", '-llmdb') == 0 or die 'store_writer.c does not compile';
    my $writer = { t => $t, token => \%token };
    pipe my $from, my $to or die "pipe: $!";
    pipe my $input, $writer->{input} or die "pipe: $!";
    $writer->{pid} = fork // die "fork: $!";
    if (!$writer->{pid}) {
        close $writer->{input};
        open STDIN, '<&', $input;
        open STDOUT, '>&', $to;
        exec $binary, $t->dir . '/store' or POSIX::_exit(127);
    }
    close $_ for $to, $input;
    is(scalar <$from>, "held\n", 'stuck writer: another process writes');
    $writer->{asked} = Time::HiRes::time();
    $writer->{waiting} = $t->connection;
    $writer->{waiting}->request('GET', '/logout', [Authorization => "Bearer $token{waits}"]);
    return $writer;
}

# Revokes in so many requests at once until one of them is not a 200.
my $filled = 0;
sub fill {
    my ($t, $at_once) = @_;
    for my $round (1 .. 60) {
        my @clients = map { my $c = $t->connection; $c->request('GET', '/fill?n=' . ++$filled . '-', [Connection => 'close']); $c } 1 .. $at_once;
        my @answers = map { $_->response('GET') } @clients;
        $_->close for @clients;
        my ($refused) = grep { $_->{status} != 200 } @answers;
        return $refused->{status} if $refused;
    }
    return 'never';
}

sub check_full {
    my ($t, $name) = @_;
    my ($gone, $live) = map { new_token($_) } qw(gone live);
    is($t->get_with('/logout', $gone)->{status}, 200, "$name: control: there is room at first");
    is(fill($t, 8), 507, "$name: in the end the answer is 507");
    is(fill($t, 1), 507, "$name: also where one alone writes");
    my $status = 200;
    for (my $i = 0; $i < 2000 && $status == 200; ++$i) {
        $live = new_token("live$i");
        $status = $t->get_with('/logout', $live)->{status};
    }
    is($status, 507, "$name: also for one alone");
    is($t->get_with('/api/', $live)->{status}, 200, "$name: and not revoked");
    is($t->get_with('/api/', $gone)->{status}, 401, "$name: what was acknowledged holds");
    is_deeply($t->get_with('/caught', $live)->{json}, { ok => JSON::PP::false() }, "$name: a handler may catch the error");
    like($t->log, qr/the revocation store .* (?:is full|has no room)/, "$name: the log says why");
    return ($gone, $live);
}

my $stuck = stuck_server();

{
    my $t = server('%%DIR%%/store size=1m');
    my ($gone, $live) = check_full($t, 'full map');
    is($t->get_with('/login', $gone)->{status}, 200, 'full map: there is room to take back');
    is($t->get_with('/api/', $gone)->{status}, 200, 'full map: and it is');
    ok($t->reload(http => 'jwt_revocation_store %%DIR%%/store size=4m;'), 'a larger size= and a reload');
    is($t->get_with('/logout', $live)->{status}, 200, 'make room');
    is($t->get_with('/api/', $live)->{status}, 401, 'for more');
}

SKIP: {
    my $disk = File::Temp::tempdir('jwt-disk-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $mounted = $> == 0 && system("mount -t tmpfs -o size=900k none $disk 2>/dev/null") == 0;
    skip 'no mount is allowed here: a full map stands for a full disk', 1 if !$mounted;
    eval {
        my $t = server("$disk/store size=64m");
        my ($gone, $live) = check_full($t, 'full disk');
        ok($t->reload, 'full disk: a reload');
        is($t->get_with('/api/', $gone)->{status}, 401, 'full disk: and it still holds');
        system("mount -o remount,size=8m $disk") == 0 or die 'remount';
        is($t->get_with('/logout', $live)->{status}, 200, 'full disk: freed, and it writes again');
        is($t->get_with('/api/', $live)->{status}, 401, 'full disk: it is revoked');
        system("mount -o remount,ro $disk 2>/dev/null");
        $t->stop;
        system("mount -o remount,ro $disk") == 0 or die 'remount';
        $t->start;
        is($t->get_with('/api/', $live)->{status}, 401, 'read-only: it is still revoked');
        my $other = new_token('other');
        is($t->get_with('/api/', $other)->{status}, 200, 'read-only: control: another is not');
        is($t->get_with('/logout', $other)->{status}, 503, 'read-only: nothing is acknowledged');
        $t->finish;
        1;
    } or fail("full disk: $@");
    system("umount $disk");
}

{
    my $t = server('%%DIR%%/store');
    my ($gone, $live) = map { new_token($_) } qw(gone live);
    $t->get_with('/logout', $gone);
    $t->stop;
    my $whole = $t->read_file('store/data.mdb');
    $t->finish;
    for my $case (['cut short', substr($whole, 0, 12288)], ['garbage', 'garbage' x 10000], ['zeros', "\0" x 65536]) {
        my ($name, $bytes) = @$case;
        my ($code, $said) = JWTTest->nginx_t(
            http => 'jwt_revocation_store %%DIR%%/store;', config => $config, files => { %files, 'store/data.mdb' => $bytes });
        is($code, 1, "$name: nginx -t refuses");
        like($said, qr/revocation store ".*" is damaged: .*restore it from a backup.* in .*nginx\.conf:\d+/, "$name: and says why");
    }
    my ($code) = JWTTest->nginx_t(
        http => 'jwt_revocation_store %%DIR%%/store;', config => $config, files => { %files, 'store/data.mdb' => $whole });
    is($code, 0, 'control: the whole file is taken');
    my $restored = JWTTest->new(
        http => 'jwt_revocation_store %%DIR%%/store;', config => $config, files => { %files, 'store/data.mdb' => $whole });
    is($restored->get_with('/api/', $gone)->{status}, 401, 'a copy of it is a backup');
    is($restored->get_with('/api/', $live)->{status}, 200, 'control');
}

{
    my $t = server('%%DIR%%/store');
    my $pid = $t->_spawn('-t', '-q');
    waitpid $pid, 0;
    is($?, 0, 'nginx -t beside a nginx that uses the store');
    my $gone = new_token('gone');
    is($t->get_with('/logout', $gone)->{status}, 200, 'which goes on');

    my $second = JWTTest->new(
        http => 'jwt_revocation_store ' . $t->dir . '/store;', config => $config, files => \%files);
    is($second->get_with('/api/', $gone)->{status}, 401, 'a second nginx on the same store');
    my $other = new_token('other');
    is($second->get_with('/logout', $other)->{status}, 200, 'may revoke too');
    is($t->get_with('/api/', $other)->{status}, 401, 'and the first knows at once');
    ok($t->reload(http => 'jwt_revocation_store %%DIR%%/elsewhere;'), 'a reload with another folder');
    is($t->get_with('/api/', $other)->{status}, 200, 'has another store');
    is($second->get_with('/api/', $other)->{status}, 401, 'control: the first store is as it was');
    ok(!$t->reload(http => 'jwt_revocation_store %%DIR%%/nowhere/store;'), 'a reload with an impossible folder is refused');
    is($t->get_with('/logout', $other)->{status}, 200, 'and the old configuration serves on');
}

{
    my ($t, $token) = @$stuck{qw(t token)};
    my $checks = 0;
    my $right = sub { $t->get_with('/api/', $token->{gone})->{status} == 401 && $t->get_with('/api/', $token->{late})->{status} == 200 };
    until (IO::Select->new($stuck->{waiting}{socket})->can_read(0.01)) {
        $right->() ? ++$checks : last;
        die 'nobody is answered' if Time::HiRes::time() > $stuck->{asked} + 30;
    }
    my $waited = Time::HiRes::time() - $stuck->{asked};
    ok($right->(), "stuck writer: what was revoked is refused, and nothing else, in $checks checks meanwhile");
    is($stuck->{waiting}->response->{status}, 503, 'stuck writer: no revocation is acknowledged');
    cmp_ok($waited, '>', 4.9, 'stuck writer: it had 5 seconds');
    is($t->get_with('/logout', $token->{refused})->{status}, 503, 'stuck writer: nor the next, which does not wait');
    cmp_ok(Time::HiRes::time() - $stuck->{asked} - $waited, '<', 4, 'stuck writer: as long');
    like($t->log, qr/the revocation store ".*" is busy: another process writes/, 'stuck writer: the log says so');
    ok($t->reload, 'stuck writer: a reload');
    ok($right->(), 'stuck writer: and checks go on');
    close $stuck->{input};
    waitpid $stuck->{pid}, 0;
    is($t->get_with('/logout', $token->{refused})->{status}, 200, 'stuck writer: gone, and it writes again');
    is($t->get_with('/api/', $token->{refused})->{status}, 401, 'stuck writer: which counts');
    ok($right->(), 'stuck writer: and nothing else changed');
}

{
    my $refused = sub {
        my ($http, $want, %more) = @_;
        my ($code, $said) = JWTTest->nginx_t(http => $http, config => $config, files => { %files, %{ $more{files} // {} } });
        is($code, 1, "nginx -t refuses: $http");
        return like($said, qr/$want.* in .*nginx\.conf:\d+/s, 'and says why');
    };
    $refused->('jwt_revocation_store %%DIR%%/a; jwt_revocation_store %%DIR%%/b;', '"jwt_revocation_store" directive is duplicate');
    $refused->('jwt_revocation_store %%DIR%%/a size=10k;', '"size=" takes a size from 1m to 1024g');
    $refused->('jwt_revocation_store %%DIR%%/a sice=10m;', 'unknown word "sice=10m" of jwt_revocation_store: write size=SIZE');
    $refused->('jwt_revocation_store %%DIR%%/none/a;', 'cannot be made: there is no folder');
    $refused->('jwt_revocation_store %%DIR%%/hooks.lua;', 'is no folder: give it one of its own');
    $refused->('jwt_revocation_store %%DIR%%/html;', 'has other files in it: give it a folder of its own');
    $refused->('jwt_revocation_checks acces;', 'unknown word "acces" of jwt_revocation_checks: write access, refresh or both, or off');
    $refused->('jwt_revocation_checks access off;', 'unknown word "off" of jwt_revocation_checks');
    my $folder = File::Temp::tempdir('jwt-litter-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
    my ($code, $said) = JWTTest->nginx_t(http => "jwt_revocation_store $folder/store;", config => $config, files => \%files);
    is($code, 0, 'nginx -t takes a folder that does not exist yet') or diag $said;
    ok(!-e "$folder/store", 'and does not make it');
}

done_testing;
