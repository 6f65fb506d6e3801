# Every mistake that can be seen when configuration is read: nginx -t names the file, the line and what to write
# instead, and takes the corrected text.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use Crypt::PK::ECC;
use Crypt::PK::RSA;
use Crypt::PK::X25519;
use File::Temp qw(tempdir);
use JSON::PP qw(encode_json);

# What must be in no message. No name of a file or variable contains it.
my $mark = 'swordfish';
my $secret = "$mark-$mark-$mark-$mark-$mark-$mark-$mark-$mark";
my %pair = map { $_ => keypair($_) } qw(RS256 ES256 ES384 EdDSA);
my $weak = Crypt::PK::RSA->new;
$weak->generate_key(128, 65537);
my $locked = Crypt::PK::RSA->new(\$pair{RS256}{private});
my $exchange = Crypt::PK::X25519->new;
$exchange->generate_key;
my $spelt = Crypt::PK::ECC->new;
$spelt->generate_key('secp256r1');

my %rsa_jwk = %{ $pair{RS256}{public_jwk} };
my %ec_jwk = %{ $pair{ES256}{public_jwk} };
my %okp_jwk = %{ $pair{EdDSA}{public_jwk} };
my %secret_jwk = (kty => 'oct', k => base64url($secret), alg => 'HS256');
my $off_curve = substr($ec_jwk{y}, 0, -2) . (substr($ec_jwk{y}, -2, 1) eq 'A' ? 'B' : 'A') . substr $ec_jwk{y}, -1;
my $cut = join "\n", grep { !/END/ } split /\n/, $pair{RS256}{public};

my %files = (
    'secret' => "$secret\n",
    'short' => "$mark\n",
    'empty' => '',
    'words' => "no key at all\n",
    'large' => 'x' x (1024 * 1024 + 1),
    'rsa.pub' => $pair{RS256}{public},
    'rsa.key' => $pair{RS256}{private},
    'ec.pub' => $pair{ES256}{public},
    'ec.key' => $pair{ES256}{private},
    'ed.pub' => $pair{EdDSA}{public},
    'es384.pub' => $pair{ES384}{public},
    'es384.key' => $pair{ES384}{private},
    'weak.pub' => $weak->export_key_pem('public_x509'),
    'locked.key' => $locked->export_key_pem('private', $mark),
    'spelt.pub' => $spelt->export_key_pem('public'),
    'x25519.pub' => $exchange->export_key_pem('public'),
    'cut.pub' => $cut,
    'ssh.pub' => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDl0 somebody\n",
    'openssh.key' => "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    'damaged.pub' => "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    'rsa.jwk' => encode_json(\%rsa_jwk),
    'exponent.jwk' => encode_json({ %rsa_jwk, e => 'AQ' }),
    'enc.jwk' => encode_json({ %rsa_jwk, use => 'enc' }),
    'misfit.jwk' => encode_json({ %ec_jwk, alg => 'ES384' }),
    'sign.jwk' => encode_json({ %ec_jwk, key_ops => ['sign'] }),
    'padded.jwk' => encode_json({ %rsa_jwk, n => "$rsa_jwk{n}=" }),
    'ec.jwk' => encode_json(\%ec_jwk),
    'curve.jwk' => encode_json({ %ec_jwk, y => $off_curve }),
    'kty.jwk' => encode_json({ kty => 'FOO' }),
    'order.jwk' => encode_json({ %okp_jwk, x => base64url("\1" . "\0" x 31) }),
    'oct.jwk' => encode_json(\%secret_jwk),
    'octshort.jwk' => encode_json({ %secret_jwk, k => base64url($mark) }),
    'cut.jwk' => '{"kty":"RSA",',
    'none.jwks' => '{"keys":[]}',
    'object.jwks' => '{"keys":{}}',
    'bad.jwks' => encode_json({ keys => [{ kty => 'FOO', kid => 'a' }] }),
    'twins.jwks' => encode_json({ keys => [{ %rsa_jwk, kid => 'a' }, { %ec_jwk, kid => 'a' }] }),
    'two.jwks' => encode_json({ keys => [{ %rsa_jwk, kid => 'a' }, { %ec_jwk, kid => 'b' }] }),
    'other384.pub' => keypair('ES384')->{public},
    'keys.lua' => "return { decode_key = function() return nil end }\n",
    'hooks.lua' => "return { handlers = { hello = function() return \"hello\" end } }\n",
);

# The mistake, {what} is wrong with it as a pattern, and the corrected text. A line that ends in #! is the one that the
# message must name; the first, where none does. Both stand in a server block, or in http{} (http => 1).
my $key = qq(jwt_secret_key "$secret";);
my $pem = join ' ', split /\n/, $pair{RS256}{public};
my @directives = (
    ['an unknown algorithm', "jwt_algorithm HS255;",
        qr/unknown algorithm "HS255": write one of HS256 HS384 HS512 RS256 .*EdDSA/, "jwt_algorithm HS256;"],
    ['an algorithm in the wrong case', "jwt_algorithm rs256;", qr/unknown algorithm "rs256"/, "jwt_algorithm RS256;"],
    ['row 1: algorithm none', "jwt_algorithm none;", qr/unknown algorithm "none": write one of HS256/, "jwt_algorithm HS512;"],
    ['row 1: none among those for decoding', "jwt_decode_algorithms HS256 none;", qr/unknown algorithm "none": write/,
        "jwt_decode_algorithms HS256 HS384;"],
    ['an algorithm of encryption', "jwt_algorithm RSA-OAEP;", qr/unknown algorithm "RSA-OAEP"/, "jwt_algorithm PS256;"],
    ['no algorithm for decoding', "jwt_decode_algorithms;", qr/invalid number of arguments in "jwt_decode_algorithms"/,
        "jwt_decode_algorithms HS256;"],

    ['a location of tokens that is none', "jwt_token_location header;",
        qr/unknown token location "header": write headers, cookies, query_string or json/, "jwt_token_location headers;"],
    ['a location of tokens twice', "jwt_token_location headers cookies headers;",
        qr/token location "headers" is given twice/, "jwt_token_location headers cookies;"],
    ['a flag of jwt_required that is none', "$key location / {\n jwt_required fresh_token; #!\n}",
        qr/unknown word "fresh_token" of jwt_required: write off, optional, fresh, refresh/,
        "$key location / {\n jwt_required fresh;\n}"],
    ['jwt_required on', "$key jwt_required on;", qr/"on" is "jwt_required" alone/, "$key jwt_required;"],
    ['jwt_required off with more', "$key jwt_required off fresh;", qr/"jwt_required off" takes no other words/,
        "$key jwt_required off;"],
    ['jwt_required optional twice', "$key jwt_required optional optional;", qr/"optional" is given twice/,
        "$key jwt_required optional;"],
    ['jwt_required fresh twice', "$key jwt_required fresh fresh;", qr/"fresh" is given twice/, "$key jwt_required fresh;"],
    ['jwt_required skip_revocation_check twice', "$key jwt_required skip_revocation_check skip_revocation_check;",
        qr/"skip_revocation_check" is given twice/, "$key jwt_required skip_revocation_check;"],
    ['jwt_required refresh twice', "$key jwt_required refresh refresh;", qr/"refresh" is given twice/, "$key jwt_required refresh;"],
    ['refresh beside any_type', "$key jwt_required refresh any_type;",
        qr/"refresh" and "any_type" contradict each other: write one of them/, "$key jwt_required any_type;"],
    ['fresh beside refresh', "$key jwt_required fresh refresh;",
        qr/"fresh" and "refresh" contradict each other: a refresh token is never fresh/, "$key jwt_required fresh any_type;"],
    ['refresh beside fresh', "$key jwt_required refresh fresh;", qr/"fresh" and "refresh" contradict/, "$key jwt_required fresh;"],
    ['locations= of a place that is none', "$key jwt_required locations=headers,body;",
        qr/unknown token location "body": write headers, cookies/, "$key jwt_required locations=headers,json;"],
    ['locations= empty', "$key jwt_required locations=;", qr/unknown token location "": write headers/,
        "$key jwt_required locations=cookies;"],
    ['locations= with one place twice', "$key jwt_required locations=json,json;", qr/"json" is given twice/,
        "$key jwt_required locations=json,cookies;"],
    ['locations= twice', "$key jwt_required locations=json locations=cookies;",
        qr/"locations=" is given twice: write one, as in locations=headers,cookies/, "$key jwt_required locations=json,cookies;"],
    ['if= empty', "$key jwt_required if=;", qr/empty "if=": write a condition/, "$key jwt_required if=\$arg_a;"],
    ['if= of what is known only later', "$key jwt_required if=\$jwt_identity;",
        qr/"if=" asks before a token is judged, when "\$jwt_identity" is empty, so that nobody would need one: write another/,
        "$key jwt_required if=\$arg_jwt_identity;"],
    ['if= of the same in braces', "$key jwt_required if=x\${jwt_status};", qr/"x\$\{jwt_status\}" is empty/, "$key jwt_required if=x\$status;"],
    ['if= of the same in capitals', "$key jwt_required if=\$JWT_claim_x;", qr/"\$JWT_claim_x" is empty/, "$key jwt_required if=\$arg_jwt_claim_x;"],
    ['if= twice', "$key jwt_required if=\$arg_a if=\$arg_b;", qr/"if=" is given twice/, "$key jwt_required if=\$arg_a\$arg_b;"],
    ['jwt_required twice', "$key jwt_required;\njwt_required fresh; #!", qr/"jwt_required" directive is duplicate/,
        "$key jwt_required fresh;"],
    ['jwt_required without any key', "location / {\n  jwt_required; #!\n}",
        qr/jwt_required has no key to verify tokens with: write jwt_secret_key, jwt_public_key or jwt_key_request/,
        "$key location / {\n  jwt_required;\n}"],
    ['jwt_required optional without any key', "jwt_required optional;", qr/jwt_required has no key to verify/,
        "$key jwt_required optional;"],

    ['a time without a unit that nginx knows', "jwt_access_token_expires 15min;",
        qr/"15min" is no time: write it as in 15m, 12h or 30d/, "jwt_access_token_expires 15m;"],
    ['a negative time', "jwt_access_token_expires -1;", qr/"-1" is no time/, "jwt_access_token_expires 1;"],
    ['tokens that expire at once', "jwt_refresh_token_expires 0;",
        qr/expires at once serves nobody: write a time as in 15m, or "off" for never/, "jwt_refresh_token_expires off;"],
    ['tokens that never end, in seconds', "jwt_access_token_expires 9223372036854775807;", qr/"9223372036854775807" is more than 1000 years: write it as in 15m/,
        "jwt_access_token_expires 1000y;"],
    ['a leeway for ever', "jwt_decode_leeway 1001y;", qr/"1001y" is more than 1000 years/, "jwt_decode_leeway 1m;"],
    ['a leeway of off', "jwt_decode_leeway off;", qr/"off" is no time/, "jwt_decode_leeway 0;"],
    ['never, by another name', "jwt_refresh_token_expires never;", qr/"never" is no time: write/, "jwt_refresh_token_expires off;"],
    ['sessions that slide by nothing', 'jwt_cookie_refresh 0;', qr/renewed in its last 0 seconds: write a time as in 30m, or "off"/,
        'jwt_cookie_refresh off;'],
    ['sessions that slide, where no cookie is looked for', "$key location / {\n jwt_required;\n jwt_cookie_refresh 30m; #!\n}",
        qr/renews tokens in cookies, and none are looked for there: write jwt_token_location with cookies/,
        "$key location / {\n jwt_required locations=cookies;\n jwt_cookie_refresh 30m;\n}"],
    ['sessions that slide, with refresh tokens', "$key location / {\n jwt_required refresh locations=cookies;\n jwt_cookie_refresh 30m; #!\n}",
        qr/renews access tokens, and jwt_required asks for refresh tokens/,
        "$key location / {\n jwt_required any_type locations=cookies;\n jwt_cookie_refresh 30m;\n}"],
    ['sessions that slide, whether revoked or not', "$key location / {\n jwt_required skip_revocation_check locations=cookies;\n jwt_cookie_refresh 30m; #!\n}",
        qr/would renew revoked tokens: remove skip_revocation_check/,
        "$key location / {\n jwt_required locations=cookies;\n jwt_cookie_refresh 30m;\n}"],
    ['sessions that slide for ever', "$key jwt_access_token_expires off; location / {\n jwt_required locations=cookies;\n jwt_cookie_refresh 30m; #!\n}",
        qr/make sessions that end into some that never do: write jwt_access_token_expires with a time/,
        "$key jwt_access_token_expires 1h; location / {\n jwt_required locations=cookies;\n jwt_cookie_refresh 30m;\n}"],
    ['sessions that slide, without a key that signs', "jwt_algorithm RS256; jwt_public_key %%DIR%%/rsa.pub; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }",
        qr/jwt_cookie_refresh has no key that signs with jwt_algorithm RS256: write jwt_secret_key or jwt_private_key/,
        "jwt_algorithm RS256; jwt_private_key %%DIR%%/rsa.key; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }"],
    ['sessions that slide into an algorithm that is refused', "$key jwt_decode_algorithms HS384; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }",
        qr/would hand out tokens that are refused: let jwt_decode_algorithms and the keys that verify take those .* jwt_algorithm HS256/,
        "$key jwt_decode_algorithms HS384 HS256; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }"],
    ['sessions that slide to a key that is not trusted', "jwt_algorithm ES384; jwt_private_key %%DIR%%/es384.key; jwt_public_key %%DIR%%/other384.pub; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }",
        qr/would hand out tokens that are refused/,
        "jwt_algorithm ES384; jwt_private_key %%DIR%%/es384.key; jwt_public_key %%DIR%%/es384.pub; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }"],
    ['sessions that slide beside keys by hook', "$key jwt_lua_file %%DIR%%/keys.lua; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }",
        qr/signs with the key of the location, and the hook "decode_key" may want another: remove one of them/,
        "$key jwt_lua_file %%DIR%%/hooks.lua; jwt_cookie_refresh 30m;\nlocation / { jwt_required locations=cookies; }"],
    ['a SameSite that is none', "jwt_cookie_samesite strict;", qr/"strict" is no SameSite value: write Strict, Lax, None or off/,
        "jwt_cookie_samesite Strict;"],
    ['a header name with a space', 'jwt_header_name "X Token";', qr/"X Token" is no name for a header or cookie: write letters/,
        "jwt_header_name X-Token;"],
    ['an empty header name', 'jwt_header_name "";', qr/"" is no name for a header/, "jwt_header_name X-Token;"],
    ['a header type with a space', 'jwt_header_type "Bearer ";',
        qr/jwt_header_type goes into a header line: write it without spaces/, 'jwt_header_type "";'],
    ['a cookie name with a semicolon', 'jwt_access_cookie_name "a;b";', qr/"a;b" is no name for a header or cookie/,
        "jwt_access_cookie_name __Host-a;"],
    ['a cookie name with an equals sign', "jwt_refresh_cookie_name a=b;", qr/"a=b" is no name for a header or cookie/,
        "jwt_refresh_cookie_name a-b;"],
    ['a CSRF header with a colon', "jwt_access_csrf_header_name X-CSRF:;", qr/"X-CSRF:" is no name for a header/,
        "jwt_access_csrf_header_name X-CSRF;"],
    ['a CSRF cookie with a comma', "jwt_refresh_csrf_cookie_name a,b;", qr/"a,b" is no name for a header or cookie/,
        "jwt_refresh_csrf_cookie_name a.b;"],
    ['a cookie path that carries an attribute', 'jwt_access_cookie_path "/; Secure";', qr/jwt_access_cookie_path goes into a header line/,
        "jwt_access_cookie_path /api/;"],
    (map { my $name = "jwt_$_\_path"; map { ["$name, which is \"$_\"", "$name \"$_\";", qr/$name takes a path with a slash at its start, as in/, "$name /api;"] } 'api', '' }
        qw(access_cookie refresh_cookie access_csrf_cookie refresh_csrf_cookie)),
    ['a cookie domain that is a URL', 'jwt_cookie_domain https://example.com;', qr/jwt_cookie_domain takes a name of letters, digits, "-" and "\.", as in example\.com/,
        'jwt_cookie_domain example.com;'],
    ['a cookie domain that is a variable', 'jwt_cookie_domain $host;', qr/jwt_cookie_domain takes a name/, 'jwt_cookie_domain "";'],
    ['an empty key for messages', 'jwt_error_message_key "";', qr/jwt_error_message_key must not be empty/, 'jwt_error_message_key error;'],
    ['a cookie domain with a line break', "jwt_cookie_domain \"a\\nb\";", qr/jwt_cookie_domain takes a name/,
        "jwt_cookie_domain .example.com;"],
    ['an empty CSRF field', 'jwt_access_csrf_field_name "";',
        qr/jwt_access_csrf_field_name must not be empty: leave the directive out for its default/, "jwt_access_csrf_field_name csrf;"],
    ['an empty JSON key', 'jwt_json_key "";', qr/jwt_json_key must not be empty/, "jwt_json_key token;"],
    ['an empty name in the query string', 'jwt_query_string_name "";', qr/jwt_query_string_name must not be empty/,
        "jwt_query_string_name token;"],
    ['an empty identity claim', 'jwt_identity_claim "";', qr/jwt_identity_claim must not be empty/, "jwt_identity_claim user;"],
    ['an empty word among audiences', 'jwt_decode_audience api "";', qr/empty word of jwt_decode_audience: leave it out/,
        "jwt_decode_audience api;"],
    ['a method in small letters', "jwt_csrf_methods post;", qr/"post" is no method: write methods in capitals/, "jwt_csrf_methods POST;"],
    ['preflight where it has no meaning', "jwt_csrf_methods preflight;", qr/"preflight" is no method/, "jwt_exempt_methods preflight;"],
    ['off beside methods', "jwt_exempt_methods off POST;", qr/"off" stands alone: remove it, or the methods/, "jwt_exempt_methods off;"],
    ['methods beside off', "jwt_csrf_methods POST off;", qr/"off" stands alone/, "jwt_csrf_methods off;"],
    ['an algorithm whose quote is missing', 'jwt_algorithm "' . "HS256\n" x 500 . '"; #!', qr/write one of HS256 .* in \S+:\d+$/s, 'jwt_algorithm HS256;'],
    ['a claim whose quote is missing', "$key location / { jwt_required;\n jwt_require_claim " . 'a' x 3000 . '. x; #!' . "\n}", qr/^.{1200,1400}\.\.\. in \S+$/, "$key location / { jwt_required; jwt_require_claim a; }"],
    ['a realm with a quote', q(jwt_realm 'a"b';), qr/realm goes into a quoted header value: write printable ASCII/, 'jwt_realm "a b";'],
    ['a flag that is neither on nor off', "jwt_cookie_secure yes;", qr/invalid value "yes" in "jwt_cookie_secure" directive, it must be "on" or "off"/,
        "jwt_cookie_secure on;"],
    ['two header names', "jwt_header_name A B;", qr/invalid number of arguments in "jwt_header_name"/, "jwt_header_name A;"],
    (map { my ($name, $value) = @$_; ["$name twice", "$name $value;\n$name $value; #!", qr/"$name" directive is duplicate/, "$name $value;"] }
        [qw(jwt_algorithm HS256)], [qw(jwt_decode_algorithms HS256)], [qw(jwt_token_location headers)],
        [qw(jwt_decode_leeway 5s)], [qw(jwt_access_token_expires 5m)], [qw(jwt_cookie_samesite Lax)],
        [qw(jwt_csrf_methods POST)], [qw(jwt_decode_audience a)], [qw(jwt_header_name A)], [qw(jwt_cookie_secure on)],
        [qw(jwt_realm a)]),
    ['jwt_lua_path without a question mark', "jwt_lua_path %%DIR%%/lua/; #!", qr/jwt_lua_path takes templates with a question mark/,
        "jwt_lua_path %%DIR%%/lua/?.lua;"],
    ['jwt_lua_path with an empty template', "jwt_lua_path '%%DIR%%/?.lua;'; #!", qr/jwt_lua_path takes templates with a question mark/,
        "jwt_lua_path '%%DIR%%/?.lua;%%DIR%%/?/init.lua';"],
    ['jwt_lua_path empty', "jwt_lua_path ''; #!", qr/jwt_lua_path takes templates with a question mark/, "jwt_lua_path lua/?.lua;"],
    ['jwt_lua_path twice', "jwt_lua_path a/?.lua;\njwt_lua_path b/?.lua; #!", qr/"jwt_lua_path" directive is duplicate/, "jwt_lua_path a/?.lua;"],
    ['jwt_lua_file twice', "jwt_lua_file %%DIR%%/hooks.lua;\njwt_lua_file %%DIR%%/hooks.lua; #!", qr/"jwt_lua_file" directive is duplicate/,
        "jwt_lua_file %%DIR%%/hooks.lua;"],

    ['jwt_handler outside a location', "$key jwt_handler hello;", qr/"jwt_handler" directive is not allowed here/,
        "$key jwt_lua_file %%DIR%%/hooks.lua; location / { jwt_handler hello; }"],
    ['jwt_lua_limit in a server', "jwt_lua_limit steps=20000;", qr/"jwt_lua_limit" directive is not allowed here/, "jwt_realm x;"],
    ['jwt_cache in a server', "jwt_cache 1m;", qr/"jwt_cache" directive is not allowed here/, "jwt_realm x;"],
    ['a key within limit_except', "location / {\n limit_except GET {\n $key #!\n }\n}",
        qr/"jwt_secret_key" directive is not allowed here/, "$key location / {\n limit_except GET {\n jwt_required;\n }\n}"],
    ['jwt_required within if', "$key location / {\n if (\$arg_a) {\n jwt_required; #!\n }\n}",
        qr/"jwt_required" directive is not allowed here/, "$key location / {\n jwt_required if=\$arg_a;\n}"],
    ['a handler without a file', "$key location / {\n jwt_handler hello; #!\n}", qr/jwt_handler needs a hooks file: write jwt_lua_file/,
        "$key location / {\n jwt_lua_file %%DIR%%/hooks.lua; jwt_handler hello;\n}"],
    ['a handler whose file was switched off', "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_lua_file off;\n jwt_handler hello; #!\n}",
        qr/jwt_handler needs a hooks file/, "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_handler hello;\n}"],
    ['a handler that the file has not', "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_handler helo; #!\n}",
        qr/no handler "helo" in "\S+hooks\.lua": write a function of that name into its table "handlers"/,
        "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_handler hello;\n}"],
    ['a handler behind proxy_pass', "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n proxy_pass http://127.0.0.1:1;\n jwt_handler hello; #!\n}",
        qr/a location has one content, and beside jwt_handler another directive \(as proxy_pass\) makes this one's: remove one of them/,
        "$key jwt_lua_file %%DIR%%/hooks.lua; location / { jwt_handler hello; }"],
    ['a handler before proxy_pass', "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_handler hello; #!\n proxy_pass http://127.0.0.1:1;\n}",
        qr/a location has one content, and beside jwt_handler another/, "$key location / { proxy_pass http://127.0.0.1:1; }"],
    ['jwt_handler twice', "$key jwt_lua_file %%DIR%%/hooks.lua; location / {\n jwt_handler hello;\n jwt_handler hello; #!\n}",
        qr/"jwt_handler" directive is duplicate/, "$key jwt_lua_file %%DIR%%/hooks.lua; location / { jwt_handler hello; }"],
);

my @http_directives = (
    ['an unknown word of jwt_lua_limit', "jwt_lua_limit cpu=1;", qr/unknown word "cpu=1" of jwt_lua_limit: write steps=N, memory=SIZE or time=TIME/,
        "jwt_lua_limit steps=200000 memory=8m time=50ms;"],
    ['jwt_lua_limit with too few steps', "jwt_lua_limit steps=9999;", qr/"steps=" takes a number of at least 10000/, "jwt_lua_limit steps=10000;"],
    ['jwt_lua_limit with steps that are no number', "jwt_lua_limit steps=many;", qr/"steps=" takes a number/, "jwt_lua_limit steps=20000;"],
    ['jwt_lua_limit with too little memory', "jwt_lua_limit memory=255k;", qr/"memory=" takes a size of at least 256k/, "jwt_lua_limit memory=256k;"],
    ['jwt_lua_limit with memory that is no size', "jwt_lua_limit memory=much;", qr/"memory=" takes a size/, "jwt_lua_limit memory=1m;"],
    ['jwt_lua_limit with no time', "jwt_lua_limit time=0;", qr/"time=" takes a time of at least 1ms/, "jwt_lua_limit time=1ms;"],
    ['jwt_lua_limit without words', "jwt_lua_limit;", qr/invalid number of arguments in "jwt_lua_limit"/, "jwt_lua_limit time=10ms;"],
    ['jwt_cache that is no size', "jwt_cache much;", qr/"much" is no size: write it as in 512k or 8m, or "off"/, "jwt_cache 512k;"],
    ['jwt_cache without room', "jwt_cache 63k;", qr/jwt_cache 63k has no room for tokens: write at least 64k, or "off"/, "jwt_cache 64k;"],
    ['jwt_cache with more than there is', "jwt_cache 1000000m;", qr/jwt_cache 1000000m is for each worker: write at most 16384m/, "jwt_cache 16m;"],
    ['a store that is off', "jwt_revocation_store off;", qr/jwt_revocation_store takes a folder: remove the line/, "jwt_realm x;"],
    ['a store without a name', 'jwt_revocation_store "";', qr/jwt_revocation_store takes a folder/, 'jwt_realm x;'],
    ['a store of more than there is', "jwt_revocation_store %%DIR%%/store size=1000000g;", qr/"size=" takes a size from 1m to 1024g/,
        "jwt_revocation_store %%DIR%%/store size=1024g;"],
    ['an issuer whose key serves another algorithm', "jwt_issuer i { issuer x; algorithms RS256;public_key %%DIR%%/ec.pub; }\nserver { listen 127.0.0.1:29998; location / { jwt_required; jwt_trust i; } } #!",
        qr/jwt_issuer i: public_key "\S+" is an EC P-256 public key, which RS256 cannot use: write "algorithms" with one of ES256/,
        "jwt_issuer i { issuer x; algorithms ES256; public_key %%DIR%%/ec.pub; }"],
    ['jwt_cache twice', "jwt_cache 1m;\njwt_cache off; #!", qr/"jwt_cache" directive is duplicate/, "jwt_cache off;"],
    ['jwt_lua_limit twice', "jwt_lua_limit time=10ms;\njwt_lua_limit time=20ms; #!", qr/"jwt_lua_limit" directive is duplicate/, "jwt_lua_limit time=20ms;"],
);

sub secret_row { my ($name, $word, $message, $good) = @_; return [$name, "jwt_secret_key $word;", $message, defined $good ? "jwt_secret_key $good;" : $key] }
my @secrets = (
    secret_row('a secret that is too short', "$mark-only", qr/jwt_secret_key has 14 bytes, HS256 needs at least 32: make one with "openssl rand -base64 48"/),
    secret_row('an empty secret', '""', qr/jwt_secret_key has 0 bytes, HS256 needs at least 32/),
    secret_row('a secret file that does not exist', 'file:%%DIR%%/nothing', qr/secret file "\S+nothing" cannot be read \(2: No such file/, 'file:%%DIR%%/secret'),
    secret_row('a secret file that is a folder', 'file:%%DIR%%/folder', qr/secret file "\S+folder" is no regular file/, 'file:%%DIR%%/secret'),
    secret_row('a secret file without an end', 'file:/dev/zero', qr{secret file "/dev/zero" is no regular file}, 'file:%%DIR%%/secret'),
    secret_row('a secret file with too short a secret', 'file:%%DIR%%/short', qr/secret file "\S+" has 9 bytes/, 'file:%%DIR%%/secret'),
    secret_row('an empty secret file', 'file:%%DIR%%/empty', qr/secret file "\S+" has 0 bytes/, 'file:%%DIR%%/secret'),
    secret_row('an environment variable that is not set', 'env:JWT_TEST_NOTHING', qr/environment variable "JWT_TEST_NOTHING" of jwt_secret_key is not set/, 'env:JWT_TEST_SECRET'),
    secret_row('an environment variable that is too short', 'env:JWT_TEST_SHORT', qr/jwt_secret_key has 9 bytes/, 'env:JWT_TEST_SECRET'),
    secret_row('a secret with padding', 'base64url:c3dvcmRmaXNo==', qr/behind "base64url:" is not base64url without padding/, 'base64url:' . base64url($secret)),
    secret_row('a secret of base64', "base64url:$mark+/$mark", qr/behind "base64url:" is not base64url/, 'base64url:' . base64url($secret)),
    secret_row('a secret of hex with an odd digit', 'hex:' . unpack('H*', $secret) . '0', qr/behind "hex:" is not pairs of hexadecimal digits/, 'hex:' . unpack 'H*', $secret),
    secret_row('a secret of hex with other letters', "hex:$mark", qr/behind "hex:" is not pairs of hexadecimal/, 'hex:' . uc unpack 'H*', $secret),
    secret_row('row 4: a PEM as secret', 'file:%%DIR%%/rsa.pub', qr/secret file "\S+" is a PEM text and no HMAC secret: name its file with jwt_public_key/, 'file:%%DIR%%/secret'),
    secret_row('row 4: a private PEM as secret', 'file:%%DIR%%/rsa.key', qr/secret file "\S+" is a PEM text and no HMAC secret/, 'file:%%DIR%%/secret'),
    secret_row('row 4: the text of a PEM as secret', qq("$pem"), qr/jwt_secret_key is a PEM text and no HMAC secret/),
    secret_row('row 4: a JWK as secret', 'file:%%DIR%%/rsa.jwk', qr/secret file "\S+" is a JWK text and no HMAC secret/, 'file:%%DIR%%/secret'),
    secret_row('row 4: an SSH key as secret', 'file:%%DIR%%/ssh.pub', qr/secret file "\S+" is an SSH key and no HMAC secret/, 'file:%%DIR%%/secret'),
    secret_row('the name of a file as secret', '%%DIR%%/secret', qr/jwt_secret_key would take the name of a file as the secret: write "file:" before it/, 'file:%%DIR%%/secret'),
    secret_row('the name of a file that is not there', "%%DIR%%/$mark-$mark-$mark-$mark", qr/would take the name of a file as the secret/, 'file:%%DIR%%/secret'),
    secret_row('a path at the root', "/$mark-$mark-$mark.$mark/$mark.$mark", qr/would take the name of a file as the secret/, "//$mark$mark$mark$mark"),
    secret_row('a path that leads nowhere', "/$mark/$mark/$mark-$mark.$mark", qr/would take the name of a file as the secret/, "/$mark/$mark/$mark$mark$mark"),
    secret_row('a variable as secret', "\$\{$mark\_$mark\_$mark\_$mark\}", qr/jwt_secret_key knows no variables.*write env:NAME/, 'env:JWT_TEST_SECRET'),
    secret_row('a variable without braces', "\$$mark\_$mark\_$mark\_$mark", qr/jwt_secret_key knows no variables/, "'\$$mark \$$mark \$$mark /$mark'"),
    (map { my $prefix = $_; secret_row("a secret behind $prefix", "$prefix$mark-$mark-$mark-$mark",
        qr/jwt_secret_key has a prefix that it does not know: write file:PATH, env:NAME, base64url:… or hex:…/, "x$prefix$mark-$mark-$mark-$mark") }
        qw(FILE: file= ENV: env= base64: Base64URL= HEX:)),
    ['a secret too short for HS512', "jwt_algorithm HS512;\njwt_secret_key $mark-$mark-$mark-$mark-$mark; #!\njwt_required;",
        qr/jwt_secret_key has 49 bytes, HS512 needs at least 64/, "jwt_algorithm HS512;\n$key\njwt_required;"],
    ['a secret for RS256', "jwt_algorithm RS256;\n$key #!\njwt_required;",
        qr/jwt_secret_key cannot be used with RS256: write jwt_decode_algorithms with one of HS256/, "jwt_algorithm HS256;\n$key\njwt_required;"],
    ['two secrets in one directive', "jwt_secret_key $mark $mark;", qr/invalid number of arguments in "jwt_secret_key"/, $key],
);

sub public_row { my ($name, $file, $message, $good) = @_; return ["a public key that $name", "jwt_public_key %%DIR%%/$file;", qr/jwt_public_key "\S+$file" $message/, "jwt_public_key %%DIR%%/$good;"] }
my @keys = (
    public_row('does not exist', 'no.pub', qr/cannot be read \(2: No such file/, 'rsa.pub'),
    public_row('is a folder', 'folder', qr/is no regular file/, 'rsa.pub'),
    public_row('is larger than any', 'large', qr/is larger than 1 MiB/, 'rsa.pub'),
    public_row('is empty', 'empty', qr/is empty/, 'rsa.pub'),
    public_row('is no key', 'words', qr/is neither PEM nor a JWK nor a JWK Set/, 'rsa.pub'),
    public_row('is cut off', 'cut.pub', qr/is damaged: PEM block 1 cannot be read/, 'rsa.pub'),
    public_row('holds rubbish', 'damaged.pub', qr/is damaged: its PUBLIC KEY block cannot be decoded/, 'rsa.pub'),
    public_row('is too weak (row 9)', 'weak.pub', qr/has an RSA modulus of 1024 bits: use one of 2048 to 8192/, 'rsa.pub'),
    public_row('spells out its curve', 'spelt.pub', qr/spells out its curve: use a named curve/, 'ec.pub'),
    public_row('makes no signatures', 'x25519.pub', qr/holds no key that verifies \(X25519 public key\): a private key that decrypts goes to jwt_decryption_key/, 'ed.pub'),
    public_row('is an SSH key', 'ssh.pub', qr/is an SSH key: convert it with "ssh-keygen/, 'ed.pub'),
    public_row('is an encrypted private key', 'locked.key', qr/is encrypted: write it unencrypted/, 'rsa.pub'),
    public_row('is cut JSON', 'cut.jwk', qr/is no JSON/, 'rsa.jwk'),
    public_row('has an exponent of 1 (row 9)', 'exponent.jwk', qr/has an RSA exponent that is even, below 3/, 'rsa.jwk'),
    public_row('is for encryption (row 8)', 'enc.jwk', qr/holds no key that verifies \(RSA 2048-bit public key\)/, 'rsa.jwk'),
    public_row('has an alg of another curve (row 8)', 'misfit.jwk', qr/has alg ES384, which does not fit it: it serves ES256/, 'ec.jwk'),
    public_row('may only sign (row 8)', 'sign.jwk', qr/is a public key whose key_ops lack verify/, 'ec.jwk'),
    public_row('has padding', 'padded.jwk', qr/has a member "n" that is not base64url without padding/, 'rsa.jwk'),
    public_row('is off its curve (row 9)', 'curve.jwk', qr/has a point that is not on its curve/, 'ec.jwk'),
    public_row('is of an unknown kty', 'kty.jwk', qr/is of kty "FOO": use RSA, EC, OKP or oct/, 'ec.jwk'),
    public_row('is of small order (row 9)', 'order.jwk', qr/has a point of small order/, 'ed.pub'),
    public_row('is a secret (row 16)', 'oct.jwk', qr/holds a secret, which is no public key: write jwt_private_key/, 'rsa.jwk'),
    public_row('is a set without keys', 'none.jwks', qr/holds no keys/, 'two.jwks'),
    public_row('is a set that is no array', 'object.jwks', qr/has a member "keys" that is no array/, 'two.jwks'),
    public_row('is a set of unusable keys', 'bad.jwks', qr/holds no usable key: key 1 \(kid "a"\) is of kty "FOO"/, 'two.jwks'),
    public_row('is a set of two keys with one kid (row 16)', 'twins.jwks', qr/holds two keys of kid "a": give each its own/, 'two.jwks'),
    ['a public key that is a URL', "jwt_public_key https://idp.example/jwks;", qr/jwt_public_key takes a file, and "https:\S+" is a URL: write jwt_key_request/,
        "jwt_public_key %%DIR%%/rsa.pub;"],
    ['a private key that is public', "jwt_private_key %%DIR%%/rsa.pub;",
        qr/jwt_private_key "\S+rsa\.pub" holds no private key: write jwt_public_key/, "jwt_private_key %%DIR%%/rsa.key;"],
    ['a private key that is encrypted', "jwt_private_key %%DIR%%/locked.key;",
        qr/is encrypted: write it unencrypted with "openssl pkey/, "jwt_private_key %%DIR%%/rsa.key;"],
    ['a private key of OpenSSH', "jwt_private_key %%DIR%%/openssh.key;",
        qr/is in OpenSSH's format: convert a copy with "ssh-keygen/, "jwt_private_key %%DIR%%/ec.key;"],
    ['a private JWK that is too short a secret', "jwt_private_key %%DIR%%/octshort.jwk;",
        qr/jwt_private_key "\S+octshort\.jwk" has 9 bytes, HS256 needs at least 32/, "jwt_private_key %%DIR%%/oct.jwk;"],
    ['a private key that does not exist', "jwt_private_key %%DIR%%/no.key;", qr/jwt_private_key "\S+no\.key" cannot be read \(2:/,
        "jwt_private_key %%DIR%%/ec.key;"],
    ['a public key that no allowed algorithm uses', "jwt_public_key %%DIR%%/rsa.pub; #!\njwt_required;",
        qr/jwt_public_key "\S+rsa\.pub" is an? RSA 2048-bit public key, which HS256 cannot use: write jwt_algorithm or jwt_decode_algorithms with one of RS256/,
        "jwt_public_key %%DIR%%/rsa.pub;\njwt_algorithm RS256; jwt_required;"],
    ['a public key of another curve (row 6)', "jwt_decode_algorithms ES256;\njwt_public_key %%DIR%%/es384.pub; #!\njwt_required;",
        qr/which ES256 cannot use: write jwt_algorithm or jwt_decode_algorithms with one of ES384/,
        "jwt_decode_algorithms ES384;\njwt_public_key %%DIR%%/es384.pub; jwt_required;"],
    ['a private key that jwt_algorithm cannot sign with', "jwt_algorithm ES256; jwt_decode_algorithms RS256 ES256;\njwt_public_key %%DIR%%/rsa.pub;\njwt_private_key %%DIR%%/es384.key; #!\njwt_required;",
        qr/which does not sign with jwt_algorithm ES256: write jwt_algorithm with one of ES384/,
        "jwt_algorithm ES384; jwt_decode_algorithms RS256 ES384;\njwt_public_key %%DIR%%/rsa.pub;\njwt_private_key %%DIR%%/es384.key;\njwt_required;"],
);

# The Lua file that is wrong, the message without the file's name, and the one that is right.
my $outside = "local x = 1\n";
my @lua = (
    ['a syntax error', "return {\n  expired_token = function( return 1 end,\n}\n", qr/hooks\.lua:2: .*expected near 'return'/],
    ['a runtime error', "local x = nil\nlocal y = x.z\nreturn {}\n", qr/hooks\.lua:2: attempt to index local 'x'/],
    ['an error of its own', "error('no such day')\n", qr/hooks\.lua:1: no such day/],
    ['no result', $outside, qr/returned no value: return one table of hooks/],
    ['a result of another type', "return 'hooks'\n", qr/returned a string: return one table of hooks/],
    ['nil as result', "return nil\n", qr/returned nil: return one table of hooks/],
    ['two results', "return {}, 1\n", qr/returned several values: return one table of hooks/],
    ['a hook that is none', "return { expired_tokn = function() end }\n", qr/unknown hook "expired_tokn": did you mean "expired_token"\?/],
    ['a hook that is like none', "return { weather = function() end }\n", qr/unknown hook "weather": a hooks file has expired_token, .*encode_key, and handlers/],
    ['the table of handlers in the singular', "return { handler = { hello = function() end } }\n", qr/unknown hook "handler": did you mean "handlers"\?/],
    (map { my ($old, $new) = @$_; ["the older name $old", "return { $old = function() end }\n", qr/unknown hook "$old": did you mean "$new"\?/] }
        [qw(expired_token_loader expired_token)], [qw(invalid_token_loader invalid_token)], [qw(unauthorized_loader unauthorized)],
        [qw(needs_fresh_token_loader needs_fresh_token)], [qw(revoked_token_loader revoked_token)],
        [qw(user_lookup_loader user_lookup)], [qw(user_identity_loader user_identity)], [qw(user_loader_callback user_lookup)],
        [qw(user_loader_error_loader user_lookup_error)], [qw(user_loader_error user_lookup_error)],
        [qw(user_claims_loader additional_claims)], [qw(additional_claims_loader additional_claims)],
        [qw(additional_headers_loader additional_headers)], [qw(claims_verification token_verification)],
        [qw(claims_verification_failed token_verification_failed)], [qw(token_verification_loader token_verification)],
        [qw(token_verification_failed_loader token_verification_failed)], [qw(token_in_blacklist token_in_blocklist)],
        [qw(token_in_blacklist_loader token_in_blocklist)], [qw(token_in_blocklist_loader token_in_blocklist)],
        [qw(decode_key_loader decode_key)], [qw(encode_key_loader encode_key)]),
    ['a hook that is no function', "return { expired_token = { msg = 'late' } }\n", qr/hook expired_token is a table: give a function/],
    ['a hook that is a name', "return { decode_key = 'secret' }\n", qr/hook decode_key is a string: give a function/],
    ['handlers that are no table', "return { handlers = function() end }\n", qr/handlers is a function: give a table of functions/],
    ['a handler that is no function', "return { handlers = { login = true } }\n", qr/handler "login" is true: give a function/],
    ['a handler without a name', "return { handlers = { function() end } }\n", qr/handlers has a key that is no name: write NAME = function/],
    ['a hook without a name', "return { function() end }\n", qr/the table has a key that is no name: write HOOK = function/],
    ['a global', "\ncount = 0\nreturn {}\n", qr/hooks\.lua:2: a global "count" would be shared by all requests: write "local count"/],
    ['a global function', "function helper() end\nreturn {}\n", qr/hooks\.lua:1: a global "helper" would be shared.*write "local helper"/],
    ['a module that is missing', "local x = require 'nothing_here'\nreturn {}\n", qr/hooks\.lua:1: module "nothing_here" was not found: "\S+nothing_here\.lua" cannot be read \(2:/],
    ['a module outside the folders', "local x = require '../secret'\nreturn {}\n", qr/no module can be named "\.\.\/secret": use letters/],
    ['a module with a mistake', "local x = require 'faulty'\nreturn {}\n", qr/faulty\.lua:3: a global "oops"/],
    ['a module that requires itself', "local x = require 'circle'\nreturn {}\n", qr/module "circle" requires itself/],
    ['bytecode', "\eLJ\2\0", qr/attempt to load chunk with wrong mode|cannot load|is byte ?code/i],
    ['a file without an end', "while true do end\n", qr/hooks\.lua:1: stopped after \d+ (?:steps|ms)/],
    ['a file that needs too much memory', "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(65536) .. i end\nreturn t\n", qr/stopped after|needs more than \d+ bytes/],
    ['a function of the request while the file loads', "local jwt = require 'jwt'\njwt.create_access_token('a')\nreturn {}\n",
        qr/hooks\.lua:2: this function works on a request: call it in a hook or handler/],
    ['a library that is not there', "os.execute('true')\nreturn {}\n", qr/hooks\.lua:1: attempt to call field 'execute'/],
);
my $good_lua = "local jwt = require 'jwt'\nlocal x = require 'fine'\nreturn { expired_token = function() return 'late', 401 end }\n";
my %modules = (
    'fine.lua' => "return { 1 }\n",
    'faulty.lua' => "local a = 1\n\noops = a\n",
    'circle.lua' => "return require 'circle'\n",
);

$ENV{JWT_TEST_SECRET} = $secret;
$ENV{JWT_TEST_SHORT} = $mark;

# Written once; what the snippets call %%DIR%%.
my $folder = tempdir('jwt-keys-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir "$folder/folder" or die "$folder: $!";

sub put {
    my ($name, $text) = @_;
    open my $file, '>:raw', "$folder/$name" or die "$name: $!";
    print {$file} $text;
    close $file or die "$name: $!";
    return;
}

put($_, $files{$_}) for keys %files;
put($_, $modules{$_}) for keys %modules;

# A snippet, in a file of its own so that its lines count from 1.
sub said {
    my ($text, $in_http) = @_;
    $text =~ s/%%DIR%%/$folder/g;
    my $include = 'include %%DIR%%/snippet.conf;';
    return JWTTest->nginx_t(config => $in_http ? '' : $include, http => $in_http ? $include : '', files => { 'snippet.conf' => "$text\n" });
}

sub marked_line {
    my @lines = split /\n/, $_[0];
    my ($line) = grep { $lines[ $_ - 1 ] =~ /#!$/ } 1 .. @lines;
    return $line || 1;
}

# Refused, at its line, with the message, and without a secret.
sub refused {
    my ($name, $text, $message, $in_http) = @_;
    my ($code, $output) = said($text, $in_http);
    my $line = marked_line($text);
    my ($sentence) = grep { /\[emerg\]/ && /snippet\.conf:$line$/ } split /\n/, $output;
    my $fault = $code == 0 ? 'it was accepted'
        : !$sentence ? "no message names line $line"
        : $sentence !~ $message ? 'the message is another'
        : grep({ /\[(?:alert|crit)\]/ } split /\n/, $output) ? 'there is an alarm beside it'
        : index($output, $mark) >= 0 || index($output, base64url($mark)) >= 0 ? 'a message holds a secret' : '';
    ok(!$fault, $name) or diag("$fault:\n$text\n$output");
    return;
}

sub accepted {
    my ($name, $text, $in_http) = @_;
    my ($code, $output) = said($text, $in_http);
    is($code, 0, $name) or diag("$text\n$output");
    return $code == 0;
}

my @in_server = (@directives, @secrets, @keys);
refused(@$_[0 .. 2]) for @in_server;
refused(@$_[0 .. 2], 1) for @http_directives;

# The corrected texts, each in a server of its own; one by one only to find the culprit.
my $servers = join '', map { "server {\nlisten 127.0.0.1:29999;\n$_->[3]\n}\n" } @in_server;
if (!accepted('every corrected text passes', $servers, 1)) {
    accepted("corrected: $_->[0]", $_->[3]) for @in_server;
}
accepted("corrected: $_->[0]", $_->[3], 1) for @http_directives;

put('hooks.lua', "local jwt = require 'jwt'\nlocal x = require 'fine'\nreturn { expired_token = function() return 'late', 401 end }\n");
accepted('Lua: a good file', 'jwt_lua_file %%DIR%%/hooks.lua;');
accepted('Lua: no file', 'jwt_lua_file off;');
refused('Lua: a file that does not exist', 'jwt_lua_file %%DIR%%/no.lua;', qr/"\S+no\.lua" cannot be read \(2: No such file/);
refused('Lua: a file that is a folder', 'jwt_lua_file %%DIR%%/folder;', qr/"\S+folder" is no regular file/);

for my $row (@lua) {
    my ($name, $text, $message) = @$row;
    put('hooks.lua', $text);
    refused("Lua: $name", "\njwt_lua_file %%DIR%%/hooks.lua; #!", qr{(?=.*(?:hooks\.lua"?:|/(?:faulty|circle)\.lua:))(?=.*$message)});
}

# Taken, and said to be odd: what may be meant, and hardly is.
sub warned {
    my ($name, $text, $message, $in_http) = @_;
    my ($code, $output) = said($text, $in_http);
    my $line = marked_line($text);
    my @said = grep { /\[warn\]/ && /snippet\.conf:$line$/ } split /\n/, $output;
    ok($code == 0 && (defined $message ? @said == 1 && $said[0] =~ $message : !@said), $name) or diag("$text\n$output");
    return;
}
warned('a method that is misspelt', 'jwt_csrf_methods PSOT PUT;', qr/"PSOT" of jwt_csrf_methods is no common method: is it spelt right\?/);
warned('preflight beside all of OPTIONS', 'jwt_exempt_methods preflight OPTIONS;',
    qr/"OPTIONS" exempts every OPTIONS request, "preflight" those of CORS alone: write one of them/);
warned('methods that are common', 'jwt_csrf_methods POST QUERY PROPFIND; jwt_exempt_methods preflight GET;');
warned("$_->[0] with a variable", "$_->[0] $_->[1];", qr/$_->[0] knows no variables: "\Q$_->[1]\E" is taken to the letter/)
    for ['jwt_realm', '$host'], ['jwt_decode_issuer', 'https://$host'], ['jwt_decode_audience', '${host}'], ['jwt_encode_issuer', 'https://$host/'], ['jwt_identity_claim', '$name'];
warned("$_->[0] with a dollar", "$_->[0] $_->[1];") for ['jwt_realm', '"10 $ a day"'], ['jwt_decode_issuer', 'https://host/$'];
warned('how old, and nothing said of it', 'jwt_revocation_max_staleness 1m;', qr/jwt_revocation_max_staleness lets requests pass after its time too: write fail=closed behind it/);
warned('how old, on purpose', 'jwt_revocation_max_staleness 1m fail=open;');
my $named = "location / {\n $key #!\n";
warned('keys, and nobody is asked', "$named}", qr/a location asks nobody for a token, and says how to verify one: write jwt_required into it, or "jwt_required off"/);
warned('a profile, and nobody is asked', "location / {\n jwt_profile rfc9068; #!\n}", qr/a location asks nobody for a token/);
warned('keys of a server, and nobody is asked', "$key #!\nlocation / { }", qr/keys are named, and no location asks for a token: write jwt_required/);
warned('keys of a server, for one of its locations', "$key #!\nlocation / { }\nlocation /a { jwt_required; }");
warned('keys of all servers, and nobody is asked', "$key #!\nserver { listen 127.0.0.1:29999; }", qr/keys are named, and no location/, 1);
warned('keys, and somebody is asked', "$named jwt_required;\n}");
warned('keys, and all is open on purpose', "$named jwt_required off;\n}");
warned('keys for what is within', "$named location /a { jwt_required; }\n}");
warned('keys for a handler', "$named jwt_lua_file %%DIR%%/hooks.lua; jwt_handler hello;\n}") if put('hooks.lua', $files{'hooks.lua'}) || 1;

# nginx itself finds this one, once all variables are known.
my ($code, $output) = said("$key jwt_required if=\$no_such_thing;");
isnt($code, 0, 'if= of a variable that does not exist');
like($output, qr/unknown "no_such_thing" variable/, 'and which');

done_testing;
