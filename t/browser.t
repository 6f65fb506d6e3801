# The page of lua/examples in Chromium: a session in cookies from login to logout, and what pages of other origins can do
# to it.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Node;

my $chromium = '/usr/bin/chromium';
plan skip_all => 'node is not installed' unless has_node();
plan skip_all => "there is no $chromium" unless -x $chromium;

my $lua = "$FindBin::Bin/../lua";

# The example as t/demo serves it.
sub page_conf {
    my ($port) = @_;
    open my $file, '<', "$lua/examples/page.conf" or die "page.conf: $!";
    my $conf = do { local $/; <$file> };
    $conf =~ s/\@LUA\@/$lua/g;
    $conf =~ s/\@PORT\@/$port/g;
    return $conf;
}

# Its access cookie without SameSite and its requests without CSRF protection, for the same application.
sub careless {
    my ($conf) = @_;
    my ($application) = $conf =~ /(location \/page\/api\/ \{.*?\n    \})/s or die 'page.conf: no application';
    return $application =~ s/\{/{ jwt_token_location cookies; jwt_cookie_csrf_protect off;/r =~ s{/page/api/}{/page/api/careless/}r;
}

my $conf = page_conf('%%PORT%%');
my $short = page_conf('%%PORTshort%%') =~ s/jwt_access_token_expires \K20s/2s/r;
isnt($short, page_conf('%%PORTshort%%'), 'the lifetime was found');

my $t = JWTTest->new(config => "server_name 127.0.0.1;\n" . careless($conf) . $conf, http => <<"EOF_HTTP");
    jwt_secret_key "$JWTTest::Token::secret";
    log_format asked '\$request_method \$uri \$http_x_user \$http_cookie';

    server {
        listen 127.0.0.1:%%PORTshort%%;
        $short
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTshort%%;
        server_name application;
        default_type text/plain;
        access_log %%DIR%%/asked.log asked;
        return 200 "the application was asked by \$http_x_user\\n";
    }

    # Below /page/, where it reads the CSRF cookie: cookies know no port.
    server {
        listen 127.0.0.1:%%PORTforger%%;
        default_type text/html;
        return 200 "<title>Kittens</title>";
    }
EOF_HTTP

my ($port, $short_port, $forger_port) = map { $t->port($_) } '', qw(short forger);
my $seen = run_node(browser => {
    executable => $chromium,
    page => "http://127.0.0.1:$port/page/",
    short => "http://127.0.0.1:$short_port/page/",
    forger => "http://127.0.0.1:$forger_port/page/",
    stranger => "http://localhost:$forger_port/page/",
    careless => "http://127.0.0.1:$port/page/api/careless/orders",
});
my ($session, $expiry, $end) = @{$seen}{qw(session expiry end)};

my $application = 'the application was asked by test';
my %line = (
    profile => ['200', 'GET api/profile'],
    order => ['200', 'POST api/orders with X-CSRF-TOKEN', $application],
    refresh => ['200', 'POST session/refresh with X-CSRF-TOKEN'],
    expired => ['401', 'GET api/profile', 'Token has expired'],
);

# ---- the session

is($session->{first}, 'login', 'the page opens with its form');
is_deeply($session->{wrong}, [['401', 'POST session/login', 'Bad username or password']], 'a wrong password is refused');
is($session->{told}, 'Bad username or password', 'and the user is told');
is_deeply($session->{after_wrong}, ['login', {}], 'and stays outside, without cookies');
my ($login) = @{ $session->{login} };
is_deeply([@{$login}[0, 1], decode_json($login->[2])], ['200', 'POST session/login', { user => 'test', expires_in => 20 }],
    'the right one is taken');
is($session->{logged_in}, 'Logged in as test', 'and the page shows whose session it is');
like($session->{countdown}, qr/\Agood for (?:20|19|18) s\z/, 'and for how long the token is good');

my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my %strict = (sameSite => 'Strict', session => $yes);
is_deeply($session->{cookies}, {
    access_token_cookie => { %strict, path => '/page/api/', httpOnly => $yes },
    refresh_token_cookie => { %strict, path => '/page/session/', httpOnly => $yes },
    csrf_access_token => { %strict, path => '/page/', httpOnly => $no },
    csrf_refresh_token => { %strict, path => '/page/', httpOnly => $no },
}, 'the browser keeps the cookies as they were meant');
is_deeply($session->{script_sees}, [qw(csrf_access_token csrf_refresh_token)], 'scripts see no token');

my ($status, $call, $profile) = @{ $session->{read}[0] };
is_deeply([$status, $call], $line{profile}, 'a protected location is open');
like($profile, qr/"user":"test"/, 'and knows the user');
is_deeply($session->{bare}, [['401', 'POST api/orders', 'Missing CSRF token']], 'a POST without the header is refused');
is_deeply($session->{order}, [$line{order}], 'a POST with it is accepted');
is_deeply([map { [@{$_}[0, 1]] } @{ $session->{reload}[0] }], [$line{refresh}], 'a page loaded again asks the refresh cookie');
is($session->{reload}[1], 'Logged in as test', 'and is logged in');

# ---- forgeries

is_deeply($session->{careless}, [200, $application], 'a forged POST of the same site reaches a location without CSRF protection');
is_deeply($session->{forged}, [401, '{"msg":"Missing CSRF token"}'], 'and is refused where there is one');
is_deeply($session->{"stranger$_"}, [401, '{"msg":"Missing cookie \"access_token_cookie\""}'], "a forged POST of another site comes without cookies$_")
    for '', '_careless';
is_deeply($session->{forged_logout}, [401, '{"msg":"Missing CSRF token"}'], 'nobody is logged out by a forged POST');
is_deeply($session->{forged_login}, [400, '{"msg":"the Content-Type is not application/json"}'], 'nor logged in');
is_deeply($session->{fetched}{own}, [200, 200], 'the page itself may read and send the header');
is_deeply($session->{fetched}{forged}, ['blocked', 'blocked'], 'another origin that knows the CSRF value may not');
is_deeply([map { [@{$_}[0, 1]] } @{ $session->{after_forgery}[0] }], [$line{refresh}], 'the session is as it was before the forgeries');

# ---- logout

is_deeply($session->{logout}, [[['200', 'POST session/logout with X-CSRF-TOKEN', 'Logged out']], 'login'], 'logout');
is_deeply($session->{left}, {}, 'and no cookie is left');
is_deeply($session->{after_logout}, [[], 'login'], 'a page loaded again asks nothing');

# ---- expiry

is_deeply([map { [@{$_}[0, 1]] } @{ $expiry->{read} }], [[@{ $line{expired} }[0, 1]], $line{refresh}, $line{profile}],
    'a call with an expired token is refused, refreshed and repeated');
is($expiry->{read}[0][2], 'Token has expired', 'and the refusal says why');
like($expiry->{read}[2][2], qr/"fresh":false/, 'the new token is not fresh');
like($expiry->{countdown}, qr/\Agood for/, 'and counted down anew');
is_deeply([map { [@{$_}[0, 1]] } @{ $expiry->{order} }],
    [['401', $line{order}[1]], $line{refresh}, [@{ $line{order} }[0, 1]]], 'a POST is repeated with the new CSRF value');
is_deeply([@{$end}{qw(read shown)}], [[$line{expired}, ['401', $line{refresh}[1], 'Missing cookie "refresh_token_cookie"']], 'login'],
    'without the refresh cookie it leads to the login');

is_deeply([map { @{ $_->{faults} } } $session, $expiry, $end], [], 'no script failed, and nothing was against the policy of the page');

my @asked = sort split /\n/, $t->read_file('asked.log');
is_deeply(\@asked, [('POST /page/api/careless/orders test -', ('POST /page/api/orders test -') x 3)],
    'the application was asked for what was let through alone, and got no cookie');

done_testing;
