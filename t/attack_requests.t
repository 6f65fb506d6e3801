# Rows 20, 48 to 51 and 74 of the attack catalogue: what a client sends beside its token or in place of it, and what of it
# reaches the application and the logs. Over HTTP/1.1 and HTTP/2.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $url_format = q('$remote_addr "$request_method $uri_without_token" $status');
my $claims = 'proxy_set_header X-Identity $jwt_identity; proxy_set_header X-Claim $jwt_claim_admin; proxy_pass %%BACKEND%%;';
my $t = JWTTest->new(
    http2 => 1,
    http => <<"EOF_HTTP",
    map \$http_x_protect \$protect { default 1; off 0; }
    map \$http_x_open \$unset { on ""; }
    map \$request_uri \$uri_without_token {
        default \$request_uri;
        "~^(?<before>[^?]*\\?(.*?&)?)jwt=[^&]*&?(?<after>.*)\$" \$before\$after;
    }
    log_format without_token $url_format;
EOF_HTTP
    config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    large_client_header_buffers 4 32k;
    location /required/ { jwt_required; $claims }
    location /optional/ { jwt_required optional; $claims }
    location /issuer/ { jwt_required optional; jwt_decode_issuer https://idp; $claims }
    location /everywhere/ { jwt_required optional locations=headers,cookies,query_string,json; jwt_cookie_csrf_protect off; $claims }
    location /protect/ { jwt_required if=\$protect; $claims }
    location /unset/ { jwt_required if=\$unset; $claims }
    location /open/ { $claims }
    location /url/ {
        access_log %%DIR%%/url.log without_token;
        jwt_required locations=query_string,headers;
        proxy_pass %%BACKEND%%\$uri_without_token;
    }
    location /stripped/ { jwt_required; proxy_set_header Authorization ""; $claims }
    location /exchanged/ {
        jwt_required;
        jwt_lua_file %%DIR%%/exchange.lua;
        proxy_set_header Authorization "Bearer \$jwt_user";
        proxy_pass %%BACKEND%%;
    }
    location /logged/ { jwt_required; jwt_lua_file %%DIR%%/log.lua; $claims }
    location /nobody/ { jwt_required; jwt_lua_file %%DIR%%/nobody.lua; $claims }
EOF_CONFIG
    files => {
        'exchange.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  user_lookup = function(header, payload)
    return jwt.create_access_token("internal:" .. payload.sub, { expires_delta = 60 })
  end,
}
EOF_LUA
        'log.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  token_verification = function(header, payload)
    jwt.log("notice", "logged " .. payload.sub)
    print("printed", payload.sub)
    if payload.fail then error("raised " .. payload.sub) end
    return true
  end,
}
EOF_LUA
        'nobody.lua' => 'return { user_lookup = function() return nil end }',
    },
);

my $good = token(claims(sub => 'alice', admin => 'yes'));
my $bob = token(claims(sub => 'bob'));
my %bad = (
    forged => token(claims(sub => 'eve', admin => 'yes'), key => 'another secret of sixty-four bytes, as long as it has to be..!!'),
    expired => token(claims(exp => time - 60)),
    'of no algorithm' => raw_token('{"alg":"none"}', JSON::PP::encode_json(claims()), '', 'none'),
    'a refresh token' => token(claims(type => 'refresh')),
    garbage => 'garbage', 'three dots' => '...', 'two dots' => '..',
);

sub ask {
    my ($protocol, $path, $headers, $method, $body) = @_;
    $method ||= 'GET';
    return $protocol eq 'h1' ? $t->request($method, $path, $headers, $body) : $t->h2($method, $path, $headers, $body);
}
sub bearer { return [Authorization => "Bearer $_[0]"] }
sub sent { my ($response, $name) = @_; return [map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $response->{json}{headers} || [] }] }
sub who { my ($response) = @_; return $response->{json}{uri} ? join ',', 'in', @{ sent($response, 'X-Identity') } : $response->{status} }

for my $protocol (qw(h1 h2)) {
    subtest "ATTACKS 20: an optional token is an absent one or a good one, $protocol" => sub {
        is(who(ask($protocol, '/optional/')), 'in', 'no token');
        is(who(ask($protocol, '/optional/', bearer($good))), 'in,alice', 'a good one');
        is(who(ask($protocol, '/optional/', bearer($bad{$_}))), $_ eq 'expired' ? 401 : 422, "one that is bad: $_") for sort keys %bad;
        is(who(ask($protocol, '/optional/', [Authorization => 'Bearer '])), 422, 'a scheme without a token');
        is(who(ask($protocol, '/issuer/', bearer(token(claims(iss => 'https://idp'))))), 'in,alice', 'of a known issuer');
        is(who(ask($protocol, '/issuer/', bearer(token(claims(iss => 'https://other'))))), 422, 'of an unknown one');
        is(who(ask($protocol, '/issuer/', bearer($good))), 422, 'of none');
        for my $name ('forged', 'garbage') {
            my %place = (
                cookie => ['/everywhere/', [Cookie => "access_token_cookie=$bad{$name}"]],
                query => ["/everywhere/?jwt=$bad{$name}", []],
                body => ['/everywhere/', ['Content-Type' => 'application/json'], POST => qq({"access_token":"$bad{$name}"})],
            );
            is(who(ask($protocol, @{ $place{$_} })), 422, "$name in a $_") for sort keys %place;
        }
    };

    subtest "ATTACKS 20: what a variable turns off, $protocol" => sub {
        is(who(ask($protocol, '/protect/')), 401, 'the default of the map protects');
        is(who(ask($protocol, '/protect/', ['X-Protect' => ''])), 401, 'so it does for an empty header');
        is(who(ask($protocol, '/protect/', ['X-Protect' => $_])), 401, "and for $_") for 'OFFICE', 'off,off', 'x off';
        is(who(ask($protocol, '/protect/', ['X-Protect' => 'off'])), 'in', 'what it names is open');
        is(who(ask($protocol, '/protect/', ['X-Protect' => 'off', @{ bearer($bad{forged}) }])), 'in', 'where no token is looked at');
        is(who(ask($protocol, '/protect/', bearer($good))), 'in,alice', 'a good token');
        is(who(ask($protocol, '/unset/', bearer($bad{forged}))), 'in', 'an empty value is a no: nothing of the forged token is shown');
    };

    subtest "ATTACKS 48: a client that forges the headers of claims, $protocol" => sub {
        my @forged = ('X-Identity' => 'root', 'x-identity' => 'root', 'X-IDENTITY' => 'root', X_Identity => 'root', x_identity => 'root', 'X-Claim' => 'yes');
        my @hop = $protocol eq 'h1' ? (Connection => 'X-Identity, X-Claim', 'Keep-Alive' => 'X-Identity') : (TE => 'trailers');
        for my $headers (\@forged, [@forged, @hop]) {
            my $plain = ask($protocol, '/open/', $headers);
            is_deeply([$plain->{status}, map { @{ sent($plain, $_) } } qw(X-Identity X-Claim X_Identity)], [200], 'no token: nothing of it arrives');
            my $optional = ask($protocol, '/optional/', $headers);
            is_deeply([$optional->{status}, map { @{ sent($optional, $_) } } qw(X-Identity X-Claim X_Identity)], [200], 'nor where one is optional');
            my $alice = ask($protocol, '/required/', [@$headers, @{ bearer($good) }]);
            is_deeply([map { sent($alice, $_) } qw(X-Identity X-Claim X_Identity)], [['alice'], ['yes'], []], "beside a token: the token's, once");
            my $absent = ask($protocol, '/required/', [@$headers, @{ bearer($bob) }]);
            is_deeply([map { sent($absent, $_) } qw(X-Identity X-Claim X_Identity)], [['bob'], [], []], 'and none for a claim that is absent');
        }
    };

    subtest "ATTACKS 49: several tokens, $protocol" => sub {
        my %as = (
            header => sub { return (undef, bearer($_[0])) },
            cookie => sub { return (undef, [Cookie => "access_token_cookie=$_[0]"]) },
            query => sub { return ("jwt=$_[0]", []) },
        );
        for my $pair (['header', 'cookie'], ['header', 'query'], ['cookie', 'query']) {
            for my $case (['two good ones', $good, $bob, 'in,alice'], ['a good one, a forged one', $good, $bad{forged}, 'in,alice'],
                ['a forged one, a good one', $bad{forged}, $good, 422], ['an expired one, a good one', $bad{expired}, $good, 401]) {
                my ($name, $first, $second, $wanted) = @$case;
                my @parts = ([$as{ $pair->[0] }->($first)], [$as{ $pair->[1] }->($second)]);
                my $path = '/everywhere/?' . join '&', grep { defined } map { $_->[0] } @parts;
                my $response = ask($protocol, $path, [map { @{ $_->[1] } } @parts]);
                is(who($response), $wanted, "$pair->[0] and $pair->[1]: $name: the first place decides alone");
                is_deeply(sent($response, 'X-Claim'), $wanted eq 'in,alice' ? ['yes'] : [], 'and its claims are all that is shown');
            }
        }
        for my $case ([$good, $good], [$good, $bad{forged}], [$bad{forged}, $good]) {
            my $lines = ask($protocol, '/required/', [map { @{ bearer($_) } } @$case]);
            ok($lines->{status} =~ /\A4\d\d\z/ && !$lines->{json}{uri}, 'two Authorization lines are refused') or diag($lines->{status});
            is(who(ask($protocol, '/required/', bearer(join ', Bearer ', @$case))), 401, 'and two in a line');
            is(who(ask($protocol, '/required/', bearer(join ' ', @$case))), 422, 'and one after the other');
        }
        is(who(ask($protocol, '/everywhere/', [Cookie => "access_token_cookie=$_->[0]; access_token_cookie=$_->[1]"])), $_->[2], 'of two cookies, the first')
            for [$good, $bad{forged}, 'in,alice'], [$bad{forged}, $good, 422];
        is(who(ask($protocol, "/everywhere/?jwt=$_->[0]&jwt=$_->[1]")), $_->[2], 'of two arguments, the first')
            for [$good, $bad{forged}, 'in,alice'], [$bad{forged}, $good, 422];
    };

    subtest "ATTACKS 50: a token in the URL, $protocol" => sub {
        is(who(ask($protocol, "/required/?jwt=$good")), 401, 'is none unless it is asked for');
        my %seen = (
            "/url/a%20b/?jwt=$good" => '/url/a%20b/?', "/url/?a=1&jwt=$good&b=2" => '/url/?a=1&b=2', "/url/?jwt=$good" => '/url/?',
            "/url/?xjwt=1&jwt=$good" => '/url/?xjwt=1&', "/url/%0d%0ax?jwt=$good&%0d%0a" => '/url/%0d%0ax?%0d%0a',
        );
        for my $path (sort keys %seen) {
            my $response = ask($protocol, $path);
            is($response->{json}{uri}, $seen{$path}, "the recipe hands on $seen{$path}");
        }
        my $header = ask($protocol, '/url/?a=jwt', bearer($good));
        is($header->{json}{uri}, '/url/?a=jwt', 'and what holds none as it is');
        is(ask($protocol, "/url/?jwt=$bad{forged}")->{status}, 422, 'a forged one is refused');
        is(ask($protocol, "/url/?JWT=$good")->{status}, 401, 'another name is none');
        $t->wait_for(5, sub { (() = $t->read_file('url.log') =~ / (?:200|401|422)$/mg) >= 8 * ($protocol eq 'h1' ? 1 : 2) });
        my $log = $t->read_file('url.log');
        like($log, qr{"GET /url/[?]a=1&b=2" 200}, 'its log has the request');
        ok(index($log =~ s/JWT=.*//gr, $_) < 0, 'and no token') for $good, $bad{forged};
    };

    subtest "ATTACKS 74: what becomes of the token behind nginx, $protocol" => sub {
        is_deeply(sent(ask($protocol, '/required/', bearer($good)), 'Authorization'), ["Bearer $good"], 'as a proxy, nginx hands it on');
        my $stripped = ask($protocol, '/stripped/', bearer($good));
        is_deeply([map { sent($stripped, $_) } qw(Authorization X-Identity)], [[], ['alice']], 'unless it is told not to');
        my $exchanged = sent(ask($protocol, '/exchanged/', [@{ bearer($good) }, 'X-Jwt-User' => 'x']), 'Authorization');
        is(scalar @$exchanged, 1, 'a token of our own takes its place, alone');
        isnt($exchanged->[0], "Bearer $good", 'and is another');
        my ($internal) = $exchanged->[0] =~ /\ABearer (\S+)\z/;
        is_deeply(sent(ask($protocol, '/required/', bearer($internal)), 'X-Identity'), ['internal:alice'], 'of the same user');
        is(ask($protocol, '/exchanged/', bearer($bad{forged}))->{status}, 422, 'none is made for a forged one');
        is(ask($protocol, '/exchanged/')->{status}, 401, 'nor for none');
    };
}

subtest 'ATTACKS 51: what a token says cannot write the log' => sub {
    my $encoder = JSON::PP->new->ascii->canonical;
    my %evil = (
        'a line end' => ["a\n2026/11/22 00:00:00 [warn] 1#1: forged", 'a\x0a2026/11/22'],
        'CR LF' => ["a\r\n2026/11/22 00:00:00 [warn] forged", 'a\x0d\x0a2026/11/22'],
        'ESC' => ["a\e[2J\e]0;forged\a", 'a\x1b[2J\x1b]0;forged\x07'],
        'NUL' => ["a\0forged", 'a\x00forged'],
        'DEL' => ["a\x7fforged", 'a\x7fforged'],
        'a format' => ['a%n%s%V forged', 'a%n%s%V forged'],
    );
    for my $name (sort keys %evil) {
        my ($text, $seen) = @{ $evil{$name} };
        my $before = length $t->log;
        like(who($t->get_with('/logged/', token(claims(sub => $text)))), qr/\Ain,a/, "$name: logged by a hook");
        is($t->get_with('/logged/', token(claims(sub => $text, fail => 1)))->{status}, 500, "$name: raised by a hook");
        is($t->get_with('/nobody/', token(claims(sub => $text)))->{status}, 401, "$name: as a user who is not found");
        my $jose = sub { return raw_token($encoder->encode({ alg => 'HS256', @_ }), $encoder->encode(claims())) };
        is($t->get_with('/required/', $jose->(crit => [$text]))->{status}, 422, "$name: as an extension");
        is($t->get_with('/required/', $jose->(kid => $text))->{status}, 200, "$name: as a kid");
        is($t->get_with('/required/', $jose->(alg => $text))->{status}, 422, "$name: as an algorithm");
        my @lines = split /\n/, substr $t->log, $before;
        is_deeply([grep { !m{\A\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?:info|notice|error)\] \d+#\d+: } } @lines], [], "$name: no line of its own");
        is_deeply([grep { /[\x00-\x08\x0b-\x1f\x7f]/ } @lines], [], "$name: no control character");
        ok((grep { index($_, $seen) >= 0 } @lines), "$name: it is there, escaped");
    }
    my $bidi = "a\x{202e}b\x{2066}";
    my $before = length $t->log;
    is($t->get_with('/nobody/', token(claims(sub => $bidi)))->{status}, 401, 'an override of the direction');
    my $said = substr $t->log, $before;
    is((() = $said =~ /Error loading the user/g), 1, 'is in one line');
    my $long = 'x' x 8000;
    $before = length $t->log;
    is($t->get_with('/nobody/', token(claims(sub => $long)))->{status}, 401, 'a user of 8,000 letters');
    cmp_ok(length(substr $t->log, $before), '<', 4096, 'makes no line of 8,000 letters');
    my $log = $t->log =~ s/, request: "[^"]*"//gr =~ s/^.*duplicate header line.*$//mgr;
    ok(index($log, $_) < 0, 'and no token is in what we log') for $good, @bad{qw(forged expired)};
};

done_testing;
