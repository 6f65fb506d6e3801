package JWTTest::Node;

# Scripts of t/lib that run in Node.js, with what t/lib/package.json names.

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(LOCK_EX);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use JSON::PP ();

use JWTTest::Token qw(temporary_file);

our @EXPORT = qw(has_node run_node);

my $json = JSON::PP->new->canonical->utf8;
my $lib = dirname(__FILE__) . '/..';

sub has_node { return system('command -v node >/dev/null && command -v npm >/dev/null') == 0 }

# What t/lib/NAME.mjs prints, decoded. The script is given the folder of the packages and a file with this value, as
# JSON.
sub run_node {
    my ($name, $value) = @_;
    my $file = temporary_file($json->encode($value));
    open my $node, '-|:raw', 'node', "$lib/$name.mjs", _node_modules(), $file or die "node: $!";
    my $output = do { local $/; <$node> };
    close $node or die "$name.mjs failed\n";
    return $json->decode($output);
}

# The folder of the packages, installed where it lacks them.
sub _node_modules {
    my $folder = $ENV{JWT_NODE_MODULES} || "$lib/../../build/node";
    make_path($folder);
    # Two tests of one `prove -j` may be here at once.
    open my $lock, '>>', "$folder/.lock" or die "$folder/.lock: $!";
    flock $lock, LOCK_EX or die "$folder/.lock: $!";
    my $same = -e "$folder/package-lock.json" && _slurp("$folder/package-lock.json") eq _slurp("$lib/package-lock.json");
    return $folder if $same && -e "$folder/node_modules/.package-lock.json";
    copy("$lib/$_", "$folder/$_") or die "$folder/$_: $!" for qw(package.json package-lock.json);
    my $said = qx(cd '$folder' && npm ci --ignore-scripts --no-audit --no-fund 2>&1);
    die "npm ci: $said" if $?;
    return $folder;
}

sub _slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

1;
