# That protected locations do what nginx does with any: upgrade, mirror, slice, add, compress, limit, redirect. Each line
# beside its refusal. What other files have is not here: error_page and HEAD (answers.t), redirects and log_format
# (variables.t), limit_except, preflight and if= (required.t), SSI and auth_request (subrequest.t), satisfy (satisfy.t).

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $pass = 'proxy_set_header X-Identity $jwt_identity; proxy_pass %%BACKEND%%;';
my $file = join '', map { sprintf "%015d\n", $_ } 0 .. 639;  # 10 KB

my $t = JWTTest->new(
    http2 => 1,
    http => <<'EOF_HTTP',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    limit_req_zone $jwt_identity zone=by_user:1m rate=1r/m;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    log_format of_origin '$uri <$http_x_identity> $request_method <$http_range> $content_length';
    server {
        listen 127.0.0.1:%%PORTorigin%%;
        access_log %%DIR%%/origin.log of_origin;
        root %%DIR%%/html;
        location /mirror/ { return 200; }
        location /says/401 { add_header WWW-Authenticate 'Own realm="own"' always; return 401 "its own"; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location /plain/ { jwt_required; $pass }
    location /open/ { proxy_set_header X-Identity \$jwt_identity; proxy_set_header X-Claim \$jwt_claim_admin; proxy_pass %%BACKEND%%; }
    location /optional/ { jwt_required optional; proxy_set_header X-Identity \$jwt_identity; proxy_set_header X-Claim \$jwt_claim_admin; proxy_pass %%BACKEND%%; }
    location /socket/ {
        jwt_required locations=headers,cookies,query_string;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$connection_upgrade;
        proxy_set_header X-Identity \$jwt_identity;
        proxy_pass http://unix:%%DIR%%/socket.sock:;
    }
    location /mirrored/ { jwt_required; mirror /mirror; $pass }
    location = /mirror { internal; proxy_set_header X-Identity \$jwt_identity; proxy_pass http://127.0.0.1:%%PORTorigin%%/mirror\$request_uri; }
    location /sliced/ {
        jwt_required;
        slice 4k; proxy_cache cache; proxy_cache_key \$uri\$slice_range; proxy_cache_valid 200 206 1h;
        proxy_set_header Range \$slice_range; proxy_set_header X-Identity \$jwt_identity;
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:%%PORTorigin%%/large/;
    }
    location /cached/ { jwt_required; proxy_cache cache; proxy_cache_valid 1h; proxy_set_header X-Identity ""; proxy_pass http://127.0.0.1:%%PORTorigin%%/large/; }
    location /added/ { add_before_body /part/before.html; add_after_body /part/after.html; }
    location /added-closed/ { jwt_required; add_before_body /open-part/before.html; }
    location /part/ { jwt_required; }
    location /open-part/ { alias %%DIR%%/html/part/; }
    location /pressed/ { jwt_required; gzip on; gzip_min_length 1; gzip_types application/json; gzip_http_version 1.0; $pass }
    location /ranges/ { jwt_required; alias %%DIR%%/html/large/; }
    location /substituted/ { jwt_required; sub_filter_types *; sub_filter Missing Wanting; sub_filter_once off; }
    location /origin/ { jwt_required; proxy_pass http://127.0.0.1:%%PORTorigin%%/; }
    location /intercepted/ { jwt_required; proxy_intercept_errors on; error_page 401 =403 /says; proxy_pass http://127.0.0.1:%%PORTorigin%%/; }
    location = /says { internal; default_type text/plain; return 200 "the page"; }
    location /by-user/ { jwt_required; try_files /not-there \@by_user; }
    location \@by_user { limit_req zone=by_user; limit_req_status 429; $pass }
    location /try/ { jwt_required; try_files /not-there /fresh/tried; }
    location /fresh/ { jwt_required fresh; $pass }
    location /page/ { jwt_required; error_page 401 = \@page; $pass }
    location \@page { default_type text/plain; return 200 "log in"; }
    location /only-get/ { limit_except GET { jwt_required; } $pass }
    location /condition/ { jwt_required if=\$arg_protect; $pass }
    location /index/ { jwt_required; }
EOF_CONFIG
    files => {
        'html/large/file' => $file,
        'html/index/index.html' => 'the index',
        'html/added/index.html' => "middle\n",
        'html/added-closed/index.html' => "middle\n",
        'html/part/before.html' => "before\n",
        'html/part/after.html' => "after\n",
        'html/substituted/index.html' => 'Missing',
        'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return { token_verification = function(header, payload)
  jwt.log("notice", "judged " .. payload.jti)
  return true
end }
EOF_LUA
    },
);

my $good = token(claims(jti => 'good'));
my %token = (none => undef, good => $good, expired => token(claims(exp => time - 60)), forged => token(claims(), key => 'x' x 64));
sub bearer { my ($kind) = @_; return defined $token{$kind} ? [Authorization => "Bearer $token{$kind}"] : [] }
sub judged { my ($jti) = @_; my $count = () = $t->log =~ /judged $jti\b/g; return $count }

sub sent {
    my ($response, $name) = @_;
    return join ' | ', map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] };
}

# A server of WebSocket's manner: says how it was asked, then gives back what it gets.
sub socket_server {
    my ($path, $seen) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 8) or die "$path: $!";
    chmod 0777, $path;
    my $parent = $$;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    alarm 60;  # also where the test died
    while (getppid == $parent and my $client = $listener->accept) {
        my $head = '';
        while ($head !~ /\r\n\r\n/) { sysread $client, $head, 4096, length $head or last }
        open my $log, '>>', $seen;
        print {$log} $head;
        close $log;
        my $upgraded = $head =~ /^Upgrade: websocket\r$/mi && $head =~ /^Connection: upgrade\r$/mi;
        syswrite $client, $upgraded ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            : "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        while ($upgraded && sysread $client, my $bytes, 4096) { syswrite $client, $bytes }
        close $client;
    }
    POSIX::_exit(0);
}

# ---- WebSocket: the handshake is judged

my $server = socket_server($t->dir . '/socket.sock', $t->dir . '/socket.log');
my @upgrade = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version' => 13);
sub bytes_of {
    my ($connection, $enough) = @_;
    my $bytes = '';
    while (!$enough->($bytes) && IO::Select->new($connection->{socket})->can_read(10)) {
        sysread $connection->{socket}, $bytes, 1, length $bytes or last;
    }
    return $bytes;
}
sub handshake {
    my ($path, $headers) = @_;
    my $lines = '';
    my @all = (@upgrade, @$headers);
    while (my ($name, $value) = splice @all, 0, 2) { $lines .= "$name: $value\r\n" }
    my $connection = $t->connection;
    $connection->send("GET $path HTTP/1.1\r\nHost: localhost\r\n$lines\r\n");
    my $answer = bytes_of($connection, sub { $_[0] =~ /\r\n\r\n/ });
    return ($answer =~ m{\AHTTP/1.1 (\d+)} ? $1 : 'closed', $connection);
}
for my $case (['no token', '/socket/', [], 401], ['an expired one', '/socket/', bearer('expired'), 401], ['a forged one', '/socket/', bearer('forged'), 422],
    ['a forged one in the query string', "/socket/?jwt=$token{forged}", [], 422]) {
    my ($name, $path, $headers, $status) = @$case;
    my ($got, $connection) = handshake($path, $headers);
    is($got, $status, "WebSocket, $name: refused");
    $connection->close;
}
is($t->read_file('socket.log'), '', 'WebSocket: no refused handshake reaches the application');
for my $case (['a header', '/socket/', bearer('good')], ['a cookie', '/socket/', [Cookie => "access_token_cookie=$good"]], ['the query string', "/socket/?jwt=$good", []]) {
    my ($name, $path, $headers) = @$case;
    my ($got, $connection) = handshake($path, $headers);
    is($got, 101, "WebSocket, a token in $name: upgraded");
    $connection->send("some \0 bytes");
    is(bytes_of($connection, sub { length $_[0] == 12 }), "some \0 bytes", "WebSocket, a token in $name: and bytes go both ways");
    $connection->close;
}
my $identities = () = $t->read_file('socket.log') =~ /^X-Identity: alice\r$/mg;
is($identities, 3, 'WebSocket: the application learns who it is');
kill TERM => $server;
waitpid $server, 0;

# ---- mirror: nothing of a refused request

for my $kind (qw(none forged good expired)) {
    my $response = $t->post("/mirrored/$kind", bearer($kind), 'x' x 50_000);
    is($response->{status}, { none => 401, expired => 401, forged => 422, good => 200 }->{$kind}, "mirror, token $kind");
}
is($t->h2(GET => '/mirrored/h2-none')->{status}, 401, 'mirror, h2: refused');
is($t->h2(POST => '/mirrored/h2-good', bearer('good'), 'y')->{status}, 200, 'mirror, h2: good');
ok($t->wait_for(5, sub { $t->read_file('origin.log') =~ m{^/mirror/mirrored/h2-good}m }), 'mirror: arrives');
is_deeply([sort $t->read_file('origin.log') =~ m{^/mirror/mirrored/(.*)$}mg], ['good <alice> POST <-> 50000', 'h2-good <alice> POST <-> 1'],
    'mirror: the good ones alone, once each, whole and with their claims');

# ---- slice: one judgement for one request

my $before = judged('good');
my $sliced = $t->get_with('/sliced/file', $good);
ok($sliced->{status} == 200 && $sliced->{body} eq $file, 'slice: a file of three slices') or diag($sliced->{status});
is(judged('good') - $before, 1, 'slice: is judged once');
is_deeply([$t->read_file('origin.log') =~ m{^/large/file (.*)$}mg], [map { "<alice> GET <bytes=$_> -" } '0-4095', '4096-8191', '8192-12287'],
    'slice: each slice is asked for with the claims');
is($t->get('/sliced/file', bearer($_))->{status}, $_ eq 'forged' ? 422 : 401, "slice: nothing of the cache for token $_") for qw(none expired forged);
my $range = $t->get('/sliced/file', [@{ bearer('good') }, Range => 'bytes=5000-5014']);
is_deeply([@$range{qw(status body)}], [206, substr $file, 5000, 15], 'slice: a range');
is($t->get('/sliced/file', [Range => 'bytes=5000-5014'])->{status}, 401, 'slice: a range without a token');
is($t->get_with('/cached/file', $good)->{body}, $file, 'a cache that is filled');
is($t->get('/cached/file')->{status}, 401, 'is closed to others');
is($t->h2(GET => '/cached/file', bearer('good'))->{body}, $file, 'and open to who has a token');

# ---- ranges, compression, substitution, addition

my $part = $t->get('/ranges/file', [@{ bearer('good') }, Range => 'bytes=16-30']);
is_deeply([@$part{qw(status body)}], [206, substr $file, 16, 15], 'a range of a file');
is_deeply([@{ $t->get('/ranges/file', [Range => 'bytes=16-30']) }{qw(status body)}], [401, qq({"msg":"Missing Authorization Header"}\n)], 'no range of a refusal');
my $pressed = $t->get('/pressed/', [@{ bearer('good') }, 'Accept-Encoding' => 'gzip']);
is_deeply([$pressed->{status}, $pressed->{headers}{'content-encoding'}], [200, 'gzip'], 'content is compressed');
my $refused = $t->get('/pressed/', ['Accept-Encoding' => 'gzip']);
is_deeply([@$refused{qw(status body)}, $refused->{headers}{'content-encoding'}], [401, qq({"msg":"Missing Authorization Header"}\n), undef],
    'a 401 is not, as any of nginx');
is($t->get('/substituted/')->{body}, qq({"msg":"Wanting Authorization Header"}\n), 'sub_filter sees a refusal');
is($t->get_with('/substituted/', $good)->{body}, 'Wanting', 'and the content');
is($t->get_with('/added/', $good)->{body}, "before\nmiddle\nafter\n", 'addition: parts that a token opens');
unlike($t->get('/added/')->{body}, qr/before|after/, 'addition: and not without');
is($t->get_with('/added-closed/', $good)->{body}, "before\nmiddle\n", 'addition: to a page that a token opens');
is_deeply([@{ $t->get('/added-closed/') }{qw(status body)}], [401, qq({"msg":"Missing Authorization Header"}\n)], 'addition: nothing is added to a refusal');

# ---- what the application answers is its own

my $own = $t->get_with('/origin/says/401', $good);
is_deeply([@$own{qw(status body)}, $own->all('WWW-Authenticate')], [401, 'its own', 'Own realm="own"'], "the application's own 401 has no challenge of ours");
is_deeply([$t->get('/origin/says/401')->all('WWW-Authenticate')], ['Bearer realm="restricted"'], 'and ours none of its');
is_deeply([@{ $t->get_with('/intercepted/says/401', $good) }{qw(status body)}], [403, 'the page'], 'error_page for a 401 of the application');
is_deeply([@{ $t->get('/intercepted/says/401') }{qw(status body)}], [403, 'the page'], 'and for ours');

# ---- limit_req by a verified claim: behind try_files, where the claim is known

my $bob = token(claims(sub => 'bob'));
is($t->get("/by-user/", bearer('forged'))->{status}, 422, 'limit_req by user: a refused request') for 1 .. 2;
is($t->get_with('/by-user/x?y', $good)->{json}{uri}, '/by-user/x?y', 'limit_req by user: the first');
is($t->get_with('/by-user/', $good)->{status}, 429, 'limit_req by user: the second of the same user');
is(sent($t->get_with('/by-user/', $bob), 'X-Identity'), 'bob', 'limit_req by user: the first of another');
is($t->get_with('/by-user/', $bob)->{status}, 429, 'and the second');

# ---- client headers never pose as claims

my @posing = ('X-Identity' => 'root', 'x-identity' => 'root', X_Identity => 'root', 'X-Claim' => 'yes', 'jwt_identity' => 'root', 'Jwt-Identity' => 'root',
    Cookie => 'jwt_identity=root');
for my $protocol (qw(h1 h2)) {
    my $get = sub { my ($path, $headers) = @_; return $protocol eq 'h1' ? $t->get($path, $headers) : $t->h2(GET => $path, $headers) };
    for my $path ('/open/', '/optional/') {
        my $response = $get->("$path?jwt_identity=root&sub=root", \@posing);
        is($response->{status}, 200, "$protocol, $path: a request with claims of its own making");
        is_deeply([map { sent($response, $_) } qw(X-Identity X-Claim X_Identity)], ['', '', ''], "$protocol, $path: has none");
    }
    my $response = $get->('/optional/', [@posing, @{ bearer('good') }]);
    is_deeply([map { sent($response, $_) } qw(X-Identity X-Claim X_Identity)], ['alice', '', ''], "$protocol: beside a token, its own alone");
}

# ---- the same over HTTP/2

my $fresh = token(claims(fresh => JSON::PP::true()));
for my $case (
    ['/try/', GET => undef, 401], ['/try/', GET => $good, 401], ['/try/', GET => $fresh, 200],
    ['/only-get/', GET => undef, 200], ['/only-get/', POST => undef, 401], ['/only-get/', POST => $good, 200],
    ['/condition/', GET => undef, 200], ['/condition/?protect=1', GET => undef, 401], ['/condition/?protect=1', GET => $good, 200],
    ['/plain/', OPTIONS => undef, 200], ['/plain/', DELETE => undef, 401], ['/plain/', DELETE => $good, 200],
    ['/index/', GET => undef, 401], ['/index/', GET => $good, 200], ['/index/', HEAD => undef, 401], ['/index/', HEAD => $good, 200],
) {
    my ($path, $method, $token, $status) = @$case;
    my $kind = !$token ? 'none' : $token eq $good ? 'good' : 'fresh';
    my $response = $t->h2($method, $path, $token ? [Authorization => "Bearer $token"] : []);
    is($response->{status}, $status, "h2: $method $path, token $kind");
    unlike($response->{body}, qr/"uri"|index/, "h2: $method $path, token $kind: no content") if $status == 401;
}
is_deeply([@{ $t->h2(GET => '/page/') }{qw(status body)}], [200, 'log in'], 'h2: error_page = @named');
is($t->h2(GET => '/page/', bearer('good'))->{json}{uri}, '/page/', 'h2: not for a good token');

done_testing;
