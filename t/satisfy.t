# `satisfy any` and `satisfy all` beside allow, deny, auth_basic and auth_request (row 64 of the attack catalogue): who is
# let in, who answers where nobody does, and that nothing of a refused token or of a refusal shows where another way let
# the request in.

use strict;
use warnings;

use FindBin;
use MIME::Base64 qw(encode_base64);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $basic = 'auth_basic "the realm"; auth_basic_user_file %%DIR%%/users;';
my $pass = 'proxy_pass %%BACKEND%%;';

# A location for each way to configure the four: /any/deny-basic-app/
my $locations = '';
for my $satisfy (qw(any all)) {
    for my $address (undef, 'allow', 'deny') {
        for my $parts ([], ['basic'], ['app'], ['basic', 'app']) {
            my $name = join '-', grep { defined } $address, @$parts, 'token';
            my %has = map { $_ => 1 } @$parts;
            $locations .= "location /$satisfy/$name/ { satisfy $satisfy; jwt_required; $pass"
                . ($address ? " $address all;" : '') . ($has{basic} ? " $basic" : '') . ($has{app} ? ' auth_request /app;' : '') . " }\n";
        }
    }
}

my $t = JWTTest->new(
    http2 => 1,
    http => <<'EOF_HTTP',
    limit_req_zone $uri zone=by_path:1m rate=1r/m;
    server {
        listen 127.0.0.1:%%PORTapp%%;
        location / {
            add_header WWW-Authenticate 'App realm="app"' always;
            if ($http_x_app = 401) { return 401; }
            if ($http_x_app != 200) { return 403; }
            return 200;
        }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_token_location cookies;
    jwt_cookie_csrf_protect off;
    proxy_set_header X-Identity "<\$jwt_identity>";
    proxy_set_header X-Payload "<\$jwt_payload>";
    proxy_set_header X-Claim "<\$jwt_claim_admin>";
    $locations
    location /any/fresh/ { satisfy any; $basic jwt_required fresh; $pass }
    location /any/optional/ { satisfy any; deny all; jwt_required optional; $pass }
    location /any/off/ { satisfy any; deny all; jwt_required off; $pass }
    location /any/if/ { satisfy any; deny all; jwt_required if=\$arg_protect; $pass }
    location /any/hook/ { satisfy any; $basic jwt_required; jwt_lua_file %%DIR%%/hooks.lua; error_page 401 403 418 422 /page; $pass }
    location /any/broken/ { satisfy any; $basic jwt_required; jwt_lua_file %%DIR%%/broken.lua; $pass }
    location /any/page/ { satisfy any; $basic auth_request /app; jwt_required; error_page 401 =200 /page; error_page 422 /page; $pass }
    location /any/other-page/ { satisfy any; deny all; jwt_required; error_page 403 404 /page; $pass }
    location /any/to-open/ { satisfy any; $basic jwt_required; error_page 401 /any/off/; $pass }
    location /any/limited/ { satisfy any; deny all; jwt_required; limit_req zone=by_path; $pass }
    location = /app { internal; jwt_required off; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location = /page { internal; $pass }
EOF_CONFIG
    files => {
        'users' => "user:{PLAIN}word\n",
        'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"

return {
  token_verification = function(header, payload)
    if payload.fail then error("failed on purpose") end
    return true
  end,
  unauthorized = function(reason)
    jwt.log("notice", "the hook is asked for an answer")
    return "hook: " .. reason, 418, { ["X-Hook"] = "missing" }
  end,
  expired_token = function(header, payload)
    jwt.log("notice", "the hook is asked for an answer")
    return { sub = payload.sub, alg = header.alg }, 401
  end,
}
EOF_LUA
        'broken.lua' => 'return { unauthorized = function(reason) error("broken on purpose") end }',
    },
);

my %token = (
    good => token(claims(admin => 'yes')),
    bad => token(claims(admin => 'yes'), key => 'another secret of thirty-two bytes or more'),
    old => token(claims(admin => 'yes', exp => time - 60)),
    failing => token(claims(fail => 1)),
);

# How the client shows itself: a token in its cookie, a name and password, a header that the application looks at.
sub shown_headers {
    my (%shown) = @_;
    my @headers;
    push @headers, Cookie => "access_token_cookie=$token{ $shown{token} }" if $shown{token};
    push @headers, Authorization => 'Basic ' . encode_base64($shown{basic} eq 'good' ? 'user:word' : 'user:other', '') if $shown{basic};
    push @headers, 'X-App' => $shown{app} if $shown{app};
    return \@headers;
}
sub ask { my ($path, %shown) = @_; return $t->get($path, shown_headers(%shown)) }

sub described { my (%shown) = @_; return join(', ', map { "$_ $shown{$_}" } sort grep { $shown{$_} } keys %shown) || 'nothing' }

# What of an answer matters: status, body (or what the application was sent), challenges.
sub seen {
    my ($response) = @_;
    my %sent = map { $_->[0] => $_->[1] } @{ $response->{json}{headers} || [] };
    my $body = $response->{json}{uri} ? "let in as @sent{qw(X-Identity X-Claim)}" . ($sent{'X-Payload'} eq '<>' ? '' : ' with a payload')
        : $response->{body} =~ /<html>/ ? 'a page' : $response->{body};
    return [$response->{status}, $body, sort $response->all('WWW-Authenticate')];
}

my $alice = 'let in as <alice> <yes> with a payload';
my $nobody = 'let in as <> <>';
my %ours = (
    '' => [401, qq({"msg":"Missing cookie \\"access_token_cookie\\""}\n), 'Bearer realm="restricted"'],
    bad => [422, qq({"msg":"Signature verification failed"}\n)],
    old => [401, qq({"msg":"Token has expired"}\n), 'Bearer realm="restricted", error="invalid_token", error_description="Token has expired"'],
);

# What nginx's documentation promises, with a token as one way among others. Handlers are asked in this order: the address,
# the token, the password, the application. An undefined one is not configured.
sub expected {
    my ($satisfy, $address, $token, $basic_sent, $app) = @_;
    my $basic_challenge = 'Basic realm="the realm"';
    my $app_challenge = 'App realm="app"';
    if ($satisfy eq 'all') {
        return [403, 'a page'] if ($address || '') eq 'deny';
        return $ours{$token} if $token ne 'good';
        return [401, 'a page', $basic_challenge] if defined $basic_sent && $basic_sent ne 'good';
        return [401, 'a page', $app_challenge] if ($app || '') eq '401';
        return [403, 'a page'] if ($app || '') eq '403';
        return [200, $alice];
    }
    return [200, $nobody] if ($address || '') eq 'allow';
    return [200, $alice] if $token eq 'good';
    return [200, $nobody] if ($basic_sent || '') eq 'good' || ($app || '') eq '200';
    my ($status, $body, @challenges) = @{ $ours{$token} };
    push @challenges, $basic_challenge if defined $basic_sent;
    push @challenges, $app_challenge if ($app || '') eq '401';
    return [$status, $body, sort @challenges];
}

my $number = 0;
my %count;
for my $satisfy (qw(any all)) {
    for my $address (undef, 'allow', 'deny') {
        for my $basic_sent (undef, '', 'bad', 'good') {
            for my $app (undef, 200, 401, 403) {
                my $name = join '-', grep { defined } $address, defined $basic_sent ? 'basic' : undef, $app ? 'app' : undef, 'token';
                for my $token ('', 'bad', 'old', 'good') {
                    my %shown = (token => $token, basic => $basic_sent, app => $app);
                    my $wanted = expected($satisfy, $address, $token, $basic_sent, $app);
                    my $path = "/$satisfy/$name/";
                    ++$count{ $wanted->[0] };
                    is_deeply(seen(ask($path, %shown)), $wanted, "$path with " . described(%shown) . ": $wanted->[0]");
                    next if ++$number % 9;
                    is_deeply(seen($t->h2('GET', $path, shown_headers(%shown))), $wanted, "h2: $path with " . described(%shown));
                }
            }
        }
    }
}
cmp_ok($count{$_} || 0, '>', 20, "the table has cases of $_") for 200, 401, 403, 422;

# ---- a connection stays in step, whoever answers

for my $path ('/any/deny-basic-app-token/', '/all/token/') {
    for my $body ('small', 'x' x 200_000) {
        my $connection = $t->connection;
        $connection->request('POST', $path, ['X-App' => 403], $body);
        is_deeply([@{ seen($connection->response('POST')) }[0, 1]], [@{ $ours{''} }[0, 1]], "$path: a refused POST of " . length $body);
        $connection->request('POST', $path, shown_headers(token => 'good'), $body);
        my $second = $connection->response('POST');
        is_deeply([$second->{status}, length $second->{json}{body}], [200, length $body], "$path: and the next one, let in");
        $connection->close;
    }
}
is_deeply([@{ seen($t->request('HEAD', '/any/deny-token/')) }[0, 1]], [401, ''], 'HEAD: refused, without a body');
is($t->request('HEAD', '/any/deny-token/', shown_headers(token => 'good'))->{status}, 200, 'HEAD: let in');

# ---- what asks nothing of a token satisfies nobody

is_deeply(seen(ask('/any/fresh/', token => 'good'))->[1], qq({"msg":"Fresh token required"}\n), 'a token that is not fresh');
is_deeply(seen(ask('/any/fresh/', token => 'good', basic => 'good')), [200, $nobody], 'beside a good password');
is(ask('/any/optional/')->{status}, 403, 'optional: no token');
is(ask('/any/optional/', token => 'bad')->{status}, 422, 'optional: a bad one');
is_deeply(seen(ask('/any/optional/', token => 'good')), [200, $alice], 'optional: a good one');
is(ask('/any/off/', token => 'good')->{status}, 403, 'off');
is(ask('/any/if/', token => 'good')->{status}, 403, 'a condition that does not hold');
is(ask('/any/if/?protect=1')->{status}, 401, 'one that does');
is_deeply(seen(ask('/any/if/?protect=1', token => 'good')), [200, $alice], 'and a good token');
is($t->request('OPTIONS', '/any/deny-token/')->{status}, 403, 'an exempt method is not let in for being exempt');

# ---- hooks

sub asked { my $count = () = $t->log =~ /the hook is asked for an answer/g; return $count }
is_deeply(seen(ask('/any/hook/', basic => 'good')), [200, $nobody], 'a password in place of a token');
is_deeply(seen(ask('/any/hook/', basic => 'good', token => 'old')), [200, $nobody], 'a password beside an expired token');
is_deeply(seen(ask('/any/hook/', token => 'good')), [200, $alice], 'a good token');
is(asked(), 0, 'no hook was asked for an answer that nobody gets');
for my $sent ('', 'bad') {
    my $no = ask('/any/hook/', basic => $sent);
    is_deeply(seen($no), [418, 'hook: Missing cookie "access_token_cookie"', 'Basic realm="the realm"'], "where all refuse, password '$sent': the hook's answer");
    is($no->{headers}{'x-hook'}, 'missing', 'and its header');
    my $over = ask('/any/hook/', basic => $sent, token => 'old');
    is_deeply([@$over{qw(status json)}], [401, { sub => 'alice', alg => 'HS256' }], "an expired token, password '$sent': the hook sees its claims");
    is_deeply([sort map { /\A(\w+)/ } $over->all('WWW-Authenticate')], [qw(Basic Bearer)], 'and a challenge for each way');
}
is(asked(), 4, 'each was asked once');
is(ask('/any/hook/', token => 'failing')->{status}, 500, 'a hook that fails');
is(ask('/any/hook/', token => 'failing', basic => 'good')->{status}, 500, 'whatever else is shown');
is(ask('/any/broken/')->{status}, 500, 'an answer that fails');
is_deeply(seen(ask('/any/broken/', basic => 'good')), [200, $nobody], 'is not asked for where a password lets in');

# ---- error_page wins over default answers

my $missing = 'Bearer realm="restricted"';
my $page = ask('/any/page/', basic => 'bad', app => 403);
is_deeply([$page->{status}, $page->{json}{uri}, sort $page->all('WWW-Authenticate')], [200, '/page', 'Basic realm="the realm"', $missing], 'error_page =200');
$page = ask('/any/page/', token => 'bad', app => 401);
is_deeply([$page->{status}, $page->{json}{uri}], [422, '/page'], 'error_page 422');
is_deeply(seen(ask('/any/page/', app => 200)), [200, $nobody], 'error_page is not met where another lets in');
is(ask('/any/page/', app => 200)->{json}{uri}, '/any/page/', 'but the place itself is');
is_deeply(seen(ask('/any/other-page/')), $ours{''}, 'error_page of another status');
is_deeply([@{ seen(ask('/any/to-open/')) }[0, 1]], [403, 'a page'], 'error_page that is itself closed by others');
is_deeply(seen(ask('/any/to-open/', token => 'good')), [200, $alice], 'a good token');

is_deeply(seen(ask('/any/limited/', token => 'good')), [200, $alice], 'limit_req: the first');
is(ask('/any/limited/', token => 'good')->{status}, 503, 'limit_req: the second');

done_testing;
