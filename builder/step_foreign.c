#include "builder/step_foreign.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/source_tree.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BINFMT "/proc/sys/fs/binfmt_misc"

/* A script may name a script, as the kernel allows a few times. */
enum { HEAD_SIZE = 256, SCRIPTS_MAX = 5 };

struct architecture {
    uint16_t machine;
    uint8_t class; /* ELFCLASS*, or 0: any */
    uint8_t data;  /* ELFDATA*, or 0: any */
    const char *name;
    const char *qemu;
};

static const struct architecture architectures[] = {
    {EM_X86_64, ELFCLASS64, 0, "amd64", "x86_64"},
    {EM_386, 0, 0, "386", "i386"},
    {EM_AARCH64, 0, ELFDATA2LSB, "arm64", "aarch64"},
    {EM_ARM, 0, ELFDATA2LSB, "arm", "arm"},
    {EM_PPC64, 0, ELFDATA2LSB, "ppc64le", "ppc64le"},
    {EM_PPC64, 0, ELFDATA2MSB, "ppc64", "ppc64"},
    {EM_S390, 0, 0, "s390x", "s390x"},
    {EM_RISCV, ELFCLASS64, 0, "riscv64", "riscv64"},
    {EM_MIPS, ELFCLASS64, ELFDATA2LSB, "mips64le", "mips64el"},
    {EM_MIPS, ELFCLASS32, ELFDATA2LSB, "mipsle", "mipsel"},
    {EM_LOONGARCH, ELFCLASS64, 0, "loong64", "loongarch64"},
};

bool step_foreign_read(const uint8_t *head,
                       size_t size,
                       const char **architecture,
                       const char **qemu)
{
    uint16_t machine;

    if (size < 20 || memcmp(head, ELFMAG, SELFMAG) != 0)
        return false;
    const bool is_big = head[EI_DATA] == ELFDATA2MSB;
    machine = (uint16_t)(head[is_big ? 18 : 19] << 8 | head[is_big ? 19 : 18]);
    for (size_t i = 0; i < ARRAY_COUNT(architectures); i++) {
        const struct architecture *a = &architectures[i];

        if (a->machine != machine || (a->class && a->class != head[EI_CLASS]) ||
            (a->data && a->data != head[EI_DATA]))
            continue;
        *architecture = a->name;
        *qemu = a->qemu;
        return true;
    }
    return false;
}

/* --- The program --- */

/* The beginning of a file of the step's root, as its layers have it; 0: there is none. */
static size_t read_head(struct build_tree *tree, const char *path, uint8_t head[HEAD_SIZE])
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *resolved = NULL;
    CLEANUP(fd_closep) int fd = -1;
    struct build_tree_entry entry;
    struct cas_content content = {.fd = -1};
    bool found = false;
    ssize_t n;

    if (build_tree_resolve(tree, view_of(path), true, &found, &entry, &resolved, &ignored) <
            0 ||
        !found || entry.entry.type != CAS_ENTRY_FILE || entry.entry.size == 0 ||
        tree->open(tree->self, &entry.place, &content, &ignored) < 0)
        return 0;
    fd = content.fd;
    n = read(fd, head, HEAD_SIZE);
    return n > 0 ? (size_t)n : 0;
}

static const char *path_variable(const struct build_run_op *op)
{
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    for (size_t i = 0; i < op->env_count; i++)
        if (strncmp(op->env[i], "PATH=", 5) == 0)
            path = op->env[i] + 5;
    return path;
}

/* Where argv[0] is: its path in the root, and the head of the file. malloc'ed; NULL: it is
 * in no layer (but on a mount, or nowhere). */
static char *find_program(struct build_tree *tree,
                          const struct build_run_op *op,
                          uint8_t head[HEAD_SIZE],
                          size_t *size)
{
    const char *name = op->argv[0];
    struct view rest = view_of(path_variable(op)), dir;
    bool more = true;

    if (strchr(name, '/')) {
        char *path = base_format("%s%s%s", *name == '/' ? "" : op->workdir,
                                 *name == '/' ? "" : "/", name);

        *size = read_head(tree, path, head);
        return path;
    }
    while (more) {
        more = view_cut(rest, ':', &dir, &rest);
        char *path = base_format("%.*s/%s", VIEW_ARG(dir), name);
        if ((*size = read_head(tree, path, head)) > 0)
            return path;
        free(path);
    }
    return NULL;
}

/* What a script is run by; malloc'ed; NULL if it is none. */
static char *interpreter_of(const uint8_t *head, size_t size)
{
    struct view line = {(const char *)head, size}, word, rest;

    if (size < 3 || head[0] != '#' || head[1] != '!')
        return NULL;
    line = view_sub(line, 2, size);
    (void)view_cut(line, '\n', &line, &rest);
    (void)view_cut(view_trim(line), ' ', &word, &rest);
    return word.size > 0 ? view_dup(word) : NULL;
}

/* --- The machine --- */

/* Of the interpreter that is registered for the architecture: the flags line. */
static bool read_handler(const char *qemu, struct buf *text)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *path = base_format(BINFMT "/qemu-%s", qemu);
    CLEANUP(fd_closep) int fd = fs_open_at(AT_FDCWD, path, O_RDONLY, 0, &ignored);

    return fd >= 0 && fs_read_all(fd, text, &ignored) == 0;
}

static char *advice_of(const char *qemu)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    const char *flags;

    if (!read_handler(qemu, &text))
        return base_format("no interpreter qemu-%s is registered in " BINFMT
                           ": install the Debian packages qemu-user-static and "
                           "binfmt-support",
                           qemu);
    if (strncmp(buf_text(&text), "disabled", 8) == 0)
        return base_format("its interpreter is disabled: write 1 to " BINFMT "/qemu-%s",
                           qemu);
    flags = strstr(buf_text(&text), "\nflags: ");
    if (flags && !memchr(flags + 8, 'F', strcspn(flags + 8, "\n")))
        return base_format("its interpreter " BINFMT
                           "/qemu-%s is registered without the flag F, so that it is "
                           "looked for among the step's own files: register that of the "
                           "Debian package qemu-user-static",
                           qemu);
    return base_format("its interpreter " BINFMT "/qemu-%s does not start", qemu);
}

static void explain(const char *path,
                    const char *architecture,
                    const char *qemu,
                    struct error *err)
{
    const struct registry_platform host = registry_platform_host();
    CLEANUP(base_freep) char *advice = advice_of(qemu);

    error_clear(err);
    error_set(err, ERROR_FAILED,
              "exec format error: %s is a program for %s and this machine is %s: %s (or "
              "compile with FROM "
              "--platform=$BUILDPLATFORM, which needs none)",
              path, architecture, host.architecture, advice);
}

void step_foreign_explain(const struct step_run *r, struct error *err)
{
    const struct registry_platform host = registry_platform_host();
    const struct solve_node *base =
        r->n->node->base ? solve_of(r->n->solver, r->n->node->base) : NULL;
    struct build_layer_tree *layers;
    CLEANUP(base_freep) char *path = NULL;
    const char *architecture, *qemu;
    uint8_t head[HEAD_SIZE];
    size_t size = 0;

    if (!base)
        return;
    layers = build_layer_tree_new(base->layers, base->count);
    path = find_program(build_layer_tree_tree(layers), r->op, head, &size);
    for (int i = 0; path && i < SCRIPTS_MAX; i++) {
        char *next = interpreter_of(head, size);

        if (!next)
            break;
        free(path);
        path = next;
        size = read_head(build_layer_tree_tree(layers), path, head);
    }
    build_layer_tree_free(layers);
    if (path && step_foreign_read(head, size, &architecture, &qemu) &&
        strcmp(architecture, host.architecture) != 0)
        explain(path, architecture, qemu, err);
}
