# Rows 64 to 66 of the attack catalogue: what the module returns to nginx's phases, the header lines it makes there, and
# spellings of a path that lead elsewhere. `satisfy` in full: satisfy.t.

use strict;
use warnings;

use FindBin;
use MIME::Base64 qw(encode_base64);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $basic = 'auth_basic "realm"; auth_basic_user_file %%DIR%%/users;';

# satisfy × (nothing, allow, deny) × (auth_basic or not) × (auth_request or not), and limit_req behind all of it
my @cells;
for my $satisfy (qw(any all)) {
    for my $address ('', 'allow', 'deny') {
        for my $way ('', 'basic', 'request') {
            push @cells, { satisfy => $satisfy, address => $address, way => $way, path => join('-', '/' . $satisfy, $address || 'anywhere', $way || 'token') . '/' };
        }
    }
}
my $locations = join "\n", map {
    "location $_->{path} { satisfy $_->{satisfy}; jwt_required; " . ($_->{address} && "$_->{address} all; ")
        . ($_->{way} eq 'basic' ? $basic : $_->{way} && 'auth_request /app;') . ' proxy_set_header X-Identity <$jwt_identity>; proxy_pass %%BACKEND%%; }'
} @cells;

my $t = JWTTest->new(
    http2 => 1,
    http => <<'EOF_HTTP',
    limit_req_zone $uri zone=once:1m rate=1r/m;
    limit_conn_zone $server_name zone=connections:1m;
    server {
        listen 127.0.0.1:%%PORTapp%%;
        location / { if ($http_x_app = yes) { return 200; } add_header WWW-Authenticate 'App one' always; add_header WWW-Authenticate 'App two' always; return 401; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    $locations
    location = /app { internal; jwt_required off; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location /limited/ { jwt_required; limit_req zone=once; limit_req_status 429; limit_conn connections 100; proxy_pass %%BACKEND%%; }
    location /limited-any/ { satisfy any; deny all; jwt_required; limit_req zone=once; limit_req_status 429; proxy_pass %%BACKEND%%; }
    location /lines/ { satisfy any; $basic auth_request /app; jwt_required; jwt_lua_file %%DIR%%/hooks.lua; add_header X-Added yes always; proxy_pass %%BACKEND%%; }
    location /admin/ { jwt_required; }
    location /proxy/admin/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /proxy/ { proxy_pass %%BACKEND%%; }
    location ~ \\.secret\$ { jwt_required; }
    location = /one { jwt_required; }
    location ^~ /open/ { }
    location / { }
EOF_CONFIG
    files => {
        'users' => "user:{PLAIN}word\n",
        'html/admin/page' => 'SECRET', 'html/file.secret' => 'SECRET', 'html/one' => 'SECRET',
        'html/open/page' => 'open', 'html/page' => 'open',
        'hooks.lua' => <<'EOF_LUA',
return {
  invalid_token = function(reason)
    return { msg = reason }, 401, { ["WWW-Authenticate"] = { "Hook one", "Hook two" }, ["X-Hook"] = "invalid" }
  end,
}
EOF_LUA
    },
);

my $good = token(claims());
my %token = (none => undef, good => $good, forged => token(claims(), key => 'x' x 64), expired => token(claims(exp => time - 60)));
my $password = 'Basic ' . encode_base64('user:word', '');

sub ask {
    my ($protocol, $method, $path, $headers) = @_;
    return $protocol eq 'h1' ? $t->request($method, $path, $headers) : $t->h2($method, $path, $headers);
}
sub let_in { my ($response) = @_; return $response->{json}{uri} ? join '', map { $_->[1] } grep { $_->[0] eq 'X-Identity' } @{ $response->{json}{headers} } : $response->{status} }

for my $protocol (qw(h1 h2)) {
    subtest "ATTACKS 64: satisfy with allow, deny, auth_basic, auth_request, $protocol" => sub {
        for my $cell (@cells) {
            my ($any, $address, $way, $path) = ($cell->{satisfy} eq 'any', @{$cell}{qw(address way path)});
            for my $kind (qw(none forged expired good)) {
                for my $shows (0, 1) {
                    next if $shows && !$way;
                    # Both want the Authorization header: auth_basic is asked with a token in no header.
                    my @headers = $token{$kind} && !($way eq 'basic' && $shows) ? (Authorization => "Bearer $token{$kind}") : ();
                    push @headers, Authorization => $password if $way eq 'basic' && $shows;
                    push @headers, 'X-App' => 'yes' if $way eq 'request' && $shows;
                    my $token_good = $kind eq 'good' && !($way eq 'basic' && $shows);
                    my $wanted = $kind eq 'none' || ($way eq 'basic' && $shows) || $kind eq 'expired' ? 401 : 422;
                    $wanted = '<alice>' if $any ? $token_good : $token_good && $address ne 'deny' && ($shows || !$way);
                    $wanted = '<>' if $any && ($address eq 'allow' || ($shows && !$token_good));
                    $wanted = 403 if !$any && $address eq 'deny';
                    $wanted = 401 if !$any && $address ne 'deny' && $token_good && $way && !$shows;
                    is(let_in(ask($protocol, 'GET', $path, \@headers)), $wanted, "$path, token $kind" . ($shows ? ", and the $way" : ''));
                }
            }
        }
    };

    subtest "ATTACKS 64: limits count behind the token, $protocol" => sub {
        for my $path ("/limited/$protocol", "/limited-any/$protocol") {
            is(let_in(ask($protocol, 'GET', $path, [Authorization => "Bearer $good"])), '', "$path: the first is let in");
            is(ask($protocol, 'GET', $path, [Authorization => "Bearer $good"])->{status}, 429, "$path: the second is limited");
            is(ask($protocol, 'GET', "$path/$_", $token{$_} ? [Authorization => "Bearer $token{$_}"] : [])->{status}, $_ eq 'forged' ? 422 : 401, "$path: token $_")
                for qw(none forged expired);
        }
    };

    subtest "ATTACKS 65: the header lines of a refusal, $protocol" => sub {
        my $of = sub { return [sort $_[0]->all('WWW-Authenticate')] };
        for my $round (1 .. 3) {
            my $none = ask($protocol, 'GET', '/lines/', []);
            # nginx before 1.23 hands on one line of auth_request's.
            is_deeply([$none->{status}, grep { $_ ne 'App two' } @{ $of->($none) }], [401, 'App one', 'Basic realm="realm"', 'Bearer realm="restricted"'],
                'none: the challenges of each');
            my $forged = ask($protocol, 'GET', '/lines/', [Authorization => "Bearer $token{forged}"]);
            is_deeply([$forged->{status}, grep { /Hook/ } @{ $of->($forged) }], [401, 'Hook one', 'Hook two'], 'forged: both lines of its hook');
            is_deeply([$forged->all('X-Hook'), $forged->all('X-Added')], ['invalid', 'yes'], 'and what add_header adds');
            my $in = ask($protocol, 'GET', '/lines/', [Authorization => $password]);
            is_deeply([let_in($in), $of->($in), $in->all('X-Hook')], ['', []], 'a password: none of it');
        }
    };

    subtest "ATTACKS 66: spellings of a path, $protocol" => sub {
        my @same = ('/admin/page', '//admin/page', '/admin//page', '/./admin/page', '/admin/./page', '/x/../admin/page', '/open/../admin/page', '/admin%2fpage',
            '/%2fadmin/page', '/%61dmin/page', '/adm%69n/page', '/%2e/admin/page', '/open/%2e%2e/admin/page', '/open/..%2fadmin/page', '/open/%2e%2e%2fadmin%2fpage',
            '/open/..//admin/page', '/admin/page?a=/open/', '/admin/page#open', '/admin/x/../page', '/file.secret', '/open/../file.secret', '//file%2esecret', '/one', '/%6fne', '//one');
        for my $path (@same) {
            next if $protocol eq 'h2' && $path =~ /#/;  # curl keeps what follows it to itself
            is(ask($protocol, 'GET', $path, [])->{status}, 401, "$path: no token");
            is(ask($protocol, 'GET', $path, [Authorization => "Bearer $token{forged}"])->{status}, 422, "$path: a forged one");
            my $seen = ask($protocol, 'GET', $path, [Authorization => "Bearer $good"]);
            is_deeply([@$seen{qw(status body)}], [200, 'SECRET'], "$path: a good one");
        }
        # What is another path to nginx, and to its files.
        for my $path ('/ADMIN/page', '/Admin/page', '/x/..;/admin/page', '/open/..;/admin/page', '/admin;/page', '/admin%00/page', '/admin%252fpage', '/open/..%252fadmin/page',
            '/open/..%5cadmin%5cpage', '/admin%20/page', '/..%c0%afadmin/page', '/file.secret/', '/file.SECRET', '/one/', '/../admin/page', '/open/../../admin/page') {
            my $response = ask($protocol, 'GET', $path, []);
            ok($response->{status} =~ /\A40[014]\z/ && $response->{body} !~ /SECRET/, "$path: nothing without a token") or diag("$response->{status} $response->{body}");
        }
        is(ask($protocol, 'GET', $_, [])->{body}, 'open', "$_ is open") for '/open/page', '//open/page', '/admin/../page', '/admin/../open/page', '/open/%70age';
        # What an application is sent is judged by where it leads.
        is(ask($protocol, 'GET', $_, [])->{status}, 401, "$_ is not proxied") for '/proxy/admin/', '/proxy/x/../admin/', '/proxy/%61dmin/', '/proxy//admin/', '/proxy/x/..%2fadmin/';
        is(ask($protocol, 'GET', '/proxy/%61dmin/', [Authorization => "Bearer $good"])->{json}{uri}, '/proxy/%61dmin/', 'with a token it is');
        is(ask($protocol, 'GET', '/proxy/x', [])->{json}{uri}, '/proxy/x', 'and what is beside it');
    };
}

done_testing;
