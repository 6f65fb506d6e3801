package JWTTest::Redis;

# A redis-server of its own, on its own port and in its own folder, without persistence unless asked for.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

# Arguments: port, and options of redis-server by name.
sub new {
    my ($class, %arguments) = @_;
    my $port = delete $arguments{port};
    my $self = bless { port => $port, dir => tempdir('jwt-redis-XXXXXXXX', TMPDIR => 1, CLEANUP => 1), owner => $$,
        options => { save => '', appendonly => 'no', %arguments } }, $class;
    $self->start;
    return $self;
}

sub port { return $_[0]{port} }
sub dir { return $_[0]{dir} }

# Options given here last.
sub start {
    my ($self, %options) = @_;
    $self->{options} = { %{ $self->{options} }, %options };
    my @options = map { ("--$_", ref $self->{options}{$_} ? @{ $self->{options}{$_} } : $self->{options}{$_}) }
        sort keys %{ $self->{options} };
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDOUT, '>>', "$self->{dir}/redis.log";
        open STDERR, '>&', \*STDOUT;
        exec 'redis-server', '--port', $self->{port}, '--bind', '127.0.0.1', '--dir', $self->{dir},
            '--daemonize', 'no', @options;
        die "redis-server: $!";
    }
    $self->{pid} = $pid;
    my $end = time + 10;
    while (time < $end) {
        return if eval { $self->command('PING'); 1 } || $@ =~ /NOAUTH|LOADING|NOPERM/;
        die "redis-server ended\n" if waitpid($pid, 1) == $pid;
        sleep 0.01;
    }
    die "redis-server does not answer\n";
}

sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;
    delete $self->{socket};
    kill CONT => $pid;
    kill $signal || 'KILL' => $pid;
    waitpid $pid, 0;
    return;
}

sub freeze { kill STOP => $_[0]{pid}; return }
sub thaw { kill CONT => $_[0]{pid}; return }

# The answer: a string, a number, an array reference or undef; dies of an error.
sub command {
    my ($self, @words) = @_;
    my $socket = $self->{socket} ||= IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}", Timeout => 5)
        or die "no connection to Redis: $!\n";
    my $request = '*' . @words . "\r\n";
    $request .= '$' . length($_) . "\r\n$_\r\n" for @words;
    my $answer = eval { print {$socket} $request; $socket->flush; _reply($socket) };
    return $answer if $@ eq '';
    delete $self->{socket} if $@ =~ /closed/;
    die $@;
}

sub _reply {
    my ($socket) = @_;
    my $line = readline $socket;
    die "Redis closed the connection\n" unless defined $line;
    $line =~ s/\r\n\z//;
    my ($type, $rest) = $line =~ /\A(.)(.*)\z/s;
    die "$rest\n" if $type eq '-';
    return $rest if $type eq '+' || $type eq ':';
    return undef if $rest < 0;
    return [map { scalar _reply($socket) } 1 .. $rest] if $type eq '*';
    my $text = '';
    read $socket, $text, $rest + 2;
    return substr $text, 0, $rest;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop if $self->{owner} == $$;
    return;
}

1;
