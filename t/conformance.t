# What Flask-JWT-Extended answered to the same requests, played by the recordings' own player.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $player = "$FindBin::Bin/../../shared/conformance/replay.py";
plan skip_all => 'no recordings beside this repository' unless -e $player;
plan skip_all => 'the player starts an nginx of its own, with neither sanitizers nor a static module'
    if $ENV{JWT_PRELOAD} || $ENV{JWT_STATIC};

my @nginx = $ENV{JWT_NGINX} ? ('--nginx', $ENV{JWT_NGINX}) : ();
open my $replay, '-|', 'python3', $player, @nginx, '--module', JWTTest->module, '--show', 100_000 or die "python3: $!";
my @lines = <$replay>;
close $replay;
chomp @lines;

my ($passed, $failed) = map { /^(\d+) passed, (\d+) failed$/ ? ($1, $2) : () } $lines[-1] // '';
cmp_ok($passed // 0, '>', 0, 'recorded requests were played') or BAIL_OUT(join "\n", @lines);
my @failures = grep { /^not ok / } @lines;
is(scalar @failures, $failed, 'every difference is listed');
is_deeply([grep { !rounding($_) } @failures], [], 'and every answer is the recorded one');

# `fresh` as a time span: whether the recording's clock crossed a second between iat and fresh is chance.
sub rounding {
    my ($line) = @_;
    my ($got, $wanted) = $line =~ /^not ok \S*issue-fresh-for\b.*?: token (\{.*\}), wanted (\{.*\})$/ or return;
    s/"fresh": "<iat\+60[01]>"/"fresh": "<iat+600>"/ for $got, $wanted;
    return $got eq $wanted;
}

done_testing;
