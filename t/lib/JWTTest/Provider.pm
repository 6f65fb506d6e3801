package JWTTest::Provider;

# An identity provider's key endpoint, and its bad days. Each path has a document of its own, which a test changes while
# the server runs: what it says, and how ("slow 2", "hang", "reset", "status 500", "raw").

use strict;
use warnings;

use File::Temp ();
use IO::Socket::UNIX;
use JSON::PP ();
use JWTTest::Backend;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

sub new {
    my ($class) = @_;
    my $dir = File::Temp->newdir('jwt-provider-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my $self = bless { dir => $dir, owner => $$ }, $class;
    return $self->start;
}

# For proxy_pass: the path of a document follows.
sub url { return "http://unix:$_[0]{dir}/socket:" }

# What a path answers: keys => [JWK, ...] or body => text; status, headers => [name => value, ...], mode.
sub publish {
    my ($self, $path, %document) = @_;
    $document{body} = JSON::PP->new->canonical->encode({ keys => delete $document{keys} }) if $document{keys};
    my $file = $self->_file($path);
    open my $out, '>', "$file.new" or die "$file: $!";
    print {$out} JSON::PP->new->canonical->latin1->encode(\%document);
    close $out;
    rename "$file.new", $file or die "$file: $!";
    return $self;
}

# When a path was asked for, in seconds; all of them, and those that are beyond a number that was seen before.
sub hits {
    my ($self, $path) = @_;
    open my $in, '<', $self->_file($path) . '.hits' or return;
    return map { 0 + $_ } <$in>;
}

sub start {
    my ($self) = @_;
    my $path = "$self->{dir}/socket";
    unlink $path;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 128) or die "$path: $!";
    chmod 0777, $path;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my $parent = getppid;
        eval { JWTTest::Backend::serve($listener, $parent, sub { $self->_answer($_[0]) }) };
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    return $self;
}

# Whoever asks now is refused a connection.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return $self;
    kill TERM => $pid;
    waitpid $pid, 0;
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!);
    $self->stop if $self->{owner} == $$;
    return;
}

sub _file {
    my ($self, $path) = @_;
    return "$self->{dir}/" . join '_', 'at', split m{/}, $path;
}

sub _answer {
    my ($self, $client) = @_;
    my $head = JWTTest::Backend::read_head($client) // return;
    my ($path) = $head =~ /\A\S+ (\S+)/;
    my $file = $self->_file($path);
    if (open my $hits, '>>', "$file.hits") {
        syswrite $hits, time . "\n";
        close $hits;
    }
    open my $in, '<', $file or return _send($client, 404, [], 'no such document');
    my $document = JSON::PP->new->latin1->decode(do { local $/; <$in> });
    my ($mode, $argument) = split / /, $document->{mode} || '';
    $mode ||= '';
    sleep $argument if $mode eq 'slow';
    return sysread $client, my $nothing, 1 if $mode eq 'hang';  # until the other side gives up
    if ($mode eq 'reset') {
        setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
        return close $client;
    }
    my $body = $document->{body};
    if ($mode eq 'cut') {  # less than its length says
        print {$client} "HTTP/1.1 200 OK\r\nContent-Length: ", 2 * length $body, "\r\n\r\n$body";
        return close $client;
    }
    $body = ' ' x $argument . $body if $mode eq 'padded';
    return _send($client, $document->{status} || 200, $document->{headers} || [], $body);
}

sub _send {
    my ($client, $status, $headers, $body) = @_;
    my @lines = @$headers;
    my $reply = "HTTP/1.1 $status Provider\r\nConnection: close\r\nContent-Type: application/jwk-set+json\r\n";
    while (my ($name, $value) = splice @lines, 0, 2) {
        $reply .= "$name: $value\r\n";
    }
    print {$client} $reply, 'Content-Length: ', length $body, "\r\n\r\n", $body;
    return close $client;
}

1;
