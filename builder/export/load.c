#include "builder/export/load.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DOCKER_SOCKET     "/var/run/docker.sock"
#define CONTAINERD_SOCKET "/run/containerd/containerd.sock"

char *build_load_docker_socket(void)
{
    const char *host = getenv("DOCKER_HOST");

    if (!host || !*host)
        return base_strdup(DOCKER_SOCKET);
    return strncmp(host, "unix://", 7) == 0 ? base_strdup(host + 7) : NULL;
}

/* Does somebody listen there? */
static bool answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_closep) int fd = -1;

    if (!path || strlen(path) >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

static bool has_docker(void)
{
    CLEANUP(base_freep) char *path = build_load_docker_socket();
    const char *host = getenv("DOCKER_HOST");

    /* Whoever names a host means it. */
    return (host && *host) || answers(path);
}

static bool has_program(const char *name)
{
    struct view path = view_of(getenv("PATH")), dir;

    while (path.size > 0) {
        (void)view_cut(path, ':', &dir, &path);
        CLEANUP(base_freep) char *file = base_format("%.*s/%s", VIEW_ARG(dir), name);
        if (dir.size > 0 && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static bool has_containerd(void)
{
    const char *address = getenv("CONTAINERD_ADDRESS");

    return answers(address && *address ? address : CONTAINERD_SOCKET) && has_program("ctr");
}

/* The first that is there. */
static int choose(enum build_load_into *into, struct error *err)
{
    if (*into != BUILD_LOAD_ANY)
        return 0;
    if (has_docker())
        *into = BUILD_LOAD_DOCKER;
    else if (has_program("podman"))
        *into = BUILD_LOAD_PODMAN;
    else if (has_containerd())
        *into = BUILD_LOAD_CONTAINERD;
    else
        return error_set(err, ERROR_NOT_FOUND,
                         "there is nothing to load into: no docker listens on "
                         "$DOCKER_HOST or " DOCKER_SOCKET
                         ", there is no podman in $PATH, no containerd on "
                         "$CONTAINERD_ADDRESS or " CONTAINERD_SOCKET);
    return 0;
}

void build_load_note(const struct build_load *l, const char *who, size_t present)
{
    CLEANUP(base_freep)
    char *text =
        base_format("load: %s has %zu of %zu layers", who, present, l->image->layer_count);

    event_send(&l->x->env->sink, (struct event){.type = EVENT_NOTE, .text = text});
}

static int load_into(enum build_load_into into,
                     const struct build_load *l,
                     struct error *err)
{
    switch (into) {
    case BUILD_LOAD_DOCKER:
        return build_load_docker(l, err) < 0 ? error_wrap(err, "docker") : 0;
    case BUILD_LOAD_PODMAN:
        return build_load_podman(l, err) < 0 ? error_wrap(err, "podman") : 0;
    case BUILD_LOAD_CONTAINERD:
        return build_load_containerd(l, err) < 0 ? error_wrap(err, "containerd") : 0;
    case BUILD_LOAD_ANY:
        break;
    }
    return error_set(err, ERROR_INVALID, "nothing was chosen");
}

int build_export_load(const struct build_export *x, struct error *err)
{
    CLEANUP(build_names_release) struct build_names names = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    enum build_load_into into = x->output->into;
    const struct build_load l = {x, &image, &names};

    if (build_names_of(x->output, x->names, x->name_count, &names, err) < 0)
        return -1;
    if (choose(&into, err) < 0 ||
        registry_image_load(x->env->store, x->root, NULL, &image, err) < 0 ||
        load_into(into, &l, err) < 0)
        return error_wrap(err, "load the image");
    return 0;
}
