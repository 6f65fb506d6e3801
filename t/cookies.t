# Cookies that handlers set, with every option, and the double submit that guards them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $lua = <<'EOF_LUA';
local jwt = require "jwt"
local function access() return jwt.create_access_token("alice") end
local function refresh() return jwt.create_refresh_token("alice") end
local cases = {
  access = function() jwt.set_access_cookies(access()) end,
  refresh = function() jwt.set_refresh_cookies(refresh()) end,
  both = function() jwt.set_access_cookies(access()) jwt.set_refresh_cookies(refresh()) end,
  age = function() jwt.set_access_cookies(access(), { max_age = 60.9 }) end,
  zero = function() jwt.set_refresh_cookies(refresh(), { max_age = 0 }) end,
  domain = function() jwt.set_access_cookies(access(), { domain = ".other.example" }) end,
  no_domain = function() jwt.set_access_cookies(access(), { domain = "" }) end,
  null = function() jwt.set_access_cookies(access(), { domain = jwt.null, max_age = jwt.null }) end,
  unset = function() jwt.unset_jwt_cookies() end,
  unset_access = function() jwt.unset_access_cookies() end,
  unset_refresh = function() jwt.unset_refresh_cookies() end,
  unset_domain = function() jwt.unset_jwt_cookies({ domain = ".other.example" }) end,
  no_token = function() jwt.set_access_cookies(nil) end,
  no_csrf = function() jwt.set_access_cookies(jwt.create_access_token("a", { additional_claims = { csrf = jwt.null } })) end,
  bad_csrf = function() jwt.set_access_cookies(jwt.create_access_token("a", { additional_claims = { csrf = "a\r\nb" } })) end,
  bad_token = function() jwt.set_access_cookies("a; Domain=evil") end,
  bad_domain = function() jwt.set_access_cookies(access(), { domain = "a; Secure" }) end,
  bad_age = function() jwt.set_access_cookies(access(), { max_age = -1 }) end,
  bad_option = function() jwt.set_access_cookies(access(), { maxage = 1 }) end,
  bad_unset = function() jwt.unset_jwt_cookies({ max_age = 1 }) end,
  late_error = function() jwt.set_access_cookies(access()) error("too late") end,
}
return { handlers = { make = function(request)
  cases[request.args.case]()
  return { done = true }
end } }
EOF_LUA

my $upstream = 'proxy_set_header X-Identity $jwt_identity; proxy_pass %%BACKEND%%;';
my $t = JWTTest->new(files => { 'hooks.lua' => $lua }, config => <<"EOF_CONFIG");
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    client_body_buffer_size 1k;

    location = /make { jwt_handler make; }
    location /dressed {
        jwt_handler make;
        jwt_cookie_secure on; jwt_cookie_domain .example.com; jwt_cookie_samesite Strict; jwt_session_cookie off;
        jwt_access_cookie_name a; jwt_access_cookie_path /a/; jwt_access_csrf_cookie_name ca; jwt_access_csrf_cookie_path /ca/;
        jwt_refresh_cookie_name r; jwt_refresh_cookie_path /r/; jwt_refresh_csrf_cookie_name cr; jwt_refresh_csrf_cookie_path /cr/;
        location = /dressed/of-one-host { jwt_handler make; jwt_cookie_domain off; }
    }
    location = /lax { jwt_handler make; jwt_cookie_samesite Lax; }
    location = /samesite-off { jwt_handler make; jwt_cookie_samesite off; }
    location = /no-csrf { jwt_handler make; jwt_cookie_csrf_protect off; }
    location = /csrf-elsewhere { jwt_handler make; jwt_csrf_in_cookies off; }

    location /guarded/ {
        jwt_token_location cookies;
        jwt_required;
        $upstream
        location = /guarded/default { $upstream }
        location = /guarded/off { jwt_cookie_csrf_protect off; $upstream }
        location = /guarded/methods { jwt_csrf_methods GET PURGE; $upstream }
        location = /guarded/no-methods { jwt_csrf_methods off; $upstream }
        location = /guarded/header { jwt_access_csrf_header_name X-Double; $upstream }
        location = /guarded/form { jwt_csrf_check_form on; $upstream }
        location = /guarded/field { jwt_csrf_check_form on; jwt_access_csrf_field_name "my field"; $upstream }
        location = /guarded/both { jwt_token_location headers cookies; $upstream }
        location = /guarded/refresh { jwt_required refresh; jwt_csrf_check_form on; $upstream }
        location = /guarded/refresh-names {
            jwt_required refresh; jwt_csrf_check_form on;
            jwt_refresh_csrf_header_name X-Again; jwt_refresh_csrf_field_name again; $upstream
        }
    }
EOF_CONFIG

# ---- setting

my $token = qr/[\w-]+\.[\w-]+\.[\w-]+/;
my $csrf = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

sub lines_are {
    my ($path, $patterns, $name) = @_;
    my $response = $t->get($path);
    my @lines = $response->all('Set-Cookie');
    my $good = $response->{status} == 200 && @lines == @$patterns && !grep { $lines[$_] !~ /\A$patterns->[$_]\z/ } 0 .. $#lines;
    ok($good, $name) or diag(join "\n", $response->{status}, @lines);
    return $response;
}

my @access = (qr/access_token_cookie=$token; HttpOnly; Path=\//, qr/csrf_access_token=$csrf; Path=\//);
my @refresh = (qr/refresh_token_cookie=$token; HttpOnly; Path=\//, qr/csrf_refresh_token=$csrf; Path=\//);
my $made = lines_are('/make?case=access', \@access, 'set_access_cookies');
lines_are('/make?case=refresh', \@refresh, 'set_refresh_cookies');
lines_are('/make?case=both', [@access, @refresh], 'both');
lines_are('/make?case=null', \@access, 'options that are null are none');
lines_are('/make?case=age', [qr/access_token_cookie=$token; Max-Age=60; HttpOnly; Path=\//, qr/csrf_access_token=$csrf; Max-Age=60; Path=\//], 'max_age, in whole seconds');
lines_are('/make?case=zero', [qr/refresh_token_cookie=$token; Max-Age=0; HttpOnly; Path=\//, qr/csrf_refresh_token=$csrf; Max-Age=0; Path=\//], 'max_age 0');
lines_are('/make?case=domain', [qr/access_token_cookie=$token; Domain=\.other\.example; HttpOnly; Path=\//, qr/csrf_access_token=$csrf; Domain=\.other\.example; Path=\//], 'domain');

my $dress = qr/; Domain=\.example\.com; Max-Age=31540000; Secure/;
my @dressed = (
    qr/a=$token$dress; HttpOnly; Path=\/a\/; SameSite=Strict/, qr/ca=$csrf$dress; Path=\/ca\/; SameSite=Strict/,
    qr/r=$token$dress; HttpOnly; Path=\/r\/; SameSite=Strict/, qr/cr=$csrf$dress; Path=\/cr\/; SameSite=Strict/,
);
lines_are('/dressed?case=both', \@dressed, 'every directive of cookies');
lines_are('/dressed?case=domain', [map { my $line = $_; $line =~ s/\\\.example\\\.com/\\.other\\.example/; qr/$line/ } @dressed[0, 1]], 'domain wins over jwt_cookie_domain');
lines_are('/dressed?case=no_domain', [map { my $line = $_; $line =~ s/; Domain=\\\.example\\\.com//; qr/$line/ } @dressed[0, 1]], 'also an empty one');
lines_are('/dressed/of-one-host?case=both', [map { my $line = $_; $line =~ s/; Domain=\\\.example\\\.com//; qr/$line/ } @dressed], 'jwt_cookie_domain off');
lines_are('/dressed?case=age', [map { my $line = $_; $line =~ s/31540000/60/; qr/$line/ } @dressed[0, 1]], 'max_age wins over jwt_session_cookie');
lines_are('/lax?case=access', [map { qr/$_; SameSite=Lax/ } @access], 'SameSite=Lax');
lines_are('/samesite-off?case=access', \@access, 'jwt_cookie_samesite off');
lines_are('/no-csrf?case=both', [$access[0], $refresh[0]], 'no CSRF cookies where there is no protection');
lines_are('/csrf-elsewhere?case=both', [$access[0], $refresh[0]], 'none where jwt_csrf_in_cookies is off');

my $at_once = qr/Expires=Thu, 01 Jan 1970 00:00:00 GMT/;
my @gone = (qr/access_token_cookie=; $at_once; HttpOnly; Path=\//, qr/csrf_access_token=; $at_once; Path=\//,
    qr/refresh_token_cookie=; $at_once; HttpOnly; Path=\//, qr/csrf_refresh_token=; $at_once; Path=\//);
lines_are('/make?case=unset', \@gone, 'unset_jwt_cookies');
lines_are('/make?case=unset_access', [@gone[0, 1]], 'unset_access_cookies');
lines_are('/make?case=unset_refresh', [@gone[2, 3]], 'unset_refresh_cookies');
lines_are('/make?case=unset_domain', [map { my $line = $_; $line =~ s/=; /=; Domain=\\.other\\.example; /; qr/$line/ } @gone], 'unset for a domain');
lines_are('/no-csrf?case=unset', [@gone[0, 2]], 'unset without CSRF cookies');
lines_are('/dressed?case=unset_access', [
    qr/a=; Domain=\.example\.com; $at_once; Secure; HttpOnly; Path=\/a\/; SameSite=Strict/,
    qr/ca=; Domain=\.example\.com; $at_once; Secure; Path=\/ca\/; SameSite=Strict/], 'unset under the names that were set');

for my $case (
    ['no_token', qr/set_access_cookies: the token is nil: give a string/],
    ['no_csrf', qr/claim "csrf"/],
    ['bad_csrf', qr/claim "csrf"/],
    ['bad_token', qr/hooks\.lua:\d+: /],
    ['bad_domain', qr/domain takes a host name/],
    ['bad_age', qr/option max_age is a number: give a number of seconds/],
    ['bad_option', qr/set_access_cookies has no option "maxage": it has domain, max_age/],
    ['bad_unset', qr/unset_jwt_cookies has no option "max_age": it has domain/],
    ['late_error', qr/too late/],
) {
    my ($which, $message) = @$case;
    my $before = length $t->log;
    my $response = $t->get("/make?case=$which");
    is($response->{status}, 500, "$which: 500");
    is_deeply([$response->all('Set-Cookie')], [], 'and no cookie');
    like(substr($t->log, $before), qr/handler make of "\S+hooks\.lua" failed: .*$message/, 'and why, in the log');
}
lines_are('/make?case=access', \@access, 'the next request works');
is($t->get('/no-csrf?case=bad_token')->{status}, 500, 'no cookie is made of what is no token, also without CSRF protection');

# ---- double submit

my $set = $made->cookies;
my ($own_token, $own_csrf) = map { $set->{$_}{value} } qw(access_token_cookie csrf_access_token);
my $given = token(claims(csrf => 'the double'));
my $renew = token(claims(type => 'refresh', csrf => 'the double'));
my $form = ['Content-Type' => 'application/x-www-form-urlencoded'];

sub with { my ($text, @more) = @_; return [Cookie => "access_token_cookie=$text", @more] }
sub again { my (@more) = @_; return [Cookie => "refresh_token_cookie=$renew", @more] }

sub passes {
    my ($response, $name) = @_;
    my ($line) = grep { $_->[0] eq 'X-Identity' } @{ $response->{json}{headers} || [] };
    ok($response->{status} == 200 && $line && $line->[1] eq 'alice', $name) or diag("$response->{status} $response->{body}");
    return $response;
}

sub fails {
    my ($response, $message, $name, $status) = @_;
    is("$response->{status} " . ($response->{json}{msg} // $response->{body}), ($status || 401) . " $message", $name);
    return;
}

passes($t->get('/guarded/default', with($given)), 'GET needs no double');
for my $method (qw(POST PUT PATCH DELETE)) {
    fails($t->request($method, '/guarded/default', with($given)), 'Missing CSRF token', "$method needs one");
    passes($t->request($method, '/guarded/default', with($given, 'X-CSRF-TOKEN' => 'the double')), "$method with it");
}
passes($t->post('/guarded/default', with($own_token, 'x-csrf-token' => $own_csrf), ''), 'the cookies of set_access_cookies go together');
fails($t->post('/guarded/default', with($own_token, 'X-CSRF-TOKEN' => 'the double'), ''), 'CSRF double submit tokens do not match', "another token's double");
fails($t->post('/guarded/default', with($given, 'X-CSRF-TOKEN' => 'the doubl'), ''), 'CSRF double submit tokens do not match', 'a cut double');
fails($t->post('/guarded/default', with($given, 'X-CSRF-TOKEN' => 'the double '  . 'x'), ''), 'CSRF double submit tokens do not match', 'a longer double');
fails($t->post('/guarded/default', with($given, 'X-CSRF-TOKEN' => ''), ''), 'Missing CSRF token', 'an empty double');
fails($t->post('/guarded/default', with($given, 'X-CSRF-TOKEN' => 'the double', 'X-CSRF-TOKEN' => 'the double'), ''), 'CSRF double submit tokens do not match', 'two doubles');
fails($t->post('/guarded/default', with($given, Cookie => 'csrf_access_token=the double'), ''), 'Missing CSRF token', 'the double in a cookie alone is none');
fails($t->post('/guarded/default', with($given, @$form), 'csrf_token=the+double'), 'Missing CSRF token', 'nor in a form, unless asked for');
my $without = token(claims());
fails($t->post('/guarded/default', with($without, 'X-CSRF-TOKEN' => 'x'), ''), 'Missing claim: csrf', 'a token without the claim', 422);
passes($t->get('/guarded/default', with($without)), 'which GET does not ask for');
my $wrong_type = token(claims(csrf => ['the double']));
isnt($t->post('/guarded/default', with($wrong_type, 'X-CSRF-TOKEN' => 'the double'), '')->{status}, 200, 'a claim that is no string');

passes($t->post('/guarded/off', with($given), ''), 'jwt_cookie_csrf_protect off');
passes($t->post('/guarded/methods', with($given), ''), 'jwt_csrf_methods without POST');
fails($t->get('/guarded/methods', with($given)), 'Missing CSRF token', 'and with GET');
fails($t->request('PURGE', '/guarded/methods', with($given)), 'Missing CSRF token', 'and with a method of its own');
passes($t->get('/guarded/methods', with($given, 'X-CSRF-TOKEN' => 'the double')), 'GET with it');
passes($t->post('/guarded/no-methods', with($given), ''), 'jwt_csrf_methods off');
passes($t->post('/guarded/header', with($given, 'X-Double' => 'the double'), ''), 'jwt_access_csrf_header_name');
fails($t->post('/guarded/header', with($given, 'X-CSRF-TOKEN' => 'the double'), ''), 'Missing CSRF token', 'and the default no longer counts');
passes($t->post('/guarded/both', [Authorization => "Bearer $given"], ''), 'a token in a header needs no double');
fails($t->post('/guarded/both', with($given), ''), 'Missing CSRF token', 'in a cookie it does');

# ---- the form

my $bytes = join '', map { chr } grep { $_ != 0x26 && $_ != 0x3d } 0 .. 255;
my %form = (
    'a form' => 'a=1&csrf_token=the+double&b=2',
    'a form with escapes' => '%63srf_token=the%20double',
    'a form beyond the buffer' => 'a=' . 'x' x 3000 . '&csrf_token=the+double',
    'a form of 300 KB and of any bytes' => 'a=' . $bytes x 1200 . "&csrf_token=the+double&c=$bytes",
);
for my $kind (sort keys %form) {
    my $response = passes($t->post('/guarded/form', with($given, @$form), $form{$kind}), $kind);
    ok($response->{json}{body} eq $form{$kind}, 'reaches the upstream byte for byte');
    $response = passes($t->post('/guarded/form', with($given, @$form), [$form{$kind} =~ /(.{1,5003})/gs]), "$kind, chunked");
    ok($response->{json}{body} eq $form{$kind}, 'reaches the upstream byte for byte');
}
passes($t->post('/guarded/form', with($given, @$form, 'X-CSRF-TOKEN' => 'the double'), 'csrf_token=other'), 'the header wins over the form');
fails($t->post('/guarded/form', with($given, @$form), 'csrf_token=other'), 'CSRF double submit tokens do not match', 'a form with another double');
fails($t->post('/guarded/form', with($given, @$form), 'csrf_token='), 'Missing CSRF token', 'a form with an empty double');
fails($t->post('/guarded/form', with($given, @$form), 'xcsrf_token=the+double'), 'Missing CSRF token', 'a form with another field');
fails($t->post('/guarded/form', with($given, 'Content-Type' => 'text/plain'), 'csrf_token=the+double'), 'Missing CSRF token', 'a body that is no form');
passes($t->post('/guarded/field', with($given, @$form), 'my+field=the+double'), 'jwt_access_csrf_field_name');
fails($t->post('/guarded/field', with($given, @$form), 'csrf_token=the+double'), 'Missing CSRF token', 'and the default no longer counts');

passes($t->post('/guarded/refresh', again('X-CSRF-TOKEN' => 'the double'), ''), 'a refresh token with its header');
passes($t->post('/guarded/refresh', again(@$form), 'csrf_token=the+double'), 'with its field');
fails($t->post('/guarded/refresh', again(), ''), 'Missing CSRF token', 'with neither');
passes($t->post('/guarded/refresh-names', again('X-Again' => 'the double'), ''), 'jwt_refresh_csrf_header_name');
passes($t->post('/guarded/refresh-names', again(@$form), 'again=the+double'), 'jwt_refresh_csrf_field_name');
fails($t->post('/guarded/refresh-names', again('X-CSRF-TOKEN' => 'the double'), ''), 'Missing CSRF token', 'and the defaults no longer count');

done_testing;
