# What nginx does with a location, word by word and over both protocols: each case is asked without a token, with a forged
# one, a good one and a fresh one, and the answers stand beside each other. satisfy: attack_phases.t and satisfy.t. What is
# HTTP/1.1's alone, WebSocket's upgrade: manners.t.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;
use JWTTest::Http2;

my $pass = 'proxy_set_header X-Identity <$jwt_identity>; proxy_pass %%BACKEND%%;';
my $other = 'the secret of other tokens, thirty-two bytes or more';
my $t = JWTTest->new(
    http2 => 1,
    backend => sub {
        my ($request) = @_;
        return [200, ['X-Accel-Redirect' => $1], ''] if $request->{uri} =~ m{\A/accel/.*[?]to=(.+)};
        return [200, ['Content-Type' => 'text/plain'], $other] if $request->{uri} eq '/key';
        return;
    },
    http => <<'EOF_HTTP',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    limit_req_zone $jwt_identity$uri zone=by_user:1m rate=1r/m;
    log_format ours '$uri $request_method $jwt_status <$jwt_identity> <$jwt_claim_role> <$jwt_error>';
    log_format mirrored '$uri <$http_x_identity>';
    server {
        listen 127.0.0.1:%%PORTorigin%%;
        access_log %%DIR%%/origin.log mirrored;
        root %%DIR%%/html;
        location /mirror/ { return 200; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    access_log %%DIR%%/ours.log ours;
    jwt_secret_key "$JWTTest::Token::secret";

    location /plain/ { jwt_required; $pass }
    location /fresh/ { jwt_required fresh; $pass }
    location /other/ { jwt_secret_key "$other"; jwt_required; $pass }
    location /open/ { $pass }

    location /page/status/ { jwt_required; error_page 401 422 /said; $pass }
    location /page/200/ { jwt_required; error_page 401 =200 /said; error_page 422 =418 /said; $pass }
    location /page/named/ { jwt_required; error_page 401 422 = \@said; $pass }
    location /page/closed/ { jwt_required; error_page 401 422 /fresh/page; $pass }
    location = /said { internal; default_type text/plain; return 200 "said <\$jwt_identity>"; }
    location \@said { default_type text/plain; return 200 "named <\$jwt_identity>"; }

    location /try/open/ { jwt_required; try_files /none /open/x; }
    location /try/closed/ { try_files /none /plain/x; }
    location /try/fresh/ { jwt_required; try_files /none /fresh/x; }
    location /try/other/ { jwt_required; try_files /none /other/x; }
    location /try/named/ { jwt_required; try_files /none \@behind; }
    location \@behind { $pass }
    location /try/status/ { jwt_required; try_files /none =404; }
    location /missing/closed/ { error_page 404 = /plain/x; }
    location /rewritten/ { rewrite ^ /plain/x; }
    location /index/ { jwt_required; }
    location /index/fresh/ { index /fresh/x; }
    location /accel/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /accel/open/ { jwt_required off; proxy_pass %%BACKEND%%; }
    location /file/ { internal; jwt_required; alias %%DIR%%/html/index/; }

    location /limit/ { limit_except GET { jwt_required; } $pass }
    location /limit/deny/ { jwt_required; limit_except GET { deny all; } $pass }
    location /methods/ { jwt_required; jwt_exempt_methods OPTIONS PATCH; $pass }
    location /preflight/ { jwt_required; jwt_exempt_methods preflight; $pass }
    location /none-exempt/ { jwt_required; jwt_exempt_methods off; $pass }
    location /if/ { jwt_required if=\$arg_protect; $pass }
    location /if/fresh/ { jwt_required fresh if=\$arg_protect; $pass }

    location /request/ { auth_request /authz; $pass }
    location = /authz { internal; jwt_required; proxy_pass http://127.0.0.1:%%PORTorigin%%/mirror/; }
    location /keyed/ { jwt_lua_file %%DIR%%/keyed.lua; jwt_required; $pass }
    location = /key { internal; jwt_required; proxy_pass %%BACKEND%%; }
    location /ssi/ { ssi on; }
    location /ssi/closed/ { ssi on; jwt_required; }
    location /part/ { jwt_required; }
    location /added/ { add_before_body /part/a.html; add_after_body /part/a.html; }
    location /added/closed/ { jwt_required; add_before_body /open-part; }
    location = /open-part { default_type text/html; return 200 "open "; }
    location /mirrored/ { jwt_required; mirror /mirror; $pass }
    location /mirrored/open/ { jwt_required off; mirror /mirror/closed; $pass }
    location = /mirror { internal; proxy_set_header X-Identity \$jwt_identity; proxy_pass http://127.0.0.1:%%PORTorigin%%/mirror\$request_uri; }
    location = /mirror/closed { internal; jwt_required; proxy_set_header X-Identity \$jwt_identity; proxy_pass http://127.0.0.1:%%PORTorigin%%/mirror\$request_uri; }
    location /sliced/ {
        jwt_required; slice 4; proxy_cache cache; proxy_cache_key \$uri\$slice_range; proxy_cache_valid 200 206 1h;
        proxy_set_header Range \$slice_range; proxy_http_version 1.1; proxy_pass http://127.0.0.1:%%PORTorigin%%/sliced/;
    }
    location /by-user/ { jwt_required; try_files /none \@by_user; }
    location \@by_user { limit_req zone=by_user; limit_req_status 429; $pass }
    location /early/ { jwt_required; limit_req zone=by_user; limit_req_status 429; $pass }
EOF_CONFIG
    files => {
        'html/index/index.html' => 'the index', 'html/index/file' => 'the file', 'html/part/a.html' => 'part ', 'html/sliced/file' => '0123456789',
        'html/index/fresh/x' => '',
        'html/ssi/index.html' => 'page [<!--# include virtual="/part/a.html" -->]', 'html/added/index.html' => 'page ', 'html/added/closed/index.html' => 'page ',
        'html/ssi/closed/index.html' => 'page <!--# echo var="jwt_identity" --> [<!--# include virtual="/part/a.html" -->]',
        'keyed.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return { decode_key = function() return jwt.fetch("/key").body end }
EOF_LUA
    },
);

my %token = (
    none => undef,
    forged => token(claims(sub => 'eve', role => 'x'), key => 'x' x 64),
    good => token(claims(role => 'reader')),
    fresh => token(claims(sub => 'frida', fresh => JSON::PP::true)),
    other => token(claims(sub => 'olga'), key => $other),
);

sub ask {
    my ($protocol, $method, $path, $who, @more) = @_;
    my @headers = (@more, $token{$who} ? (Authorization => "Bearer $token{$who}") : ());
    # curl before 8 gives up where nginx answers before a body was read (RST_STREAM, NO_ERROR), as it does for `deny all`.
    my $body = $method =~ /POST|PATCH|PUT/ && ($protocol eq 'h1' || $who =~ /good|fresh/ && $path !~ /deny/) ? 'body' : undef;
    return $protocol eq 'h1' ? $t->request($method, $path, \@headers, $body) : $t->h2($method, $path, \@headers, $body);
}

# "200 /plain/x <alice>": status, what the application was asked for and by whom; else the status and a short body.
sub seen {
    my ($response) = @_;
    my ($identity) = map { $_->[1] } grep { $_->[0] eq 'X-Identity' } @{ $response->{json}{headers} || [] };
    my $text = $response->{json}{uri} ? $response->{json}{uri} =~ s/\?.*//r . ' ' . ($identity // '')
        : $response->{json}{msg} || $response->{body} =~ /<html>/ ? '' : $response->{body};
    $text =~ s/\{"msg".*?\}\n//g;
    return $text =~ s/\s+\z//r eq '' ? "$response->{status}" : "$response->{status} $text" =~ s/\s+\z//r;
}

# name, method, path, then what is seen with: none, forged, good, fresh
my @alike = ('200 %s <alice>', '200 %s <frida>');
my @cases = (
    ['a location', GET => '/plain/', 401, 422, @alike], ['a POST', POST => '/plain/', 401, 422, @alike],
    ['error_page: a status', GET => '/page/status/', '401 said <>', '422 said <>', @alike],
    ['error_page: =200', GET => '/page/200/', '200 said <>', '418 said <>', @alike],
    ['error_page: a named location', GET => '/page/named/', '200 named <>', '200 named <>', @alike],
    ['error_page: a closed location', GET => '/page/closed/', 401, 422, @alike],
    ['try_files: to an open location', GET => '/try/open/', 401, 422, '200 /open/x <alice>', '200 /open/x <frida>'],
    ['try_files: from an open location', GET => '/try/closed/', 401, 422, '200 /plain/x <alice>', '200 /plain/x <frida>'],
    ['try_files: to stricter rules', GET => '/try/fresh/', 401, 422, 401, '200 /fresh/x <frida>'],
    ['try_files: to other keys', GET => '/try/other/', 401, 422, 422, 422],
    ['try_files: to a named location', GET => '/try/named/', 401, 422, '200 /try/named/ <alice>', '200 /try/named/ <frida>'],
    ['try_files: a status', GET => '/try/status/', 401, 422, 404, 404],
    ['error_page: 404 to a closed location', GET => '/missing/closed/', 401, 422, '200 /plain/x <alice>', '200 /plain/x <frida>'],
    ['rewrite to a closed location', GET => '/rewritten/', 401, 422, '200 /plain/x <alice>', '200 /plain/x <frida>'],
    ['index', GET => '/index/', 401, 422, '200 the index', '200 the index'],
    ['index: to stricter rules', GET => '/index/fresh/', 401, 422, 401, '200 /fresh/x <frida>'],
    ['X-Accel-Redirect: to a closed file', GET => '/accel/?to=/file/file', 401, 422, '200 the file', '200 the file'],
    ['X-Accel-Redirect: to stricter rules', GET => '/accel/?to=/fresh/x', 401, 422, 401, '200 /fresh/x <frida>'],
    ['X-Accel-Redirect: from an open location', GET => '/accel/open/?to=/file/file', 401, 422, '200 the file', '200 the file'],
    ['an internal location', GET => '/file/file', 404, 404, 404, 404],
    ['limit_except: what it leaves', GET => '/limit/', '200 /limit/ <>', '200 /limit/ <>', '200 /limit/ <>', '200 /limit/ <>'],
    ['limit_except: what it names', POST => '/limit/', 401, 422, @alike],
    ['limit_except: beside jwt_required', GET => '/limit/deny/', 401, 422, @alike],
    ['limit_except: deny all', POST => '/limit/deny/', 403, 403, 403, 403],
    ['HEAD', HEAD => '/index/', 401, 422, 200, 200],
    ['HEAD of a proxied location', HEAD => '/plain/', 401, 422, 200, 200],
    ['an exempt method', OPTIONS => '/plain/', ('200 /plain/ <>') x 4], ['another one', PATCH => '/methods/', ('200 /methods/ <>') x 4],
    ['a method that is not', DELETE => '/methods/', 401, 422, @alike], ['none is', OPTIONS => '/none-exempt/', 401, 422, @alike],
    ['a preflight', OPTIONS => '/preflight/', ('200 /preflight/ <>') x 4, [Origin => 'https://a', 'Access-Control-Request-Method' => 'PUT']],
    ['half a preflight', OPTIONS => '/preflight/', 401, 422, @alike, [Origin => 'https://a']],
    ['no preflight', OPTIONS => '/preflight/', 401, 422, @alike],
    ['a preflight by GET', GET => '/preflight/', 401, 422, @alike, [Origin => 'https://a', 'Access-Control-Request-Method' => 'PUT']],
    ['if=: empty', GET => '/if/', ('200 /if/ <>') x 4], ['if=: 0', GET => '/if/?protect=0', ('200 /if/ <>') x 4],
    ['if=: a value', GET => '/if/?protect=00', 401, 422, @alike], ['if= beside fresh', GET => '/if/fresh/?protect=1', 401, 422, 401, '200 %s <frida>'],
    ['auth_request', GET => '/request/', 401, 401, '200 /request/ <>', '200 /request/ <>'],
    ['auth_request of a POST', POST => '/request/', 401, 401, '200 /request/ <>', '200 /request/ <>'],
    ['a key location is not judged', GET => '/keyed/', 401, 422, 422, 422], ['and closed to clients', GET => '/key', (404) x 4],
    ['SSI: an open page', GET => '/ssi/', ('200 page []') x 2, ('200 page [part ]') x 2],
    ['SSI: a closed page', GET => '/ssi/closed/', 401, 422, '200 page alice [part ]', '200 page frida [part ]'],
    ['addition: closed parts', GET => '/added/', undef, undef, ('200 part page part') x 2],
    ['addition: to a closed page', GET => '/added/closed/', 401, 422, ('200 open page') x 2],
    ['mirror', POST => '/mirrored/', 401, 422, @alike], ['mirror: a closed one', GET => '/mirrored/open/', ('200 /mirrored/open/ <>') x 4],
    ['slice', GET => '/sliced/file', 401, 422, ('200 0123456789') x 2],
    ['a slice of it', GET => '/sliced/file', 401, 422, ('206 345') x 2, [Range => 'bytes=3-5']],
);
my @who = qw(none forged good fresh);

for my $protocol (qw(h1 h2)) {
    subtest "$protocol: nginx's manners" => sub {
        for my $case (@cases) {
            my ($name, $method, $path, @rest) = @$case;
            my $headers = ref $rest[-1] ? pop @rest : [];
            for my $i (0 .. $#who) {
                my $response = ask($protocol, $method, $path, $who[$i], @$headers);
                if (!defined $rest[$i]) {
                    unlike($response->{body}, qr/part/, "$name: no part of it, token $who[$i]");
                    next;
                }
                is(seen($response), $rest[$i] =~ s/%s/$path =~ s{\?.*}{}r/er, "$name: $method $path, token $who[$i]");
                is($response->{body}, '', "$name: no body, token $who[$i]") if $method eq 'HEAD';
                next if $response->{status} != 401 || $name =~ /error_page: a named/;
                like(join(' ', $response->all('WWW-Authenticate')), qr/\ABearer realm="restricted"/, "$name: its challenge, token $who[$i]");
            }
        }
        is(seen(ask($protocol, GET => '/keyed/', 'other')), '200 /keyed/ <olga>', 'a key location: the token of that key');
        is(seen(ask($protocol, GET => '/other/', 'other')), '200 /other/ <olga>', 'other keys: their token');
    };

    subtest "$protocol: limit_req by a verified claim" => sub {
        my @times = map { seen(ask($protocol, GET => "/by-user/$protocol", $_)) } qw(good good fresh fresh forged none);
        is_deeply(\@times, ["200 /by-user/$protocol <alice>", 429, "200 /by-user/$protocol <frida>", 429, 422, 401], 'behind try_files: each user has its own');
        @times = map { ask($protocol, GET => "/early/$protocol", $_)->{status} } qw(good good);
        is_deeply(\@times, [200, 429], 'beside jwt_required: the key has no claim, and counts all alike');
        is(ask($protocol, GET => "/early/$protocol", 'fresh')->{status}, 429, 'so that others pay for it');
    };
}

subtest 'mirror: what arrived' => sub {
    my $count = sub { my @lines = $t->read_file('origin.log') =~ m{^/mirror(/mirrored/.*)$}mg; return \@lines };
    $t->wait_for(5, sub { @{ $count->() } >= 8 });
    is_deeply([sort @{ $count->() }], [sort map { ("/mirrored/ <$_>", "/mirrored/open/ <$_>") x 2 } qw(alice frida)], 'the good ones alone, by either protocol');
};

subtest 'log_format' => sub {
    $t->wait_for(5, sub { 3 == (() = $t->read_file('ours.log') =~ m{^/early/h2 }mg) });
    my $log = $t->read_file('ours.log');
    for my $line ('/plain/ GET ok <alice> <reader> <->', '/plain/ POST ok <frida> <-> <->', '/plain/ GET missing <-> <-> <Missing Authorization Header>',
        '/plain/ GET invalid <-> <-> <Signature verification failed>', '/plain/ OPTIONS - <-> <-> <->', '/fresh/x GET not_fresh <-> <-> <Fresh token required>') {
        my $lines = () = $log =~ /^\Q$line\E$/mg;
        cmp_ok($lines, '>=', 2, "$line: by either protocol");
    }
    unlike($log, qr/eve/, 'nothing of a forged token');
};

subtest 'h2: requests of one connection' => sub {
    my @order = qw(good none fresh forged good none) x 3;
    my $one = JWTTest::Http2->new($t->port('h2'));
    my @streams = map { $one->get('/plain/', [$token{$_} ? (Authorization => "Bearer $token{$_}") : ()]) } @order;
    my @identities = map { $one->body($_) =~ /"X-Identity","<(\w*)>"|"msg":"(\w+)/ ? $1 // $2 : $_ } @streams;
    is_deeply(\@identities, [qw(alice Missing frida Signature alice Missing) x 3], 'each has its own token alone');
    $one->close;
};

done_testing;
