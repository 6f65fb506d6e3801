# jwt_require_claim and jwt_require_header: operators, values from variables, how they are inherited, what they answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(
    http => <<"EOF_HTTP",
    jwt_secret_key "$JWTTest::Token::secret";
    map \$http_x_tenant \$tenant { default \$http_x_tenant; }
    log_format statuses '\$uri \$status [\$jwt_status] [\$jwt_error]';
    server {
        listen 127.0.0.1:%%PORTinherit%%;
        jwt_required;
        jwt_require_claim tenant = acme;
        jwt_require_header typ = JWT;
        root %%DIR%%/html;
        location /inherits/ { }
        location /adds/ { jwt_require_claim scope contains write; location /adds/more/ { jwt_require_claim level >= 3; } }
        location /replaces/ { jwt_require_claim off; jwt_require_claim scope contains write; }
        location /none/ { jwt_require_claim off; jwt_require_header off; }
        location /open/ { jwt_required off; }
        location /methods/ { limit_except GET { jwt_require_claim scope contains write; } }
    }
EOF_HTTP
    config => <<'EOF_CONFIG',
    access_log %%DIR%%/statuses.log statuses;
    root %%DIR%%/html;
    jwt_required;
    location /present/ { jwt_require_claim roles; }
    location /absent/ { jwt_require_claim act absent; }
    location /equal/ { jwt_require_claim plan = gold; }
    location /other/ { jwt_require_claim plan != free; }
    location /in/ { jwt_require_claim plan in gold silver; }
    location /out/ { jwt_require_claim plan !in free trial; }
    location /scope/ { jwt_require_claim scope contains read write; }
    location /scp/ { jwt_require_claim scp contains_any admin; jwt_require_claim scope contains read; }
    location /roles/ { jwt_require_claim realm_access.roles contains_any admin root; }
    location /unblocked/ { jwt_require_claim groups !contains blocked; }
    location /namespaced/ { jwt_require_claim https://example\.com/roles contains admin; }
    location /index/ { jwt_require_claim list.1.name = second; }
    location /regex/ { jwt_require_claim email ~ ^[^@]+@example\.com$; }
    location /any-case/ { jwt_require_claim email ~* "@EXAMPLE\.com$"; }
    location /no-regex/ { jwt_require_claim email !~ @evil\.example$; }
    location /costly/ { jwt_require_claim email ~ ^(a+)+$; }
    location /costly-not/ { jwt_require_claim email !~ ^(a+)+$; }
    location /level/ { jwt_require_claim level >= 3; jwt_require_claim level < 10; }
    location /verified/ { jwt_require_claim email_verified = true; }
    location ~ ^/tenants/(?<in_path>[a-z]*)!/ { jwt_require_claim tenant = $in_path; try_files /inside.html =404; }
    location /header-tenant/ { jwt_require_claim tenant = $http_x_tenant; }
    location /not-tenant/ { jwt_require_claim tenant != $tenant; }
    location /prefixed/ { jwt_require_claim tenant in "org-$http_x_tenant" acme; }
    location /at-least/ { jwt_require_claim level >= $http_x_level; }
    location /at-most/ { jwt_require_claim level <= $http_x_level; }
    location /wanted-scope/ { jwt_require_claim scope contains $http_x_scope; }
    location /kid/ { jwt_require_header kid in a b; }
    location /401/ { jwt_require_claim plan = gold error=401; }
    location /404/ { jwt_require_claim plan = gold error=404; }
    location /page/ { jwt_require_claim plan = gold; error_page 403 /forbidden.html; }
    location = /forbidden.html { jwt_required off; }
    location /optional/ { jwt_required optional; jwt_require_claim plan = gold; }
    location /hook/ { jwt_require_claim plan = gold; jwt_lua_file %%DIR%%/hook.lua; }
    location /subrequest/ { jwt_required off; auth_request /scope/; }
    location /subrequest-404/ { jwt_required off; auth_request /404/; }
    location /any/ { satisfy any; deny all; jwt_require_claim plan = gold; }
    location /order/ { jwt_require_claim plan = gold; jwt_lua_file %%DIR%%/order.lua; }
EOF_CONFIG
    files => {
        (map { ("html/$_/index.html" => 'inside') } qw(present absent equal other in out scope scp roles unblocked namespaced index regex
            any-case no-regex costly costly-not level verified header-tenant not-tenant prefixed at-least at-most wanted-scope kid 401 404 page
            optional hook subrequest subrequest-404 any order inherits adds adds/more replaces none open methods)),
        'html/inside.html' => 'inside',
        'html/forbidden.html' => 'a page of ours',
        'hook.lua' => "return { token_verification_failed = function(header, payload) return { no = payload.sub }, 403 end }\n",
        'order.lua' => "return { token_in_blocklist = function() error('asked') end }\n",
    },
);

my $bearer = sub { [Authorization => "Bearer $_[0]", @_[1 .. $#_]] };

sub passes {
    my ($location, $claims, $name, @headers) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = $t->get("/$location/", $bearer->(token(claims(%$claims)), @headers));
    return is_deeply([@$response{qw(status body)}], [200, 'inside'], "$location: $name") || diag($response->{body});
}

sub fails {
    my ($location, $claims, $message, $name, @headers) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = $t->get("/$location/", $bearer->(token(claims(%$claims)), @headers));
    return is_deeply([$response->{status}, $response->{json}], [403, { msg => $message }], "$location: $name") || diag($response->{body});
}

sub refusal { return "Claim $_[0] does not allow this" }

# ---- operators

passes('present', { roles => [] }, 'there');
fails('present', {}, 'Missing claim: roles', 'not there');
fails('present', { roles => undef }, 'Missing claim: roles', 'taken out');
passes('absent', {}, 'not there');
fails('absent', { act => { sub => 'bob' } }, refusal('act'), 'there');

passes('equal', { plan => 'gold' }, 'equal');
fails('equal', { plan => $_ }, refusal('plan'), "not equal: $_") for 'Gold', 'gold ', 'golden', '', "gold\n";
fails('equal', { plan => ['gold'] }, refusal('plan'), 'a list');
fails('equal', {}, 'Missing claim: plan', 'absent');
passes('other', { plan => 'gold' }, 'another');
fails('other', { plan => 'free' }, refusal('plan'), 'that one');
fails('other', {}, 'Missing claim: plan', 'absent is not another');
fails('other', { plan => ['free'] }, refusal('plan'), 'a list is not another');

passes('in', { plan => $_ }, "one of them: $_") for qw(gold silver);
fails('in', { plan => 'free' }, refusal('plan'), 'none of them');
passes('out', { plan => 'gold' }, 'none of them');
fails('out', { plan => $_ }, refusal('plan'), "one of them: $_") for qw(free trial);
fails('out', {}, 'Missing claim: plan', 'absent');

passes('scope', { scope => $_ }, $_) for 'read write', 'write read', 'other write x read';
passes('scope', { scope => ['write', 'read'] }, 'a list');
passes('roles', { realm_access => { roles => ['user', $_] } }, $_) for qw(admin root);
fails('roles', { realm_access => { roles => ['user', 'notadmin'] } }, refusal('realm_access.roles'), 'none of them');
fails('roles', { 'realm_access.roles' => ['admin'] }, 'Missing claim: realm_access.roles', 'a name with a dot is no step');
passes('unblocked', { groups => ['x'] }, 'others');
passes('unblocked', { groups => [] }, 'none at all');
fails('unblocked', { groups => ['x', 'blocked'] }, refusal('groups'), 'among them');
fails('unblocked', {}, 'Missing claim: groups', 'absent');
passes('namespaced', { 'https://example.com/roles' => ['admin'] }, 'a name with dots');
fails('namespaced', { 'https://example' => { 'com/roles' => ['admin'] } }, 'Missing claim: https://example\.com/roles', 'and no steps');
passes('index', { list => [{ name => 'first' }, { name => 'second' }] }, 'an element');
fails('index', { list => [{ name => 'second' }] }, 'Missing claim: list.1.name', 'too few elements');

passes('regex', { email => 'alice@example.com' }, 'matches');
fails('regex', { email => $_ }, refusal('email'), "does not match: $_")
    for 'alice@example.org', 'alice@examplexcom', 'alice@EXAMPLE.com', 'alice@example.com.evil', "alice\@example.com\n";
fails('regex', { email => ['alice@example.com'] }, refusal('email'), 'a list');
passes('any-case', { email => 'alice@Example.COM' }, 'in any case');
passes('no-regex', { email => 'alice@example.com' }, 'does not match');
fails('no-regex', { email => 'm@evil.example' }, refusal('email'), 'matches');
fails('no-regex', { email => "m\@evil.example\n" }, refusal('email'), 'a control character');
fails('no-regex', {}, 'Missing claim: email', 'absent');
passes('costly', { email => 'a' x 1000 }, 'a costly pattern that matches');
my $trap = 'a' x 40 . '!';
fails($_, { email => $trap }, refusal('email'), 'a pattern that would run for ever gives up, and refuses') for qw(costly costly-not);
like($t->log, qr/\[error\].*a pattern of jwt_require_claim or jwt_require_header gave up/, 'and says so');
passes('costly-not', { email => 'bob' }, 'another text');

passes('level', { level => $_ }, $_ + 0) for 3, 9;
fails('level', { level => $_ }, refusal('level'), "level $_") for 2, 10, -5;
fails('level', { level => '5x' }, refusal('level'), 'a string');
fails('level', {}, 'Missing claim: level', 'absent');
passes('verified', { email_verified => JSON::PP::true() }, 'true');
fails('verified', { email_verified => JSON::PP::false() }, refusal('email_verified'), 'false');

# ---- values of the request

is($t->get_with('/tenants/acme!/x', token(claims(tenant => 'acme')))->{body}, 'inside', 'variable: the tenant of the path');
is($t->get_with('/tenants/other!/x', token(claims(tenant => 'acme')))->{status}, 403, 'variable: another');
is($t->get_with('/tenants/!/x', token(claims(tenant => $_)))->{status}, 403, "variable: none, the claim is '$_'") for '', 'acme';
passes('header-tenant', { tenant => 'acme' }, 'equal', 'X-Tenant' => 'acme');
fails('header-tenant', { tenant => 'acme' }, refusal('tenant'), 'another', 'X-Tenant' => 'evil');
fails('header-tenant', { tenant => '' }, refusal('tenant'), 'no header, and an empty claim');
fails('header-tenant', { tenant => '' }, refusal('tenant'), 'an empty header, and an empty claim', 'X-Tenant' => '');
fails('header-tenant', {}, 'Missing claim: tenant', 'neither header nor claim');
passes('not-tenant', { tenant => 'acme' }, 'another', 'X-Tenant' => 'evil');
fails('not-tenant', { tenant => 'acme' }, refusal('tenant'), 'nothing is known to differ from nothing');
passes('prefixed', { tenant => 'org-7' }, 'a text with a variable in it', 'X-Tenant' => '7');
passes('prefixed', { tenant => 'acme' }, 'the value beside it');
fails('prefixed', { tenant => '7' }, refusal('tenant'), 'the variable alone', 'X-Tenant' => '7');
for my $location (qw(at-least at-most)) {
    passes($location, { level => 5 }, 'a number', 'X-Level' => '5.0');
    fails($location, { level => 5 }, refusal('level'), "no number: $_", 'X-Level' => $_) for '', 'five', '5x', '0x5', 'nan', 'inf', '-inf', '1e999';
    fails($location, { level => 5 }, refusal('level'), 'no header');
}
passes('wanted-scope', { scope => 'a b' }, 'a scope', 'X-Scope' => 'b');
fails('wanted-scope', { scope => '' }, 'Insufficient scope', 'nothing in nothing');

# ---- header parameters

is($t->get_with('/kid/', token(claims(), header => { kid => 'a' }))->{status}, 200, 'header: one of them');
my $kid = $t->get_with('/kid/', token(claims(), header => { kid => 'c' }));
is_deeply([$kid->{status}, $kid->{json}], [403, { msg => 'Header parameter kid does not allow this' }], 'header: none of them');
my $no_kid = $t->get_with('/kid/', token(claims(kid => 'a')));
is_deeply([$no_kid->{status}, $no_kid->{json}], [403, { msg => 'Missing header parameter: kid' }], 'header: absent; a claim is none');

# ---- answers

my $scope = $t->get_with('/scope/', token(claims(scope => 'read')));
is_deeply([$scope->{status}, $scope->{json}], [403, { msg => 'Insufficient scope' }], 'a scope that is lacking');
is($scope->{headers}{'www-authenticate'},
    'Bearer realm="restricted", error="insufficient_scope", error_description="Insufficient scope", scope="read write"', 'RFC 6750 says which would do');
is($t->get_with('/scp/', token(claims()))->{headers}{'www-authenticate'},
    'Bearer realm="restricted", error="insufficient_scope", error_description="Insufficient scope", scope="admin read"',
    'those of all conditions');
is($t->get_with('/wanted-scope/', token(claims(scope => 'a')), 'X-Scope' => 'x"y')->{headers}{'www-authenticate'},
    'Bearer realm="restricted", error="insufficient_scope", error_description="Insufficient scope"', 'none that cannot be said');
my $plan = $t->get_with('/equal/', token(claims(plan => 'x')));
is($plan->{headers}{'www-authenticate'},
    'Bearer realm="restricted", error="insufficient_scope", error_description="Claim plan does not allow this"', 'a claim that does not do');
my $again = $t->get_with('/401/', token(claims()));
is_deeply([$again->{status}, $again->{json}], [401, { msg => 'Missing claim: plan' }], 'error=401');
is($again->{headers}{'www-authenticate'}, 'Bearer realm="restricted", error="invalid_token", error_description="Missing claim: plan"',
    'error=401: another token is asked for');
my $hidden = $t->get_with('/404/', token(claims()));
is_deeply([@$hidden{qw(status json)}, $hidden->{headers}{'www-authenticate'}], [404, { msg => 'Missing claim: plan' }, undef], 'error=404');
is($t->get_with("/$_/", token(claims(plan => 'gold')))->{status}, 200, "$_: the control") for qw(401 404 page optional hook any);
my $page = $t->get_with('/page/', token(claims()));
is_deeply([@$page{qw(status body)}], [403, 'a page of ours'], 'error_page for 403');
is($t->get('/optional/')->{status}, 200, 'optional: no token');
is($t->get_with('/optional/', token(claims()))->{status}, 403, 'optional: a token that does not do');
my $hook = $t->get_with('/hook/', token(claims()));
is_deeply([@$hook{qw(status json)}], [403, { no => 'alice' }], 'the hook token_verification_failed answers');
like($hook->{headers}{'www-authenticate'}, qr/error="insufficient_scope"/, 'with the challenge beside it');
is($t->get_with('/any/', token(claims()))->{status}, 403, 'satisfy any: the answer is that of the condition');
is($t->get_with('/order/', token(claims()))->{status}, 403, 'conditions come before hooks');
is($t->get_with('/order/', token(claims(plan => 'gold')))->{status}, 500, 'which are asked behind them');
is($t->get_with('/equal/', token(claims(exp => time - 60)))->{status}, 401, 'and behind the claims');

is($t->get_with('/subrequest/', token(claims(scope => 'read write')))->{status}, 200, 'auth_request: met');
is($t->get_with('/subrequest/', token(claims(scope => 'read')))->{status}, 403, 'auth_request: not met');
is($t->get_with('/subrequest-404/', token(claims()))->{status}, 401, 'auth_request: a no that it does not know becomes 401');

ok($t->wait_for(2, sub { $t->read_file('statuses.log') =~ m{^/scope/index\.html 200 \[ok\]|^/scope/ 403}m }), 'the access log');
like($t->read_file('statuses.log'), qr{^/scope/ 403 \[condition_failed\] \[Insufficient scope\]$}m, '$jwt_status and $jwt_error');
like($t->log, qr/jwt: token condition_failed: Insufficient scope/, 'the log has the same word');

# ---- inheritance

my $typ = { typ => 'x' };
sub inherited {
    my ($location, $claims, $status, $name, %more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $token = token(claims(%$claims), header => $more{header} || { typ => 'jwt' });
    my $response = $t->request($more{method} || 'GET', "/$location/", $bearer->($token), undef, port => 'inherit');
    return is($response->{status}, $status, "inheritance: $location, $name");
}
inherited('inherits', { tenant => 'acme' }, 200, 'all conditions of the server');
inherited('inherits', { tenant => 'other' }, 403, 'not that on a claim');
inherited('inherits', { tenant => 'acme' }, 403, 'not that on the header', header => $typ);
inherited('adds', { tenant => 'acme', scope => 'write' }, 200, 'those of both');
inherited('adds', { tenant => 'other', scope => 'write' }, 403, 'not that of the server');
inherited('adds', { tenant => 'acme', scope => 'read' }, 403, 'not its own');
inherited('adds/more', { tenant => 'acme', scope => 'write', level => 3 }, 200, 'those of three levels');
inherited('adds/more', { scope => 'write', level => 3 }, 403, 'not that of the server');
inherited('adds/more', { tenant => 'acme', level => 3 }, 403, 'not that around it');
inherited('adds/more', { tenant => 'acme', scope => 'write' }, 403, 'not its own');
inherited('replaces', { scope => 'write' }, 200, 'its own alone');
inherited('replaces', { tenant => 'acme' }, 403, 'not its own');
inherited('replaces', { scope => 'write' }, 403, 'that on the header stays', header => $typ);
inherited('none', {}, 200, 'nothing is asked', header => $typ);
inherited('methods', { tenant => 'acme' }, 200, 'GET');
inherited('methods', { tenant => 'acme' }, 403, 'POST without the scope', method => 'POST');
inherited('methods', { tenant => 'acme', scope => 'write' }, 405, 'POST with it, which nginx takes for no file', method => 'POST');
inherited('methods', { scope => 'write' }, 403, 'POST without what the server asks', method => 'POST');
is($t->request('GET', '/open/', [], undef, port => 'inherit')->{status}, 200, 'inheritance: jwt_required off asks nothing');

# ---- PCRE that compiles patterns counts steps too

my $jit = JWTTest->new(
    main => 'pcre_jit on;',
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    location / { jwt_required; jwt_require_claim email ~ ^(a+)+\$; }
EOF_CONFIG
    files => { 'html/index.html' => 'inside' },
);
is($jit->get_with('/', token(claims(email => 'a' x 1000)))->{body}, 'inside', 'pcre_jit: a pattern that matches');
is($jit->get_with('/', token(claims(email => $trap)))->{status}, 403, 'pcre_jit: one that would run for ever');
like($jit->log, qr/\[error\].*gave up/, 'pcre_jit: gives up');

done_testing;
