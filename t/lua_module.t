# Beside lua-nginx-module in one nginx, and on either of Debian's two LuaJITs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;
use Cwd qw(getcwd);
use File::Path qw(make_path);

# The two LuaJITs cannot be installed together, so both are taken out of their packages.
my $root = "$FindBin::Bin/.work/lua";
my @packages = qw(libluajit-5.1-2 libluajit2-5.1-2 libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache);

sub extracted {
    my ($package) = @_;
    my $folder = "$root/$package";
    return $folder if -d $folder;
    make_path($root);
    my $back = getcwd();
    chdir $root or die "$root: $!";
    my $said = qx(apt-get download $package 2>&1);
    my ($file) = glob "${package}_*.deb";
    my $done = $file && system('dpkg', '-x', $file, "$package.new") == 0 && rename "$package.new", $package;
    unlink $file if $file;
    chdir $back or die "$back: $!";
    return $folder if $done;
    diag($said);
    return;
}

my %folder;
for my $package (@packages) {
    $folder{$package} = extracted($package) or plan skip_all => "$package cannot be had";
}
sub library {
    my ($package) = @_;
    my ($file) = glob "$folder{$package}/usr/lib/*/libluajit-5.1.so.2";
    my ($directory) = $file =~ m{(.*)/} or die "no LuaJIT in $package";
    return $directory;
}
my %modules = map { my ($file) = glob "$folder{$_->[0]}/usr/lib/nginx/modules/$_->[1]"; $_->[1] => $file }
    ['libnginx-mod-http-ndk', 'ndk_http_module.so'], ['libnginx-mod-http-lua', 'ngx_http_lua_module.so'];

my $hooks = <<'EOF_LUA';
local jwt = require "jwt"
local calls = 0
return {
  unauthorized = function(reason) return { msg = "ours: " .. reason }, 401 end,
  user_lookup = function(header, payload) calls = calls + 1 return { name = payload.sub, calls = calls } end,
  token_verification = function(header, payload)
    if payload.loop then while true do end end
    return payload.sub ~= "eve"
  end,
  handlers = {
    who = function() return { user = jwt.get_current_user().name, foreign = ngx == nil, token = jwt.create_access_token("bob") } end,
    greedy = function() while true do pcall(function() while true do end end) end end,
  },
}
EOF_LUA

my $ours = <<"EOF_CONFIG";
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    location = /who { jwt_required; jwt_handler who; }
    location = /greedy { jwt_handler greedy; }
    location /up/ { jwt_required; proxy_set_header X-User \$jwt_user; proxy_pass %%BACKEND%%; }
EOF_CONFIG

sub ours_works {
    my ($t, $name) = @_;
    my $token = token(claims());
    my $who = $t->get_with('/who', $token);
    is($who->{status}, 200, "$name: a good token") or diag($who->{body});
    is_deeply([@{ $who->{json} }{qw(user foreign)}], ['alice', JSON::PP::true], 'hooks and handlers run, apart from others');
    is($t->get_with('/who', $who->{json}{token})->{json}{user}, 'bob', 'a token of ours');
    is($t->get('/who')->{json}{msg}, 'ours: Missing Authorization Header', 'no token');
    is($t->get_with('/who', token(claims(), key => 'x' x 64))->{status}, 422, 'a forged token');
    is($t->get_with('/who', token(claims(sub => 'eve')))->{status}, 400, 'a token that a hook refuses');
    like($t->get_with('/up/', $token)->{body}, qr/alice/, 'a guarded upstream');
    is($t->get_with('/who', token(claims(loop => 1)))->{status}, 500, 'a hook that loops is stopped');
    is($t->get('/greedy')->{status}, 500, 'and a handler, within pcall');
    is($t->get_with('/who', $token)->{status}, 200, 'and the next request is served');
    return;
}

sub library_in_use {
    my ($t) = @_;
    my ($worker) = $t->workers;
    open my $maps, '<', "/proc/$worker/maps" or return 'unknown';
    my %seen = map { m{(/\S*libluajit\S*)} ? ($1 => 1) : () } <$maps>;
    return join ' ', sort keys %seen;
}

# ---- our module alone

for my $package (qw(libluajit-5.1-2 libluajit2-5.1-2)) {
    my $directory = library($package);
    my $t = JWTTest->new(env => { LD_LIBRARY_PATH => $directory }, files => { 'hooks.lua' => $hooks }, config => $ours);
    like(library_in_use($t), qr/\A\Q$directory\E\S+\z/, "$package is the one LuaJIT in use");
    ours_works($t, $package);
    $t->finish;
}

# ---- beside lua-nginx-module, which Debian has for its own nginx alone

done_testing, exit if $ENV{JWT_NGINX};

my $theirs = <<'EOF_CONFIG';
    lua_package_path "%%RESTY%%";
    lua_shared_dict counts 1m;
    init_worker_by_lua_block { started = true }
EOF_CONFIG
my $resty = join ';', map { "$folder{$_}/usr/share/lua/5.1/?.lua" } qw(lua-resty-core lua-resty-lrucache);
$theirs =~ s/%%RESTY%%/$resty;;/;

my $both = <<'EOF_CONFIG';
    location = /content { content_by_lua_block { ngx.say("theirs ", tostring(started), " ", tostring(jit.status()), " ", type(ngx.shared.counts)) } }
    location = /guarded-content {
        jwt_required;
        content_by_lua_block { ngx.say("theirs for ", ngx.var.jwt_identity, " ", ngx.var.jwt_claim_type, " ", ngx.var.jwt_status) }
    }
    location = /access {
        jwt_required;
        access_by_lua_block { if ngx.var.arg_stop then return ngx.exit(403) end ngx.header["X-Access"] = "seen" }
        content_by_lua_block { ngx.print("inside") }
    }
    location = /access-only {
        access_by_lua_block { if ngx.var.arg_stop then return ngx.exit(403) end }
        content_by_lua_block { ngx.print("open") }
    }
    location = /sleep {
        jwt_required;
        access_by_lua_block { ngx.sleep(0.05) }
        content_by_lua_block { ngx.sleep(0.05) ngx.print("rested for ", ngx.var.jwt_identity) }
    }
    location = /capture { content_by_lua_block {
        local answer = ngx.location.capture("/guarded-content")
        ngx.print(answer.status, " ", answer.body)
    } }
    location = /transfer { jwt_token_location cookies; jwt_required; content_by_lua_block { ngx.print("done for ", ngx.var.jwt_identity) } }
    location = /capture-post { content_by_lua_block {
        local answer = ngx.location.capture("/transfer", { method = ngx.HTTP_POST })
        ngx.print(answer.status, " ", answer.body)
    } }
    location = /asked { jwt_required; jwt_lua_file %%DIR%%/asking.lua; content_by_lua_block { ngx.print("theirs for ", ngx.var.jwt_user) } }
    location = /answering { content_by_lua_block { ngx.sleep(0.01) ngx.print("them") } }
    location = /capture-asked { content_by_lua_block { ngx.print(ngx.location.capture("/asked").body) } }
    location = /ask { jwt_lua_file %%DIR%%/asking.lua; jwt_handler ask; }
    location = /body {
        jwt_token_location json; jwt_required;
        content_by_lua_block { ngx.req.read_body() ngx.print(ngx.req.get_body_data()) }
    }
    location = /either {
        satisfy any; jwt_required;
        access_by_lua_block { if ngx.var.arg_pass ~= "lua" then return ngx.exit(403) end }
        content_by_lua_block { ngx.print("inside") }
    }
    location = /hot { content_by_lua_block { local s = 0 for i = 1, 1e6 do s = s + i end ngx.print(s) } }
EOF_CONFIG

my $asking = <<'EOF_LUA';
local jwt = require "jwt"
return {
  user_lookup = function(header, payload) return jwt.fetch("/answering").body end,
  unauthorized = function(reason) return jwt.fetch("/answering").body .. " say no", 401 end,
  handlers = { ask = function(request) return jwt.fetch("/capture-asked").body end },
}
EOF_LUA

my $directory = library('libluajit2-5.1-2');
my $t = JWTTest->new(
    env => { LD_LIBRARY_PATH => $directory }, files => { 'hooks.lua' => $hooks, 'asking.lua' => $asking },
    main => join('', map { "load_module $modules{$_};\n" } qw(ndk_http_module.so ngx_http_lua_module.so)),
    http => $theirs, config => $ours . $both,
);
like(library_in_use($t), qr/\A\Q$directory\E\S+\z/, 'beside lua-nginx-module: one LuaJIT for both');

my $token = token(claims());
for my $round ('at first', 'after a reload', 'after another') {
    ours_works($t, $round);
    like($t->get('/content')->{body}, qr/^theirs true true table/, 'their content, with the compiler on');
    is($t->get('/hot')->{body}, '500000500000', 'which ours does not slow down');
    is($t->get_with('/guarded-content', $token)->{body}, "theirs for alice access ok\n", 'their content, guarded by ours');
    my $refused = $t->get('/guarded-content');
    is($refused->{status}, 401, 'without a token');
    unlike($refused->{body}, qr/theirs/, 'it is not reached');
    my $passed = $t->get_with('/access', $token);
    is("$passed->{body} $passed->{headers}{'x-access'}", 'inside seen', 'both access handlers agree');
    is($t->get_with('/access?stop=1', $token)->{status}, 403, 'theirs refuses');
    is($t->get('/access')->{status}, 401, 'ours refuses');
    is($t->get('/access-only')->{body}, 'open', 'theirs alone');
    is($t->get_with('/sleep', $token)->{body}, 'rested for alice', 'handlers of theirs that wait');
    like($t->get('/capture')->{body}, qr/^401 .*ours: Missing/, 'row 64: their subrequest is judged, without a token');
    like($t->get_with('/capture', $token)->{body}, qr/^200 theirs for alice/, 'and with one');
    my @cookie = (Cookie => 'access_token_cookie=' . token(claims(csrf => 'the double')));
    like($t->get('/capture-post', [@cookie])->{body}, qr/^401 /, 'a POST of theirs needs its CSRF token, though its client sent a GET');
    is($t->get('/capture-post', [@cookie, 'X-CSRF-TOKEN' => 'the double'])->{body}, '200 done for alice', 'with which it passes');
    for my $case ([[Authorization => "Bearer $token"], 'theirs for them'], [[], 'them say no']) {
        my $connection = $t->connection;
        $connection->request('GET', '/capture-asked', $case->[0]);
        is($connection->response('GET')->{body}, $case->[1], 'their subrequest waits for a hook of ours');
        $connection->request('GET', '/ask', [Connection => 'close']);
        is($connection->response('GET')->{body}, 'them say no', 'and the next request on its connection, within a subrequest of ours');
        ok($connection->closed(5), 'which ends');
    }
    is($t->post('/body', ['Content-Type' => 'application/json'], qq({"access_token":"$token"}))->{body}, qq({"access_token":"$token"}), 'a body that both read');
    is($t->get_with('/either', $token)->{body}, 'inside', 'satisfy any: by ours');
    my $either = $t->get('/either?pass=lua');
    is_deeply([$either->{body}, $either->all('WWW-Authenticate')], ['inside'], 'satisfy any: by theirs, which comes last');
    my $neither = $t->get('/either');
    is_deeply([$neither->{status}, $neither->all('WWW-Authenticate')], [401, 'Bearer realm="restricted"'], 'satisfy any: by neither');
    next if $round eq 'after another';
    ok($t->reload, 'reload');
}

done_testing;
