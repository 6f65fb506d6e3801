package JWTTest::Backend;

# The application behind nginx. It answers with what it got, so that a test sees exactly what was passed on:
# {"method", "uri", "headers": [[name, value], ...], "body"} as JSON, header lines and body byte for byte.

use strict;
use warnings;

use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();

# Code gets that as a hash and returns [status, [name => value, ...], body], or nothing for the echo.
sub new {
    my ($class, $path, $code) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 64) or die "$path: $!";
    chmod 0777, $path;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        # No END block and no destructor of the test may run here.
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my $parent = getppid;
        eval { serve($listener, $parent, sub { _answer($_[0], $code) }) };
        POSIX::_exit(0);
    }
    return bless { path => $path, pid => $pid }, $class;
}

sub path { return $_[0]{path} }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

# Serves each connection in a process of its own, until the test ends.
sub serve {
    my ($listener, $parent, $answer) = @_;
    $SIG{CHLD} = 'IGNORE';
    while (getppid == $parent) {
        my $client = $listener->accept or next;
        my $pid = fork;
        if (!$pid) {
            eval { $answer->($client) };
            POSIX::_exit(0) if defined $pid;
        }
        close $client;
    }
    return;
}

# A request up to its empty line; nothing where the connection ends before.
sub read_head {
    my ($client) = @_;
    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        my $line = <$client>;
        return unless defined $line;
        $head .= $line;
    }
    return $head;
}

sub _answer {
    my ($client, $code) = @_;
    my $head = read_head($client) // return;
    my ($first, @lines) = split /\r\n/, $head;
    my ($method, $uri) = split / /, $first;
    my @headers = map { [split /:\s*/, $_, 2] } @lines;
    my %header = map { lc $_->[0] => $_->[1] } @headers;
    my $body = '';
    if (($header{'transfer-encoding'} || '') eq 'chunked') {
        while (defined(my $size = <$client>)) {
            my $length = hex $size;
            read $client, $body, $length, length $body if $length;
            <$client>;
            last unless $length;
        }
    } elsif ($header{'content-length'}) {
        read $client, $body, $header{'content-length'};
    }
    my $request = { method => $method, uri => $uri, headers => \@headers, body => $body };
    my $answer = $code && $code->($request);
    # latin1 keeps every byte of what came in one character.
    $answer ||= [200, ['Content-Type' => 'application/json'], JSON::PP->new->ascii->canonical->encode($request)];
    my ($status, $reply_headers, $content) = @$answer;
    my @reply = @$reply_headers;
    my $reply = "HTTP/1.1 $status Backend\r\nConnection: close\r\n";
    while (my ($name, $value) = splice @reply, 0, 2) {
        $reply .= "$name: $value\r\n";
    }
    $reply .= 'Content-Length: ' . length($content) . "\r\n\r\n";
    $reply .= $content unless $method eq 'HEAD';
    print {$client} $reply;
    close $client;
    return;
}

1;
