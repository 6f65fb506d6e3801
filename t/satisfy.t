# `satisfy any` and `satisfy all` beside allow, deny, auth_basic and auth_request (row 64 of the attack catalogue): who is
# let in, and that nothing of a refused token or of a refusal shows where another way let the request in.

use strict;
use warnings;

use FindBin;
use MIME::Base64 qw(encode_base64);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $basic = 'auth_basic "the realm"; auth_basic_user_file %%DIR%%/users;';
my $pass = 'proxy_pass %%BACKEND%%;';

my $t = JWTTest->new(
    http => <<'EOF_HTTP',
    limit_req_zone $uri zone=by_path:1m rate=1r/m;
    server {
        listen 127.0.0.1:%%PORTapp%%;
        location / { if ($http_x_app != yes) { return 403; } return 200; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_token_location cookies;
    proxy_set_header X-Identity "<\$jwt_identity>";
    proxy_set_header X-Payload "<\$jwt_payload>";
    proxy_set_header X-Claim "<\$jwt_claim_admin>";
    proxy_set_header X-Status "<\$jwt_status>";
    location /any/deny/ { satisfy any; deny all; jwt_required; $pass }
    location /any/allow/ { satisfy any; allow all; jwt_required; $pass }
    location /any/basic/ { satisfy any; $basic jwt_required; $pass }
    location /any/app/ { satisfy any; auth_request /app; jwt_required; $pass }
    location /any/alone/ { satisfy any; jwt_required; $pass }
    location /any/deny-basic/ { satisfy any; deny all; $basic jwt_required; $pass }
    location /any/basic-app/ { satisfy any; $basic auth_request /app; jwt_required; $pass }
    location /any/fresh/ { satisfy any; $basic jwt_required fresh; $pass }
    location /any/optional/ { satisfy any; deny all; jwt_required optional; $pass }
    location /any/off/ { satisfy any; deny all; jwt_required off; $pass }
    location /any/if/ { satisfy any; deny all; jwt_required if=\$arg_protect; $pass }
    location /any/hook/ { satisfy any; $basic jwt_required; jwt_lua_file %%DIR%%/hooks.lua; $pass }
    location /any/page/ { satisfy any; deny all; jwt_required; error_page 401 =200 /page; $pass }
    location /any/limited/ { satisfy any; deny all; jwt_required; limit_req zone=by_path; $pass }
    location /all/deny/ { satisfy all; deny all; jwt_required; $pass }
    location /all/allow/ { satisfy all; allow all; jwt_required; $pass }
    location /all/basic/ { $basic jwt_required; $pass }
    location /all/app/ { auth_request /app; jwt_required; $pass }
    location = /app { internal; jwt_required off; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location = /page { internal; proxy_pass %%BACKEND%%; }
EOF_CONFIG
    files => {
        'users' => "user:{PLAIN}word\n",
        'hooks.lua' => <<'EOF_LUA',
return {
  token_verification = function(header, payload)
    if payload.fail then error("failed on purpose") end
    return true
  end,
  unauthorized = function(reason) return "hook: " .. reason, 403 end,
}
EOF_LUA
    },
);

my %token = (
    good => token(claims(admin => 'yes')),
    bad => token(claims(admin => 'yes'), key => 'another secret of thirty-two bytes or more'),
    old => token(claims(admin => 'yes', exp => time - 60)),
    failing => token(claims(fail => 1)),
);

# How the client shows itself: a token in its cookie, a name and password, a header that the application wants.
sub ask {
    my ($path, %shown) = @_;
    my @headers;
    push @headers, Cookie => "access_token_cookie=$token{ $shown{token} }" if $shown{token};
    push @headers, Authorization => 'Basic ' . encode_base64($shown{basic} eq 'good' ? 'user:word' : 'user:other', '') if $shown{basic};
    push @headers, 'X-App' => 'yes' if $shown{app};
    return $t->get($path, \@headers);
}

sub described { my (%shown) = @_; return join(', ', map { "$_ $shown{$_}" } sort keys %shown) || 'nothing' }

sub is_let_in {
    my ($identity, $path, %shown) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = ask($path, %shown);
    my %sent = map { $_->[0] => $_->[1] } @{ $response->{json}{headers} || [] };
    my $name = "$path with " . described(%shown);
    is_deeply([$response->{status}, $sent{'X-Identity'}, $response->all('WWW-Authenticate')], [200, $identity], "$name: let in, as $identity, unchallenged");
    is_deeply([@sent{qw(X-Payload X-Claim)}], ['<>', '<>'], "$name: and without a claim") if $identity eq '<>';
    return;
}

sub is_refused {
    my ($status, $path, %shown) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = ask($path, %shown);
    my $name = "$path with " . described(%shown);
    ok($response->{status} == $status && $response->{body} !~ /"uri"/, "$name: refused with $status") || diag("$response->{status} $response->{body}");
    return $response;
}

my $alice = '<alice>';
my $nobody = '<>';

# ---- satisfy any

for my $bad (undef, 'bad', 'old') {
    my @token = $bad ? (token => $bad) : ();
    my $refused = is_refused(401, '/any/deny/', @token);
    my @challenges = $refused->all('WWW-Authenticate');
    is(@challenges, 1, '/any/deny/: with one challenge');
    is_let_in($nobody, '/any/allow/', @token);

    my $both = is_refused(401, '/any/basic/', @token, basic => 'bad');
    is_deeply([sort map { /\A(\w+ realm="[^"]+")/ } $both->all('WWW-Authenticate')], ['Basic realm="the realm"', 'Bearer realm="restricted"'],
        '/any/basic/: a challenge for each way');
    is_refused(401, '/any/basic/', @token);
    is_let_in($nobody, '/any/basic/', @token, basic => 'good');

    is_refused(401, '/any/app/', @token);
    is_let_in($nobody, '/any/app/', @token, app => 'yes');

    is_refused(401, '/any/deny-basic/', @token);
    is_refused(401, '/any/deny-basic/', @token, basic => 'bad');
    is_let_in($nobody, '/any/deny-basic/', @token, basic => 'good');

    is_refused(401, '/any/basic-app/', @token, basic => 'bad');
    is_let_in($nobody, '/any/basic-app/', @token, basic => 'good');
    is_let_in($nobody, '/any/basic-app/', @token, app => 'yes');
    is_let_in($nobody, '/any/basic-app/', @token, basic => 'bad', app => 'yes');
}
is_let_in($alice, "/any/$_/", token => 'good') for qw(deny basic app alone deny-basic basic-app);
is_let_in($alice, '/any/basic/', token => 'good', basic => 'bad');
is_let_in($alice, '/any/basic/', token => 'good', basic => 'good');
is_let_in($alice, '/any/basic-app/', token => 'good', basic => 'bad');
is_let_in($nobody, '/any/allow/', token => 'good');

is_refused(401, '/any/alone/');
is_refused(401, '/any/alone/', token => 'old');
my $alone = ask('/any/alone/', token => 'bad');
ok($alone->{status} =~ /\A4/ && $alone->{body} !~ /"uri"/, '/any/alone/ with a bad token: refused');
is_refused(401, '/any/fresh/', token => 'good');
is_let_in($nobody, '/any/fresh/', token => 'good', basic => 'good');

# What asks nothing of a token satisfies nobody.
is_refused(403, '/any/optional/');
is_refused(401, '/any/optional/', token => 'bad');
is_let_in($alice, '/any/optional/', token => 'good');
is_refused(403, '/any/off/', token => 'good');
is_refused(403, '/any/if/', token => 'good');
is_refused(401, '/any/if/?protect=1');
is_let_in($alice, '/any/if/?protect=1', token => 'good');
is($t->request('OPTIONS', '/any/deny/')->{status}, 403, 'an exempt method is not let in for being exempt');

is_let_in($nobody, '/any/hook/', basic => 'good');
is_let_in($alice, '/any/hook/', token => 'good');
is_refused(500, '/any/hook/', token => 'failing');
is_refused(500, '/any/hook/', token => 'failing', basic => 'good');
my $page = ask('/any/page/');
is_deeply([$page->{status}, $page->{json}{uri}], [200, '/page'], 'error_page where all refuse');
is_let_in($alice, '/any/page/', token => 'good');

is_let_in($alice, '/any/limited/', token => 'good');
is_refused(503, '/any/limited/', token => 'good');

# ---- satisfy all

is_refused(403, '/all/deny/', $_ ? (token => $_) : ()) for undef, 'bad', 'good';
is_let_in($alice, '/all/allow/', token => 'good');
is_refused(401, '/all/allow/');
is_refused(422, '/all/allow/', token => 'bad');
is_let_in($alice, '/all/basic/', token => 'good', basic => 'good');
is_refused(401, '/all/basic/', token => 'good');
is_refused(401, '/all/basic/', token => 'good', basic => 'bad');
is_refused(401, '/all/basic/', basic => 'good');
is_refused(422, '/all/basic/', token => 'bad', basic => 'good');
is_let_in($alice, '/all/app/', token => 'good', app => 'yes');
is_refused(403, '/all/app/', token => 'good');
is_refused(401, '/all/app/', app => 'yes');
is_refused(422, '/all/app/', token => 'bad', app => 'yes');

done_testing;
