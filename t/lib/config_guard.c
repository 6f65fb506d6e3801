// Preloaded into nginx: what was allocated before a worker was forked, its configuration above all, is read-only to the
// code of the files in JWT_GUARD (paths, separated by colons). A write by one of them, or by the C and C++ libraries on
// its behalf, is reported and ends the worker. nginx's own writes, to its connections and pools, are let through one
// instruction at a time. Linux on x86-64.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

void* __libc_malloc(size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

enum { header = 16, trap_flag = 0x100, max_ranges = 16, max_frames = 32 };

static const size_t arena_size = (size_t)1 << 30;
static char* arena;
static size_t used;
static int is_child;
static size_t writes;

typedef struct {
    uintptr_t from, to;
} range;
static range watched[max_ranges], libraries[max_ranges];
static size_t watched_count, library_count;

// ---- memory: a heap of its own until the fork, where nothing is ever used again

static int in_arena(const void* p) { return arena != NULL && (const char*)p >= arena && (const char*)p < arena + arena_size; }

static void* take(size_t alignment, size_t size) {
    if (is_child) {
        return __libc_memalign(alignment, size);
    }
    if (arena == NULL) {
        arena = mmap(NULL, arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena == MAP_FAILED) abort();
    }
    if (alignment < header) alignment = header;
    const size_t at = (used + header + alignment - 1) & ~(alignment - 1);
    if (size > arena_size - at) return NULL;
    memcpy(arena + at - sizeof size, &size, sizeof size);
    used = at + size;
    return arena + at;
}

void* malloc(size_t size) { return is_child ? __libc_malloc(size) : take(header, size); }
void* memalign(size_t alignment, size_t size) { return take(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return take(alignment, size); }
int posix_memalign(void** to, size_t alignment, size_t size) {
    *to = take(alignment, size);
    return *to == NULL ? ENOMEM : 0;
}
void free(void* p) {
    if (p != NULL && !in_arena(p)) __libc_free(p);
}
void* calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    void* p = malloc(total);
    return p == NULL || in_arena(p) ? p : memset(p, 0, total);
}
static void* (*libc_realloc)(void*, size_t);
void* realloc(void* p, size_t size) {
    if (p == NULL) return malloc(size);
    if (!in_arena(p)) return libc_realloc(p, size);
    size_t old;
    memcpy(&old, (char*)p - sizeof old, sizeof old);
    void* moved = malloc(size);
    return moved == NULL ? NULL : memcpy(moved, p, old < size ? old : size);
}

// ---- writes to it

static size_t arena_pages(void) { return (used + 4095) & ~(size_t)4095; }

static int among(const range* ranges, size_t count, uintptr_t pc) {
    for (size_t i = 0; i < count; ++i) {
        if (pc >= ranges[i].from && pc < ranges[i].to) return 1;
    }
    return 0;
}

static int leaving(void) {
    const sig_atomic_t* exiting = dlsym(RTLD_DEFAULT, "ngx_exiting");
    const sig_atomic_t* terminate = dlsym(RTLD_DEFAULT, "ngx_terminate");
    return (exiting != NULL && *exiting) || (terminate != NULL && *terminate);
}

// The code that writes: the first of the stack that is no library's.
static uintptr_t writer(uintptr_t pc) {
    if (!among(libraries, library_count, pc)) return pc;
    void* frames[max_frames];
    const int count = backtrace(frames, max_frames);
    int i = 0;
    while (i < count && (uintptr_t)frames[i] != pc) ++i;
    while (i < count && among(libraries, library_count, (uintptr_t)frames[i])) ++i;
    return i < count ? (uintptr_t)frames[i] : pc;
}

static void report(uintptr_t pc, void* address) {
    Dl_info info;
    char text[512];
    const int found = dladdr((void*)pc, &info);
    const int size = snprintf(text, sizeof text, "config_guard: %s+0x%zx (%s) writes to %p, which is the configuration's\n",
        found ? info.dli_fname : "?", found ? pc - (uintptr_t)info.dli_fbase : 0, found && info.dli_sname ? info.dli_sname : "?", address);
    if (write(2, text, size) < 0) _exit(98);
    _exit(2);  // nginx starts no other worker then
}

static void on_write(int number, siginfo_t* signal_info, void* context) {
    greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
    if (!in_arena(signal_info->si_addr) || signal_info->si_code != SEGV_ACCERR) {
        signal(number, SIG_DFL);  // a fault like any other
        return;
    }
    ++writes;
    const uintptr_t by = writer((uintptr_t)registers[REG_RIP]);
    if (among(watched, watched_count, by) && !leaving()) report(by, signal_info->si_addr);
    mprotect(arena, arena_pages(), PROT_READ | PROT_WRITE);
    registers[REG_EFL] |= trap_flag;
}

static void after_write(int number, siginfo_t* signal_info, void* context) {
    (void)number, (void)signal_info;
    ((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)trap_flag;
    mprotect(arena, arena_pages(), PROT_READ);
}

// ---- start

static void add(range* ranges, size_t* count, range one) {
    if (*count == max_ranges) abort();
    ranges[(*count)++] = one;
}

static void read_ranges(void) {
    const char* guarded = getenv("JWT_GUARD");
    FILE* maps = fopen("/proc/self/maps", "r");
    char line[PATH_MAX + 128], path[PATH_MAX], permissions[8];
    range one;
    watched_count = library_count = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        path[0] = '\0';
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095s", &one.from, &one.to, permissions, path) < 3 || permissions[2] != 'x') continue;
        const char* at = guarded == NULL || path[0] == '\0' ? NULL : strstr(guarded, path);
        if (at != NULL && (at[strlen(path)] == '\0' || at[strlen(path)] == ':')) add(watched, &watched_count, one);
        if (strstr(path, "/libc.so") || strstr(path, "/libstdc++.so") || strstr(path, "/libgcc_s")) add(libraries, &library_count, one);
    }
    if (maps != NULL) fclose(maps);
}

static void guard(void) {
    is_child = 1;
    read_ranges();
    void* frame;
    backtrace(&frame, 1);  // loads what it needs now
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    action.sa_sigaction = on_write;
    sigaction(SIGSEGV, &action, NULL);
    action.sa_sigaction = after_write;
    sigaction(SIGTRAP, &action, NULL);
    char text[128];
    const int size = snprintf(text, sizeof text, "config_guard: %zu KiB are guarded against %zu files\n", used / 1024, watched_count);
    if (write(2, text, size) < 0) _exit(98);
    mprotect(arena, arena_pages(), PROT_READ);
}

static void summary(void) {
    char text[128];
    const int size = snprintf(text, sizeof text, "config_guard: %zu writes by others\n", writes);
    if (is_child && write(2, text, size) < 0) _exit(98);
}

__attribute__((constructor)) static void prepare(void) {
    libc_realloc = (void* (*)(void*, size_t))dlsym(RTLD_NEXT, "realloc");
    pthread_atfork(NULL, NULL, guard);
    atexit(summary);
}
