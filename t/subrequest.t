# Subrequests: nginx asks no access handler about them, so a protected location would stand open as the target of
# auth_request, of an SSI include or of a mirror. Here they are judged; and no request sees another's claims.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $pass = 'proxy_pass http://127.0.0.1:%%PORTapp%%';

my $t = JWTTest->new(
    http => <<'EOF_HTTP',
    log_format of_app '$uri <$http_x_identity>';
    log_format main '$request_uri <$jwt_identity>';
    map $http_x_identity $policy { default 403; alice 200; }
    server {
        listen 127.0.0.1:%%PORTapp%%;
        access_log %%DIR%%/app.log of_app;
        location / { return 200 ok; }
        location /policy { if ($policy = 403) { return 403; } return 200; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    access_log %%DIR%%/main.log main;
    jwt_secret_key "$JWTTest::Token::secret";

    location /by-proxy/ { auth_request /authz/proxy; proxy_set_header X-User \$user; auth_request_set \$user \$jwt_identity; proxy_pass %%BACKEND%%; }
    location /by-file/ { auth_request /authz/file/index.html; proxy_pass %%BACKEND%%; }
    location /by-handler/ { auth_request /authz/handler; proxy_pass %%BACKEND%%; }
    location /by-fresh/ { auth_request /authz/fresh; proxy_pass %%BACKEND%%; }
    location /by-hook/ { auth_request /authz/hook; proxy_pass %%BACKEND%%; }
    location = /authz/proxy { internal; jwt_required; $pass; }
    location /authz/file/ { internal; jwt_required; }
    location = /authz/handler { internal; jwt_required; jwt_lua_file %%DIR%%/hooks.lua; jwt_handler agree; }
    location = /authz/fresh { internal; jwt_required fresh; $pass; }
    location = /authz/hook { internal; jwt_required; jwt_lua_file %%DIR%%/hooks.lua; $pass; }

    location /page/ { ssi on; }
    location /closed-page/ { ssi on; jwt_required; }
    location /part/ { jwt_required; }
    location /open-part/ { ssi on; }
    location /parts/ { ssi on; jwt_required fresh; }

    location /mirrored/ { mirror /mirror; proxy_pass %%BACKEND%%; }
    location = /mirror { internal; jwt_required; proxy_set_header X-Identity \$jwt_identity; $pass/mirror\$arg_n; }

    location /both/ {
        jwt_required;
        auth_request /authz/cookie;
        auth_request_set \$other \$jwt_identity;
        proxy_set_header X-Identity "<\$jwt_identity>";
        proxy_set_header X-Other "<\$other>";
        proxy_pass %%BACKEND%%;
    }
    location /late/ {
        auth_request /authz/cookie;
        proxy_set_header X-Identity "<\$jwt_identity>";
        proxy_pass %%BACKEND%%;
    }
    location = /authz/cookie { internal; jwt_required locations=cookies; proxy_set_header X-Identity \$jwt_identity; $pass; }
    location /policy/ {
        jwt_required;
        auth_request /authz/policy;
        proxy_set_header X-Identity "<\$jwt_identity>";
        proxy_pass %%BACKEND%%;
    }
    location = /authz/policy { internal; proxy_pass_request_body off; proxy_set_header X-Identity \$jwt_identity; $pass/policy; }
EOF_CONFIG
    files => {
        'html/authz/file/index.html' => 'authorized',
        'html/page/index.html' => 'before [<!--# include virtual="/part/index.html" -->] after',
        'html/page/wait.html' => 'before [<!--# include virtual="/part/index.html" wait="yes" -->] after',
        'html/page/deep.html' => '1 [<!--# include virtual="/parts/index.html" -->]',
        'html/page/identity.html' => '<!--# echo var="jwt_identity" default="nobody" --> [<!--# include virtual="/open-part/index.html" -->]',
        'html/closed-page/index.html' => '<!--# echo var="jwt_identity" default="nobody" --> [<!--# include virtual="/open-part/index.html" -->]',
        'html/part/index.html' => 'the secret part',
        'html/parts/index.html' => '2 [<!--# include virtual="/part/index.html" -->]',
        'html/open-part/index.html' => '<!--# echo var="jwt_identity" default="nobody" -->',
        'hooks.lua' => <<'EOF_LUA',
return {
  token_verification = function(header, payload) return payload.sub == "alice" end,
  handlers = { agree = function() return "agreed" end },
}
EOF_LUA
    },
);

my %token = (
    alice => token(claims()),
    bob => token(claims(sub => 'bob')),
    fresh => token(claims(fresh => JSON::PP::true)),
    expired => token(claims(exp => time - 60)),
    forged => token(claims(), key => 'another secret of thirty-two bytes or more'),
);
sub ask { my ($path, $name) = @_; return $t->get($path, defined $name ? [Authorization => "Bearer $token{$name}"] : []) }

sub header_of {
    my ($response, $name) = @_;
    return join ' ', map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] };
}

sub is_refused {
    my ($response, $name, $status) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $right = defined $status ? $response->{status} == $status : $response->{status} >= 400;
    return ok($right && $response->{body} !~ /"uri"/, $name) || diag("$response->{status} $response->{body}");
}

# ---- auth_request

for my $kind (qw(proxy file handler)) {
    my $path = "/by-$kind/";
    my $missing = ask($path);
    is_refused($missing, "auth_request by $kind: no token", 401);
    is_deeply([$missing->all('WWW-Authenticate')], ['Bearer realm="restricted"'], "auth_request by $kind: its challenge reaches the client");
    is_refused(ask($path, 'expired'), "auth_request by $kind: an expired token", 401);
    is_refused(ask($path, 'forged'), "auth_request by $kind: a forged token");
    my $good = ask($path, 'alice');
    is_deeply([$good->{status}, $good->{json}{uri}, $good->all('WWW-Authenticate')], [200, $path], "auth_request by $kind: a good token");
}
is(header_of(ask('/by-proxy/', 'alice'), 'X-User'), 'alice', 'auth_request_set takes a claim from the subrequest');
is_refused(ask('/by-fresh/', 'alice'), 'auth_request: flags count (a token that is not fresh)', 401);
is(ask('/by-fresh/', 'fresh')->{status}, 200, 'auth_request: flags count (a fresh one)');
is_refused(ask('/by-hook/', 'bob'), 'auth_request: hooks count (they disagree)');
is(ask('/by-hook/', 'alice')->{status}, 200, 'auth_request: hooks count (they agree)');
is_refused($t->post('/by-proxy/', [], 'x' x 100_000), 'auth_request: a request with a body and no token', 401);
my $posted = $t->post('/by-proxy/', [Authorization => "Bearer $token{alice}"], 'x' x 100_000);
is(length $posted->{json}{body}, 100_000, 'auth_request: with one, its body arrives whole');
my @cookie = (Cookie => 'access_token_cookie=' . token(claims(csrf => 'the double')));
is($t->get('/late/', \@cookie)->{status}, 200, 'auth_request: a cookie');
is_refused($t->post('/late/', \@cookie, 'x'), 'auth_request: a POST needs its CSRF token, though the subrequest is a GET', 401);
is_refused($t->post('/late/', [@cookie, 'X-CSRF-TOKEN' => 'another'], 'x'), 'auth_request: and the right one');
is($t->post('/late/', [@cookie, 'X-CSRF-TOKEN' => 'the double'], 'x')->{json}{body}, 'x', 'auth_request: with which it passes');
is_refused($t->request('OPTIONS', '/by-proxy/x'), 'auth_request: the subrequest is a GET, whatever the method', 401);

# ---- SSI

for my $page ('/page/', '/page/wait.html') {
    for my $name (undef, 'expired', 'forged') {
        my $response = ask($page, $name);
        my $shown = defined $name ? "a token that is $name" : 'no token';
        is($response->{status}, 200, "SSI, $page: $shown: the page itself is open");
        like($response->{body}, qr/\Abefore \[.*\] after\z/s, "SSI, $page: $shown: and whole");
        unlike($response->{body}, qr/secret/, "SSI, $page: $shown: without the protected part");
    }
    is(ask($page, 'alice')->{body}, 'before [the secret part] after', "SSI, $page: a good token: with the part");
}
unlike(ask('/page/deep.html', 'alice')->{body}, qr/secret|2 \[/, 'SSI: a part of a part, whose outer one is refused');
is(ask('/page/deep.html', 'fresh')->{body}, '1 [2 [the secret part]]', 'SSI: a part of a part');
is(ask('/page/identity.html', 'alice')->{body}, 'nobody [nobody]', 'SSI: an open page knows of no token');
is(ask('/closed-page/', 'alice')->{body}, 'alice [alice]', 'SSI: a protected one shows its claims, in its open parts too');

# ---- mirror

my $number = 0;
for my $case ([undef, 0], ['forged', 0], ['alice', 1], ['expired', 0], ['bob', 1]) {
    my ($name, $arrives) = @$case;
    ++$number;
    is(ask("/mirrored/?n=$number", $name)->{status}, 200, "mirror $number: the request itself is open");
    next unless $arrives;
    ok($t->wait_for(5, sub { $t->read_file('app.log') =~ m{^/mirror$number <$name>$}m }), "mirror $number: a good token is mirrored");
}
is_deeply([$t->read_file('app.log') =~ m{^/mirror(\d+) }mg], [3, 5], 'mirror: nothing else is');

# ---- each with its own claims

my @two = (Authorization => "Bearer $token{alice}", Cookie => "access_token_cookie=$token{bob}");
my $both = $t->get('/both/?two', \@two);
is($both->{status}, 200, 'a request and its auth_request, each with its own token');
is(header_of($both, 'X-Identity'), '<alice>', 'the request keeps its claims');
is(header_of($both, 'X-Other'), '<bob>', 'the subrequest has its own');
ok($t->wait_for(5, sub { $t->read_file('main.log') =~ m{^/both/[?]two <alice>$}m }), 'the log line names who asked');
like($t->read_file('app.log'), qr{^/authz/cookie <bob>$}m, 'the subrequest was sent with its own claims');
is_refused($t->get('/both/', [@two[0, 1]]), 'without the token of the subrequest', 401);
is_refused($t->get('/both/', [@two[2, 3]]), 'without the token of the request', 401);
is_refused($t->get('/both/', [@two[0, 1], Cookie => "access_token_cookie=$token{forged}"]), 'with a forged one for the subrequest');
is(header_of($t->get('/late/', [@two]), 'X-Identity'), '<>', 'an open request has no claims of its subrequest');

my $allowed = ask('/policy/', 'alice');
is($allowed->{status}, 200, 'an open subrequest sends the claims of its request');
is(header_of($allowed, 'X-Identity'), '<alice>', 'which keeps them');
is_refused(ask('/policy/', 'bob'), 'and its no counts', 403);
is_refused(ask('/policy/'), 'no token', 401);

done_testing;
