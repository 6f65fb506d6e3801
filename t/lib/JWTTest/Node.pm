package JWTTest::Node;

# Scripts of t/lib that run in Node.js, with what t/lib/package.json names.

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(LOCK_EX);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use IPC::Open2 qw(open2);
use JSON::PP ();

use JWTTest::Token qw(temporary_file);

our @EXPORT = qw(has_node run_node start_node);

my $json = JSON::PP->new->canonical->utf8;
my $lib = dirname(__FILE__) . '/..';

sub has_node { return system('command -v node >/dev/null && command -v npm >/dev/null') == 0 }

# What t/lib/NAME.mjs prints, decoded. The script is given the folder of the packages and a file with this value, as
# JSON.
sub run_node {
    my ($name, $value) = @_;
    my $file = temporary_file($json->encode($value));
    open my $node, '-|:raw', _command($name, $file) or die "node: $!";
    my $output = do { local $/; <$node> };
    close $node or die "$name.mjs failed\n";
    return $json->decode($output);
}

sub _command { my ($name, $file) = @_; return ('node', "$lib/$name.mjs", _node_modules(), $file) }

# A script that stays until this is forgotten: its first line, decoded, and itself, to be asked. Both speak JSON, a line
# each.
sub start_node {
    my ($name, $value) = @_;
    my $file = temporary_file($json->encode($value));
    my $pid = open2(my $answers, my $questions, _command($name, $file));
    my $self = bless { pid => $pid, answers => $answers, questions => $questions, name => $name, file => $file }, __PACKAGE__;
    return ($self->_line, $self);
}

sub ask {
    my ($self, %question) = @_;
    print { $self->{questions} } $json->encode(\%question) . "\n";
    $self->{questions}->flush;
    return $self->_line;
}

sub _line {
    my ($self) = @_;
    my $line = readline $self->{answers};
    defined $line or die "$self->{name}.mjs ended\n";
    return $json->decode($line);
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    close $self->{questions};  # the end of its input
    waitpid $self->{pid}, 0;
    return;
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
