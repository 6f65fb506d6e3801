use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_base64);
use JSON::PP;
use JWTTest;

my $hooks = <<'EOF_LUA';
return {
  token_verification = function(header, payload)
    if payload.fail then error("on purpose") end
    return payload.sub ~= "mallory"
  end,
  handlers = { hello = function() return { hello = true } end },
}
EOF_LUA

my $config = <<"EOF_CONFIG";
    jwt_secret_key "$JWTTest::Token::secret";
    location / { return 404; }
    location = /status            { jwt_status; }
    location = /status/prometheus { jwt_status prometheus; }
    location = /status/json       { jwt_status json; }
    location = /status/html       { jwt_status html; }
    location /api/                { jwt_required; jwt_lua_file %%DIR%%/hooks.lua; try_files /ok =404; }
    location ~ ^/(a|"b\\\\d)/     { jwt_required optional; try_files /ok =404; }
    location = /exact             { jwt_required; try_files /ok =404; }
    location = /hello             { jwt_handler hello; jwt_lua_file %%DIR%%/hooks.lua; }
EOF_CONFIG

my $t = JWTTest->new(
    config  => $config,
    workers => 2,
    main    => 'worker_shutdown_timeout 5s;',
    files   => { 'hooks.lua' => $hooks, 'html/ok' => 'ok' },
    http    => 'root %%DIR%%/html;',
);

# ---- the formats, read as strictly as they are defined

# https://prometheus.io/docs/instrumenting/exposition_formats/: {family => {type, help, samples => {'name{labels}' => n}}}
sub read_prometheus {
    my ($text) = @_;
    my (%families, $family, %seen);
    die "no line end at the end\n" unless $text =~ /\n\z/;
    for my $line (split /\n/, $text, -1) {
        next if $line eq '';
        if ($line =~ /\A# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\\\|\\n)*)\z/) {
            die "two HELP of $1\n" if $families{$1}++;
            $family = { name => $1, help => $2 };
            $families{$1} = $family;
        } elsif ($line =~ /\A# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)\z/) {
            die "TYPE of $1 is not behind its HELP\n" if $1 ne $family->{name} || $family->{type};
            $family->{type} = $2;
        } elsif ($line =~ /\A([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\z/) {
            my ($name, $labels, $value) = ($1, $2, $3);
            die "$name is not in the group of its family\n" if $name ne $family->{name};
            die "no TYPE before $name\n" unless $family->{type};
            die "a counter is called $name\n" if ($family->{type} eq 'counter') != ($name =~ /_total\z/ ? 1 : 0);
            die "no number: $line\n" unless $value =~ /\A[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?\z/;
            my %labels;
            $labels = '' unless defined $labels;
            while ($labels =~ /\G([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|\z)/gc) {
                my ($label, $text) = ($1, $2);
                die "label $label twice: $line\n" if exists $labels{$label};
                $labels{$label} = $text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
            }
            die "labels: $line\n" if (pos $labels // 0) != length $labels;
            my $series = join ' ', $name, map { "$_=$labels{$_}" } sort keys %labels;
            die "twice: $series\n" if $seen{$series}++;
            $family->{samples}{$series} = $value;
        } else {
            die "no such line: $line\n";
        }
    }
    return \%families;
}

sub samples {
    my $families = read_prometheus($t->get('/status/prometheus')->{body});
    return { map { %{ $_->{samples} } } values %$families };
}

sub outcome {
    my ($location, $outcome) = @_;
    return samples()->{"nginx_jwt_requests_total location=$location outcome=$outcome server=localhost"};
}

my $good = token(claims());
is $t->get_with('/api/', $good)->{status}, 200, 'a good token' for 1 .. 3;
is $t->get('/api/')->{status}, 401, 'no token';
is $t->get_with('/api/', token(claims(exp => time - 5)))->{status}, 401, 'an expired one';
is $t->get_with('/api/', 'x')->{status}, 422, 'none at all';
is $t->get_with('/api/', token(claims(sub => 'mallory')))->{status}, 400, 'one that the hook refuses';
is $t->get_with('/api/', token(claims(fail => 1)))->{status}, 500, 'one over which the hook fails';
is $t->get_with('/exact', $good)->{status}, 200, 'another location';
is $t->get('/a/')->{status}, 200, 'optional, without a token';
is $t->get('/hello')->{status}, 200, 'a handler';
isnt $t->request('OPTIONS', '/api/')->{status}, 401, 'an exempt method';

my $res = $t->get('/status/prometheus');
is $res->{status}, 200, 'the figures';
is $res->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'as Prometheus wants them';
is $res->{headers}{'cache-control'}, 'no-store', 'not to be stored';
my $families = eval { read_prometheus($res->{body}) };
is $@, '', 'the text is what the format says';
is $families->{nginx_jwt_requests_total}{type}, 'counter', 'requests are counted';

is outcome('/api/', 'ok'), 3, 'accepted';
is outcome('/api/', 'missing'), 1, 'missing';
is outcome('/api/', 'expired'), 1, 'expired';
is outcome('/api/', 'invalid'), 1, 'invalid';
is outcome('/api/', 'verification_failed'), 1, 'refused by the hook';
is outcome('/api/', 'error'), 1, 'failed';
is outcome('/api/', 'revoked'), 0, 'what did not happen is a zero';
is outcome('= /exact', 'ok'), 1, 'an exact location by its own name';
is outcome('~ ^/(a|"b\\d)/', 'missing'), 1, 'a name with quotes and backslashes';
my $now = samples();
is $now->{'nginx_jwt_lua_calls_total hook=token_verification'}, 5, 'calls of a hook';
is $now->{'nginx_jwt_lua_errors_total hook=token_verification'}, 1, 'and those that failed';
cmp_ok $now->{'nginx_jwt_lua_seconds_total hook=token_verification'}, '>', 0, 'and their time';
is $now->{'nginx_jwt_lua_calls_total hook=(handlers)'}, 1, 'handlers are counted';
ok !grep(/hook=user_lookup/, keys %$now), 'a hook that nobody has is not listed';

# ---- JSON and HTML

$res = $t->get('/status/json');
is $res->{headers}{'content-type'}, 'application/json', 'JSON';
my ($row) = grep { $_->{location} eq '/api/' && $_->{outcome} eq 'ok' } @{ $res->{json}{requests_total} };
is_deeply $row, { server => 'localhost', location => '/api/', outcome => 'ok', value => 3 }, 'the same in JSON';
is $res->{json}{cache_hits_total} >= 0, 1, 'a figure without labels is a number';

$res = $t->get('/status/html');
is $res->{headers}{'content-type'}, 'text/html; charset=utf-8', 'a page';
my ($style) = $res->{body} =~ m{<style>(.*)</style>}s;
like $res->{headers}{'content-security-policy'}, qr/^default-src 'none'; style-src 'sha256-\Q@{[sha256_base64($style)]}\E='; /,
    'its policy knows its style, and nothing else';
unlike $res->{body}, qr/<script|https?:|src=|href=/, 'nothing from elsewhere';
like $res->{body}, qr{<th>/api/</th><td>3</td><td>1</td>}, 'outcomes are columns';

my $table = $res->{body};
$table =~ s/<!DOCTYPE html>|<meta charset="utf-8">//g;
1 while $table =~ s{<(\w+)(?: [^<>]*)?>[^<>]*</\1>}{}g;
like $table, qr/\A\s*\z/, 'every element is closed';

# ---- which format

for my $case (
    [undef, 'text/plain', 'nothing asked'],
    ['*/*', 'text/plain', 'anything'],
    ['application/json', 'application/json', 'JSON'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html', 'a browser'],
    ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1', 'text/plain', 'Prometheus'],
    ['text/*;q=0.5, application/json;q=0.4', 'text/plain', 'a kind of types'],
    ['text/plain;q=0, */*', 'application/json', 'all but one'],
    ['image/png', 'text/plain', 'what nobody has'],
) {
    my ($accept, $type, $what) = @$case;
    $res = $t->get('/status', defined $accept ? [Accept => $accept] : []);
    like $res->{headers}{'content-type'}, qr{^\Q$type\E\b}, "Accept: $what";
    is $res->{headers}{vary}, 'Accept', 'and caches are told';
}
is $t->get('/status/json', [Accept => 'text/html'])->{headers}{'content-type'}, 'application/json', 'an argument decides';

$res = $t->request('POST', '/status', [], 'x=1');
is $res->{status}, 405, 'POST is not allowed';
is $res->{headers}{allow}, 'GET, HEAD', 'and told what is';
$res = $t->request('HEAD', '/status');
is $res->{status}, 200, 'HEAD is';

# ---- the dashboard asks for figures that there are

my $dashboard = do {
    open my $file, '<', "$FindBin::Bin/../lua/examples/grafana.json" or die $!;
    local $/;
    decode_json(<$file>);
};
my @asked = map { $_->{expr} =~ /\bnginx_jwt_(\w+)/g } map { @{ $_->{targets} } } @{ $dashboard->{panels} };
cmp_ok scalar @asked, '>', 10, 'the dashboard asks';
my $readme = do {
    open my $file, '<', "$FindBin::Bin/../README.md" or die $!;
    local $/;
    <$file> =~ s/`…_/`revocation_sync_/gr;
};
for my $name (sort { $a cmp $b } keys %{ { map { $_ => 1 } @asked } }) {
    like $readme, qr/^\| .*`$name`/m, "$name is in the README";
}
for my $name (sort keys %$families) {
    like $readme, qr/^\| .*`@{[ $name =~ s{nginx_jwt_}{}r ]}`/m, "$name is in the README";
}

# ---- how long figures last

my $before = samples();
my @after_kill;
ok $t->kill_worker, 'a worker is killed';
is outcome('/api/', 'ok'), 3, 'figures outlive it';
ok $t->reload, 'reload';
is outcome('/api/', 'ok'), 3, 'and a reload';
ok $t->reload(config => $config =~ s{location = /exact .*\n}{location = /new { jwt_required; try_files /ok =404; }\n}r),
    'with other locations';
is $t->get_with('/new', $good)->{status}, 200, 'a new location';
is outcome('= /new', 'ok'), 1, 'counts for itself';
is outcome('= /exact', 'ok'), 1, 'what a location counted stays';
is outcome('/api/', 'ok'), 3, 'and so does what others did';

# Two workers at once: nothing is lost.
my $sent = 0;
my @connections = map { $t->connection } 1 .. 8;
for (1 .. 25) {
    for my $connection (@connections) {
        $connection->request('GET', '/api/', [Authorization => "Bearer $good"]);
        $sent++;
    }
    $_->response for @connections;
}
is outcome('/api/', 'ok'), 3 + $sent, 'each of many requests at once is counted';

# ---- what the configuration may say

my ($code, $said) = JWTTest->nginx_t(config => 'location /s { jwt_status xml; }');
isnt $code, 0, 'another format is a mistake';
like $said, qr/unknown format "xml" of jwt_status: write prometheus, json or html/, 'and says what to write';
($code, $said) = JWTTest->nginx_t(config => 'location /s { jwt_status; jwt_status; }');
like $said, qr/"jwt_status" directive is duplicate/, 'twice';
($code, $said) = JWTTest->nginx_t(
    config => 'jwt_lua_file %%DIR%%/hooks.lua; location /s { jwt_status; jwt_handler hello; }',
    files  => { 'hooks.lua' => $hooks });
isnt $code, 0, 'two contents are a mistake';
like $said, qr/a location has one content, and jwt_status makes this one's: write jwt_handler into another location/,
    'and it says why';
($code, $said) = JWTTest->nginx_t(config => 'location /s { jwt_status json; }');
is $code, 0, 'one is not' or diag $said;

$t->allow_log(qr/on purpose/);
done_testing;
