use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(encode_json);
use JWTTest;

# README's examples work as they stand there.

open my $file, '<', "$FindBin::Bin/../README.md" or die "README.md: $!";
my $readme = do { local $/; <$file> };
my @nginx = $readme =~ /^```nginx\n(.*?)^```/msg;
my @lua   = $readme =~ /^```lua\n(.*?)^```/msg;
cmp_ok(scalar @nginx, '>=', 4, 'README has nginx examples');
cmp_ok(scalar @lua,   '>=', 4, 'README has Lua examples');

my $key   = keypair('ES256');
my %files = (
    'jwt.secret'  => "$JWTTest::Token::secret\n",
    'hooks.lua'   => $lua[0],
    'logout.lua'  => (grep { /jwt\.revoke\(\)/ } @lua)[0],
    'session.lua' => (grep { /set_access_cookies/ } @lua)[0],
    'signing.jwk' => encode_json({ %{ keypair('ES256')->{private_jwk} }, kid => 'now' }),
    'next.jwk'    => encode_json({ %{ keypair('ES256')->{public_jwk} }, kid => 'next' }),
    'decryption.jwk' => encode_json({ %{ keypair('ES256')->{private_jwk} }, use => 'enc', alg => 'ECDH-ES' }),
    'idp.jwks'    => sprintf('{"keys":[{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}]}', @{$key->{public_jwk}}{qw(x y)}),
);

sub in_place {
    my ($text) = @_;
    $text =~ s{/etc/nginx/}{%%DIR%%/}g;
    $text =~ s{/var/log/nginx/}{%%DIR%%/}g;
    $text =~ s{http://127\.0\.0\.1:9000}{%%BACKEND%%}g;
    return $text;
}

my ($whole) = grep { /load_module/ } @nginx;
my ($outside, $inside) = $whole =~ /http \{\n(.*?)server \{\n\s+listen[^\n]*\n(.*)\}\s*\}\s*\z/s;
ok($inside, 'the quick start is one whole configuration');

my $t = JWTTest->new(http => in_place($outside), config => in_place($inside), files => \%files);

my $refused = $t->get('/');
is($refused->{status}, 401, 'quick start: no token is refused');
is_deeply($refused->{json}, { msg => 'Missing Authorization Header' }, 'and told why');
my $json  = [ 'Content-Type' => 'application/json' ];
my $login = $t->post('/login', $json, '{"username":"test","password":"test"}');
is($login->{status}, 200, 'quick start: login');
is($t->post('/login', $json, '{"username":"test","password":"no"}')->{status}, 401, 'a wrong password is refused');
my $let = $t->get_with('/', $login->{json}{access_token});
is($let->{status}, 200, 'its token is let through');
is((grep { $_->[0] eq 'X-User' } @{$let->{json}{headers}})[0][1], 'test', 'and the application learns who it is');
my $expired = $t->get_with('/', token(claims(exp => time - 60)));
is_deeply($expired->{json}, { status => 401, sub_status => 42, msg => 'The access token has expired' }, "the hook's answer");

# ---- recipes that are a story

my ($session) = grep { /session\.lua/ } @nginx;
my ($redirect) = grep { /\@login/ } @nginx;
my $recipes = JWTTest->new(http => 'jwt_secret_key file:%%DIR%%/jwt.secret;', config => in_place($session . $redirect), files => \%files);

is($recipes->post('/session/login', $json, '{"username":"test","password":"no"}')->{status}, 401, 'session: a wrong password is refused');
is($recipes->post('/session/login', ['Content-Type' => 'text/plain'], '{"username":"test","password":"test"}')->{status}, 400,
    'session: a login that a form of another origin could send is refused');
is($recipes->get('/session/login')->{status}, 403, 'session: and one by GET');
my $entered = $recipes->post('/session/login', $json, '{"username":"test","password":"test"}');
is($entered->{status}, 200, 'session: login');
my $cookies = $entered->cookies;
my %path = map { $_ => $cookies->{$_}{attributes}{path} } keys %$cookies;
is_deeply(\%path, { access_token_cookie => '/api/', refresh_token_cookie => '/session/', csrf_access_token => '/', csrf_refresh_token => '/' },
    'session: its cookies');

sub with_cookie {
    my ($from, $kind, $csrf) = @_;
    return [Cookie => "$kind\_token_cookie=$from->{\"$kind\_token_cookie\"}{value}", $csrf ? ('X-CSRF-TOKEN' => $from->{"csrf_$kind\_token"}{value}) : ()];
}

is($recipes->get('/api/')->{status}, 401, 'session: no cookie is refused');
is($recipes->post('/api/', with_cookie($cookies, 'access'), '')->{status}, 401, 'session: a POST without its CSRF value is refused');
my $ordered = $recipes->post('/api/', with_cookie($cookies, 'access', 1), '');
is($ordered->{status}, 200, 'session: a POST with it is let through');
my %passed = map { @$_ } @{ $ordered->{json}{headers} };
is_deeply([@passed{qw(X-User Cookie)}], ['test', undef], 'session: the application learns who it is, and no token');
is($recipes->post('/session/refresh', with_cookie($cookies, 'refresh'), '')->{status}, 401, 'session: a refresh without its CSRF value is refused');
my $again = $recipes->post('/session/refresh', with_cookie($cookies, 'refresh', 1), '');
is($recipes->post('/api/', with_cookie($again->cookies, 'access', 1), '')->{status}, 200, 'session: a refresh gives a good access token');
is($recipes->post('/session/logout', with_cookie($cookies, 'refresh'), '')->{status}, 401, 'session: nobody else can log out');
my $left = $recipes->post('/session/logout', with_cookie($cookies, 'refresh', 1), '')->cookies;
is_deeply([map { $left->{$_}{value} } sort keys %$left], [('') x 4], 'session: logout takes all cookies');

is($recipes->get('/pages/x', with_cookie($cookies, 'access'))->{json}{uri}, '/pages/x', 'redirect: a good token is let through');
my %astray = (
    'no token' => [],
    'an expired one' => [Cookie => 'access_token_cookie=' . token(claims(exp => time - 60))],
    'none of the kind' => [Cookie => "access_token_cookie=$cookies->{refresh_token_cookie}{value}"],
);
for my $name (sort keys %astray) {
    my $answer = $recipes->get('/pages/x', $astray{$name});
    is_deeply([$answer->{status}, $answer->{headers}{location}], [303, 'http://localhost:' . $recipes->port . '/login.html'],
        "redirect: $name leads to the login page");
}

for my $example (grep { !/load_module/ } @nginx) {
    my ($outer, $inner) = $example =~ /^jwt_issuer/m ? ($example, 'location / { jwt_required; jwt_trust corp partner; }')
        : $example =~ /\Amap/ ? $example =~ /\A(.*?)^(location .*)\z/ms
        :                        ('', $example);
    my ($code, $said) = JWTTest->nginx_t(
        http   => 'jwt_secret_key file:%%DIR%%/jwt.secret; jwt_revocation_store %%DIR%%/revoked size=4m; '
            . 'limit_req_zone $binary_remote_addr zone=addresses:1m rate=1r/s; ' . in_place($outer),
        config => in_place($inner) . "location = /asks { jwt_required; }",
        files  => \%files
    );
    ok($code == 0 && $said !~ /\[warn\]/, 'nginx -t takes without a warning: ' . (split /\n/, $example)[0]) or diag($said);
}

for my $i (0 .. $#lua) {
    my ($code, $said) = JWTTest->nginx_t(
        config => 'jwt_secret_key file:%%DIR%%/jwt.secret; location / { jwt_required; jwt_lua_file %%DIR%%/example.lua; }',
        files  => { %files, 'example.lua' => $lua[$i] }
    );
    is($code, 0, "nginx -t takes Lua example " . ($i + 1)) or diag($said);
}

# Each directive of the module is in README, with its name.
open my $table, '<', "$FindBin::Bin/../module/directives.cpp" or die "directives.cpp: $!";
my %directives = map { $_ => 1 } do { local $/; <$table> } =~ /"(jwt_[a-z_]+)"\)?,/g;
cmp_ok(scalar keys %directives, '>', 40, 'the command table was read');
for my $name (sort keys %directives) {
    like($readme, qr/`$name\b/, "README has $name");
}

# The recipes for a token in a URL and for another token.
my ($outer, $download) = (grep { /without_token/ } @nginx)[0] =~ /\A(.*?)^(location .*)\z/ms;
my ($exchange) = grep { /via = "edge"/ } @lua;
my $handed = JWTTest->new(
    files => { %files, 'exchange.lua' => $exchange }, http => in_place($outer) . 'jwt_secret_key file:%%DIR%%/jwt.secret;',
    config => in_place($download) . 'location /exchanged/ { jwt_required; jwt_lua_file %%DIR%%/exchange.lua;
        proxy_set_header Authorization "Bearer $jwt_user"; proxy_pass %%BACKEND%%; }',
);
my $link = token(claims());
is($handed->get("/download/a%20b?x=1&jwt=$link&y=2")->{json}{uri}, '/download/a%20b?x=1&y=2', 'a token in a URL does not reach the application');
is($handed->get('/download/a?jwt=no')->{status}, 422, 'a bad one is refused');
ok($handed->wait_for(5, sub { $handed->read_file('download.log') =~ / 422$/m }), 'both are logged');
is_deeply([$handed->read_file('download.log') =~ /"(.*)"/g], ['GET /download/a%20b?x=1&y=2', 'GET /download/a?'], 'without a token');
my ($authorization) = map { $_->[1] } grep { $_->[0] eq 'Authorization' } @{ $handed->get_with('/exchanged/', $link)->{json}{headers} };
isnt($authorization, "Bearer $link", 'another token for the application');
is($handed->get('/exchanged/', [Authorization => $authorization])->{status}, 200, 'which is good');
# The recipe of Revocation.
my $logout = JWTTest->new(
    files   => { %files, 'html/index.html' => 'in' },
    http    => 'jwt_revocation_store %%DIR%%/store;',
    config  => 'jwt_secret_key file:%%DIR%%/jwt.secret; location / { jwt_required; root %%DIR%%/html; }'
        . in_place((grep { /jwt_handler logout/ } @nginx)[0]),
);
my $mine = token(claims());
is($logout->get_with('/', $mine)->{status}, 200, 'logout: a good token');
is($logout->get_with('/logout', $mine)->{json}{msg}, 'Logged out', 'logout: is revoked');
is($logout->get_with('/', $mine)->{status}, 401, 'logout: and refused');

# The recipe of user_lookup by jwt.fetch.
my ($directory) = grep { /location = \/directory/ } @nginx;
my ($lookup)    = grep { /jwt\.fetch\("\/directory"/ } @lua;
$directory =~ s{http://127\.0\.0\.1:9001}{%%BACKEND%%};
my $users = JWTTest->new(
    backend => sub { $_[0]{uri} =~ /name=alice$/ ? [200, [], '{"id":7}'] : $_[0]{uri} =~ /name=/ ? [404, [], ''] : undef },
    files   => { 'jwt.secret' => "$JWTTest::Token::secret\n", 'lookup.lua' => $lookup },
    config  => "$directory jwt_secret_key file:%%DIR%%/jwt.secret; jwt_lua_file %%DIR%%/lookup.lua;
        location / { jwt_required; proxy_set_header X-User \$jwt_user; proxy_pass %%BACKEND%%; }",
);
my $known = $users->get_with('/', token(claims()));
is($known->{status}, 200, 'a user that the directory knows');
is((grep { $_->[0] eq 'X-User' } @{$known->{json}{headers}})[0][1], '{"id":7}', 'and what it says');
is($users->get_with('/', token(claims(sub => 'mallory')))->{status}, 401, 'and one that it does not');

# The recipes of roles and scopes, and of publishing.
my ($roles) = grep { /orders:read/ } @nginx;
my ($publishing) = grep { /jwt_discovery/ } @nginx;
my $orders = JWTTest->new(config => in_place($roles), files => \%files);
my @may_read = (iss => 'https://idp.example', aud => 'orders', scope => 'orders:read');
sub ordered {
    my ($status, $method, $path, $name, %more) = @_;
    my $token = token(claims(@may_read, %more), key => $key->{private}, alg => 'ES256');
    is($orders->request($method, $path, [Authorization => "Bearer $token"])->{status}, $status, "roles and scopes: $name");
}
ordered(200, 'GET', '/orders/1', 'a scope to read');
ordered(403, 'GET', '/orders/1', 'another scope', scope => 'orders');
ordered(403, 'GET', '/orders/1', 'no expiry', exp => undef);
ordered(403, 'DELETE', '/orders/1', 'no scope to write');
ordered(200, 'DELETE', '/orders/1', 'a scope to write', scope => 'orders:write orders:read');
ordered(403, 'GET', '/orders/admin/1', 'no role');
ordered(200, 'GET', '/orders/admin/1', 'the role', realm_access => { roles => ['admin'] });
ordered(403, 'GET', '/orders/admin/1', 'the role without the scope', realm_access => { roles => ['admin'] }, scope => undef);

my $published = JWTTest->new(config => in_place($publishing), files => \%files);
like($published->get('/jwks')->{body}, qr/"kid":"now".*"kid":"next"/s, 'publishing: both keys');
unlike($published->get('/jwks')->{body}, qr/"d":/, 'publishing: nothing private');
is($published->get('/.well-known/openid-configuration')->{json}{issuer}, 'https://id.example', 'publishing: the issuer');

# Sessions without Lua, the endpoints of other services, and administration.
my $sessions = JWTTest->new(
    http   => 'jwt_secret_key file:%%DIR%%/jwt.secret; jwt_revocation_store %%DIR%%/revoked size=4m;',
    config => join('', map { in_place($_) } grep { /jwt_(?:logout|introspect|revocations);/ } @nginx) =~ s/allow 10\.0\.0\.0/allow 127.0.0.0/r,
    files  => \%files,
);
my @form = ('Content-Type' => 'application/x-www-form-urlencoded');
sub is_active { return $sessions->post('/oauth/introspect', \@form, "token=$_[0]")->{json}{active} ? 1 : 0 }
my $refresh = token(claims(type => 'refresh', csrf => 'c'));
my $renewed = $sessions->post('/session/refresh', [Cookie => "refresh_token_cookie=$refresh", 'X-CSRF-TOKEN' => 'c'], '');
is($renewed->{status}, 200, 'sessions: refresh');
my $renewed_cookies = $renewed->cookies;
my $access = $renewed_cookies->{access_token_cookie}{value};
is_deeply([map { is_active($_) } $access, $refresh], [1, 0], 'sessions: the new token is active, the old one is not');
my $ended = $sessions->post('/session/logout', with_cookie($renewed_cookies, 'access', 1), '');
is($ended->{status}, 200, 'sessions: logout');
is(is_active($access), 0, 'sessions: the token is revoked');
is($sessions->post('/oauth/revoke', \@form, 'token=' . token(claims(jti => 'x')))->{status}, 200, 'endpoints: revoke');
is($sessions->post('/admin/revocations', $json, '{"subject":"bob"}')->{status}, 201, 'administration: revoke');
is(scalar(grep { $_->{name} eq 'bob' } @{ $sessions->get('/admin/revocations')->{json}{revocations} }), 1, 'administration: list');

# Conditions, roles by a hook, a key for each tenant, encrypted tokens, and limits for each user.
my ($tenants) = grep { /secrets\[payload\.tenant\]/ } @lua;
my ($admins)  = grep { /You need the role admin/ } @lua;
my $mixed = JWTTest->new(
    files  => { %files, 'tenants.lua' => $tenants, 'admins.lua' => $admins },
    http   => 'jwt_secret_key file:%%DIR%%/jwt.secret; limit_req_zone $jwt_identity zone=users:1m rate=1r/m;',
    config => join('', map { in_place($_) } grep { /location \/(?:reports|accounts)\// } @nginx) . <<'EOF_CONFIG',
    location /tenants/ { jwt_required; jwt_lua_file %%DIR%%/tenants.lua; proxy_pass %%BACKEND%%; }
    location /admins/ { jwt_required; jwt_lua_file %%DIR%%/admins.lua; proxy_pass %%BACKEND%%; }
    location /api/ { jwt_required; try_files /none @api; }
    location @api { limit_req zone=users; proxy_pass %%BACKEND%%; }
EOF_CONFIG
);
my @report = (scope => 'read reports', realm_access => { roles => ['analyst'] }, 'https://example.com/tenant' => 'acme');
sub reported {
    my ($status, $method, $tenant, $name, %more) = @_;
    my $bearer = 'Bearer ' . token(claims(@report, %more));
    is($mixed->request($method, '/reports/', [Authorization => $bearer, 'X-Tenant' => $tenant], '')->{status}, $status, "conditions: $name");
}
reported(200, 'GET', 'acme', 'all hold');
reported(404, 'GET', 'umbrella', 'another tenant');
reported(403, 'GET', 'acme', 'half of the scope', scope => 'read');
reported(403, 'POST', 'acme', 'no level');
reported(200, 'POST', 'acme', 'a level', level => 3);
my %tenant_secret = $tenants =~ /(\w+) = "([^"]{32,})"/g;
for my $name (sort keys %tenant_secret) {
    is($mixed->get_with('/tenants/', token(claims(tenant => $_), key => $tenant_secret{$name}))->{status}, $_ eq $name ? 200 : 422, "$name signs for $_")
        for sort keys %tenant_secret;
}
is_deeply([map { $mixed->get_with('/admins/', token(claims(roles => $_)))->{status} } ['a', 'admin'], ['a'], 'admin'], [200, 403, 403], 'roles by a hook');
is($mixed->get_with('/accounts/', token(claims(), key => $key->{private}, alg => 'ES256'))->{json}{msg}, 'Only encrypted tokens are allowed', 'encrypted: no other');
$mixed->write('signing-idp.jwk', encode_json($key->{private_jwk}));
my $command = $ENV{JWT_COMMAND} || "$FindBin::Bin/../build/gcc/jwt";
chomp(my $nested = qx($command sign --key @{[$mixed->dir]}/signing-idp.jwk --identity alice --encrypt-to @{[$mixed->dir]}/decryption.jwk));
is((grep { $_->[0] eq 'X-User' } @{ $mixed->get_with('/accounts/', $nested)->{json}{headers} })[0][1], 'alice', 'encrypted: a nested one');
is_deeply([map { $mixed->get_with('/api/', token(claims(sub => $_)))->{status} } qw(alice alice bob)], [200, 503, 200], 'a limit for each user');

done_testing;
