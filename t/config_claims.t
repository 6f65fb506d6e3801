# Mistakes in what decides by claims and in what is published: nginx -t names the line and what to write instead, and
# takes the corrected text.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JSON::PP qw(encode_json);

my %pair = map { $_ => keypair($_) } qw(RS256 ES256);
my %files = (
    'secret' => $JWTTest::Token::secret,
    'rs.jwk' => encode_json({ %{ $pair{RS256}{private_jwk} }, kid => 'a' }),
    'es.jwk' => encode_json({ %{ $pair{ES256}{private_jwk} }, kid => 'b' }),
    'same.jwk' => encode_json({ %{ $pair{ES256}{private_jwk} }, kid => 'a' }),
    'handler.lua' => 'return { handlers = { x = function() return "x" end } }',
);

my $key = 'jwt_secret_key file:%%DIR%%/secret;';
my $by_profile = 'jwt_algorithm RS256; jwt_private_key %%DIR%%/rs.jwk; jwt_decode_issuer https://idp; jwt_decode_audience api;';
my $issuer = 'jwt_algorithm ES256; jwt_private_key %%DIR%%/es.jwk; jwt_encode_issuer https://id.example;';
my $jwks_uri = 'jwks_uri=https://id.example/jwks';

# Wrapped into a location that asks for a token.
sub claim { my ($words) = @_; return "$key location / {\n jwt_required;\n jwt_require_claim $words; #!\n}" }
sub header { my ($words) = @_; return "$key location / {\n jwt_required;\n jwt_require_header $words; #!\n}" }
sub discovery { my ($words) = @_; return "location / {\n $issuer\n jwt_discovery $words; #!\n}" }

# The mistake, what is said, the corrected text. A line that ends in #! is the one that is named.
my @server = (
    ['an unknown operator', claim('role == admin'), qr/unknown operator "==": write one of absent = != in !in contains/, claim('role = admin')],
    ['no operator', claim('role admin'), qr/unknown operator "admin": write one of/, claim('role in admin')],
    ['an operator of nginx that is none here', claim('role -f x'), qr/unknown operator "-f"/, claim('role')],
    ['no value', claim('role ='), qr/operator "=" takes one value: write "in" or "!in" for a list/, claim('role = admin')],
    ['no value for a list', claim('role in'), qr/operator "in" takes 1 to 64 values/, claim('role in a')],
    ['too many values', claim('role in ' . join ' ', 1 .. 65), qr/operator "in" takes 1 to 64 values/, claim('role in ' . join ' ', 1 .. 64)],
    ['two values for =', claim('role = admin root'), qr/write "in" or "!in" for a list/, claim('role in admin root')],
    ['two values for !contains', claim('role !contains a b'), qr/"!contains" takes one value: write a directive for each/, claim('role !contains a')],
    ['a value for absent', claim('act absent x'), qr/operator "absent" takes no value/, claim('act absent')],
    ['an empty value', claim('role = ""'), qr/an empty value equals nothing/, claim('role = x')],
    ['an empty value in a list', claim('role in a ""'), qr/an empty value equals nothing/, claim('role in a b')],
    ['no number', claim('level >= high'), qr/"high" is no number/, claim('level >= 3')],
    ['no number, nearly', claim('level < 3x'), qr/"3x" is no number/, claim('level < 3.5')],
    ['a bad pattern', claim('role ~ "(a"'), qr/pcre2?_compile\(\) failed: .* in "\(a"[^*]*: correct the pattern "\(a"/, claim('role ~ "(a)"')],
    ['an empty pattern', claim('role ~ ""'), qr/an empty pattern matches everything/, claim('role ~* ^a')],
    ['a variable in a pattern', claim('role !~ $arg_role'), qr/a pattern knows no variables: write "\$arg_role" without the dollar, or compare by = or in/,
        claim('role !~ "a$|[$b]|\\$c"')],
    ['the same in braces', claim('role ~ "^${arg_role}$"'), qr/a pattern knows no variables/, claim('role ~ "^a$"')],
    ['an operator without its spaces', claim('level>=3'), qr/"level>=3" is one word: write spaces around the operator, as in level >= 3/, claim('level >= 3')],
    ['the same of a list', claim('scope=orders:read'), qr/is one word/, claim('https://example/?a=b')],
    ['a status amid the values', claim('role in a error=404 b'), qr/"error=" is no value: write it once, behind all values/, claim('role in a b error=404')],
    ['two statuses', claim('role in a error=401 error=404'), qr/"error=" is no value/, claim('role in a error=401')],
    ['an empty path', claim('""'), qr/path "" has an empty name/, claim('a')],
    ['a path with an empty name', claim('a..b'), qr/path "a\.\.b" has an empty name: write names with one dot/, claim('a.b')],
    ['a path with a stray backslash', claim('a\\b'), qr/path "a\\x5cb"|path "a\\b" has a backslash before neither/, claim('a\\.b')],
    ['a URL cut at its dots', claim('https://example.com/roles'), qr/is a URL cut at its dots: write "\\\.".*https:\/\/example\\\.com/,
        claim('https://example\\.com/roles contains admin')],
    ['a status that is none', claim('role error=200'), qr/"200" is no status to refuse with: write error=401, error=403/, claim('role error=401')],
    ['a status of nginx alone', claim('role = x error=444'), qr/"444" is no status/, claim('role = x error=404')],
    ['a status over 451', claim('role = x error=500'), qr/"500" is no status/, claim('role = x error=451')],
    ['no status', claim('role = x error='), qr/"" is no status/, claim('role = x error=400')],
    ['a status that is no number', claim('role = x error=forbidden'), qr/"forbidden" is no status/, claim('role = x error=403')],
    ['a variable of ours', claim('role = $jwt_identity'), qr/"\$jwt_identity" is empty while the token is judged/, claim('role = $remote_user')],
    ['the same in braces', claim('role in a "x${jwt_claim_y}"'), qr/is empty while the token is judged/, claim('role in a "x${remote_user}"')],
    ['nothing', "$key jwt_required; jwt_require_claim;", qr/invalid number of arguments in "jwt_require_claim"/, "$key jwt_required; jwt_require_claim a;"],
    ['off twice', "$key jwt_require_claim off;\njwt_require_claim off; #!", qr/"jwt_require_claim" directive is duplicate/, "$key jwt_require_claim off;"],
    ['off of headers twice', "jwt_require_header off;\njwt_require_header off; #!", qr/"jwt_require_header" directive is duplicate/, 'jwt_require_header off;'],
    ['an unknown operator for a header', header('typ is at+jwt'), qr/unknown operator "is"/, header('typ = at+jwt')],
    ['a bad path for a header', header('.typ'), qr/path "\.typ" has an empty name/, header('typ')],
    ['a condition where nothing is asked for', "$key location / {\n jwt_require_claim a; #!\n}", qr/ask nothing of a request without jwt_required/,
        "$key location / {\n jwt_require_claim a; jwt_required;\n}"],
    ['a condition beside jwt_required off', "$key location / {\n jwt_required off;\n jwt_require_claim a; #!\n}", qr/ask nothing of a request without jwt_required/,
        "$key jwt_required; location / { jwt_require_claim a; }"],
    ['a condition around an open location', "$key jwt_require_claim a; #!\nlocation /x { jwt_required; }\nlocation / { }", qr/or "jwt_required off" in the locations/,
        "$key jwt_require_claim a;\nlocation /x { jwt_required; }\nlocation / { jwt_required off; }"],

    ['no age', "$key jwt_max_age soon;", qr/"soon" is no time: write it as in 15m/, "$key jwt_max_age 5m;"],
    ['no time to live', "$key jwt_max_age 0;", qr/or "off" for never/, "$key jwt_max_age off;"],
    ['two ages', "$key jwt_max_age 1m;\njwt_max_age 2m; #!", qr/"jwt_max_age" directive is duplicate/, "$key jwt_max_age 1m;"],

    ['a profile that is none', 'jwt_profile rfc9086;', qr/unknown profile "rfc9086": write rfc9068 or off/, 'jwt_profile rfc9068;'],
    ['two profiles', "jwt_profile rfc9068;\njwt_profile off; #!", qr/"jwt_profile" directive is duplicate/, 'jwt_profile off;'],
    ['rfc9068 without an issuer', "jwt_profile rfc9068; #!\n$key jwt_decode_audience api; jwt_required;", qr/known issuers alone: write jwt_decode_issuer/,
        "$by_profile jwt_profile rfc9068; jwt_required;"],
    ['rfc9068 without an audience', "jwt_profile rfc9068; #!\n$key jwt_decode_issuer https://i; jwt_required;", qr/for this API alone: write jwt_decode_audience/,
        "$by_profile jwt_profile rfc9068; jwt_required any_type;"],
    ['rfc9068 whose audience is taken back', "$by_profile jwt_required;\njwt_profile rfc9068; #!\nlocation / { jwt_decode_audience off; }",
        qr/write jwt_decode_audience/, "$by_profile jwt_required; jwt_profile rfc9068; location / { jwt_profile off; jwt_decode_audience off; }"],
    ['rfc9068 of issuers that are trusted, for anybody', "location / {\n jwt_required; jwt_trust idp;\n jwt_profile rfc9068; #!\n}", qr/write jwt_decode_audience/,
        'location / { jwt_required; jwt_trust idp; jwt_profile rfc9068; jwt_decode_audience api; }'],
    ['rfc9068 of issuers that are trusted, and of a key of anybody', "location / {\n jwt_required; jwt_trust idp-api; $key\n jwt_profile rfc9068; #!\n}",
        qr/write jwt_decode_issuer/, 'location / { jwt_required; jwt_trust idp-api; jwt_profile rfc9068; }'],
    ['rfc9068 of refresh tokens', "$by_profile jwt_required refresh;\njwt_profile rfc9068; #!", qr/jwt_required asks for refresh tokens/,
        "$by_profile jwt_required; jwt_profile rfc9068;"],
    ['rfc9068 beside sliding sessions', "$by_profile jwt_required locations=cookies;\njwt_profile rfc9068; #!\njwt_cookie_refresh 5m;",
        qr/refuses the tokens that jwt_cookie_refresh makes/, "$by_profile jwt_required; jwt_profile rfc9068; jwt_cookie_refresh off;"],

    ['jwt_jwks without keys', "location / {\n jwt_jwks; #!\n}", qr/jwt_jwks has no keys to show: write jwt_private_key or jwt_public_key/,
        "jwt_private_key %%DIR%%/es.jwk; location / { jwt_jwks; }"],
    ['jwt_jwks of a secret', "$key location / {\n jwt_jwks; #!\n}", qr/the keys of jwt_jwks have no public half: write jwt_private_key/,
        "$key location / { jwt_private_key %%DIR%%/es.jwk; jwt_jwks; }"],
    ['two keys of one kid', "location / {\n jwt_private_key %%DIR%%/rs.jwk; jwt_public_key %%DIR%%/same.jwk;\n jwt_jwks; #!\n}",
        qr/the keys of jwt_jwks are two of one kid, "a": give each a kid of its own/,
        "location / { jwt_private_key %%DIR%%/rs.jwk; jwt_public_key %%DIR%%/es.jwk; jwt_jwks; }"],
    ['an unknown word of jwt_jwks', "location / {\n $issuer\n jwt_jwks cache=1m; #!\n}", qr/unknown word "cache=1m" of jwt_jwks: write max_age=TIME/,
        "location / { $issuer jwt_jwks max_age=1m; }"],
    ['no time for max_age=', "location / {\n $issuer\n jwt_jwks max_age=long; #!\n}", qr/"long" is no time/, "location / { $issuer jwt_jwks max_age=0; }"],
    ['two documents', "location / {\n $issuer jwt_jwks;\n jwt_discovery $jwks_uri; #!\n}", qr/a location has one content, and jwt_jwks makes this one's: write jwt_discovery into another location/,
        "location / { $issuer jwt_jwks; } location /d { $issuer jwt_discovery $jwks_uri; }"],
    ['jwt_jwks twice', "location / {\n $issuer jwt_jwks;\n jwt_jwks; #!\n}", qr/is duplicate/, "location / { $issuer jwt_jwks; }"],
    ['jwt_jwks beside jwt_handler', "location / {\n $issuer jwt_lua_file %%DIR%%/handler.lua; jwt_handler x;\n jwt_jwks; #!\n}",
        qr/a location has one content, and jwt_\w+ makes this one's/, "location / { $issuer jwt_lua_file %%DIR%%/handler.lua; jwt_handler x; }"],
    ['jwt_jwks in a server', 'jwt_jwks;', qr/"jwt_jwks" directive is not allowed here/, "location / { $issuer jwt_jwks; }"],

    ['discovery without an issuer', "location / {\n jwt_algorithm ES256; jwt_private_key %%DIR%%/es.jwk;\n jwt_discovery $jwks_uri; #!\n}",
        qr/jwt_discovery names no issuer: write jwt_encode_issuer/, discovery($jwks_uri)],
    ['discovery of an issuer without TLS', "jwt_encode_issuer http://id.example; location / {\n jwt_algorithm ES256; jwt_private_key %%DIR%%/es.jwk;\n"
            . " jwt_discovery $jwks_uri; #!\n}", qr/issuer "http:\/\/id\.example" is no URL that begins with https:\/\/.*correct jwt_encode_issuer/,
        discovery($jwks_uri)],
    ['discovery without the place of keys', discovery('token_endpoint=https://id.example/t'), qr/says not where the keys are: write jwks_uri=https/,
        discovery("token_endpoint=https://id.example/t $jwks_uri")],
    ['keys at a path', discovery('jwks_uri=/jwks'), qr/jwks_uri "\/jwks" is no URL that begins with https/, discovery('jwks_uri=http://localhost:8080/jwks')],
    ['a member without a name', discovery("$jwks_uri =x"), qr/"" is no name of a member: write NAME=VALUE/, discovery("$jwks_uri x=y")],
    ['a member without a value', discovery("$jwks_uri x"), qr/member "x" has no value/, discovery("$jwks_uri x=true")],
    ['a member twice', discovery("$jwks_uri $jwks_uri"), qr/member "jwks_uri" is given twice/, discovery($jwks_uri)],
    ['the issuer by hand', discovery("issuer=https://x $jwks_uri"), qr/"issuer" is that of the tokens: write jwt_encode_issuer/, discovery($jwks_uri)],
    ['the algorithm by hand', discovery("id_token_signing_alg_values_supported=RS256 $jwks_uri"), qr/is that of the tokens: write jwt_algorithm/,
        discovery($jwks_uri)],
    ['a list with a hole', discovery("scopes_supported=a,,b $jwks_uri"), qr/member "scopes_supported" is a list/, discovery("scopes_supported=a,b $jwks_uri")],
    ['an endpoint that is no URL', discovery("token_endpoint=token $jwks_uri"), qr/token_endpoint "token" is no URL/,
        discovery("token_endpoint=https://x/token $jwks_uri")],
    ['discovery of an algorithm with a secret', "$key location / {\n jwt_private_key %%DIR%%/es.jwk; jwt_encode_issuer https://i;\n jwt_discovery $jwks_uri; #!\n}",
        qr/jwt_algorithm HS256 needs the secret for it/, discovery($jwks_uri)],
);
my @http = (
    ['no variable', 'jwt_claim_set role a.b;', qr/"role" is no variable: write its name with a dollar/, 'jwt_claim_set $role a.b;'],
    ['no name of a variable', 'jwt_claim_set $ a;', qr/"\$" is no variable/, 'jwt_claim_set $a a;'],
    ['a bad path', 'jwt_claim_set $role a.;', qr/path "a\." has an empty name/, 'jwt_claim_set $role a b;'],
    ['a bad path behind a good one', 'jwt_claim_set $role a .b;', qr/path "\.b" has an empty name/, 'jwt_claim_set $role a b.c;'],
    ['no path', 'jwt_claim_set $role;', qr/invalid number of arguments in "jwt_claim_set"/, 'jwt_claim_set $role x;'],
    ['a variable of nginx', 'jwt_claim_set $uri a;', qr/the duplicate "uri" variable/, 'jwt_claim_set $my_uri a;'],
    ['a variable of ours', 'jwt_claim_set $jwt_identity a;', qr/the duplicate "jwt_identity" variable/, 'jwt_claim_set $jwt_claim_x a;'],
    ['a variable that can be changed', 'jwt_claim_set $args a;', qr/variable "\$args" has a value already|the duplicate "args"/, 'jwt_claim_set $my_args a;'],
    ['a variable of a map', "map \$host \$x { default 1; }\njwt_claim_set \$x a; #!", qr/variable "\$x" has a value already/, 'jwt_claim_set $y a;'],
    ['the same variable twice', "jwt_claim_set \$x a;\njwt_claim_set \$x b; #!", qr/the duplicate "x" variable/, 'jwt_claim_set $x a;'],
);

my $issuers = 'jwt_issuer idp { issuer https://idp; public_key %%DIR%%/rs.jwk; algorithms RS256; }'
    . ' jwt_issuer idp-api { issuer https://idp; public_key %%DIR%%/rs.jwk; algorithms RS256; audience api; }';

# In a file of its own, so that its lines count from 1.
sub said {
    my ($where, $text) = @_;
    my $include = 'include %%DIR%%/snippet.conf;';
    return JWTTest->nginx_t(http => $where eq 'http' ? "$issuers $include" : $issuers, config => $where eq 'http' ? '' : $include, files => { %files, 'snippet.conf' => "$text\n" });
}

sub refused {
    my ($where, $name, $text, $message) = @_;
    my ($code, $output) = said($where, $text);
    my @lines = split /\n/, $text;
    my ($line) = grep { $lines[ $_ - 1 ] =~ /#!$/ } 1 .. @lines;
    $line ||= 1;
    my ($sentence) = grep { /\[emerg\]/ && /snippet\.conf:$line$/ } split /\n/, $output;
    my $fault = $code == 0 ? 'it was accepted' : !$sentence ? "no message names line $line" : $sentence !~ $message ? 'the message is another' : '';
    ok(!$fault, "refused: $name") or diag("$fault:\n$text\n$output");
    return;
}

refused(config => @$_[0 .. 2]) for @server;
refused(http => @$_[0 .. 2]) for @http;

sub accepted {
    my ($name, $text) = @_;
    my ($code, $said) = said(http => $text);
    is($code, 0, $name) or diag("$text\n$said");
    return $code == 0;
}
my $all = join "\n", map { "server {\nlisten 127.0.0.1:%%PORT2%%;\n$_->[3]\n}" } @server;
if (!accepted('every corrected text passes', $all)) {
    accepted("corrected: $_->[0]", "server {\nlisten 127.0.0.1:%%PORT2%%;\n$_->[3]\n}") for @server;
}
accepted("corrected: $_->[0]", $_->[3]) for @http;

done_testing;
