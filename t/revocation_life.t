use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JSON::PP ();
use Time::HiRes ();

# Acknowledged revocations outlast whatever ends: a ledger of what was acknowledged decides. ATTACKS 72.

my $size   = $ENV{JWT_LEDGER} || 60;    # revocations for each way to end
my $secret = $JWTTest::Token::secret;

my $t = JWTTest->new(
    upgradable => 1,
    main       => join('', map { "env $_;" } qw(LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS)),    # for the new binary
    workers    => 3,
    http       => 'jwt_revocation_store %%DIR%%/store size=64m;',
    files      => { 'html/index.html' => 'in', 'hooks.lua' => <<'LUA' },
local jwt = require "jwt"
return { handlers = { logout = function() return { changed = jwt.revoke() } end } }
LUA
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location /api/ { jwt_required; alias %%DIR%%/html/; }
    location /logout { jwt_required; jwt_handler logout; }
EOF_CONFIG
);

my (%acknowledged, $made);

sub new_token { return token(claims(jti => 'ledger' . ++$made, exp => time + 86400), key => $secret) }

# Logs out by as many tokens from a process of its own, while `disturb` runs; the ledger has those that got their 200.
sub disturbed {
    my ($name, $disturb) = @_;
    my @tokens = map { new_token() } 1 .. $size;
    pipe my $from, my $to or die "pipe: $!";
    my $client = fork // die "fork: $!";
    if (!$client) {
        for my $i (0 .. $#tokens) {
            my $res = eval { $t->get_with('/logout', $tokens[$i]) };
            syswrite $to, "$i\n" if $res && $res->{status} == 200;
            syswrite $to, "tried\n";
            Time::HiRes::sleep(0.02) if !$res;
        }
        POSIX::_exit(0);
    }
    close $to;
    my ($noted, $tried) = (0, 0);
    while (my $line = <$from>) {
        if ($line eq "tried\n") {
            # In the midst of it, at moments that the client does not choose.
            $disturb->() if ++$tried == int($size / 4) || $tried == int($size / 2);
            next;
        }
        $acknowledged{ $tokens[$line] } = $name;
        $noted++;
    }
    waitpid $client, 0;
    cmp_ok($noted, '>', $size / 3, "$name: revocations were acknowledged") or diag $t->log;
    return;
}

sub check_ledger {
    my ($name) = @_;
    my @lost = grep { $t->get_with('/api/', $_)->{status} != 401 } keys %acknowledged;
    is(scalar @lost, 0, "$name: none of " . keys(%acknowledged) . ' acknowledged revocations is lost');
    is($t->get_with('/api/', new_token())->{status}, 200, "$name: control: a token that nobody revoked");
    return;
}

disturbed('nothing', sub { });
check_ledger('nothing');
disturbed('reload', sub { $t->reload });
check_ledger('reload');
disturbed('kill -9 of workers', sub { $t->kill_worker for 1 .. 2 });
check_ledger('kill -9 of workers');
disturbed('kill -9 of the whole nginx', sub { $t->kill_all });
check_ledger('kill -9 of the whole nginx');
disturbed('binary upgrade', sub { $t->upgrade });
check_ledger('binary upgrade');
$t->stop;
$t->start;
check_ledger('stop and start');

done_testing;
