use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use MIME::Base64 qw(decode_base64url);
use JWTTest;

my $hooks = <<'EOF_LUA';
local jwt = require "jwt"
return {
  revoked_token = function(header, payload) return { gone = payload.sub }, 403 end,
  handlers = {
    login = function()
      local refresh = jwt.create_refresh_token("alice")
      local access = jwt.create_access_token("alice", { additional_claims = { sid = jwt.get_jti(refresh) } })
      jwt.set_access_cookies(access)
      jwt.set_refresh_cookies(refresh)
      return { access_token = access, refresh_token = refresh }
    end,
  },
}
EOF_LUA

my $config = <<"EOF_CONFIG";
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_token_location headers cookies;
    location /api/    { jwt_required any_type; try_files /ok =404; }
    location /logout  { jwt_required any_type; jwt_logout; }
    location /hooked  { jwt_required; jwt_logout; jwt_lua_file %%DIR%%/hooks.lua; }
    location /login   { jwt_handler login; jwt_lua_file %%DIR%%/hooks.lua; }
    location /any     { satisfy any; allow all; jwt_required; jwt_logout; }
    location /long    { jwt_handler login; jwt_lua_file %%DIR%%/hooks.lua; jwt_refresh_token_expires 90d; }
    location /list    { jwt_revocations; }
EOF_CONFIG

my $t = JWTTest->new(
    config  => $config,
    workers => 2,
    http    => 'root %%DIR%%/html; jwt_revocation_store %%DIR%%/revoked size=4m;',
    files   => { 'hooks.lua' => $hooks, 'html/ok' => 'ok' },
);

sub bearer { return [Authorization => "Bearer $_[0]", @_[1 .. $#_]] }
sub status_of { return $t->get_with('/api/', $_[0])->{status} }

# ---- a token that is presented

my ($one, $other) = map { token(claims(jti => "jti-$_")) } 1, 2;
is status_of($_), 200, 'a token is good' for $one, $other;
my $res = $t->post('/logout', bearer($one), '');
is $res->{status}, 200, 'logout';
is_deeply $res->{json}, { logout => JSON::PP::true }, 'says so';
is $res->{headers}{'cache-control'}, 'no-store', 'and is not stored';
is_deeply [$res->all('Set-Cookie')], [], 'no cookie brought the token: none is taken';
is $t->statuses('/api/', $one), '401 401', 'the token is revoked in both workers';
is $t->get_with('/api/', $one)->{json}{msg}, 'Token has been revoked', 'and its client told so';
is status_of($other), 200, 'another token of the same user is not';
is $t->post('/logout', bearer($one), '')->{status}, 401, 'nobody logs out twice';

my $nameless = token(claims(jti => undef, nonce => 1));
is $t->post('/logout', bearer($nameless), '')->{status}, 200, 'a token without jti';
is status_of($nameless), 401, 'is revoked by what it is';
is status_of(token(claims(jti => undef, nonce => 2))), 200, 'and no other';

my $forever = token(claims(exp => undef, jti => 'forever'));
is $t->post('/logout', bearer($forever), '')->{status}, 200, 'a token that never expires';
is status_of($forever), 401, 'is revoked';

# ---- who may, and how

for my $method (qw(GET HEAD PUT DELETE)) {
    $res = $t->request($method, '/logout', bearer($other), $method eq 'PUT' ? '{}' : undef);
    is $res->{status}, 405, "$method is no way to log out";
    is $res->{headers}{allow}, 'POST', 'which is POST' ;
}
is $t->request('OPTIONS', '/logout')->{status}, 405, 'an exempt method is none either';
is $t->post('/logout', [], '')->{status}, 401, 'nobody is not logged out';
is $t->post('/logout', bearer(token(claims(), key => 'x' x 64)), '')->{status}, 422, 'nor by a forged token';
is $t->post('/any', [], '')->{status}, 401, 'nor where another way leads in';
is_deeply $t->post('/any', [], '')->{json}, { msg => 'Missing token' }, 'which is told why';
is $t->post('/any', bearer('forged'), '')->{status}, 401, 'nor by a bad token there';
is $t->post('/any', bearer($other), '')->{status}, 401, 'nor by a good one, which nobody looked at';
is status_of($other), 200, 'and which goes on';
is $t->post('/logout', bearer(token(claims())), 'x' x 100_000)->{status}, 200, 'a body is read and thrown away';
is $t->post('/logout', bearer(token(claims())), 'x' x 2_000_000)->{status}, 413, 'within limits';

# ---- cookies: their rules, and their end

my $login = $t->post('/login', [], '');
my $cookies = $login->cookies;
sub jar { return join '; ', map { "$_=$cookies->{$_}{value}" } @_ }
my @access = (Cookie => jar('access_token_cookie'));
is $t->get('/api/', [@access])->{status}, 200, 'a session';
is $t->post('/logout', [@access], '')->{status}, 401, 'a page of another origin does not end it';
is $t->get('/api/', [@access])->{status}, 200, 'it goes on';
$res = $t->post('/logout', [@access, 'X-CSRF-TOKEN' => $cookies->{csrf_access_token}{value}], '');
is $res->{status}, 200, 'its own page does';
my $taken = $res->cookies;
is_deeply { map { $_ => $taken->{$_}{value} } keys %$taken },
    { map { $_ => '' } qw(access_token_cookie csrf_access_token refresh_token_cookie csrf_refresh_token) },
    'all cookies are taken back';
is $t->get('/api/', [@access])->{status}, 401, 'and a copy of the token is of no use';
is status_of($login->{json}{refresh_token}), 401, 'nor is the refresh token of that login';

my $again = $t->post('/login', [], '')->{json};
is status_of($again->{$_}), 200, "another login: its $_" for qw(access_token refresh_token);
is $t->post('/logout', bearer($again->{refresh_token}), '')->{status}, 200, 'logout by its refresh token';
is status_of($again->{access_token}), 401, 'ends the access token made with it';

is $t->post('/hooked', bearer($again->{access_token}), '')->{status}, 403, 'a hook answers for revoked tokens';
is_deeply $t->post('/hooked', bearer($again->{access_token}), '')->{json}, { gone => 'alice' }, 'as everywhere';

my $long = $t->post('/long', [], '')->{json};
is $t->post('/logout', bearer($long->{access_token}), '')->{status}, 200, 'logout of a login that another location made to last';
is status_of($long->{refresh_token}), 401, 'ends its refresh token';
my $sid = decode_json(decode_base64url((split /\./, $long->{access_token})[1]))->{sid};
my ($family) = grep { $_->{kind} eq 'family' && $_->{name} eq $sid } @{ $t->get('/list?limit=1000')->{json}{revocations} };
cmp_ok $family->{kept_until}, '>', time + 90 * 86400 - 60, 'for as long as that lives';

# ---- HTTP/1.1 keep-alive: many at once, over two workers

my @tokens = map { token(claims(jti => "many-$_")) } 1 .. 40;
my @connections = map { $t->connection } 1 .. 8;
for my $round (0 .. 4) {
    $connections[$_]->request('POST', '/logout', bearer($tokens[$round * 8 + $_]), '') for 0 .. 7;
    is_deeply [map { $_->response->{status} } @connections], [(200) x 8], 'eight at once';
}
is_deeply [map { status_of($_) } @tokens], [(401) x 40], 'each is revoked in every worker';

# Who leaves before the answer is logged out all the same, and harms nobody.
my $left = token(claims(jti => 'left'));
my $leaving = $t->connection;
$leaving->request('POST', '/logout', bearer($left), '');
$leaving->close;
ok $t->wait_for(10, sub { status_of($left) == 401 }), 'a client that leaves';

# ---- what lasts

ok $t->reload, 'reload';
is status_of($one), 401, 'revoked tokens stay so';
ok $t->kill_worker, 'a worker is killed';
is status_of($one), 401, 'and then';
$t->stop;
$t->start;
is status_of($one), 401, 'and after nginx was started anew';
is status_of(token(claims())), 200, 'others are good';

# ---- what the configuration may say

sub said {
    my ($inside, $http) = @_;
    my ($code, $said) = JWTTest->nginx_t(
        http   => $http // 'jwt_revocation_store %%DIR%%/revoked size=4m;',
        config => "jwt_secret_key \"$JWTTest::Token::secret\"; $inside",
    );
    return $code ? $said : '';
}
is said('location /l { jwt_required; jwt_logout; }'), '', 'a logout';
like said('location /l { jwt_logout; }'), qr/jwt_logout works on the token that its location asks for: write jwt_required/, 'without jwt_required';
like said('location /l { jwt_required optional; jwt_logout; }'), qr/remove "optional"/, 'optional';
like said('location /l { jwt_required; jwt_revocation_checks off; jwt_logout; }'), qr/jwt_logout would revoke in vain: let jwt_revocation_checks name/, 'where nobody asks the store';
like said('location /l { jwt_required; jwt_logout; }', ''), qr/jwt_logout needs a place for what is revoked: write jwt_revocation_store into http/, 'without a store';

done_testing;
