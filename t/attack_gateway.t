# Rows 47, 61 and 73 of the attack catalogue: what a claim could do to the requests, answers, limits and hooks that use it.

use strict;
use warnings;

use Encode qw(encode);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $headers = <<'EOF_HEADERS';
        proxy_set_header X-Identity $jwt_identity;
        proxy_set_header X-Claim "<$jwt_claim_x>";
        proxy_set_header X-Parameter "<$jwt_header_x>";
        proxy_set_header X-Payload $jwt_payload;
        add_header X-Out-Identity "<$jwt_identity>" always;
        add_header X-Out-Claim "<$jwt_claim_x>" always;
        add_header X-Out-Error "<$jwt_error>" always;
EOF_HEADERS

my $t = JWTTest->new(
    http2 => 1,
    http => <<'EOF_HTTP',
    log_format claims '$uri status=$jwt_status admin=$jwt_claim_admin identity=$jwt_identity';
    map $jwt_claim_admin $is_admin { default no; true yes; }
    map $jwt_claim_admin $early_admin { default no; true yes; }
    limit_req_zone $jwt_identity zone=by_identity:1m rate=1r/m;
    server {
        listen 127.0.0.1:%%PORT2%% http2;
        large_client_header_buffers 4 64k;
        location / { proxy_pass %%BACKEND%%; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    large_client_header_buffers 4 64k;
    proxy_buffer_size 64k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    jwt_secret_key "$JWTTest::Token::secret";
    access_log %%DIR%%/claims.log claims;
    location /proxy/ {
        jwt_required;
$headers
        proxy_pass %%BACKEND%%;
    }
    location /optional/ {
        jwt_required optional;
$headers
        proxy_pass %%BACKEND%%;
    }
    location /user/ {
        jwt_required;
        jwt_lua_file %%DIR%%/user.lua;
        proxy_set_header X-User "<\$jwt_user>";
        proxy_pass %%BACKEND%%;
    }
    location /grpc/ {
        jwt_required;
        grpc_set_header X-Identity \$jwt_identity;
        grpc_set_header X-Claim "<\$jwt_claim_x>";
        grpc_pass grpc://127.0.0.1:%%PORT2%%;
    }
    location /answer/ {
        jwt_required;
        jwt_lua_file %%DIR%%/answer.lua;
        jwt_handler claim_as_header;
    }
    location /if/ {
        jwt_required;
        if (\$jwt_claim_admin) { return 200 leaked; }
        if (\$jwt_identity) { return 200 leaked; }
        if (\$jwt_payload) { return 200 leaked; }
        if (\$jwt_status) { return 200 leaked; }
        set \$frozen "\$jwt_claim_admin";
        proxy_set_header X-Admin "<\$jwt_claim_admin>";
        proxy_set_header X-Identity "<\$jwt_identity>";
        proxy_set_header X-Payload "<\$jwt_payload>";
        proxy_set_header X-Status "<\$jwt_status>";
        proxy_set_header X-Frozen "<\$frozen>";
        proxy_pass %%BACKEND%%;
    }
    location /map/ {
        jwt_required;
        proxy_set_header X-Is-Admin \$is_admin;
        proxy_pass %%BACKEND%%;
    }
    location /early-map/ {
        jwt_required;
        if (\$early_admin = yes) { return 200 leaked; }
        proxy_pass %%BACKEND%%;
    }
    location /limited/ {
        jwt_required;
        limit_req zone=by_identity;
        proxy_pass %%BACKEND%%;
    }
    location /hook/ {
        jwt_required;
        jwt_lua_file %%DIR%%/hook.lua;
        jwt_handler claims;
    }
    location /pattern/ {
        jwt_required;
        jwt_lua_file %%DIR%%/pattern.lua;
        proxy_pass %%BACKEND%%;
    }
EOF_CONFIG
    files => {
        'user.lua' => 'return { user_lookup = function(header, payload) return payload.x end }',
        'answer.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  handlers = {
    claim_as_header = function()
      return "answered", 200, { ["X-Claim"] = jwt.get_jwt().x }
    end,
  },
}
EOF_LUA
        'hook.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  token_in_blocklist = function(header, payload)
    return type(payload.x) == "string" and payload.x:find("blocked", 1, true) ~= nil
  end,
  token_verification = function(header, payload) return true end,
  user_lookup = function(header, payload) return { claims = payload } end,
  handlers = {
    claims = function()
      return { payload = jwt.get_jwt(), user = jwt.get_current_user(), header = jwt.get_jwt_header() }
    end,
  },
}
EOF_LUA
        'pattern.lua' => <<'EOF_LUA',
return {
  token_verification = function(header, payload)
    return payload.subject:find(payload.pattern) ~= nil
  end,
}
EOF_LUA
    },
);

my $encoder = JSON::PP->new->ascii->canonical;

sub token_with {
    my (%members) = @_;
    return raw_token('{"alg":"HS256"}', $encoder->encode(claims(%members)));
}

# Every value that reached the backend in a header of that name. The echo makes a character of each byte.
sub received {
    my ($response, $name) = @_;
    return [map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] }];
}

sub names {
    my ($response) = @_;
    return join ' ', sort map { lc $_->[0] } @{ $response->{json}{headers} || [] };
}

# ---- row 47: no claim ever makes a header line

my %said = (
    'CR LF and a header' => ["a\r\nX-Admin: 1", 'a%0D%0AX-Admin: 1'],
    'LF and a header' => ["a\nX-Admin: 1", 'a%0AX-Admin: 1'],
    'CR and a header' => ["a\rX-Admin: 1", 'a%0DX-Admin: 1'],
    'the end of a head, and a request' => ["a\r\n\r\nGET /x HTTP/1.1\r\nX-Admin: 1", 'a%0D%0A%0D%0AGET /x HTTP/1.1%0D%0AX-Admin: 1'],
    'a line that goes on' => ["a\r\n X-Admin: 1", 'a%0D%0A X-Admin: 1'],
    'NUL' => ["a\0X-Admin: 1", 'a%00X-Admin: 1'],
    'ESC and DEL' => ["a\e[2J\x7f", 'a%1B[2J%7F'],
    'a tab' => ["a\tb", 'a%09b'],
    'CR LF that is spelt, beside one that is not' => ["%0D%0A\r\n", '%250D%250A%0D%0A'],
    'a percent sign alone' => ['100% %0D', '100% %0D'],
    'line separators of Unicode' => ["a\x{2028}b\x{2029}c\x{85}d", encode('UTF-8', "a\x{2028}b\x{2029}c\x{85}d")],
    'letters beyond ASCII' => ["J\x{f6}rg \x{1f600}", encode('UTF-8', "J\x{f6}rg \x{1f600}")],
    '4 KB' => ['y' x 4096, 'y' x 4096],
    '3 KB of CR LF' => ["\r\n" x 500, '%0D%0A' x 500],
    'quotes and variables' => ['"$jwt_payload" ${x} \\', '"$jwt_payload" ${x} \\'],
);

my %send = (
    h1 => sub { return $t->get_with('/proxy/', $_[0]) },
    h2 => sub { return $t->h2(GET => '/proxy/', [Authorization => "Bearer $_[0]"]) },
    grpc => sub { return $t->h2(GET => '/grpc/', [Authorization => "Bearer $_[0]"]) },
);
for my $protocol (sort keys %send) {
    my $plain = $send{$protocol}->(token_with(sub => 'alice', x => 'plain'));
    is_deeply([received($plain, 'X-Identity'), received($plain, 'X-Claim')], [['alice'], ['<plain>']], "row 47: $protocol: a plain claim");
    my $lines = names($plain);
    for my $name (sort keys %said) {
        my ($text, $seen) = @{ $said{$name} };
        my $response = $send{$protocol}->(token_with(sub => $text, x => $text));
        is_deeply([received($response, 'X-Identity'), received($response, 'X-Claim')], [[$seen], ["<$seen>"]],
            "row 47: $protocol: $name: one line for each");
        is(names($response), $lines, "row 47: $protocol: $name: no line more");
        next if $protocol eq 'grpc';
        is_deeply([$response->all('X-Out-Identity'), $response->all('X-Out-Claim')], ["<$seen>", "<$seen>"],
            "row 47: $protocol: $name: the same in the answer");
        is_deeply([grep { $_->[0] =~ /admin/i } @{ $response->{raw} }], [], "row 47: $protocol: $name: which has no line more");
    }
}

# Within JSON text such characters are escaped as JSON does.
my $object = { "k\r\nX-Admin: 1" => ["v\r\nX-Admin: 1\x7f\0"] };
my $structured = $t->get_with('/proxy/', token_with(x => $object));
is_deeply(received($structured, 'X-Claim'), ['<{"k\r\nX-Admin: 1":["v\r\nX-Admin: 1\u007f\u0000"]}>'], 'row 47: control characters within an object');
my ($payload) = @{ received($structured, 'X-Payload') };
is_deeply(JSON::PP->new->decode($payload)->{x}, $object, 'row 47: and within $jwt_payload, which can be read again');
unlike($payload, qr/[\x00-\x1f\x7f]/, 'row 47: where there is none as it is');
is_deeply(received($structured, 'X-Admin'), [], 'row 47: nor a header of theirs');

my $parameter = $t->get_with('/proxy/', raw_token('{"alg":"HS256","x":"a\r\nX-Admin: 1"}', $encoder->encode(claims())));
is_deeply([received($parameter, 'X-Parameter'), received($parameter, 'X-Admin')], [['<a%0D%0AX-Admin: 1>'], []], 'row 47: a header parameter');

my $utf8 = $t->get_with('/proxy/', raw_token('{"alg":"HS256"}', qq({"sub":"a","x":"\xff\r\\nX-Admin: 1"})));
is($utf8->{status}, 422, 'row 47: invalid UTF-8 is refused');
is($t->get_with('/proxy/', raw_token('{"alg":"HS256"}', qq({"sub":"a","x":"a\r\nX-Admin: 1"})))->{status}, 422,
    'row 47: and so are control characters that JSON wants escaped');

my $crit = $t->get_with('/proxy/', raw_token('{"alg":"HS256","crit":["a\r\nX-Admin: 1"]}', $encoder->encode(claims())));
is($crit->{status}, 422, 'row 47: a refusal that names what the token said');
is_deeply([$crit->all('X-Out-Error'), $crit->all('X-Admin')], ['<Unsupported critical extension: a??X-Admin: 1>'], 'row 47: names it in one line');
is_deeply($crit->{json}, { msg => 'Unsupported critical extension: a??X-Admin: 1' }, 'row 47: and in JSON');

my $user = $t->get_with('/user/', token_with(x => "u\r\nX-Admin: 1"));
is_deeply([received($user, 'X-User'), received($user, 'X-Admin')], [['<u%0D%0AX-Admin: 1>'], []], 'row 47: what user_lookup returned');
my $nobody = $t->get_with('/user/', token_with(sub => "bob\"\r\nX-Admin: \\1\x{2028}"));
is($nobody->{status}, 401, 'row 47: a user who is not found');
is_deeply([$nobody->all('WWW-Authenticate')],
    [q(Bearer realm="restricted", error="invalid_token", error_description="Error loading the user bob'??X-Admin: ?1???")],
    'row 47: is named in one line of the challenge');
is_deeply([$nobody->all('X-Admin')], [], 'row 47: and makes none');
is_deeply($nobody->{json}, { msg => "Error loading the user bob\"\r\nX-Admin: \\1\x{2028}" }, 'row 47: the body says it whole');

is_deeply([$t->get_with('/answer/', token_with(x => 'fine'))->all('X-Claim')], ['fine'], 'row 47: a claim in a header of a handler');
my $split = $t->get_with('/answer/', token_with(x => "a\r\nX-Admin: 1"));
is($split->{status}, 500, 'row 47: with a line end it is no answer');
is_deeply([$split->all('X-Claim'), $split->all('X-Admin')], [], 'row 47: and no header');

# ---- row 61: nothing of a token is seen before all of it was judged

my $good = token_with(sub => 'alice', admin => JSON::PP::true);
my $forged = token(claims(sub => 'alice', admin => JSON::PP::true), key => 'another secret of thirty-two bytes or more');
my $expired = token_with(sub => 'alice', admin => JSON::PP::true, exp => time - 60);

for my $case ([forged => $forged, 422], [expired => $expired, 401]) {
    my ($name, $token, $status) = @$case;
    my $response = $t->get_with('/if/', $token);
    is($response->{status}, $status, "row 61: a token that is $name is refused");
    unlike($response->{body}, qr/leaked/, "row 61: no `if` saw a claim of it ($name)");
    is($t->get_with('/early-map/', $token)->{status}, $status, "row 61: nor did a map ($name)");
    my $optional = $t->get_with('/optional/', $token);
    is_deeply([$optional->all('X-Out-Identity')], ['<>'], "row 61: nor does a header of the answer ($name)");
}
my $seen = $t->get_with('/if/', $good);
is($seen->{status}, 200, 'row 61: the good one is let through');
unlike($seen->{body}, qr/leaked/, 'row 61: no `if` saw a claim of it either');
is_deeply([map { @{ received($seen, $_) } } qw(X-Admin X-Identity X-Status X-Frozen)], ['<true>', '<alice>', '<ok>', '<>'],
    'row 61: the variables that the `if` found empty are filled now');
like(received($seen, 'X-Payload')->[0], qr/\A<\{.*"admin":true.*\}>\z/, 'row 61: $jwt_payload too');
is_deeply(received($t->get_with('/map/', $good), 'X-Is-Admin'), ['yes'], 'row 61: a map of a claim');
is_deeply(received($t->get_with('/map/', token_with(admin => 'no')), 'X-Is-Admin'), ['no'], 'row 61: by its value');
is($t->get_with('/early-map/', $good)->{json}{uri}, '/early-map/', 'row 61: a map that was asked too early');

is($t->get_with('/limited/', $forged)->{status}, 422, "row 61: forged token $_ counts for nobody") for 1 .. 3;
is($t->get_with('/limited/', $good)->{status}, 200, 'row 61: whose own request is not limited by them');

$t->wait_for(5, sub { $t->read_file('claims.log') =~ m{^/limited/ status=ok}m });
my $log = $t->read_file('claims.log');
like($log, qr{^/if/ status=invalid admin=- identity=-$}m, 'row 61: a log line of the forged token has no claims');
like($log, qr{^/if/ status=expired admin=- identity=-$}m, 'row 61: nor has one of the expired');
like($log, qr{^/if/ status=ok admin=true identity=alice$}m, 'row 61: one of the good token has');

# ---- row 73: to hooks, claims are data

my %data = (
    'Lua source' => 'os.execute("touch %%DIR%%/owned") error("x")',
    'the end of a long string' => ']]; os.exit(1) --[[',
    'a bytecode mark' => "\eLJ\x02",
    'formats' => '%s %d %n %5$s %',
    'patterns' => '^(.-)%1%b()%f[%w]$[[',
    'names of metamethods' => { __index => { a => 1 }, __gc => 'x', __metatable => 'y', __tostring => 'z' },
    'names of a hook' => { token_verification => JSON::PP::true, handlers => {} },
    'numbers as names' => { 1 => 'a', 2 => 'b', '-1' => 'c' },
    'empty values' => ['', {}, [], undef],
    'NUL within' => "a\0b",
    'an array that is nested' => [[['a', [1, 2, [3]]]]],
    '7 KB' => 'abc"\\' x 1400,
    '500 numbers' => [1 .. 500],
);
for my $name (sort keys %data) {
    my $claims = claims(x => $data{$name});
    my $response = $t->get_with('/hook/', raw_token('{"alg":"HS256","x":"y"}', $encoder->encode($claims)));
    is($response->{status}, 200, "row 73: $name as a claim");
    is_deeply($response->{json}, { payload => $claims, user => { claims => $claims }, header => { alg => 'HS256', x => 'y' } },
        "row 73: $name passes through the hooks unchanged");
}
for my $nest (['[', ']'], ['{"d":', '}']) {
    my $nested = '{"sub":"a","type":"access","fresh":false,"jti":"j","x":' . $nest->[0] x 60 . '1' . $nest->[1] x 60 . '}';
    my $response = $t->get_with('/hook/', raw_token('{"alg":"HS256"}', $nested));
    is_deeply($response->{json} && $response->{json}{payload}, JSON::PP->new->decode($nested), "row 73: 60 times $nest->[0]");
}
is($t->get_with('/hook/', token_with(x => 'is blocked'))->{status}, 401, 'row 73: a text that is searched for, where it is');
ok(!-e $t->dir . '/owned', 'row 73: nothing of it was run');

my %pattern = ('^al' => 200, 'xx' => 400, 'l%w+' => 200);
is($t->get_with('/pattern/', token_with(subject => 'alice', pattern => $_))->{status}, $pattern{$_}, "row 73: a claim as a pattern: $_")
    for sort keys %pattern;
my %bad_pattern = ('open groups' => '(((', 'an end too early' => '%', 'an open set' => '[', 'no such group' => '%1', 'a table' => {}, 'nothing' => undef,
    '7 KB of groups' => '(.-)' x 1750);
for my $name (sort keys %bad_pattern) {
    my $response = $t->get_with('/pattern/', token_with(subject => 'alice', pattern => $bad_pattern{$name}));
    is($response->{status}, 500, "row 73: $name as a pattern costs that request a 500");
    unlike($response->{body}, qr/"uri"/, "row 73: $name: and lets nothing through");
}
my $start = time;
my $bomb = $t->get_with('/pattern/', token_with(subject => 'a' x 3000, pattern => '.-' x 20 . 'b'));
is($bomb->{status}, 500, 'row 73: a pattern that would search for years is given up');
cmp_ok(time - $start, '<', 5, 'row 73: soon');
is($t->get_with('/pattern/', token_with(subject => 'alice', pattern => 'al'))->{status}, 200, 'row 73: and the hook goes on working');

done_testing;
