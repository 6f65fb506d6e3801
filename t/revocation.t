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
    location /careful { jwt_handler careful; }
EOF_CONFIG
}

my $t = JWTTest->new(
    config  => config(),
    http    => 'jwt_revocation_store %%DIR%%/store size=16m;',
    files   => \%hooks,
    workers => 4,
);

sub new_token { return token(claims(@_), key => $secret) }

sub status_everywhere {
    my ($token, $path) = @_;
    my %seen;
    $seen{ $t->get_with($path // '/api/', $token)->{status} }++ for 1 .. 24;
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

done_testing;
