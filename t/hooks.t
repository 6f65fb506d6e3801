# Every hook: what it is told, what its answer becomes, and that whatever goes wrong in one refuses its request alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JSON::PP qw(encode_json);
use MIME::Base64 ();

my @answers = qw(expired_token needs_fresh_token revoked_token token_verification_failed user_lookup_error invalid_token unauthorized);
my @of_token = grep { !/invalid_token|unauthorized/ } @answers;
my @decisions = qw(token_in_blocklist token_verification);

# What brings a request to a hook: the hooks beside it, the requirement, and the token.
my %way = (
    expired_token => { token => sub { token(claims(exp => time - 5, @_)) } },
    needs_fresh_token => { required => 'fresh' },
    revoked_token => { beside => 'token_in_blocklist = function() return true end,' },
    token_verification_failed => { beside => 'token_verification = function() return false end,' },
    user_lookup_error => { beside => 'user_lookup = function() return nil end,' },
    invalid_token => { token => sub { my $text = token(claims(@_)); chop $text; "$text." } },
    unauthorized => { token => sub { '' } },
);

my $other_key = 'another secret of sixty-four bytes, as long as it has to be..!!!';
my $pair = keypair('ES256');
my $pem = $pair->{public};
my $jwk = encode_json({ %{ $pair->{public_jwk} }, kid => 'j' });

my (%files, $locations, @rows);
my $upstream = 'proxy_set_header X-Identity $jwt_identity; proxy_set_header X-User $jwt_user; proxy_pass %%BACKEND%%;';

# A location with a hooks file of its own; its path.
sub place {
    my ($lua, %options) = @_;
    my $number = keys %files;
    my $required = exists $options{required} ? "jwt_required $options{required};" : 'jwt_required;';
    my $content = $options{content} || $upstream;
    $files{"$number.lua"} = "local jwt = require 'jwt'\n$lua";
    $locations .= "location = /$number { $required jwt_lua_file %%DIR%%/$number.lua; " . ($options{more} || '') . " $content }\n";
    return "/$number";
}

# One hook returning that.
sub hook_place {
    my ($hook, $body, %options) = @_;
    my $way = $way{$hook} || {};
    return place("return {\n" . ($way->{beside} || '') . "\n$hook = function(...)\n$body\nend }\n", required => $way->{required} || '', %options);
}

my $good = token(claims());
my $broken = 'return setmetatable({}, {}) .. nil';

# ---- what each is told

my %told = map { $_ => hook_place($_, $_ eq 'invalid_token' || $_ eq 'unauthorized'
    ? 'return { hook = "' . $_ . '", reason = (...), count = select("#", ...) }, 418'
    : 'local header, payload = ... return { hook = "' . $_ . '", header = header, payload = payload, count = select("#", ...) }, 418') } @answers;
my %decides = (
    token_in_blocklist => { no => 'true', yes => 'false', status => 401, message => 'Token has been revoked' },
    token_verification => { no => 'false', yes => 'true', status => 400, message => 'User claims verification failed' },
);
for my $hook (@decisions) {
    $decides{$hook}{$_ . '_place'} = hook_place($hook, "local header, payload = ...\n"
        . "jwt.log('notice', 'saw ' .. select('#', ...) .. header.kid .. payload.jti .. payload.type .. tostring(payload.fresh))\nreturn $decides{$hook}{$_}") for qw(no yes);
}
my $user_place = hook_place('user_lookup', "local header, payload = ...\nreturn { name = payload.sub, kid = header.kid, n = select('#', ...) }");
my %user = map { $_->[0] => [hook_place('user_lookup', "return $_->[1]"), $_->[2]] }
    (['a string', '"bob"', 'bob'], ['a number', '7', '7'], ['true', 'true', 'true'], ['false', 'false', 'false'], ['an array', '{ 1, "b" }', '[1,"b"]'],
    ['an empty array', 'jwt.empty_array', '[]'], ['a text that no header line may hold', '"a\r\nX-Admin: 1"', 'a%0D%0AX-Admin: 1']);
my %no_user = map { $_ => hook_place('user_lookup', "return $_") } 'nil', 'jwt.null', '';

# ---- answers

my %form = (
    'a table' => ['{ a = { 1, 2, jwt.null }, b = jwt.empty_array, c = "\u{e4}" }', 200, 'application/json', '{"a":[1,2,null],"b":[],"c":"\u{e4}"}'],
    'a string' => ['"plain"', 200, 'text/plain; charset=utf-8', 'plain'],
    'a status' => ['"plain", 418', 418, 'text/plain; charset=utf-8', 'plain'],
    'a table and a status' => ['{ error = 1 }, 499', 499, 'application/json', '{"error":1}'],
    'headers' => ['"<b>", 403, { ["Content-Type"] = "text/html", ["X-A"] = 5, ["X-B"] = { "1", "2" } }', 403, 'text/html', '<b>'],
    'an empty table' => ['{}', 200, 'application/json', '{}'],
    'a status alone' => ['nil, 404', 404, undef, ''],
    'headers without a status' => ['"see", nil, { Location = "/login" }', 200, 'text/plain; charset=utf-8', 'see'],
    'a redirection' => ['"", 302, { Location = "https://id.example/" }', 302, 'text/plain; charset=utf-8', ''],
);
$_->[0] =~ s/\\u\{e4\}/\xc3\xa4/, $_->[3] =~ s/\\u\{e4\}/\xc3\xa4/ for values %form;
my %answered = map { my $kind = $_; $kind => { map { $_ => hook_place($_, "return $form{$kind}[0]") } qw(expired_token unauthorized) } } sort keys %form;

# ---- wrong returns: all of them 500

my $want = qr/return body \[, status \[, headers\]\], such as/;
my @wrong_answers = (
    ['', qr/returned nil: $want/], ['nil', qr/returned nil: $want/], ['true', qr/returned true as body: $want/],
    ['17', qr/returned a number as body: $want/], ['print', qr/returned a function as body: $want/], ['jwt.null', qr/returned null as body: $want/],
    ['{}, "401"', qr/returned a string as status: return an integer from 200 to 599/], ['{}, 101', qr/returned 101 as status: return an integer/],
    ['{}, 600', qr/returned 600 as status/], ['{}, 401.5', qr/returned 401\.5 as status/], ['{}, 0/0', qr/returned -?nan as status/], ['{}, true', qr/returned true as status/],
    ['{}, 401, "X-A: b"', qr/returned a string as headers: return a table such as/], ['{}, 401, { "X-A" }', qr/returned headers with a key that is no string/],
    ['{}, 401, { ["X-A"] = true }', qr/returned true as header "X-A": return a string, a number or an array/],
    ['{}, 401, { ["X-A"] = "a\r\nX-B: c" }', qr/returned a control character in header "X-A": leave it out, or encode it/],
    ['{}, 401, { ["X-A"] = { "a", "b\nc" } }', qr/returned a control character in header "X-A"/],
    ['{}, 401, { ["X A"] = "a" }', qr/returned a header whose name is no token: use letters/],
    ['{}, 401, { ["Content-Length"] = 1 }', qr/returned header "Content-Length": leave it to nginx/],
    ['{}, 401, { ["transfer-encoding"] = "chunked" }', qr/returned header "transfer-encoding": leave it to nginx/],
    ['{}, 401, {}, {}', qr/returned 4 values: $want/], ['{ f = print }', qr/the value at "f" is a function, which JSON has no form for/],
    ['{ a = { b = 0/0 } }', qr/the value at "a\.b" is a number that is not finite/], ['{ 1, 2, a = 3 }', qr/is a table with other keys beside 1 to n/],
    ['{ [1] = 1, [5] = 1 }', qr/is a table with gaps/], ['{ a = "\255" }', qr/the value at "a" is a string that is not UTF-8/],
    ['(function() local t = {} t.t = t return t end)()', qr/holds itself, or tables nested deeper than 64/],
);
my $decide = qr/: return true or false/;
my @wrong_decisions = (['', qr/returned no value$decide/], ['nil', qr/returned nil$decide/], ['1', qr/returned a number$decide/], ['"true"', qr/returned a string$decide/],
    ['{}', qr/returned a table$decide/], ['false, true', qr/returned 2 values$decide/], ['jwt.null', qr/returned null$decide/]);
my @wrong_users = (['1, 2', qr/returned 2 values: return the user, or nil/], ['print', qr/is a function, which JSON has no form for/], ['{ 0/0 }', qr/is a number that is not finite/]);
my $key_advice = qr/: return the text of a secret, PEM or JWK, or nil/;
my @wrong_keys = (['17', qr/returned a number$key_advice/], ['{ k = 1 }', qr/returned a table$key_advice/], ['true', qr/returned true$key_advice/], ['"a", "b"', qr/returned 2 values$key_advice/],
    ['"too short"', qr/hook decode_key of \S+ returned has 9 bytes, HS256 needs at least 32/], ['""', qr/returned has 0 bytes/],
    ['"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"', qr/returned is damaged/], ['[[{"kty":"FOO"}]]', qr/returned is of kty "FOO"/]);
for ([\@answers, \@wrong_answers], [\@decisions, \@wrong_decisions], [['user_lookup'], \@wrong_users], [['decode_key'], \@wrong_keys]) {
    my ($hooks, $wrong) = @$_;
    for my $hook (@$hooks) {
        # Every wrong return at the first hook of a kind, a sample of them at the others.
        my @some = $hook eq $hooks->[0] ? @$wrong : @$wrong[grep { $_ % 4 == 1 } 0 .. $#$wrong];
        push @rows, map { [$hook, "returns $_->[0]", hook_place($hook, "return $_->[0]"), $_->[1]] } @some;
    }
}
my $trace = "local function inner(x)\n  return x.a.b\nend\nlocal function outer(x)\n  local y = inner(x)\n  return y\nend\n";
for my $hook (@answers, @decisions, qw(user_lookup decode_key)) {
    my $way = $way{$hook} || {};
    my $path = place("${trace}return {\n" . ($way->{beside} || '') . "\n$hook = function()\n  local z = outer({})\n  return z\nend }\n", required => $way->{required} || '');
    my ($file) = $path =~ m{/(\d+)};
    push @rows, [$hook, 'fails', $path, qr/failed: \S+$file\.lua:3: attempt to index field 'a' \(a nil value\), traceback: \S+$file\.lua:3 in inner < \S+$file\.lua:6 in outer < \S+$file\.lua:12/];
    push @rows, [$hook, 'raises a table', hook_place($hook, 'error({ code = 1 })'), qr/failed: the error is a table/];
    push @rows, [$hook, 'writes a global', hook_place($hook, 'seen = true return true'), qr/a global "seen" would be shared by all requests/];
}

# ---- decode_key

my $decode = sub { hook_place('decode_key', @_) };
my %key_place = (
    'a secret' => [$decode->("return '$other_key'"), token(claims(), key => $other_key), $good],
    'a PEM' => [$decode->("return [[$pem]]", more => 'jwt_decode_algorithms ES256;'), token(claims(), key => $pair->{private}, alg => 'ES256'), $good],
    'a JWK' => [$decode->("return [[$jwk]]", more => 'jwt_decode_algorithms ES256;'), token(claims(), key => $pair->{private}, alg => 'ES256', header => { kid => 'j' }), $good],
    'a choice by header and payload' => [$decode->("local header, payload = ...\nif header.kid == 'a' and payload.iss == 'i' then return '$other_key' end\nreturn '$JWTTest::Token::secret'"),
        token(claims(iss => 'i'), key => $other_key, header => { kid => 'a' }), token(claims(), key => $other_key, header => { kid => 'a' })],
    'row 3: a PEM, the token MACed with it' => [$decode->("return [[$pem]]", more => 'jwt_decode_algorithms ES256 HS256;'),
        token(claims(), key => $pair->{private}, alg => 'ES256'), token(claims(), key => $pem)],
);
my $no_key = $decode->('return nil');
my $not_told = $decode->("local header, payload = ...\njwt.log('notice', 'told ' .. tostring(payload.type) .. tostring(payload.fresh))\nreturn '$JWTTest::Token::secret'");

# ---- order, and hooks around issuing

my $order = place(<<'EOF_LUA');
local function step(name, result) return function() jwt.log("notice", "step " .. name) return result end end
return {
  token_in_blocklist = step("blocklist", false),
  token_verification = step("verification", true),
  user_lookup = step("user", "u"),
}
EOF_LUA
my $skip = place('return { token_in_blocklist = function() return true end }', required => 'skip_revocation_check');
my $issue_lua = <<'EOF_LUA';
return {
  user_identity = function(identity) return identity.id end,
  additional_claims = function(identity) return { role = identity.role, both = "hook", id_type = type(identity) } end,
  additional_headers = function(identity) return { kid = "of-" .. identity.id, both = "hook" } end,
  handlers = { issue = function()
    return jwt.create_access_token({ id = "i-1", role = "admin" }, { additional_claims = { both = "option", own = 1 }, additional_headers = { both = "option" } })
  end, plain = function() return jwt.create_refresh_token({ id = "i-2" }) end },
}
EOF_LUA
my %issue = map { $_ => place($issue_lua, required => 'off', content => "jwt_handler $_;") } qw(issue plain);
my $issuing = sub { my ($hooks, %more) = @_; return place("return { $hooks, handlers = { issue = function() return jwt.create_access_token('alice') end } }", required => 'off', content => 'jwt_handler issue;', %more) };
my $encode = $issuing->("encode_key = function(identity) if identity == 'alice' then return '$other_key' end end");
my $encode_pem = $issuing->("encode_key = function() return [[$pair->{private}]] end", more => 'jwt_algorithm ES256; jwt_public_key %%DIR%%/es.pub;');
my $identity_false = $issuing->('user_identity = function() return false end', more => 'jwt_verify_sub off; jwt_identity_claim who;');
for (
    ['user_identity', 'return nil', qr/hook user_identity returned nil: return what the token shall name/],
    ['additional_claims', 'return "a"', qr/hook additional_claims returned a string: return a table/],
    ['additional_claims', 'return nil', qr/hook additional_claims returned nil: return a table/],
    ['additional_claims', 'return { 1 }', qr/what hook additional_claims returned has the key 1: names are strings/],
    ['additional_claims', 'return { exp = "soon" }', qr/claim "exp" must be/],
    ['additional_headers', 'return 1', qr/hook additional_headers returned a number: return a table/],
    ['additional_headers', 'return { alg = "none" }', qr/header "alg" follows from the key and cannot be set/],
    ['encode_key', 'return nil', qr/hook encode_key returned nil: return the text of a secret, PEM or JWK/],
    ['encode_key', 'return 1', qr/hook encode_key returned a number: return the text/],
    ['encode_key', 'return "too short"', qr/the key that encode_key returned has 9 bytes, HS256 needs at least 32/],
    ['encode_key', "return [[$pem]]", qr/the key that encode_key returned does not sign with jwt_algorithm HS256/],
    ['user_identity', 'error("down")', qr/down, traceback: /],
) {
    my ($hook, $body, $message) = @$_;
    push @rows, [$hook, "($body)", $issuing->("$hook = function() $body end"), $message, 'handler issue'];
}

my $open = place('return {}');
my $t = JWTTest->new(files => { %files, 'es.pub' => $pem }, config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    $locations
EOF_CONFIG

my $mark = 0;
sub new_log { my $log = $t->log; my $new = substr $log, $mark; $mark = length $log; return $new }

sub token_for {
    my ($hook, @more) = @_;
    my $make = ($way{$hook} || {})->{token};
    return $make ? $make->(@more) : token(claims(@more));
}

sub ask {
    my ($path, $token, $method) = @_;
    return $t->request($method || 'GET', $path, $token eq '' ? [] : [Authorization => "Bearer $token"]);
}

sub seen {
    my ($response, $name) = @_;
    my ($line) = grep { $_->[0] eq $name } @{ ref $response->{json} eq 'HASH' && $response->{json}{headers} || [] };
    return $line && $line->[1];
}

is(seen(ask($open, $good), 'X-Identity'), 'alice', 'a file without hooks changes nothing');

for my $hook (@of_token) {
    my $claims = { jti => 'the jti', deep => { list => [1, { a => undef }], empty => [], none => {} }, fresh => undef, type => undef };
    my $made = $way{$hook}{token} ? claims(exp => time - 5, %$claims) : claims(%$claims);
    my $response = ask($told{$hook}, token($made, header => { kid => 'k', extra => [1] }));
    is($response->{status}, 418, "$hook answers");
    is_deeply($response->{json}{header}, { alg => 'HS256', typ => 'JWT', kid => 'k', extra => [1] }, 'is told the header');
    my $wanted = { %$made, type => 'access', fresh => JSON::PP::false };
    is_deeply($response->{json}{payload}, $wanted, 'and the payload, with what it means where it says nothing');
    is($response->{json}{count}, 2, 'and no more');
    is(seen(ask($told{$hook}, $good), 'X-Identity'), 'alice', 'a good token passes it') if $hook eq 'expired_token';
}
is_deeply(ask($told{invalid_token}, "$good.x")->{json}, { hook => 'invalid_token', reason => 'Not enough segments', count => 1 }, 'invalid_token is told the reason');
is_deeply(ask($told{invalid_token}, token(claims(), key => $other_key))->{json}{reason}, 'Signature verification failed', 'each its own');
is_deeply(ask($told{unauthorized}, '')->{json}, { hook => 'unauthorized', reason => 'Missing Authorization Header', count => 1 }, 'unauthorized is told the reason');
is(seen(ask($told{$_}, $good), 'X-Identity'), 'alice', "a good token passes $_") for qw(invalid_token unauthorized);

for my $hook (@decisions) {
    my $row = $decides{$hook};
    my $token = token(claims(jti => 'J', type => undef, fresh => undef), header => { kid => 'K' });
    new_log();
    my $refused = ask($row->{no_place}, $token);
    is("$refused->{status} $refused->{json}{msg}", "$row->{status} $row->{message}", "$hook says no");
    like(new_log(), qr/saw 2KJaccessfalse/, 'it is told header and payload');
    is(seen(ask($row->{yes_place}, $token), 'X-Identity'), 'alice', "$hook says yes");
}

is_deeply(JSON::PP->new->utf8->decode(seen(ask($user_place, token(claims(), header => { kid => 'K' })), 'X-User')), { name => 'alice', kid => 'K', n => 2 }, 'user_lookup: a table');
for my $kind (sort keys %user) {
    is(seen(ask($user{$kind}[0], $good), 'X-User'), $user{$kind}[1], "user_lookup: $kind");
}
for my $nothing (sort keys %no_user) {
    my $response = ask($no_user{$nothing}, $good);
    is("$response->{status} $response->{json}{msg}", '401 Error loading the user alice', "user_lookup: no user ($nothing)");
}

for my $kind (sort keys %form) {
    my (undef, $status, $type, $body) = @{ $form{$kind} };
    for my $hook (sort keys %{ $answered{$kind} }) {
        my $response = ask($answered{$kind}{$hook}, token_for($hook));
        is_deeply([$response->{status}, $response->{headers}{'content-type'}], [$status, $type], "$hook answers with $kind");
        $kind eq 'a table' ? is_deeply($response->{json}, JSON::PP->new->utf8->decode($body), 'and its body') : is($response->{body}, $body, 'and its body');
        is(!!$response->{headers}{'www-authenticate'}, $status == 401, 'a challenge beside 401 alone');
        my $head = ask($answered{$kind}{$hook}, token_for($hook), 'HEAD');
        is("$head->{status} $head->{body}", "$status ", 'HEAD: the same without a body');
    }
}
my $with_headers = ask($answered{headers}{unauthorized}, '');
is_deeply([map { [$with_headers->all($_)] } qw(X-A X-B)], [['5'], ['1', '2']], 'headers of an answer');
is(ask($answered{'a redirection'}{unauthorized}, '')->{headers}{location}, 'https://id.example/', 'a redirection to the login');

for my $row (@rows) {
    my ($hook, $what, $path, $message, $named) = @$row;
    $named ||= "hook $hook";
    my ($number) = $path =~ m{/(\d+)};
    new_log();
    my $response = ask($path, token_for($hook));
    my $log = new_log();
    my $fault = $response->{status} != 500 ? "status $response->{status}: $response->{body}"
        : $response->{body} =~ /\Q$number.lua\E|traceback/ ? 'the answer tells of the file'
        : $log !~ /\[error\] .*jwt: .*\b\Q$named\E\b.*$number\.lua/ ? 'the log does not name hook and file'
        : $log !~ $message ? 'the log says something else' : '';
    ok(!$fault, "$hook $what: 500") or diag("$fault\n$log");
    is(seen(ask($open, $good), 'X-Identity'), 'alice', 'and the next request is served') if $hook ne 'expired_token' || $what =~ /fails|nil/;
}

for my $kind (sort keys %key_place) {
    my ($path, $accepted, $refused) = @{ $key_place{$kind} };
    is(seen(ask($path, $accepted), 'X-Identity'), 'alice', "decode_key: $kind");
    isnt(ask($path, $refused)->{status}, 200, 'which no other token passes');
}
my $unknown = ask($no_key, $good);
is("$unknown->{status} $unknown->{json}{msg}", '422 Signature verification failed', 'decode_key: nil is no key');
new_log();
is(seen(ask($not_told, token(claims(type => undef, fresh => undef))), 'X-Identity'), 'alice', 'decode_key sees the token as it came');
like(new_log(), qr/told nilnil/, 'without what nobody has verified');

new_log();
is(seen(ask($order, $good), 'X-User'), 'u', 'all decisions in favour');
is_deeply([new_log() =~ /step (\w+)/g], [qw(blocklist verification user)], 'are asked in order');
is(ask($order, token(claims(exp => time - 5)))->{status}, 401, 'an expired token');
is_deeply([new_log() =~ /step (\w+)/g], [], 'is nobody asked about');
is(seen(ask($skip, $good), 'X-Identity'), 'alice', 'skip_revocation_check asks no token_in_blocklist');

my $decoded = sub { my ($part, $text) = @_; return JSON::PP->new->utf8->decode(MIME::Base64::decode_base64url((split /\./, $text)[$part])) };
my $issued = ask($issue{issue}, '')->{body};
my ($header, $payload) = map { $decoded->($_, $issued) } 0, 1;
is($payload->{sub}, 'i-1', 'user_identity makes the identity');
is_deeply([@$payload{qw(role id_type both own)}], ['admin', 'table', 'option', 1], 'additional_claims is told the identity as given; the option wins over it');
is_deeply($header, { alg => 'HS256', typ => 'JWT', kid => 'of-i-1', both => 'option' }, 'additional_headers likewise');
is(seen(ask($open, $issued), 'X-Identity'), 'i-1', 'and the token is good');
my $refresh = $decoded->(1, ask($issue{plain}, '')->{body});
is("$refresh->{sub} $refresh->{type} $refresh->{both}", 'i-2 refresh hook', 'the hooks serve refresh tokens too');
is(seen(ask($key_place{'a secret'}[0], ask($encode, '')->{body}), 'X-Identity'), 'alice', 'encode_key: a secret');
is(seen(ask($key_place{'a PEM'}[0], ask($encode_pem, '')->{body}), 'X-Identity'), 'alice', 'encode_key: a PEM');
my $false = $decoded->(1, ask($identity_false, '')->{body});
ok(exists $false->{who} && !$false->{who}, 'user_identity: false is an identity');

ok(index($t->log, $_) < 0, 'no token and no secret in the log') for $good, $issued, $other_key, $JWTTest::Token::secret;

done_testing;
