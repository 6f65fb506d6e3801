# jwt_jwks and jwt_discovery: what an issuer publishes, for caches, and never anything private.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JSON::PP qw(decode_json encode_json);

my %pair = map { $_ => keypair($_) } qw(RS256 ES256 ES384 EdDSA);
my %jwk = map { $_ => { %{ $pair{$_}{private_jwk} }, kid => lc $_ } } keys %pair;
my %public = map { $_ => { %{ $pair{$_}{public_jwk} }, kid => lc $_ } } keys %pair;
my $issue = 'return { handlers = { issue = function() local jwt = require "jwt" return { token = jwt.create_access_token("alice") } end } }';

my %files = (
    'rs.jwk' => encode_json($jwk{RS256}),
    'es.jwk' => encode_json($jwk{ES256}),
    'next.jwk' => encode_json($public{ES384}),
    'ed.pem' => $pair{EdDSA}{private},
    'ed.pub' => $pair{EdDSA}{public},
    'mixed.jwks' => encode_json({ keys => [$jwk{RS256}, $jwk{ES256}] }),
    'oct.jwk' => encode_json({ kty => 'oct', k => base64url($JWTTest::Token::secret), alg => 'HS256', kid => 'secret' }),
    'issue.lua' => "$issue\n",
    "fetch.lua" => qq(local jwt = require "jwt" return { handlers = { get = function() return jwt.fetch("/inner").body end } }\n),
);

my $t = JWTTest->new(
    files => \%files,
    http => 'jwt_issuer somebody { issuer https://somebody.example; public_key next.jwk; algorithms ES384; }',
    config => <<"EOF_CONFIG",
    location = /jwks { jwt_private_key %%DIR%%/es.jwk; jwt_public_key %%DIR%%/next.jwk; jwt_jwks; }
    location = /all {
        jwt_secret_key "$JWTTest::Token::secret";
        jwt_private_key %%DIR%%/mixed.jwks;
        jwt_private_key %%DIR%%/ed.pem;
        jwt_private_key %%DIR%%/oct.jwk;
        jwt_public_key %%DIR%%/ed.pub;
        jwt_public_key %%DIR%%/next.jwk;
        jwt_jwks max_age=1h;
    }
    location = /issue {
        jwt_algorithm ES256; jwt_private_key %%DIR%%/es.jwk; jwt_lua_file %%DIR%%/issue.lua; jwt_handler issue;
    }
    location = /kept {
        jwt_private_key %%DIR%%/es.jwk;
        jwt_decryption_key %%DIR%%/rs.jwk;
        jwt_key_request /inner;
        jwt_trust somebody;
        jwt_jwks;
    }
    location = /guarded { jwt_private_key %%DIR%%/es.jwk; jwt_algorithm ES256; jwt_required; jwt_jwks; }
    location = /inner { internal; jwt_private_key %%DIR%%/es.jwk; jwt_jwks; }
    location = /by-fetch { jwt_lua_file %%DIR%%/fetch.lua; jwt_handler get; }
    location = /.well-known/openid-configuration {
        jwt_algorithm ES256;
        jwt_private_key %%DIR%%/es.jwk;
        jwt_encode_issuer https://id.example/a;
        jwt_discovery jwks_uri=https://id.example/jwks token_endpoint=https://id.example/token scopes_supported=openid,read
            request_parameter_supported=false "service_documentation=https://id.example/a \\"b\\"" max_age=30s;
    }
    location = /local {
        jwt_algorithm ES256; jwt_private_key %%DIR%%/es.jwk; jwt_encode_issuer http://127.0.0.1:8080;
        jwt_discovery jwks_uri=http://localhost/jwks response_types_supported=code subject_types_supported=pairwise;
    }
EOF_CONFIG
);

# ---- the set

my $answer = $t->get('/jwks');
is($answer->{status}, 200, 'jwt_jwks answers');
is($answer->{headers}{'content-type'}, 'application/jwk-set+json', 'as RFC 7517 names the type');
is($answer->{headers}{'cache-control'}, 'public, max-age=600', 'and may be kept for ten minutes');
like($answer->{headers}{etag}, qr/\A"[0-9a-f]{40}"\z/, 'with an ETag');
like($answer->{headers}{'last-modified'}, qr/ GMT\z/, 'and its time');
is($answer->{headers}{'content-length'}, length $answer->{body}, 'and its length');

my $known = sub { my ($of) = @_; return { %{ $public{$of} }, use => 'sig' } };
my $with_alg = sub { my ($of) = @_; return { %{ $known->($of) }, alg => $of } };
sub by_kid { return { map { ($_->{kid} || '' => $_) } @{ $_[0]{keys} } } }
my $set = by_kid(decode_json($answer->{body}));
is_deeply($set, { es256 => $with_alg->('ES256'), es384 => $with_alg->('ES384') }, 'row 70: the signing key, and the next one before its first use');
is_deeply(by_kid(decode_json($t->get('/kept')->{body})), { es256 => $with_alg->('ES256') },
    'neither what decrypts, nor what a provider or an issuer publishes');
my $all = $t->get('/all');
my $keys = decode_json($all->{body})->{keys};
is_deeply([sort map { "$_->{kty} " . ($_->{kid} || '-') } @$keys], ['EC es256', 'EC es384', 'OKP -', 'RSA rs256'],
    'row 70: private and public keys of all files and types, each once, and no secret');
is($all->{headers}{'cache-control'}, 'public, max-age=3600', 'max_age=1h');
my %allowed = map { $_ => 1 } qw(kty n e crv x y kid use alg);
is_deeply([grep { !$allowed{$_} } map { keys %$_ } @$keys], [], 'row 70: no member but public ones');
my @private = map { my $k = $_; map { $k->{$_} } grep { !$allowed{$_} } keys %$k } map { $_->{private_jwk} } values %pair;
cmp_ok(scalar @private, '>=', 9, 'the private members are known');
is_deeply([grep { index($all->{body}, $_) >= 0 } @private, base64url($JWTTest::Token::secret)], [], 'row 70: no private value, under any name');

# ---- HTTP

my $head = $t->request('HEAD', '/jwks');
is_deeply([@$head{qw(status body)}, @{ $head->{headers} }{qw(etag content-length)}],
    [200, '', @{ $answer->{headers} }{qw(etag content-length)}], 'HEAD');
my $etag = $answer->{headers}{etag};
my $same = $t->get('/jwks', ['If-None-Match' => $etag]);
is_deeply([@$same{qw(status body)}, @{ $same->{headers} }{qw(etag cache-control content-type)}],
    [304, '', $etag, 'public, max-age=600', undef], 'If-None-Match: nothing new');
is($t->get('/jwks', ['If-None-Match' => qq("x", W/$etag)])->{status}, 304, 'If-None-Match with a list');
is($t->get('/jwks', ['If-None-Match' => '"x"'])->{status}, 200, 'If-None-Match of another');
is($t->get('/jwks', ['If-Modified-Since' => $answer->{headers}{'last-modified'}])->{status}, 304, 'If-Modified-Since: nothing new');
is($t->get('/jwks', ['If-Modified-Since' => 'Sun, 06 Nov 1994 08:49:37 GMT'])->{status}, 200, 'If-Modified-Since of another time');
for my $method (qw(POST PUT DELETE OPTIONS PATCH)) {
    my $refused = $t->request($method, '/jwks', [], $method eq 'POST' ? 'x' : undef);
    is_deeply([$refused->{status}, $refused->{headers}{allow}], [405, 'GET, HEAD'], "$method is refused");
    unlike($refused->{body}, qr/"kty"/, "$method shows no key");
}
is($t->get('/jwks?x=1')->{body}, $answer->{body}, 'a query changes nothing');
my $c = $t->connection;
$c->request('GET', '/jwks') for 1 .. 3;
is_deeply([map { $c->response('GET')->{body} eq $answer->{body} } 1 .. 3], [1, 1, 1], 'pipelined requests');
$c->close;
is($t->get('/guarded')->{status}, 401, 'jwt_required guards it, where somebody wants that');
is($t->get('/inner')->{status}, 404, 'internal');
is_deeply([keys %{ by_kid(decode_json($t->get('/by-fetch')->{body})) }], ['es256'], 'whole in a subrequest');

# ---- round trip

my $token = $t->get('/issue')->{json}{token};
my $reader = JWTTest->new(
    files => { 'fetched.jwks' => $answer->{body}, 'html/index.html' => 'inside' },
    config => 'root %%DIR%%/html; jwt_decode_algorithms ES256 ES384; jwt_public_key %%DIR%%/fetched.jwks; jwt_required;',
);
is($reader->get_with('/', $token)->{body}, 'inside', 'what is served verifies what is signed');
my $next = token(claims(), key => $jwk{ES384}, alg => 'ES384', header => { kid => 'es384' });
is($reader->get_with('/', $next)->{body}, 'inside', 'and what the next key will sign');
is($reader->get_with('/', token(claims(), key => $jwk{RS256}, alg => 'RS256'))->{status}, 422, 'and nothing else');

# ---- discovery

my $document = $t->get('/.well-known/openid-configuration');
is($document->{status}, 200, 'jwt_discovery answers');
is_deeply($document->{json}, {
    issuer => 'https://id.example/a', jwks_uri => 'https://id.example/jwks', token_endpoint => 'https://id.example/token',
    scopes_supported => ['openid', 'read'], request_parameter_supported => JSON::PP::false(),
    service_documentation => 'https://id.example/a "b"', response_types_supported => ['id_token'], subject_types_supported => ['public'],
    id_token_signing_alg_values_supported => ['ES256'],
}, 'what OpenID Connect Discovery asks for, and what is said');
is_deeply([@{ $document->{headers} }{qw(content-type cache-control)}], ['application/json', 'public, max-age=30'], 'as JSON that may be kept');
is($t->get('/.well-known/openid-configuration', ['If-None-Match' => $document->{headers}{etag}])->{status}, 304, 'nothing new');
is($t->post('/.well-known/openid-configuration', [], '')->{status}, 405, 'POST is refused');
my $local = $t->get('/local')->{json};
is_deeply([@$local{qw(issuer response_types_supported subject_types_supported)}], ['http://127.0.0.1:8080', ['code'], ['pairwise']],
    'the machine itself may do without TLS, and the defaults can be changed');

# ---- the same body has the same ETag, another one has another

ok($t->reload, 'a reload');
is($t->get('/jwks', ['If-None-Match' => $etag])->{status}, 304, 'the same keys after a reload');
$t->write('es.jwk', encode_json($jwk{EdDSA}));
ok($t->reload(config => 'location = /jwks { jwt_algorithm EdDSA; jwt_private_key %%DIR%%/es.jwk; jwt_public_key %%DIR%%/next.jwk; jwt_jwks; }'),
    'a reload with another key');
my $changed = $t->get('/jwks', ['If-None-Match' => $etag]);
is_deeply([$changed->{status}, [sort keys %{ by_kid($changed->{json} || decode_json($changed->{body})) }]], [200, ['eddsa', 'es384']], 'is another set');

done_testing;
