# Where tokens are looked for: the places, their order, their names, what a client is told where there is none, and
# that a body which was read for that reaches the upstream byte for byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JSON::PP qw(decode_json encode_json);

my $upstream = 'proxy_set_header X-Identity $jwt_identity; proxy_set_header X-Found $jwt_location; proxy_pass %%BACKEND%%;';

my $t = JWTTest->new(http2 => 1, config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_cookie_csrf_protect off;
    client_body_buffer_size 1k;
    jwt_required;

    location = /headers { $upstream }
    location = /cookies { jwt_token_location cookies; $upstream }
    location = /query { jwt_token_location query_string; $upstream }
    location = /json { jwt_token_location json; $upstream }
    location = /big { jwt_token_location json; client_max_body_size 4m; $upstream }
    location = /all { jwt_token_location headers cookies query_string json; $upstream }
    location = /reversed { jwt_token_location json query_string cookies headers; $upstream }
    location = /two { jwt_token_location cookies json; $upstream }
    location = /here { jwt_token_location headers; jwt_required locations=query_string,cookies; $upstream }
    location = /refresh { jwt_token_location cookies json; jwt_required refresh; $upstream }
    location = /optional { jwt_token_location headers json; jwt_required optional; $upstream }

    location = /header-name { jwt_header_name X-Token; $upstream }
    location = /header-type { jwt_header_type JWT; $upstream }
    location = /bare { jwt_header_name X-Token; jwt_header_type ""; $upstream }
    location = /query-name { jwt_token_location query_string; jwt_query_string_name token; jwt_query_string_value_prefix "Bearer "; $upstream }
    location = /cookie-name { jwt_token_location cookies; jwt_access_cookie_name __Host-session; $upstream }
    location = /json-name { jwt_token_location json; jwt_json_key "my token"; $upstream }
    location = /refresh-names { jwt_token_location cookies json; jwt_refresh_cookie_name again; jwt_refresh_json_key renew; jwt_required refresh; $upstream }
EOF_CONFIG

my %token = map { $_ => token(claims(sub => $_)) } qw(header cookie query json);
my $refresh = token(claims(sub => 'refresh', type => 'refresh'));
my $json_type = ['Content-Type' => 'application/json'];

sub seen {
    my ($response, $name) = @_;
    my ($line) = grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] };
    return $line && $line->[1];
}

sub accepted {
    my ($response, $identity, $place, $name) = @_;
    my $got = $response->{status} == 200 && join ' ', map { defined ? $_ : '-' } seen($response, 'X-Identity'), seen($response, 'X-Found');
    is($got, "$identity $place", $name) or diag("$response->{status} $response->{body}");
    return;
}

# The answer is our own and nothing of the upstream.
sub refused {
    my ($response, $status, $message, $name) = @_;
    my $keys = join ' ', sort keys %{ $response->{json} || {} };
    is("$response->{status} $keys: " . ($response->{json}{msg} // ''), "$status msg: $message", $name);
    return;
}

# ---- one place

accepted($t->get_with('/headers', $token{header}), 'header', 'headers', 'a header');
accepted($t->get('/cookies', [Cookie => "access_token_cookie=$token{cookie}"]), 'cookie', 'cookies', 'a cookie');
accepted($t->get("/query?jwt=$token{query}"), 'query', 'query_string', 'the query string');
accepted($t->post('/json', $json_type, encode_json({ access_token => $token{json} })), 'json', 'json', 'a JSON body');

refused($t->get('/headers'), 401, 'Missing Authorization Header', 'no header');
refused($t->get('/headers', [Authorization => '']), 401, 'Missing Authorization Header', 'an empty header');
refused($t->get('/cookies'), 401, 'Missing cookie "access_token_cookie"', 'no cookie');
refused($t->get('/query'), 401, "Missing 'jwt' query paramater", 'no query string');
refused($t->get('/query?jwt='), 401, "Missing 'jwt' query paramater", 'an empty query parameter');
refused($t->get('/json'), 401, 'Invalid content-type. Must be application/json.', 'no JSON');
refused($t->post('/json', [], encode_json({ access_token => $token{json} })), 401,
    'Invalid content-type. Must be application/json.', 'JSON of no type');
refused($t->post('/json', $json_type, '{}'), 401, 'Missing "access_token" key in json data.', 'JSON without the key');
refused($t->post('/json', $json_type, ''), 401, 'Missing "access_token" key in json data.', 'an empty body');
refused($t->post('/json', $json_type, '{"access_token":'), 401, 'Missing "access_token" key in json data.', 'cut JSON');
refused($t->post('/json', $json_type, encode_json([$token{json}])), 401, 'Missing "access_token" key in json data.', 'an array');
refused($t->post('/json', $json_type, '{"access_token":17}'), 422, 'Invalid token type. Token must be a string', 'a number as token');
refused($t->post('/json', $json_type, qq({"access_token":"$token{json}","access_token":"$token{json}"})), 401,
    'Missing "access_token" key in json data.', 'row 33: a body with two tokens');

refused($t->get_with('/cookies', $token{header}), 401, 'Missing cookie "access_token_cookie"', 'a header where cookies are asked for');
refused($t->get('/headers', [Cookie => "access_token_cookie=$token{cookie}"]), 401, 'Missing Authorization Header', 'a cookie where headers are');
refused($t->get("/headers?jwt=$token{query}"), 401, 'Missing Authorization Header', 'row 50: the query string where headers are');
refused($t->post('/headers', $json_type, encode_json({ access_token => $token{json} })), 401, 'Missing Authorization Header', 'a body where headers are');

# ---- several places: the first that has a token

my %everywhere = (
    path => "?jwt=$token{query}",
    headers => [Authorization => "Bearer $token{header}", Cookie => "access_token_cookie=$token{cookie}", @$json_type],
    body => encode_json({ access_token => $token{json} }),
);
accepted($t->post("/all$everywhere{path}", $everywhere{headers}, $everywhere{body}), 'header', 'headers', 'headers are named first');
accepted($t->post("/reversed$everywhere{path}", $everywhere{headers}, $everywhere{body}), 'json', 'json', 'json is named first');
accepted($t->get("/all$everywhere{path}", [Cookie => "access_token_cookie=$token{cookie}"]), 'cookie', 'cookies', 'then cookies');
accepted($t->get("/all$everywhere{path}"), 'query', 'query_string', 'then the query string');
accepted($t->post('/all', $json_type, $everywhere{body}), 'json', 'json', 'and the body at last');
accepted($t->get("/here$everywhere{path}", $everywhere{headers}), 'query', 'query_string', 'locations= of jwt_required replaces the list');
accepted($t->get('/reversed', [Authorization => "Bearer $token{header}"]), 'header', 'headers', 'the last place of a list serves too');
refused($t->get_with('/here', $token{header}), 401,
    'Missing JWT in query_string or cookies (Missing \'jwt\' query paramater; Missing cookie "access_token_cookie")', 'and nothing else counts then');

refused($t->get('/all'), 401, 'Missing JWT in headers, cookies, query_string or json (Missing Authorization Header; '
    . 'Missing cookie "access_token_cookie"; Missing \'jwt\' query paramater; Invalid content-type. Must be application/json.)',
    'four places, none with a token');
refused($t->post('/two', $json_type, '{}'), 401,
    'Missing JWT in cookies or json (Missing cookie "access_token_cookie"; Missing "access_token" key in json data.)', 'two places');

# A bad token in an earlier place ends the search (row 49): who sends one means it.
my $forged = token(claims(sub => 'eve'), key => 'another secret of sixty-four bytes, as long as it has to be..!!');
refused($t->get("/all?jwt=$token{query}", [Authorization => "Bearer $forged"]), 422, 'Signature verification failed',
    'row 49: a forged header beside a good query string');
refused($t->get('/all', [Authorization => 'Bearer ', Cookie => "access_token_cookie=$token{cookie}"]), 422,
    "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'", 'row 49: an empty Bearer beside a good cookie');
accepted($t->get('/all', [Authorization => 'Basic YTpi', Cookie => "access_token_cookie=$token{cookie}"]), 'cookie', 'cookies',
    'another scheme is no token');
refused($t->get('/headers', [Authorization => "Bearer $token{header}, Bearer $token{header}"]), 401,
    "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'", 'row 49: two Bearer values in a line');
is($t->get('/headers', [Authorization => "Bearer $token{header}", Authorization => "Bearer $token{header}"])->{status}, 400,
    'row 49: two Authorization lines');

is(seen($t->get('/optional'), 'X-Identity'), undef, 'optional: no token');
accepted($t->get_with('/optional', $token{header}), 'header', 'headers', 'optional: a good token');
refused($t->get_with('/optional', $forged), 422, 'Signature verification failed', 'row 20: optional, with a forged token');
refused($t->post('/optional', $json_type, encode_json({ access_token => $forged })), 422, 'Signature verification failed',
    'row 20: optional, with a forged token in the body');

# ---- names

accepted($t->get('/header-name', ['X-Token' => "Bearer $token{header}"]), 'header', 'headers', 'jwt_header_name');
accepted($t->get('/header-name', ['x-tOKEN' => "bearer $token{header}"]), 'header', 'headers', 'case of header and scheme does not matter');
refused($t->get_with('/header-name', $token{header}), 401, 'Missing X-Token Header', 'and Authorization no longer counts');
accepted($t->get('/header-type', [Authorization => "JWT $token{header}"]), 'header', 'headers', 'jwt_header_type');
refused($t->get_with('/header-type', $token{header}), 401,
    "Missing 'JWT' type in 'Authorization' header. Expected 'Authorization: JWT <JWT>'", 'and Bearer no longer counts');
accepted($t->get('/bare', ['X-Token' => $token{header}]), 'header', 'headers', 'a bare token');
refused($t->get('/bare', ['X-Token' => "Bearer $token{header}"]), 422, "Bad X-Token header. Expected 'X-Token: <JWT>'", 'a scheme where none is');
accepted($t->get("/query-name?token=Bearer%20$token{query}"), 'query', 'query_string', 'jwt_query_string_name and its prefix');
accepted($t->get("/query-name?a=1&token=Bearer+$token{query}&b=2"), 'query', 'query_string', 'a plus as the space of the prefix');
refused($t->get("/query-name?token=$token{query}"), 422,
    "Invalid value for query parameter 'token'. Expected the value to start with 'Bearer '", 'without the prefix');
refused($t->get("/query-name?jwt=Bearer%20$token{query}"), 401, "Missing 'token' query paramater", 'the default name no longer counts');
refused($t->get("/query?xjwt=$token{query}"), 401, "Missing 'jwt' query paramater", 'a name that ends alike');
accepted($t->get("/query?xjwt=$forged&jwt=$token{query}&jwt=$forged"), 'query', 'query_string', 'the first of a name counts');
accepted($t->get('/cookie-name', [Cookie => "a=b; __Host-session=$token{cookie}; c=d"]), 'cookie', 'cookies', 'jwt_access_cookie_name among others');
accepted($t->get('/cookie-name', [Cookie => qq(__Host-session="$token{cookie}")]), 'cookie', 'cookies', 'a quoted cookie');
refused($t->get('/cookie-name', [Cookie => "X__Host-session=$token{cookie}"]), 401, 'Missing cookie "__Host-session"', 'a cookie that ends alike');
refused($t->get('/cookie-name', [Cookie => "__host-session=$token{cookie}"]), 401, 'Missing cookie "__Host-session"', 'a cookie in another case');
accepted($t->post('/json-name', $json_type, encode_json({ 'my token' => $token{json} })), 'json', 'json', 'jwt_json_key');
refused($t->post('/json-name', $json_type, encode_json({ access_token => $token{json} })), 401, 'Missing "my token" key in json data.', 'the default key no longer counts');

for my $type ('application/json; charset=utf-8', 'Application/JSON', 'application/problem+json') {
    accepted($t->post('/json', ['Content-Type' => $type], encode_json({ access_token => $token{json} })), 'json', 'json', "JSON as $type");
}
refused($t->post('/json', ['Content-Type' => 'text/json'], encode_json({ access_token => $token{json} })), 401,
    'Invalid content-type. Must be application/json.', 'JSON as text/json');

# ---- refresh tokens have names of their own

accepted($t->get('/refresh', [Cookie => "refresh_token_cookie=$refresh"]), 'refresh', 'cookies', 'the cookie of a refresh token');
accepted($t->post('/refresh', $json_type, encode_json({ refresh_token => $refresh })), 'refresh', 'json', 'its JSON key');
refused($t->post('/refresh', [@$json_type, Cookie => "access_token_cookie=$refresh"], encode_json({ access_token => $refresh })), 401,
    'Missing JWT in cookies or json (Missing cookie "refresh_token_cookie"; Missing "refresh_token" key in json data.)', 'not those of an access token');
accepted($t->get('/refresh-names', [Cookie => "again=$refresh"]), 'refresh', 'cookies', 'jwt_refresh_cookie_name');
accepted($t->post('/refresh-names', $json_type, encode_json({ renew => $refresh })), 'refresh', 'json', 'jwt_refresh_json_key');

# ---- bodies reach the upstream whole

my $text = join '', map { sprintf '%06d ', $_ } 1 .. 43_000;
my %body = (
    'small' => encode_json({ a => 1, access_token => $token{json}, b => [1, 2] }),
    'beyond the buffer' => encode_json({ access_token => $token{json}, filler => 'x' x 3000 }),
    'of 300 KB, the token first' => qq({"access_token":"$token{json}","filler":"$text"}),
    'of 300 KB, the token last' => qq(  {"filler":"$text\xc3\xa4\\u0000","access_token":"$token{json}"}\r\n ),
);
for my $kind (sort keys %body) {
    my $body = $body{$kind};
    my $plain = $t->post('/json', $json_type, $body);
    accepted($plain, 'json', 'json', "a body $kind");
    ok($plain->{json}{body} eq $body, 'reaches the upstream byte for byte');
    my @chunks = $body =~ /(.{1,7001})/gs;
    my $chunked = $t->post('/json', $json_type, \@chunks);
    accepted($chunked, 'json', 'json', "a chunked body $kind");
    ok($chunked->{json}{body} eq $body, 'reaches the upstream byte for byte');
    my $second = $t->h2('POST', '/json', $json_type, $body);
    accepted($second, 'json', 'json', "a body $kind, over HTTP/2");
    ok($second->{json}{body} eq $body, 'reaches the upstream byte for byte');
}

my $bytes = join '', map { chr } 0 .. 255;
my $any = $t->post('/all', [Authorization => "Bearer $token{header}", 'Content-Type' => 'application/octet-stream'], $bytes x 1200);
ok($any->{json}{body} eq $bytes x 1200, 'a body that need not be read is passed on as ever');

refused($t->post('/big', $json_type, '{"filler":"' . 'x' x (1024 * 1024) . qq(","access_token":"$token{json}"})), 401,
    'Missing "access_token" key in json data.', 'no token is looked for in more than a megabyte');
accepted($t->post('/big', $json_type, '{"filler":"' . 'x' x (1023 * 1024) . qq(","access_token":"$token{json}"})), 'json', 'json', 'in less, one is');

# The body in two parts with a pause, and two requests on one connection.
my $connection = $t->connection;
my $body = $body{'beyond the buffer'};
$connection->send("POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n");
$connection->send(substr $body, 0, 100);
$t->get('/headers');
$connection->send(substr($body, 100) . "GET /headers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token{header}\r\n\r\n");
my $first = $connection->response('POST');
accepted($first, 'json', 'json', 'a body that comes in parts');
ok($first->{json}{body} eq $body, 'is whole');
accepted($connection->response, 'header', 'headers', 'and the next request on that connection is its own');
$connection->close;

# ---- nobody waits for a body that is not asked for

refused($t->raw("POST /headers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"), 401, 'Missing Authorization Header',
    'a refusal does not wait for the body');
refused($t->raw("GET /json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n"), 401,
    'Missing "access_token" key in json data.', 'a GET without a body is answered at once');
refused($t->raw("GET /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"), 401,
    'Invalid content-type. Must be application/json.', 'and one whose body cannot hold a token');
refused($t->raw("POST /all HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\nAuthorization: Bearer $forged\r\n\r\n"), 422,
    'Signature verification failed', 'and a forged token in an earlier place');

# nginx itself adds the request line to every line of its log, and quotes a header that came twice.
my $log = join "\n", map { s/, request: "[^"]*"//r } grep { !/client sent duplicate header line/ } split /\n/, $t->log;
ok(index($log, $_) < 0, 'row 50: no token in what we log') for values %token, $refresh, $forged;

done_testing;
