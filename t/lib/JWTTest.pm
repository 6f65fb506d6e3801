package JWTTest;

# An nginx of its own for each test: started on free ports in a folder of its own, stopped by its own pid, and
# judged by its logs, whether or not the test asks for that.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h dup2);
use Test::More ();
use Time::HiRes qw(sleep time);

use JWTTest::Backend;
use JWTTest::Connection;
use JWTTest::Token;

our @EXPORT = (@Test::More::EXPORT, qw(token raw_token claims keypair base64url));
our $TODO;

my $root = abs_path(dirname(__FILE__) . '/../..');
my @running;
my %reserved;

# What no test may leave in a log: nginx's own alarms, and the sanitizers' reports.
my $alarm = qr{\[(?:alert|crit|emerg)\]|ERROR: \w+Sanitizer|runtime error:|exited (?:on signal|with (?:fatal )?code [1-9])};

sub done_testing {
    $_->finish for @running;
    goto &Test::More::done_testing;
}

{
    no warnings 'once';
    no strict 'refs';
    for my $name (grep { /^\w/ && $_ ne 'done_testing' } @Test::More::EXPORT) {
        *{$name} = \&{"Test::More::$name"};
    }
}

# Arguments: config (inside the server), http, main (snippets of their levels), files {name => content}, workers,
# http2 (true: also listens there, for h2), log_level, backend (code), env {name => value}.
# In snippets: %%PORT%%, %%PORT2%% or any word, %%DIR%%, %%MODULE%%, %%BACKEND%% (for proxy_pass: http://unix:...:).
sub new {
    my ($class, %arguments) = @_;
    my $self = $class->_prepare(%arguments);
    $self->start;
    push @running, $self;
    return $self;
}

# nginx -t over a configuration as for new(): (exit code, what it said).
sub nginx_t {
    my ($class, %arguments) = @_;
    my $self = $class->_prepare(%arguments);
    my $pid = $self->_spawn('-t');
    waitpid $pid, 0;
    my $code = $? >> 8 || $?;
    my $output = _read("$self->{dir}/stderr.log");
    Test::More::fail("nginx -t: $1") if $output =~ /^(.*(?:Sanitizer|runtime error:).*)$/m;
    $self->stop;  # the backend, where the configuration names it
    $self->_clean;
    return ($code, $output);
}

sub _prepare {
    my ($class, %arguments) = @_;
    my $dir = tempdir('jwt-XXXXXXXX', TMPDIR => 1);
    chmod 0755, $dir or die "$dir: $!";
    my $self = bless {
        arguments => {%arguments}, dir => $dir, ports => {}, connections => [], allowed => [], owner => $$,
    }, $class;
    eval { $self->_write_files(%arguments); 1 } or do {
        my $error = $@;
        $self->_clean;
        die $error;
    };
    return $self;
}

sub _write_files {
    my ($self, %arguments) = @_;
    $self->write($_ => $arguments{files}{$_}) for sort keys %{ $arguments{files} || {} };
    $self->_write_config;
    return;
}

sub _write_config {
    my ($self) = @_;
    my %snippet = (config => '', http => '', main => '', workers => 1, log_level => 'info',
        %{ $self->{arguments} });
    my $load = $ENV{JWT_STATIC} ? '' : 'load_module %%MODULE%%;';
    my $user = $> == 0 ? 'user root;' : '';
    # The whole suite may be run with another size, as in JWT_CACHE=off, but for what has its own.
    my $has_own = grep { /jwt_cache/ } $snippet{http}, values %{ $snippet{files} || {} };
    my $cache = $ENV{JWT_CACHE} && !$has_own ? "jwt_cache $ENV{JWT_CACHE};" : '';
    my $temporary = join ' ', map { "${_}_temp_path %%DIR%%/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    my $http2 = $snippet{http2} ? 'listen 127.0.0.1:%%PORTh2%% http2;' : '';
    my $server = $snippet{config} eq '' ? '' : <<"EOF_SERVER";
    server {
        listen 127.0.0.1:%%PORT%%;
        $http2
        server_name localhost;
$snippet{config}
    }
EOF_SERVER
    # Which worker a connection is of, for worker_connections.
    $server .= <<'EOF_SERVER' if $snippet{workers} > 1 && $server ne '';
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name worker;
        access_log off;
        return 200 $pid;
    }
EOF_SERVER
    $self->write('nginx.conf', $self->expand(<<"EOF_CONF"));
$load
$user
daemon off;
pid %%DIR%%/nginx.pid;
error_log %%DIR%%/error.log $snippet{log_level};
worker_processes $snippet{workers};
$snippet{main}
events { worker_connections 512; }
http {
    access_log %%DIR%%/access.log;
    $temporary
    $cache
$snippet{http}
$server}
EOF_CONF
}

sub expand {
    my ($self, $text) = @_;
    $text =~ s/%%PORT(\w*)%%/$self->port($1)/ge;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%MODULE%%/$self->module/ge;
    $text =~ s/%%BACKEND%%/'http:\/\/unix:' . $self->backend->path . ':'/ge;
    return $text;
}

sub module {
    my ($path) = grep { defined && -e } $ENV{JWT_MODULE}, "$root/build/gcc/ngx_http_jwt_module.so";
    die "no module: build it, or name it in JWT_MODULE\n" unless $path;
    return abs_path($path);
}

# The abstract socket is a lock that ends with this process, and keeps the files of one `prove -j` off each other's ports.
sub port {
    my ($self, $name) = @_;
    $name = '' unless defined $name;
    return $self->{ports}{$name} if $self->{ports}{$name};
    for (1 .. 200) {
        my $port = 20000 + int rand 12000;
        my $lock = IO::Socket::UNIX->new(Local => "\0jwt-test-port-$port", Listen => 1) or next;
        my $probe = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port", Listen => 1, ReuseAddr => 1) or next;
        close $probe;
        $reserved{$port} = $lock;
        return $self->{ports}{$name} = $port;
    }
    die 'no free port';
}

sub backend {
    my ($self) = @_;
    $self->{backend} ||= JWTTest::Backend->new("$self->{dir}/backend.sock", $self->{arguments}{backend});
    return $self->{backend};
}

sub dir { return $_[0]{dir} }
sub pid { return $_[0]{pid} }

sub write {
    my ($self, $name, $content) = @_;
    my $path = "$self->{dir}/$name";
    make_path(dirname($path));
    # Replaced whole: nginx may be reading the old one.
    open my $file, '>:raw', "$path.new" or die "$path: $!";
    print {$file} $name eq 'nginx.conf' ? $content : $self->expand($content);
    close $file or die "$path: $!";
    rename "$path.new", $path or die "$path: $!";
    return $path;
}

sub _read {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    my $content = <$file>;
    return defined $content ? $content : '';
}

sub read_file { return _read("$_[0]{dir}/$_[1]") }
sub log { return $_[0]->read_file('error.log') }

sub wait_for {
    my ($self, $seconds, $condition) = @_;
    my $end = time + $seconds;
    while (1) {
        my $last = time >= $end;  # asked once more after a time in which this process did not run
        my $result = $condition->();
        return $result if $result || $last;
        sleep 0.01;
    }
}

sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    return $self->wait_for($seconds || 5, sub { $self->log =~ $pattern });
}

# ---- the life of the server

sub _spawn {
    my ($self, @arguments) = @_;
    my $pid = $self->{arguments}{upgradable} ? $self->_spawn_orphan : fork;
    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    open STDIN, '<', '/dev/null';
    open my $errors, '>>', "$self->{dir}/stderr.log" or POSIX::_exit(127);
    dup2(fileno $errors, 1);
    dup2(fileno $errors, 2);
    %ENV = (%ENV, %{ $self->{arguments}{env} || {} });
    $ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0';
    $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
    $ENV{LD_PRELOAD} = $ENV{JWT_PRELOAD} if $ENV{JWT_PRELOAD};
    my $nginx = $ENV{JWT_NGINX} || '/usr/sbin/nginx';
    exec { $nginx } $nginx, '-p', $self->{dir}, '-c', "$self->{dir}/nginx.conf", '-e', "$self->{dir}/error.log", @arguments
        or POSIX::_exit(127);
}

# A fork whose parent ends, in place of which this process adopts it: nginx takes USR2 only where its parent is another
# than the one that started it.
sub _spawn_orphan {
    my ($self) = @_;
    my %prctl = (x86_64 => 157, aarch64 => 167);
    my $set_child_subreaper = 36;
    syscall($prctl{ (POSIX::uname())[4] } // die('no number of prctl is known here'), $set_child_subreaper, 1, 0, 0, 0);
    unlink "$self->{dir}/nginx.pid";
    pipe my $from, my $to or die "pipe: $!";
    my $between = fork // die "fork: $!";
    if (!$between) {
        my $pid = fork // POSIX::_exit(1);
        return 0 if !$pid;
        syswrite $to, "$pid\n";
        $self->wait_for(30, sub { -s "$self->{dir}/nginx.pid" || !kill 0, $pid });
        POSIX::_exit(0);
    }
    my $pid = <$from>;
    waitpid $between, 0;
    return $pid + 0;
}

# Runs the binary anew under the same sockets (USR2), and ends the old one; of a server that is `upgradable`.
sub upgrade {
    my ($self) = @_;
    my $old = $self->{pid};
    kill USR2 => $old;
    my $pid_file = sub { $self->read_file('nginx.pid') =~ /^(\d+)/ ? $1 : 0 };
    $self->wait_for(20, sub { -e "$self->{dir}/nginx.pid.oldbin" && $pid_file->() && $pid_file->() != $old })
        or die "upgrade: no new nginx:\n" . $self->log;
    $self->{pid} = $pid_file->();
    $self->wait_for(20, sub { scalar $self->workers }) or die 'upgrade: no new worker';
    kill QUIT => $old;
    $self->wait_for(20, sub { waitpid($old, WNOHANG) == $old }) or die 'upgrade: the old nginx did not end';
    return 1;
}

# Kills master and workers outright, and starts anew.
sub kill_all {
    my ($self) = @_;
    my $pid = delete $self->{pid};
    my @workers = split ' ', _read("/proc/$pid/task/$pid/children");
    kill KILL => $pid, @workers;
    waitpid $pid, 0;
    # Of an upgradable server they are this process's to wait for now; their sockets are closed once they are gone.
    my $gone = sub { my $waited = waitpid $_[0], WNOHANG; return $waited > 0 || ($waited < 0 && !kill 0, $_[0]) };
    for my $worker (@workers) {
        $self->wait_for(10, sub { $gone->($worker) }) or die 'kill_all: a worker lives on';
    }
    return $self->start;
}

sub start {
    my ($self) = @_;
    $self->{pid} = $self->_spawn;
    my $answers = sub {
        return 'ended' if waitpid($self->{pid}, WNOHANG) == $self->{pid};
        return $self->workers && $self->_listening ? 'up' : undef;
    };
    my $state = $self->wait_for(30, $answers) || 'silent';
    return if $state eq 'up';
    my $said = $self->read_file('stderr.log') . $self->log;
    delete $self->{pid} if $state eq 'ended';
    $self->stop;
    $self->_clean;
    die "nginx did not start:\n$said";
}

sub _listening {
    my ($self) = @_;
    for my $port (values %{ $self->{ports} }) {
        # A port that is only named, as one where nobody listens, is not waited for.
        next unless $self->read_file('nginx.conf') =~ /listen\s+[^;]*\b$port\b/;
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 1) or return 0;
    }
    return 1;
}

# Pids of the workers that take requests, oldest first.
sub workers {
    my ($self) = @_;
    my @children = split ' ', _read("/proc/$self->{pid}/task/$self->{pid}/children");
    return grep { _read("/proc/$_/cmdline") =~ /^nginx: worker process\b(?! is shutting down)/ } @children;
}

# Reloads and waits until new workers have taken over. With a configuration: writes that first.
# False, and no failure of the test, where nginx refuses the configuration.
sub reload {
    my ($self, %arguments) = @_;
    if (%arguments) {
        %{ $self->{arguments} } = (%{ $self->{arguments} }, %arguments);
        $self->_write_files(%arguments);
    }
    my %old = map { $_ => 1 } $self->workers;
    my $before = length $self->log;
    kill HUP => $self->{pid};
    my $state = $self->wait_for(20, sub {
        my $new = substr $self->log, $before;
        return 'refused' if $new =~ /\[emerg\]/;
        my @workers = $self->workers;
        return @workers && !grep({ $old{$_} } @workers) && $self->_listening ? 'done' : undef;
    }) || 'silent';
    return 1 if $state eq 'done';
    die "reload: no new worker:\n" . $self->log if $state eq 'silent';
    push @{ $self->{allowed} }, map { quotemeta } grep { /\[emerg\]/ } split /\n/, substr $self->log, $before;
    return 0;
}

# Kills a worker outright and waits for the one that takes its place.
sub kill_worker {
    my ($self) = @_;
    my ($worker, @others) = $self->workers;
    push @{ $self->{allowed} }, qr/worker process $worker exited on signal 9/;
    kill KILL => $worker;
    return $self->wait_for(10, sub {
        my @workers = $self->workers;
        return @workers > @others && !grep({ $_ == $worker } @workers);
    });
}

sub stop {
    my ($self) = @_;
    $_->close for @{ $self->{connections} };
    $self->{connections} = [];
    my $pid = delete $self->{pid};
    if ($pid) {
        my $ended = sub { return waitpid($pid, WNOHANG) == $pid };
        my @workers = split ' ', _read("/proc/$pid/task/$pid/children");
        # QUIT, not TERM: connections that a module forgot keep a worker alive, or are named in the log.
        kill QUIT => $pid;
        if (!$self->wait_for(10, $ended)) {
            $self->{fault} = 'nginx did not stop within 10 seconds';
            kill TERM => $pid;
            if (!$self->wait_for(3, $ended)) {
                kill KILL => $pid, @workers;
                waitpid $pid, 0;
            }
        }
    }
    delete($self->{backend})->stop if $self->{backend};
    return;
}

# Alarms that the test means to raise.
sub allow_log {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
    return;
}

sub _faults {
    my ($self) = @_;
    my @lines = grep { $_ =~ $alarm } map { split /\n/, $self->read_file($_) } qw(error.log stderr.log);
    for my $pattern (@{ $self->{allowed} }) {
        @lines = grep { $_ !~ $pattern } @lines;
    }
    unshift @lines, $self->{fault} if $self->{fault};
    return @lines;
}

# Stops nginx; one test: its logs are clean. done_testing calls it for every server that is left.
sub finish {
    my ($self) = @_;
    @running = grep { $_ != $self } @running;
    return if $self->{finished}++;
    $self->stop;
    my @faults = $self->_faults;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::is_deeply(\@faults, [], 'no alarm in the logs') or Test::More::diag($self->_report);
    $self->_clean;
    return !@faults;
}

sub _report {
    my ($self) = @_;
    my @lines = map { split /\n/, $self->read_file($_) } qw(stderr.log error.log);
    @lines = (@lines[0 .. 59], '...') if @lines > 60;
    return join "\n", @lines;
}

sub _clean {
    my ($self) = @_;
    remove_tree($self->{dir}) unless $ENV{JWT_KEEP};
    return;
}

# A test that died, or planned its count and forgot to finish, still has its servers stopped and judged.
END {
    my $status = $?;
    for my $self (grep { $_->{owner} == $$ } @running) {
        $self->stop;
        if (my @faults = $self->_faults) {
            Test::More::diag('alarms in the logs:', map { "\n$_" } @faults);
            $status ||= 1;
        }
        $self->_clean;
    }
    $? = $status;
}

for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { exit 1 };
}
$SIG{PIPE} = 'IGNORE';

# ---- requests

# A connection that stays open: ->send(bytes), ->request(...), ->response, ->closed, ->close.
# Options: port => NAME or unix => PATH.
sub connection {
    my ($self, %options) = @_;
    my $connection = JWTTest::Connection->new(
        defined $options{unix} ? (unix => $options{unix}) : (port => $self->port($options{port})));
    push @{ $self->{connections} }, $connection;
    return $connection;
}

# One request on a connection of its own. Headers: [name => value, ...] in order, or a hash. Options as for connection.
sub request {
    my ($self, $method, $path, $headers, $body, %options) = @_;
    my $connection = $self->connection(%options);
    my @headers = ref $headers eq 'HASH' ? map { $_ => $headers->{$_} } sort keys %$headers : @{ $headers || [] };
    $connection->request($method, $path, [@headers, Connection => 'close'], $body);
    my $response = $connection->response($method);
    $connection->close;
    return $response;
}

sub get { my ($self, $path, $headers, %options) = @_; return $self->request('GET', $path, $headers, undef, %options) }
sub post { my ($self, $path, $headers, $body, %options) = @_; return $self->request('POST', $path, $headers, $body, %options) }

# With the token as most clients send it.
sub get_with { my ($self, $path, $token) = @_; return $self->get($path, [Authorization => "Bearer $token"]) }

# A connection to each worker, of a server with several: the system gives one to whichever worker is first.
sub worker_connections {
    my ($self) = @_;
    my @workers = $self->workers;
    my %of;
    for (1 .. 2000) {
        my $connection = $self->connection;
        $connection->request('GET', '/', [Host => 'worker']);
        my $pid = $connection->response->{body};
        $of{$pid} ? $connection->close : ($of{$pid} = $connection);
        return @of{@workers} if @workers == grep { $of{$_} } @workers;
    }
    die 'no connection to one of the workers';
}

# What each worker answers to a token: their statuses, "200 200".
sub statuses {
    my ($self, $path, $token) = @_;
    my @connections = $self->worker_connections;
    $_->request('GET', $path, [Authorization => "Bearer $token", Connection => 'close']) for @connections;
    return join ' ', map { my $response = $_->response; $_->close; $response->{status} } @connections;
}

# What a token opens, of a location whose whole content is the word "inside": "inside", or the status of the refusal,
# or "leaked" where a refusal holds the word.
sub verdict {
    my ($self, $path, $token) = @_;
    my $response = $self->get_with($path, $token);
    return 'inside' if $response->{status} == 200 && $response->{body} eq 'inside';
    return $response->{body} =~ /inside/ ? 'leaked' : $response->{status};
}

# Whatever bytes, and the first answer to them; undef where the server closes without one.
sub raw {
    my ($self, $bytes, %options) = @_;
    my $connection = $self->connection(%options);
    $connection->send($bytes);
    my $response = $connection->response($options{method} || 'GET');
    $connection->close;
    return $response;
}

# HTTP/2 without TLS, on a server with `http2 => 1`.
sub h2 {
    my ($self, $method, $path, $headers, $body, %options) = @_;
    my @headers = ref $headers eq 'HASH' ? map { $_ => $headers->{$_} } sort keys %$headers : @{ $headers || [] };
    my @command = ('curl', '-sS', '-i', '--max-time', 10, '--http2-prior-knowledge', '--path-as-is');
    push @command, $method eq 'HEAD' ? '--head' : ('-X', $method);
    while (my ($name, $value) = splice @headers, 0, 2) {
        push @command, '-H', $value eq '' ? "$name;" : "$name: $value";
    }
    push @command, '--data-binary', '@' . $self->write('h2.body', $body), '-H', 'Expect:' if defined $body;
    open my $curl, '-|:raw', @command, 'http://127.0.0.1:' . $self->port($options{port} || 'h2') . $path or die "curl: $!";
    my $output = do { local $/; <$curl> };
    close $curl;
    return JWTTest::Connection::parse($output // '', $method);
}

1;
