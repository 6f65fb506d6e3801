# What a refused client is told: status, body, challenge, and a connection that goes on in step.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(
    http2 => 1,
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    client_max_body_size 4m;
    location /plain/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /fresh/ { jwt_required fresh; proxy_pass %%BACKEND%%; }
    location /refresh/ { jwt_required refresh; proxy_pass %%BACKEND%%; }
    location /any-place/ { jwt_required locations=headers,cookies,query_string,json; proxy_pass %%BACKEND%%; }
    location /two-places/ { jwt_required locations=cookies,headers; proxy_pass %%BACKEND%%; }
    location /cookie/ { jwt_required locations=cookies; proxy_pass %%BACKEND%%; }
    location /query/ { jwt_required locations=query_string; jwt_query_string_value_prefix "t:"; proxy_pass %%BACKEND%%; }
    location /json/ { jwt_required locations=json; proxy_pass %%BACKEND%%; }
    location /named-header/ { jwt_required; jwt_header_name X-Token; jwt_header_type JWT; proxy_pass %%BACKEND%%; }
    location /decisions/ { jwt_required; jwt_lua_file %%DIR%%/decisions.lua; proxy_pass %%BACKEND%%; }
    location /hooks/ { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; error_page 401 403 422 /page; proxy_pass %%BACKEND%%; }
    location /broken-hooks/ { jwt_required; jwt_lua_file %%DIR%%/broken.lua; proxy_pass %%BACKEND%%; }
    location /own-challenge/ { jwt_required; jwt_lua_file %%DIR%%/challenge.lua; proxy_pass %%BACKEND%%; }
    location /key/ { jwt_required; jwt_error_message_key error; proxy_pass %%BACKEND%%; }
    location /odd-key/ { jwt_required; jwt_error_message_key 'a "key"\\\\'; proxy_pass %%BACKEND%%; }
    location /realm/ { jwt_required; jwt_realm "The API, version 2"; proxy_pass %%BACKEND%%; }
    location /typed/ { jwt_required; default_type text/html; types { } add_header X-Always yes always; add_header X-Good yes; expires 1h; }

    location /page/default/ { jwt_required; error_page 401 422 /page; proxy_pass %%BACKEND%%; }
    location /page/status/ { jwt_required; error_page 401 =200 /page; error_page 422 =418 /page; proxy_pass %%BACKEND%%; }
    location /page/named/ { jwt_required; error_page 401 = \@named; proxy_pass %%BACKEND%%; }
    location /page/redirect/ { jwt_required; error_page 401 https://login.example/; proxy_pass %%BACKEND%%; }
    location /page/proxied/ { jwt_required; error_page 401 422 /proxied; proxy_pass %%BACKEND%%; }
    location /page/protected/ { jwt_required; error_page 401 /closed; error_page 422 /closed; proxy_pass %%BACKEND%%; }
    location /page/others/ { jwt_required; error_page 404 500 /page; proxy_pass %%BACKEND%%; }
    location /page/missing/ { jwt_required; error_page 401 /not-there; }
    location = /page { internal; default_type text/plain; return 200 "the page"; }
    location \@named { default_type text/plain; return 200 "the named location"; }
    location = /proxied { proxy_pass %%BACKEND%%; }
    location = /closed { jwt_required; proxy_pass %%BACKEND%%; }
EOF_CONFIG
    files => {
        'html/typed/index.html' => 'inside, and much longer than the answer that takes its place',
        'decisions.lua' => <<'EOF_LUA',
return {
  token_in_blocklist = function(header, payload) return payload.jti == "revoked" end,
  token_verification = function(header, payload) return payload.tenant ~= "other" end,
  user_lookup = function(header, payload) return payload.sub ~= "ghost" and { name = payload.sub } or nil end,
}
EOF_LUA
        'hooks.lua' => <<'EOF_LUA',
return {
  unauthorized = function(reason) return { why = reason }, 401 end,
  invalid_token = function(reason) return "invalid: " .. reason, 403 end,
  expired_token = function(header, payload) return { over = payload.exp, alg = header.alg }, 401, { ["X-Hook"] = "expired" } end,
}
EOF_LUA
        'broken.lua' => 'return { unauthorized = function(reason) error("broken on purpose") end, expired_token = function() return 1, 2, 3, 4 end }',
        'challenge.lua' => <<'EOF_LUA',
return {
  unauthorized = function(reason) return { msg = reason }, 401, { ["www-authenticate"] = 'Custom realm="x"' } end,
  expired_token = function() return { msg = "fine" } end,
}
EOF_LUA
    },
);

my %token = (
    good => token(claims()),
    fresh => token(claims(fresh => JSON::PP::true)),
    refresh => token(claims(type => 'refresh')),
    expired => token(claims(exp => time - 60)),
    early => token(claims(nbf => time + 600)),
    revoked => token(claims(jti => 'revoked')),
    other => token(claims(tenant => 'other')),
    ghost => token(claims(sub => 'ghost')),
    forged => token(claims(), key => 'another secret of thirty-two bytes or more'),
    nameless => token(claims(sub => undef)),
);
sub bearer { return [Authorization => "Bearer $token{$_[0]}"] }

my $invalid_token = 'Bearer realm="restricted", error="invalid_token", error_description=';

# The whole of a default answer: [status, body, content type, challenges].
sub is_refused {
    my ($response, $status, $message, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $missing = $message =~ /\AMissing|\AInvalid content-type/;
    my @challenge = $status != 401 ? () : $missing ? 'Bearer realm="restricted"' : $invalid_token . qq("$message");
    my $body = '{"msg":' . JSON::PP->new->allow_nonref->encode($message) . "}\n";
    my $headers = $response->{headers};
    return is_deeply(
        [$response->{status}, $response->{body}, @$headers{qw(content-type content-length)}, $response->all('WWW-Authenticate')],
        [$status, $body, 'application/json', length $body, @challenge], $name);
}

sub is_let_through {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply([$response->{status}, defined $response->{json}{uri}, $response->all('WWW-Authenticate')], [200, 1], $name);
}

# ---- every default answer

my @answers = (
    ['/plain/', [], 401, 'Missing Authorization Header'],
    ['/plain/', bearer('expired'), 401, 'Token has expired'],
    ['/plain/', bearer('forged'), 422, 'Signature verification failed'],
    ['/plain/', bearer('early'), 422, 'The token is not yet valid (nbf)'],
    ['/plain/', bearer('refresh'), 422, 'Only non-refresh tokens are allowed'],
    ['/plain/', bearer('nameless'), 422, 'Missing claim: sub'],
    ['/plain/', [Authorization => 'Bearer abc'], 422, 'Not enough segments'],
    ['/plain/', [Authorization => 'Bearer'], 422, "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"],
    ['/plain/', [Authorization => 'Basic eDp5'], 401,
        "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'"],
    ['/named-header/', [], 401, 'Missing X-Token Header'],
    ['/named-header/', ['X-Token' => "Bearer $token{good}"], 401, "Missing 'JWT' type in 'X-Token' header. Expected 'X-Token: JWT <JWT>'"],
    ['/fresh/', bearer('good'), 401, 'Fresh token required'],
    ['/refresh/', bearer('good'), 422, 'Only refresh tokens are allowed'],
    ['/cookie/', [], 401, 'Missing cookie "access_token_cookie"'],
    ['/query/', [], 401, q(Missing 'jwt' query paramater)],
    ["/query/?jwt=$token{good}", [], 422, q(Invalid value for query parameter 'jwt'. Expected the value to start with 't:')],
    ['/json/', [], 401, 'Invalid content-type. Must be application/json.'],
    ['/json/', ['Content-Type' => 'application/json'], 401, 'Missing "access_token" key in json data.'],
    ['/any-place/', [], 401, 'Missing JWT in headers, cookies, query_string or json (Missing Authorization Header; Missing cookie "access_token_cookie"; '
        . q{Missing 'jwt' query paramater; Invalid content-type. Must be application/json.)}],
    ['/two-places/', [], 401, 'Missing JWT in cookies or headers (Missing cookie "access_token_cookie"; Missing Authorization Header)'],
    ['/decisions/', bearer('revoked'), 401, 'Token has been revoked'],
    ['/decisions/', bearer('other'), 400, 'User claims verification failed'],
    ['/decisions/', bearer('ghost'), 401, 'Error loading the user ghost'],
);
for my $case (@answers) {
    my ($path, $headers, $status, $message) = @$case;
    my ($shown) = $path =~ /\A([^?]*)/;
    is_refused($t->get($path, $headers), $status, $message, "$shown: $status $message");
}
is_refused($t->post('/cookie/', [Cookie => "access_token_cookie=$token{good}"], 'x'), 401, 'Missing CSRF token', 'a cookie alone: 401 Missing CSRF token');

my $no_body_answer = '{"msg":"Missing Authorization Header"}' . "\n";

is_let_through($t->get_with('/plain/', $token{good}), 'a good token: no challenge');
is_let_through($t->get_with('/fresh/', $token{fresh}), 'a fresh one: the same');
is_let_through($t->get_with('/refresh/', $token{refresh}), 'a refresh token: the same');
is_let_through($t->get_with('/decisions/', $token{good}), 'a token that every hook agrees to: the same');
is_let_through($t->get_with("/page/$_/", $token{good}), "error_page $_ is not met by a good token")
    for qw(default status named redirect proxied protected others);

# ---- what can be set

is($t->get('/key/')->{body}, qq({"error":"Missing Authorization Header"}\n), 'jwt_error_message_key');
is_deeply($t->get('/odd-key/')->{json}, { 'a "key"\\' => 'Missing Authorization Header' }, 'jwt_error_message_key is escaped as JSON wants it');
is_deeply([$t->get('/realm/')->all('WWW-Authenticate')], ['Bearer realm="The API, version 2"'], 'jwt_realm');
is_deeply([$t->get_with('/realm/', $token{expired})->all('WWW-Authenticate')],
    ['Bearer realm="The API, version 2", error="invalid_token", error_description="Token has expired"'], 'jwt_realm beside an error');

# ---- nothing of the content that is not sent shows

my $file = $t->get_with('/typed/', $token{good});
is($file->{headers}{'content-type'}, 'text/html', 'a file that is sent');
ok($file->{headers}{etag} && $file->{headers}{'last-modified'} && $file->{headers}{'x-good'}, 'has its own headers');
for my $case (['nothing'], ['a range' => Range => 'bytes=0-3'], ['If-None-Match' => 'If-None-Match' => $file->{headers}{etag}],
    ['If-Modified-Since' => 'If-Modified-Since' => $file->{headers}{'last-modified'}], ['If-Match' => 'If-Match' => '"other"']) {
    my ($name, @headers) = @$case;
    my $response = $t->get('/typed/', \@headers);
    is_refused($response, 401, 'Missing Authorization Header', "a refused file, asked for with $name");
    is_deeply([map { $response->{headers}{$_} } qw(etag last-modified accept-ranges content-range expires cache-control x-good x-always)],
        [(undef) x 7, 'yes'], "a refused file, asked for with $name: no header of it");
}

# ---- error_page

my $missing = 'Bearer realm="restricted"';
my @pages = (
    ['/page/default/', [], 401, 'the page', $missing],
    ['/page/default/', bearer('expired'), 401, 'the page', $invalid_token . '"Token has expired"'],
    ['/page/default/', bearer('forged'), 422, 'the page'],
    ['/page/status/', [], 200, 'the page', $missing],
    ['/page/status/', bearer('forged'), 418, 'the page'],
    ['/page/named/', [], 200, 'the named location', $missing],
    ['/page/named/', bearer('forged'), 422, qq({"msg":"Signature verification failed"}\n)],
    ['/page/others/', [], 401, $no_body_answer, $missing],
    ['/page/protected/', [], 401, $no_body_answer, $missing],
    ['/page/protected/', bearer('forged'), 422, qq({"msg":"Signature verification failed"}\n)],
);
for my $case (@pages) {
    my ($path, $headers, $status, $body, @challenge) = @$case;
    my $response = $t->get($path, $headers);
    my $name = 'error_page: ' . $path . (@$headers ? ' with a bad token' : ' without a token');
    is_deeply([@$response{qw(status body)}], [$status, $body], $name);
    is_deeply([$response->all('WWW-Authenticate')], \@challenge, "$name: the challenge");
}
my $redirect = $t->get('/page/redirect/');
is_deeply([$redirect->{status}, $redirect->{headers}{location}], [302, 'https://login.example/'], 'error_page: another site');
my $proxied = $t->get('/page/proxied/');
is_deeply([$proxied->{status}, $proxied->{json}{uri}, $proxied->all('WWW-Authenticate')], [401, '/proxied', $missing], 'error_page: a proxied page');
is($t->get('/page/missing/')->{status}, 404, 'error_page: a page that is not there');
is_let_through($t->get_with('/closed', $token{good}), 'the protected page is open to who may see it');

# ---- hooks

my $why = $t->get('/hooks/');
is_deeply([@$why{qw(status json)}, $why->all('WWW-Authenticate')], [401, { why => 'Missing Authorization Header' }, $missing],
    'a hook\'s answer goes before error_page, with a challenge');
my $no = $t->get_with('/hooks/', $token{forged});
is_deeply([@$no{qw(status body)}, $no->all('WWW-Authenticate')], [403, 'invalid: Signature verification failed'], 'a hook\'s 403 has none');
my $over = $t->get_with('/hooks/', $token{expired});
is_deeply([$over->{status}, $over->{headers}{'x-hook'}, $over->{json}{alg}, $over->all('WWW-Authenticate')],
    [401, 'expired', 'HS256', $invalid_token . '"Token has expired"'], 'a hook\'s header beside the challenge');
is_let_through($t->get_with('/hooks/', $token{good}), 'hooks of refusals are not asked about a good token');
is_deeply([$t->get('/own-challenge/')->all('WWW-Authenticate')], ['Custom realm="x"'], 'a hook\'s own challenge is the only one');
my $fine = $t->get_with('/own-challenge/', $token{expired});
is_deeply([$fine->{status}, $fine->{json}, $fine->all('WWW-Authenticate')], [200, { msg => 'fine' }], 'a hook\'s 200 has no challenge');
for my $case (['a hook that fails', []], ['a hook that returns too much', bearer('expired')]) {
    my ($name, $headers) = @$case;
    my $broken = $t->get('/broken-hooks/', $headers);
    is($broken->{status}, 500, "$name answers 500");
    unlike($broken->{body}, qr/"uri"/, "$name lets nobody through");
}
ok($t->wait_log(qr/broken on purpose/), 'and its error is in the log');
is_let_through($t->get_with('/broken-hooks/', $token{good}), 'a good token does not meet them');

# ---- bodies, and the next request on the same connection

my $megabyte = 'x' x (1024 * 1024);
my %body = (
    'no body' => undef, 'a small body' => 'x=1', 'a body of 1 MB' => $megabyte, 'a chunked body' => ['x=1', 'y' x 5000],
    'a chunked body of 1 MB' => [('z' x 65536) x 16], 'an empty chunked body' => [],
);
for my $name (sort keys %body) {
    for my $kind (qw(none forged)) {
        my $c = $t->connection;
        $c->request('POST', '/plain/', $kind eq 'none' ? [] : bearer($kind), $body{$name});
        is($c->response->{status}, $kind eq 'forged' ? 422 : 401, "$name, token $kind: refused");
        $c->request('POST', '/plain/?second', bearer('good'), 'second body');
        my $second = $c->response;
        is_deeply([$second->{status}, @{ $second->{json} }{qw(uri body)}], [200, '/plain/?second', 'second body'],
            "$name, token $kind: the next request is answered as itself");
        $c->close;
    }
}
my $c = $t->connection;
$c->request('POST', '/plain/?1', bearer('forged'), $_) for 'short', ['a', 'b'], 'y' x 20000;
$c->request('GET', '/plain/?4', bearer('good'));
is_deeply([map { $c->response->{status} } 1 .. 4], [422, 422, 422, 200], 'four requests at once are answered in order');
$c->close;

$c = $t->connection;
my $expect = sub { $c->request('POST', $_[0], [Expect => '100-continue', 'Content-Length' => 11, @{ $_[1] }]) };
$expect->('/plain/', bearer('forged'));
my $final = $c->response;
is_deeply([@$final{qw(status interim)}], [422, []], 'Expect: 100-continue with a bad token: refused, and not asked to go on');
$c->send('the content');
$expect->('/plain/?2', bearer('good'));
$c->send('the content');
my $continued = $c->response;
is_deeply([@$continued{qw(status interim)}, $continued->{json}{body}], [200, [100], 'the content'], 'with a good one: asked to go on');
$c->close;

$c = $t->connection;
for my $case ([HEAD => 'none', 401], [HEAD => 'forged', 422], [GET => 'none', 401], [HEAD => 'good', 200], [GET => 'good', 200]) {
    my ($method, $kind, $status) = @$case;
    $c->request($method, '/plain/', $kind eq 'none' ? [] : bearer($kind));
    my $response = $c->response($method);
    is($response->{status}, $status, "$method, token $kind, on a connection that is kept");
    is_deeply([@{ $response->{headers} }{qw(content-type content-length)}, $response->all('WWW-Authenticate')],
        ['application/json', length $no_body_answer, $missing], 'HEAD says what GET would') if "$method $kind" eq 'HEAD none';
}
$c->close;

my $old = $t->raw("GET /plain/ HTTP/1.0\r\n\r\n");
is_deeply([@$old{qw(status body)}], [401, $no_body_answer], 'HTTP/1.0');

is($t->get('/plain/', bearer('forged'))->{reason}, 'Unprocessable Content', 'a status that nginx has no words for');
is($t->get('/plain/', bearer('expired'))->{reason}, 'Unauthorized', 'and one that it has');

# ---- HTTP/2

is_refused($t->h2(GET => '/plain/'), 401, 'Missing Authorization Header', 'h2: no token');
is_refused($t->h2(GET => '/plain/', bearer('expired')), 401, 'Token has expired', 'h2: an expired one');
is_refused($t->h2(POST => '/plain/', bearer('forged')), 422, 'Signature verification failed', 'h2: a forged one');
is($t->h2(HEAD => '/plain/', bearer('expired'))->{status}, 401, 'h2: HEAD');
is_let_through($t->h2(POST => '/plain/', bearer('good'), $megabyte), 'h2: a good one, with a body of 1 MB');
is($t->h2(GET => '/page/default/')->{body}, 'the page', 'h2: error_page');

done_testing;
