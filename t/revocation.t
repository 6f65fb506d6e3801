use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

# jwt_revocation_store in nginx: what is revoked stays so, in all workers, whatever ends.

my $secret = $JWTTest::Token::secret;
my %hooks  = ('hooks.lua' => <<'LUA', 'html/index.html' => 'in');
local jwt = require "jwt"
local function said(request)
  local form = request:json()
  if not form then return nil end
  if form.token then return form.token end
  return form
end
return { handlers = {
  logout = function() return { changed = jwt.revoke() } end,
  revoke = function(request) return { changed = jwt.revoke(said(request)) } end,
  unrevoke = function(request) return { changed = jwt.unrevoke(said(request)) } end,
  ask = function(request) return { revoked = jwt.is_revoked(said(request)) } end,
  careful = function(request)
    local ok, why = pcall(jwt.revoke, said(request))
    return { ok = ok, why = tostring(why) }
  end,
} }
LUA

sub config {
    my ($more) = @_;
    return <<"EOF_CONFIG" . ($more // '');
    root %%DIR%%/html;
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location /api/ { jwt_required; alias %%DIR%%/html/; }
    location /refresh/ { jwt_required refresh; alias %%DIR%%/html/; }
    location /skip/ { jwt_required skip_revocation_check; alias %%DIR%%/html/; }
    location /only_refresh/ { jwt_required any_type; jwt_revocation_checks refresh; alias %%DIR%%/html/; }
    location /only_access/ { jwt_required any_type; jwt_revocation_checks access; alias %%DIR%%/html/; }
    location /logout { jwt_required any_type; jwt_handler logout; }
    location /revoke { jwt_handler revoke; }
    location /unrevoke { jwt_handler unrevoke; }
    location /ask { jwt_handler ask; }
    location /numbers/ { jwt_verify_sub off; jwt_required; alias %%DIR%%/html/; }
    location /ask_number { jwt_verify_sub off; jwt_handler ask; }
    location /careful { jwt_handler careful; }
EOF_CONFIG
}

my $store = 'jwt_revocation_store %%DIR%%/store size=16m;';
my $t = JWTTest->new(
    config  => config(),
    http    => $store,
    files   => \%hooks,
    workers => 4,
);

sub new_token { return token(claims(@_), key => $secret) }

sub status_everywhere {
    my ($token, $path) = @_;
    my %seen = map { $_ => 1 } split ' ', $t->statuses($path // '/api/', $token);
    return join ' ', sort keys %seen;
}

sub call {
    my ($name, $body) = @_;
    require JSON::PP;
    my $res = $t->post("/$name", ['Content-Type' => 'application/json'], JSON::PP::encode_json($body));
    return $res->{status} == 200 ? $res->{json} : $res->{status};
}

{
    my ($one, $two) = map { new_token(jti => $_) } qw(one two);
    is(status_everywhere($one), '200', 'a token that nobody revoked');
    my $res = $t->get_with('/logout', $one);
    is($res->{status}, 200, 'jwt.revoke() in a handler') or diag $t->log;
    ok($res->{json}{changed}, 'and it was not revoked before');
    is(status_everywhere($one), '401', 'the next request is refused in every worker');
    is($t->get_with('/api/', $one)->{json}{msg}, 'Token has been revoked', 'with the answer for revoked tokens');
    is(status_everywhere($two), '200', 'another token is not');
    is($t->get_with('/skip/', $one)->{status}, 200, 'skip_revocation_check');
}

# At once in all workers: the answer to the logout is not behind the event of which the others hear, for there is none.
{
    my @connections = $t->worker_connections;
    my $ask = sub {
        my @headers = (Authorization => "Bearer $_[0]");
        $_->request('GET', '/api/index.html', [@headers]) for @connections;
        return map { $_->response->{status} } @connections;
    };
    my ($good, $stale) = (0, 0);
    for my $i (1 .. 150) {
        my $token = new_token(jti => "everywhere$i");
        $good += grep { $_ == 200 } $ask->($token);
        # By one worker after the other.
        my $logout = $connections[$i % 4];
        $logout->request('GET', '/logout', [Authorization => "Bearer $token"]);
        die 'no logout' if $logout->response->{status} != 200;
        $stale += grep { $_ != 401 } $ask->($token);
    }
    is($good, 600, '150 tokens are good in each of 4 workers');
    is($stale, 0, 'and in none of them for one request after the logout by any');
}

{
    my ($access, $refresh) = (new_token(jti => 'a1'), new_token(jti => 'r1', type => 'refresh'));
    call(revoke => { jti => $_ }) for qw(a1 r1);
    is($t->get_with('/refresh/', $refresh)->{status}, 401, 'a revoked refresh token');
    is($t->get_with('/only_refresh/', $refresh)->{status}, 401, 'jwt_revocation_checks refresh asks about it');
    is($t->get_with('/only_refresh/', $access)->{status}, 200, 'and not about an access token');
    is($t->get_with('/only_access/', $access)->{status}, 401, 'jwt_revocation_checks access does');
    is($t->get_with('/only_access/', $refresh)->{status}, 200, 'and not about the refresh token');
    my $other = new_token(jti => 'a1', type => 'device');
    is($t->get_with($_, $other)->{status}, 401, "$_: a type that nobody named is asked about") for '/only_access/', '/only_refresh/';
}

{
    my $token = new_token(jti => 'forms', sub => 'frank', sid => 'family1', iss => 'me');
    my $good = sub { is($t->get_with('/api/', $token)->{status}, 200, "$_[0]: undone") };
    my $gone = sub { is($t->get_with('/api/', $token)->{status}, 401, "$_[0]: revoked") };
    my @forms = (
        { jti => 'forms', exp => time + 900 }, { jti => 'forms', iss => 'me' },
        { subject => 'frank', before => time + 10 }, { family => 'family1', issuer => 'me' },
        { all => JSON::PP::true(), before => time + 10 }, { token => $token },
        { jti => 'forms', sub => 'frank', iat => time, iss => 'me', type => 'access', fresh => JSON::PP::false() },
    );
    for my $form (@forms) {
        my $name = join ',', sort keys %$form;
        is_deeply(call(ask => $form), { revoked => JSON::PP::false() }, "$name: is_revoked says no");
        is_deeply(call(revoke => $form), { changed => JSON::PP::true() }, "$name: new") or diag $t->log;
        $gone->($name);
        is_deeply(call(ask => $form), { revoked => JSON::PP::true() }, "$name: is_revoked says so");
        is_deeply(call(revoke => $form), { changed => JSON::PP::false() }, "$name: known");
        is_deeply(call(unrevoke => $form), { changed => JSON::PP::true() }, "$name: taken back");
        $good->($name);
        is_deeply(call(unrevoke => $form), { changed => JSON::PP::false() }, "$name: nothing to take back");
    }
    is(call(revoke => { jti => 'forms', iss => 'somebody else' })->{changed}, JSON::PP::true(), 'the same jti of another issuer');
    $good->('another issuer');
    is(call(revoke => { subject => 'frank', before => time - 1000 })->{changed}, JSON::PP::true(), 'a moment before it was issued');
    $good->('an earlier moment');
    is(call(unrevoke => { subject => 'frank' })->{changed}, JSON::PP::true(), 'undone');
}

# Identities that no Lua number holds.
{
    my ($one, $two) = map { new_token(sub => $_, iat => time - 5) } 9007199254740993, 9007199254740995;
    is(call(revoke => { subject => '9007199254740993' })->{changed}, JSON::PP::true(), 'a subject that is a great number');
    is_deeply([map { $t->get_with('/numbers/', $_)->{status} } $one, $two], [401, 200], 'is revoked, and not its neighbour');
    is_deeply([map { call(ask_number => { token => $_ }) } $one, $two], [{ revoked => JSON::PP::true() }, { revoked => JSON::PP::false() }],
        'is_revoked knows by their tokens');
}

{
    my $log_out = new_token(sub => 'erin', iat => time - 5);
    is($t->get_with('/api/', $log_out)->{status}, 200, 'erin is logged in');
    call(revoke => { subject => 'erin' });
    is(status_everywhere($log_out), '401', 'logged out everywhere');
    my $again = $t->wait_for(10, sub { $t->get_with('/api/', new_token(sub => 'erin', iat => time))->{status} == 200 });
    ok($again, 'and can log in again');
}

{
    my $bad = sub {
        my ($body, $want, $name) = @_;
        is(call(revoke => $body), 500, $name);
        like($t->log, $want, "$name: the log says why");
    };
    $bad->({ subject => 'a', family => 'b' }, qr/stands beside another/, 'two targets');
    $bad->({ exp => 5 }, qr/the table names nothing/, 'no target');
    $bad->({ jti => 5 }, qr/jti is a number: give a string/, 'a jti that is no string');
    $bad->({ jti => '' }, qr/jti is empty/, 'an empty jti');
    $bad->({ subject => 'a', befor => 5 }, qr/has no option "befor"/, 'an unknown option');
    $bad->({ token => 'abc' }, qr/Not enough segments/, 'a text that is no token');
    $bad->({ token => token(claims(), key => 'x' x 64) }, qr/Signature verification failed/, 'a token that somebody else signed');
}

done_testing;
