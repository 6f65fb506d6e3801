# jwt_cookie_refresh: a session in a cookie goes on while it is used, and nothing else does.

use strict;
use warnings;

use FindBin;
use Crypt::JWT qw(decode_jwt);
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $secret = $JWTTest::Token::secret;
my $pair = keypair('ES256');
my $pass = 'proxy_set_header X-Identity $jwt_identity; proxy_pass %%BACKEND%%;';

my @answers = map { "location /$_ { return $_; }" } 200, 201, 204, 302, 400, 404, 500;

my $t = JWTTest->new(
    http2 => 1,
    http => <<"EOF_HTTP",
    jwt_revocation_store %%DIR%%/revoked size=4m;
    server {
        listen 127.0.0.1:%%PORTapp%%;
        default_type text/plain;
        @answers
        location /cookie/ { add_header Set-Cookie "\$arg_name=of-the-application; Path=/"; return 200; }
        location /accel/ { add_header X-Accel-Redirect \$arg_to; return 200; }
    }
    server {
        listen 127.0.0.1:%%PORTwhole%%;
        jwt_secret_key "$secret";
        jwt_cookie_refresh 10m;
        jwt_required;
        location / { $pass }
        location /cookies/ { jwt_token_location cookies; $pass }
        location /off/ { jwt_token_location cookies; jwt_cookie_refresh off; $pass }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    jwt_token_location cookies headers query_string;
    jwt_cookie_refresh 10m;
    jwt_access_token_expires 1h;
    error_page 502 /open;

    location /any_type/ { jwt_required any_type; $pass }
    location /refresh/ { jwt_required refresh; $pass }
    location /optional/ { jwt_required optional; $pass }
    location /unchecked/ { jwt_required skip_revocation_check; $pass }
    location /open { $pass }
    location /file/ { jwt_required; }
    location /handler/ { jwt_required; location /handler/logout { jwt_handler logout; } location /handler/login { jwt_handler login; }
        location /handler/revoke { jwt_handler revoke; } }
    location /app/ { jwt_required; proxy_pass http://127.0.0.1:%%PORTapp%%/; }
    location /inner/ { internal; alias %%DIR%%/html/file/; }
    location /inner-closed/ { internal; jwt_required fresh; $pass }
    location /password/ { jwt_required; auth_basic "x"; auth_basic_user_file %%DIR%%/users; error_page 401 =200 /open; $pass }
    location /allowed/ { satisfy any; allow all; jwt_required; $pass }
    location /any/ { satisfy any; deny all; jwt_required; $pass }
    location /down/ { jwt_required; proxy_pass http://127.0.0.1:%%PORTnobody%%; }
    location /authorized/ { auth_request /authz; $pass }
    location = /authz { internal; jwt_required; $pass }
    location /plain/ { jwt_required; $pass }
    location /dressed/ {
        jwt_required;
        jwt_access_cookie_name session; jwt_access_cookie_path /dressed; jwt_cookie_secure on; jwt_cookie_samesite Lax; jwt_session_cookie off;
        jwt_access_csrf_cookie_name double; jwt_cookie_domain .example.com;
        $pass
    }
    location /no-csrf/ { jwt_required; jwt_cookie_csrf_protect off; jwt_encode_nbf off; $pass }
    location /es256/ {
        jwt_required; jwt_algorithm ES256; jwt_private_key %%DIR%%/es256.pem;
        jwt_identity_claim user; jwt_decode_issuer here; jwt_encode_issuer elsewhere; jwt_encode_audience somebody;
        $pass
    }
EOF_CONFIG
    files => {
        'es256.pem' => $pair->{private},
        'users' => "user:{PLAIN}word\n",
        'html/file/index.html' => 'a file',
        'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"

return {
  token_in_blocklist = function(header, payload) return payload.jti == "revoked" end,
  token_verification = function(header, payload) return payload.tenant ~= "other" end,
  handlers = {
    logout = function() jwt.unset_jwt_cookies() return "bye" end,
    revoke = function(request) return tostring(jwt.revoke({ jti = request.args.jti })) end,
    login = function() jwt.set_access_cookies(jwt.create_access_token("bob")) return "welcome" end,
  },
}
EOF_LUA
    },
);

my $now = time;
sub soon { return claims(exp => time + 300, csrf => 'the old one', @_) }
sub with_cookie { my ($claims, %options) = @_; return [Cookie => ($options{name} || 'access_token_cookie') . '=' . token($claims, %options)] }

# The claims of the new token, or undef where the answer sets no cookie at all.
sub renewed {
    my ($response, $name, $key, $csrf) = @_;
    my $cookies = $response->cookies;
    return undef if !%$cookies;
    my $token = ($cookies->{ $name || 'access_token_cookie' } || {})->{value};
    return { problem => join ' ', %$cookies } if !$token;
    return decode_jwt(token => $token, key => $key || $secret, verify_exp => 0, verify_nbf => 0);
}

sub is_renewed {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $claims = renewed($response) || {};
    return is($claims->{sub}, 'alice', "$name: renewed") || diag("$response->{status} $response->{body}");
}

sub is_left {
    my ($response, $status, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply([$response->{status}, $response->all('Set-Cookie')], [$status], "$name: not renewed, $status");
}

# ---- the new token

my $old = soon(name => "\x{e9}\n\"", big => 9007199254740993, list => [1, { a => undef }], aud => ['a', 'b'], iss => 'me', fresh => JSON::PP::true);
my $first = $t->get('/plain/', with_cookie($old));
my $new = renewed($first);
is($first->{json}{uri}, '/plain/', 'the request itself is served as ever');
is_deeply([sort keys %$new], [sort keys %$old], 'the new token has the claims of the old one');
is_deeply([@$new{qw(sub type name big list aud iss)}], [@$old{qw(sub type name big list aud iss)}], 'as they are');
isnt($new->{jti}, $old->{jti}, 'but a jti of its own');
isnt($new->{csrf}, $old->{csrf}, 'and a csrf');
ok(!$new->{fresh}, 'and is not fresh');
cmp_ok(abs($new->{$_} - time), '<=', 2, "$_ is now") for qw(iat nbf);
is($new->{exp} - $new->{iat}, 3600, 'it lasts as long as a new one');

my $cookies = $first->cookies;
is_deeply([sort keys %$cookies], [qw(access_token_cookie csrf_access_token)], 'the cookies of a login');
is($cookies->{csrf_access_token}{value}, $new->{csrf}, 'csrf_access_token holds the claim');
like($cookies->{access_token_cookie}{line}, qr/\Aaccess_token_cookie=[\w.-]+; HttpOnly; Path=\/\z/, 'the token is kept from scripts');
is($t->post('/plain/', [Cookie => "access_token_cookie=$cookies->{access_token_cookie}{value}", 'X-CSRF-TOKEN' => $new->{csrf}], 'x')->{status}, 200,
    'the new pair opens the location');
is($t->post('/plain/', [Cookie => "access_token_cookie=$cookies->{access_token_cookie}{value}", 'X-CSRF-TOKEN' => 'the old one'], 'x')->{status}, 401,
    'the old csrf does not');

my $dressed = $t->get('/dressed/', with_cookie(soon(), name => 'session'));
is_deeply([map { s/=[\w.-]+/=/r } $dressed->all('Set-Cookie')], [
    'session=; Domain=.example.com; Max-Age=31540000; Secure; HttpOnly; Path=/dressed; SameSite=Lax',
    'double=; Domain=.example.com; Max-Age=31540000; Secure; Path=/; SameSite=Lax'], 'the cookies of the directives');
my $bare = $t->get('/no-csrf/', with_cookie(soon()));
is_deeply([sort keys %{ $bare->cookies }], ['access_token_cookie'], 'jwt_cookie_csrf_protect off: one cookie');
is_deeply([grep { exists renewed($bare)->{$_} } qw(csrf nbf)], [], 'and neither csrf nor, by jwt_encode_nbf off, nbf');
my $es256 = renewed($t->get('/es256/', with_cookie(soon(user => { id => 7 }, iss => 'here'), key => $pair->{private}, alg => 'ES256')), undef, \$pair->{public});
is_deeply([@$es256{qw(user iss aud)}], [{ id => 7 }, 'here', undef], 'another key, another identity claim; no issuer and no audience that were not there');
is(renewed($t->get('/plain/', with_cookie(soon(fresh => $now + 200))))->{fresh}, $now + 200, 'fresh until a time to come');
ok(!renewed($t->get('/plain/', with_cookie(soon(fresh => $now - 200))))->{fresh}, 'fresh until a time that is over');

# ---- when

is_renewed($t->get('/plain/', with_cookie(claims(exp => time + 595))), 'less than jwt_cookie_refresh to go');
is_left($t->get('/plain/', with_cookie(claims(exp => time + 605))), 200, 'more than that');
is_left($t->get('/plain/', with_cookie(claims(exp => undef))), 200, 'a token that never expires');
is_renewed($t->get('/plain/', with_cookie(claims(exp => time + 1.5))), 'at the last moment');
is_left($t->get('/plain/', with_cookie(claims(exp => time - 1))), 401, 'too late');
is_renewed($t->request('HEAD', '/plain/', with_cookie(soon())), 'HEAD');
is_renewed($t->h2('GET', '/plain/', with_cookie(soon())), 'HTTP/2');
is_renewed($t->get('/file/', with_cookie(soon())), 'a file');
is_renewed($t->get('/any_type/', with_cookie(soon())), 'any_type, an access token');
is_renewed($t->get('/optional/', with_cookie(soon())), 'optional, with a token');
is_renewed($t->get('/any/', with_cookie(soon())), 'satisfy any, let in by the token');
is_renewed($t->get("/app/$_", with_cookie(soon())), "an answer of $_") for 200, 201, 204;
is_left($t->get("/app/$_", with_cookie(soon())), $_, "an answer of $_") for 302, 400, 404, 500;
my $etag = $t->get('/file/', with_cookie(claims()))->{headers}{etag};
is_left($t->get('/file/', [@{ with_cookie(soon()) }, 'If-None-Match' => $etag]), 304, 'an answer of 304');
is_left($t->get('/down/', with_cookie(soon())), 502, 'an upstream that is down');

# ---- what never is

is_left($t->get_with('/plain/', token(soon())), 200, 'a token in a header');
is_left($t->get('/plain/?jwt=' . token(soon())), 200, 'a token in the query string');
is_left($t->get('/any_type/', with_cookie(soon(type => 'refresh'))), 200, 'a refresh token, by any_type');
is_left($t->get('/refresh/', with_cookie(soon(type => 'refresh'), name => 'refresh_token_cookie')), 200, 'a refresh token, by refresh');
is_left($t->get('/any_type/', with_cookie(soon(type => 'other'))), 200, 'a token of a type of its own');
is_left($t->get('/open', with_cookie(soon())), 200, 'an open location');
is_left($t->get('/optional/'), 200, 'no token');
is_left($t->get('/plain/'), 401, 'no token, refused');
is_left($t->get('/plain/', with_cookie(soon(), key => 'another secret of thirty-two bytes or more')), 422, 'a forged token');
is_left($t->get('/plain/', with_cookie(soon(jti => 'revoked'))), 401, 'a revoked token');
is_left($t->get('/unchecked/', with_cookie(soon(jti => 'revoked'))), 200, 'a revoked token that nobody asked about');
is_left($t->get('/plain/', with_cookie(soon(tenant => 'other'))), 400, 'a token that a hook refuses');
is_left($t->post('/plain/', with_cookie(soon()), 'x'), 401, 'a token without its csrf');
is_left($t->request('OPTIONS', '/plain/', with_cookie(soon())), 200, 'an exempt method');
is_left($t->get('/allowed/', with_cookie(soon())), 200, 'a request that is let in before it is judged');
is_left($t->get('/authorized/', with_cookie(soon())), 200, 'a token that a subrequest was judged by');
is_renewed($t->get('/password/', [@{ with_cookie(soon()) }, Authorization => 'Basic dXNlcjp3b3Jk']), 'a password beside the token');
my $page = $t->get('/password/', with_cookie(soon()));
is_left($page, 200, 'none, shown an error page');
is($page->{json}{uri}, '/open', 'which it was');

# ---- who sets the cookie has the last word

my $logout = $t->get('/handler/logout', with_cookie(soon()));
is_deeply([map { /\A(\w+=)(;|\z)/ ? 'unset' : $_ } $logout->all('Set-Cookie')], [('unset') x 4], 'a logout stays one');
is(renewed($t->get('/handler/login', with_cookie(soon())))->{sub}, 'bob', 'a login stays one');
is_left($t->get('/handler/revoke?jti=mine', with_cookie(soon(jti => 'mine'))), 200, 'a token that is revoked while its answer is made');
is_renewed($t->get('/handler/revoke?jti=other', with_cookie(soon(jti => 'still-mine'))), 'one that is not');
my @set = $t->get('/app/cookie/?name=access_token_cookie', with_cookie(soon()))->all('Set-Cookie');
is_deeply(\@set, ['access_token_cookie=of-the-application; Path=/'], 'the application sets the cookie itself');
is_renewed($t->get('/app/cookie/?name=other', with_cookie(soon())), 'the application sets another');

# ---- internal redirects

is_renewed($t->get('/app/accel/?to=/inner/index.html', with_cookie(soon())), 'X-Accel-Redirect to an open location');
is_left($t->get('/app/accel/?to=/inner-closed/', with_cookie(soon())), 401, 'X-Accel-Redirect to one that refuses');

# ---- one connection, one answer after the other

my $connection = $t->connection;
for my $case ([soon(), 1], [claims(), 0], [soon(), 1], [undef, 0]) {
    my ($claims, $wanted) = @$case;
    $connection->request('GET', '/optional/', $claims ? with_cookie($claims) : []);
    is(defined renewed($connection->response) ? 1 : 0, $wanted, 'on one connection: ' . ($wanted ? 'renewed' : 'not renewed'));
}

# ---- inherited

sub whole { my ($path, $headers) = @_; return $t->get($path, $headers, port => 'whole') }
is_renewed(whole('/cookies/', with_cookie(soon())), 'inherited from the server');
is_left(whole('/off/', with_cookie(soon())), 200, 'off in a location');
is_left(whole('/', [Authorization => 'Bearer ' . token(soon())]), 200, 'a location without cookies is left alone');

done_testing;
