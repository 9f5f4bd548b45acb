#include "registry/serve/auth.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/digest.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Hashes computed at once; more wait. */
#define CHECKS_AT_ONCE 2
/* Right passwords that are remembered, and for how long. */
#define REMEMBERED   256
#define REMEMBERED_S 300
#define SECRET_SIZE  32

/* A cost of ten, as htpasswd -B makes them by default has less; it belongs to no password
 * that anybody knows. */
static const char nobody[] = "$2b$10$ra4sGuyYlQmSdgJCY3YJ4u57AZi4DDmOZJV2jPQ4TDmoDJ9hl3dAS";

struct user {
    char *name;
    char *hash;
};

struct users {
    struct user *items;
    size_t count;
};

struct remembered {
    struct digest proof;
    int64_t until_s;
};

struct serve_auth {
    char *path;
    serve_check_fn *check;
    sem_t checks;
    uint8_t secret[SECRET_SIZE];
    pthread_mutex_t lock; /* guards everything below */
    struct users users;
    struct stat known; /* the file as it was read */
    struct remembered remembered[REMEMBERED];
    size_t next; /* to be overwritten */
};

static void users_release(struct users *u)
{
    for (size_t i = 0; i < u->count; i++) {
        free(u->items[i].name);
        free(u->items[i].hash);
    }
    free(u->items);
    *u = (struct users){0};
}

/* --- The file --- */

static bool is_bcrypt(struct view hash)
{
    return hash.size == 60 && (view_starts(hash, "$2y$") || view_starts(hash, "$2b$") ||
                               view_starts(hash, "$2a$"));
}

static int parse(struct view text, struct users *out, struct error *err)
{
    size_t capacity = 0;

    for (unsigned number = 1; text.size > 0; number++) {
        struct view line;
        struct view name;
        struct view hash;
        view_cut(text, '\n', &line, &text);
        line = view_trim(line);
        if (line.size == 0 || line.data[0] == '#')
            continue;
        if (!view_cut(line, ':', &name, &hash) || name.size == 0)
            return error_set(err, ERROR_INVALID, "line %u is not USER:HASH", number);
        if (!is_bcrypt(hash))
            return error_set(err, ERROR_INVALID,
                             "line %u: the password of '%.*s' is not hashed with bcrypt; "
                             "make it with 'htpasswd -B'",
                             number, VIEW_ARG(name));
        out->items = base_grow(out->items, out->count, &capacity, sizeof *out->items);
        out->items[out->count++] = (struct user){view_dup(name), view_dup(hash)};
    }
    return 0;
}

/* Two writes within one tick of the clock leave one time, but not one inode and size. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int load(struct serve_auth *a, const struct stat *known, struct error *err)
{
    CLEANUP(fd_closep) int fd = fs_open_at(AT_FDCWD, a->path, O_RDONLY, 0, err);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_PASSWD_SIZE);
    CLEANUP(users_release) struct users users = {0};
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat");
    if (known && is_same(known, &st))
        return 0;
    if (fs_read_all(fd, &text, err) < 0 || parse(buf_view(&text), &users, err) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    const struct users old = a->users;
    a->users = users;
    users = old;
    a->known = st;
    /* Who is not in it any more, or has another password, is forgotten at once. */
    for (size_t i = 0; i < REMEMBERED; i++)
        a->remembered[i] = (struct remembered){0};
    pthread_mutex_unlock(&a->lock);
    return 0;
}

struct serve_auth *serve_auth_open(const char *path,
                                   serve_check_fn *check,
                                   struct error *err)
{
    struct serve_auth *a = base_alloc(sizeof *a);

    a->path = base_strdup(path);
    a->check = check;
    sem_init(&a->checks, 0, CHECKS_AT_ONCE);
    pthread_mutex_init(&a->lock, NULL);
    if (getrandom(a->secret, sizeof a->secret, 0) != (ssize_t)sizeof a->secret)
        error_sys(err, "getrandom");
    else if (load(a, NULL, err) == 0)
        return a;
    error_wrap(err, "password file %s", path);
    serve_auth_close(a);
    return NULL;
}

void serve_auth_close(struct serve_auth *a)
{
    if (!a)
        return;
    users_release(&a->users);
    pthread_mutex_destroy(&a->lock);
    sem_destroy(&a->checks);
    explicit_bzero(a->secret, sizeof a->secret);
    free(a->path);
    free(a);
}

int serve_auth_refresh(struct serve_auth *a, struct error *err)
{
    pthread_mutex_lock(&a->lock);
    const struct stat known = a->known;
    pthread_mutex_unlock(&a->lock);
    return load(a, &known, err) < 0 ? error_wrap(err, "password file %s", a->path) : 0;
}

/* --- Passwords that were right --- */

static int64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static struct digest proof_of(const struct serve_auth *a,
                              const char *hash,
                              const char *password)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    hasher_update(h, a->secret, sizeof a->secret);
    hasher_update(h, hash, strlen(hash) + 1);
    hasher_update(h, password, strlen(password));
    hasher_update(h, a->secret, sizeof a->secret);
    hasher_final(h, &out);
    hasher_free(h);
    return out;
}

static bool is_remembered(struct serve_auth *a, const struct digest *proof)
{
    const int64_t now = now_s();
    bool found = false;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < REMEMBERED && !found; i++)
        found = a->remembered[i].until_s > now && digest_eq(&a->remembered[i].proof, proof);
    pthread_mutex_unlock(&a->lock);
    return found;
}

static void remember(struct serve_auth *a, const struct digest *proof)
{
    pthread_mutex_lock(&a->lock);
    a->remembered[a->next] = (struct remembered){*proof, now_s() + REMEMBERED_S};
    a->next = (a->next + 1) % REMEMBERED;
    pthread_mutex_unlock(&a->lock);
}

/* malloc'ed; NULL for a user that is not known. */
static char *hash_of(struct serve_auth *a, const char *name)
{
    char *hash = NULL;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->users.count && !hash; i++) {
        if (strcmp(a->users.items[i].name, name) == 0)
            hash = base_strdup(a->users.items[i].hash);
    }
    pthread_mutex_unlock(&a->lock);
    return hash;
}

static bool check_slowly(struct serve_auth *a, const char *password, const char *hash)
{
    while (sem_wait(&a->checks) < 0)
        continue; /* EINTR */
    const bool is_right = a->check(password, hash);
    sem_post(&a->checks);
    return is_right;
}

bool serve_auth_check(struct serve_auth *a, const char *user, const char *password)
{
    CLEANUP(base_freep) char *hash = hash_of(a, user);

    if (!hash)
        return check_slowly(a, password, nobody) && false;
    const struct digest proof = proof_of(a, hash, password);
    if (is_remembered(a, &proof))
        return true;
    if (!check_slowly(a, password, hash))
        return false;
    remember(a, &proof);
    return true;
}
