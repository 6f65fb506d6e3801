package JWTTest::Connection;

# HTTP/1.1 over a socket, byte by byte where a test wants that: what a well-meaning client library would not send.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes qw(time);

my $timeout = 10;

sub new {
    my ($class, %peer) = @_;
    my $socket = defined $peer{unix}
        ? IO::Socket::UNIX->new(Peer => $peer{unix})
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $peer{port});
    die "connect: $!" unless $socket;
    $socket->autoflush(1);
    return bless { socket => $socket, buffer => '', ended => 0 }, $class;
}

sub send {
    my ($self, $bytes) = @_;
    print { $self->{socket} } $bytes;
    return $self;
}

# A request as bytes. The body is sent with its length unless the headers name one or an encoding;
# a reference to a list of strings is sent chunked, one chunk each.
sub request {
    my ($self, $method, $path, $headers, $body) = @_;
    my @headers = @{ $headers || [] };
    my %named = map { lc $headers[2 * $_] => 1 } 0 .. @headers / 2 - 1;
    unshift @headers, Host => 'localhost' unless $named{host};
    if (ref $body) {
        push @headers, 'Transfer-Encoding' => 'chunked';
        $body = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ } grep { length } @$body), "0\r\n\r\n";
    } elsif (defined $body && !$named{'content-length'} && !$named{'transfer-encoding'}) {
        push @headers, 'Content-Length' => length $body;
    }
    my $head = "$method $path HTTP/1.1\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }
    return $self->send("$head\r\n" . (defined $body ? $body : ''));
}

# More bytes in the buffer, or false at the end of the stream; dies where nothing comes in time.
sub _fill {
    my ($self) = @_;
    return 0 if $self->{ended};
    die "no answer within $timeout seconds; so far: $self->{buffer}\n"
        unless IO::Select->new($self->{socket})->can_read($timeout);
    my $count = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
    $self->{ended} = 1 unless $count;
    return $count;
}

# The next answer: {status, reason, headers (lower-case name => values joined), raw ([name, value], ...), body, json};
# interim (the statuses below 200 that came before it); undef where the peer closed without one. The method matters:
# HEAD has no body.
sub response {
    my ($self, $method) = @_;
    my ($response, @interim);
    do {
        push @interim, $response->{status} if $response;
        1 while $self->{buffer} !~ /\r\n\r\n/ && $self->_fill;
        $self->{buffer} =~ s/\A(.*?)\r\n\r\n//s or return;
        $response = _head($1);
    } while $response->{status} >= 100 && $response->{status} < 200;
    $response->{interim} = \@interim;
    my $headers = $response->{headers};
    if (($method || 'GET') eq 'HEAD' || $response->{status} == 204 || $response->{status} == 304) {
        $response->{body} = '';
    } elsif (($headers->{'transfer-encoding'} || '') eq 'chunked') {
        $response->{body} = $self->_chunked;
    } elsif (defined $headers->{'content-length'}) {
        my $length = $headers->{'content-length'};
        1 while length $self->{buffer} < $length && $self->_fill;
        $response->{body} = substr $self->{buffer}, 0, $length, '';
    } else {
        1 while $self->_fill;
        $response->{body} = $self->{buffer};
        $self->{buffer} = '';
    }
    return _with_json($response);
}

sub _chunked {
    my ($self) = @_;
    my $body = '';
    while (1) {
        1 while $self->{buffer} !~ /\r\n/ && $self->_fill;
        $self->{buffer} =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n// or last;
        my $length = hex $1;
        1 while length $self->{buffer} < $length + 2 && $self->_fill;
        $body .= substr $self->{buffer}, 0, $length, '';
        substr $self->{buffer}, 0, 2, '';
        last if $length == 0;
    }
    return $body;
}

sub _head {
    my ($text) = @_;
    my ($status_line, @lines) = split /\r\n/, $text;
    my ($status, $reason) = $status_line =~ m{\AHTTP/\S+ (\d+) ?(.*)} or die "no status line: $status_line\n";
    my %response = (status => $status, reason => $reason, headers => {}, raw => []);
    for (@lines) {
        my ($name, $value) = split /:\s*/, $_, 2;
        push @{ $response{raw} }, [$name, $value];
        my $joined = \$response{headers}{ lc $name };
        $$joined = defined $$joined ? "$$joined, $value" : $value;
    }
    return bless \%response, 'JWTTest::Response';
}

sub _with_json {
    my ($response) = @_;
    if (($response->{headers}{'content-type'} || '') =~ /json/ && length $response->{body}) {
        $response->{json} = eval { JSON::PP->new->utf8->allow_nonref->decode($response->{body}) };
    }
    return $response;
}

# A whole answer from text, as curl prints it.
sub parse {
    my ($text, $method) = @_;
    $text =~ s/\A(.*?)\r\n\r\n//s or return;
    my $response = _head($1);
    return parse($text, $method) if $response->{status} < 200;
    $response->{body} = $text;
    return _with_json($response);
}

# True once the peer has closed; waits that many seconds for it.
sub closed {
    my ($self, $seconds) = @_;
    my $end = time + (defined $seconds ? $seconds : 2);
    while (!$self->{ended} && time < $end) {
        $self->_fill if IO::Select->new($self->{socket})->can_read(0.05);
    }
    return $self->{ended};
}

sub close {
    my ($self) = @_;
    close $self->{socket} if $self->{socket};
    delete $self->{socket};
    $self->{ended} = 1;
    return;
}

package JWTTest::Response;

# Every value of a header, in order: what Set-Cookie needs.
sub all {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{raw} };
}

# Cookies that were set: name => {value, attributes {lower-case name => value or ''}, line}.
sub cookies {
    my ($self) = @_;
    my %cookies;
    for my $line ($self->all('Set-Cookie')) {
        my ($pair, @attributes) = split /;\s*/, $line;
        my ($name, $value) = split /=/, $pair, 2;
        my %attributes = map { my ($key, $content) = split /=/, $_, 2; (lc $key => defined $content ? $content : '') } @attributes;
        $cookies{$name} = { value => $value, attributes => \%attributes, line => $line };
    }
    return \%cookies;
}

1;
