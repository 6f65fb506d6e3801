use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use JWTTest;

my $secret = $JWTTest::Token::secret;

my $t = JWTTest->new(
    workers => 2,
    http    => 'root %%DIR%%/html; jwt_revocation_store %%DIR%%/revoked size=8m;',
    files   => {
        'html/ok' => 'ok',
        'keys.json' => encode_json({ keys => [{ kty => 'oct', kid => 'k1', k => base64url($secret) }] }),
    },
    config  => <<"EOF_CONFIG",
    jwt_secret_key "$secret";
    location /api/    { jwt_required any_type; try_files /ok =404; }
    location /keyed/  { jwt_private_key %%DIR%%/keys.json; jwt_required; try_files /ok =404; }
    location /admin   { jwt_revocations; }
    location /guarded { allow 127.0.0.2; deny all; jwt_revocations; }
    location /token   { jwt_required; jwt_token_location cookies headers; jwt_revocations; }
    location /status  { jwt_status json; }
    location /refresh { jwt_required refresh; jwt_refresh; }
EOF_CONFIG
);

my @json = ('Content-Type' => 'application/json');
my $encoder = JSON::PP->new->canonical;
sub add    { return $t->post('/admin', [@json], ref $_[0] ? $encoder->encode($_[0]) : $_[0]) }
sub remove { return $t->request('DELETE', '/admin', [@json], $encoder->encode($_[0])) }
sub list   { return $t->get('/admin' . ($_[0] // ''))->{json} }
sub status_of { return $t->get_with($_[1] || '/api/', $_[0])->{status} }

# ---- each way to name what is revoked

is_deeply list(), { revocations => [], next => undef }, 'nothing is revoked at first';

my $past = claims(iat => time - 10, sub => 'alice', jti => 'one');
my ($one, $two) = (token($past), token({ %$past, jti => 'two', sub => 'bob' }));
is status_of($_), 200, 'good tokens' for $one, $two;

my $res = add({ jti => 'one' });
is $res->{status}, 201, 'a jti is revoked';
like $res->{json}{id}, qr/^[0-9a-f]{48}$/, 'and has an id';
is $res->{json}{known}, JSON::PP::false, 'as something new';
is $res->{headers}{'cache-control'}, 'no-store', 'that nobody stores';
is $t->statuses('/api/', $one), '401 401', 'in both workers';
is status_of($two), 200, 'and no other';
$res = add({ jti => 'one' });
is_deeply [$res->{status}, $res->{json}{known}], [200, JSON::PP::true], 'once more is no error';

my ($row) = @{ list()->{revocations} };
is_deeply [@$row{qw(kind name before kept_until)}], ['token', 'one', undef, undef], 'the list has it';
ok !exists $row->{iss}, 'of any issuer';
cmp_ok abs($row->{revoked_at} - time), '<', 10, 'and when';

$res = $t->request('DELETE', "/admin?id=$row->{id}");
is $res->{status}, 200, 'it is taken back by its id';
is_deeply $res->{json}, { removed => JSON::PP::true }, 'which is said';
is $t->statuses('/api/', $one), '200 200', 'and the token is good again';
is $t->request('DELETE', "/admin?id=$row->{id}")->{status}, 404, 'what is not there cannot be removed';

is add({ token => $two })->{status}, 201, 'a token';
is status_of($two), 401, 'is revoked';
($row) = grep { $_->{name} eq 'two' } @{ list()->{revocations} };
cmp_ok $row->{kept_until}, '>', $past->{exp}, 'until it has expired';
is remove({ token => $two })->{status}, 200, 'and taken back';
is status_of($two), 200, 'by itself';

is add({ subject => 'alice' })->{status}, 201, 'a subject is logged out everywhere';
is status_of($one), 401, 'with all that was issued before';
is status_of($two), 200, 'others are not';
ok $t->wait_for(3, sub { status_of(token(claims(sub => 'alice', iat => int time))) == 200 }), 'and may log in again';
is remove({ subject => 'alice' })->{status}, 200, 'taken back';
is status_of($one), 200, 'the old ones are good again';

is add({ subject => 'alice', before => time - 100 })->{status}, 201, 'before a moment';
is status_of($one), 200, 'which was earlier';
is add({ subject => 'alice', before => undef })->{status}, 200, 'whenever it was issued';
is status_of(token(claims(sub => 'alice', iat => int time))), 401, 'also from now on';
remove({ subject => 'alice' });

my $access = $t->post('/refresh', [Authorization => 'Bearer ' . token(claims(type => 'refresh', sid => 'login'))], '')->{json}{access_token};
is status_of($access), 200, 'a family';
is add({ family => 'login' })->{status}, 201, 'is revoked';
is status_of($access), 401, 'as a whole';

is status_of($two, '/keyed/'), 200, 'a key';
is add({ kid => 'k1' })->{status}, 201, 'is revoked';
is status_of($two, '/keyed/'), 401, 'and what it verifies';
is status_of($two), 200, 'and nothing else';

is add({ jti => 'of', iss => 'us' })->{status}, 201, 'a jti of one issuer';
is status_of(token(claims(jti => 'of', iss => 'us'))), 401, 'is revoked';
is status_of(token(claims(jti => 'of', iss => 'them'))), 200, 'and not that of another';
is status_of(token(claims(jti => 'of'))), 200, 'nor of none';
is add({ jti => 'of', iss => undef })->{status}, 201, 'of none';
is status_of(token(claims(jti => 'of'))), 401, 'is another';
is status_of(token(claims(jti => 'of', iss => 'them'))), 200, 'still';

is add({ all => JSON::PP::true })->{status}, 201, 'everything that was issued before';
is status_of($two), 401, 'is revoked';
is remove({ all => JSON::PP::true })->{status}, 200, 'taken back';
is status_of($two), 200, 'and good';

# ---- pages

add({ jti => "page-$_", exp => time + 3600 }) for 1 .. 25;
my (%seen, $from);
my $pages = 0;
do {
    my $page = list('?limit=10' . ($from ? "&from=$from" : ''));
    cmp_ok scalar @{ $page->{revocations} }, '<=', 10, 'a page has no more than was asked for';
    $seen{ $_->{id} }++ for @{ $page->{revocations} };
    $from = $page->{next};
    $pages++;
} while ($from && $pages < 20);
is scalar(grep { $_ > 1 } values %seen), 0, 'nothing comes twice';
cmp_ok scalar keys %seen, '>=', 25, 'and all of it comes';
is scalar @{ list('?limit=1000')->{revocations} }, scalar keys %seen, 'as in one large page';
for my $query ('limit=0', 'limit=1001', 'limit=x', 'limit=', 'limit=-1', 'limit=99999999999999999999', 'from=xyz', 'from=' . '0' x 47) {
    is $t->get("/admin?$query")->{status}, 400, "$query is no page";
}
is $t->request('HEAD', '/admin')->{status}, 200, 'HEAD';

# ---- figures

ok $t->wait_for(5, sub { ($t->get("/status")->{json}{revocation_entries} // 0) >= keys %seen }), 'jwt_status counts them';
my $figures = $t->get('/status')->{json};
cmp_ok $figures->{revocation_store_bytes}, '>', 4096, 'and what they take';
cmp_ok +(map { $_->{value} } grep { $_->{result} eq 'ok' } @{ $figures->{revocation_writes_total} })[0], '>', 30, 'and how many were written';

# ---- what is refused, and why

for my $case (
    ['{', qr/^Invalid JSON: /],
    ['[]', qr/^Invalid JSON: /],
    ['{"jti":"a","jti":"b"}', qr/^Invalid JSON: /],
    [{}, qr/^The members do not agree: name what is revoked by one of token, jti, family, subject, kid and all$/],
    [{ jti => 'a', subject => 'b' }, qr/^The members do not agree/],
    [{ jti => 'a', expires => 5 }, qr/^Unknown member "expires"/],
    [{ jti => 5 }, qr/^jti takes a string that is not empty$/],
    [{ jti => '' }, qr/^jti takes a string that is not empty$/],
    [{ subject => ['a'] }, qr/^subject takes a string/],
    [{ all => JSON::PP::false }, qr/^all takes true$/],
    [{ all => 'yes' }, qr/^all takes true$/],
    [{ jti => 'a', iss => 5 }, qr/^iss takes a string, or null/],
    [{ subject => 'a', before => 'now' }, qr/^before takes seconds since 1970, or null$/],
    [{ subject => 'a', before => -1 }, qr/^before takes/],
    [{ jti => 'a', exp => 1e300 }, qr/^exp takes/],
    [{ token => 'x' }, qr/^This is no token: /],
    [{ token => 5 }, qr/^token takes a string$/],
    [{ token => $one, iss => 'a' }, qr/^A token says itself who issued it and when it expires: leave out iss$/],
) {
    my ($body, $sentence) = @$case;
    $res = add($body);
    my $shown = ref $body ? $encoder->encode($body) : $body;
    is $res->{status}, 400, "$shown is refused" =~ s/eyJ[^"]*/…/r;
    like $res->{json}{msg}, $sentence, 'with the reason';
}
is_deeply [grep { $_->{name} eq 'a' } @{ list('?limit=1000')->{revocations} }], [], 'none of that revoked anything';

# ATTACKS 75: a page of another origin, somebody without a right, a body without an end.
for my $type ('application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x') {
    is $t->post('/admin', ['Content-Type' => $type], '{"jti":"a"}')->{status}, 415, "$type, which a form can send, changes nothing";
}
is $t->post('/admin', [], '{"jti":"a"}')->{status}, 415, 'nor what says nothing of itself';
$res = $t->request('PUT', '/admin', [@json], '{"jti":"a"}');
is_deeply [$res->{status}, $res->{headers}{allow}], [405, 'GET, HEAD, POST, DELETE'], 'PUT is nothing here';
is $t->post('/guarded', [@json], '{"jti":"a"}')->{status}, 403, 'allow and deny decide';
is $t->get('/guarded')->{status}, 403, 'who may read, too';
is $t->post('/token', [@json], '{"jti":"a"}')->{status}, 401, 'or a token does';
is $t->post('/token', [@json, Cookie => 'access_token_cookie=' . token(claims(csrf => 'c'))], '{"jti":"a"}')->{status}, 401,
    'in a cookie with its CSRF value alone';
is $t->post('/token', [@json, Authorization => 'Bearer ' . token(claims())], '{"jti":"by-token"}')->{status}, 201, 'a good one may';
is add('{"jti":"' . 'a' x 10_000_000 . '"}')->{status}, 413, '10 MB are not read';
is $t->post('/admin', [@json], ['{"jti":"', ('a' x 10_000) x 8, '"}'])->{status}, 413, 'nor too much in pieces';
is_deeply [grep { $_->{name} eq 'a' } @{ list('?limit=1000')->{revocations} }], [], 'none of that revoked anything either';

my $long = "\x{fc}" x 200;
utf8::encode(my $bytes = $long);
is add({ jti => $bytes })->{status}, 201, 'a long name';
($row) = grep { $_->{name} =~ /^\x{fc}/ } @{ list('?limit=1000')->{revocations} };
ok $row && length $row->{name} < 200, 'is shown in part';
is status_of(token(claims(jti => $long))), 401, 'and counts as a whole';

# ---- it lasts

is add({ jti => 'one' })->{status}, 201, 'revoked';
ok $t->reload, 'reload';
is status_of($one), 401, 'and stays so';
ok scalar(grep { $_->{name} eq 'one' } @{ list('?limit=1000')->{revocations} }), 'also in the list';
unlike $t->log, qr/\Q$two\E/, 'no token is in the log';

my ($code, $said) = JWTTest->nginx_t(config => 'location /i { jwt_revocations; }');
like $said, qr/jwt_revocations needs a place for what is revoked: write jwt_revocation_store into http/, 'without a store';

done_testing;
