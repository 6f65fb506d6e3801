# jwt_profile rfc9068 and jwt_max_age: access tokens by the standard, and tokens that are not too old.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $rsa = keypair('RS256');
my $t = JWTTest->new(
    http => 'jwt_issuer idp { issuer https://idp.example; public_key %%DIR%%/rsa.pub; algorithms RS256; audience api; }',
    config => <<'EOF_CONFIG',
    root %%DIR%%/html;
    jwt_decode_algorithms RS256;
    jwt_public_key %%DIR%%/rsa.pub;
    jwt_decode_issuer https://idp.example;
    jwt_decode_audience api;
    location /profile/ {
        jwt_required;
        jwt_profile rfc9068;
        location /profile/off/ { jwt_profile off; }
        location /profile/scope/ { jwt_require_claim scope contains read; }
        location /profile/lax/ { jwt_verify_sub off; }
        location /profile/hook/ { jwt_lua_file %%DIR%%/hook.lua; }
    }
    location /trust/ { jwt_required; jwt_trust idp; jwt_profile rfc9068; jwt_max_age 5m; jwt_decode_issuer off; jwt_decode_audience off; }
    location /age/ { jwt_required; jwt_max_age 5m; }
    location /lenient/ { jwt_required; jwt_max_age 5m; jwt_decode_leeway 60s; location /lenient/off/ { jwt_max_age off; } }
    location /age-hook/ { jwt_required; jwt_max_age 5m; jwt_lua_file %%DIR%%/age.lua; }
EOF_CONFIG
    files => {
        'rsa.pub' => $rsa->{public},
        'hook.lua' => "return { invalid_token = function(reason) return { because = reason }, 418 end }\n",
        'age.lua' => "return { expired_token = function(header, payload) return { again = payload.sub }, 401 end }\n",
        map { ("html/$_/index.html" => 'inside') } qw(profile profile/off profile/scope profile/lax profile/hook trust age lenient lenient/off age-hook),
    },
);

my $now = time;
my %all = (iss => 'https://idp.example', exp => $now + 900, aud => ['api', 'https://other'], sub => 'alice', client_id => 'app', iat => $now, jti => 'j');
sub signed {
    my ($claims, $header) = @_;
    return token($claims, key => $rsa->{private}, alg => 'RS256', header => $header || { typ => 'at+jwt' });
}
sub without { my ($claim) = @_; my %some = %all; delete $some{$claim}; return \%some }

sub refused {
    my ($token, $message, $name, $path) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $answer = $t->get_with($path || '/profile/', $token);
    my $challenge = qq(Bearer realm="restricted", error="invalid_token", error_description=") . ($message =~ tr/"/'/r) . '"';
    return is_deeply([$answer->{status}, $answer->{json}, $answer->{headers}{'www-authenticate'}], [401, { msg => $message }, $challenge], $name)
        || diag($answer->{body});
}

# ---- RFC 9068 §4

is($t->get_with('/profile/', signed(\%all))->{body}, 'inside', 'all that the profile asks for');
is($t->get_with('/profile/', signed(\%all, { typ => $_ }))->{body}, 'inside', "typ $_") for 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt';
refused(signed(\%all, { typ => $_ }), 'Invalid type (typ)', "typ '$_'")
    for 'JWT', 'dpop+jwt', 'logout+jwt', 'secevent+jwt', 'at', 'at+jwt ', 'x/at+jwt', 'at+jwt+x', '';
refused(raw_token('{"alg":"RS256"}', JSON::PP::encode_json(\%all), $rsa->{private}, 'RS256'), 'Invalid type (typ)', 'no typ');
refused(raw_token('{"alg":"RS256","typ":["at+jwt"]}', JSON::PP::encode_json(\%all), $rsa->{private}, 'RS256'), 'Invalid type (typ)', 'a list as typ');
refused(signed(without($_)), "Missing claim: $_", "no $_") for sort keys %all;
refused(signed({ %all, iss => 'https://idp.example/' }), 'Invalid issuer', 'another issuer');
refused(signed({ %all, aud => 'other' }), "Audience doesn't match", 'another audience');
refused(signed({ %all, aud => [] }), 'Token is missing the "aud" claim', 'no audience in the list');
refused(signed({ %all, client_id => [] }), 'Client ID (client_id) must be a string', 'a client of another type');
refused(signed({ %all, sub => 1 }), 'Subject must be a string', 'a subject of another type, where it is not looked at else', '/profile/lax/');
refused(signed({ %all, exp => $now - 60 }), 'Token has expired', 'an expired token');
refused(token(\%all, key => keypair('RS256')->{private}, alg => 'RS256', header => { typ => 'at+jwt' }), 'Signature verification failed', 'another key');
refused('x.y', 'Not enough segments', 'no token');
my $bare = $t->get('/profile/');
is_deeply([$bare->{status}, $bare->{headers}{'www-authenticate'}], [401, 'Bearer realm="restricted"'], 'no token at all');
is($t->get_with('/profile/hook/', signed(\%all, { typ => 'JWT' }))->{status}, 418, 'a hook chooses its own status');

is($t->get_with('/profile/off/', signed({ %all, client_id => undef }, { typ => 'JWT' }))->{body}, 'inside', 'jwt_profile off');
is($t->get_with('/profile/off/', 'x.y')->{status}, 422, 'and the status that is usual without it');
is($t->get_with('/profile/scope/', signed({ %all, scope => 'read' }))->{body}, 'inside', 'a condition beside the profile');
my $scope = $t->get_with('/profile/scope/', signed({ %all, scope => 'write' }));
is_deeply([$scope->{status}, $scope->{headers}{'www-authenticate'}],
    [403, 'Bearer realm="restricted", error="insufficient_scope", error_description="Insufficient scope", scope="read"'], 'that is not met');

# ---- jwt_max_age

sub aged { my ($age) = @_; return signed({ %all, iat => time - $age }, { typ => 'JWT' }) }
is($t->get_with('/age/', aged(0))->{body}, 'inside', 'a new token');
is($t->get_with('/age/', aged(270))->{body}, 'inside', 'one of less than five minutes');
refused(aged(330), 'Token is too old', 'an older one', '/age/');
is($t->get_with('/lenient/', aged(330))->{body}, 'inside', 'the leeway is added');
refused(aged(390), 'Token is too old', 'and no more', '/lenient/');
is($t->get_with('/lenient/off/', aged(10**6))->{body}, 'inside', 'jwt_max_age off');
my $undated = $t->get_with('/age/', signed(without('iat'), { typ => 'JWT' }));
is_deeply([@$undated{qw(status json)}], [422, { msg => 'Missing claim: iat' }], 'a token without a date');
is($t->get_with('/age/', signed({ %all, iat => time + 600 }, { typ => 'JWT' }))->{status}, 422, 'and one of the future');
is_deeply($t->get_with('/age-hook/', aged(330))->{json}, { again => 'alice' }, 'the hook expired_token answers');

# ---- both hold for issuers with keys of their own

is($t->get_with('/trust/', signed(\%all))->{body}, 'inside', 'jwt_trust: all that the profile asks for');
refused(signed(\%all, { typ => 'JWT' }), 'Invalid type (typ)', 'jwt_trust: another type', '/trust/');
refused(signed(without('client_id')), 'Missing claim: client_id', 'jwt_trust: no client_id', '/trust/');
refused(signed({ %all, iss => 'https://other' }), 'Invalid issuer', 'jwt_trust: nobody', '/trust/');
refused(signed({ %all, iat => $now - 330 }), 'Token is too old', 'jwt_trust: too old', '/trust/');

done_testing;
