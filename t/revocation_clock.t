# A wall clock that is set while nginx runs: nothing that was revoked comes back to life, and nothing is forgotten early.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use JWTTest;
use Time::HiRes ();
use Time::Local qw(timegm);

plan(skip_all => 'the clock is that of Linux') if $^O ne 'linux';
my $dir = tempdir('jwt-clock-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
is(system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/clock.so", "$FindBin::Bin/lib/wall_clock.c"), 0, 'the clock compiles');

# Written in place: nginx has the file mapped.
sub set_clock {
    my ($off_by) = @_;
    open my $file, -e "$dir/clock" ? '+<' : '>', "$dir/clock" or die "$dir/clock: $!";
    syswrite $file, sprintf '%-16d', $off_by;
    close $file;
    return;
}
set_clock(0);

my $hour = 3600;
local $ENV{JWT_PRELOAD} = join ' ', grep { defined } $ENV{JWT_PRELOAD}, "$dir/clock.so";
local $ENV{JWT_CLOCK} = "$dir/clock";
my $t = JWTTest->new(
    http   => 'jwt_revocation_store %%DIR%%/store size=16m;',
    files  => { 'html/index.html' => 'in' },
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    location /api/ { jwt_required; alias %%DIR%%/html/; }
    location /logout { jwt_required; jwt_logout; }
    location /admin { jwt_revocations; }
EOF_CONFIG
);

# Issued long ago, so that a clock that was set back does not find it too young.
sub new_token { my ($jti) = @_; return token(claims(jti => $jti, iat => time - 5 * $hour, nbf => undef, exp => time + 600)) }
sub status { my ($jti) = @_; return $t->get_with('/api/', new_token($jti))->{status} }
my @json = ('Content-Type' => 'application/json');
sub revoke { my (%what) = @_; return $t->post('/admin', [@json], JSON::PP::encode_json(\%what))->{status} }
sub listed { my ($jti) = @_; return scalar grep { $_->{name} eq $jti } @{ $t->get('/admin')->{json}{revocations} } }

sub seconds_of {
    my ($day, $month, $year, @time) = $_[0] =~ /, (\d+) (\w+) (\d+) (\d+):(\d+):(\d+) GMT/ or die "no date: $_[0]";
    return timegm(reverse(@time), $day, index('JanFebMarAprMayJunJulAugSepOctNovDec', $month) / 3, $year);
}

sub clock_shows {
    my ($off_by) = @_;
    return $t->wait_for(10, sub { abs(seconds_of($t->get('/')->{headers}{date}) - time - $off_by) < $hour / 2 });
}

# A record whose time has come by whatever clock goes with the first sweep there is.
my $due = 0;
sub swept {
    my ($name) = @_;
    is(revoke(jti => 'due' . ++$due, exp => time - 10 * $hour), 201, "$name: control: what may be forgotten");
    return ok($t->wait_for(15, sub { !listed("due$due") }), "$name: control: is swept");
}

is(status($_), 200, "a good token: $_") for qw(gone live);
is($t->post('/logout', [Authorization => 'Bearer ' . new_token('gone')], '')->{status}, 200, 'one is revoked');
is(status('gone'), 401, 'and refused');
swept('the right time');

set_clock(-2 * $hour);
ok(clock_shows(-2 * $hour), 'the clock is set back');
swept('set back');
is(status('gone'), 401, 'set back: what was revoked stays so');
is(status('live'), 200, 'set back: control: and nothing else is');
is($t->request('DELETE', '/admin', [@json], '{"jti":"gone","iss":null}')->{status}, 200, 'set back: it can be taken back');
is(status('gone'), 200, 'set back: and is, though that came before it');
is($t->post('/logout', [Authorization => 'Bearer ' . new_token('gone')], '')->{status}, 200, 'set back: and revoked again');
is(status('gone'), 401, 'set back: which holds');
is($t->reload, 1, 'set back: a reload');
is(status('gone'), 401, 'set back: changes nothing');

set_clock(0);
ok(clock_shows(0), 'the right time again');
is(status('gone'), 401, 'it is still revoked');

# Anew, since that was a leap too.
$t->stop;
$t->start;
swept('anew');
set_clock(2 * $hour);
ok(clock_shows(2 * $hour), 'the clock leaps ahead');
is(status('live'), 401, 'by which tokens have expired');
Time::HiRes::sleep(2.5);  # in which it would be swept twice
ok(listed('gone'), 'a leap ahead: nothing is forgotten');
set_clock(0);
ok($t->wait_for(5, sub { status('live') == 200 }), 'and back: a token is good again');
is(status('gone'), 401, 'but not what was revoked');

done_testing;
