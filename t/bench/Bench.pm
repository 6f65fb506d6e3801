package Bench;

# An nginx with one worker on one core, keys and tokens for it, and wrk on the other core: what run and instructions share.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Time::HiRes qw(sleep time);

our $root = abs_path(dirname(__FILE__) . '/../..');
our @algorithms = qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 ES256K Ed25519 Ed448);

# Where the programs are: built where no folder is given.
sub programs {
    my ($folder) = @_;
    if (!$folder) {
        $folder = "$root/build/bench";
        print STDERR "building in $folder\n";
        system("cmake -S '$root' -B '$folder' -DJWT_BENCH=ON -DBUILD_TESTING=OFF > '/dev/null' && cmake --build '$folder' -j2 > /dev/null") == 0
            or die "the build failed: cmake --build $folder says why\n";
    }
    $folder = abs_path($folder);
    -e "$folder/$_" or die "$folder/$_ is not there: configure with -DJWT_BENCH=ON\n" for qw(ngx_http_jwt_module.so ngx_http_bare_module.so jwt bench_tokens bench_revocations core_bench);
    return $folder;
}

sub new {
    my ($class, %options) = @_;
    my $self = bless { folder => $options{folder}, dir => tempdir('jwt-bench-XXXXXXXX', TMPDIR => 1, CLEANUP => 1), wrapper => $options{wrapper} || [] }, $class;
    chmod 0755, $self->{dir};
    # Tokens cost time to make, an RSA signature most of all: kept between runs, for a day.
    $self->{store} = "$options{folder}/bench";
    make_path($self->{store});
    my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1:0', Listen => 1) or die "no port: $!";
    $self->{port} = $probe->sockport;
    return $self;
}

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/; return scalar <$file> }
sub spew { my ($path, $text) = @_; open my $file, '>', $path or die "$path: $!"; print {$file} $text; close $file; return $path }

# The file of an algorithm's key, a JWK.
sub key_file {
    my ($self, $algorithm) = @_;
    my $file = "$self->{store}/$algorithm.jwk";
    spew($file, scalar qx('$self->{folder}/jwt' keygen $algorithm)) unless -s $file;
    return $file;
}

# The directives of an algorithm's key, for verifying.
sub key_directives {
    my ($self, $algorithm) = @_;
    my $file = $self->key_file($algorithm);
    return 'jwt_secret_key base64url:' . JSON::PP::decode_json(slurp($file))->{k} . "; jwt_decode_algorithms $algorithm;" if $algorithm =~ /^HS/;
    my $public = spew("$self->{dir}/$algorithm.jwks", scalar qx('$self->{folder}/jwt' jwks '$file'));
    return "jwt_public_key $public; jwt_decode_algorithms $algorithm;";
}

# A file of so many tokens.
sub tokens {
    my ($self, $algorithm, $count) = @_;
    my $file = "$self->{store}/$algorithm-$count.tokens";
    if (!-s $file || -M $file > 1 || -M $file > -M $self->key_file($algorithm)) {
        print STDERR "making $count tokens of $algorithm\n" if $count > 10_000;
        my $key = $self->key_file($algorithm);
        system("'$self->{folder}/bench_tokens' $algorithm '$key' $count > '$file.new'") == 0 or die "bench_tokens failed\n";
        rename "$file.new", $file or die "$file: $!";
    }
    return $file;
}

# The same with something wrong: "forged" (one bit of the signature), "expired".
sub bad_tokens {
    my ($self, $algorithm, $count, $wrong) = @_;
    my @tokens = map { chomp; $_ } split /^/, slurp($self->tokens($algorithm, $count));
    for (@tokens) {
        my ($input, $signature) = /\A(.*)\.(.*)\z/;
        my $bytes = decode_base64($signature =~ tr{-_}{+/}r);
        substr($bytes, 4, 1) ^= "\x01";
        $_ = "$input." . (encode_base64($bytes, '') =~ tr{+/=}{-_}dr);
    }
    return spew("$self->{dir}/$algorithm-$wrong.tokens", join '', map { "$_\n" } @tokens);
}

sub text_tokens { my ($self, $name, @tokens) = @_; return spew("$self->{dir}/$name.tokens", join '', map { "$_\n" } @tokens) }

# The folder of a revocation store with so many entries.
sub revocations {
    my ($self, $count) = @_;
    my $store = "$self->{store}/revoked-$count";
    if (!-e "$store.done") {
        print STDERR "revoking $count tokens\n" if $count > 100_000;
        system("'$self->{folder}/bench_revocations' '$store' $count") == 0 or die "bench_revocations failed\n";
        spew("$store.done", '');
    }
    return $store;
}

# ---- nginx

sub configuration {
    my ($self, %parts) = @_;
    my $user = $> == 0 ? 'user root;' : '';
    my $temporary = join ' ', map { "${_}_temp_path $self->{dir}/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    my $main = $parts{main} // 'worker_processes 1; worker_cpu_affinity 01;';
    my $bare = join "\n        ", map { "location = /bare/$_ { bare_verify $_; empty_gif; }" } @{ $parts{bare} || [] };
    my ($http, $server) = map { s/%%DIR%%/$self->{dir}/gr } $parts{http} // '', $parts{server} // '';
    return <<"EOF_CONF";
load_module $self->{folder}/ngx_http_jwt_module.so;
load_module $self->{folder}/ngx_http_bare_module.so;
$user
daemon off; pid $self->{dir}/nginx.pid; error_log $self->{dir}/error.log crit;
$main
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000; client_header_buffer_size 16k; large_client_header_buffers 4 32k; $temporary
    $http
    server {
        listen 127.0.0.1:$self->{port};
        location = /plain { empty_gif; }
        $bare
        $server
    }
}
EOF_CONF
}

sub nginx { return $ENV{JWT_NGINX} || '/usr/sbin/nginx' }

# Whether nginx takes these directives; what it says otherwise.
sub takes {
    my ($self, %parts) = @_;
    spew("$self->{dir}/test.conf", $self->configuration(%parts));
    my $said = qx('@{[nginx()]}' -t -p '$self->{dir}' -c '$self->{dir}/test.conf' -e '$self->{dir}/error.log' 2>&1);
    return ($? == 0, $said =~ /\[emerg\] (.*?) in / ? $1 : $said);
}

sub start {
    my ($self, %parts) = @_;
    $self->stop;
    spew("$self->{dir}/nginx.conf", $self->configuration(%parts));
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my @command = (@{ $self->{wrapper} }, nginx(), '-p', $self->{dir}, '-c', "$self->{dir}/nginx.conf", '-e', "$self->{dir}/error.log");
        exec { $command[0] } @command or die "$command[0]: $!";
    }
    $self->{pid} = $pid;
    my $until = time + ($parts{patience} || 60);
    until (IO::Socket::INET->new("127.0.0.1:$self->{port}")) {
        die "nginx did not start: " . slurp("$self->{dir}/error.log") if time > $until || waitpid($pid, 1) != 0;
        sleep 0.05;
    }
    return $self;
}

sub worker {
    my ($self) = @_;
    my ($worker) = grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker process\b(?! is shutting down)/ } split ' ', slurp("/proc/$self->{pid}/task/$self->{pid}/children");
    return $worker || $self->{pid};
}

# A worker that has seen nothing: the same configuration loaded again.
sub renew {
    my ($self) = @_;
    my $old = $self->worker;
    kill HUP => $self->{pid};
    my $until = time + 120;
    until ($self->worker != $old && !-e "/proc/$old") { die "no new worker\n" if time > $until; sleep 0.02 }
    return;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill QUIT => $pid;
    my $until = time + 10;
    while (waitpid($pid, 1) == 0) {
        kill TERM => $pid if time > $until;
        sleep 0.02;
    }
    return;
}

sub DESTROY { my ($self) = @_; local $?; $self->stop; return }

# Nanoseconds of CPU that the worker has used, all its threads.
sub cpu {
    my ($self) = @_;
    my $worker = $self->worker;
    my $sum = 0;
    for my $file (glob "/proc/$worker/task/*/schedstat") { $sum += (split ' ', slurp($file))[0] }
    return $sum;
}

# KiB that the worker holds.
sub memory { my ($self) = @_; my ($kib) = slurp('/proc/' . $self->worker . '/status') =~ /^VmRSS:\s+(\d+)/m; return $kib }

# ---- wrk

# Asks a path with the tokens of a file: {requests, seconds, refused, p99 (µs), cpu (µs of worker CPU for a request)}.
sub ask {
    my ($self, %how) = @_;
    my ($seconds, $connections) = ($how{seconds} || 1, $how{connections} || 8);
    my @command = ('taskset', '-c', $how{core} // 1, 'wrk', '-t1', "-c$connections", "-d${seconds}s", '-s', "$root/t/bench/replay.lua", "http://127.0.0.1:$self->{port}",
        '--', $how{path}, $how{tokens}, $how{where} || 'header', $how{limit} || 0, $how{depth} || 1);
    my $before = $self->cpu;
    open my $wrk, '-|', @command or die "wrk: $!";
    my $said = do { local $/; <$wrk> };
    close $wrk;
    my $used = $self->cpu - $before;
    my ($result) = $said =~ /^RESULT (.*)$/m or die "wrk said:\n$said";
    my $seen = JSON::PP::decode_json($result);
    die "$how{path}: $seen->{broken} requests broke off\n" if $seen->{broken} > $connections;
    $seen->{cpu} = $used / 1000 / ($seen->{requests} || 1);
    $seen->{rate} = $seen->{requests} / ($seen->{seconds} || 1);
    return $seen;
}

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[$#sorted / 2] }

1;
