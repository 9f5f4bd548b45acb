#include "cli/build_run.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/trust.h"
#include "cli/csv.h"

#include <fcntl.h>

void cli_run_values_release(struct cli_run_values *v)
{
    cli_pairs_release(&v->hosts);
    cli_secrets_release(&v->secrets);
    cli_agents_release(&v->agents);
    cli_pairs_release(&v->allowed_devices);
    cli_pairs_release(&v->resources);
    free(v->ulimits);
    v->ulimits = NULL;
    buf_release(&v->ca);
}

/* --- What is allowed ------------------------------------------------------------------ */

static int network_read(const char *text, struct build_request *r, struct error *err)
{
    if (text == NULL)
        return 0;
    if (strcmp(text, "default") != 0 && strcmp(text, "none") != 0 &&
        strcmp(text, "host") != 0)
        return error_set(err, ERROR_USAGE, "--network is default, none or host, not '%s'",
                         text);
    r->network = text;
    /* As buildx: whoever asks for it has allowed it. */
    r->allow_host_network |= strcmp(text, "host") == 0;
    return 0;
}

/* "NAME[,alias=ALIAS]" */
static int allow_device(const char *text, struct cli_pairs *out, struct error *err)
{
    CLEANUP(cli_csv_release) struct cli_csv csv = {0};

    if (cli_csv_parse(text, &csv, err) < 0)
        return error_wrap(err, "--allow device=%s", text);
    /* "vendor/class=name" looks like a key and a value. */
    CLEANUP(base_freep)
    char *name = csv.fields[0].value != NULL
                     ? base_format("%s=%s", csv.fields[0].key, csv.fields[0].value)
                     : base_strdup(csv.fields[0].key);
    for (size_t i = 1; i < csv.count; i++) {
        if (strcmp(csv.fields[i].key, "alias") != 0 || csv.fields[i].value == NULL)
            return error_set(err, ERROR_USAGE,
                             "--allow device=%s: only alias=NAME may follow the device",
                             text);
    }
    cli_pairs_add(out, view_of(name), cli_csv_get(&csv, "alias"));
    return 0;
}

static int allow_read(const struct cli_texts *from,
                      struct cli_run_values *v,
                      struct build_request *r,
                      struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const char *const text = from->items[i];

        if (strcmp(text, "network.host") == 0)
            r->allow_host_network = true;
        else if (strcmp(text, "security.insecure") == 0)
            r->allow_insecure = true;
        else if (strcmp(text, "device") == 0)
            r->allow_devices = true;
        else if (strncmp(text, "device=", 7) != 0)
            return error_set(
                err, ERROR_USAGE,
                "--allow is network.host, security.insecure or device[=NAME], not '%s'",
                text);
        else if (allow_device(text + 7, &v->allowed_devices, err) < 0)
            return -1;
    }
    r->allowed_devices = v->allowed_devices.items;
    r->allowed_device_count = v->allowed_devices.count;
    return 0;
}

/* --- Limits --------------------------------------------------------------------------- */

static int ulimits_read(const struct cli_texts *from,
                        struct cli_run_values *v,
                        struct build_request *r,
                        struct error *err)
{
    v->ulimits = base_alloc_array(from->count + 1, sizeof v->ulimits[0]);
    for (size_t i = 0; i < from->count; i++) {
        if (build_ulimit_parse(from->items[i], &v->ulimits[i], err) < 0) {
            err->code = ERROR_USAGE;
            return error_wrap(err, "--ulimit");
        }
    }
    r->ulimits = v->ulimits;
    r->ulimit_count = from->count;
    return 0;
}

/* docker build's flags for single limits. */
static int resource_flags_read(const struct cli_run_options *o,
                               struct build_resources *r,
                               struct error *err)
{
    const struct {
        const char *key;
        const char *value;
    } flags[] = {
        {"memory", o->memory},           {"memory-swap", o->memory_swap},
        {"cpu-shares", o->cpu_shares},   {"cpu-period", o->cpu_period},
        {"cpu-quota", o->cpu_quota},     {"cpuset-cpus", o->cpuset_cpus},
        {"cpuset-mems", o->cpuset_mems},
    };

    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        if (flags[i].value != NULL &&
            cli_resource_set(r, flags[i].key, flags[i].value, err) < 0)
            return error_wrap(err, "--%s", flags[i].key);
    }
    return 0;
}

static int resource_read(const char *text, struct cli_pairs *out, struct error *err)
{
    CLEANUP(cli_csv_release) struct cli_csv csv = {0};

    if (cli_csv_parse(text, &csv, err) < 0)
        return -1;
    for (size_t i = 0; i < csv.count; i++) {
        if (csv.fields[i].value == NULL)
            return error_set(err, ERROR_USAGE, "'%s' is not KEY=VALUE", csv.fields[i].key);
        cli_pairs_add(out, view_of(csv.fields[i].key), csv.fields[i].value);
    }
    return 0;
}

static int resources_read(const struct cli_run_options *o,
                          struct cli_run_values *v,
                          struct build_resources *r,
                          struct error *err)
{
    if (resource_flags_read(o, r, err) < 0)
        return -1;
    for (size_t i = 0; i < o->resources.count; i++) {
        if (resource_read(o->resources.items[i], &v->resources, err) < 0)
            return error_wrap(err, "--resource %s", o->resources.items[i]);
    }
    for (size_t i = 0; i < v->resources.count; i++) {
        const struct build_pair *const one = &v->resources.items[i];

        if (cli_resource_set(r, one->name, one->value, err) < 0)
            return error_wrap(err, "--resource %s=%s", one->name, one->value);
    }
    if (build_resources_check(r, err) < 0) {
        err->code = ERROR_USAGE;
        return error_wrap(err, "limits of RUN");
    }
    return 0;
}

/* --- Certificates --------------------------------------------------------------------- */

static int ca_read(const struct cli_texts *from,
                   struct cli_run_values *v,
                   struct build_request *r,
                   struct error *err)
{
    buf_init(&v->ca, LIMIT_CONFIG_SIZE);
    for (size_t i = 0; i < from->count; i++) {
        CLEANUP(buf_release) struct buf pem = BUF_INIT(LIMIT_CONFIG_SIZE);

        if (fs_read_file_at(AT_FDCWD, from->items[i], &pem, err) < 0 ||
            build_trust_check(buf_view(&pem), err) < 0)
            return error_wrap(err, "--ca %s", from->items[i]);
        buf_append_view(&v->ca, buf_view(&pem));
        buf_append_char(&v->ca, '\n');
    }
    r->ca = buf_view(&v->ca);
    return buf_ok(&v->ca, "the certificates of --ca", err);
}

int cli_run_read(const struct cli_run_options *o,
                 struct cli_run_values *v,
                 struct build_request *r,
                 struct error *err)
{
    if (cli_build_hosts(&o->hosts, &v->hosts, err) < 0 ||
        cli_build_secrets(&o->secrets, &v->secrets, err) < 0 ||
        cli_build_agents(&o->ssh, &v->agents, err) < 0 ||
        network_read(o->network, r, err) < 0 || allow_read(&o->allow, v, r, err) < 0 ||
        ulimits_read(&o->ulimits, v, r, err) < 0 ||
        resources_read(o, v, &r->resources, err) < 0 || ca_read(&o->ca, v, r, err) < 0)
        return -1;
    r->add_hosts = v->hosts.items;
    r->add_host_count = v->hosts.count;
    r->secrets = v->secrets.items;
    r->secret_count = v->secrets.count;
    r->ssh = v->agents.items;
    r->ssh_count = v->agents.count;
    r->devices = o->devices.items;
    r->device_count = o->devices.count;
    r->cgroup_parent = o->cgroup_parent;
    r->shm_size = o->shm_size;
    return 0;
}
