/*
 * Where agents come from: a socket that somebody listens at, or key files, for which an
 * ssh-agent of our own is started beside the steps.
 */
#include "builder/ssh.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/service.h"
#include "cas/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ssh-add works through a few keys in milliseconds. */
enum { READY_TIMEOUT_MS = 30000 };

/* An ssh-agent of ours. */
struct holder {
    struct build_service service;
    struct cas_scratch scratch; /* the directory of its socket */
    bool started;
};

struct build_ssh_agents {
    const struct build_ssh *list;
    size_t count;
    struct cas_store *store;
    struct sandbox_helper *helper;
    pthread_mutex_t lock;   /* guards holders */
    struct holder *holders; /* one for each of the list; most are never started */
};

struct build_ssh_agents *build_ssh_agents_new(const struct build_ssh *list,
                                              size_t count,
                                              struct cas_store *store,
                                              struct sandbox_helper *helper)
{
    struct build_ssh_agents *a = base_alloc(sizeof *a);

    *a = (struct build_ssh_agents){
        .list = list, .count = count, .store = store, .helper = helper};
    a->holders = base_alloc_array(count + 1, sizeof *a->holders);
    for (size_t i = 0; i < count; i++)
        a->holders[i] = (struct holder){BUILD_SERVICE_INIT, CAS_SCRATCH_INIT, false};
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void build_ssh_agents_free(struct build_ssh_agents *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++) {
        build_service_stop(&a->holders[i].service);
        cas_scratch_removep(&a->holders[i].scratch);
    }
    free(a->holders);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static const struct build_ssh *find(const struct build_ssh_agents *a, const char *id)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->list[i].id, id) == 0)
            return &a->list[i];
    return NULL;
}

bool build_ssh_agents_has(const struct build_ssh_agents *a, const char *id)
{
    return find(a, id) != NULL;
}

/* --- Sockets --- */

static int connect_to(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_sys(err, "create a socket");
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(err, ERROR_INVALID, "%s: too long for a socket's path", path);
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return error_sys(err, "connect to the ssh agent at %s", path);
    return fd_take(&fd);
}

/* Is the one path that was given a socket? */
static int look(const struct build_ssh *ssh, bool *is_socket, struct error *err)
{
    *is_socket = false;
    for (size_t i = 0; i < ssh->path_count; i++) {
        struct stat st;

        if (stat(ssh->paths[i], &st) < 0)
            return error_sys(err, "%s", ssh->paths[i]);
        if (S_ISSOCK(st.st_mode) && ssh->path_count > 1)
            return error_set(err, ERROR_INVALID,
                             "%s is a socket: one socket, or key files, not both",
                             ssh->paths[i]);
        *is_socket = S_ISSOCK(st.st_mode);
    }
    return 0;
}

/* --- Keys --- */

/*
 * ssh-agent runs a command and ends with it: here a shell that adds the keys, says so, and
 * stays. The socket lies in the directory that is their standard input, by which name it is
 * short enough wherever the store is. Without a terminal nobody is asked for a passphrase.
 */
static int start_holder(struct build_ssh_agents *a,
                        const struct build_ssh *ssh,
                        struct holder *h,
                        struct error *err)
{
    static const char script[] = "ssh-add -q -- \"$@\" && echo ready && exec sleep 2000000";
    const char **argv;
    size_t count = 0;
    int status;

    if (!build_service_exists("ssh-agent") || !build_service_exists("ssh-add"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "key files need ssh-agent and ssh-add (package openssh-client), "
                         "which are not installed; or give an agent's socket");
    if (cas_scratch_open(&h->scratch, a->store, err) < 0)
        return -1;
    argv = base_alloc_array(ssh->path_count + 8, sizeof *argv);
    argv[count++] = "ssh-agent";
    argv[count++] = "-a";
    argv[count++] = "/proc/self/fd/0/s";
    argv[count++] = "sh";
    argv[count++] = "-c";
    argv[count++] = script;
    argv[count++] = "sh";
    for (size_t i = 0; i < ssh->path_count; i++)
        argv[count++] = ssh->paths[i];
    status = build_service_start(&h->service, a->helper, argv, h->scratch.fd, NULL, err);
    free(argv);
    if (status == 0)
        status = build_service_wait(&h->service, READY_TIMEOUT_MS, NULL, NULL, err);
    if (status < 0 && strstr(error_text(err), "passphrase"))
        return error_set(err, ERROR_FAILED,
                         "a key has a passphrase, and a build has nobody to ask: add it to "
                         "an agent with ssh-add, and give that agent");
    return status;
}

/* Paths are looked up by the program in the directory it runs in: "/". */
static int connect_holder(struct build_ssh_agents *a,
                          const struct build_ssh *ssh,
                          struct error *err)
{
    struct holder *h = &a->holders[ssh - a->list];
    int fd = -1;

    pthread_mutex_lock(&a->lock);
    if (h->started || start_holder(a, ssh, h, err) == 0) {
        CLEANUP(base_freep) char *path = base_format("/proc/self/fd/%d/s", h->scratch.fd);

        h->started = true;
        fd = connect_to(path, err);
    } else {
        build_service_stop(&h->service);
        cas_scratch_removep(&h->scratch);
    }
    pthread_mutex_unlock(&a->lock);
    return fd;
}

int build_ssh_connect(struct build_ssh_agents *a, const char *id, struct error *err)
{
    const struct build_ssh *ssh = find(a, id);
    bool is_socket = false;
    int fd;

    if (!ssh)
        return error_set(err, ERROR_NOT_FOUND, "no agent \"%s\" was given", id);
    if (look(ssh, &is_socket, err) < 0)
        return -1;
    fd = is_socket ? connect_to(ssh->paths[0], err) : connect_holder(a, ssh, err);
    return fd < 0 ? error_wrap(err, "--ssh %s", id) : fd;
}
