# jwt.fetch: a hook or handler asks another location of the server. Its own request waits, and no other; the subrequest
# has nothing of what the client sent.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/lib";
use JWTTest;

my $secret = $JWTTest::Token::secret;
my $other_secret = 'the secret of the tenant acme, long enough for HS256';

sub backend {
    my ($request) = @_;
    my $uri = $request->{uri};
    return [200, ['Content-Type' => 'application/json'], qq({"name":"$1"})] if $uri =~ m{^/users/(alice|bob)$};
    return [404, ['Content-Type' => 'text/plain'], 'no such user'] if $uri =~ m{^/users/};
    return [200, ['X-Accel-Expires' => '@1'], "at " . time] if $uri eq '/aged';
    return [200, ['Content-Type' => 'text/plain'], $other_secret] if $uri eq '/tenants/acme';
    return [200, ['X-Two' => 'a', 'X-Two' => 'b', 'Content-Type' => 'text/plain'], 'x' x $1]
        if $uri =~ m{^/size/(\d+)$};
    return;
}

my $hooks = <<'EOF_LUA';
local jwt = require "jwt"

local function user_of(payload)
  local response, reason = jwt.fetch("/users/" .. payload.sub)
  if not response then error(reason) end
  if response.status == 404 then return nil end
  if response.status ~= 200 then return { failed = response.status } end
  return response:json()
end

return {
  user_lookup = function(header, payload) return user_of(payload) end,
  token_in_blocklist = function(header, payload)
    return payload.ask == "blocklist" and jwt.fetch("/revoked/" .. payload.jti).status == 200
  end,
  token_verification = function(header, payload)
    if payload.ask == "both" then
      local response = jwt.fetch("/echo/", { args = { who = payload.sub } })
      return response:json().uri == "/echo/?who=" .. payload.sub
    end
    return true
  end,
  user_lookup_error = function(header, payload)
    local response = jwt.fetch("/users/bob")
    return { msg = "not " .. payload.sub .. " but " .. response:json().name }, 403
  end,
  unauthorized = function(reason)
    return jwt.fetch("/size/5").body .. " " .. reason, 401
  end,
  handlers = {
    echo = function(request)
      local options = request.method == "POST" and request:json({ force = true }) or nil
      local response, reason = jwt.fetch(request.args.uri or "/echo/", options)
      if not response then return "nothing: " .. reason end
      return response.body, 200, { ["X-Fetched"] = response.status, ["X-Type"] = response.headers["Content-Type"] }
    end,
    caught = function(request)
      local good, response = pcall(jwt.fetch, "/size/3")
      local bad, message = pcall(function() jwt.fetch("/size/3") error("after it") end)
      return tostring(good) .. response.body .. " " .. tostring(bad) .. " " .. message:match("after it")
    end,
    sorted = function(request)
      table.sort({ 3, 2, 1 }, function(a, b) jwt.fetch("/size/1") return a < b end)
    end,
    within = function(request)
      return tostring(coroutine.wrap(function() return pcall(jwt.fetch, "/size/1") end)())
    end,
    own_thread = function(request)
      return tostring(coroutine.running()) .. " " .. tostring(pcall(coroutine.yield, 1))
    end,
    twice = function(request)
      return jwt.fetch("/size/2").body .. jwt.fetch("/users/bob"):json().name .. request.method
        .. jwt.fetch("/size/4").headers["x-two"]
    end,
    loop = function(request)
      local sum = 0
      for round = 1, 100 do
        jwt.fetch("/open/")
        for i = 1, 20000 do sum = sum + i end
      end
      return tostring(sum)
    end,
    token = function(request)
      local token = jwt.create_access_token(jwt.fetch("/users/alice"):json().name)
      return jwt.decode_token(token).sub
    end,
  },
}
EOF_LUA

my $t = JWTTest->new(
    http2 => 1,
    backend => \&backend,
    http => 'proxy_cache_path %%DIR%%/aged keys_zone=aged:1m;',
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    client_max_body_size 8m;
    client_body_buffer_size 16k;
    subrequest_output_buffer_size 64k;
    jwt_secret_key "$secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    proxy_set_header X-User \$jwt_user;

    location / { jwt_required; proxy_pass %%BACKEND%%; }
    location /users/ { internal; jwt_required fresh; proxy_set_header X-Auth \$http_authorization; proxy_pass %%BACKEND%%; }
    location /revoked/ { internal; proxy_pass %%BACKEND%%; }
    location /size/ { internal; proxy_pass %%BACKEND%%; }
    location /echo/ { internal; proxy_set_header X-Uri "\$request_uri"; proxy_set_header X-Tried "\$http_cookie\$http_authorization\$cookie_c"; proxy_pass %%BACKEND%%; }
    location /open/ { return 200 open; }
    location /file/ { internal; }
    location = /cut { internal; proxy_pass http://127.0.0.1:%%PORTslow%%/slow/cut; }
    location = /closed { internal; return 444; }
    location = /down { internal; proxy_pass http://127.0.0.1:%%PORTnobody%%; }
    location = /late { internal; proxy_read_timeout 200ms; proxy_pass http://127.0.0.1:%%PORTslow%%; }
    location = /page { internal; error_page 502 =299 /size/7; proxy_pass http://127.0.0.1:%%PORTnobody%%; }
    location = /nested { internal; jwt_handler echo; }
    location = /aged { internal; proxy_cache aged; proxy_cache_use_stale updating; proxy_cache_background_update on; proxy_pass %%BACKEND%%; }
    location /slow/ { internal; proxy_pass http://127.0.0.1:%%PORTslow%%; }

    location /do/echo { jwt_handler echo; }
    location /do/caught { jwt_handler caught; }
    location /do/sorted { jwt_handler sorted; }
    location /do/within { jwt_handler within; }
    location /do/own_thread { jwt_handler own_thread; }
    location /do/twice { jwt_handler twice; }
    location /do/loop { jwt_handler loop; }
    location /do/token { jwt_handler token; }
    location /guarded/echo { jwt_required; jwt_handler echo; }

    location /keyed/ { jwt_lua_file %%DIR%%/keyed.lua; jwt_required; proxy_pass %%BACKEND%%; }
    location /tenants/ { internal; proxy_pass %%BACKEND%%; }
    location /authz/ { internal; jwt_required; proxy_pass %%BACKEND%%; }
    location /by-request/ { auth_request /authz/; proxy_pass %%BACKEND%%; }
    location /mirrored/ { mirror /copy/; proxy_pass %%BACKEND%%; }
    location = /asked { internal; auth_request /open/; proxy_pass %%BACKEND%%; }
    location = /mirrored/asked { mirror /do/copied; proxy_pass %%BACKEND%%; }
    location = /do/copied { internal; jwt_handler echo; access_log %%DIR%%/asked.log; log_subrequest on; }
    location /copy/ { internal; jwt_required; access_log %%DIR%%/copy.log; log_subrequest on; proxy_pass %%BACKEND%%; }
    location /page/ { ssi on; ssi_types text/plain; }
    location /part/ { jwt_required; proxy_pass %%BACKEND%%; }
    location /any/ { satisfy any; deny all; jwt_required; proxy_pass %%BACKEND%%; }
    location /waiting/ { jwt_lua_file %%DIR%%/slow.lua; jwt_required; add_header X-Seen \$jwt_user; }
    location /expiring/ { jwt_lua_file %%DIR%%/expiring.lua; jwt_required; alias %%DIR%%/html/waiting/; add_header X-Seen \$jwt_user; }
    location /fresh/ { jwt_lua_file %%DIR%%/slow.lua; jwt_required fresh; alias %%DIR%%/html/waiting/; add_header X-Seen \$jwt_user; }
    location /deferred/ { jwt_lua_file %%DIR%%/slow.lua; jwt_handler wait; }
EOF_CONFIG
    files => {
        'hooks.lua' => $hooks,
        'html/file/a.txt' => 'a file',
        'html/waiting/a.txt' => 'open to users',
        'html/page/slow.txt' => '<!--#include virtual="/waiting/a.txt" -->',
        'html/page/a.txt' => join('', map { qq(<!--#include virtual="/part/$_" -->;) } 1 .. 3),
        'keyed.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  decode_key = function(header, payload)
    local response = jwt.fetch("/tenants/" .. payload.tenant)
    if response.status == 200 and #response.body > 32 and response.body:sub(1, 10) == "the secret" then
      return response.body
    end
  end,
}
EOF_LUA
        'expiring.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  user_lookup = function(header, payload) return jwt.fetch("/slow/" .. payload.sub).body end,
  expired_token = function(header, payload)
    return jwt.fetch("/slow/answer").body .. " to " .. payload.sub, 401
  end,
}
EOF_LUA
        'slow.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  user_lookup = function(header, payload) return jwt.fetch("/slow/" .. payload.sub).body end,
  handlers = { wait = function(request) return jwt.fetch("/slow/" .. request.args.who).body end },
}
EOF_LUA
    });

# A user service that answers each request after a while, many at a time: "slow NAME".
my $answer_after = 2;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $t->port('slow'), Listen => 511, ReuseAddr => 1)
    or die "slow: $!";
my $slow = fork;
die "fork: $!" unless defined $slow;
if (!$slow) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $parent = getppid;
    my $select = IO::Select->new($listener);
    my (%due, %text);
    while (getppid == $parent) {
        for my $socket ($select->can_read(0.02)) {
            if ($socket == $listener) { $select->add($listener->accept); next }
            if (!sysread $socket, my $bytes, 4096) { $select->remove($socket); close $socket; delete $due{$socket}; next }
            else { $bytes =~ m{^GET /slow/(\w*)}; $text{$socket} = 'slow ' . ($1 // ''); $due{$socket} = [$text{$socket} eq 'slow cut' ? 0 : time + $answer_after, $socket] }
        }
        for my $due (grep { $_->[0] <= time } values %due) {
            my $text = delete $text{ $due->[1] };
            delete $due{ $due->[1] };
            $select->remove($due->[1]);
            print { $due->[1] } "HTTP/1.0 200 OK\r\nContent-Length: " . ($text eq 'slow cut' ? 99 : length $text) . "\r\n\r\n$text";
            close $due->[1];
        }
    }
    POSIX::_exit(0);
}
close $listener;
END { kill TERM => $slow if $slow && $$ == ($t ? $t->{owner} : 0) }

sub field {
    my ($response, $name) = @_;
    my ($found) = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] };
    return $found;
}

# What the echo behind a handler got.
sub echoed { return JSON::PP::decode_json($t->post(@_)->{body}) }

my $alice = token(claims());
my $nobody = token(claims(sub => 'nobody'));

subtest 'hooks' => sub {
    my $good = $t->get_with('/a', $alice);
    is $good->{status}, 200, 'user_lookup by fetch';
    is field($good, 'X-User'), '{"name":"alice"}', '... its user';
    my $refused = $t->get_with('/a', $nobody);
    is $refused->{status}, 403, 'no such user: its answer, by fetch too';
    is $refused->{json}{msg}, 'not nobody but bob';
    my $nothing = $t->get('/a');
    is $nothing->{status}, 401, 'no token';
    is $nothing->{body}, 'xxxxx Missing Authorization Header';
    is $t->get_with('/a', token(claims(ask => 'blocklist')))->{status}, 401, 'token_in_blocklist by fetch: revoked';
    is $t->get_with('/a', token(claims(ask => 'both')))->{status}, 200, 'two hooks of a request wait in turn';
    is $t->get_with('/by-request/', $alice)->{status}, 200, 'the target of auth_request';
    is $t->get_with('/by-request/', $nobody)->{status}, 403, '... refuses';
    is $t->get_with('/any/', $alice)->{status}, 200, 'satisfy any';
    my $all_refuse = $t->get_with('/any/', $nobody);
    is $all_refuse->{status}, 403, '... refuses';
    is $all_refuse->{json}{msg}, 'not nobody but bob', '... in the words of a hook that waits';
    my %tenant = (tenant => 'acme');
    is $t->get_with('/keyed/', token(claims(%tenant), key => $other_secret))->{status}, 200, 'decode_key by fetch';
    is $t->get_with('/keyed/', token(claims(%tenant)))->{status}, 422, '... and no other key';
    is $t->get_with('/keyed/', token(claims(tenant => 'x'), key => $other_secret))->{status}, 422, '... of no tenant';
};

subtest 'handlers' => sub {
    is $t->get('/do/twice')->{body}, 'xxbobGETa, b', 'one call after another; the request is still there';
    is $t->get('/do/caught')->{body}, 'truexxx false after it', 'within pcall';
    is $t->get('/do/token')->{body}, 'alice', 'functions of jwt after a wait';
    is $t->get('/do/echo?uri=/file/a.txt')->{body}, 'a file', 'a file';
    is $t->get('/do/echo?uri=/open/')->{body}, 'open', 'a text of the configuration';
    is $t->get('/do/echo?uri=/page')->{body}, 'xxxxxxx', 'an error page';
    is $t->request('HEAD', '/do/echo')->{body}, '', 'HEAD';
    is $t->request('HEAD', '/a', [Authorization => "Bearer $alice"])->{status}, 200, '... of a protected location';
};

subtest 'what a subrequest says' => sub {
    my @client = ('Authorization' => 'Basic x', 'Cookie' => 'c=1', 'X-Mine' => 'y', 'User-Agent' => 'z',
        'Content-Type' => 'application/json');
    my $echo = echoed('/do/echo?uri=/echo/%3Fa=1', \@client, '{"method":"GET"}');
    is $echo->{method}, 'GET';
    is $echo->{uri}, '/echo/?a=1';
    is $echo->{body}, '', 'no body of the client';
    is join(',', sort map { lc $_->[0] } @{ $echo->{headers} }), 'connection,host,x-uri', 'no header of the client';
    $echo = echoed('/do/echo', \@client,
        '{"method":"PUT","args":{"q":"a b&c"},"headers":{"Authorization":"Basic own","Cookie":"c=own"},"body":"text"}');
    is "$echo->{method} $echo->{uri} $echo->{body}", 'PUT /echo/?q=a%20b%26c text', 'own method, args and body';
    my %lines = map { lc $_->[0] => $_->[1] } @{ $echo->{headers} };
    is $lines{authorization}, 'Basic own', 'own headers';
    is $lines{'content-length'}, 4;
    is $lines{'x-uri'}, '/echo/?q=a%20b%26c', "its own URI, not the client's";
    $echo = echoed('/do/echo?uri=/echo/a%250d%250aX:b', []);
    is_deeply [map { $_->[1] } grep { lc $_->[0] eq 'x-uri' } @{ $echo->{headers} }], ['/echo/a%0d%0aX:b'], '... never unescaped';
    is $lines{'x-tried'}, 'c=ownBasic ownown', '... seen by variables of the location';
    $echo = echoed('/do/echo', \@client, '{"body":{"a":[1]}}');
    is "$echo->{method} $echo->{body}", 'POST {"a":[1]}', 'a table as body';
    is((grep { $_->[0] eq 'Content-Type' } @{ $echo->{headers} })[0][1], 'application/json');
    is echoed('/do/echo', \@client, '{"method":"POST"}')->{body}, '', 'POST without a body';
    for my $options ('{"headers":{"Host":"x"}}', '{"headers":{"Content-Length":5}}', '{"headers":{"a b":"x"}}',
        '{"headers":{"A":"x\r\nB: y"}}', '{"headers":{"A":"x","a":"y"}}', '{"method":"TRACE"}', '{"methode":"GET"}') {
        is $t->post('/do/echo', [], $options)->{status}, 500, "refused: $options";
    }
    for my $uri ('/echo/../users/alice', '/echo/%252e%252e/users/alice', '/echo/%20x', '/echo/%0d%0ax', '/echo/%3Fa%20b') {
        like $t->get("/do/echo?uri=$uri")->{body}, qr/^nothing: the URI is unsafe/, "refused: $uri";
    }
    is $t->get('/do/echo?uri=echo/')->{status}, 500, 'refused: no location of this server';
};

subtest 'responses that are none' => sub {
    is $t->get('/do/echo?uri=/size/60000')->{body}, 'x' x 60000, 'a large one';
    like $t->get('/do/echo?uri=/size/70000')->{body}, qr/^nothing: the response is larger/, 'a too large one';
    like $t->get('/do/echo?uri=/cut')->{body}, qr/^nothing: the response was broken off/, 'a part of one';
    like $t->get('/do/echo?uri=/closed')->{body}, qr/^nothing: /, 'return 444';
    my $down = $t->get('/do/echo?uri=/down');
    is $down->{headers}{'x-fetched'}, 502, 'nobody listens';
    is $t->get('/do/echo?uri=/size/1')->{headers}{'x-fetched'}, 200;
    is $t->get('/do/echo?uri=/late')->{headers}{'x-fetched'}, 504, 'proxy_read_timeout';
    is $t->get('/do/echo?uri=/nested')->{headers}{'x-fetched'}, 500, 'a fetched location cannot fetch';
};

subtest 'where it cannot wait' => sub {
    is $t->get('/do/sorted')->{status}, 500, 'table.sort';
    is $t->get('/do/within')->{body}, 'false', 'a coroutine of the author';
    is $t->get('/do/own_thread')->{body}, 'nil false', "the call's own coroutine is out of reach";
    is $t->get('/do/loop')->{status}, 500, 'the budget is one, over all waits';
    like $t->log, qr/handler loop of .* stopped after 1000000 steps/;
    my ($code, $said) = JWTTest->nginx_t(
        config => 'jwt_lua_file %%DIR%%/f.lua;', files => { 'f.lua' => 'require("jwt").fetch("/") return {}' });
    isnt $code, 0;
    like $said, qr/f\.lua:1: this function works on a request/, 'while a file loads';
};

subtest 'bodies of clients' => sub {
    my @headers = (Authorization => "Bearer $alice", 'Content-Type' => 'text/plain');
    for my $size (0, 10, 10_000, 2_000_000) {
        my $body = join '', map { chr(65 + $_ % 26) } 1 .. $size;
        is $t->post('/a', \@headers, $body)->{json}{body}, $body, "$size bytes reach the upstream after a wait";
    }
    my $chunked = $t->post('/a', \@headers, ['ab' x 40_000, 'cd' x 700_000]);
    is $chunked->{json}{body}, 'ab' x 40_000 . 'cd' x 700_000, 'in chunks';
    my $body = '{"body":"own"}';
    is echoed('/guarded/echo', \@headers, $body)->{body}, 'own', 'a handler that reads it after a wait';
    my $connection = $t->connection;
    for my $round (1, 2) {
        $connection->request('POST', '/a', \@headers, "round $round");
        is $connection->response('POST')->{json}{body}, "round $round", 'keep-alive';
    }
    $connection->close;
};

subtest 'subrequests that wait' => sub {
    my $page = $t->get_with('/page/a.txt', $alice)->{body};
    like $page, qr!^\{.*"/part/1".*\};\{.*"/part/2".*\};\{.*"/part/3".*\};$!s, 'parts of a page, in their order';
    unlike $t->get_with('/page/a.txt', $nobody)->{body}, qr/"uri"/, '... and none without a user';
    my $connection = $t->connection;
    for my $token ($alice, $nobody, $alice) {
        $connection->request('GET', '/mirrored/', [Authorization => "Bearer $token"]);
        is $connection->response('GET')->{status}, 200, 'a mirror does not hold up its request';
    }
    $connection->close;
    ok $t->wait_for(2, sub { 3 == (() = $t->read_file('copy.log') =~ / HTTP/g) }), 'all mirrors have ended';
    is join(' ', $t->read_file('copy.log') =~ /" (\d+) /g), '200 403 200', '... judged';
    like $t->get('/do/echo?uri=/asked')->{body}, qr{"uri":"/asked"}, 'auth_request of what is fetched';
    is $t->get('/mirrored/asked?uri=/asked')->{status}, 200, '... by a mirror';
    ok $t->wait_for(5, sub { $t->read_file('asked.log') =~ / HTTP/ }), '... which ends too';
    $t->allow_log(qr/nested in-memory subrequest "\/open\/"/);
};

subtest 'HTTP/2' => sub {
    my $good = $t->h2('GET', '/a', [Authorization => "Bearer $alice"]);
    is $good->{status}, 200;
    is field($good, 'X-User'), '{"name":"alice"}';
    is $t->h2('GET', '/a', [Authorization => "Bearer $nobody"])->{status}, 403;
    my $body = 'z' x 1_500_000;
    is $t->h2('POST', '/a', [Authorization => "Bearer $alice", 'Content-Type' => 'text/plain'], $body)->{json}{body},
        $body, 'a body';
};

subtest 'many wait' => sub {
    my $began = time;
    my @waiting;
    for my $i (1 .. 100) {
        my $connection = $t->connection;
        $connection->request('GET', '/waiting/a.txt', [Authorization => 'Bearer ' . token(claims(sub => "user$i"))]);
        push @waiting, [$connection, "user$i"];
        my $handled = $t->connection;
        $handled->request('GET', "/deferred/?who=h$i", []);
        push @waiting, [$handled, "h$i"];
    }
    my $slowest = 0;
    for (1 .. 50) {
        my $asked = time;
        is $t->get('/open/')->{body}, 'open' or last;
        $slowest = time - $asked if time - $asked > $slowest;
    }
    cmp_ok time - $began, '<', $answer_after, 'before the first answer';
    cmp_ok $slowest, '<', 0.5, 'an unprotected location answers at once';
    my $own = 0;
    for my $waiting (@waiting) {
        my ($connection, $who) = @$waiting;
        my $response = $connection->response('GET');
        my $seen = $who =~ /^user/ ? $response->{headers}{'x-seen'} : $response->{body};
        ++$own if $response->{status} == 200 && $seen eq "slow $who";
        $connection->close;
    }
    is $own, @waiting, 'each got its own answer';
    cmp_ok time - $began, '<', 2 * $answer_after, 'all of them at the same time';
};

subtest 'clients that leave' => sub {
    for my $round (1 .. 3) {
        my @gone = map {
            my $connection = $t->connection;
            $connection->request('GET', $_ % 2 ? '/waiting/a.txt' : '/deferred/?who=x', [Authorization => "Bearer $alice"]);
            $connection;
        } 1 .. 100;
        sleep 0.1;
        $_->close for @gone;
    }
    my $url = 'http://127.0.0.1:' . $t->port('h2') . '/waiting/a.txt';
    my @curl = map {
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            exec 'curl', qw(-s -o /dev/null --http2-prior-knowledge -m 0.2 -H), "Authorization: Bearer $alice", $url
                or POSIX::_exit(1);
        }
        $pid;
    } 1 .. 20;
    waitpid $_, 0 for @curl;
    is $t->get_with('/a', $alice)->{status}, 200, 'the next request is served';
    cmp_ok scalar(() = $t->read_file('access.log') =~ / 499 /g), '>', 200, 'and their requests have ended';
};

subtest 'a token that expires while its hooks wait' => sub {
    my $now = int time;
    my %lives = (long => claims(sub => 'long', exp => $now + 60), short => claims(sub => 'short', exp => $now + $answer_after));
    my %fresh = (long => claims(sub => 'long', fresh => $now + 60), short => claims(sub => 'short', fresh => $now + $answer_after - 1));
    my (@asked, %got);
    for my $case (['/waiting/a.txt', \%lives], ['/expiring/a.txt', \%lives], ['/fresh/a.txt', \%fresh]) {
        my ($path, $claims) = @$case;
        for my $life (qw(long short)) {
            my $connection = $t->connection;
            $connection->request('GET', $path, [Authorization => 'Bearer ' . token($claims->{$life})]);
            push @asked, [$connection, $path, $life];
        }
    }
    for my $asked (@asked) {
        my ($connection, $path, $life) = @$asked;
        my $response = $connection->response('GET');
        $got{"$path $life"} = join ' ', $response->{status}, $response->{headers}{'x-seen'} // $response->{body};
        $connection->close;
    }
    is_deeply \%got, {
        '/waiting/a.txt long' => '200 slow long', '/waiting/a.txt short' => qq(401 {"msg":"Token has expired"}\n),
        '/expiring/a.txt long' => '200 slow long', '/expiring/a.txt short' => '401 slow answer to short',
        '/fresh/a.txt long' => '200 slow long', '/fresh/a.txt short' => qq(401 {"msg":"Fresh token required"}\n),
    }, 'is refused then, by the default answer or a hook that waits again; one that lives on is let in';
};

subtest 'a cache that is updated in the background' => sub {
    my $ask = sub { my $response = $t->get('/do/echo?uri=/aged'); return join ' ', @{ $response->{headers} }{'x-fetched'}, $response->{body} };
    like my $first = $ask->(), qr/^200 at /, 'made';
    is $ask->(), $first, 'stale';
    ok $t->wait_for(5, sub { $ask->() =~ /^200 at / && $ask->() ne $first }), 'and new';
};

subtest 'a body that nginx throws away meanwhile' => sub {
    my $connection = $t->connection;
    $connection->send("GET /page/slow.txt HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $alice\r\nContent-Length: 100000\r\n\r\nx");
    for (1 .. 10) { $connection->send('x' x 9999); sleep 0.05 }
    $connection->send('x' x 9);
    is $connection->response('GET')->{body}, 'open to users', 'is not the one of the subrequest';
    $connection->close;
};

subtest 'reload while a hook waits' => sub {
    my $connection = $t->connection;
    $connection->request('GET', '/waiting/a.txt', [Authorization => "Bearer $alice"]);
    my $refused = $t->connection;
    $refused->request('GET', '/deferred/?who=reload', []);
    ok $t->get('/open/')->{status} == 200 && $t->reload, 'reload';
    is $connection->response('GET')->{headers}{'x-seen'}, 'slow alice', 'the old worker finishes';
    is $refused->response('GET')->{body}, 'slow reload';
    is $t->get_with('/a', $alice)->{status}, 200, 'and the new one works';
    $_->close for $connection, $refused;
};

done_testing;
