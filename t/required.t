# jwt_required in all its forms, jwt_exempt_methods, and how both are inherited.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $other_secret = 'the secret of one location, which is long enough for HS256';
my $pass = 'proxy_set_header X-Identity $jwt_identity; proxy_pass http://127.0.0.1:%%PORTapp%%;';

my $t = JWTTest->new(
    http2 => 1,
    http => <<"EOF_HTTP",
    jwt_secret_key "$JWTTest::Token::secret";
    map \$http_x_protect \$protected { default ''; yes 1; }
    map \$uri \$by_path { volatile; default 1; ~^/by-path/open/ 0; }
    server {
        listen 127.0.0.1:%%PORTapp%%;
        location / { return 200 "inside for <\$http_x_identity>"; }
    }
    server {
        listen 127.0.0.1:%%PORTwhole%%;
        jwt_required;
        jwt_exempt_methods off;
        root %%DIR%%/html;
        location / { $pass }
        location /open/ {
            jwt_required off;
            $pass
            location /open/closed/ { jwt_required fresh; $pass }
            location ~ \\.closed\$ { jwt_required; $pass }
            location /open/open/ { $pass }
        }
        location /parent/ {
            jwt_required fresh;
            location /parent/child/ { $pass }
            location /parent/plain/ { jwt_required; $pass }
        }
        location /file/ { }
        location /if/ {
            if (\$http_x_inner) { set \$inner 1; }
            $pass
        }
        location /if-off/ {
            if (\$request_method = POST) { set \$inner 1; }
            location /if-off/inner/ { jwt_required off; $pass }
            $pass
        }
        location /own-key/ {
            jwt_secret_key "$other_secret";
            $pass
        }
        location /own-methods/ { jwt_exempt_methods DELETE; $pass }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    location /none/ { $pass }
    location /plain/ { jwt_required; $pass }
    location /off/ { jwt_required off; $pass }
    location /optional/ { jwt_required optional; $pass }
    location /fresh/ { jwt_required fresh; $pass }
    location /optional-fresh/ { jwt_required optional fresh; $pass }
    location /refresh/ { jwt_required refresh; $pass }
    location /optional-refresh/ { jwt_required refresh optional; $pass }
    location /any-type/ { jwt_required any_type; $pass }
    location /any-type-fresh/ { jwt_required any_type fresh; $pass }
    location /revocable/ { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; $pass }
    location /skip/ { jwt_required skip_revocation_check; jwt_lua_file %%DIR%%/hooks.lua; $pass }
    location /skip-fresh/ { jwt_required fresh skip_revocation_check; jwt_lua_file %%DIR%%/hooks.lua; $pass }

    location /cookies/ { jwt_required locations=cookies; $pass }
    location /two-places/ { jwt_token_location query_string; jwt_required locations=cookies,headers; $pass }
    location /place-and-flags/ { jwt_required fresh locations=query_string if=\$protected; $pass }

    location /condition/ { jwt_required if=\$http_x_protect; $pass }
    location /mapped/ { jwt_required if=\$protected; $pass }
    location /by-path/ {
        jwt_required if=\$by_path;
        $pass
        location /by-path/open/leads/ { try_files /none /by-path/file; }
    }
    location /never/ { jwt_required if=0; $pass }
    location /always/ { jwt_required if=no; $pass }
    location /either/ { jwt_required if=\$http_x_a\$http_x_b; $pass }
    location /optional-if/ { jwt_required optional if=\$http_x_protect; $pass }

    location /methods/default/ { jwt_required; $pass }
    location /methods/off/ { jwt_required; jwt_exempt_methods off; $pass }
    location /methods/preflight/ { jwt_required; jwt_exempt_methods preflight; $pass }
    location /methods/list/ { jwt_required; jwt_exempt_methods GET PROPFIND; $pass }
    location /methods/both/ { jwt_required; jwt_exempt_methods preflight GET; $pass }

    location /except/closed/ { limit_except GET { jwt_required; } $pass }
    location /except/fresher/ { jwt_required; limit_except GET { jwt_required fresh; } $pass }
    location /except/open/ { jwt_required; limit_except POST { jwt_required off; } $pass }
EOF_CONFIG
    files => {
        'html/file/index.html' => 'a file inside',
        'hooks.lua' => 'return { token_in_blocklist = function(header, payload) return payload.jti == "revoked" end }',
    },
);

my $now = time;
my %token = (
    access => token(claims()),
    fresh => token(claims(fresh => JSON::PP::true)),
    'fresh for a while' => token(claims(fresh => $now + 600)),
    'fresh no more' => token(claims(fresh => $now - 600)),
    refresh => token(claims(type => 'refresh', fresh => undef)),
    'refresh said to be fresh' => token(claims(type => 'refresh', fresh => JSON::PP::true)),
    'another type' => token(claims(type => 'invitation')),
    'no type' => token(claims(type => undef)),
    revoked => token(claims(jti => 'revoked', fresh => JSON::PP::true)),
    expired => token(claims(exp => $now - 60)),
    forged => token(claims(), key => $other_secret),
);

# What stands for "let through" in the tables: with the claims of the token, and without.
my ($alice, $nobody) = (200, 'nobody');

sub is_answered {
    my ($response, $wanted, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $body) = $wanted eq $alice ? (200, 'inside for <alice>') : $wanted eq $nobody ? (200, 'inside for <>') : ($wanted);
    return is_deeply([@$response{qw(status body)}], [$status, $body], $name) if defined $body;
    return ok($response->{status} == $status && $response->{body} !~ /inside/, $name) || diag("$response->{status} $response->{body}");
}

sub bearer { return [Authorization => "Bearer $_[0]"] }

# ---- every flag with every kind of token

my @kinds = ('access', 'fresh', 'fresh for a while', 'fresh no more', 'refresh', 'refresh said to be fresh', 'another type', 'no type',
    'revoked', 'expired', 'forged');
my %wanted = (
    'none'             => [$nobody, ($nobody) x 11],
    'off'              => [$nobody, ($nobody) x 11],
    'plain'            => [401,     $alice, $alice, $alice, $alice, 422,    422,    $alice, $alice, $alice, 401, 422],
    'optional'         => [$nobody, $alice, $alice, $alice, $alice, 422,    422,    $alice, $alice, $alice, 401, 422],
    'fresh'            => [401,     401,    $alice, $alice, 401,    422,    422,    401,    401,    $alice, 401, 422],
    'optional-fresh'   => [$nobody, 401,    $alice, $alice, 401,    422,    422,    401,    401,    $alice, 401, 422],
    'refresh'          => [401,     422,    422,    422,    422,    $alice, $alice, 422,    422,    422,    401, 422],
    'optional-refresh' => [$nobody, 422,    422,    422,    422,    $alice, $alice, 422,    422,    422,    401, 422],
    'any-type'         => [401,     $alice, $alice, $alice, $alice, $alice, $alice, $alice, $alice, $alice, 401, 422],
    'any-type-fresh'   => [401,     401,    $alice, $alice, 401,    401,    $alice, 401,    401,    $alice, 401, 422],
    'revocable'        => [401,     $alice, $alice, $alice, $alice, 422,    422,    $alice, $alice, 401,    401, 422],
    'skip'             => [401,     $alice, $alice, $alice, $alice, 422,    422,    $alice, $alice, $alice, 401, 422],
    'skip-fresh'       => [401,     401,    $alice, $alice, 401,    422,    422,    401,    401,    $alice, 401, 422],
);
for my $location (sort keys %wanted) {
    my ($without, @with) = @{ $wanted{$location} };
    is_answered($t->get("/$location/"), $without, "$location: no token");
    is_answered($t->get_with("/$location/", $token{ $kinds[$_] }), $with[$_], "$location: a token that is $kinds[$_]") for 0 .. $#kinds;
}

# ---- locations=

is_answered($t->get_with('/cookies/', $token{access}), 401, 'locations=cookies: a token in a header');
is_answered($t->get('/cookies/', [Cookie => "access_token_cookie=$token{access}"]), $alice, 'locations=cookies: a token in the cookie');
is_answered($t->get("/two-places/?jwt=$token{access}"), 401, 'locations= takes the place of jwt_token_location');
is_answered($t->get('/two-places/', [Cookie => "access_token_cookie=$token{access}"]), $alice, 'locations=: the first of two');
is_answered($t->get_with('/two-places/', $token{access}), $alice, 'locations=: the second of two');
is_answered($t->get('/two-places/', [Cookie => "access_token_cookie=$token{forged}", @{ bearer($token{access}) }]), 422,
    'locations=: a bad token in the first is not made good by the second');
is_answered($t->get("/place-and-flags/?jwt=$token{access}", ['X-Protect' => 'yes']), 401, 'locations= with if= and fresh: not fresh');
is_answered($t->get("/place-and-flags/?jwt=$token{fresh}", ['X-Protect' => 'yes']), $alice, 'locations= with if= and fresh: fresh');
is_answered($t->get('/place-and-flags/'), $nobody, 'locations= with if= and fresh: not asked for');

# ---- if=

for my $case (
    ['/condition/', undef, $nobody, $nobody], ['/condition/', '0', $nobody, $nobody], ['/condition/', '1', 401, $alice],
    ['/condition/', 'no', 401, $alice], ['/condition/', '00', 401, $alice],
    ['/mapped/', undef, $nobody, $nobody], ['/mapped/', 'yes', 401, $alice], ['/mapped/', 'other', $nobody, $nobody],
    ['/never/', '1', $nobody, $nobody], ['/always/', undef, 401, $alice],
    ['/optional-if/', undef, $nobody, $nobody], ['/optional-if/', '1', $nobody, $alice],
) {
    my ($path, $value, $without, $with) = @$case;
    my @header = defined $value ? ('X-Protect' => $value) : ();
    my $name = "if=: $path with " . (defined $value ? "X-Protect: $value" : 'no header');
    is_answered($t->get($path, \@header), $without, "$name: no token");
    is_answered($t->get($path, [@header, @{ bearer($token{access}) }]), $with, "$name: a token");
}
is_answered($t->get('/optional-if/', ['X-Protect' => 1, @{ bearer($token{forged}) }]), 422, 'if= with optional: a forged token');
is_answered($t->get('/optional-if/', bearer($token{forged})), $nobody, 'if= with optional: a forged token that nobody looks at');
is_answered($t->get('/either/'), $nobody, 'if= of two variables: neither');
is_answered($t->get('/either/', ['X-B' => 1]), 401, 'if= of two variables: the second');
is_answered($t->get('/either/', ['X-A' => 0, 'X-B' => 0]), 401, 'if= of two variables: 00 is not 0');

for my $case (['/by-path/file', 401, $alice], ['/by-path/open/', $nobody, $nobody], ['/by-path/open/leads/', 401, $alice]) {
    my ($path, $without, $with) = @$case;
    is_answered($t->get($path), $without, "if= of a volatile map, $path: no token");
    is_answered($t->get($path, bearer($token{access})), $with, "if= of a volatile map, $path: a token");
}

# ---- jwt_exempt_methods

my @preflight = (Origin => 'https://app.example', 'Access-Control-Request-Method' => 'GET');
my @methods = (
    [default => 'OPTIONS', [], $nobody], [default => 'OPTIONS', \@preflight, $nobody], [default => 'GET', [], 401], [default => 'HEAD', [], 401],
    [default => 'POST', [], 401], [default => 'PUT', [], 401], [default => 'DELETE', [], 401], [default => 'PATCH', [], 401],
    [default => 'PROPFIND', [], 401], [default => 'FROBNICATE', [], 401], [default => 'OPTIONS_', [], 401], [default => 'GET', \@preflight, 401],
    [off => 'OPTIONS', [], 401], [off => 'OPTIONS', \@preflight, 401], [off => 'GET', [], 401],
    [preflight => 'OPTIONS', \@preflight, $nobody], [preflight => 'OPTIONS', [], 401], [preflight => 'OPTIONS', [@preflight[0, 1]], 401],
    [preflight => 'OPTIONS', [@preflight[2, 3]], 401], [preflight => 'GET', \@preflight, 401], [preflight => 'POST', \@preflight, 401],
    [list => 'GET', [], $nobody], [list => 'PROPFIND', [], $nobody], [list => 'HEAD', [], 401], [list => 'POST', [], 401],
    [list => 'OPTIONS', [], 401], [list => 'OPTIONS', \@preflight, 401],
    [both => 'GET', [], $nobody], [both => 'OPTIONS', \@preflight, $nobody], [both => 'OPTIONS', [], 401], [both => 'POST', [], 401],
);
for my $case (@methods) {
    my ($setting, $method, $headers, $status) = @$case;
    my $name = "jwt_exempt_methods $setting: $method" . (@$headers ? ' with ' . join ' and ', map { $headers->[2 * $_] } 0 .. @$headers / 2 - 1 : '');
    my $response = $t->request($method, "/methods/$setting/", $headers);
    if ($method eq 'HEAD') {
        is_deeply([@$response{qw(status body)}], [$status, ''], "$name, no token");
        is($t->request($method, "/methods/$setting/", [@$headers, @{ bearer($token{access}) }])->{status}, 200, "$name, a token");
        next;
    }
    is_answered($response, $status, "$name, no token");
    is_answered($t->request($method, "/methods/$setting/", [@$headers, @{ bearer($token{access}) }]), $status eq $nobody ? $nobody : $alice,
        "$name, a token");
}
is_answered($t->request('OPTIONS', '/methods/default/', bearer($token{forged})), $nobody, 'an exempt method with a forged token: nothing of it is used');
is($t->request('options', '/methods/default/')->{status}, 400, 'a method in small letters is nginx\'s to refuse');
is_answered($t->h2('OPTIONS', '/methods/default/'), $nobody, 'an exempt method over h2');
is_answered($t->h2('GET', '/methods/default/'), 401, 'one that is not, over h2');
is_answered($t->h2('GET', '/methods/default/', bearer($token{access})), $alice, 'and with a token');

# ---- limit_except

for my $case (['closed', 'GET', $nobody, $nobody, $nobody], ['closed', 'POST', 401, $alice, $alice], ['closed', 'DELETE', 401, $alice, $alice],
    ['fresher', 'GET', 401, $alice, $alice], ['fresher', 'POST', 401, 401, $alice],
    ['open', 'POST', 401, $alice, $alice], ['open', 'GET', $nobody, $nobody, $nobody]) {
    my ($location, $method, $without, $access, $fresh) = @$case;
    my $path = "/except/$location/";
    is_answered($t->request($method, $path), $without, "limit_except, $location: $method without a token");
    is_answered($t->request($method, $path, bearer($token{access})), $access, "limit_except, $location: $method with one");
    is_answered($t->request($method, $path, bearer($token{fresh})), $fresh, "limit_except, $location: $method with a fresh one");
}
is($t->request('HEAD', '/except/closed/')->{status}, 200, 'limit_except GET lets HEAD through too');
is($t->request('HEAD', '/except/fresher/')->{status}, 401, 'but not past what stands around it');

# ---- inheritance

my %inherited = (
    '/' => [401, $alice, $alice], '/open/' => [($nobody) x 3], '/open/open/' => [($nobody) x 3], '/open/closed/' => [401, 401, $alice],
    '/open/x.closed' => [401, $alice, $alice], '/parent/child/' => [401, 401, $alice], '/parent/plain/' => [401, $alice, $alice],
    '/if/' => [401, $alice, $alice], '/if-off/' => [401, $alice, $alice], '/if-off/inner/' => [($nobody) x 3], '/own-key/' => [401, 422, 422],
);
sub whole { my ($method, $path, $headers) = @_; return $t->request($method, $path, $headers, undef, port => 'whole') }
for my $path (sort keys %inherited) {
    my ($without, $access, $fresh) = @{ $inherited{$path} };
    is_answered(whole(GET => $path), $without, "inherited: $path without a token");
    is_answered(whole(GET => $path, bearer($token{access})), $access, "inherited: $path with one");
    is_answered(whole(GET => $path, bearer($token{fresh})), $fresh, "inherited: $path with a fresh one");
    next if $access eq $nobody;
    is_answered(whole(OPTIONS => $path), 401, "inherited: $path, OPTIONS is not exempt");
}
is_answered(whole(GET => '/if/', ['X-Inner' => 1]), 401, 'an `if` block has what its location has');
is_answered(whole(GET => '/if/', ['X-Inner' => 1, @{ bearer($token{access}) }]), $alice, 'and lets a good token through');
is_answered(whole(GET => '/own-key/', bearer($token{forged})), $alice, 'a key of a location takes the place of those around it');
is_answered(whole(DELETE => '/own-methods/'), $nobody, 'a location\'s own exempt methods');
is_answered(whole(OPTIONS => '/own-methods/'), 401, 'take the place of those around it');
is(whole(GET => '/file/')->{status}, 401, 'a file is protected by its server');
is(whole(GET => '/file/index.html', bearer($token{access}))->{body}, 'a file inside', 'and sent for a token');
is(whole(GET => '/file/missing')->{status}, 401, 'nobody learns what is not there');
is(whole(GET => '/file/missing', bearer($token{access}))->{status}, 404, 'but who has a token does');

# ---- wherever it stands, be it the only one of a configuration

for my $alone (['http', 'jwt_required;', 'location / { }'], ['a server', '', 'jwt_required; location / { }'],
    ['limit_except', '', 'location / { limit_except POST { jwt_required; } }'], ['a named location', '', 'location / { try_files /none @rest; } location @rest { jwt_required; }'],
    ['a subrequest\'s location', '', 'location / { auth_request /asked; } location = /asked { jwt_required; empty_gif; }'])
{
    my ($where, $http, $server) = @$alone;
    my $only = JWTTest->new(http => "jwt_secret_key \"$JWTTest::Token::secret\"; root %%DIR%%/html; $http", config => $server);
    is($only->get('/missing')->{status}, 401, "$where alone asks for a token");
    is($only->get('/missing', bearer($token{access}))->{status}, 404, 'and lets one through');
    $only->finish;
}

done_testing;
