# The $jwt_* variables: their forms, when they are set, and when nothing is left of them.

use strict;
use warnings;

use Encode qw(encode);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $other_secret = 'the secret of one location, which is long enough for HS256';
my $show = join ' ', map { my $variable = $_; 'proxy_set_header X-' . ($variable =~ s/^jwt_//r =~ tr/_/-/r) . qq( "<\$$variable>";) }
    qw(jwt_identity jwt_claim_v jwt_claim_groupid jwt_payload jwt_location jwt_user jwt_status jwt_error jwt_header_alg jwt_header_kid);
my $pass = "$show proxy_pass %%BACKEND%%;";

my $t = JWTTest->new(
    http => 'log_format jwt "$request_uri $jwt_status <$jwt_error> <$jwt_identity> <$jwt_claim_v>";',
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    access_log %%DIR%%/jwt.log jwt;
    jwt_secret_key "$JWTTest::Token::secret";
    location /plain/ { jwt_required; $pass }
    location /case/ {
        jwt_required;
        proxy_set_header X-Lower "<\$jwt_claim_groupid>";
        proxy_set_header X-Written "<\$jwt_claim_groupId>";
        proxy_set_header X-Nested "<\$jwt_claim_realm_access>";
        proxy_set_header X-Twice "<\$jwt_claim_v><\$jwt_claim_v>";
        proxy_pass %%BACKEND%%;
    }
    location /open/ { $pass }
    location /optional/ { jwt_required optional; $pass }
    location /fresh/ { jwt_required fresh; $pass }
    location /conditional/ { jwt_required if=\$arg_protect; $pass }
    location /everywhere/ { jwt_required locations=headers,cookies,query_string,json; $pass }
    location /by-name/ { jwt_required; jwt_identity_claim name; $pass }
    location /hooks/ { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; $pass }
    location /other-key/ { jwt_required; jwt_secret_key "$other_secret"; $pass }

    location /page/ { jwt_required; error_page 401 422 /open/page; $pass }
    location /try/open/ { jwt_required; try_files /missing /open/tried; }
    location /try/named/ { jwt_required; try_files /missing \@named; }
    location /try/fresh/ { jwt_required; try_files /missing /fresh/tried; }
    location /try/other/ { jwt_required; try_files /missing /other-key/tried; }
    location /try/closed/ { try_files /missing /plain/tried; }
    location /rewrite/open/ { jwt_required; rewrite ^ /open/rewritten last; }
    location /rewrite/closed/ { rewrite ^ /plain/rewritten last; }
    location /not-found/closed/ { error_page 404 = /plain/found; }
    location /not-found/named/ { error_page 404 = \@closed; }
    location /accel/ { proxy_pass %%BACKEND%%; }
    location /accel/closed/ { jwt_required; proxy_pass %%BACKEND%%; }
    location \@named { $pass }
    location \@closed { jwt_required; rewrite ^ /found break; $pass }
    location /directory/ { jwt_required; }
EOF_CONFIG
    files => {
        'html/directory/index.html' => 'a file inside',
        'hooks.lua' => <<'EOF_LUA',
return {
  token_in_blocklist = function(header, payload) return payload.jti == "revoked" end,
  token_verification = function(header, payload)
    if payload.v == "fail" then error("failed on purpose") end
    return payload.v ~= "other"
  end,
  user_lookup = function(header, payload) return payload.user end,
}
EOF_LUA
    },
    backend => sub {
        my ($request) = @_;
        return [200, ['X-Accel-Redirect' => $1], ''] if $request->{uri} =~ m{\A/accel/.*[?]to=(.+)};
        return;
    },
);

my $encoder = JSON::PP->new->ascii->canonical;
my $fallback = '"sub":"alice","jti":"j"';
sub with_members { return raw_token('{"alg":"HS256","kid":"the key"}', "{$fallback" . join('', map { ",$_" } @_) . '}') }

sub header_of {
    my ($response, $name) = @_;
    my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] };
    return @values == 1 ? $values[0] : "@values";
}

# ---- forms

my @forms = (
    ['a string' => '"a b"' => 'a b'], ['an empty string' => '""' => ''], ['a string of spaces' => '"  "' => '  '],
    ['escapes' => '"a\"b\\\\c\/d\u0041"' => 'a"b\\c/dA'], ['a string that looks like JSON' => '"{\"a\":1}"' => '{"a":1}'],
    ['Unicode' => '"J\u00f6rg \ud83d\ude00"' => encode('UTF-8', "J\x{f6}rg \x{1f600}")],
    ['Unicode as bytes' => '"J' . encode('UTF-8', "\x{f6}") . 'rg"' => encode('UTF-8', "J\x{f6}rg")],
    ['0' => '0' => '0'], ['a negative number' => '-12' => '-12'], ['a fraction' => '1.5' => '1.5'], ['a great number' => '9007199254740993' => '9007199254740993'],
    ['the greatest number' => '18446744073709551615' => '18446744073709551615'], ['the least number' => '-9223372036854775808' => '-9223372036854775808'],
    ['true' => 'true' => 'true'], ['false' => 'false' => 'false'], ['null' => 'null' => ''],
    ['an object' => '{ "b" : 1, "a" : [ 1 , "x" , null ] }' => '{"b":1,"a":[1,"x",null]}'], ['an empty object' => '{ }' => '{}'],
    ['an array' => '["admin", "user"]' => '["admin","user"]'], ['an empty array' => '[ ]' => '[]'],
    ['Unicode in an array' => '["J\u00f6rg","a\"b"]' => '["J' . encode('UTF-8', "\x{f6}") . 'rg","a\"b"]'],
);
for my $form (@forms) {
    my ($name, $json, $text) = @$form;
    my $response = $t->get_with('/plain/', with_members(qq("v":$json)));
    is(header_of($response, 'X-Claim-V'), "<$text>", "a claim: $name");
}
is(header_of($t->get_with('/plain/', with_members()), 'X-Claim-V'), '<>', 'a claim: absent');
is(header_of($t->get_with('/by-name/', with_members(qq("name":$_->[1]))), 'X-Identity'), "<$_->[2]>", "the identity: $_->[0]")
    for @forms[0, 3, 7, 9, 16, 18];

my @cases = (
    ['by its own name' => '"groupid":"lower"', '<lower>'], ['by another case' => '"groupId":"mixed"', '<mixed>'], ['in capitals' => '"GROUPID":"upper"', '<upper>'],
    ['the very name before another' => '"groupId":"mixed","groupid":"lower"', '<lower>'],
    ['two that differ in case alone' => '"groupId":"one","GroupId":"two"', '<>'], ['a longer name' => '"groupids":"x","groupi":"y"', '<>'],
);
for my $case (@cases) {
    my ($name, $members, $value) = @$case;
    my $response = $t->get_with('/case/', with_members($members));
    is_deeply([map { header_of($response, $_) } qw(X-Lower X-Written)], [$value, $value], "a claim found $name");
}
is(header_of($t->get_with('/case/', with_members('"realm_access":{"roles":["a"]}')), 'X-Nested'), '<{"roles":["a"]}>', 'a name with an underscore');
is(header_of($t->get_with('/case/', with_members('"v":"x"')), 'X-Twice'), '<x><x>', 'a variable that is used twice in one text');

my $all = $t->get_with('/plain/', with_members('"v":1'));
is_deeply(
    [map { header_of($all, "X-$_") } qw(Identity Payload Location User Status Error Header-Alg Header-Kid)],
    ['<alice>', "<{$fallback,\"v\":1}>", '<headers>', '<>', '<ok>', '<>', '<HS256>', '<the key>'], 'every variable of a token without hooks');

my $good = with_members('"v":"seen"', '"csrf":"c"');
my %place = (
    headers => $t->get_with('/everywhere/', $good), cookies => $t->get('/everywhere/', [Cookie => "access_token_cookie=$good"]),
    query_string => $t->get("/everywhere/?jwt=$good"),
    json => $t->post('/everywhere/', ['Content-Type' => 'application/json'], qq({"access_token":"$good"})),
);
is(header_of($place{$_}, 'X-Location'), "<$_>", "\$jwt_location: $_") for sort keys %place;

my %user = ('a string' => ['"bob"', 'bob'], 'a number' => ['7', '7'], 'true' => ['true', 'true'], 'false' => ['false', 'false'],
    'an object' => ['{"name":"Bob"}', '{"name":"Bob"}'], 'an array' => ['[1,2]', '[1,2]']);
is(header_of($t->get_with('/hooks/', with_members(qq("user":$user{$_}[0]))), 'X-User'), "<$user{$_}[1]>", "\$jwt_user: $_") for sort keys %user;

# ---- $jwt_status and $jwt_error, in the access log

sub of { my ($location, $token) = @_; return [$location, defined $token ? [Authorization => "Bearer $token"] : []] }
my $now = time;
my $failed_user = 'Error loading the user alice';
my @outcomes = (
    [of('/plain/', $good), 200, 'ok', '-', 'alice', 'seen'],
    [of('/plain/'), 401, 'missing', 'Missing Authorization Header'],
    [of('/plain/', 'abc'), 422, 'invalid', 'Not enough segments'],
    [of('/plain/', with_members('"type":"refresh"')), 422, 'invalid', 'Only non-refresh tokens are allowed'],
    [of('/plain/', raw_token('{"alg":"HS256"}', '{"sub":"alice","v":1}', $other_secret)), 422, 'invalid', 'Signature verification failed'],
    [of('/plain/', with_members(sprintf '"v":"seen","exp":%d', $now - 60)), 401, 'expired', 'Token has expired'],
    [of('/fresh/', $good), 401, 'not_fresh', 'Fresh token required'],
    [of('/hooks/', raw_token('{"alg":"HS256"}', '{"sub":"alice","jti":"revoked","v":1}')), 401, 'revoked', 'Token has been revoked'],
    [of('/hooks/', with_members('"v":"other"')), 400, 'verification_failed', 'User claims verification failed'],
    [of('/hooks/', with_members('"v":"seen"')), 401, 'user_lookup_failed', $failed_user],
    [of('/hooks/', with_members('"v":"fail"')), 500, 'error', 'Token cannot be verified'],
    [of('/hooks/', with_members('"v":"seen","user":1')), 200, 'ok', '-', 'alice', 'seen'],
    [of('/optional/'), 200, 'missing', 'Missing Authorization Header'],
    [of('/optional/', $good), 200, 'ok', '-', 'alice', 'seen'],
    [of('/optional/', 'abc'), 422, 'invalid', 'Not enough segments'],
    [of('/open/', $good), 200, '-', '-'],
    [of('/conditional/', $good), 200, '-', '-'],
    [of('/conditional/?protect=1', $good), 200, 'ok', '-', 'alice', 'seen'],
    [of('/page/'), 401, 'missing', 'Missing Authorization Header'],
    [of('/page/', 'abc'), 422, 'invalid', 'Not enough segments'],
    [of('/page/', $good), 200, 'ok', '-', 'alice', 'seen'],
);
my @lines;
for my $number (0 .. $#outcomes) {
    my ($request, $code, $status, $error, $identity, $claim) = @{ $outcomes[$number] };
    my ($path, $headers) = @$request;
    my $uri = $path . ($path =~ /[?]/ ? '&' : '?') . "n=$number";
    my $name = "$path: $status";
    is($t->get($uri, $headers)->{status}, $code, "$name: the answer is $code");
    push @lines, [$name, join ' ', $uri, $status, map { '<' . ($_ // '-') . '>' } $error, $identity, $claim];
}
my $options = $t->request('OPTIONS', '/plain/?n=options', [Authorization => "Bearer $good"]);
is($options->{status}, 200, 'an exempt method: the answer is 200');
push @lines, ['an exempt method', '/plain/?n=options - <-> <-> <->'];
$t->wait_for(5, sub { $t->read_file('jwt.log') =~ /n=options/ });
my $log = $t->read_file('jwt.log');
like($log, qr/^\Q$_->[1]\E$/m, "$_->[0]: the access log") for @lines;

# ---- nothing is left over

my @ours = qw(X-Identity X-Claim-V X-Payload X-Location X-User X-Header-Alg);
my @empty = ('<>') x @ours;

my $c = $t->connection;
for my $case (['/plain/', $good, '<alice>'], ['/open/', $good, '<>'], ['/plain/', $good, '<alice>'], ['/optional/', undef, '<>'],
    ['/plain/', with_members('"v":"second"'), '<alice>'], ['/open/', undef, '<>']) {
    my ($path, $token, $identity) = @$case;
    $c->request('GET', $path, of($path, $token)->[1]);
    my $response = $c->response;
    is(header_of($response, 'X-Identity'), $identity, "on one connection: $path" . (defined $token ? ' with a token' : ''));
    is_deeply([map { header_of($response, $_) } @ours], \@empty, "on one connection: $path has nothing of the request before") if $identity eq '<>';
}
$c->request('GET', '/plain/', of('', 'abc')->[1]);
is($c->response->{status}, 422, 'on one connection: refused after all those');
$c->close;

for my $path ('/try/open/', '/try/named/') {
    my $response = $t->get_with($path, $good);
    is($response->{status}, 200, "$path: a good token is let through to an unprotected location");
    is_deeply([map { header_of($response, $_) } qw(X-Identity X-Status)], ['<alice>', '<ok>'], "$path: which is told of the token");
    is($t->get($path)->{status}, 401, "$path: no token is refused before");
}
my $page = $t->get('/page/');
is_deeply([map { header_of($page, $_) } 'X-Status', 'X-Error'], ['<missing>', '<Missing Authorization Header>'], 'an error page can say why it is shown');
is_deeply([map { header_of($page, $_) } @ours], \@empty, 'and knows nothing of a token');

# ---- internal redirects are judged by the rules of where they lead

my $fresh = with_members('"fresh":true', '"v":"seen"');
my $others = raw_token('{"alg":"HS256"}', '{"sub":"alice","v":"seen"}', $other_secret);
my @redirects = (
    ['/try/fresh/', [401, 401, 200, 422]], ['/try/other/', [401, 422, 422, 422]], ['/try/closed/', [401, 200, 200, 422]],
    ['/rewrite/open/', [200, 200, 200, 200]], ['/rewrite/closed/', [401, 200, 200, 422]],
    ['/not-found/closed/', [401, 200, 200, 422]], ['/not-found/named/', [401, 200, 200, 422]],
    ['/accel/?to=/plain/accel', [401, 200, 200, 422]], ['/accel/?to=@closed', [401, 200, 200, 422]], ['/accel/?to=/open/accel', [200, 200, 200, 200]],
    ['/accel/closed/?to=/fresh/accel', [401, 401, 200, 422]], ['/accel/closed/?to=/other-key/accel', [401, 422, 422, 422]],
);
for my $case (@redirects) {
    my ($path, $statuses) = @$case;
    my %with = (none => undef, good => $good, fresh => $fresh, "another key's" => $others);
    my @names = ('none', 'good', 'fresh', "another key's");
    for my $number (0 .. $#names) {
        my $response = $t->get($path, of($path, $with{ $names[$number] })->[1]);
        is($response->{status}, $statuses->[$number], "$path, token $names[$number]");
        is(defined $response->{json}{uri} ? 1 : 0, $statuses->[$number] == 200 ? 1 : 0, "$path, token $names[$number]: " .
            ($statuses->[$number] == 200 ? 'content' : 'no content'));
    }
}
my $tried = $t->get_with('/try/fresh/', $fresh);
is_deeply([map { header_of($tried, $_) } qw(X-Identity X-Claim-V X-Status)], ['<alice>', '<seen>', '<ok>'], 'where a token was judged twice, its claims show');
is($t->get_with('/directory/', $good)->{body}, 'a file inside', 'an index file is judged as its folder is');
is($t->get('/directory/')->{status}, 401, 'and refused so');

done_testing;
