package JWTTest::Nodes;

# What tests of several nodes share: nginx nodes that revoke by a handler, and waiting until all of them agree.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use JWTTest;
use Time::HiRes qw(time);

our @EXPORT = qw(node free_port revoke unrevoke is_revoked within agree life_goes_on);

my $hooks = <<'EOF_LUA';
local jwt = require "jwt"
return { handlers = {
  revoke = function(request) return { changed = jwt.revoke(request:json()) } end,
  unrevoke = function(request) return { changed = jwt.unrevoke(request:json()) } end,
  ask = function(request) return { revoked = jwt.is_revoked(request:json()) } end,
} }
EOF_LUA

sub free_port { return JWTTest::port({}, 'free') }

# A node whose Redis is at that URL; `http`, `config` and `files` add to what it has; `store`: where, and how
# large.
sub node {
    my ($url, %more) = @_;
    my $http = delete $more{http} || '';
    my $config = delete $more{config} || '';
    my $files = delete $more{files} || {};
    my $store = delete $more{store} || '%%DIR%%/store size=64m';
    return JWTTest->new(
        workers => 2,
        files => { 'hooks.lua' => $hooks, 'html/api/index.html' => 'in', %$files },
        http => "jwt_revocation_store $store; jwt_revocation_sync $url; $http",
        config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location /api/ { jwt_required; }
    location /revoke { jwt_handler revoke; }
    location /unrevoke { jwt_handler unrevoke; }
    location /ask { jwt_handler ask; }
    $config
EOF_CONFIG
        %more,
    );
}

sub _call {
    my ($node, $path, $what) = @_;
    $what = { jti => $what } unless ref $what;
    return $node->post($path, ['Content-Type' => 'application/json'], JSON::PP::encode_json($what));
}

# Of a jti, or of what jwt.revoke takes. Whether it was acknowledged.
sub revoke { my ($node, $what) = @_; return _call($node, '/revoke', $what)->{status} == 200 }
sub unrevoke { my ($node, $what) = @_; return _call($node, '/unrevoke', $what)->{status} == 200 }

sub is_revoked {
    my ($node, $what) = @_;
    my $answer = _call($node, '/ask', $what);
    return $answer->{status} == 200 ? $answer->{json}{revoked} ? 1 : 0 : "status $answer->{status}";
}

# How long it took until the condition held; undef where it did not within that many seconds.
sub within {
    my ($seconds, $condition) = @_;
    my $begin = time;
    return JWTTest->wait_for($seconds, sub { $condition->() }) ? time - $begin : undef;
}

# Whether all nodes say that all of these are revoked, or are not, within that many seconds: '' or what is left.
sub agree {
    my ($seconds, $nodes, $whats, $wanted) = @_;
    $wanted = 1 unless defined $wanted;
    my @left = map { my $node = $_; map { [$node, $_] } @$whats } @$nodes;
    my $total = @left;
    within($seconds, sub { @left = grep { is_revoked(@$_) ne $wanted } @left; return !@left });
    return @left ? scalar(@left) . " of $total" : '';
}

# Tests that requests at these nodes are answered and revocations acknowledged, without waiting. The revoked jtis.
my $count = 0;
sub life_goes_on {
    my ($name, @nodes) = @_;
    my (@jtis, @wrong);
    my @times;
    my $timed = sub {
        my ($what) = @_;
        my $begin = time;
        my $result = $what->();
        push @times, time - $begin;
        return $result;
    };
    for my $node (@nodes) {
        for (1 .. 3) {
            my $jti = "$$." . ++$count;
            my $token = token(claims(jti => $jti));
            my $before = $timed->(sub { $node->get_with('/api/', $token)->{status} });
            my $taken = $timed->(sub { revoke($node, $jti) });
            my $after = $timed->(sub { $node->get_with('/api/', $token)->{status} });
            push @wrong, "$before $taken $after" unless "$before $taken $after" eq '200 1 401';
            push @jtis, $jti if $taken;
        }
    }
    is_deeply(\@wrong, [], "$name: requests are answered, and revocations acknowledged");
    # Redis is waited for as long as a second. A machine with much to do may hold up one or the other, but not most.
    cmp_ok((sort { $a <=> $b } @times)[@times / 2], '<', 0.9, "$name: they do not wait for Redis");
    return @jtis;
}

1;
