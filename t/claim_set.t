# jwt_claim_set: a claim at a path as a variable of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $pass = join ' ', (map { qq(proxy_set_header X-$_ "<\$$_>";) } qw(roles first words steps namespaced level odd)), 'proxy_pass %%BACKEND%%;';

my $t = JWTTest->new(
    http => <<'EOF_HTTP',
    jwt_claim_set $roles realm_access.roles;
    jwt_claim_set $first realm_access.roles.0;
    jwt_claim_set $words scope;
    jwt_claim_set $steps info address city;
    jwt_claim_set $namespaced https://example\.com/meta.team;
    jwt_claim_set $level level;
    jwt_claim_set $odd odd;
    log_format claims '$uri <$first> <$level>';
EOF_HTTP
    config => <<"EOF_CONFIG",
    access_log %%DIR%%/claims.log claims;
    jwt_secret_key "$JWTTest::Token::secret";
    location /plain/ { jwt_required; $pass }
    location /open/ { $pass }
    location /fresh/ { jwt_required fresh; $pass }
    location /try/ { jwt_required; try_files /missing /fresh/tried; }
    location /named/ { jwt_required; try_files /missing \@named; }
    location \@named { $pass }
    location /failing/ { jwt_required; jwt_require_claim level > 5; error_page 403 /open/failed; }
EOF_CONFIG
);

# What the application was told: name => text.
sub told {
    my ($path, $token) = @_;
    my $response = $token ? $t->get_with($path, $token) : $t->get($path);
    my %told;
    for my $header (@{ $response->{json}{headers} || [] }) {
        my ($name) = $header->[0] =~ /\AX-(.*)/ or next;
        ($told{$name}) = $header->[1] =~ /\A<(.*)>\z/s;
    }
    return \%told;
}

my $nothing = { map { $_ => '' } qw(roles first words steps namespaced level odd) };
my %claims = (
    realm_access => { roles => ['admin', 'user'] }, scope => 'read write', info => { address => { city => "K\x{f6}ln" } },
    'https://example.com/meta' => { team => 'core' }, level => 7,
);
is_deeply(told('/plain/', token(claims(%claims))),
    { roles => '["admin","user"]', first => 'admin', words => 'read write', steps => "K\xc3\xb6ln", namespaced => 'core', level => '7', odd => '' },
    'nested claims: strings as they are, other JSON as JSON text');
is_deeply(told('/plain/', token(claims())), $nothing, 'absent claims are empty');
is_deeply(told('/plain/', token(claims(%claims, realm_access => { roles => undef }, info => 'text', level => undef, scope => [])) ),
    { %$nothing, namespaced => 'core', words => '[]' }, 'and so is null, and what is of another shape');
for my $case ([{ a => 1 } => '{"a":1}'], [JSON::PP::true() => 'true'], [0.5 => '0.5'], ["a\r\nX-Evil: 1" => 'a%0D%0AX-Evil: 1'], ["100%" => '100%'],
    ["\x7f" => '%7F'], ['' => ''], [["a\nb"] => '["a\nb"]']) {
    is(told('/plain/', token(claims(odd => $case->[0])))->{odd}, $case->[1], "a claim that shows as $case->[1]");
}
is(told('/plain/', token(claims(ODD => 'x')))->{odd}, '', 'names are exact');

is_deeply(told('/open/', token(claims(%claims))), $nothing, 'nothing of a token that nobody asks for');
is_deeply(told('/open/'), $nothing, 'nothing without one');
is($t->get_with('/fresh/', token(claims(%claims)))->{status}, 401, 'a token that is refused');
is($t->get_with('/try/', token(claims(%claims)))->{status}, 401, 'a token that another location refuses');
is(told('/try/', token(claims(%claims, fresh => JSON::PP::true())))->{first}, 'admin', 'and one that it takes');
is(told('/named/', token(claims(%claims)))->{first}, 'admin', 'a named location shows what was found before');
is(told('/failing/', token(claims(%claims)))->{first}, undef, 'the control: met, and no such file');
is_deeply(told('/failing/', token(claims(%claims, level => 1))), $nothing, 'nothing where a condition failed');
$t->wait_for(2, sub { $t->read_file('claims.log') =~ m{^/open/failed }m });
like($t->read_file('claims.log'), qr{^/plain/ <admin> <7>$}m, 'in the access log');
like($t->read_file('claims.log'), qr{^/open/failed <-> <->$}m, 'but not of a refused token');
unlike($t->read_file('claims.log'), qr{^/fresh/ <admin>}m, 'nor of another');

done_testing;
