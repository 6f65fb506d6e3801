package JWTTest::Http2;

# HTTP/2 frame by frame (RFC 9113), for what curl does not do: many requests on one connection, and to reset some.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;

my %type = (data => 0, headers => 1, reset => 3, settings => 4, ping => 6);

sub new {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $!";
    my $self = bless { socket => $socket, next => 1, out => '', in => '', body => {}, ended => {} }, $class;
    $self->{out} = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    $self->_frame('settings', 0, 0, '');
    return $self;
}

sub _frame {
    my ($self, $kind, $flags, $stream, $payload) = @_;
    $self->{out} .= substr(pack('N', length $payload), 1) . pack('CCN', $type{$kind}, $flags, $stream) . $payload;
    return;
}

# A string of HPACK (RFC 7541 §5.2), as it is.
sub _string {
    my ($text) = @_;
    my $length = length $text;
    return pack('C', $length) . $text if $length < 127;
    my $bytes = pack 'C', 127;
    for ($length -= 127; $length >= 128; $length = int($length / 128)) { $bytes .= pack 'C', $length % 128 + 128 }
    return $bytes . pack('C', $length) . $text;
}

# A GET; its stream. Sent with the next flush.
sub get {
    my ($self, $path, $headers) = @_;
    my @fields = (':method', 'GET', ':scheme', 'http', ':path', $path, ':authority', 'localhost', @{ $headers || [] });
    my $block = '';
    while (my ($name, $value) = splice @fields, 0, 2) { $block .= pack('C', 0) . _string(lc $name) . _string($value) }
    my $stream = $self->{next};
    $self->{next} += 2;
    $self->_frame('headers', 5, $stream, $block);  # END_STREAM, END_HEADERS
    return $stream;
}

sub reset { my ($self, $stream) = @_; $self->_frame('reset', 0, $stream, pack 'N', 8); return }  # CANCEL

sub flush {
    my ($self) = @_;
    while (length $self->{out}) {
        my $count = syswrite $self->{socket}, $self->{out};
        return 0 unless $count;
        substr $self->{out}, 0, $count, '';
    }
    return 1;
}

# Reads frames until `enough` says so, or the server is silent.
sub _read {
    my ($self, $enough) = @_;
    $self->flush;
    until ($enough->()) {
        while (length $self->{in} >= 9) {
            my $length = unpack 'N', "\0" . substr $self->{in}, 0, 3;
            last if length $self->{in} < 9 + $length;
            my ($kind, $flags, $stream) = unpack 'CCN', substr $self->{in}, 3, 6;
            my $payload = substr $self->{in}, 9, $length;
            substr $self->{in}, 0, 9 + $length, '';
            $self->{body}{$stream} .= $payload if $kind == $type{data};
            $self->{ended}{$stream} = 1 if ($kind == $type{data} || $kind == $type{headers}) && $flags & 1;
            $self->{pong} = 1 if $kind == $type{ping} && $flags & 1;
        }
        return 1 if $enough->();
        return 0 unless IO::Select->new($self->{socket})->can_read(10);
        return 0 unless sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
    }
    return 1;
}

# The body of a stream's answer.
sub body { my ($self, $stream) = @_; $self->_read(sub { $self->{ended}{$stream} }); return $self->{body}{$stream} }

# Whether all that was sent before was read by the server, and the connection lives.
sub ping {
    my ($self) = @_;
    $self->{pong} = 0;
    $self->_frame('ping', 0, 0, 'the end.');
    return $self->_read(sub { $self->{pong} });
}

sub close { my ($self) = @_; close $self->{socket}; return }

1;
